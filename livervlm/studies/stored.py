"""A 3D image from disk as it is stored: DICOM, NIfTI, NRRD, MHA and whatever else SimpleITK reads."""

import re
from pathlib import Path

import numpy as np

from ..base.errors import InputError
from .frames import read_header
from .nifti import is_nifti, read_nifti
from .reading import Reading, check_bytes, silence, sitk
from .series import CT, is_dicom, modality, numbered, sop_class, the_file, the_series
from .stack import FARTHEST, volume

VOXELS = (0.01, 1000.0)  # mm: the least and the largest side of one
# Numbers of NRRD and MetaImage headers on which geometry hangs; ITK crashes on some, and never ends on others.
NUMBERS = re.compile(
    rb"^(NDims|DimSize|TransformMatrix|Rotation|Orientation|Offset|Position|Origin|CenterOfRotation|ElementSpacing|"
    rb"ElementSize|dimension|space dimension|sizes|spacings|space directions|space origin)[ \t]*[:=](?!=)([^\r\n]*)",
    re.MULTILINE,
)
NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|nan|[-+]?inf", re.IGNORECASE)


def read_stored(path: Path, least: int, reading: Reading) -> sitk.Image:
    """A 3D image of one value a voxel on the axes on which it is stored; for use within `one_line`."""
    path, number = numbered(path)
    if not path.exists():
        raise InputError("no such file or folder")
    if path.is_dir():
        image = volume(the_series(path, reading, number), reading)
    elif number is not None:
        raise InputError(f"series {number} was asked for; only a folder has several")
    elif is_dicom(path):
        image = _dicom_file(path, reading)
    elif is_nifti(path):
        image = read_nifti(path, reading)
    else:
        with silence():
            image = _itk_file(path)
    values = sitk.GetArrayViewFromImage(image)
    broken = 0 if values.dtype.kind in "iu" else np.count_nonzero(~np.isfinite(values))
    if broken:
        raise InputError(f"{broken} voxels are NaN or infinite; export it again with a value in each")
    if not VOXELS[0] <= min(image.GetSpacing()) <= max(image.GetSpacing()) <= VOXELS[1]:
        shown = " x ".join(f"{mm:.3g}" for mm in image.GetSpacing())
        raise InputError(f"voxels of {shown} mm; the header is damaged, export it again")
    if image.GetDepth() < least:
        raise InputError("one slice only; give the whole volume (of DICOM, the folder of its slices)")
    return image


def _dicom_file(path: Path, reading: Reading) -> sitk.Image:
    header = read_header(path)
    if sop_class(header) not in CT or header.get("Modality") not in (None, "", "CT"):
        raise InputError(f"modality {modality(header)} is not CT; give a CT series, in Hounsfield units")
    return volume(the_file(path, header, reading), reading)


def _itk_file(path: Path) -> sitk.Image:
    with open(path, "rb") as file:
        _check_numbers(file.read(8192))
    header = sitk.ImageFileReader()
    header.SetFileName(path)
    header.ReadImageInformation()
    size, values = header.GetSize(), header.GetNumberOfComponents()
    if len(size) != 3 or values != 1:
        shape = " x ".join(map(str, size))
        raise InputError(f"{shape} with {values} values a voxel is not 3D; give one phase a file")
    wide = 8 if header.GetPixelID() in (sitk.sitkFloat64, sitk.sitkInt64, sitk.sitkUInt64) else 4
    check_bytes(int(np.prod(size, dtype=float)), wide)
    return header.Execute()


def _check_numbers(head: bytes) -> None:
    for name, text in NUMBERS.findall(head):
        told = [one for one in re.split(rb"[\s,()]+", text) if one not in (b"", b"none")]
        least, most = (1, 7) if name in (b"NDims", b"dimension") else (-FARTHEST, FARTHEST)
        if not all(NUMBER.fullmatch(one) and least <= float(one) <= most for one in told):
            raise InputError(
                f"{name.decode()} in its header is no number from {least:g} to {most:g}; it is damaged, export it again"
            )
