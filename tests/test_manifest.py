"""A manifest of scans becomes a set of lesions: errors name the row, and no patient is in what is kept."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livervlm.scans.lesions import LesionSet
from livervlm.scans.rois import extract_rois
from livervlm.scans.study import Study

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")

from small_scans import PHASES, fails, liver_study  # noqa: E402  after the skip

from livervlm.studies.files import read_study, write_study  # noqa: E402  after the skip
from livervlm.studies.manifest import ImportReport, import_studies  # noqa: E402  after the skip
from livervlm.studies.table import listed, parse_box  # noqa: E402  after the skip
from livervlm.studies.volumes import read_mask, read_volume  # noqa: E402  after the skip

REAL = Path(__file__).parents[2] / "shared" / "realdata" / "totalsegmentator_example"
LIVER = 5  # TotalSegmentator's label
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real CT of shared/realdata is not beside this checkout")
pytestmark = pytest.mark.usefixtures("one_process")


@pytest.fixture
def study():
    return liver_study()


def write_manifest(folder: Path, rows: list[dict], name: str = "cohort.csv") -> Path:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [",".join(columns)]
    lines += [",".join(f'"{row.get(column, "")}"' for column in columns) for row in rows]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return folder / name


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A folder for each of four patients, named as in life; label 2 of a mask is a second lesion."""
    folder = tmp_path_factory.mktemp("scans")
    for i, name in enumerate(["Meier^Anna", "Weiß^Bo", "00471103", "Lund^Cy"]):  # the third is `study`
        files = write_study(liver_study(seed=5 + i), folder / name, ("nifti", "dicom")[i % 2], name)
        for file in (file for column, file in files.items() if column.startswith("mask")):
            mask = sitk.ReadImage(file)
            values = sitk.GetArrayFromImage(mask)
            both = sitk.GetImageFromArray(values + 2 * np.roll(values, 13, axis=2))
            both.CopyInformation(mask)
            sitk.WriteImage(both, file)
    return folder


@pytest.fixture
def cohort(tmp_path, scans):
    """Rows of eight lesions of the four patients, two each."""
    rows = []
    for patient in scans.iterdir():
        (tmp_path / patient.name).symlink_to(patient)
        files = {f.name.removesuffix(".nii.gz"): f"{patient.name}/{f.name}" for f in patient.iterdir()}
        two = enumerate(("HCC", "CYST"), start=1)
        rows += [{"patient": patient.name, "label": label, **files, "mask_value": value} for value, label in two]
    return sorted(rows, key=lambda row: row["patient"])


NAMES = re.compile(r"Meier|Anna|Weiß|00471103|Lund|phantom|2\.25\.")


def test_import_studies(tmp_path, cohort, study, capfd, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    lesions = import_studies(write_manifest(tmp_path, cohort), 24, n_groups=2, progress=True)
    depth = study.box[1] - study.box[0]
    assert lesions.hu.shape == (8 * depth, 3, 24, 24)
    assert lesions.phases == PHASES
    assert lesions.patient.tolist() == np.repeat([1, 2, 3, 4], 2 * depth).tolist()
    assert [lesions.classes[i] for i in lesions.label[::depth]] == ["HCC", "CYST"] * 4
    assert set(lesions.group) == {1, 2}
    direct = extract_rois(read_study_of(tmp_path, cohort[0]), 24, phases=PHASES)
    np.testing.assert_array_equal(lesions.hu[:depth], direct.hu)
    phantom = extract_rois(study, 24, phases=PHASES)
    assert np.abs(lesions.hu[:depth].astype(int) - phantom.hu).max() <= 1
    assert lesions.mask("lesion")[:depth].mean() == pytest.approx(phantom.masks["lesion"].mean(), rel=0.05)

    lesions.save(tmp_path / "lesions.safetensors")
    stored = (tmp_path / "lesions.safetensors").read_bytes().decode("latin-1")
    shown = "".join(capfd.readouterr())
    assert "scans: 100%" in shown
    assert "WARNING" not in shown
    assert not NAMES.search(stored + shown)
    assert len(LesionSet.load(tmp_path / "lesions.safetensors")) == len(lesions)


def read_study_of(folder: Path, row: dict) -> Study:
    return read_study(
        {p: folder / row[p] for p in PHASES}, {p: folder / row[f"mask_{p}"] for p in PHASES}, mask_value=1
    )


def test_import_with_boxes_groups_and_two_phases(tmp_path, cohort):
    rows = [
        {
            "patient": row["patient"],
            "label": row["label"],
            "ART": row["ART"],
            "PV": row["PV"],
            "group": 7 - i // 2,
        }
        | {"box": f"{4 + i % 2}:{8 + i % 2}, 14:27, {13 + i % 2 * 13}:{26 + i % 2 * 13}"}
        for i, row in enumerate(cohort)
    ]
    lesions = import_studies(write_manifest(tmp_path, rows), 16, progress=False)
    assert lesions.phases == ("ART", "PV")
    assert lesions.masks is None
    assert lesions.group.tolist() == np.repeat([7, 6, 5, 4], 8).tolist()


def broken(column: str, text: str):
    def edit(rows):
        rows[4][column] = text

    return edit


MISTAKES = {  # of the table, by what the message says; row 6 is the fifth lesion
    "row 6: label is not in the classes CYST, FNH, HCC, HEM; is it HCC?": broken("label", "hcc"),
    "row 6: label is not in the classes CYST, FNH, HCC, HEM": broken("label", "00471103"),
    "row 6: patient is empty": broken("patient", " "),
    "row 6: give a mask or a box": broken("box", "5:9,14:27,13:26"),
    "row 6: mask_value is not a whole number": broken("mask_value", "meier"),
    "row 6: piece is not a whole number": broken("piece", "1e400"),
    "row 6: reference: name the phase": broken("reference", "Meier"),
    "rows 2, 3, 4, 5 and 3 more: group is empty": broken("group", "2"),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_in_the_table_name_the_row_and_no_patient(tmp_path, cohort, words, capfd, monkeypatch):
    MISTAKES[words](cohort)
    monkeypatch.setattr("livervlm.studies.cutting.read_volume", lambda *_, **__: pytest.fail("a volume was read"))
    manifest = write_manifest(tmp_path, cohort)
    message = fails(re.escape(words), import_studies, manifest, 24, n_groups=2)
    assert message.startswith(f"{manifest}: ")
    assert not NAMES.search(message + "".join(capfd.readouterr()))


UNREAD = {  # what is wrong with files, by what is said of row 6, and of row 7 where it shares them
    "row 6: phase ART is missing, so the row is left out; it could be read with phases NC,PV": broken("ART", ""),
    "row 6: ART: no such file": broken("ART", "00471103/gone.nii.gz"),
    "row 6: mask of NC: no such file": broken("mask_NC", "00471103/gone.nii.gz"),
    "row 6: mask of NC: the mask is empty, no voxel of value 3": broken("mask_value", "3"),
    "row 6: NC: not readable": broken("NC", "broken.nii.gz"),
    "row 6: mask of NC: not readable": broken("mask_NC", "broken.nii.gz"),
}


@pytest.mark.parametrize("words", UNREAD)
def test_what_cannot_be_read_costs_itself_alone(tmp_path, cohort, words, capfd):
    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8b no gzip")
    UNREAD[words](cohort)
    report = ImportReport()
    lesions = import_studies(write_manifest(tmp_path, cohort), 24, n_groups=2, report=report)
    assert words in listed(report.faults)
    assert {fault.row for fault in report.faults} == {6}
    assert [one.row for one in report.lesions] == [2, 3, 4, 5, 7, 8, 9]
    assert set(lesions.patient) == {1, 2, 3, 4}
    assert not NAMES.search(listed(report.faults) + "".join(capfd.readouterr()))


def test_manifest_as_a_whole(tmp_path, cohort):
    fails("no such file", import_studies, tmp_path / "nowhere.csv", 24)
    text = tmp_path / "table.csv"
    for content, words in {
        b"": "row 1: no header",
        b"Meier^Anna;HCC;a.nii": "row 1: no header",
        b"patient,label,PV\n": "at least two phases",
        b"patient,label,PV,ART,PV\n": "column PV stands there twice",
        b"patient,label,ART,PV,box\n": "no rows",
        b"patient,label,ART,PV,box\nA,HCC,a,b,1:2,3:4,5:6\n": "row 2: more cells than columns.*; row 2: box: write",
        "patient,label,ART,PV,box\nWeiß,HCC,a,b,\n".encode("latin-1"): "not UTF-8",
    }.items():
        text.write_bytes(content)
        assert not NAMES.search(fails(words, import_studies, text, 24))
    fails("too few patients for 5 groups", import_studies, write_manifest(tmp_path, cohort), 24)
    grouped = [{**row, "group": 1 + (i > 4)} for i, row in enumerate(cohort)]
    fails("row 7: group 2, but 1 in row 6", import_studies, write_manifest(tmp_path, grouped), 24)


ranges = st.tuples(st.integers(0, 999), st.integers(1, 999)).map(lambda pair: (pair[0], sum(pair)))


@given(st.tuples(ranges, ranges, ranges), st.sampled_from([",", ", ", " , "]))
def test_box_is_read_as_written(axes, comma):
    text = comma.join(f"{first}:{last}" for first, last in axes)
    assert parse_box(text) == tuple(end for axis in axes for end in axis)


@given(st.text(st.sampled_from("0123456789,- x²"), max_size=30), st.permutations(["4:9", "4:9", "9:4"]))
def test_any_other_box_is_one_clear_error(text, falling):
    fails("write z0:z1,y0:y1,x0:x1", parse_box, text)
    fails("each rising", parse_box, ",".join(falling))


# ---- a real CT


@real
def test_real_ct_as_every_phase_becomes_a_lesion_set(tmp_path):
    """Plumbing: one phase stands for three, and a piece of liver for a lesion."""
    liver = sitk.GetArrayFromImage(
        read_mask(REAL / "example_seg_dicom.nii.gz", read_volume(REAL / "example_ct_dicom"), LIVER)
    )
    z, y, x = (int(v) for v in np.argwhere(liver).mean(0))
    rows = [
        {"patient": "one", "label": "HEM", **dict.fromkeys(PHASES, REAL / "example_ct_dicom"), "group": 1}
        | {"box": f"{z - 2}:{z + 2},{y - 12}:{y + 12},{x - 10}:{x + 10}"}
    ]
    words = "no lesion is left: row 2: NC and ART show the same acquisition"
    fails(words, import_studies, write_manifest(tmp_path, rows), 32, progress=False)
    lesions = import_studies(write_manifest(tmp_path, rows), 32, progress=False, accept_doubts=True)
    assert lesions.hu.shape == (4, 3, 32, 32)
    assert 0 < np.median(lesions.hu) < 200
    np.testing.assert_array_equal(lesions.hu[:, 0], lesions.hu[:, 2])
