"""One volume or mask from disk, as Hounsfield units or as a lesion on the grid of its phase."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..base.errors import InputError
from ..scans.study import PADDING
from .masks import check_place, chosen, dicom_mask, one_piece
from .reading import Reading, one_line, sitk, told
from .series import numbered
from .stored import read_stored

AIR, BONE = -500, 900  # HU: above the first is a body, above the second the densest bone
SOFT = (-200, 300)  # HU between which most of a body lies


def read_volume(path: str | Path, least: int = 2, reading: Reading | None = None) -> sitk.Image:
    """Read a CT volume: a 3D file (.nii, .nii.gz, .mha, .nrrd, multi-frame DICOM ...) or a folder of one DICOM series.

    least: slices that it must have.  reading: gets a line for all that was assumed, left out or is doubtful; without
    it a doubt is a Python warning.

    Returns int16 HU, turned to LPS: its array is (Z, Y, X) with z from feet to head, y from front to back and
    x from the patient's right to left, however the file stores it.  Padding is -1024.

    Raises `InputError` for what is not there, not whole, not 3D, not CT, not finite, for headers that contradict
    themselves, for several series or acquisitions in a folder, and for DICOM slices missing, doubled or uneven.
    """
    path, reading = Path(path), told(reading)
    with one_line(path):
        image = read_stored(path, least, reading)
    reading.source = replace(reading.source, name=numbered(path)[0].name)
    values = sitk.GetArrayViewFromImage(image)
    _doubt_values(values, reading)
    if _lost_geometry(image):
        reading.doubt("voxels of 1 mm at the origin, as no scanner makes them: the header has lost its geometry")
    if image.GetPixelID() != sitk.sitkInt16 or values.min() < PADDING:
        hu = np.rint(values).clip(PADDING, np.iinfo(np.int16).max).astype(np.int16)
        turned = sitk.GetImageFromArray(hu)
        turned.CopyInformation(image)
        image = turned
    return sitk.DICOMOrient(image, "LPS")


def read_mask(
    path: str | Path,
    like: sitk.Image,
    value: int | str | None = None,
    threshold: float | None = None,
    piece: int | None = None,
    reading: Reading | None = None,
) -> sitk.Image:
    """Read where one lesion is, on the grid of `like`: uint8, 0 or 1, resampled (nearest neighbour) where need be.

    path: as in `read_volume`, or a DICOM-SEG or RTSTRUCT, as a file or in a folder.
    value: which label of several, by its number, or by the name of a segment or contour; without it all of them.
    threshold: from which value on a soft map is the lesion; of a fractional DICOM-SEG, between 0 and 1.
    piece: which of several pieces that do not touch, 1 the largest; 0 all as one lesion.

    Several labels without `value`, a soft map without `threshold` (half of its largest value is taken), several
    pieces without `piece` (all are taken), a part outside its phase, or a header that is not its phase's, are doubts in
    `reading`.  Raises `InputError` where the mask is empty or most of it lies outside.
    """
    lesion = stored_mask(path, like, value, threshold, piece, told(reading))
    return sitk.Resample(lesion, like, sitk.Transform(), sitk.sitkNearestNeighbor, 0)


def stored_mask(
    path: str | Path,
    phase: sitk.Image,
    value: int | str | None,
    threshold: float | None,
    piece: int | None,
    reading: Reading,
) -> sitk.Image:
    """The same on the grid on which it is stored; `phase` is the volume on which it was drawn."""
    path = Path(path)
    with one_line(path):
        if threshold is not None and threshold <= 0:
            raise InputError(f"mask_threshold {threshold:g}: the background is lesion, too; give a value above 0")
        lesion = dicom_mask(path, phase, value, threshold, reading)
        if lesion is None:
            image = read_stored(path, 1, reading)
            lesion = sitk.GetImageFromArray(chosen(sitk.GetArrayViewFromImage(image), value, threshold, reading))
            lesion.CopyInformation(image)
        lesion = one_piece(lesion, piece, reading)
        check_place(lesion, phase, reading)
    return lesion


def _doubt_values(values: np.ndarray, reading: Reading) -> None:
    """Pictures that were windowed or scaled for the screen hold no Hounsfield units any more."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 2 and values.dtype.kind == "f":
        reading.doubt(f"values from {low:g} to {high:g}: scaled for a network, no Hounsfield units")
    elif low >= 0 and high == 255:
        reading.doubt(f"values from {low:g} to 255: a picture of 8 bits, no Hounsfield units")
    elif low > -900 and high < 1000 and len(np.unique(values[:: max(len(values) // 8, 1)])) > 32:
        shares = [np.mean(values == end) for end in (low, high)]
        if min(shares) > 0.001 and max(shares) > 0.05:
            reading.doubt(f"values end sharply at {low:g} and {high:g}: cut to a window, air and bone are gone")
    elif low >= 0 and high > 1500:
        reading.doubt(f"values from {low:g} to {high:g}, none below 0: Hounsfield units have air at -1000")
    else:
        some = values[:: max(len(values) // 8, 1)]
        dense, body = np.mean(some > BONE), some[some > AIR]
        if dense > 0.1:
            reading.doubt(f"{dense:.0%} of it above {BONE} HU: inverted or shifted, no Hounsfield units")
        elif body.size and not SOFT[0] < np.median(body) < SOFT[1]:
            reading.doubt(
                f"{np.median(body):.0f} HU in the middle of all above {AIR} HU, where soft tissue should be: scaled or "
                "shifted, no Hounsfield units"
            )


def _lost_geometry(image: sitk.Image) -> bool:
    """Spacing, origin and axes as libraries write them where nobody tells: the identity matrix."""
    plain = np.abs(np.abs(image.GetDirection()) - np.eye(3).ravel()).max() < 1e-6
    return plain and image.GetSpacing() == (1.0, 1.0, 1.0) and image.GetOrigin() == (0.0, 0.0, 0.0)
