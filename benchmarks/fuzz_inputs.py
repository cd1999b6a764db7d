"""Small whole inputs of every format that the program reads, with a patient's name wherever a name can stand."""

import gzip
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from common import ROOT

sys.path.insert(0, str(ROOT / "tests"))

import pandas as pd
from conftest import make_toy
from door_files import SPACING, edit, hounsfield, multi_frame, pydicom, series
from pydicom.datadict import tag_for_keyword
from test_door_masks import contours, segmentation
from test_door_nifti import nifti
from test_door_private import PLANTED, SECRET, TAGS

from livervlm import cli
from livervlm.models.detector import Detector
from livervlm.models.lilnet import LiLNet
from livervlm.models.liver_vlm import LiverVLM
from livervlm.models.settings import Config, LiLNetSettings
from livervlm.scans.lesions import LesionSet
from livervlm.studies.segmentations import SEGMENTATIONS

HOME = "Meier^Anna_19500229"
SHAPE = (12, 30, 32)  # of the masks that the tests write
ALIKE = (  # in all slices of a series, which are sorted by them
    *("StudyInstanceUID", "StudyDate", "AcquisitionDate", "ContrastBolusAgent", "ConvolutionKernel"),
    "TemporalPositionIdentifier",
)
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
    for tag in {*chosen.tolist(), *map(tag_for_keyword, ALIKE)} - {tag_for_keyword("ImagesInAcquisition")}:
        made.add_new(tag, TAGS[tag], PLANTED[TAGS[tag]])
    edit(made, PatientName="Meier^Anna", PatientID="471103", PatientBirthDate="19500229", SeriesDescription="Anna")
    made.add_new(0x00090010, "LO", "MEIER")
    made.add_new(0x00091001, "LO", "Anna")
    made.preamble = b"Meier Anna 471103".ljust(128, b"\0")
    made.save_as(file)
    return file


def _rle(file: Path) -> None:
    made = pydicom.dcmread(file)
    made.compress(pydicom.uid.RLELossless)
    made.save_as(file)


def _deflated(file: Path) -> None:
    made = pydicom.dcmread(file)
    made.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    made.save_as(file)


def _by_itk(compressor: str) -> Callable[[Path], None]:
    """Compress a slice by GDCM, which is given nothing but its pixels."""

    def compress(file: Path) -> None:
        made = pydicom.dcmread(file)
        writer = sitk.ImageFileWriter()
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.SetFileName(file)
        writer.Execute(sitk.GetImageFromArray(made.pixel_array))
        packed = pydicom.dcmread(file)
        made.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID
        made.PixelData = packed.PixelData
        made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
        made.save_as(file)

    return compress


SYNTAXES = {
    "471103_PV_rle": _rle,
    "471103_PV_deflated": _deflated,
    "471103_PV_jpeg": _by_itk("JPEG"),
    "471103_PV_jpeg2000": _by_itk("JPEG2000"),
}


def _label_map(file: Path) -> Path:
    made = pydicom.dcmread(segmentation(file, [LESION.astype(np.uint8)], "FRACTIONAL", names=("Anna",)))
    made.SegmentationType = "LABELMAP"
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = SEGMENTATIONS[1]
    made.save_as(file)
    return file


def _study(scan: str, mask: str = "Anna_mask.nii", with_box: bool = True, **row) -> Callable[[Path], None]:
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
        for file in pv.iterdir() if scan in SYNTAXES else ():
            SYNTAXES[scan](file)
        if mask == "Anna_labels_seg.dcm":
            _plant(_label_map(home / mask))
        elif mask.endswith("_seg.dcm"):
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
        masked = cells | {"mask": f"{HOME}/{mask}"} | row
        boxed = cells | {"label": "FNH", "box": "1:4,3:9,3:9", "comment": "Meier, Anna, *19500229"}
        # A row with a box is read whatever becomes of the mask, so where masks are damaged it would hide what does.
        pd.DataFrame([masked, boxed] if with_box else [masked]).to_csv(folder / "table.csv", index=False)
        make_toy().save(folder / "set.safetensors")  # stands there, and may be replaced by a whole one only

    return write


_masked = partial(_study, "PV.nii", with_box=False)


def _import(folder: Path) -> int:
    arguments = ["import", f"{folder}/table.csv", "--out", f"{folder}/set.safetensors", "--size", "16", "--jobs", "1"]
    return cli.main([*arguments, "--accept-doubts"] if int(folder.name) % 2 else arguments)


def _write_audit(folder: Path) -> None:
    lesions = make_toy()
    lesions.save(folder / "set.safetensors")
    patients = sorted({*lesions.patient.tolist()})
    table = {"patient": patients, "age": range(40, 40 + len(patients)), "name": "Meier^Anna_19500229"}
    pd.DataFrame(table).to_csv(folder / "metadata.csv", index=False)


def _audit(folder: Path) -> int:
    """Exit statuses 0 and 1 are of a set that was read; 2 may be of one that has errors."""
    arguments = ["audit", f"{folder}/set.safetensors", "--metadata", f"{folder}/metadata.csv"]
    return 0 if cli.main(arguments) in (0, 1) else 2


def _write_layout(folder: Path) -> None:
    for patient in ("230218a1", "230219b2"):
        (folder / patient / "NIFTI").mkdir(parents=True)
        for i, name in enumerate(("nc", "art", "pvp", "delay")):
            _nifti(folder / patient / "NIFTI" / f"{name}.nii.gz", _volume(i))
        _nifti(folder / patient / "mask_pvp.nii.gz", LESION.astype(np.uint8))
    (folder / "meta_info_patient.tab").write_text("ID\ttype\tname\n230218a1\tHCC\tMeier\n230219b2\tHH\tAnna\n")


def _scan(*options: str) -> Callable[[Path], int]:
    return lambda folder: cli.main(["scan", f"{folder}", "--out", f"{folder}/proposed.csv", *options])


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
    "DICOM series, deflated": Format(f"{HOME}/471103_PV_deflated/*", _study("471103_PV_deflated"), _import),
    "DICOM series, JPEG": Format(f"{HOME}/471103_PV_jpeg/*", _study("471103_PV_jpeg"), _import),
    "DICOM series, JPEG 2000": Format(f"{HOME}/471103_PV_jpeg2000/*", _study("471103_PV_jpeg2000"), _import),
    "multi-frame DICOM": Format(f"{HOME}/Anna.dcm", _study("Anna.dcm"), _import),
    "DICOM-SEG": Format(f"{HOME}/Anna_seg.dcm", _masked("Anna_seg.dcm", mask_value="Meier"), _import),
    "DICOM-SEG, label map": Format(f"{HOME}/Anna_labels_seg.dcm", _masked("Anna_labels_seg.dcm"), _import),
    "RTSTRUCT": Format(f"{HOME}/Anna_rs.dcm", _masked("Anna_rs.dcm", mask_value="Anna"), _import),
    "NIfTI-1": Format(f"{HOME}/Anna.nii", _study("Anna.nii"), _import),
    "NIfTI-1, gzip": Format(f"{HOME}/Anna.nii.gz", _study("Anna.nii.gz"), _import),
    "NIfTI-2": Format(f"{HOME}/Anna2.nii", _study("Anna2.nii"), _import),
    "NRRD": Format(f"{HOME}/Anna.nrrd", _study("Anna.nrrd"), _import),
    "MHA": Format(f"{HOME}/Anna.mha", _study("Anna.mha"), _import),
    "mask": Format(f"{HOME}/Anna_mask.nii", _masked("Anna_mask.nii"), _import),
    "table": Format("table.csv", _study("PV.nii"), _import),
    "tree for scan": Format(f"{HOME}/**/*.*", _study("471103_PV", "Anna_seg.dcm"), _scan("--look")),
    "layout": Format("meta_info_patient.tab", _write_layout, _scan("--layout", "mct-ltdiag")),
    "metadata": Format("metadata.csv", _write_audit, _audit),
    "LesionSet": Format("own.safetensors", _write_set, _read_set),
    "Liver-VLM": Format("model/*", _write_model, _predict),
    "LiLNet": Format("model/*", _write_lilnet, _read_lilnet),
    "detector": Format("model/*", _write_detector, _read_detector),
}
__all__ = ["FORMATS", "SECRET"]
