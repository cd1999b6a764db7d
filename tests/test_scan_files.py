"""`livervlm scan` on files: what their names and folders tell, junk, and volumes that are looked at."""

import os

import numpy as np
import pytest
import SimpleITK as sitk
from door_files import SPACING
from small_trees import PHASES, cells, dicom, mask, noise, scan, shown, volume
from test_door_masks import SHAPE
from test_door_private import LESION

from livervlm.studies.names import case_of, is_plain, phase_told, stem, words_of
from livervlm.studies.which_phase import Guess

STYLES = {
    "flat": "{p}_{phase}.nii.gz",
    "a folder in a folder": "{p}/ct/{p}_{phase}.nii.gz",
    "a folder": "{p}/{word}.nii.gz",
    "a folder for a phase": "{word}/{p}.nii.gz",
    "a converter's": "{p}/{word}_20200101101500_{n}.nrrd",
    "by day": "{p}/2020-01-01/{phase}.mha",
}
MASKS = {
    "flat": "{p}_PV_lesion.nii.gz",
    "a folder in a folder": "{p}/masks/{p}_tumor_VEN.nii.gz",
    "a folder": "{p}/mask.nii.gz",
    "a folder for a phase": "portal/seg/{p}.nii.gz",
    "a converter's": "{p}/label_pv.nrrd",
    "by day": "{p}/2020-01-01/seg_PV.mha",
}


@pytest.mark.parametrize("style", STYLES)
def test_files_of_many_styles(tmp_path, capfd, style):
    names = {}
    for p in ("case_0001", "case_0002"):
        for n, (word, short) in enumerate((("native", "DRY"), ("arterial", "ART"), ("portal_venous", "VEN"))):
            file = STYLES[style].format(p=p, word=word, phase=short, n=n)
            volume(tmp_path / "tree" / file, noise(n), (-5.0, -7.0, 1.0 * n))
            names.setdefault(p, []).append(f"tree/{file}")
        file = MASKS[style].format(p=p)
        mask(tmp_path / "tree" / file, origin=(-5.0, -7.0, 2.0))
        names[p].append(f"tree/{file}")
    table, said = scan(tmp_path, capfd)
    assert cells(table, *PHASES, "mask_PV") == sorted(map(tuple, names.values())), said
    assert table["patient"].nunique() == 2
    assert set(table["study"]) == {"1"}


def test_images_and_labels_in_folders_of_their_own(tmp_path, capfd):
    for n in range(3):
        volume(tmp_path / "tree" / "imagesTr" / f"liver_{n}_0000.nii.gz", noise(n))
        mask(tmp_path / "tree" / "labelsTr" / f"liver_{n}.nii.gz", LESION * 2 + (np.indices(SHAPE)[0] == 2))
    table, _ = scan(tmp_path, capfd)
    assert cells(table, "mask", "mask_value", "unplaced") == sorted(
        (f"tree/labelsTr/liver_{n}.nii.gz", str(label), f"tree/imagesTr/liver_{n}_0000.nii.gz")
        for n in range(3)
        for label in (1, 2)
    )
    assert table["patient"].nunique() == 3
    assert all("several labels in one mask, a row for each" in doubts for doubts in table["doubts"])


def test_folders_named_after_a_class_hold_scans(tmp_path, capfd):
    for kind in ("HCC", "Cyst"):
        for n, phase in enumerate(PHASES):
            volume(tmp_path / "tree" / kind / f"0001_{phase}.nii.gz", noise(n))
    table, _ = scan(tmp_path, capfd)
    assert cells(table, "PV") == [("tree/Cyst/0001_PV.nii.gz",), ("tree/HCC/0001_PV.nii.gz",)]
    assert table["patient"].nunique() == 2


def test_masks_of_two_lesions_and_of_phases(tmp_path, capfd):
    for n, phase in enumerate(PHASES):
        volume(tmp_path / "tree" / "c" / f"{phase}.nii.gz", noise(n), (-5.0, -7.0, 1.0 * n))
    for name in ("lesion1_ART", "lesion1_PV", "lesion2_ART"):
        mask(tmp_path / "tree" / "c" / f"{name}.nii.gz")
    mask(tmp_path / "tree" / "c" / "liver.nii.gz")
    mask(tmp_path / "tree" / "c" / "drawn.nii.gz", origin=(-5.0, -7.0, 0.0))  # on the grid of NC
    table, said = scan(tmp_path, capfd)
    at = "tree/c/{}.nii.gz".format
    assert cells(table, "mask_NC", "mask_ART", "mask_PV") == [
        ("", at("lesion1_ART"), at("lesion1_PV")),
        ("", at("lesion2_ART"), ""),
        (at("drawn"), "", ""),
    ]
    assert "rows 2-4: masks of this study lie on different phases" in said
    assert "left out: 1 x label or segment of an organ" in said


@pytest.mark.parametrize("grids", ["one", "own"])
def test_a_file_beside_dicom_goes_to_the_phase_with_its_grid(tmp_path, capfd, grids):
    for n, phase in enumerate(PHASES):
        each = {"each": lambda i, n=n: {"z": SPACING[0] * i + 40 * n * (grids == "own")}}
        dicom(tmp_path / "tree" / phase, "pat1", phase, **each)
    turned = sitk.DICOMOrient(sitk.ReadImage(mask(tmp_path / "m.nii.gz", origin=(-5.0, -7.0, 40.0 * (grids == "own")))),
                              "ASR")  # fmt: skip
    sitk.WriteImage(turned, tmp_path / "tree" / "mask.nii.gz")
    table, _ = scan(tmp_path, capfd)
    if grids == "own":
        assert cells(table, "mask_ART", "doubts") == [("tree/mask.nii.gz", "")]
    else:
        assert cells(table, "mask") == [("tree/mask.nii.gz",)]
        assert "(it fits several phases): taken as the last" in table["doubts"][0]


def test_junk_links_and_nothing(tmp_path, capfd):
    (tmp_path / "tree").mkdir()
    _, said = scan(tmp_path, capfd, status=2)
    assert "tree: no CT volume in this folder" in said
    assert not (tmp_path / "scan.salt").exists()
    for phase in PHASES:
        dicom(tmp_path / "tree" / "p" / phase, "pat1", phase)
    (tmp_path / "tree" / "notes.txt").write_text("Meier")
    (tmp_path / "tree" / "._art.nii.gz").write_bytes(b"\0")
    (tmp_path / "tree" / "gone.dcm").symlink_to(tmp_path / "nowhere")
    (tmp_path / "tree" / "loop").symlink_to(tmp_path / "tree")
    (tmp_path / "tree" / " blank").mkdir()
    os.mkfifo(tmp_path / "tree" / "pipe")
    volume(tmp_path / "tree" / "flat.nii.gz", noise(0)[:1])
    table, said = scan(tmp_path, capfd)
    assert {"tree/p/PV"} <= set(table["PV"])
    for line in ("3 x other file", "1 x dangling link", "1 x linked folder", "1 x folder whose name is no plain text"):
        assert f"left out: {line}\n" in said
    _, said = scan(tmp_path, capfd, status=2)
    assert "t.csv: already there" in said
    _, said = scan(tmp_path, capfd, folder="none", out="new.csv", status=2)
    assert "none: no such folder" in said


def test_look_reads_the_volumes(tmp_path, capfd, monkeypatch):
    from livervlm.studies import proposed

    seen = []

    def guessing(clues):
        seen.append(clues)
        return [Guess("ART"), Guess("PV", ("odd",))]

    monkeypatch.setattr(proposed, "which_phases", guessing)
    for phase in ("ART", "PV"):
        dicom(tmp_path / "tree" / phase, "pat1", phase, ContrastBolusAgent="Iomeron")
    for option in ((), ("--look",)):
        _, said = scan(tmp_path, capfd, *option, out=f"{len(option)}.csv")
        assert "row 2: PV: odd" in said
    plain, looked = seen
    assert [clue.volume for clue in plain] == [None, None]
    np.testing.assert_array_equal(looked[1].volume, shown("pat1", "PV"))
    assert looked[1].spacing == pytest.approx(SPACING)
    assert [(c.seconds, c.contrast) for c in plain] == [(37_000 - 10, True), (37_030, True)]


# ---- names


@pytest.mark.parametrize(
    ("name", "phase", "case"),
    [
        ("case_0001_ART.nii.gz", "ART", ("case", "0001")),
        ("p7-PortalVenous.nrrd", "PV", ("p", "7")),
        ("late_arterial.nii", "ART", ()),
        ("x_delayed.mha", "DL", ("x",)),
        ("art_pv.nii.gz", None, ()),
        ("Start_01.nii.gz", None, ("start", "01")),
        ("liver_3_0000.nii.gz", None, ("liver", "3")),
    ],
)
def test_names(name, phase, case):
    words = words_of(stem(name))
    assert (phase_told(words), case_of(words)) == (phase, case)


def test_folders_that_tell_what_and_not_whose():
    assert all(map(is_plain, ("ct", "imagesTr", "labelsTs", "Arterial", "PV_masks", "nifti")))
    assert not any(map(is_plain, ("p01", "HCC", "Meier", "ct2", "2020")))
