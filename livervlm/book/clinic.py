"""Figures of what a clinic asks: curves class by class, and for which lesions the answers fail."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ..evaluation.patients import PatientAnswers
from .figures import PALETTE


def roc_curves(answers: PatientAnswers, specificity: float = 0.9) -> Figure:
    """The ROC curve of each target, by patient; dashed: the share of false alarms that a specificity allows."""
    figure, axis = plt.subplots(figsize=(5.4, 4), layout="constrained")
    axis.plot([0, 100], [0, 100], color="0.8", linewidth=1)
    axis.axvline(100 * (1 - specificity), color="0.3", linestyle="--", linewidth=1)
    for target, colour in zip(answers.targets, PALETTE, strict=False):
        alarms, found = answers.roc(target)
        axis.plot(100 * alarms, 100 * found, color=colour, linewidth=2, label=target, clip_on=False)
    axis.set(xlabel="false alarms, % of the others", ylabel="sensitivity, %", xlim=(0, 100), ylim=(0, 100))
    axis.set_aspect("equal")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, loc="lower right")
    sns.despine(figure)
    return figure


def accuracy_lines(parts: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """Accuracy by one quantity a panel, a line for each group of patients, with 95 % intervals.

    parts: what the axis says -> group -> as `patients.accuracy_by` gives it.  The first group is black, the others have
    the colours of classes.
    """
    figure, axes = plt.subplots(1, len(parts), figsize=(7.5, 3.8), sharey=True, squeeze=False, layout="constrained")
    for axis, (quantity, groups) in zip(axes[0], parts.items(), strict=True):
        for (group, table), colour in zip(groups.items(), ("k", *PALETTE), strict=False):
            ends = np.abs(table[["low", "high"]].sub(table["accuracy"], axis=0).to_numpy().T)
            style = {"fmt": "s--" if colour == "k" else "o-", "color": colour, "elinewidth": 1, "markersize": 5}
            axis.errorbar(table["median"], table["accuracy"], ends, label=group, **style)
        axis.set(xlabel=quantity, xlim=(0, None), ylim=(0, 100))
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("accuracy, %")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=len(labels), loc="outside upper center")
    sns.despine(figure)
    return figure
