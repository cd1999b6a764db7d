"""A 3D image from disk as it is stored: DICOM, NIfTI, NRRD, MetaImage, and HDF5 or MINC as ITK writes them."""

import re
from pathlib import Path

import numpy as np

from ..base.errors import InputError
from .frames import read_header
from .nifti import is_nifti, read_nifti
from .reading import Reading, check_bytes, silence, sitk
from .series import CT, is_dicom, modality, numbered, sop_class, the_file, the_series
from .stack import FARTHEST, right_angles, volume

VOXELS = (0.01, 1000.0)  # mm: the least and the largest side of one
# Numbers of NRRD and MetaImage headers on which geometry hangs; ITK crashes on some, and never ends on others.
NUMBERS = re.compile(
    rb"^(NDims|DimSize|TransformMatrix|Rotation|Orientation|Offset|Position|Origin|CenterOfRotation|ElementSpacing|"
    rb"ElementSize|dimension|space dimension|sizes|spacings|space directions|space origin)[ \t]*[:=](?!=)([^\r\n]*)",
    re.MULTILINE,
)
KEYS = re.compile(rb"^([A-Za-z ]+?)[ \t]*[:=](?!=)([^\r\n]*)", re.MULTILINE)
PATIENT = re.compile(rb"(left|right|[lr])[- ]?(anterior|posterior|[ap])[- ]?(superior|[s])", re.IGNORECASE)
WITH_AXES = (b"\x89HDF", b"CDF")  # ITK's own HDF5, and MINC
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
            image = _itk_file(path, reading)
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


def _itk_file(path: Path, reading: Reading) -> sitk.Image:
    with open(path, "rb") as file:
        head = file.read(8192)
    _check_numbers(head)
    header = sitk.ImageFileReader()
    header.SetFileName(path)
    header.ReadImageInformation()
    size, values = header.GetSize(), header.GetNumberOfComponents()
    if len(size) != 3 or values != 1:
        shape = " x ".join(map(str, size))
        raise InputError(f"{shape} with {values} values a voxel is not 3D; give one phase a file")
    wide = 8 if header.GetPixelID() in (sitk.sitkFloat64, sitk.sitkInt64, sitk.sitkUInt64) else 4
    check_bytes(int(np.prod(size, dtype=float)), wide)
    _tell_geometry(head, reading)
    image = header.Execute()
    axes, spacing = np.reshape(image.GetDirection(), (3, 3)), np.array(image.GetSpacing())
    lengths = np.linalg.norm(axes, axis=0)
    if np.abs(lengths - 1).max() > 0.02:
        sizes, scaled = (" x ".join(f"{mm:.4g}" for mm in of) for of in (spacing, spacing * lengths))
        raise InputError(f"voxels of {sizes} mm by its spacing, of {scaled} mm by its axes; write the true one")
    image.SetDirection((right_angles(axes * spacing, reading) / (spacing * lengths)).ravel().tolist())
    return image


def _tell_geometry(head: bytes, reading: Reading) -> None:
    """What NRRD and MetaImage, which need not tell where their voxels lie, leave open; other formats cannot tell it."""
    text = re.split(rb"\r?\n\r?\n|ElementDataFile", head)[0]
    told = {name: value.strip(b' \t"') for name, value in KEYS.findall(text)}
    if head.startswith(b"NRRD"):
        axes, sizes, origin = {b"space directions"}, {b"space directions", b"spacings"}, {b"space origin", b"axis mins"}
        unit = told.get(b"space units", b"mm").partition(b'"')[0]
        if axes & told.keys() and not PATIENT.match(told.get(b"space", b"")):
            reading.assume(
                "the header does not tie its axes to the patient: taken as to the left, the back and the head"
            )
    elif b"ElementType" in told:
        axes, sizes = {b"TransformMatrix", b"Rotation", b"Orientation"}, {b"ElementSpacing", b"ElementSize"}
        origin, unit = {b"Offset", b"Position", b"Origin"}, told.get(b"DistanceUnits", b"mm")
    elif head.startswith(WITH_AXES):
        return
    else:
        raise InputError("its format does not tell how voxels lie in the patient; export it as NIfTI, NRRD or MHA")
    if not sizes & told.keys():
        raise InputError("its header tells no size of a voxel; write it, or take it from the original")
    if unit.lower() not in (b"mm", b"millimeter", b"millimeters", b"?", b""):
        raise InputError("its header measures in another unit than mm; export it in mm")
    if not axes & told.keys():
        reading.assume("the header tells no orientation: taken as right to left, front to back, feet up")
    if not origin & told.keys():
        reading.assume("the header tells no place of the first voxel: taken as 0, 0, 0")


def _check_numbers(head: bytes) -> None:
    for name, text in NUMBERS.findall(head):
        told = [one for one in re.split(rb"[\s,()]+", text) if one not in (b"", b"none")]
        least, most = (1, 7) if name in (b"NDims", b"dimension") else (-FARTHEST, FARTHEST)
        if not all(NUMBER.fullmatch(one) and least <= float(one) <= most for one in told):
            raise InputError(
                f"{name.decode()} in its header is no number from {least:g} to {most:g}; it is damaged, export it again"
            )
