"""ROIs: squares around a lesion, cut out of a `Study` slice by slice and phase by phase."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import interpolate

from ..base.errors import InputError
from .study import Study

PLAUSIBLE = (-150.0, 400.0)  # HU between which the median of any lesion in the liver lies


@dataclass(frozen=True, eq=False)
class Rois:
    """The slices of one study, ready to be stacked into a `LesionSet`."""

    hu: np.ndarray  # (n, P, S, S) int16
    spacing: np.ndarray  # (n, 3) float32, mm
    masks: dict[str, np.ndarray]  # name -> (n, P, S, S) bool


def mask_box(mask: np.ndarray) -> tuple[int, int, int, int, int, int]:
    """The box of a (Z, Y, X) mask, ends excluded."""
    if not mask.any():
        raise InputError("the lesion mask is empty; give a mask with at least one voxel")
    ends = []
    for axis in range(3):
        inside = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        ends += [int(inside[0]), int(inside[-1]) + 1]
    return tuple(ends)


def extract_rois(
    study: Study,
    size: int,
    *,
    phases: Sequence[str],
    margin: float = 1.5,
    aligned: bool = True,
    field: float | None = None,
) -> Rois:
    """Cut the lesion out of every axial slice that its box spans, in every phase.

    One square per lesion, `margin` times its largest in-plane extent, so that all its slices share one scale, or with
    `field` that many mm for every lesion; resampled to `size` pixels.  `aligned` moves the square to the lesion's
    centre in each phase (where `centres` tells it); otherwise every phase is cut at the same table position.  Both
    start from the study's reference phase, whether or not it is among the `phases` that are cut.

    Raises `InputError` for a missing phase or Hounsfield units that no ROI of the liver has.
    """
    if size < 8:
        raise InputError(f"ROIs of {size} pixels a side show no lesion; ask for at least 8")
    missing = [p for p in phases if p not in study.volumes]
    if missing:
        raise InputError(f"phase {missing[0]} is missing: the study has {', '.join(study.volumes)}")
    z0, z1, y0, y1, x0, x1 = study.box
    dz, dy, dx = study.spacing
    half = (field or max((y1 - y0) * dy, (x1 - x0) * dx) * margin) / 2  # mm
    centre = np.array([(z0 + z1 - 1) / 2, (y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2])
    reference = np.array(study.centres.get(study.reference, centre))
    hu = np.empty((z1 - z0, len(phases), size, size), dtype=np.int16)
    masks = {name: np.zeros(hu.shape, dtype=bool) for name in study.masks}
    for p, phase in enumerate(phases):
        shift = np.array(study.centres.get(phase, reference)) - reference if aligned else np.zeros(3)
        where = centre + shift
        rows = _span(where[1], half / dy)
        columns = _span(where[2], half / dx)
        depth = np.arange(z0, z1) + round(shift[0])
        if depth[0] < 0 or depth[-1] >= len(study.volumes[phase]):
            raise InputError(f"phase {phase} was scanned too short: the lesion moved out of it; leave the lesion out")
        for name, volume in [("", study.volumes[phase]), *((n, m[phase]) for n, m in study.masks.items())]:
            square = _resample(_crop(volume[depth], rows, columns), size)
            if name:
                masks[name][:, p] = square > 0.5
            else:
                _check_hu(square, phase)
                hu[:, p] = np.rint(square)
    pixel = [(end - start) * d / size for (start, end), d in ((rows, dy), (columns, dx))]  # mm; whole voxels were cut
    return Rois(hu, np.tile(np.float32([dz, *pixel]), (z1 - z0, 1)), masks)


def _span(centre: float, half: float) -> tuple[int, int]:
    first = round(centre - half + 0.5)
    return first, first + max(round(2 * half), 2)


def _crop(slices: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """(n, rows, columns) float32; beyond the picture its edge is repeated, as no tissue is known there."""
    y = np.arange(*rows).clip(0, slices.shape[1] - 1)
    x = np.arange(*columns).clip(0, slices.shape[2] - 1)
    return slices[:, y][:, :, x].astype(np.float32)


def _resample(squares: np.ndarray, size: int) -> np.ndarray:
    """(n, h, w) -> (n, size, size), bilinear, smoothed where pixels are merged."""
    tensor = torch.from_numpy(squares)[:, None]
    return interpolate(tensor, (size, size), mode="bilinear", antialias=True)[:, 0].numpy()


def _check_hu(square: np.ndarray, phase: str) -> None:
    """Judge the middle of each slice, where the lesion is: around it there may be lung or air."""
    quarter = square.shape[1] // 4
    low, high = PLAUSIBLE
    for number, picture in enumerate(square[:, quarter:-quarter, quarter:-quarter]):
        if not np.isfinite(picture).all():
            raise InputError(f"phase {phase} holds NaN inside the ROI; every voxel needs a HU")
        median, padding = np.median(picture), np.mean(picture < -1000)
        if not low <= median <= high or np.ptp(picture) < 5 or padding > 0.05:
            raise InputError(
                f"implausible HU in phase {phase}, slice {number} of the lesion: median {median:.0f}, range "
                f"{np.ptp(picture):.0f}, padding {padding:.0%}; a lesion in the liver has a median of {low:.0f} to "
                f"{high:.0f} HU. Check that the phase covers the lesion and that its values are Hounsfield units"
            )
