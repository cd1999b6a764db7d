"""Drawings of the systems and of the protocols: boxes and arrows, with the shapes that a running model gives.

Narrow, so that the words stay legible on a telephone: about 4.6 inches wide with letters of 9 points.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch, Rectangle
from torch import Tensor

from ..models.lilnet import LiLNet, masked_means
from ..models.liver_vlm import LiverVLM
from ..models.towers import SliceTowers
from ..phantom.patients import table1
from ..runs.results import Runs
from .figures import PALETTE

KINDS = {  # of a box: fill, edge
    "data": ("white", "0.6"),
    "learned": ("#FCE9C4", PALETTE[1]),
    "frozen": ("#D6ECF9", PALETTE[5]),
    "computed": ("0.93", "0.45"),
}
HALF = 0.3  # of a box's height, in rows


class Box(NamedTuple):
    """column, row: where its middle is, from the upper left.  width: in columns."""

    column: float
    row: float
    text: str
    kind: str = "data"
    width: float = 0.9


def liver_vlm_diagram(model: LiverVLM, pictures: Tensor) -> Figure:
    """Liver-VLM with a text head, and the shapes of windowed pictures (B, P, H, W) on their way through it."""
    with torch.inference_mode():
        features = model.encoder(pictures)  # (B, dim)
        image, text = model.head.fc_i(features), model.head.text[0]  # (B, joint), (C, d)
        places = model.head.fc_t(text)  # (C, joint)
    return _draw(
        {
            "pictures": Box(0, 0, f"pictures\n{_shape(pictures)}"),
            "encoder": Box(0, 1, "image encoder", "learned"),
            "f": Box(0, 2, f"features\n{_shape(features)}"),
            "FC_I": Box(0, 3, "$FC_I$", "learned"),
            "I": Box(0, 4, f"$I$\n{_shape(image)}"),
            "sentences": Box(1, 0, f"{len(text)} sentences"),
            "text encoder": Box(1, 1, "text encoder", "frozen"),
            "t": Box(1, 2, f"features\n{_shape(text)}"),
            "FC_T": Box(1, 3, "$FC_T$", "learned"),
            "T": Box(1, 4, f"$T$\n{_shape(places)}"),
            "cosine": Box(0.5, 5, f"cosine\n{_shape(image @ places.T)}", "computed"),
            "scale": Box(0.5, 6, r"scale $\tau$", "learned"),
            "softmax": Box(0.5, 7, f"softmax: probabilities\n{_shape(image @ places.T)}", "computed", 1.3),
        },
        ["pictures,encoder,f,FC_I,I,cosine,scale,softmax", "sentences,text encoder,t,FC_T,T,cosine"],
    )


def lilnet_diagram(net: LiLNet, pictures: Tensor) -> Figure:
    """LiLNet as the paper trains it, and the shapes of windowed slices (B, 1, H, W) on their way through it."""
    with torch.inference_mode():
        layer3, layer4 = net.encoder.stages(pictures, ("layer3", "layer4"))
        logits = net.logits(pictures)
    return _draw(
        {
            "slices": Box(1, 0, f"slices\n{_shape(pictures)}"),
            "encoder": Box(1, 1, "ResNet", "learned"),
            "layer3": Box(0, 2, f"layer3\n{_shape(layer3)}"),
            "layer4": Box(1.5, 2, f"layer4\n{_shape(layer4)}"),
            "five3": Box(0, 3, f"five means\n{_shape(masked_means(layer3))}", "computed"),
            "five4": Box(1, 3, f"five means\n{_shape(masked_means(layer4))}", "computed"),
            "mean": Box(2, 3, f"one mean\n{_shape(layer4.mean(dim=(2, 3)))}", "computed"),
            "shallow": Box(0, 4, "shallow head", "learned"),
            "deep": Box(1, 4, "deep head", "learned"),
            "plain": Box(2, 4, "plain head", "learned"),
            "joint3": Box(0, 5, f"joint logits\n{_shape(logits.shallow)}"),
            "joint4": Box(1, 5, f"joint logits\n{_shape(logits.deep)}"),
            "answer": Box(2, 5, f"the answer\n{_shape(logits.plain)}"),
            "aggregate": Box(0.5, 6, f"mean over readings\n{_shape(net.aggregate(logits))}", "computed", 1.4),
        },
        [
            "slices,encoder,layer3,five3,shallow,joint3,aggregate",
            "encoder,layer4,five4,deep,joint4,aggregate",
            "layer4,mean,plain,answer",
        ],
        {("answer", "aggregate"): "teaches"},
    )


def selector_diagram(towers: SliceTowers, slices: Tensor, sentences: Sequence[str]) -> Figure:
    """The towers that choose a slice, and the shapes of slices (S * P, 1, H, W) and sentences on their way."""
    with torch.inference_mode():
        features, tokens = towers.encoder(slices[:1]), towers.tokens(sentences)
        image, text = towers.from_slice(features), towers.from_text(tokens)
    n = len(slices)
    return _draw(
        {
            "slices": Box(0, 0, f"slices x phases\n{_shape(slices)}"),
            "encoder": Box(0, 1, "ResNet10, narrow", "learned"),
            "features": Box(0, 2, f"features\n{_shape(features, n)}"),
            "from_slice": Box(0, 3, "linear layer", "learned"),
            "image": Box(0, 4, f"vectors\n{_shape(image, n)}"),
            "sentence": Box(1, 0, "a sentence of\nthe report"),
            "text encoder": Box(1, 1, "text encoder", "frozen"),
            "tokens": Box(1, 2, f"features\n{_shape(tokens)}"),
            "from_text": Box(1, 3, "linear layer", "learned"),
            "text": Box(1, 4, f"vector\n{_shape(text)}"),
            "cosine": Box(0.5, 5, f"cosine\n({len(text)}, {n})", "computed"),
            "best": Box(0.5, 6, "the largest:\nslice and phase", "computed"),
        },
        ["slices,encoder,features,from_slice,image,cosine,best", "sentence,text encoder,tokens,from_text,text,cosine"],
    )


def protocols_diagram() -> Figure:
    """The paper's protocol, five folds of one hospital, beside the book's, new cohorts and a shared test pool."""
    figure, axes = plt.subplots(1, 2, figsize=(4.8, 4), layout="constrained")
    patients, others = table1()["cases"].sum(), Runs.test_patients
    train, test = KINDS["frozen"], KINDS["learned"]
    for turn in range(5):
        for group in range(5):
            _block(axes[0], group, turn, 0.9, test if group == turn else train)
        axes[0].text(-0.1, turn + 0.4, f"{turn + 1}", ha="right", va="center", fontsize=9)
    for turn, name in enumerate(("1", "2", "3", "...", "n")):
        axes[1].text(-0.1, turn + 0.4, name, ha="right", va="center", fontsize=9)
        if name != "...":
            _block(axes[1], 0, turn, 1.9, train, f"{patients} new")
            axes[1].annotate("", (3.1, turn + 0.4), (1.95, turn + 0.4), arrowprops={"arrowstyle": "->", "color": "0.4"})
    axes[1].add_patch(Rectangle((3.15, 0), 1.75, 4.8, facecolor=test[0], edgecolor=test[1]))
    axes[1].text(4.02, 2.4, f"{others:,}\nother\npatients", ha="center", va="center", fontsize=9)
    for axis, title, under in zip(
        axes,
        ("The paper:\none hospital, five folds", "Population:\nn cohorts, one pool"),
        (
            f"{patients} patients in five groups.\nTraining sets overlap:\n5 differences, not independent",
            "No training patient twice.\nAll share the test patients:\nn differences, a paired t",
        ),
        strict=True,
    ):
        axis.set(xlim=(-0.6, 5), ylim=(5.1, -0.1), aspect="equal")
        axis.set_title(title, fontsize=9)
        axis.text(2.4, 5.2, under, ha="center", va="top", fontsize=9)
        axis.set_axis_off()
    _legend(figure, {"trained on": train, "tested on": test})
    return figure


def _block(axis: Axes, x: float, y: float, width: float, colours: tuple[str, str], text: str = "") -> None:
    axis.add_patch(Rectangle((x, y), width, 0.8, facecolor=colours[0], edgecolor=colours[1]))
    axis.text(x + width / 2, y + 0.4, text, ha="center", va="center", fontsize=9)


def _draw(
    boxes: Mapping[str, Box], ways: Sequence[str], sideways: Mapping[tuple[str, str], str] | None = None
) -> Figure:
    """Boxes by name; ways: names of boxes in a row, with commas; sideways: a dashed arrow with a word."""
    rows = 1 + max(box.row for box in boxes.values())
    columns = 1 + max(box.column for box in boxes.values())
    figure, axis = plt.subplots(figsize=(4.6, 0.62 * rows + 0.4), layout="constrained")
    for way in ways:
        for a, b in pairwise(way.split(",")):
            start, end = boxes[a], boxes[b]
            ends = (end.column, end.row - HALF), (start.column, start.row + HALF)
            axis.annotate("", *ends, arrowprops={"arrowstyle": "->", "color": "0.4"})
    for (a, b), word in (sideways or {}).items():
        start, end = boxes[a], boxes[b]
        ends = (end.column + end.width / 2, end.row), (start.column, start.row + HALF)
        style = {"arrowstyle": "->", "color": "0.4", "linestyle": "--"}
        axis.annotate("", *ends, arrowprops=style)
        axis.text(start.column - 0.1, end.row, word, ha="center", va="center", fontsize=9)
    for box in boxes.values():
        corner = box.column - box.width / 2, box.row - HALF
        fill, edge = KINDS[box.kind]
        style = {"boxstyle": "round,pad=0,rounding_size=0.05", "facecolor": fill, "edgecolor": edge}
        axis.add_patch(FancyBboxPatch(corner, box.width, 2 * HALF, **style))
        axis.text(box.column, box.row, box.text, ha="center", va="center", fontsize=9)
    axis.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    axis.set_axis_off()
    used = {box.kind for box in boxes.values()}
    _legend(figure, {kind: colours for kind, colours in KINDS.items() if kind in used})
    return figure


def _legend(figure: Figure, kinds: Mapping[str, tuple[str, str]]) -> None:
    patches = [Patch(facecolor=fill, edgecolor=edge, label=name) for name, (fill, edge) in kinds.items()]
    figure.legend(handles=patches, ncols=len(patches), loc="outside lower center", frameon=False, fontsize=9)


def _shape(tensor: Tensor, first: int | None = None) -> str:
    sizes = [first or len(tensor), *tensor.shape[1:]]
    return f"({', '.join(map(str, sizes))})"
