"""`livervlm scan`: trees of DICOM become a table that `import_studies` reads, and nobody is named."""

import os
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from door_files import header, pydicom, write
from small_trees import PHASES, cells, dicom, mask, noise, scan, shown, volume
from test_door_masks import contours, item, segmentation
from test_door_private import LESION, SECRET, plant

from livervlm import cli
from livervlm.studies.manifest import import_studies
from livervlm.studies.segmentations import SEGMENTATIONS
from livervlm.studies.volumes import read_volume

REAL = Path(__file__).parents[2] / "shared" / "realdata"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real files of shared/realdata are not beside this checkout")


def test_a_folder_for_each_series(tmp_path, capfd):
    for p in ("pat1", "pat2"):
        for phase in PHASES:
            dicom(tmp_path / "tree" / p / phase, p, phase)
        segmentation(tmp_path / "tree" / p / "seg.dcm", [LESION], names=("Tumour",), PatientID=p,
                     ReferencedSeriesSequence=[item(SeriesInstanceUID=f"1.2.{p[-1]}.1.0")])  # fmt: skip
    table, said = scan(tmp_path, capfd)
    assert list(table) == ["patient", "study", "label", *PHASES, "mask_ART", "doubts"]
    assert cells(table, *PHASES, "mask_ART", "label", "doubts") == [
        (*(f"tree/{p}/{phase}" for phase in PHASES), f"tree/{p}/seg.dcm", "", "") for p in ("pat1", "pat2")
    ]
    assert table["patient"].nunique() == 2
    assert "2 patients, 2 studies, 2 rows" in said
    assert "Segmentation" not in said  # they are in the table


def test_keys_hang_on_the_salt_alone(tmp_path, capfd):
    for p in ("pat1", "pat2"):
        dicom(tmp_path / "tree" / p, p, "PV")
    keys = [set(scan(tmp_path, capfd, out=name)[0]["patient"]) for name in ("a.csv", "b.csv")]
    assert keys[0] == keys[1]
    assert all(re.fullmatch("p[0-9a-f]{10}", key) for key in keys[0])
    assert (tmp_path / "scan.salt").stat().st_mode & 0o077 == 0
    (tmp_path / "scan.salt").unlink()
    assert not keys[0] & set(scan(tmp_path, capfd, out="c.csv")[0]["patient"])
    (tmp_path / "scan.salt").write_text("no salt")
    _, said = scan(tmp_path, capfd, out="d.csv", status=2)
    assert "scan.salt: not the salt" in said
    assert not (tmp_path / "d.csv").exists()


def test_two_studies_of_a_patient_are_numbered_by_their_day(tmp_path, capfd):
    for folder, study, day in (("a", "1.9", "20210505"), ("b", "1.8", "20200101"), ("c", "1.7", "20210505")):
        for phase in ("ART", "PV"):
            dicom(tmp_path / "tree" / folder / phase, "pat1", phase, study, ord(folder), StudyDate=day)
    table, said = scan(tmp_path, capfd)
    assert table["patient"].nunique() == 1
    assert cells(table, "study", "PV") == [("1", "tree/b/PV"), ("2", "tree/a/PV"), ("3", "tree/c/PV")]
    assert "1 patients, 3 studies" in said


def test_several_series_in_one_folder_are_named_by_number(tmp_path, capfd):
    for phase in reversed(PHASES):
        dicom(tmp_path / phase, "pat1", phase, SeriesNumber=2 + PHASES.index(phase))
        for file in (tmp_path / phase).iterdir():
            (tmp_path / "tree").mkdir(exist_ok=True)
            file.rename(tmp_path / "tree" / f"{phase}_{file.name}")
    table, _ = scan(tmp_path, capfd)
    assert cells(table, *PHASES) == [("tree#1", "tree#2", "tree#3")]
    for n, phase in enumerate(PHASES, start=1):
        found = sitk.GetArrayFromImage(read_volume(tmp_path / f"tree#{n}"))
        assert np.array_equal(found, shown("pat1", phase))


def test_series_in_a_folder_and_below_it_are_told_and_not_placed(tmp_path, capfd):
    for phase, folder in zip(PHASES, ("tree", "tree", "tree/below"), strict=True):
        dicom(tmp_path / phase, "pat1", phase, SeriesNumber=2 + PHASES.index(phase))
        (tmp_path / folder).mkdir(exist_ok=True)
        for file in (tmp_path / phase).iterdir():
            file.rename(tmp_path / folder / f"{phase}_{file.name}")
    table, said = scan(tmp_path, capfd)
    assert cells(table, "NC", "ART", "PV", "unplaced") == [("", "", "tree/below", "tree")]
    assert "row 2: a folder holds several series: give each a folder" in said
    assert all(f"series {n}, 12 slices of 2.5 mm" in table["doubts"][0] for n in (2, 3))


def test_a_series_that_an_export_spread_over_folders_is_one(tmp_path, capfd):
    for phase in ("ART", "PV"):
        dicom(tmp_path / "tree" / phase / "0", "pat1", phase)
        (tmp_path / "tree" / phase / "1").mkdir()
        for file in sorted((tmp_path / "tree" / phase / "0").iterdir())[7:]:
            file.rename(tmp_path / "tree" / phase / "1" / file.name)
    table, _ = scan(tmp_path, capfd)
    assert cells(table, "ART", "PV") == [("tree/ART", "tree/PV")]
    assert "unplaced" not in table


RECONSTRUCTIONS = {
    "soft": {"ConvolutionKernel": "B30f"},
    "sharp": {"ConvolutionKernel": "B70f"},
    "lung": {"ConvolutionKernel": "LUNG"},
    "thin": {"ConvolutionKernel": "B30f", "SliceThickness": 0.6},
    "thick": {"ConvolutionKernel": "B30f", "SliceThickness": 10.0},
}


@pytest.mark.parametrize("kinds", [("thin", "soft"), ("sharp", "soft", "thick"), ("lung", "soft")])
@pytest.mark.parametrize("timed", [True, False])
def test_of_reconstructions_of_one_acquisition_one_is_proposed(tmp_path, capfd, kinds, timed):
    time = {} if timed else {"AcquisitionTime": None}
    dicom(tmp_path / "tree" / "ART", "pat1", "ART", **time)
    for n, kind in enumerate(kinds):
        dicom(tmp_path / "tree" / kind, "pat1", "PV", n=n, SeriesNumber=5 + n, **RECONSTRUCTIONS[kind] | time)
    table, said = scan(tmp_path, capfd)
    assert cells(table, "ART", "PV") == [("tree/ART", "tree/soft")]
    others = [kind for kind in kinds if kind != "soft"]
    assert set(table["unplaced"][0].split(" | ")) == {f"tree/{kind}" for kind in others}
    what = "another reconstruction of PV" if timed else "another scan that looks like PV"
    assert table["doubts"][0].count(f"{what} (unplaced ") == len(others)
    assert f"row 2: {what}\n" in said


def test_the_reconstruction_on_which_a_mask_was_drawn_is_proposed(tmp_path, capfd):
    dicom(tmp_path / "tree" / "ART", "pat1", "ART")
    for n, kind in enumerate(("thin", "soft")):
        dicom(tmp_path / "tree" / kind, "pat1", "PV", n=n, **RECONSTRUCTIONS[kind])
    frames = item(RTReferencedStudySequence=[item(RTReferencedSeriesSequence=[item(SeriesInstanceUID="1.2.1.2.0")])])
    contours(tmp_path / "tree" / "rs.dcm", [LESION], PatientID="pat1", ReferencedFrameOfReferenceSequence=[frames])
    table, _ = scan(tmp_path, capfd)
    assert cells(table, "PV", "mask_PV") == [("tree/thin", "tree/rs.dcm")]


def test_a_row_for_each_segment_but_organs(tmp_path, capfd):
    for phase in PHASES:
        dicom(tmp_path / "tree" / phase, "pat1", phase)
    segmentation(tmp_path / "tree" / "s.dcm", [LESION] * 4, names=("Liver", "Liver tumour", "spleen", "HCC 2"),
                 FrameOfReferenceUID="1.2.3.1.9", PatientID="pat1")  # fmt: skip
    table, said = scan(tmp_path, capfd)
    assert cells(table, "mask", "mask_value") == [("tree/s.dcm", "2"), ("tree/s.dcm", "4")]
    assert "segments of organs are left out (of 4 segments 2)" in table["doubts"][0]
    assert "which phase a mask was drawn on is not told (it fits several phases)" in table["doubts"][0]
    assert "left out: 2 x label or segment of an organ" in said


def test_a_segmentation_goes_to_the_phase_with_its_frame_of_reference(tmp_path, capfd):
    for phase in PHASES:
        dicom(tmp_path / "tree" / phase, "pat1", phase, FrameOfReferenceUID=f"1.5.{PHASES.index(phase)}")
    segmentation(tmp_path / "tree" / "seg" / "s.dcm", [LESION], names=("x",), FrameOfReferenceUID="1.5.0")
    table, _ = scan(tmp_path, capfd)
    assert cells(table, "mask_NC", "doubts") == [("tree/seg/s.dcm", "")]


def test_no_mask_is_a_doubt(tmp_path, capfd):
    for phase in PHASES:
        dicom(tmp_path / "tree" / phase, "pat1", phase)
    segmentation(tmp_path / "tree" / "s.dcm", [LESION], names=("Liver",), PatientID="pat1")
    table, _ = scan(tmp_path, capfd)
    assert cells(table, *PHASES, "mask", "doubts") == [
        (*(f"tree/{phase}" for phase in PHASES), "", "no mask of a lesion: give one, or a box")
    ]


def test_a_damaged_folder_costs_nothing_else(tmp_path, capfd):
    for p in ("pat1", "pat2"):
        for phase in PHASES:
            dicom(tmp_path / "tree" / p / phase, p, phase)
        mask(tmp_path / "tree" / p / "lesion_PV.nii.gz")
    cut = next((tmp_path / "tree" / "pat2" / "ART").iterdir())
    cut.write_bytes(cut.read_bytes()[:-9])
    (tmp_path / "tree" / "pat1" / "late").mkdir()
    (tmp_path / "tree" / "pat1" / "late" / "x.nii.gz").write_bytes(b"<html>")
    table, said = scan(tmp_path, capfd)
    doubts = dict(zip(table["PV"], table["doubts"], strict=True))
    assert doubts["tree/pat2/PV"] == "a picture that is not whole lies beside it: copy it again, or move it elsewhere"
    assert doubts["tree/pat1/PV"] == "a file that cannot be read lies beside it: copy it again, or move it elsewhere"
    assert "left out: 1 x picture that is not whole" in said


def test_a_folder_without_permission_is_counted(tmp_path, capfd, monkeypatch):
    for p in ("pat1", "pat2"):
        for phase in PHASES:
            dicom(tmp_path / "tree" / p / phase, p, phase)
    real = os.scandir

    def refusing(path):
        if str(path).endswith("pat1/ART"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    table, said = scan(tmp_path, capfd)
    assert "left out: 1 x folder that cannot be read" in said
    assert ["folder that cannot be read" in doubts for doubts in table["doubts"]].count(True) == 1
    assert "pat1" not in said


# ---- whole


def test_nobody_is_named(tmp_path, capfd, caplog):
    home = tmp_path / "tree" / "Meier^Anna_19500229"
    for i, phase in enumerate(PHASES):
        for number, file in enumerate(
            sorted(dicom(home / f"471103_{phase}", "pat1", phase, shape=(3, 30, 32)).iterdir())
        ):
            plant(file)
            file.rename(file.with_name(f"Meier_{number:03d}.dcm"))
        volume(home / "Anna" / f"Meier_{phase}.nii.gz", noise(i))
    for folder in ("", "Anna"):
        mask(home / folder / "Meier_lesion.nii.gz", LESION * 2)
    plant(segmentation(home / "Anna_seg.dcm", [LESION, LESION], names=("Meier", "Anna")))
    plant(contours(home / "Anna_rs.dcm", [LESION, LESION], names=("Meier", "Anna")))
    write(header(SEGMENTATIONS[0], Modality="SEG", PatientID="Meier"), home / "Meier.dcm")  # without a segment
    for name in ("Meier.nii.gz", "Meier.mha", "Anna.nrrd", "Meier.png", "Meier.csv"):
        (home / "471103_PV" / name).write_bytes(b"Meier Anna 471103")
    (home / "471103").symlink_to(home / "Meier")
    (home / "Anna2").symlink_to(home)
    caplog.clear()
    for out, *options in (["a.csv"], ["b.csv", "--look"]):
        table, said = scan(tmp_path, capfd, *options, out=out)
        paths = [*PHASES, *(f"mask_{phase}" for phase in PHASES), "mask", "unplaced"]
        assert len(table) > 2
        text = said + table.drop(columns=paths, errors="ignore").to_csv() + caplog.text
        assert not SECRET.search(text), text
        assert SECRET.search(table.to_csv())


def test_phantom_studies_go_through_scan_and_import_unchanged(tmp_path, capfd):
    assert cli.main(["phantom", "--studies", "4", "--out", str(tmp_path / "tree")]) == 0
    listed = pd.read_csv(tmp_path / "tree" / "studies.csv")
    for p in listed["patient"]:
        for file in (tmp_path / "tree" / p).rglob("*.dcm"):
            made = pydicom.dcmread(file)
            made.PatientID = p
            made.save_as(file)
    table, said = scan(tmp_path, capfd)
    assert table["patient"].nunique() == len(table) == 4
    assert not any(table["doubts"]), said
    by_path = {f"tree/{pv}": (label, group) for pv, label, group in listed[["PV", "label", "group"]].to_numpy()}
    table["label"], table["group"] = zip(*(by_path[pv] for pv in table["PV"]), strict=True)
    table.drop(columns=["study", "doubts"]).sort_values("PV").to_csv(tmp_path / "filled.csv", index=False)
    expected = import_studies(tmp_path / "tree" / "studies.csv", 24, progress=False)
    made = import_studies(tmp_path / "filled.csv", 24, progress=False)
    for one in fields(expected):
        if one.name != "source":
            np.testing.assert_array_equal(getattr(made, one.name), getattr(expected, one.name), err_msg=one.name)


@real
def test_real_files(tmp_path, capfd):
    assert cli.main(["scan", str(REAL), "--out", str(tmp_path / "t.csv")]) == 0
    said = capfd.readouterr().out
    table = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)
    assert "3 patients, 3 studies, 3 rows" in said
    found = {Path(cell).name: Path(m).name for cell, m in cells(table, "unplaced", "mask")}
    assert found == {
        "example_ct_dicom": "example_seg_dicom.nii.gz",
        "example_ct.nii.gz": "example_seg.nii.gz",
        "dcmqi_example": "",
    }
    assert "left out: 1 x series of one slice" in said
