"""Cosines between pictures and class sentences, whose temperature moves."""

from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt

from ...base.errors import InputError
from ..figures import PALETTE
from .shared import MovingFigure, packed

SCALES = (("1", 1.0), ("10", 10.0), ("1/0.07", 1 / 0.07))  # a figure starts with the last


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
        "cosine": packed(cosine),
        "labels": packed(labels.astype(np.int16)),
        "classes": list(classes),
        "presets": SCALES,
    }
    alt = f"Bars: the probability of {', '.join(classes)} for one example at scale {name}."
    return MovingFigure("similarity_space", spec, figure, alt)
