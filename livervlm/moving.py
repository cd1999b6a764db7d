"""Figures that a reader moves without a kernel: one script over arrays that lie in the cell's own output.

They work in the static page, in Jupyter and in Colab, and ask no network for anything.  Without JavaScript, or
in a notebook that is not trusted, a still picture takes their place.
"""

import base64
import hashlib
import html
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .errors import InputError
from .figures import PALETTE, lesion_grid
from .lesions import WINDOW, LesionSet
from .paths import data_file

# Name, level and width in HU.  The first is what a figure starts with; the last two show what liver needs a window for.
WINDOWS = (
    ("liver", sum(WINDOW) / 2, WINDOW[1] - WINDOW[0]),
    ("narrow", 60, 150),
    ("lung", -600, 1500),
    ("bone", 400, 1800),
)
MOST_ROWS = 24  # each travels in the page
SCALES = (("1", 1.0), ("10", 10.0), ("1/0.07", 1 / 0.07))  # a figure starts with the last


class MovingFigure:
    """What a cell returns to show one figure of `data/moving.js`."""

    def __init__(self, spec: dict[str, Any], still: Figure, alt: str):
        """spec: what the script draws, with arrays as `_packed`.  still: drawn here, closed, shown with `alt`."""
        self._alt = alt
        picture = io.BytesIO()
        still.savefig(picture, format="webp", dpi=100, pil_kwargs={"quality": 85})  # a noisy PNG: 6 times as large
        plt.close(still)
        self._still = f'<img src="data:image/webp;base64,{_base64(picture.getvalue())}" alt="{html.escape(alt)}">'
        self._spec = json.dumps(spec, separators=(",", ":")).replace("<", r"\u003c")  # "</script>" would end the script

    def __repr__(self) -> str:
        return self._alt

    def _repr_html_(self) -> str:
        key = hashlib.sha256(self._spec.encode()).hexdigest()[:16]
        script, style = (data_file(f"moving.{kind}").read_text(encoding="utf-8").strip() for kind in ("js", "css"))
        return (
            f"<style>{style}</style>\n"
            f'<div class="livervlm-moving" data-moving="{key}" data-lm-suppress-shortcuts="true">{self._still}</div>\n'
            f'<script>(\n{script}\n)("{key}", {self._spec});</script>'
        )


def window_level(lesions: LesionSet, rows: Sequence[int]) -> MovingFigure:
    """Some slices in all their phases, one slice at a time, under a window of HU that is dragged."""
    rows = np.asarray(rows)
    if rows.ndim != 1 or not rows.size:
        raise InputError("no rows: name the slices to show, such as [0, 5]")
    if rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= len(lesions):
        raise InputError(f"rows {rows.tolist()} are not all slices of this set: they go from 0 to {len(lesions) - 1}")
    if len(rows) > MOST_ROWS:
        raise InputError(f"{len(rows)} rows make too large a page: choose at most {MOST_ROWS}")
    names = [lesions.classes[label] for label in lesions.label[rows]]
    spec = {
        "figure": "window_level",
        "hu": _packed(lesions.hu[rows]),
        "side": lesions.size,
        "phases": lesions.phases,
        "slices": names,
        "presets": WINDOWS,
        "colours": PALETTE,
    }
    low, high = WINDOW
    alt = f"CT slices ({', '.join(names)}) in the phases {', '.join(lesions.phases)}, window {low:g} to {high:g} HU."
    return MovingFigure(spec, lesion_grid(lesions, rows), alt)


def similarity_space(cosine: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> MovingFigure:
    """Probabilities of one example, loss and calibration of all, under a temperature that is moved.

    cosine: (N, C) between pictures and class sentences.  labels: (N,) index into `classes`.
    """
    cosine, labels = np.asarray(cosine, np.float32), np.asarray(labels)
    if cosine.ndim != 2 or not cosine.size or cosine.shape != (len(labels), len(classes)):
        raise InputError(f"cosine has shape {cosine.shape}; expected {(len(labels), len(classes))}, examples x classes")
    if not (np.abs(cosine) <= 1.001).all():
        raise InputError("cosines lie between -1 and 1: give them before any scale is applied, without NaN")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(classes):
        raise InputError(f"labels must be whole numbers from 0 to {len(classes) - 1}, one for each row of cosine")
    name, scale = SCALES[-1]
    powers = np.exp(scale * (cosine[0] - cosine[0].max()))
    figure, axis = plt.subplots(figsize=(5, 0.9 + 0.4 * len(classes)), layout="constrained")
    axis.barh(list(classes), powers / powers.sum(), color=PALETTE[0])
    axis.invert_yaxis()
    axis.set(xlim=(0, 1), xlabel="probability", title=f"an example of {classes[labels[0]]}, scale {name}")
    spec = {
        "figure": "similarity_space",
        "cosine": _packed(cosine),
        "labels": _packed(labels.astype(np.int16)),
        "classes": list(classes),
        "presets": SCALES,
    }
    return MovingFigure(spec, figure, f"Bars: the probability of {', '.join(classes)} for one example at scale {name}.")


def _packed(array: np.ndarray) -> dict[str, str]:
    """An int16 or float32 array as the script reads it: little-endian, row by row."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return {"dtype": array.dtype.name, "data": _base64(little.tobytes())}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
