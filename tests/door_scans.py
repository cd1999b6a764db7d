"""A patient's three phases with a mask, and the row of a table that names them, for tests of the door."""

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from door_files import SPACING, edit, hounsfield, pydicom, series

SHAPE = (10, 40, 44)
TIMES = {"NC": "100000", "ART": "100200", "PV": "100230"}
z, y, x = np.indices(SHAPE)
LESION = ((z - 5) / 2.5) ** 2 + ((y - 18) / 7) ** 2 + ((x - 21) / 6) ** 2 <= 1
SECOND = ((z - 4) / 2.0) ** 2 + ((y - 32) / 4) ** 2 + ((x - 36) / 4) ** 2 <= 1


@pytest.fixture
def scans(tmp_path):
    """A patient's three phases, a mask, and the row that names them."""
    for i, phase in enumerate(TIMES):
        noise = np.random.default_rng(i).normal(0, 9, SHAPE)
        hu = (hounsfield(SHAPE) * 0.1 + 40 + 25 * i + noise - 30 * LESION).astype(np.int16)
        series(tmp_path / phase, hu, SeriesInstanceUID=f"1.2.{i}", AcquisitionTime=TIMES[phase], PatientID="P1",
               StudyInstanceUID="1.9", StudyDate="20200101")  # fmt: skip
    write_mask(tmp_path / "mask.nii.gz", LESION)
    return tmp_path


def write_mask(file, mask) -> None:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin((-5, -7, 0))
    sitk.WriteImage(image, file)


def table(folder, **cells):
    row = {"patient": "a", "label": "HCC", **{p: p for p in TIMES}, "mask": "mask.nii.gz", "group": 1, **cells}
    pd.DataFrame([row]).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def change(folder, **tags) -> None:
    for file in folder.iterdir():
        made = pydicom.dcmread(file)
        edit(made, **tags)
        made.save_as(file)
