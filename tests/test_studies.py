"""Scans in and out: geometry, Hounsfield units, errors in one line, and no patient in what is kept."""

import gzip
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livervlm.base.errors import InputError
from livervlm.scans.lesions import LesionSet
from livervlm.scans.rois import extract_rois, mask_box
from livervlm.scans.study import Study

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")

from livervlm.studies.files import read_study, write_study  # noqa: E402  after the skip
from livervlm.studies.manifest import import_studies, parse_box  # noqa: E402  after the skip
from livervlm.studies.volumes import read_mask, read_volume  # noqa: E402  after the skip

PHASES = ("NC", "ART", "PV")
SPACING = (2.5, 0.8, 0.7)  # mm along Z, Y, X
REAL = Path(__file__).parents[2] / "shared" / "realdata" / "totalsegmentator_example"
LIVER = 5  # TotalSegmentator's label
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real CT of shared/realdata is not beside this checkout")


def liver_study(moves: bool = True) -> Study:
    """A noisy liver with a dark ellipsoid that lies elsewhere in each phase if it `moves`."""
    rng = np.random.default_rng(7)
    shape = (12, 40, 44)
    z, y, x = np.indices(shape)
    volumes, masks, centres = {}, {}, {}
    for i, phase in enumerate(PHASES):
        centre = (5 + i * moves, 18 + 2 * i * moves, 21 - i * moves)
        lesion = ((z - centre[0]) / 2.5) ** 2 + ((y - centre[1]) / 7) ** 2 + ((x - centre[2]) / 6) ** 2 <= 1
        hu = 60 + 25 * i + rng.normal(0, 8, shape) - 45 * lesion + x  # a slope: left is not right
        hu[:, :, :3] = -1000  # air at the patient's right
        volumes[phase], masks[phase], centres[phase] = hu.astype(np.float32), lesion, centre
    box = mask_box(masks["PV"])
    return Study(volumes, SPACING, "PV", box, centres if moves else {}, {"lesion": masks})


def image(array: np.ndarray, origin=(0.0, 0.0, 0.0)) -> "sitk.Image":
    made = sitk.GetImageFromArray(array)
    made.SetSpacing(SPACING[::-1])
    made.SetOrigin(origin)
    return made


@pytest.fixture
def study():
    return liver_study()


@pytest.fixture
def dicom(tmp_path, study):
    """A folder with one DICOM series of 12 slices."""
    return write_study(study, tmp_path / "dicom", "dicom")["PV"]


def edit_slice(file: Path, **tags) -> None:
    """Rewrite one slice with other tags, given as _00100010="Name"."""
    picture = sitk.ReadImage(file)
    for tag, text in tags.items():
        picture.SetMetaData(f"{tag[1:5]}|{tag[5:]}", text)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(file)
    writer.Execute(picture)


def fails(words: str, call, *args, **kwargs) -> str:
    with pytest.raises(InputError, match=words) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- there and back


@pytest.mark.parametrize("format", ["nifti", "dicom"])
@pytest.mark.parametrize("moves", [True, False])
def test_study_goes_out_and_comes_back(tmp_path, format, moves):
    study = liver_study(moves)
    files = write_study(study, tmp_path / "out", format)
    masks = {p: files[f"mask_{p}"] for p in PHASES} if moves else files["mask"]
    back = read_study({p: files[p] for p in reversed(PHASES)}, masks)

    assert tuple(back.volumes) == PHASES
    assert back.spacing == pytest.approx(study.spacing)
    assert back.box == study.box
    for phase in PHASES:
        assert np.abs(back.volumes[phase] - study.volumes[phase].clip(-1024)).max() <= 1
        if moves:
            np.testing.assert_array_equal(back.masks["lesion"][phase], study.masks["lesion"][phase])
            assert back.centres[phase] == pytest.approx(study.centres[phase], abs=0.5)
    assert bool(back.centres) == moves
    assert not list(tmp_path.glob(".*"))  # nothing temporary stays


def test_write_study_never_overwrites_and_leaves_nothing_half_done(tmp_path, study, monkeypatch):
    write_study(study, tmp_path / "out")
    fails("already there", write_study, study, tmp_path / "out")
    fails("'png'", write_study, study, tmp_path / "png", "png")

    def full(*args):
        raise OSError("disk full")

    monkeypatch.setattr("livervlm.studies.files.sitk.WriteImage", full)
    with pytest.raises(OSError, match="disk full"):
        write_study(study, tmp_path / "new")
    assert [f.name for f in tmp_path.iterdir()] == ["out"]


def test_written_dicom_is_ct_of_nobody(dicom):
    slice_ = sitk.ReadImage(dicom / "0003.dcm")
    tags = {key: slice_.GetMetaData(key).strip() for key in slice_.GetMetaDataKeys()}
    assert tags["0008|0060"] == "CT"
    assert tags["0008|0016"] == "1.2.840.10008.5.1.4.1.1.2"
    assert (tags["0028|1052"], tags["0028|1053"]) == ("-1024", "1")
    assert tags["0010|0010"] == tags["0010|0020"] == "phantom"
    uids = [sitk.ReadImage(file).GetMetaData("0008|0018") for file in dicom.iterdir()]
    assert len(set(uids)) == len(uids) == 12


# ---- geometry


@pytest.mark.parametrize("code", ["LPS", "RAS", "LAI", "PIR", "SLP"])
def test_any_stored_orientation_gives_the_same_study(tmp_path, study, code):
    upright = write_study(study, tmp_path / "upright")
    turned = {column: tmp_path / f"{column}.nii.gz" for column in upright}
    for column, file in upright.items():
        sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(file), code), turned[column])
    expected, got = (
        read_study({p: f[p] for p in PHASES}, {p: f[f"mask_{p}"] for p in PHASES}) for f in (upright, turned)
    )
    assert got.box == expected.box
    rois = [extract_rois(s, 24, phases=PHASES) for s in (expected, got)]
    np.testing.assert_array_equal(rois[0].hu, rois[1].hu)
    np.testing.assert_array_equal(rois[0].masks["lesion"], rois[1].masks["lesion"])


def test_box_counts_voxels_of_the_upright_picture(tmp_path):
    hu = np.full((6, 10, 12), 80, np.int16)
    hu[4, 2:5, 7:9] = 200  # near the head, the front and the patient's left
    stored = tmp_path / "ras.nii.gz"
    sitk.WriteImage(sitk.DICOMOrient(image(hu), "RAI"), stored)
    study = read_study({"NC": stored, "PV": stored}, box=(4, 5, 2, 5, 7, 9))
    z0, z1, y0, y1, x0, x1 = study.box
    assert (study.volumes["PV"][z0:z1, y0:y1, x0:x1] == 200).all()
    assert (study.volumes["PV"] == 200).sum() == 6
    assert not study.centres
    assert not study.masks


def test_phases_on_other_grids_meet_on_the_reference(tmp_path):
    z, y, x = np.indices((10, 20, 30), dtype=np.float32)
    reference, other = image((40 + z + y + x).astype(np.int16)), image((40 + z + y + x).astype(np.float32))
    other.SetOrigin((1.4, 0.8, 2.5))  # 2 columns, 1 row, 1 slice on: its values are 4 lower at the same place
    sitk.WriteImage(reference, tmp_path / "pv.nii.gz")
    sitk.WriteImage(other[:, :, :5], tmp_path / "nc.nii.gz")
    study = read_study({"NC": tmp_path / "nc.nii.gz", "PV": tmp_path / "pv.nii.gz"}, box=(2, 5, 8, 12, 8, 12))
    difference = study.volumes["PV"] - study.volumes["NC"]
    assert (difference[1:6, 1:, 2:] == 4).all()
    assert (study.volumes["NC"][6:] == -1024).all()  # where it does not reach
    beyond = read_study({"NC": tmp_path / "nc.nii.gz", "PV": tmp_path / "pv.nii.gz"}, box=(6, 9, 8, 12, 8, 12))
    fails("implausible HU in phase NC", extract_rois, beyond, 8, phases=("NC", "PV"))


def test_reference_is_the_last_phase_with_a_mask(tmp_path, study):
    files = write_study(study, tmp_path / "out")
    phases = {p: files[p] for p in PHASES}
    one = read_study(phases, {"ART": files["mask_ART"]})
    assert one.box == mask_box(study.masks["lesion"]["ART"])
    assert not one.centres
    two = read_study(phases, {"NC": files["mask_NC"], "ART": files["mask_ART"]})
    assert two.box == one.box
    assert two.centres["PV"] == two.centres["ART"] != two.centres["NC"]


def test_mask_on_another_grid_and_label_values(tmp_path):
    like = image(np.zeros((6, 20, 20), np.int16))
    labels = np.zeros((6, 10, 10), np.uint8)
    labels[2:4, 3:6, 3:6], labels[2:4, 7:9, 7:9] = 1, 4
    coarse = image(labels, (0.35, 0.4, 0))
    coarse.SetSpacing((1.4, 1.6, 2.5))
    sitk.WriteImage(coarse, tmp_path / "mask.nii.gz")
    found = sitk.GetArrayFromImage(read_mask(tmp_path / "mask.nii.gz", like, 4))
    assert mask_box(found == 1) == (2, 4, 14, 18, 14, 18)
    every = sitk.GetArrayFromImage(read_mask(tmp_path / "mask.nii.gz", like))
    assert mask_box(every == 1) == (2, 4, 6, 18, 6, 18)
    fails("no voxel of value 7 .*holds 0, 1, 4", read_mask, tmp_path / "mask.nii.gz", like, 7)


# ---- values


def test_padding_is_clipped_and_rescaling_applied(tmp_path):
    hu = np.full((4, 6, 6), 55.4, np.float32)
    hu[0], hu[1] = -3024, -2000
    sitk.WriteImage(image(hu), tmp_path / "ct.nii.gz")
    read = read_volume(tmp_path / "ct.nii.gz")
    assert read.GetPixelID() == sitk.sitkInt16
    assert [int(v) for v in sitk.GetArrayFromImage(read)[:, 0, 0]] == [-1024, -1024, 55, 55]

    raw = bytearray(gzip.decompress((tmp_path / "ct.nii.gz").read_bytes()))
    raw[112:120] = np.array([2, -10], "<f4").tobytes()  # scl_slope, scl_inter
    (tmp_path / "scaled.nii").write_bytes(raw)
    scaled = sitk.GetArrayFromImage(read_volume(tmp_path / "scaled.nii"))
    assert [int(v) for v in scaled[:, 0, 0]] == [-1024, -1024, 101, 101]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd"])
def test_nan_is_named(tmp_path, suffix):
    hu = np.zeros((4, 6, 6), np.float32)
    hu[1, 2, 3] = np.nan
    sitk.WriteImage(image(hu), tmp_path / f"ct{suffix}")
    fails("1 voxels are NaN", read_volume, tmp_path / f"ct{suffix}")


# ---- what cannot be read


def test_absent_empty_and_foreign_files(tmp_path):
    fails("nowhere.nii.gz: no such file", read_volume, tmp_path / "nowhere.nii.gz")
    (tmp_path / "empty").mkdir()
    fails("empty: no DICOM image", read_volume, tmp_path / "empty")
    (tmp_path / "text.nii").write_text("not a picture")
    fails(r"text.nii: not readable", read_volume, tmp_path / "text.nii")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_truncated_file(tmp_path, suffix, study):
    whole, half = tmp_path / f"whole{suffix}", tmp_path / f"half{suffix}"
    sitk.WriteImage(image(study.volumes["PV"]), whole)
    read_volume(whole)
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    fails("not readable: truncated", read_volume, half)


def test_not_one_3d_volume(tmp_path, dicom):
    volume = image(np.zeros((4, 6, 6), np.int16))
    sitk.WriteImage(sitk.JoinSeries([volume, volume]), tmp_path / "4d.nii.gz")
    fails("6 x 6 x 4 x 2 .* not 3D", read_volume, tmp_path / "4d.nii.gz")
    sitk.WriteImage(sitk.Compose(volume, volume), tmp_path / "vector.nrrd")
    fails("2 values a voxel", read_volume, tmp_path / "vector.nrrd")
    fails("one slice only", read_volume, dicom / "0001.dcm")


def test_dicom_order_of_names_does_not_matter(dicom, study):
    for number, file in enumerate(sorted(dicom.iterdir())):
        file.rename(dicom / f"IM{number * 7 % 12}")
    hu = sitk.GetArrayFromImage(read_volume(dicom))
    assert np.abs(hu - study.volumes["PV"]).max() <= 1


def test_dicom_missing_slice(dicom, capfd):
    (dicom / "0005.dcm").unlink()
    message = fails("5 mm between slices 4 and 5 of 11, else 2.5 mm", read_volume, dicom)
    assert "copy the series again" in message
    assert capfd.readouterr() == ("", "")  # ITK's own warning stays off the terminal


@pytest.mark.parametrize("number", [1, 6, 12])
def test_dicom_truncated_slice(dicom, number):
    file = dicom / f"{number:04d}.dcm"
    file.write_bytes(file.read_bytes()[:-500])
    fails("1 DICOM files beside its 11 slices are no whole images", read_volume, dicom)


def test_dicom_two_series_in_a_folder(tmp_path, study):
    files = write_study(study, tmp_path / "out", "dicom")
    for file in sorted(files["ART"].iterdir())[:5]:
        shutil.copy(file, files["PV"] / f"art_{file.name}")
    message = fails("2 DICOM series, of (5 and 12|12 and 5) slices", read_volume, files["PV"])
    assert "2.25." not in message


def test_dicom_two_slices_at_one_position(dicom):
    shutil.copy(dicom / "0004.dcm", dicom / "again.dcm")
    read_volume(dicom)  # an identical copy is left out
    shutil.copy(dicom / "0005.dcm", dicom / "again.dcm")
    edit_slice(dicom / "again.dcm", _00200032="0\\0\\7.5")
    fails("two slices at one position", read_volume, dicom)


def test_dicom_localizer_and_gantry_tilt(tmp_path, study):
    files = write_study(study, tmp_path / "out", "dicom")
    edit_slice(files["NC"] / "0001.dcm", _00200037="0\\1\\0\\0\\0\\-1")
    fails("differ in orientation", read_volume, files["NC"])
    for z, file in enumerate(sorted(files["PV"].iterdir())):
        edit_slice(file, _00200032=f"0\\{z * 0.5}\\{z * 2.5}")
    fails("gantry tilted by 11.3 degrees", read_volume, files["PV"])


def test_other_modalities_are_refused(dicom):
    like = read_volume(dicom)
    for file in dicom.iterdir():
        edit_slice(file, _00080060="MR", _00080016="1.2.840.10008.5.1.4.1.1.4", _00281052="0")
    fails("modality MR is not CT", read_volume, dicom)
    for file in dicom.iterdir():
        edit_slice(file, _00080060="SEG")
    fails("convert it to a NIfTI mask", read_mask, dicom, like)


def test_masks_that_miss(tmp_path):
    like = image(np.zeros((6, 20, 20), np.int16))
    sitk.WriteImage(image(np.zeros((6, 20, 20), np.uint8)), tmp_path / "empty.nii.gz")
    fails("the mask is empty", read_mask, tmp_path / "empty.nii.gz", like)
    sitk.WriteImage(image(np.ones((6, 20, 20), np.uint8), (500, 0, 0)), tmp_path / "away.nii.gz")
    fails("only 0 of the mask's 3360 mm3", read_mask, tmp_path / "away.nii.gz", like)


def test_study_arguments(tmp_path, study):
    files = write_study(study, tmp_path / "out")
    phases = {p: files[p] for p in PHASES}
    fails("either a mask of the lesion or a box", read_study, phases)
    fails("either a mask", read_study, phases, files["mask_PV"], (0, 1, 0, 1, 0, 1))
    fails("phase VENOUS", read_study, {"VENOUS": files["PV"]}, files["mask_PV"])
    fails("phase DL: give a volume", read_study, phases, {"DL": files["mask_PV"]})
    fails(r"phase \(none\)", read_study, {}, files["mask_PV"])
    for box in [(4, 13, 0, 5, 0, 5), (4, 4, 0, 5, 0, 5), (-1, 4, 0, 5, 0, 5), (0, 1, 0, 1)]:
        fails("within z 0:12, y 0:40, x 0:44", read_study, phases, box=box)


# ---- the manifest


def write_manifest(folder: Path, rows: list[dict], name: str = "cohort.csv") -> Path:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [",".join(columns)]
    lines += [",".join(f'"{row.get(column, "")}"' for column in columns) for row in rows]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return folder / name


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A folder for each of four patients, with names as they are found in life."""
    folder = tmp_path_factory.mktemp("scans")
    for i, name in enumerate(["Meier^Anna", "Weiß^Bo", "00471103", "Lund^Cy"]):
        write_study(liver_study(), folder / name, ("nifti", "dicom")[i % 2])
    return folder


@pytest.fixture
def cohort(tmp_path, scans):
    """Rows of eight lesions of the four patients, two each."""
    rows = []
    for patient in scans.iterdir():
        (tmp_path / patient.name).symlink_to(patient)
        files = {f.name.removesuffix(".nii.gz"): f"{patient.name}/{f.name}" for f in patient.iterdir()}
        rows += [{"patient": patient.name, "label": label, **files} for label in ("HCC", "CYST")]
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
    assert "lesions: 100%" in shown
    assert "WARNING" not in shown
    assert not NAMES.search(stored + shown)
    assert len(LesionSet.load(tmp_path / "lesions.safetensors")) == len(lesions)


def read_study_of(folder: Path, row: dict) -> Study:
    return read_study({p: folder / row[p] for p in PHASES}, {p: folder / row[f"mask_{p}"] for p in PHASES})


def test_import_with_boxes_groups_and_two_phases(tmp_path, cohort):
    rows = [
        {
            "patient": row["patient"],
            "label": row["label"],
            "ART": row["ART"],
            "PV": row["PV"],
            "group": 7 - i // 2,
        }
        | {"box": "5:9, 14:27, 13:26"}
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


MISTAKES = {  # what a row can have wrong, by what the message says; row 6 is the fifth lesion
    "row 6: label 'hcc' is not in the classes CYST, FNH, HCC, HEM": broken("label", "hcc"),
    "row 6: patient is empty": broken("patient", " "),
    "row 6: phase ART is missing; every lesion needs NC, ART, PV": broken("ART", ""),
    "row 6: ART: no such file": broken("ART", "00471103/gone.nii.gz"),
    "row 6: mask_NC: no such file": broken("mask_NC", "00471103/gone.nii.gz"),
    "row 6: give a mask or a box": broken("box", "5:9,14:27,13:26"),
    "row 6: mask_value 'two' is not a whole number": broken("mask_value", "two"),
    "row 6: mask of NC: the mask is empty, no voxel of value 3": broken("mask_value", "3"),
    "row 6: NC: not readable": broken("NC", "broken.nii.gz"),
    "row 6: mask of NC: not readable": broken("mask_NC", "broken.nii.gz"),
    "row 1: column 'Portal'; use each once of patient": broken("Portal", "x"),
    "row 2: group '' is not a whole number": broken("group", "2"),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_name_the_row_and_no_patient(tmp_path, cohort, words, capfd):
    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8b no gzip")
    MISTAKES[words](cohort)
    manifest = write_manifest(tmp_path, cohort)
    with pytest.raises(InputError) as caught:
        import_studies(manifest, 24, n_groups=2)
    message = str(caught.value)
    assert re.search(re.escape(words), message)
    assert message.startswith(str(manifest))
    assert not NAMES.search(message + "".join(capfd.readouterr()))
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_files_are_looked_for_before_any_is_read(tmp_path, cohort, monkeypatch):
    cohort[-1]["PV"] = "gone.nii.gz"
    monkeypatch.setattr("livervlm.studies.manifest.read_study", lambda *_: pytest.fail("a volume was read"))
    fails("row 9: PV: no such file", import_studies, write_manifest(tmp_path, cohort), 24)


def test_manifest_as_a_whole(tmp_path, cohort):
    fails("no such file", import_studies, tmp_path / "nowhere.csv", 24)
    text = tmp_path / "table.csv"
    for content, words in {
        b"": "row 1: no header",
        b"Meier^Anna;HCC;a.nii": "row 1: no header",
        b"patient,label,PV\n": "at least two phases",
        b"patient,label,PV,ART,PV\n": "column 'PV'",
        b"patient,label,ART,PV,box\n": "no rows",
        b"patient,label,ART,PV,box\nA,HCC,a,b,1:2,3:4,5:6\n": "row 2: more cells than columns",
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


def test_without_simpleitk_the_error_says_what_to_install(monkeypatch):
    for name in [n for n in sys.modules if n.startswith("livervlm.studies")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(InputError, match=re.escape("pip install 'livervlm[studies]'")):
        import livervlm.studies.files  # noqa: F401


# ---- a real CT


@real
def test_real_dicom_has_a_liver_of_portal_venous_hu(capfd):
    ct = read_volume(REAL / "example_ct_dicom")
    assert ct.GetSize() == (512, 512, 20)
    assert ct.GetSpacing() == pytest.approx((0.9765625, 0.9765625, 2))
    liver = sitk.GetArrayFromImage(read_mask(REAL / "example_seg_dicom.nii.gz", ct, LIVER)) == 1
    hu = sitk.GetArrayFromImage(ct)[liver]
    assert np.median(hu) == pytest.approx(93, abs=15)
    assert capfd.readouterr() == ("", "")


@real
def test_real_nifti_is_turned_upright_and_clipped():
    ct = read_volume(REAL / "example_ct.nii.gz")
    hu = sitk.GetArrayFromImage(ct)
    assert hu.min() == -1024
    assert ct.GetDirection() == pytest.approx(np.eye(3).ravel())
    assert hu[:, :30].mean() != pytest.approx(hu[:, -30:].mean())


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
    fails("NC and ART show the same acquisition", import_studies, write_manifest(tmp_path, rows), 32, progress=False)
    lesions = import_studies(write_manifest(tmp_path, rows), 32, progress=False, accept_doubts=True)
    assert lesions.hu.shape == (4, 3, 32, 32)
    assert 0 < np.median(lesions.hu) < 200
    np.testing.assert_array_equal(lesions.hu[:, 0], lesions.hu[:, 2])
