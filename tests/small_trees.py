"""Trees of scans and masks for `livervlm scan`, and what it makes of them."""

import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from door_files import SPACING, series
from test_door_masks import SHAPE
from test_door_private import LESION

from livervlm import cli

PHASES = ("NC", "ART", "PV")
SAID = {"NC": "nativ dry", "ART": "Abdomen arterial 2.5", "PV": "portal venous", "DL": "delayed"}
TIMES = {"NC": "101500", "ART": "101630", "PV": "101710", "DL": "102000"}


def noise(seed: int, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(60, 12, shape).astype(np.int16)


def shown(patient: str, phase: str, shape=SHAPE) -> np.ndarray:
    """The voxels of `dicom`; no two scans have the same."""
    return noise(zlib.crc32(f"{patient} {phase}".encode()), shape)


def dicom(folder, patient, phase, study="1.2.3", n=0, shape=SHAPE, **tags) -> Path:
    """A series of one phase, whose UIDs and times follow from what it is."""
    own = {"PatientID": patient, "StudyInstanceUID": f"{study}.{patient[-1]}", "SeriesDescription": SAID[phase],
           "SeriesInstanceUID": f"1.2.{patient[-1]}.{[*SAID].index(phase)}.{n}", "AcquisitionTime": TIMES[phase],
           "FrameOfReferenceUID": f"{study}.{patient[-1]}.9", "StudyDate": "20200101"}  # fmt: skip
    series(folder, shown(patient, phase, shape), **own | tags)
    return folder


def volume(file, values, origin=(-5.0, -7.0, 0.0)) -> Path:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin(origin)
    file.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, file)
    return file


def mask(file, values=LESION, **more) -> Path:
    return volume(file, np.asarray(values, np.uint8), **more)


def scan(tmp_path, capfd, *options, folder="tree", out="t.csv", status=0) -> tuple[pd.DataFrame, str]:
    """The table and what was said; without the paths of the temporary folder, as the one who ran it knows it."""
    assert cli.main(["scan", str(tmp_path / folder), "--out", str(tmp_path / out), *options]) == status
    said = "".join(capfd.readouterr()).replace(str(tmp_path), "")
    return pd.read_csv(tmp_path / out, dtype=str, keep_default_na=False) if not status else None, said


def cells(table, *columns) -> list[tuple[str, ...]]:
    return sorted(map(tuple, table[[*columns]].to_numpy().tolist()))
