"""What the figures share: the output of a cell, arrays as a script reads them, and the check of rows."""

import base64
import hashlib
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from ...base.errors import InputError
from ...scans.lesions import LesionSet

MOST_ROWS = 24  # each travels in the page


class MovingFigure:
    """What a cell returns to show one figure: a still picture, whose place the figure's script takes."""

    def __init__(self, name: str, spec: dict[str, Any], still: Figure, alt: str, script: str = "", style: str = ""):
        """name: of the figure's script in this folder, without `.js`.  spec: what it draws, with arrays `packed`.

        still: shown, with the text `alt`, where no script runs; it is closed here.  script, style: the texts of a
        figure that lies in another folder.
        """
        self._script, self._style, self._alt = script or _beside(f"{name}.js"), style, alt
        picture = io.BytesIO()
        still.savefig(picture, format="webp", dpi=100, pil_kwargs={"quality": 85})  # a noisy PNG: 6 times as large
        plt.close(still)
        width, height = Image.open(picture).size  # or the page below would jump once the picture is decoded
        self._still = (
            f'<img src="data:image/webp;base64,{_base64(picture.getvalue())}" width="{width}" height="{height}"'
            f' alt="{html.escape(alt)}">'
        )
        self._spec = json.dumps(spec, separators=(",", ":")).replace("<", r"\u003c")  # "</script>" would end the script

    def __repr__(self) -> str:
        return self._alt

    def _repr_html_(self) -> str:
        """The whole figure, as it needs no other output of the page: style, still picture, two scripts and arrays."""
        style, shared, own = _beside("shared.css") + self._style, _beside("shared.js"), self._script
        key = hashlib.sha256((own + self._spec).encode()).hexdigest()[:16]
        return (
            f"<style>{style}</style>\n"
            f'<div class="livervlm-moving" data-moving="{key}" data-lm-suppress-shortcuts="true">{self._still}</div>\n'
            f'<script>(\n{shared}\n)("{key}",\n{own}\n, {self._spec});</script>'
        )


def packed(array: np.ndarray) -> dict[str, str]:
    """A uint8, int16 or float32 array as the scripts read it: little-endian, row by row."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return {"dtype": array.dtype.name, "data": _base64(little.tobytes())}


def checked_rows(lesions: LesionSet, rows: Sequence[int]) -> np.ndarray:
    """`rows` as an array, where each is a slice of `lesions` and a page can carry them all."""
    rows = np.asarray(rows)
    if rows.ndim != 1 or not rows.size:
        raise InputError("no rows: name the slices to show, such as [0, 5]")
    if rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= len(lesions):
        raise InputError(f"rows {rows.tolist()} are not all slices of this set: they go from 0 to {len(lesions) - 1}")
    if len(rows) > MOST_ROWS:
        raise InputError(f"{len(rows)} rows make too large a page: choose at most {MOST_ROWS}")
    return rows


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8").strip()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
