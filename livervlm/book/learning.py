"""How a loss falls while a network learns."""

from collections.abc import Mapping, Sequence

import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .figures import PALETTE


def learning_curves(losses: Mapping[str, Sequence[float]], marks: Mapping[str, float] | None = None) -> Figure:
    """The mean loss of every epoch, a line for each name.  marks: levels to compare with, dashed."""
    figure, axis = plt.subplots(figsize=(4.6, 2.6), layout="constrained")
    for (name, values), colour in zip(losses.items(), PALETTE, strict=False):
        axis.plot(range(1, len(values) + 1), values, color=colour, marker="o", markersize=4, label=name)
    for name, level in (marks or {}).items():
        axis.axhline(level, color="0.5", linestyle="--", linewidth=1, label=name)
    axis.set(xlabel="epoch", ylabel="training loss")
    axis.set_ylim(bottom=0)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(axis="y", alpha=0.3)
    axis.legend(frameon=False)
    sns.despine(figure)
    return figure
