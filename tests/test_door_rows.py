"""Rows of a table against each other: the same scan, patient or lesion twice, under one name or two."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from door_files import edit, fails, pydicom
from door_scans import TIMES, table
from safetensors import safe_open

from livervlm import cli
from livervlm.studies.identities import cache_salt
from livervlm.studies.manifest import ImportReport, import_studies

pytestmark = pytest.mark.usefixtures("one_process")
pytest_plugins = ["door_scans"]


def rows_of(folder, *rows):
    """A table of several rows, each the one of `table` but for some cells."""
    whole = [pd.read_csv(table(folder, **cells), dtype=str) for cells in rows]
    pd.concat(whole).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def another(folder, name, seed, **tags):
    """The same study in a folder of its own: with seed None the same voxels, else others; and cells for its row."""
    for i, phase in enumerate(TIMES):
        shutil.copytree(folder / phase, folder / name / phase)
        own = {"SeriesInstanceUID": f"1.5.{seed}.{i}", "StudyInstanceUID": f"1.6.{seed}", **tags}
        for file in (folder / name / phase).iterdir():
            made = pydicom.dcmread(file)
            edit(made, **own)
            if seed is not None:
                noise = np.random.default_rng((seed, i, made.InstanceNumber)).integers(-9, 10, made.pixel_array.shape)
                made.PixelData = (made.pixel_array + noise).astype(np.uint16).tobytes()
            made.save_as(file)
    return {p: f"{name}/{p}" for p in TIMES}


@pytest.fixture
def numbered_slices(scans):
    for phase in TIMES:
        for n, file in enumerate(sorted((scans / phase).iterdir())):
            made = pydicom.dcmread(file)
            made.InstanceNumber = n
            made.save_as(file)
    return scans


@pytest.mark.parametrize("group", [1, 2])
def test_a_copied_scan_is_known_again_by_its_voxels(numbered_slices, group):
    scans = numbered_slices
    copied = another(scans, "other", None, PatientID="P2", FrameOfReferenceUID="1.7")
    both = rows_of(scans, {}, {"patient": "b", "label": "CYST", "group": group, **copied})
    words = (
        "row 2: NC is the scan of row 3, voxel for voxel, which is another patient's; row 3: NC is the scan of row 2"
    )
    fails(words, import_studies, both, 16, progress=False)
    fails(words, import_studies, both, 16, progress=False, accept_doubts=True)


IDENTITIES = {
    "patient: NC has the PatientID of row 3, which is another patient's": ({"PatientID": "P1"}, {"patient": "b"}),
    "NC: by its header it is the series of row 3, which is another": (
        {"PatientID": "P2", "SeriesInstanceUID": "1.2.0"},
        {"patient": "b"},
    ),
    "patient: its PatientID is not that of row 3, the same patient": ({"PatientID": "P2"}, {"patient": "a"}),
}


@pytest.mark.parametrize("words", IDENTITIES)
def test_rows_whose_headers_name_other_patients_than_the_table(numbered_slices, words, capsys, empty_cache):
    scans, (tags, cells) = numbered_slices, IDENTITIES[words]
    both = rows_of(scans, {}, {**cells, **another(scans, "other", 1, **tags)})
    for _ in range(2):  # the second time from what is kept
        message = fails(f"row 2: {words}", import_studies, both, 16, progress=False)
        assert "P1" not in message.replace(str(scans), "")
    for file in empty_cache.rglob("*.safetensors"):
        with safe_open(file, framework="np") as kept:
            text = kept.metadata()["cuts"]
        assert '"series": {"NC": "' in text
        assert not re.search(r"P1|P2|1\.2\.0|1\.5\.1", text)
    assert cli.main(["import", str(both), "--out", str(scans / "o.st"), "--size", "16", "--accept-doubts"]) == 0
    assert f"row 2: doubt: {words}" in capsys.readouterr().out


def test_an_identifier_that_everybody_has_names_nobody(numbered_slices):
    scans = numbered_slices
    more = [{"patient": n, **another(scans, str(n), n)} for n in (1, 2)]
    report = ImportReport()
    import_studies(rows_of(scans, {}, *more), 16, progress=False, report=report)
    assert report.notes == ["3 patients have one PatientID: taken to name nobody"]
    assert not report.faults


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({}, {"mask": "copy.nii.gz", "label": "CYST"}, "row 2: label: HCC, but CYST in row 3, at the same place"),
        ({}, {"mask": "copy.nii.gz"}, "row 2: the lesion of row 3 again, at the same place of the same scan"),
        (
            {"mask": "", "box": "3:8,11:26,15:28"},
            {"mask": "", "box": "3:8,11:26,15:29", "label": "CYST"},
            "row 2: label: HCC, but CYST in row 3.* row 3: label: CYST, but HCC in row 2",
        ),
    ],
)
def test_one_lesion_twice(scans, first, second, words):
    shutil.copy(scans / "mask.nii.gz", scans / "copy.nii.gz")
    fails(words, import_studies, rows_of(scans, first, second), 16, progress=False)


def test_lesions_beside_each_other_are_two(scans):
    boxes = [
        {"mask": "", "box": box, "label": label}
        for box, label in (("3:8,11:26,15:28", "HCC"), ("3:8,20:35,20:33", "CYST"))
    ]
    assert len(import_studies(rows_of(scans, *boxes), 16, progress=False)) == 10


@pytest.mark.parametrize(("one", "other"), [("01", "1"), ("case 7", "Case 007"), ("Meier", "meier ")])
def test_patients_that_look_alike(numbered_slices, one, other):
    scans = numbered_slices
    both = rows_of(scans, {"patient": one}, {"patient": other, **another(scans, "other", 1, PatientID="P2")})
    words = "row 3: patient: other than in row 2 only by blanks, capitals or zeros before a number: write both alike"
    report = ImportReport()
    import_studies(both, 16, progress=False, report=report)
    (fault,) = report.faults
    assert (fault.row, fault.column) == (3, "patient")
    assert fault.message.startswith(words.removeprefix("row 3: "))


def test_a_salt_that_is_cut_short_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("LIVERVLM_CACHE", str(tmp_path))
    first = cache_salt()
    assert cache_salt() == first
    (tmp_path / "studies" / "salt").write_bytes(b"")
    assert len(cache_salt()) == len(first)
    assert cache_salt() != first
