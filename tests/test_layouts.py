"""Public sets: miniature trees of exactly their layout, with their known traps, become tables that import reads."""

import re
import zlib

import numpy as np
import pandas as pd
import pytest
from small_trees import dicom, mask, noise, scan, volume
from test_door_masks import item, segmentation
from test_door_private import LESION

from livervlm.base.errors import InputError
from livervlm.cli import parser
from livervlm.studies.layouts import LAYOUTS, published
from livervlm.studies.manifest import import_studies

PHASES = ("NC", "ART", "PV", "DL")


def mct(root, patient, phases=PHASES, masked=True):
    names = dict(zip(PHASES, ("nc", "art", "pvp", "delay"), strict=True))
    for n, phase in enumerate(phases):
        volume(root / patient / "NIFTI" / f"{names[phase]}.nii.gz", noise(zlib.crc32(f"{patient} {n}".encode())))
    if masked:
        mask(root / patient / "mask_pvp.nii.gz")
        mask(root / patient / "liver_mask_pvp.nii.gz", np.ones((8, 20, 24)))  # leaves the tumour out, there


def waw(root, patient, phases, lesions):
    """lesions: number -> the phases in which it is drawn, 0 to 3."""
    for n in phases:
        volume(root / patient / f"{patient}_{n}_scan.nii.gz", noise(10 * int(patient) + n))
    for lesion, drawn in lesions.items():
        for n in drawn:
            mask(root / "tumor_masks_v1" / patient / f"{patient}_{n}_{lesion}_tumor_seg.nrrd")


def order_of(table) -> list[str]:
    """The patients' numbers in the order of the table, whose keys are salted."""
    return [re.search(r"HCC_00(\d)", cell)[1] for cell in table["unplaced"]]


def test_mct_ltdiag(tmp_path, capfd):
    root = tmp_path / "tree"
    mct(root, "230218a1")
    mct(root, "230219b2")
    mct(root, "230220c3", phases=("NC", "PV"))
    (root / "230221d4.tar").touch()
    rows = 'ID\ttype\tsex\n"230218a1"\tHCC\tM\n230219b2\tHH\tF\n230220c3\tBCLM\tF\n230221d4\tICC\tM\n230222e5\tICC\tM\n'
    (root / "meta_info_patient.tab").write_text(rows)
    table, said = scan(tmp_path, capfd, "--layout", "mct-ltdiag")
    assert table["label"].tolist() == ["HCC", "HEM", "MET"]
    assert table["mask_PV"].str.endswith("/mask_pvp.nii.gz").all()
    assert table["doubts"].tolist() == ["", "", "no scan for ART, DL"]
    assert "left out: 1 x archive that is not unpacked" in said
    assert "left out: 1 x patient without a folder" in said
    assert "--classes HCC,ICC,MET,HEM" in said
    assert "beware: sex and size tell the class" in said
    table[:2].assign(group=[1, 2]).to_csv(tmp_path / "two.csv", index=False)
    lesions = import_studies(
        tmp_path / "two.csv", 16, n_groups=2, classes=LAYOUTS["mct-ltdiag"].classes, progress=False
    )
    assert lesions.phases == PHASES
    assert [lesions.classes[label] for label in sorted(set(lesions.label))] == ["HCC", "HEM"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"ID\ttype\n230218a1\tHCC\n\xff\xfe", "no table of text"),
        (b"ID\ttype\n230218a1\n", "row 2: ID and type must be a name and one of HCC"),
        (b"ID\ttype\n230218a1\tMeier\n", "row 2: ID and type must be"),
        (b"ID\ttype\n230218a1\tHCC\n../Meier\tHCC\n", "row 3: ID and type must be"),
        (b"ID\ttype\n" + b"x" * 200_000 + b"\tHCC\n", "no table of text"),
        (b"ID\tkind\n230218a1\tHCC\n", "no columns ID and type"),
    ],
)
def test_a_damaged_table_of_mct_ltdiag_is_one_line_and_no_name(tmp_path, content, said):
    (tmp_path / "meta_info_patient.tab").write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        published("mct-ltdiag", tmp_path, tmp_path, b"")
    assert "Meier" not in str(caught.value)


def test_waw_tace(tmp_path, capfd):
    root = tmp_path / "tree"
    waw(root, "10", (0, 1, 2, 3), {"1": (0, 1, 2, 3), "2": (1, 2)})
    waw(root, "102", (0, 1, 2), {"1": (2,)})
    waw(root, "7", (1, 2), {})
    waw(root, "200", (), {"1": (2,)})
    table, said = scan(tmp_path, capfd, "--layout", "waw-tace")
    assert table["patient"].tolist() == ["7", "10", "10", "102"]
    assert table["label"].eq("HCC").all()
    first = table.iloc[1]
    assert all(first[phase].endswith(f"10_{n}_scan.nii.gz") for n, phase in enumerate(PHASES))
    assert all(first[f"mask_{phase}"].endswith(f"10_{n}_1_tumor_seg.nrrd") for n, phase in enumerate(PHASES))
    doubts = ["no scan for NC, DL; no mask", "", "its mask is missing in NC, DL", "no scan for DL"]
    assert table["doubts"].tolist() == doubts
    assert "left out: 1 x lesion without a scan" in said
    assert "HU inside them are too low" in said
    # All share one class, so a set of them is nothing to train on; as two classes they go the whole way.
    table[1:].assign(label=["HCC", "HCC", "ICC"], group=[1, 1, 2]).to_csv(tmp_path / "w.csv", index=False)
    assert len(import_studies(tmp_path / "w.csv", 16, classes=("HCC", "ICC"), progress=False)) > 0


def test_hcc_tace_seg(tmp_path, capfd):
    """Two phases lie in one series, as two acquisitions; a scan after treatment has no segmentation."""
    root, parts = tmp_path / "tree", ("Liver", "Mass", "Portal vein", "Abdominal aorta")
    for patient in ("HCC_001", "HCC_002"):
        before, one = root / patient / "before" / "3 phases", {"SeriesInstanceUID": f"1.2.{patient[-1]}.77"}
        for n, phase in enumerate(("ART", "PV"), start=1):
            dicom(tmp_path / "new", patient, phase, AcquisitionNumber=n, SeriesDescription="LIVER 3 PHASE", **one)
            before.mkdir(parents=True, exist_ok=True)
            for file in sorted((tmp_path / "new").iterdir()):
                file.rename(before / f"{n}-{file.name}")
        segmentation(before.parent / "seg.dcm", [LESION] * 4, names=parts, PatientID=patient,
                     FrameOfReferenceUID=f"1.2.3.{patient[-1]}.9",
                     ReferencedSeriesSequence=[item(**one)])  # fmt: skip
        dicom(root / patient / "after" / "PV", patient, "PV", study="1.9.9", StudyDate="20200501")
    table, said = scan(tmp_path, capfd, "--layout", "hcc-tace-seg", "--look")
    assert table["label"].tolist() == ["HCC", "HCC"]
    assert table["mask_value"].tolist() == ["2", "2"]
    assert "left out: 2 x study without a segmentation" in said
    assert "left out: 6 x label or segment of an organ" in said
    # Nothing tells which is which but time: the user names them, by their numbers.
    first = "tree/HCC_00{}/before/3 phases"
    assert table["unplaced"].tolist() == [f"{first.format(n)}#1 | {first.format(n)}#2" for n in order_of(table)]
    rows = [{"patient": f"p{n}", "label": kind, "ART": f"{first.format(n)}#1", "PV": f"{first.format(n)}#2",
             "mask_PV": f"tree/HCC_00{n}/before/seg.dcm", "mask_value": "Mass", "group": n}
            for n, kind in ((1, "HCC"), (2, "ICC"))]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "h.csv", index=False)
    assert import_studies(tmp_path / "h.csv", 16, classes=("HCC", "ICC"), progress=False).phases == ("ART", "PV")


def test_the_command_offers_every_set_that_is_read():
    assert set(parser.LAYOUTS) == set(LAYOUTS)


def test_what_the_names_tell_is_not_looked_for(tmp_path):
    with pytest.raises(InputError, match="waw-tace: its files tell their phases; leave out --look"):
        published("waw-tace", tmp_path, tmp_path, bytes(32), look=True)


@pytest.mark.parametrize(("name", "said"), [("mct-ltdiag", "no meta_info_patient"), ("waw-tace", "none of this set's")])
def test_another_folder_is_told(tmp_path, name, said):
    with pytest.raises(InputError, match=said):
        published(name, tmp_path, tmp_path, bytes(32))


def test_a_type_that_is_not_known_is_told_by_its_row(tmp_path):
    (tmp_path / "meta_info_patient.csv").write_text("ID,type\n1,FNH\n")
    with pytest.raises(InputError, match="row 2: ID and type must be a name and one of HCC, ICC, CRLM, BCLM, HH"):
        published("mct-ltdiag", tmp_path, tmp_path, bytes(32))
    (tmp_path / "meta_info_patient.csv").write_text("case,type\n1,FNH\n")
    with pytest.raises(InputError, match="no columns ID and type"):
        published("mct-ltdiag", tmp_path, tmp_path, bytes(32))
