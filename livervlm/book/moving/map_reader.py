"""Grad-CAM maps over the slices they belong to, on one scale or each on its own."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import zoom

from ...base.errors import InputError
from ...scans.conventions import WINDOW
from ...scans.lesions import LesionSet
from ..figures import map_grid
from .shared import MovingFigure, checked_rows, packed

LARGEST = 112  # pixels a side of a slice under a map


def map_reader(lesions: LesionSet, rows: Sequence[int], maps: Mapping[str, np.ndarray]) -> MovingFigure:
    """Grad-CAM maps of every class over some slices, on one scale for all or for a slice, or each stretched by itself.

    maps: name of a network -> (rows, C, g, g), raw and signed.  Where the set has masks, the lesion and its causal
    parts are outlined.  Slices are shown at 112 pixels a side at most.
    """
    rows = checked_rows(lesions, rows)
    given = {name: np.asarray(values, np.float32) for name, values in maps.items()}
    if not given:
        raise InputError("no maps: give those of at least one network, by its name")
    grid = next(iter(given.values())).shape[-1]
    shape = len(rows), len(lesions.classes), grid, grid
    for name, values in given.items():
        if values.shape != shape or grid < 2:
            raise InputError(f"maps of {name}: shape {values.shape}; expected {shape}, rows x classes x a square grid")
        if not np.isfinite(values).all():
            raise InputError(f"maps of {name}: some are not finite; look at the network's weights")
    step = -(-lesions.size // LARGEST)
    side, phase = lesions.size // step, len(lesions.phases) // 2
    hu = lesions.hu[rows][..., : side * step, : side * step]
    hu = hu.reshape(*hu.shape[:2], side, step, side, step).mean(axis=(3, 5))
    spec = {
        "hu": packed(np.rint(hu).astype(np.int16)),
        "side": side,
        "window": WINDOW,
        "phases": lesions.phases,
        "phase": phase,
        "classes": lesions.classes,
        "labels": lesions.label[rows].tolist(),
        "networks": list(given),
        "grid": grid,
        "maps": packed(np.stack(list(given.values()))),
        "outlined": lesions.mask_names,
    }
    if lesions.masks is not None:
        middle = slice(step // 2, side * step, step)
        spec["masks"] = packed(lesions.masks[rows][..., middle, middle])
    first, truth = next(iter(given)), lesions.classes[lesions.label[rows[0]]]
    alt = f"A lesion ({truth}) under the map of each class: red for it, blue against it; network {first}."
    return MovingFigure("map_reader", spec, _still(hu[0, phase], given[first][0], lesions.classes, first), alt)


def _still(hu: np.ndarray, maps: np.ndarray, classes: Sequence[str], network: str) -> Figure:
    """One picture (side, side) under the maps (C, g, g) of one network, on one scale."""
    over = np.stack([zoom(one, len(hu) / len(one), order=1, grid_mode=True, mode="nearest") for one in maps])
    under = np.repeat(hu[None].clip(*WINDOW), len(over), axis=0)
    return map_grid(under, {network: over}, classes, float(np.abs(maps).max()) or 1.0)
