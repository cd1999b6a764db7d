"""The slices of a study, and how well each fits a sentence that the reader builds."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np
import torch
from matplotlib import pyplot as plt

from ...base.errors import InputError
from ...phantom.sentences import Sentence
from ...phantom.series import Series
from ...scans.windowing import window
from ..figures import PALETTE
from .shared import MovingFigure, packed


def slot_sentences(slots: Mapping[str, Sequence[str]]) -> list[str]:
    """Every sentence that the slots build, the last slot's phrases in turn first."""
    return [" ".join(filter(None, phrases)) + "." for phrases in product(*slots.values())]


def key_slice(
    series: Series,
    slots: Mapping[str, Sequence[str]],
    score: Callable[[Series, Sequence[Sentence]], np.ndarray],
    every: int = 2,
) -> MovingFigure:
    """A study to scroll through, a sentence of one phrase from each slot, and its similarity along the body.

    score: of a selector, (T, S, P) for T sentences, see `by_towers`.
    every: show each second, third, ... slice, as pictures are large.
    """
    if not slots or not all(slots.values()):
        raise InputError("slots: give one or more, each with its phrases")
    texts = slot_sentences(slots)
    cosine = score(series, [Sentence(text, None, "", "finding") for text in texts])[:, ::every]  # (T, S, P)
    shown = np.arange(0, len(series.hu), every)
    grey = (window(torch.from_numpy(series.hu[::every])).numpy() + 1) * 127.5
    first = cosine[0].max(axis=1)
    best = int(first.argmax())
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
    left.plot(shown + 1, first, color=PALETTE[0])
    left.axvline(shown[best] + 1, color=PALETTE[1], ls="--")
    left.set(xlabel="slice, from the neck down", ylabel="cosine", title=texts[0])
    phase = int(cosine[0, best].argmax())
    right.imshow(grey[best, phase], cmap="gray", vmin=0, vmax=255)
    right.set_axis_off()
    findings = [
        {"name": finding.kind, "first": finding.slices[0], "last": finding.slices[1], "marked": finding.marked}
        for finding in series.findings
    ]
    spec = {
        "grey": packed(np.rint(grey).astype(np.uint8)),
        "cosine": packed(np.rint(1000 * cosine).astype(np.int16)),
        "side": series.hu.shape[-1],
        "shown": shown.tolist(),
        "phases": list(series.phases),
        "slots": [[name, [phrase or "(nothing)" for phrase in phrases]] for name, phrases in slots.items()],
        "texts": texts,
        "findings": findings,
        "colours": PALETTE,
    }
    alt = f"Similarity of each slice to the sentence: {texts[0]} Beside it the slice that fits best."
    return MovingFigure("key_slice", spec, figure, alt)
