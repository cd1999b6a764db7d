"""Slices of CT whose phases are reordered, the prompt that says so, and what networks answer."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ...base.errors import InputError
from ...models.prompts import prompts_by_order
from ...scans.conventions import WINDOW
from ...scans.lesions import LesionSet
from ...scans.phases import order_names, orders
from ..figures import PALETTE
from .shared import MovingFigure, checked_rows, packed


def phase_order(
    lesions: LesionSet, rows: Sequence[int], logits: Mapping[str, np.ndarray], template: str = "enriched"
) -> MovingFigure:
    """Some slices whose phases a reader reorders: the channels, the prompt that names the order, and the logits.

    logits: name of a network -> (rows, k!, 2, C): slice by slice, for each order of the k phases (`phases.orders`),
    with the prompts that name this order, and with those that name the canonical one.  template: of the prompts.
    """
    rows, n_orders = checked_rows(lesions, rows), math.factorial(len(lesions.phases))
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
    start = n_orders - 1
    spec = {
        "hu": packed(lesions.hu[rows]),
        "side": lesions.size,
        "window": WINDOW,
        "phases": lesions.phases,
        "classes": lesions.classes,
        "labels": lesions.label[rows].tolist(),
        "orders": orders(len(lesions.phases)).tolist(),
        "prompts": prompts,
        "networks": list(answers),
        "logits": packed(np.stack(list(answers.values()))),
        "colours": PALETTE,
        "start": start,
    }
    order, first = order_names(lesions.phases)[start], next(iter(answers))
    truth = lesions.classes[lesions.label[rows[0]]]
    alt = (
        f"A lesion ({truth}) with its phases in the order {', '.join(order)}, and bars: the logits of {first} with "
        "the prompt that names this order and with the canonical prompt."
    )
    return MovingFigure("phase_order", spec, _still(lesions, rows[0], start, first, answers[first][0, start]), alt)


def _still(lesions: LesionSet, row: int, start: int, network: str, logits: np.ndarray) -> Figure:
    """One slice with its phases in the order number `start`, and the logits (2, C) of one network."""
    order = orders(len(lesions.phases))[start].tolist()
    figure, axes = plt.subplots(1, len(order) + 1, figsize=(2 * len(order) + 3, 2.2), layout="constrained")
    for axis, phase in zip(axes, order, strict=False):
        axis.imshow(lesions.hu[row, phase], cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1])
        axis.set(xticks=[], yticks=[], title=lesions.phases[phase])
    places = np.arange(len(lesions.classes))
    kinds = (-0.2, "prompt names this order", PALETTE[0]), (0.2, "canonical prompt", "0.6")
    for values, (shift, kind, colour) in zip(logits, kinds, strict=True):
        axes[-1].barh(places + shift, values, 0.4, color=colour, label=kind)
    axes[-1].set(yticks=places, yticklabels=lesions.classes, xlabel="logit", title=network)
    axes[-1].invert_yaxis()
    figure.legend(frameon=False, ncols=2, loc="outside lower center")
    return figure
