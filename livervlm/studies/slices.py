"""A CT study as a network of the book reads it: axial slices from the head down, in the phantom's field of view."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_opening, label

from ..base.errors import InputError
from ..scans.conventions import PHASE_NAMES
from ..scans.study import PADDING
from .acquisitions import doubt_phases
from .files import on_grid
from .reading import Reading, sitk, told
from .volumes import read_mask, read_volume

FIELD = (350.0, 420.0)  # mm: the narrowest and the usual field of view of the phantom's abdomens
AROUND = 100.0  # mm of flanks and air at both sides of a trunk, together
COARSE = 5.0  # mm: pixels in which the body is looked for
BODY = -500.0  # HU, between air and fat


@dataclass(frozen=True, eq=False)
class AxialSlices:
    """S slices of a study in each of P phases, from the head down.

    hu: (S, P, size, size) int16, rows from front to back, columns from the patient's right to left.
    phases: P names; one empty name where the study tells none.
    numbers: (S,) of the slices, counted from the feet, from 1.  positions: (S,) mm, larger towards the head.
    full: phase -> (S, Y, X) int16 HU in the study's own pixels.  spacing: mm of these along Z, Y, X.
    corner, side: of the square that is seen, mm: (y, x) from the picture's corner, and its length.
    mask: (S, Y, X) bool of the liver in the study's own pixels, where one was given; liver: (S, size, size), the same.
    """

    hu: np.ndarray
    phases: tuple[str, ...]
    numbers: np.ndarray
    positions: np.ndarray
    full: Mapping[str, np.ndarray]
    spacing: tuple[float, float, float]
    corner: tuple[float, float]
    side: float
    mask: np.ndarray | None = None
    liver: np.ndarray | None = None

    @classmethod
    def of(cls, full: Mapping[str, np.ndarray], size: int, *, mask: np.ndarray | None = None, **told) -> "AxialSlices":
        """From slices in the study's own pixels.  told: `numbers`, `positions`, `spacing`, `corner` and `side`.

        A new pixel is the mean over its area, as a scanner's larger pixel would be; it is liver where half of it is.
        """
        spacing, corner, side = told["spacing"], told["corner"], told["side"]
        square = partial(area_means, spacing=spacing, corner=corner, pixel=side / size, shape=(size, size))
        hu = np.rint(np.stack([*map(square, full.values())], axis=1)).astype(np.int16)
        liver = None if mask is None else square(mask) >= 0.5
        return cls(hu=hu, phases=tuple(full), full=full, mask=mask, liver=liver, **told)

    def resized(self, size: int) -> "AxialSlices":
        """The same slices as a network of another size reads them."""
        told = {name: getattr(self, name) for name in ("numbers", "positions", "spacing", "corner", "side")}
        return self.of(self.full, size, mask=self.mask, **told)


def read_slices(
    path: str | Path, size: int = 64, liver: str | Path | None = None, reading: Reading | None = None
) -> AxialSlices:
    """Read a study of one phase, as `read_volume` does, or a folder with one or more of NC, ART, PV and DL, each a
    folder of DICOM or a file such as NC.nii.gz; further phases are resampled (linear) onto the grid of the last.

    Each slice becomes `size` x `size` pixels, as `AxialSlices.of` makes them, with air (-1024 HU) where the picture
    ends.  The field of view is the picture's own where that is a square as wide as the phantom's are.  Of a wider
    picture it is what the body needs, around the trunk's middle; a narrower one is padded.  liver: a mask of it on any
    grid, as `read_mask` takes it.  reading: gets a line for all that was assumed, left out or is doubtful.

    Raises `InputError` as `read_volume` does, except for a single slice, and where there is no body in the picture.
    """
    path = Path(path)
    files = {p: file for p in PHASE_NAMES for file in (path / p, path / f"{p}.nii.gz") if file.exists()} or {"": path}
    last = [*files][-1]
    reading = told(reading)
    parts = {p: Reading() for p in files}
    grid = read_volume(files[last], 1, parts[last])
    spacing = grid.GetSpacing()[::-1]
    full = {p: on_grid(read_volume(file, 1, parts[p]), grid) for p, file in files.items() if p != last}
    full[last] = sitk.GetArrayFromImage(grid)
    for phase, part in parts.items():
        reading.add(part, phase)
    doubt_phases({p: part.source for p, part in parts.items()}, full, spacing, set(), reading)
    try:
        corner, side = field_of_view(full[last], spacing)
    except InputError as error:
        raise InputError(f"{files[last]}: {error}") from error
    mask = None if liver is None else sitk.GetArrayFromImage(read_mask(liver, grid, piece=0, reading=reading))
    return AxialSlices.of(
        {phase: volume[::-1] for phase, volume in full.items()},
        size,
        mask=None if mask is None else mask[::-1].astype(bool),
        numbers=np.arange(grid.GetDepth(), 0, -1),
        positions=np.array([grid.TransformIndexToPhysicalPoint((0, 0, z))[2] for z in range(grid.GetDepth())][::-1]),
        spacing=spacing,
        corner=tuple(corner.tolist()),
        side=side,
    )


def field_of_view(hu: np.ndarray, spacing: tuple[float, float, float]) -> tuple[np.ndarray, float]:
    """The square that a selector sees: its corner (y, x) in mm from the picture's corner, and its side in mm.

    hu: (Z, Y, X).  Its middle is that of the trunk, unless it would leave a picture that is large enough for it.
    """
    low, high = body_box(hu, spacing)
    extent = np.multiply(hu.shape[1:], spacing[1:])
    narrowest, usual = FIELD
    side = float(np.clip(extent.max(), narrowest, max(usual, high[1] - low[1] + AROUND)))
    corner = (low + high - side) / 2
    return np.where(extent < side, corner, corner.clip(0, (extent - side).clip(0))), side


def body_box(hu: np.ndarray, spacing: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Where the trunk begins and ends over all slices: two (y, x), mm from the picture's corner.

    The body is the largest connected piece above -500 HU after an opening by 15 mm, which takes away what is thin, such
    as the shells of the table, sheets and tubes.  Of its columns those count that are at least half as thick as the
    thickest: arms that lie against the trunk are not.
    """
    shape = np.ceil(np.multiply(hu.shape[1:], spacing[1:]) / COARSE).astype(int)
    dense = area_means(hu, spacing, (0, 0), COARSE, shape) > BODY
    pieces, n = label(binary_opening(dense, np.ones((1, 3, 3))))
    if not n:
        raise InputError(f"no body in it, all is below {BODY:g} HU or thin; give a CT in Hounsfield units")
    body = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    thick = body.sum(axis=1).max(axis=0)
    ends = [np.flatnonzero(there)[[0, -1]] for there in (body.any(axis=(0, 2)), 2 * thick >= thick.max())]
    low, high = np.transpose(ends)
    return COARSE * low, COARSE * (high + 1)


def area_means(hu: np.ndarray, spacing, corner, pixel: float, shape) -> np.ndarray:
    """Slices (Z, Y, X) in square pixels of `pixel` mm from `corner` (y, x) on, in mm: (Z, *shape) float32.

    A new pixel is the mean over its area; beyond the picture is air.
    """
    y, x = (_shares(*of) for of in zip(hu.shape[1:], spacing[1:], corner, [pixel] * 2, shape, strict=True))
    # Above air, so that what no old pixel covers adds nothing.
    return np.stack([y @ (one - np.float32(PADDING)) @ x.T for one in hu]) + np.float32(PADDING)


def _shares(old: int, spacing: float, first: float, pixel: float, new: int) -> np.ndarray:
    """(new, old) float32: the share of each new pixel that lies in each old one, along one axis."""
    was, now = spacing * np.arange(old + 1), first + pixel * np.arange(new + 1)
    common = np.minimum(now[1:, None], was[1:]) - np.maximum(now[:-1, None], was[:-1])
    return np.float32(common.clip(0) / pixel)
