"""Slices of CT whose window of Hounsfield units moves."""

from collections.abc import Sequence

from ...scans.conventions import WINDOW
from ...scans.lesions import LesionSet
from ..figures import PALETTE, lesion_grid
from .shared import MovingFigure, checked_rows, packed

# Name, level and width in HU.  The first is what a figure starts with; the last two show what liver needs a window for.
WINDOWS = (
    ("liver", sum(WINDOW) / 2, WINDOW[1] - WINDOW[0]),
    ("narrow", 60, 150),
    ("lung", -600, 1500),
    ("bone", 400, 1800),
)


def window_level(lesions: LesionSet, rows: Sequence[int]) -> MovingFigure:
    """Some slices in all their phases, one slice at a time, under a window of HU that is dragged."""
    rows = checked_rows(lesions, rows)
    names = [lesions.classes[label] for label in lesions.label[rows]]
    spec = {
        "hu": packed(lesions.hu[rows]),
        "side": lesions.size,
        "phases": lesions.phases,
        "slices": names,
        "presets": WINDOWS,
        "colours": PALETTE,
    }
    low, high = WINDOW
    alt = f"CT slices ({', '.join(names)}) in the phases {', '.join(lesions.phases)}, window {low:g} to {high:g} HU."
    return MovingFigure("window_level", spec, lesion_grid(lesions, rows), alt)
