"""One volume or mask from disk: DICOM, NIfTI and whatever else SimpleITK reads."""

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..base.errors import InputError
from ..scans.study import PADDING

try:
    import SimpleITK as sitk
except ImportError as error:
    raise InputError("reading studies needs SimpleITK: pip install 'livervlm[studies]'") from error

TOLERANCE = 0.01  # of the slice spacing: how far a DICOM slice may lie from its place


def read_volume(path: str | Path, least: int = 2) -> sitk.Image:
    """Read a CT volume: a 3D file (.nii, .nii.gz, .mha, .nrrd ...) or a folder with one DICOM series.

    least: slices that it must have.

    Returns int16 HU, turned to LPS: its array is (Z, Y, X) with z from feet to head, y from front to back and
    x from the patient's right to left, however the file stores it.  Padding below -1024 becomes -1024.

    Raises `InputError` for what is not there, not whole, not 3D, not CT, not finite, for several series in a
    folder, and for DICOM slices that are missing, doubled, uneven or sheared by a tilted gantry.
    """
    image, modality = _read(Path(path), least)
    if modality not in ("", "CT"):
        raise InputError(f"{path}: modality {modality} is not CT; give a CT series, in Hounsfield units")
    if image.GetPixelID() in (sitk.sitkFloat32, sitk.sitkFloat64):
        image = sitk.Round(image)
    return sitk.DICOMOrient(sitk.Clamp(image, sitk.sitkInt16, PADDING, np.iinfo(np.int16).max), "LPS")


def read_mask(path: str | Path, like: sitk.Image, value: int | None = None) -> sitk.Image:
    """Read where one lesion is: every nonzero voxel of a mask, or those of one label `value`.

    path: as in `read_volume`.  like: the volume on whose grid the mask is wanted; a mask stored on another
    grid is resampled to it, nearest neighbour.  Returns uint8, 0 or 1.

    Raises `InputError` where the mask is empty or most of it lies outside `like`.
    """
    image, modality = _read(Path(path))
    if modality == "SEG":
        raise InputError(f"{path}: a DICOM segmentation object; convert it to a NIfTI mask (3D Slicer does)")
    lesion = image != 0 if value is None else image == value
    stored = np.count_nonzero(sitk.GetArrayViewFromImage(lesion)) * math.prod(image.GetSpacing())  # mm3
    if not stored:
        wanted = "no voxel but zeros" if value is None else f"no voxel of value {value}"
        present = ", ".join(f"{v:g}" for v in np.unique(sitk.GetArrayViewFromImage(image))[:12])
        raise InputError(f"{path}: the mask is empty, {wanted} (it holds {present}); give the lesion's mask")
    mask = sitk.Resample(lesion, like, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    kept = np.count_nonzero(sitk.GetArrayViewFromImage(mask)) * math.prod(like.GetSpacing())
    if kept < stored / 2:
        raise InputError(
            f"{path}: only {kept:.0f} of the mask's {stored:.0f} mm3 lie in the volume; origin, spacing or "
            "direction disagree: export the mask on the grid of its phase"
        )
    return mask


def _read(path: Path, least: int = 2) -> tuple[sitk.Image, str]:
    """A 3D image of one value a voxel, as stored, and its DICOM modality ("" where it has none)."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    with _itk_errors(path):
        files = _series(path) if path.is_dir() else [path]
        headers = [_header(file) for file in files]
        size, values = headers[0].GetSize(), headers[0].GetNumberOfComponents()
        if len(size) != 3 or values != 1:
            shape = " x ".join(map(str, size))
            raise InputError(f"{path}: {shape} with {values} values a voxel is not 3D; give one phase a file")
        if path.is_dir():
            image = sitk.ReadImage([files[i] for i in _stacking_order(path, headers)])
        else:
            if path.name.endswith((".nii", ".nii.gz")):
                _check_nifti(path, headers[0])
            image = sitk.ReadImage(path)
    _check_finite(path, sitk.GetArrayViewFromImage(image))
    if image.GetDepth() < least:
        raise InputError(f"{path}: one slice only; give the whole volume (of DICOM, the folder of its slices)")
    known = headers[0].HasMetaDataKey("0008|0060")
    return image, headers[0].GetMetaData("0008|0060").strip() if known else ""


@contextmanager
def _itk_errors(path: Path) -> Iterator[None]:
    """Keep ITK's warnings off the terminal and turn its many-line errors into one of ours."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    except (RuntimeError, EOFError, OSError, zlib.error) as error:
        raise InputError(
            f"{path}: not readable: truncated, damaged, or no NIfTI or DICOM volume; copy or export it again"
        ) from error
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _header(file: str | Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    reader.ReadImageInformation()
    return reader


def _check_nifti(path: Path, header: sitk.ImageFileReader) -> None:
    """ITK reads zeros where a NIfTI is cut off or holds NaN, without a word: look into the file itself."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        content = file.read()
    start, voxels = int(float(header.GetMetaData("vox_offset"))), math.prod(header.GetSize())
    if len(content) < start + voxels * int(header.GetMetaData("bitpix")) // 8:
        raise EOFError
    if real := {"16": "f4", "64": "f8"}.get(header.GetMetaData("datatype")):
        order = "<" if content[0] else ">"  # of the bytes of the header's length, 348
        _check_finite(path, np.frombuffer(content, order + real, voxels, start))


def _check_finite(path: Path, values: np.ndarray) -> None:
    broken = np.count_nonzero(~np.isfinite(values))
    if broken:
        raise InputError(f"{path}: {broken} voxels are NaN or infinite; export it again with a value in each")


def _series(folder: Path) -> list[str]:
    """The files of the one DICOM series in a folder."""
    find = sitk.ImageSeriesReader
    series = [find.GetGDCMSeriesFileNames(str(folder), uid) for uid in find.GetGDCMSeriesIDs(str(folder))]
    if not series:
        raise InputError(f"{folder}: no DICOM image in this folder (folders in it are not searched)")
    if len(series) > 1:
        counts = " and ".join(str(len(files)) for files in series)
        raise InputError(f"{folder}: {len(series)} DICOM series, of {counts} slices; put each in its own folder")
    # GDCM leaves a truncated slice out without a word, and at an end of the stack no gap tells.
    left_out = sum(map(_is_dicom, folder.iterdir())) - len(series[0])
    if left_out > 0:
        raise InputError(
            f"{folder}: {left_out} DICOM files beside its {len(series[0])} slices are no whole images; copy "
            "them again, or move what is not a slice elsewhere"
        )
    return list(series[0])


def _is_dicom(file: Path) -> bool:
    if not file.is_file() or file.name == "DICOMDIR":
        return False
    with open(file, "rb") as content:
        return content.read(132)[128:] == b"DICM"


def _stacking_order(folder: Path, headers: list[sitk.ImageFileReader]) -> np.ndarray:
    """Order the slices along their normal; an error where they are no even, upright stack."""
    directions = np.array([header.GetDirection() for header in headers])
    if np.abs(directions - directions[0]).max() > 1e-3:
        raise InputError(f"{folder}: its slices differ in orientation; move the localizer to another folder")
    normal = directions[0].reshape(3, 3)[:, 2]
    positions = np.array([header.GetOrigin() for header in headers])  # (n, 3) mm
    order = np.argsort(positions @ normal)
    if len(order) < 2:
        return order
    steps = np.diff(positions[order], axis=0)  # (n - 1, 3) mm
    gaps = steps @ normal
    spacing = np.median(gaps)
    worst = np.abs(gaps - spacing).argmax()
    sideways = np.linalg.norm(steps - gaps[:, None] * normal, axis=1).max()
    if gaps.min() <= TOLERANCE * spacing:
        raise InputError(f"{folder}: two slices at one position; put each phase or reconstruction in its own folder")
    if np.abs(gaps - spacing).max() > TOLERANCE * spacing:
        raise InputError(
            f"{folder}: {gaps[worst]:g} mm between slices {worst + 1} and {worst + 2} of {len(order)}, else "
            f"{spacing:g} mm; slices are missing or uneven: copy the series again or export it evenly spaced"
        )
    if sideways > TOLERANCE * spacing:
        tilt = np.degrees(np.arctan2(sideways, spacing))
        raise InputError(f"{folder}: gantry tilted by {tilt:.1f} degrees; resample it upright (dcm2niix does)")
    return order
