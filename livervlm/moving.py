"""Figures that a reader moves without a kernel: one script over arrays that lie in the cell's own output.

They work in the static page, in Jupyter and in Colab, and ask no network for anything.  Without JavaScript, or
in a notebook that is not trusted, a still picture takes their place.
"""

import base64
import hashlib
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats
from scipy.ndimage import zoom

from .errors import InputError
from .figures import PALETTE, lesion_grid, map_grid
from .lesions import WINDOW, LesionSet
from .paths import data_file
from .phases import order_names, orders
from .prompts import prompts_by_order

# Name, level and width in HU.  The first is what a figure starts with; the last two show what liver needs a window for.
WINDOWS = (
    ("liver", sum(WINDOW) / 2, WINDOW[1] - WINDOW[0]),
    ("narrow", 60, 150),
    ("lung", -600, 1500),
    ("bone", 400, 1800),
)
MOST_ROWS = 24  # each travels in the page
LARGEST = 112  # pixels a side of a slice under a map
SCALES = (("1", 1.0), ("10", 10.0), ("1/0.07", 1 / 0.07))  # a figure starts with the last
# What `interval_and_pairs` moves: the number of pairs; the sd of their differences and the true difference, in points.
RANGES = PAIRS, SDS, DIFFERENCES = np.arange(3, 101), np.arange(1, 8.5, 0.5), np.arange(0, 6.5, 0.5)
PLAN = (5, 12, 18, 46)  # the folds of the paper; cohorts in data/results/analysis.md


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
    rows = _checked_rows(lesions, rows)
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


def interval_and_pairs(margin: float) -> MovingFigure:
    """What a paired t can be expected to show, under a number of pairs, an sd and a true difference that are moved.

    margin: of equivalence, in points.  One contrast by itself, at 5 %.
    """
    if not 0 < margin <= 5:
        raise InputError(f"margin {margin}: give one above 0 and at most 5 points; the figure's axis ends at 10")
    n, sd, difference = PLAN[0], 5.0, 2.0
    quantiles = stats.t.ppf([[0.975], [0.95]], PAIRS - 1)
    found, equal = _chances(margin, quantiles)
    figure, axis = plt.subplots(figsize=(5, 1.6), layout="constrained")
    axis.axvspan(-margin, margin, color="0.9")
    axis.axvline(0, color="0.5", linewidth=1)
    half_width = quantiles[0, n - PAIRS[0]] * sd / np.sqrt(n)
    axis.errorbar(difference, 0, xerr=half_width, fmt="o", color=PALETTE[0], capsize=5)
    axis.set(xlim=(-10, 10), yticks=[], xlabel="difference, points", title=f"{n} pairs, sd {sd:g}")
    spec = {
        "figure": "interval_and_pairs",
        "margin": margin,
        "ranges": [{"min": r[0].item(), "max": r[-1].item(), "step": (r[1] - r[0]).item()} for r in RANGES],
        "quantiles": _packed(quantiles.astype(np.float32)),
        "found": _packed(np.rint(1e4 * found).astype(np.int16)),
        "equal": _packed(np.rint(1e4 * equal).astype(np.int16)),
        "presets": PLAN,
        "start": [n, sd, difference],
    }
    alt = (
        f"A 95 % interval of {difference:g} plus or minus {half_width:.1f} points, from {n} pairs whose differences "
        f"have an sd of {sd:g} points, over a margin of {margin:g} points to either side of zero."
    )
    return MovingFigure(spec, figure, alt)


def phase_order(
    lesions: LesionSet, rows: Sequence[int], logits: Mapping[str, np.ndarray], template: str = "enriched"
) -> MovingFigure:
    """Some slices whose phases a reader reorders: the channels, the prompt that names the order, and the logits.

    logits: name of a network -> (rows, k!, 2, C): slice by slice, for each order of the k phases (`phases.orders`),
    with the prompts that name this order, and with those that name the canonical one.  template: of the prompts.
    """
    rows, n_orders = _checked_rows(lesions, rows), math.factorial(len(lesions.phases))
    shape = len(rows), n_orders, 2, len(lesions.classes)
    answers = {name: np.asarray(values, np.float32) for name, values in logits.items()}
    if not answers:
        raise InputError("no logits: give those of at least one network, by its name")
    for name, values in answers.items():
        if values.shape != shape:
            raise InputError(f"logits of {name}: shape {values.shape}; expected {shape}, rows x orders x 2 x classes")
        if not np.isfinite(values).all():
            raise InputError(f"logits of {name}: some are not finite; train the network again")
    prompts = [
        [variants[0] for variants in order] for order in prompts_by_order(template, lesions.classes, lesions.phases)
    ]
    names, start = [lesions.classes[label] for label in lesions.label[rows]], n_orders - 1
    spec = {
        "figure": "phase_order",
        "hu": _packed(lesions.hu[rows]),
        "side": lesions.size,
        "window": WINDOW,
        "phases": lesions.phases,
        "classes": lesions.classes,
        "labels": lesions.label[rows].tolist(),
        "orders": orders(len(lesions.phases)).tolist(),
        "prompts": prompts,
        "networks": list(answers),
        "logits": _packed(np.stack(list(answers.values()))),
        "colours": PALETTE,
        "start": start,
    }
    order, first = order_names(lesions.phases)[start], next(iter(answers))
    figure, axes = plt.subplots(1, len(order) + 1, figsize=(2 * len(order) + 3, 2.2), layout="constrained")
    for axis, phase, name in zip(axes, orders(len(order))[start].tolist(), order, strict=False):
        axis.imshow(lesions.hu[rows[0], phase], cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1])
        axis.set(xticks=[], yticks=[], title=name)
    places = np.arange(len(lesions.classes))
    for shift, kind, colour in ((-0.2, "prompt names this order", PALETTE[0]), (0.2, "canonical prompt", "0.6")):
        axes[-1].barh(places + shift, answers[first][0, start, int(shift > 0)], 0.4, color=colour, label=kind)
    axes[-1].set(yticks=places, yticklabels=lesions.classes, xlabel="logit", title=first)
    axes[-1].invert_yaxis()
    figure.legend(frameon=False, ncols=2, loc="outside lower center")
    alt = (
        f"A lesion ({names[0]}) with its phases in the order {', '.join(order)}, and bars: the logits of {first} with "
        "the prompt that names this order and with the canonical prompt."
    )
    return MovingFigure(spec, figure, alt)


def map_reader(lesions: LesionSet, rows: Sequence[int], maps: Mapping[str, np.ndarray]) -> MovingFigure:
    """Grad-CAM maps of every class over some slices, on one scale for all or for a slice, or each stretched by itself.

    maps: name of a network -> (rows, C, g, g), raw and signed.  Where the set has masks, the lesion and its causal
    parts are outlined.  Slices are shown at 112 pixels a side at most.
    """
    rows = _checked_rows(lesions, rows)
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
        "figure": "map_reader",
        "hu": _packed(np.rint(hu).astype(np.int16)),
        "side": side,
        "window": WINDOW,
        "phases": lesions.phases,
        "phase": phase,
        "classes": lesions.classes,
        "labels": lesions.label[rows].tolist(),
        "networks": list(given),
        "grid": grid,
        "maps": _packed(np.stack(list(given.values()))),
        "outlined": lesions.mask_names,
    }
    if lesions.masks is not None:
        middle = slice(step // 2, side * step, step)
        spec["masks"] = _packed(lesions.masks[rows][..., middle, middle])
    first, truth = next(iter(given)), lesions.classes[lesions.label[rows[0]]]
    ours = given[first][0]
    over = np.stack([zoom(one, side / grid, order=1, grid_mode=True, mode="nearest") for one in ours])
    under = np.repeat(hu[:1, phase].clip(*WINDOW), len(over), axis=0)
    still = map_grid(under, {first: over}, lesions.classes, float(np.abs(ours).max()) or 1.0)
    alt = f"A lesion ({truth}) under the map of each class: red for it, blue against it; network {first}."
    return MovingFigure(spec, still, alt)


def _checked_rows(lesions: LesionSet, rows: Sequence[int]) -> np.ndarray:
    """`rows` as an array, where each is a slice of `lesions` and a page can carry them all."""
    rows = np.asarray(rows)
    if rows.ndim != 1 or not rows.size:
        raise InputError("no rows: name the slices to show, such as [0, 5]")
    if rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= len(lesions):
        raise InputError(f"rows {rows.tolist()} are not all slices of this set: they go from 0 to {len(lesions) - 1}")
    if len(rows) > MOST_ROWS:
        raise InputError(f"{len(rows)} rows make too large a page: choose at most {MOST_ROWS}")
    return rows


def _chances(margin: float, quantiles: np.ndarray) -> np.ndarray:
    """Chance that p is below .05, and that TOST places the difference within the margin: (2, PAIRS, SDS, DIFFERENCES).

    A sample's mean and its sd are independent: each chance is a mean over the sd, of what the mean then has to do.
    """
    place, weight = np.polynomial.legendre.leggauss(100)
    n = PAIRS[:, None, None, None]
    sampled = np.sqrt(stats.chi2.ppf((1 + place) / 2, n - 1) / (n - 1))  # the sample's sd over the true one
    two_sided, one_sided = quantiles[:, :, None, None, None] * sampled  # in true standard errors
    se = SDS[:, None, None] / np.sqrt(n)
    shift, edge = DIFFERENCES[:, None] / se, margin / se
    found = stats.norm.sf(two_sided - shift) + stats.norm.cdf(-two_sided - shift)
    room = np.maximum(edge - one_sided, 0)
    equal = stats.norm.cdf(room - shift) - stats.norm.cdf(-room - shift)
    return np.stack([found, equal]) @ (weight / 2)


def _packed(array: np.ndarray) -> dict[str, str]:
    """A uint8, int16 or float32 array as the script reads it: little-endian, row by row."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return {"dtype": array.dtype.name, "data": _base64(little.tobytes())}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
