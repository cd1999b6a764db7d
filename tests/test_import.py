"""An import that goes on: scans read once, in parallel, kept between runs; reports, keys, nothing overwritten."""

import json
import os
import re
import signal
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from joblib.externals.loky import get_reusable_executor
from safetensors.numpy import save_file

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")

from conftest import small_disk  # noqa: E402  after the skip
from small_scans import PHASES, fails, image  # noqa: E402  after the skip

from livervlm import cli  # noqa: E402
from livervlm.base.paths import written_whole  # noqa: E402
from livervlm.scans.lesions import LesionSet  # noqa: E402
from livervlm.studies import cutting, manifest  # noqa: E402
from livervlm.studies.manifest import ImportReport, import_studies  # noqa: E402
from livervlm.studies.table import listed  # noqa: E402

LABELS = ("HCC", "CYST", "HEM", "HCC")


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Four patients in three phases of their own noise, with three lesions each in one mask, labelled 1, 2, 3."""
    folder = tmp_path_factory.mktemp("scans")
    z, y, x = np.indices((12, 40, 44))
    middles = enumerate([(10, 12), (10, 30), (28, 20)], start=1)
    labels = sum(i * (((z - 5) / 2.5) ** 2 + ((y - a) / 8) ** 2 + ((x - b) / 7) ** 2 <= 1) for i, (a, b) in middles)
    for number in range(4):
        rng = np.random.default_rng(number)
        home = folder / f"Meier_{number}"
        home.mkdir()
        for i, phase in enumerate(PHASES):
            hu = 60 + 25 * i + rng.normal(0, 8, labels.shape) - 40 * (labels > 0)
            sitk.WriteImage(image(hu.astype(np.int16)), home / f"{phase}.nii.gz")
        sitk.WriteImage(image(labels.astype(np.uint8)), home / "mask.nii.gz")
    return folder


@pytest.fixture
def rows(scans):
    """A row for each of the twelve lesions."""
    return [
        {"patient": f"Meier {n}", "label": LABELS[n], "group": 1 + n % 2, "mask_value": value}
        | {p: f"Meier_{n}/{p}.nii.gz" for p in PHASES}
        | {"mask": f"Meier_{n}/mask.nii.gz"}
        for n in range(4)
        for value in (1, 2, 3)
    ]


@pytest.fixture
def here(tmp_path, scans, monkeypatch, empty_cache):
    """A working folder of its own that has the scans."""
    for patient in scans.iterdir():
        (tmp_path / patient.name).symlink_to(patient)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def reads(monkeypatch):
    """Which volumes are read, one after the other in this process."""
    import joblib

    done = []

    def read_volume(path, **more):
        done.append(str(path))
        return real(path, **more)

    real = cutting.read_volume
    monkeypatch.setattr(cutting, "read_volume", read_volume)
    with joblib.parallel_config("sequential"):
        yield done


def write(rows, name="t.csv") -> Path:
    pd.DataFrame(rows).to_csv(name, index=False)
    return Path(name)


def run(line: str) -> int:
    return cli.main(line.split())


def files(folder=".") -> dict[str, bytes]:
    """All but the cache."""
    found = (path for path in Path(folder).rglob("*") if path.is_file() and "own-cache" not in path.parts)
    return {str(path): path.read_bytes() for path in found}


# ---- reading


def test_processes_make_the_same_set_as_one(here, rows, monkeypatch):
    table = write(rows[:9:3])
    monkeypatch.setenv("LIVERVLM_CACHE", str(here / "own-cache" / "a"))
    import_studies(table, 16, progress=False, jobs=1).save("one.safetensors")
    monkeypatch.setenv("LIVERVLM_CACHE", str(here / "own-cache" / "b"))
    import_studies(table, 16, progress=False, jobs=2).save("two.safetensors")
    one, two = (LesionSet.load(name) for name in ("one.safetensors", "two.safetensors"))
    assert one.arrays().keys() == two.arrays().keys()
    for name, array in one.arrays().items():
        assert array.tobytes() == two.arrays()[name].tobytes(), name
    assert one.source == two.source
    assert len(list(here.glob("own-cache/b/studies/*.safetensors"))) == 3


def test_a_scan_is_read_once_however_many_lesions_it_has(here, rows, reads):
    lesions = import_studies(write(rows), 16, progress=False)
    assert len(reads) == len(set(reads)) == 4 * 3
    assert len(np.unique(lesions.lesion)) == 12
    one = import_studies(write(rows[4:5], "one.csv"), 16, progress=False)
    np.testing.assert_array_equal(one.hu, lesions.hu[lesions.lesion == 5])
    np.testing.assert_array_equal(one.masks, lesions.masks[lesions.lesion == 5])


def test_an_interrupted_import_goes_on_where_it_stopped(here, rows, reads, monkeypatch, capsys):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    write(rows)
    before, real, calls = files(), manifest.cut_lesions, []

    def stop(*of):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*of)

    monkeypatch.setattr(manifest, "cut_lesions", stop)
    assert run("import t.csv --out mine.safetensors --size 16") == 130
    assert "interrupted; the same command goes on" in capsys.readouterr().err
    assert files() == before
    assert len(reads) == 2 * 3
    assert run("import t.csv --out mine.safetensors --size 16") == 0
    assert len(reads) == 4 * 3
    shown = capsys.readouterr().err
    assert "2/4" in shown.splitlines()[0]  # what is kept is done already
    assert "/s" in shown.splitlines()[-1] or "s/it" in shown.splitlines()[-1]
    assert run("import t.csv --out mine.safetensors --size 16") == 0
    assert len(reads) == 4 * 3


def test_what_is_kept_is_used_as_long_as_nothing_changed(here, rows, reads):
    def again(rows, size=16, **more) -> int:
        reads.clear()
        import_studies(write(rows), size, progress=False, report=ImportReport(), **more)
        return len(reads)

    few = rows[:6]
    assert again(few) == 6
    assert again([{**row, "patient": "x" + row["patient"], "label": "FNH"} for row in few]) == 0
    assert again(few, size=24) == 6
    assert again(few, phases=("ART", "PV")) == 4
    os.utime("Meier_0/ART.nii.gz")
    assert again(few) == 3
    assert again([{**few[0], "mask_value": 2}, *few[3:]]) == 3
    names = [path.name for path in here.glob("own-cache/studies/*") if path.name != "salt"]
    assert all(set(name.removesuffix(".safetensors")) <= set("0123456789abcdef") for name in names)


def test_a_damaged_kept_file_is_made_anew(here, rows, reads):
    whole = import_studies(write(rows[:3]), 16, progress=False)
    (kept,) = here.glob("own-cache/studies/*.safetensors")
    kept.write_bytes(kept.read_bytes()[:100])
    again = import_studies(write(rows[:3]), 16, progress=False)
    np.testing.assert_array_equal(whole.hu, again.hu)
    assert len(reads) == 6


# ---- what fails


def test_a_bad_study_costs_itself_alone_and_all_faults_are_told_at_once(here, rows, reads, capsys):
    Path("broken.nii.gz").write_bytes(b"\x1f\x8b no gzip")
    Path("empty.nii.gz").write_bytes(b"")
    for row in rows[:3]:
        row.update(NC="broken.nii.gz", PV="empty.nii.gz")
    rows[4]["mask_value"] = 7
    rows[8]["ART"] = ""
    write(rows)
    assert run("import t.csv --out mine.safetensors --size 16") == 0
    said = capsys.readouterr().out
    assert "2 of 5 studies left out (5 of 12 rows). See mine.report.html" in said  # row 10 names other files
    assert "rows 2-4: left out: NC: not readable" in said
    assert "rows 2-4: left out: PV: not readable" in said
    assert "row 6: left out: mask of PV: the mask is empty, no voxel of value 7" in said
    assert "row 10: left out: phase ART is missing" in said
    report = json.loads(Path("mine.report.json").read_text())
    assert [fault["row"] for fault in report["faults"]] == [2, 2, 3, 3, 4, 4, 6, 10]
    assert {fault["column"] for fault in report["faults"]} == {"NC", "PV", "mask_PV", "ART"}
    lesions = LesionSet.load("mine.safetensors")
    assert set(lesions.patient) == {2, 3, 4}  # numbers of the table, whoever is left out
    reads.clear()
    assert run("import t.csv --out mine.safetensors --size 16") == 0
    again = {Path(path).parent.name for path in reads}
    assert again == {"Meier_0", "Meier_1", here.name}  # what failed is tried again


def test_nothing_left_is_an_error_with_all_that_was_wrong(here, rows, reads):
    for row in rows:
        row["PV"] = row["PV"].replace("PV", "gone")
    words = "t.csv: no lesion is left: rows 2-13: PV: no such file"
    assert len(fails(words, import_studies, write(rows), 16)) < 200
    assert not reads


def test_an_error_of_our_own_is_a_fault_without_its_text(here, rows, reads, monkeypatch):
    def broken(*_, **__):
        raise KeyError("Meier")

    monkeypatch.setattr(cutting, "lesion_picture", broken)
    message = fails("reading failed with KeyError", import_studies, write(rows[:1]), 16)
    assert "Meier" not in message


def test_a_full_disk_is_one_line_and_leaves_nothing(here, rows, reads, capsys):
    write(rows)
    assert run("import t.csv --out whole.safetensors --size 32") == 0
    before = files()
    capsys.readouterr()
    for most, size in ((400_000, 32), (10_000, 16)):  # the set is too large, then what is kept of a scan
        with small_disk(most):
            assert run(f"import t.csv --out mine.safetensors --size {size}") == 2
    ended = capsys.readouterr()
    one, other = (line for line in ended.err.splitlines() if "%|" not in line)
    assert one == "livervlm: error: [Errno 27] File too large: 'mine.safetensors'"
    assert re.fullmatch(r"livervlm: error: \[Errno 27\] File too large: '.*/studies/[0-9a-f]{32}.safetensors'", other)
    assert ended.out == ""
    assert files() == before
    assert not list(here.glob("**/.*part")) + list(here.glob("**/.tmp*"))


def test_a_safetensors_error_of_writing_is_an_error_of_the_system(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"No such file.*a\.safetensors"),
        written_whole(tmp_path / "a.safetensors"),
    ):
        save_file({"a": np.zeros(3)}, tmp_path / "nowhere" / "a")


# ---- what stands beside the set


def test_the_report_the_key_and_the_page(here, rows, reads, page):
    rows.append({**rows[0], "patient": "Meier 1", "note": 'a "mask", of <Meier>'})
    rows[-1] |= {p: f"Meier_1/{p}.nii.gz" for p in PHASES} | {"mask": "", "mask_value": "", "box": "4:7,3:18,6:19"}
    rows[-1] |= {"label": "CYST", "group": 2}
    write(rows)
    assert run("import t.csv --out mine.safetensors --size 16") == 0
    lesions = LesionSet.load("mine.safetensors")
    report = json.loads(Path("mine.report.json").read_text())
    assert report["set"]["fingerprint"] == lesions.fingerprint()
    assert (report["rows"], report["rows_left_out"], report["scans"], report["scans_left_out"]) == (13, 0, 4, 0)
    assert report["notes"] == [
        "columns that are not used: 9",
        "the set has no masks: rows 2-13 gave one, but row 14 a box",
    ]
    assert [one["row"] for one in report["lesions"]] == list(range(2, 15))
    for one in report["lesions"]:
        first, last = one["slices"]
        assert set(lesions.lesion[first : last + 1]) == {one["lesion"]}
        assert set(lesions.patient[first : last + 1]) == {one["patient"]}
        assert {lesions.classes[i] for i in lesions.label[first : last + 1]} == {one["label"]}
        assert one["read"][0] == "NC: 12 slices of 40 x 44, voxels of 2.5 x 0.8 x 0.7 mm"
    assert any("the box is in voxels of PV" in line for line in report["lesions"][-1]["assumed"])

    key = pd.read_csv("mine.key.csv")
    assert key.columns.tolist() == ["slice", "lesion", "patient", "row"]
    table = pd.DataFrame(rows)
    assert key["slice"].tolist() == list(range(len(lesions)))
    assert [table.patient[row - 2] for row in key["row"]] == [f"Meier {n - 1}" for n in lesions.patient]

    text = Path("mine.report.html").read_text()
    page.set_content(text)
    pictures = page.locator("img")
    assert pictures.count() == 13
    shown = pictures.first.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert shown[0] == 3 * shown[1]
    assert "row 14: lesion 13, patient 2, CYST" in page.inner_text("body")
    assert "not for diagnosis" in page.inner_text("body")
    for name, content in files().items():
        if name.startswith("mine"):
            assert b"Meier" not in content, name


def test_the_picture_shows_the_contour_where_the_lesion_is(here, rows, reads):
    """Yellow pixels lie around the middle, at the radius that the lesion has on the grid."""

    from matplotlib.image import imread

    report = ImportReport()
    import_studies(write(rows[:1]), 16, progress=False, report=report)
    shown = imread(BytesIO(report.lesions[0].picture), format="jpeg").astype(int)
    side = shown.shape[0]
    for panel in np.split(shown, 3, axis=1):
        y, x = np.nonzero(panel[..., 0] - panel[..., 2] > 100)
        offsets = [
            40 * 0.8 / side * (of - (side - 1) / 2) for of in (y, x)
        ]  # mm from the middle; all that was scanned is shown
        assert np.ptp(offsets[0]) == pytest.approx(2 * 8 * 0.8, rel=0.1)
        assert np.ptp(offsets[1]) == pytest.approx(2 * 7 * 0.7, rel=0.1)
        assert np.abs([of.mean() for of in offsets]).max() < 1


@pytest.mark.parametrize(
    "out",
    [
        "t.csv/new.safetensors",
        "t.csv",
        "Meier_0/PV.nii.gz",
        "Meier_0/mask.nii.gz",
        "Meier_0",
        "notes.safetensors",
        "other.safetensors",
    ],
)
def test_nothing_but_a_set_is_overwritten(here, rows, reads, out, capsys):
    write(rows)
    Path("notes.safetensors").write_text("mine")
    Path("other.key.csv").write_text("my own keys")
    before = files()
    assert run(f"import t.csv --out {out} --size 16") == 2
    err = capsys.readouterr().err
    assert err.startswith("livervlm: error: ")
    assert err.count("\n") == 1
    assert "already there" in err or "not a folder that can be written to" in err
    assert files() == before
    assert not reads
    write(rows[:3], "few.csv")
    for table in ("few.csv", "t.csv"):  # a set may be made anew, with what stands beside it
        assert run(f"import {table} --out set.safetensors --size 16") == 0
    assert len(pd.read_csv("set.key.csv")) == len(LesionSet.load("set.safetensors"))


@pytest.mark.usefixtures("tiny_encoder", "quick")
def test_predict_leads_back_to_the_rows(here, rows, reads, capsys):
    write([row for row in rows if row["mask_value"] != 2])
    assert run("import t.csv --out mine.safetensors --size 16") == 0
    assert run("train mine.safetensors --out model --head fc") == 0
    assert run("predict model mine.safetensors --out answers.csv") == 0
    lesions, answers = LesionSet.load("mine.safetensors"), pd.read_csv("answers.csv")
    assert answers.columns[:5].tolist() == ["slice", "lesion", "patient", "row", "answer"]
    assert answers["lesion"].tolist() == lesions.lesion.tolist()
    assert answers["row"].tolist() == pd.read_csv("mine.key.csv")["row"].tolist()
    before = files()
    write(rows[:9], "other.csv")
    assert run("import other.csv --out other.safetensors --size 16") == 0
    os.replace("other.key.csv", "mine.key.csv")
    assert run("predict model mine.safetensors --out answers.csv") == 2
    assert "mine.key.csv: not the key of this set" in capsys.readouterr().err
    assert files()["answers.csv"] == before["answers.csv"]
    os.remove("mine.key.csv")
    assert run("predict model mine.safetensors --out answers.csv") == 0
    assert "row" not in pd.read_csv("answers.csv").columns


# ---- what a row says of its files


def test_the_reference_is_what_the_row_says(here, rows, reads):
    studies = []
    for reference in ("NC", "PV"):
        row = {**rows[0], "mask": "", "mask_value": "", "box": "4:7,3:18,6:19", "reference": reference}
        report = ImportReport()
        import_studies(write([row]), 16, progress=False, report=report)
        studies.append(report.lesions[0].said)
    assert [said.reference for said in studies] == ["NC", "PV"]
    assert "the box is in voxels of NC" in studies[0].assumed[0]


def test_paths_that_are_none_are_not_there(here, rows, reads):
    rows[0]["PV"] = "Meier" * 2000
    rows[3]["mask"] = "Meier\0"
    report = ImportReport()
    import_studies(write([rows[0], rows[3], rows[6]]), 16, progress=False, report=report)
    assert [fault.row for fault in report.faults] == [2, 3]
    assert "Meier" not in listed(report.faults)


def test_the_terminals_interrupt_reaches_one_process_only(here, rows):
    before = signal.getsignal(signal.SIGINT)
    import_studies(write(rows[:6]), 16, progress=False, jobs=2)
    workers = get_reusable_executor(reuse=True)  # those of the import
    assert [workers.submit(signal.getsignal, signal.SIGINT).result() for _ in range(4)] == [signal.SIG_IGN] * 4
    assert signal.getsignal(signal.SIGINT) == before
