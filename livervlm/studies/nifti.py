"""NIfTI-1 and -2, header and voxels (nifti1.h and nifti2.h of the NIfTI data format working group).

A NIfTI file states its geometry up to three times (sform, qform, pixel sizes).  Where they contradict each other a
reader that picks one is wrong half of the time, so here they must agree.
"""

import gzip
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..base.errors import InputError
from .reading import Reading, check_bytes, sitk
from .stack import as_image, right_angles

TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
UNITS = {1: 1000.0, 2: 1.0, 3: 0.001}  # mm in a metre, a millimetre, a micrometre
FIELDS = {  # of each version: offset and format
    1: {"dim": (40, "8h"), "datatype": (70, "h"), "pixdim": (76, "8f"), "offset": (108, "f"), "slope": (112, "f"),
        "intercept": (116, "f"), "units": (123, "B"), "qform": (252, "h"), "sform": (254, "h"),
        "quaternion": (256, "3f"), "qoffset": (268, "3f"), "rows": (280, "12f")},
    2: {"dim": (16, "8q"), "datatype": (12, "h"), "pixdim": (104, "8d"), "offset": (168, "q"), "slope": (176, "d"),
        "intercept": (184, "d"), "units": (500, "i"), "qform": (344, "i"), "sform": (348, "i"),
        "quaternion": (352, "3d"), "qoffset": (376, "3d"), "rows": (400, "12d")},
}  # fmt: skip
LENGTHS = {348: 1, 540: 2}  # bytes of a header -> version
PAIR = re.compile(r"(.+)\.(hdr|img)", re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    order: str  # of bytes: "<" or ">"
    version: int
    dim: tuple
    datatype: int
    pixdim: tuple
    offset: float
    slope: float
    intercept: float
    units: int
    qform: int
    sform: int
    quaternion: tuple
    qoffset: tuple
    rows: tuple


def is_nifti(path: Path) -> bool:
    """By name; what its content is decides only how it is read."""
    return path.name.lower().endswith((".nii", ".nii.gz")) or bool(PAIR.fullmatch(path.name))


def read_nifti(path: Path, reading: Reading) -> sitk.Image:
    """The volume with its own values, rescaled where the header says so; raises `EOFError` where it is cut short."""
    heads, voxels_of = _two_files(path)
    with _unpacked(heads) as file:
        header, shape = _begin(file)
        if heads != voxels_of:
            _check_pair(file)
    with _unpacked(voxels_of) as file:
        kind = np.dtype(header.order + TYPES[header.datatype])
        voxels = int(np.prod(shape))
        check_bytes(voxels, kind.itemsize)
        start = int(header.offset)
        if not 0 <= start <= 2**24:
            raise EOFError
        file.seek(start)
        content = file.read(voxels * kind.itemsize)  # no more, however much there is
    if len(content) < voxels * kind.itemsize:
        raise EOFError
    values = np.frombuffer(content, kind).reshape(shape[::-1]).astype(kind.newbyteorder("="), copy=False)
    matrix, origin = _geometry(header, shape, reading)
    return as_image(_rescaled(header, values), matrix, origin)


def nifti_grid(path: Path) -> tuple[np.dtype, tuple[int, int, int], np.ndarray, np.ndarray]:
    """By the header: the type of a voxel as stored, how many along x, y, z, (3, 3) mm along these, (3,) origin."""
    with _unpacked(path) as file:
        header, shape = _begin(file)
    return np.dtype(TYPES[header.datatype]), shape, *_geometry(header, shape, Reading())


def _two_files(path: Path) -> tuple[Path, Path]:
    """The file of the header and that of the voxels, which are two for NAME.hdr and NAME.img."""
    pair = PAIR.fullmatch(path.name)
    if not pair:
        return path, path
    beside = [one for one in path.parent.iterdir() if (of := PAIR.fullmatch(one.name)) and of[1] == pair[1]]
    found = {PAIR.fullmatch(one.name)[2].lower(): one for one in beside}
    if len(found) < 2:
        raise InputError("a header and its voxels are two files, .hdr and .img, of one name; one of them is missing")
    return found["hdr"], found["img"]


def _check_pair(file: BinaryIO) -> None:
    file.seek(0)
    head = file.read(348)
    if head[344:347] != b"ni1" and head[4:7] != b"ni2":
        raise InputError("an Analyze file does not tell which side is left; export it as NIfTI from the original")


def _unpacked(path: Path) -> BinaryIO:
    with open(path, "rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    return (gzip.open if packed else open)(path, "rb")


def _begin(file: BinaryIO) -> tuple[Header, tuple[int, int, int]]:
    header = _header(file.read(540))
    if header is None:
        raise EOFError
    return header, _shape(header)


def _header(head: bytes) -> Header | None:
    for order in "<>":
        version = LENGTHS.get(struct.unpack(order + "i", head[:4])[0]) if len(head) >= 348 else None
        if version and len(head) >= (540 if version == 2 else 348):
            parts = {name: struct.unpack_from(order + form, head, at) for name, (at, form) in FIELDS[version].items()}
            return Header(order, version, **{name: p if len(p) > 1 else p[0] for name, p in parts.items()})
    return None


def _shape(header: Header) -> tuple[int, int, int]:
    axes = header.dim[0]
    size = header.dim[1 : axes + 1]
    if not 1 <= axes <= 7 or min(size) < 1:
        raise EOFError
    while len(size) > 3 and size[-1] == 1:
        size = size[:-1]
    if len(size) != 3 or header.datatype not in TYPES:
        values = 1 if header.datatype in TYPES else "several or complex"
        shown = " x ".join(map(str, size))
        raise InputError(f"{shown} with {values} values a voxel is not 3D; give one phase a file")
    return size


def _rescaled(header: Header, values: np.ndarray) -> np.ndarray:
    slope, intercept = header.slope, header.intercept
    if not np.isfinite([slope, intercept]).all():
        slope, intercept = 0.0, 0.0
    if slope == 0 and intercept != 0:
        raise InputError(
            f"its header says slope 0 and intercept {intercept:g}: by the standard values are not rescaled, by "
            f"the intercept {values.min():g} is {values.min() + intercept:g}; write slope 1, or no intercept"
        )
    if slope in (0, 1) and intercept == 0:
        return values
    return values * (slope if values.dtype == np.float64 else np.float32(slope)) + np.float32(intercept)


def _geometry(header: Header, shape: tuple, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
    """((3, 3) mm along x, y, z of the array, (3,) origin), in LPS; an error where two statements differ."""
    scale = UNITS.get(header.units & 7)
    if scale is None:
        reading.assume("the header names no unit of length: taken as mm")
        scale = 1.0
    told = {}
    if header.sform > 0:
        told["sform"] = np.reshape(header.rows, (3, 4))
    if header.qform > 0:
        told["qform"] = _qform(header)
    sizes = np.abs(header.pixdim[1:4])
    if not told and not (sizes > 0).all():
        raise InputError("its header tells no size of a voxel; write it, or take it from the original")
    if not told:
        reading.assume(
            "the header tells no orientation (qform and sform 0): taken as left to right, back to front, feet up"
        )
        told["pixel sizes"] = np.column_stack([np.diag(sizes), np.zeros(3)])
    for name, matrix in told.items():
        lengths = np.linalg.norm(matrix[:, :3], axis=0)
        if not np.isfinite(matrix).all() or (lengths < 1e-6).any():
            raise InputError(f"its {name} is no geometry; write one, or take it from the original")
        if (sizes > 0).all() and np.abs(lengths / sizes - 1).max() > 0.02:
            raise InputError(
                f"voxels of {_mm(sizes)} by its pixel sizes, of {_mm(lengths)} by its {name}; write the true "
                "one into both"
            )
    if len(told) == 2:
        corners = np.vstack([np.array(np.meshgrid(*((0, n - 1) for n in shape))).reshape(3, -1), np.ones(8)])
        apart = np.linalg.norm((told["sform"] - told["qform"]) @ corners, axis=0).max()
        if apart > sizes.min():
            raise InputError(
                f"qform and sform lie {apart:.1f} mm apart (first voxel at {_mm(told['qform'][:, 3])} and at "
                f"{_mm(told['sform'][:, 3])}); write the true one into both"
            )
    matrix = next(iter(told.values())) * scale
    lps = np.diag([-1.0, -1.0, 1.0]) @ matrix
    return right_angles(lps[:, :3], reading), lps[:, 3]


def _qform(header: Header) -> np.ndarray:
    """(3, 4) of the quaternion (nifti1.h, method 2)."""
    b, c, d = header.quaternion
    a = np.sqrt(max(1 - (b * b + c * c + d * d), 0))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handed = -1.0 if header.pixdim[0] < 0 else 1.0
    return np.column_stack([rotation * np.abs(header.pixdim[1:4]) * (1, 1, handed), header.qoffset])


def _mm(values: np.ndarray) -> str:
    return " x ".join(f"{v:.4g}" for v in values) + " mm"
