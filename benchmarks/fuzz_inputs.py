"""Small whole inputs of every format that the program reads, with a patient's name wherever a name can stand."""

import gzip
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from common import ROOT

sys.path.insert(0, str(ROOT / "tests"))

import pandas as pd
from conftest import make_toy
from door_files import SPACING, edit, hounsfield, multi_frame, pydicom, series
from test_door_masks import contours, segmentation
from test_door_nifti import nifti
from test_door_private import PLANTED, SECRET, TAGS

from livervlm import cli
from livervlm.models.detector import Detector
from livervlm.models.lilnet import LiLNet
from livervlm.models.liver_vlm import LiverVLM
from livervlm.models.settings import Config, LiLNetSettings
from livervlm.scans.lesions import LesionSet

HOME = "Meier^Anna_19500229"
SHAPE = (12, 30, 32)  # of the masks that the tests write
TAGS_A_FILE = 150  # of about a thousand text tags; each file gets others
z, y, x = np.indices(SHAPE)
LESION = ((z - 5) / 2.5) ** 2 + ((y - 15) / 7) ** 2 + ((x - 16) / 6) ** 2 <= 1


@dataclass(frozen=True)
class Format:
    """files: those that are damaged, one at a time, as a pattern below the input's folder.  read: what reads them."""

    files: str
    write: Callable[[Path], None]  # into a folder
    read: Callable[[Path], int]  # from the same folder; returns the exit status, or raises `InputError`


def _volume(phase: int) -> np.ndarray:
    noise = np.random.default_rng(phase).normal(0, 9, SHAPE)
    return (hounsfield(SHAPE) * 0.1 + 40 + 25 * phase + noise).astype(np.int16)


def _image(values: np.ndarray) -> sitk.Image:
    made = sitk.GetImageFromArray(values)
    made.SetSpacing(SPACING[::-1])
    made.SetOrigin((-5, -7, 0))
    return made


def _nifti(file: Path, values: np.ndarray, version: int = 1) -> Path:
    rows = np.array([[-SPACING[2], 0, 0, 5], [0, -SPACING[1], 0, 7], [0, 0, SPACING[0], 0.0]])
    content = bytearray(nifti(file.with_suffix(".plain"), values, version, sform=rows).read_bytes())
    file.with_suffix(".plain").unlink()
    at = {1: 148, 2: 240}[version]  # of the field `descrip`
    content[at : at + 17] = b"Meier Anna 471103"
    file.write_bytes(gzip.compress(content, 1) if file.suffix == ".gz" else content)
    return file


def _plant(file: Path) -> Path:
    """Names in tags, private ones and the preamble; other tags in each file."""
    made = pydicom.dcmread(file)
    chosen = np.random.default_rng(list(file.name.encode())).choice(list(TAGS), TAGS_A_FILE, replace=False)
    for tag in chosen.tolist():
        made.add_new(tag, TAGS[tag], PLANTED[TAGS[tag]])
    edit(made, PatientName="Meier^Anna", PatientID="471103", PatientBirthDate="19500229", SeriesDescription="Anna")
    made.add_new(0x00090010, "LO", "MEIER")
    made.add_new(0x00091001, "LO", "Anna")
    made.preamble = b"Meier Anna 471103".ljust(128, b"\0")
    made.save_as(file)
    return file


def _study(scan: str, mask: str = "Anna_mask.nii", **row) -> Callable[[Path], None]:
    """A study of two phases, of which PV is stored as `scan` says, and its table."""

    def write(folder: Path) -> None:
        home = folder / HOME
        home.mkdir()
        _nifti(home / "471103_NC.nii", _volume(0))
        hu, pv = _volume(1), home / scan
        if scan.startswith("471103_PV"):
            for file in series(pv, hu):
                _plant(file.rename(file.with_name(f"Meier_{file.name}")))
        elif scan.endswith(".dcm"):
            _plant(multi_frame(pv, (hu + 1024).astype(np.uint16), range(len(hu))))
        elif ".nii" in scan:
            _nifti(pv, hu, 2 if "2" in scan else 1)
        else:
            image = _image(hu)
            image.SetMetaData("PatientName", "Meier Anna")
            sitk.WriteImage(image, pv)
        if scan == "471103_PV_rle":
            for file in pv.iterdir():
                made = pydicom.dcmread(file)
                made.compress(pydicom.uid.RLELossless)
                made.save_as(file)
        if mask.endswith("_seg.dcm"):
            _plant(segmentation(home / mask, [LESION, LESION], names=("Meier", "Anna")))
        elif mask.endswith("_rs.dcm"):
            _plant(contours(home / mask, [LESION, LESION], names=("Meier", "Anna")))
        else:
            _nifti(home / mask, LESION.astype(np.uint8))
        cells = {
            "patient": "Meier^Anna",
            "label": "HCC",
            "group": 1,
            "NC": f"{HOME}/471103_NC.nii",
            "PV": f"{HOME}/{scan}",
        }
        rows = [cells | {"mask": f"{HOME}/{mask}"} | row]
        rows.append(cells | {"label": "FNH", "box": "1:4,3:9,3:9", "comment": "Meier, Anna, *19500229"})
        pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
        make_toy().save(folder / "set.safetensors")  # stands there, and may be replaced by a whole one only

    return write


def _import(folder: Path) -> int:
    arguments = ["import", f"{folder}/table.csv", "--out", f"{folder}/set.safetensors", "--size", "16", "--jobs", "1"]
    return cli.main([*arguments, "--accept-doubts"] if int(folder.name) % 2 else arguments)


def _write_set(folder: Path) -> None:
    replace(make_toy(), source={"kind": "import", "of": "Meier Anna 471103"}).save(folder / "own.safetensors")


def _read_set(folder: Path) -> int:
    lesions = LesionSet.load(folder / "own.safetensors")
    lesions.fingerprint()
    if lesions.masks is not None:
        lesions.masks.max()
    list(lesions.folds())
    return 0


def _write_model(folder: Path) -> None:
    torch.manual_seed(0)
    config = Config(("CYST", "FNH", "HCC", "HEM"), ("NC", "ART", "PV"), encoder="resnet10_narrow", joint_dim=16)
    model = LiverVLM(config, torch.randn(6, 4, 384))
    model.save_pretrained(folder / "model", {"data": {"path": "Meier Anna 471103"}, "held_out_group": 1})
    make_toy(32).save(folder / "toy.safetensors")


def _predict(folder: Path) -> int:
    return cli.main(["predict", f"{folder}/model", f"{folder}/toy.safetensors", "--out", f"{folder}/answers.csv"])


def _write_lilnet(folder: Path) -> None:
    torch.manual_seed(0)
    LiLNet(LiLNetSettings(("CYST", "FNH", "HCC"), encoder="resnet10_narrow")).save_pretrained(
        folder / "model", {"of": "Meier Anna 471103"}
    )


def _read_lilnet(folder: Path) -> int:
    LiLNet.from_pretrained(folder / "model")(torch.zeros(1, 1, 32, 32))
    return 0


def _write_detector(folder: Path) -> None:
    torch.manual_seed(0)
    Detector(("NC", "PV"), 64).save_pretrained(folder / "model", {"of": "Meier Anna 471103"})


def _read_detector(folder: Path) -> int:
    model = Detector.from_pretrained(folder / "model")
    model.find(torch.zeros(1, len(model.phases), model.size, model.size))
    return 0


FORMATS = {
    "DICOM series": Format(f"{HOME}/471103_PV/*", _study("471103_PV"), _import),
    "DICOM series, RLE": Format(f"{HOME}/471103_PV_rle/*", _study("471103_PV_rle"), _import),
    "multi-frame DICOM": Format(f"{HOME}/Anna.dcm", _study("Anna.dcm"), _import),
    "DICOM-SEG": Format(f"{HOME}/Anna_seg.dcm", _study("PV.nii", "Anna_seg.dcm", mask_value="Meier"), _import),
    "RTSTRUCT": Format(f"{HOME}/Anna_rs.dcm", _study("PV.nii", "Anna_rs.dcm", mask_value="Anna"), _import),
    "NIfTI-1": Format(f"{HOME}/Anna.nii", _study("Anna.nii"), _import),
    "NIfTI-1, gzip": Format(f"{HOME}/Anna.nii.gz", _study("Anna.nii.gz"), _import),
    "NIfTI-2": Format(f"{HOME}/Anna2.nii", _study("Anna2.nii"), _import),
    "NRRD": Format(f"{HOME}/Anna.nrrd", _study("Anna.nrrd"), _import),
    "MHA": Format(f"{HOME}/Anna.mha", _study("Anna.mha"), _import),
    "mask": Format(f"{HOME}/Anna_mask.nii", _study("PV.nii"), _import),
    "table": Format("table.csv", _study("PV.nii"), _import),
    "LesionSet": Format("own.safetensors", _write_set, _read_set),
    "Liver-VLM": Format("model/*", _write_model, _predict),
    "LiLNet": Format("model/*", _write_lilnet, _read_lilnet),
    "detector": Format("model/*", _write_detector, _read_detector),
}
__all__ = ["FORMATS", "SECRET"]
