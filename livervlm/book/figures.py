"""Figures of the book, in one visual language: the same colours for the same classes, phases and arms."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown, display
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ..evaluation.comparisons import mean_t
from ..evaluation.metrics import calibration
from ..evaluation.outcome import Outcome
from ..scans.conventions import WINDOW
from ..scans.lesions import LesionSet

# Okabe and Ito's palette, safe for colour-blind readers.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#000000")
VERDICTS = {
    "difference": PALETTE[7],
    "reproduced": PALETTE[2],
    "not reproduced": PALETTE[4],
    "equivalent": PALETTE[5],
    "undecided": "0.5",
}
INTERVALS = {"95 %": ("low", "high"), "90 %": ("low 90", "high 90")}  # of `results.Runs.compare`
# The arms that return from chapter to chapter, by their names in data/rows.json; others are grey.
ARMS = {
    "scratch": PALETTE[7],
    "scratch, twice the steps": PALETTE[7],
    "SimSiam": PALETTE[5],
    "model 0": PALETTE[2],
    "model 1": PALETTE[0],
    "model 2": PALETTE[4],
    "FC, phase shuffle": PALETTE[1],
    "FC, augmentation": PALETTE[1],
    "misregistered": PALETTE[3],
}


def say(text: str) -> None:
    """Show a sentence, as Markdown, under a cell: so that its numbers are those just measured."""
    display(Markdown(text))


def lesion_grid(lesions: LesionSet, rows: Sequence[int], bounds: tuple[float, float] = WINDOW) -> Figure:
    """Some slices, a row each, a column per phase, all in one window of Hounsfield units."""
    n_phases = len(lesions.phases)
    figure, axes = plt.subplots(
        len(rows), n_phases, figsize=(1.9 * n_phases, 1.95 * len(rows)), squeeze=False, layout="constrained"
    )
    for row, index in enumerate(rows):
        for column, axis in enumerate(axes[row]):
            axis.imshow(lesions.hu[index, column], cmap="gray", vmin=bounds[0], vmax=bounds[1])
            axis.set(xticks=[], yticks=[])
            if row == 0:
                axis.set_title(lesions.phases[column])
        axes[row, 0].set_ylabel(lesions.classes[lesions.label[index]])
    return figure


def enhancement_curves(lesions: LesionSet) -> Figure:
    """Mean HU inside the lesion by class and phase, sd between patients; needs the mask "lesion"."""
    inside, phases = lesions.mask("lesion"), range(len(lesions.phases))
    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")

    def draw(where: np.ndarray, slices: np.ndarray, offset: float, **style) -> None:
        means = [
            [lesions.hu[mine, p][where[mine, p]].mean() for p in phases if where[mine, p].any()]
            for mine in (slices & (lesions.patient == patient) for patient in np.unique(lesions.patient[slices]))
        ]
        axis.errorbar(np.add(phases, offset), np.mean(means, 0), np.std(means, 0), capsize=3, marker="o", **style)

    draw(~inside, np.ones(len(lesions), dtype=bool), -0.1, color="0.6", label="around")
    for c, (name, colour) in enumerate(zip(lesions.classes, PALETTE, strict=False)):
        if (lesions.label == c).any():
            draw(inside, lesions.label == c, 0.05 * c - 0.05, color=colour, label=name)
    axis.set(xticks=phases, xticklabels=lesions.phases, ylabel="HU")
    axis.grid(axis="y", alpha=0.3)
    axis.legend(frameon=False, ncols=len(lesions.classes) + 1, loc="upper left", fontsize="small")
    sns.despine(figure)
    return figure


def similarity_matrix(cosine: np.ndarray, names: Sequence[str], title: str = "") -> Figure:
    """A square of cosines with its numbers written in."""
    side = 1.5 + 0.75 * len(names)
    figure, axis = plt.subplots(figsize=(side + 0.6, side), layout="constrained")
    sns.heatmap(
        cosine,
        annot=True,
        fmt=".3f",
        cmap="cividis",
        vmax=1,
        square=True,
        ax=axis,
        xticklabels=names,
        yticklabels=names,
    )
    axis.set_title(title)
    axis.tick_params(axis="y", rotation=0)
    return figure


def fold_dots(outcomes: Mapping[str, Outcome]) -> Figure:
    """Accuracy of every fold of every arm as dots, their mean as a bar: how far the folds lie apart."""
    figure, axis = plt.subplots(figsize=(6.5, 0.9 + 0.55 * len(outcomes)), layout="constrained")
    for row, (outcome, colour) in enumerate(zip(outcomes.values(), PALETTE, strict=False)):
        folds = outcome.by_fold
        axis.scatter(folds, [row] * len(folds), color=colour, alpha=0.75, zorder=3)
        axis.plot([np.mean(folds)] * 2, [row - 0.28, row + 0.28], color=colour, linewidth=3)
    axis.set(yticks=range(len(outcomes)), yticklabels=list(outcomes), xlabel="accuracy of a fold, %")
    axis.set_ylim(len(outcomes) - 0.5, -0.5)
    axis.grid(axis="x", alpha=0.3)
    sns.despine(figure)
    return figure


def reliability(outcomes: Mapping[str, Outcome]) -> Figure:
    """Accuracy against confidence for every arm; on the diagonal the two are equal."""
    figure, axes = plt.subplots(
        1, len(outcomes), figsize=(2.6 * len(outcomes), 2.9), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (name, outcome), colour in zip(axes[0], outcomes.items(), PALETTE, strict=False):
        table, error = calibration(outcome.y_true, outcome.prob)
        full = table[:, 2] > 0
        axis.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
        axis.scatter(
            table[full, 0], table[full, 1], s=8 + table[full, 2], color=colour, alpha=0.75, zorder=3, clip_on=False
        )
        axis.set(xlim=(0, 1.03), ylim=(0, 1.03), xlabel="confidence", title=f"{name}\nECE {error:.2f}")
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("accuracy")
    sns.despine(figure)
    return figure


def observer_bars(record: Mapping) -> Figure:
    """Accuracy of each arm of a near-ideal observer's record (`analyses.observer`) by diameter, with 95 % intervals."""
    arms = record["arms"]
    names = list(dict.fromkeys(name for arm in arms.values() for name in arm["by diameter"]))
    figure, axis = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
    width = 0.8 / len(arms)
    for column, ((name, arm), colour) in enumerate(zip(arms.items(), PALETTE, strict=False)):
        cells = [arm["by diameter"][n] for n in names]
        value, low, high = (np.array([c[key] for c in cells]) for key in ("percent", "low", "high"))
        at = np.arange(len(names)) + (column - (len(arms) - 1) / 2) * width
        axis.bar(at, value, 0.9 * width, color=colour, label=name)
        axis.errorbar(at, value, [value - low, high - value], fmt="none", ecolor="0.2", capsize=3)
    axis.set(xticks=range(len(names)), xticklabels=names, xlabel="diameter", ylabel="accuracy, %", ylim=(0, 100))
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
    figure.legend(frameon=False, ncols=len(arms), loc="outside upper center")
    sns.despine(figure)
    return figure


def folds_by_row(accuracy: pd.DataFrame) -> Figure:
    """Accuracy of every fold, a column each, of every row: dots in the colour of their fold, the mean as a bar."""
    figure, axis = plt.subplots(figsize=(7.5, 1.3 + 0.45 * len(accuracy)), layout="constrained")
    at = np.arange(len(accuracy))
    heights = np.linspace(-0.25, 0.25, accuracy.shape[1])  # so that equal folds do not hide each other
    axis.vlines(accuracy.mean(axis=1), at - 0.35, at + 0.35, color="0.5", linewidth=2, label="mean")
    for fold, height, colour, marker in zip(accuracy, heights, PALETTE, "osD^vPX*", strict=False):
        axis.scatter(accuracy[fold], at + height, s=35, color=colour, marker=marker, zorder=3, label=fold)
    axis.set(yticks=at, yticklabels=accuracy.index, xlabel="accuracy of a fold, %", xlim=(0, 100))
    axis.set_ylim(len(accuracy) - 0.5, -0.5)
    axis.grid(axis="x", alpha=0.3)
    figure.legend(frameon=False, ncols=accuracy.shape[1] + 1, loc="outside upper center")
    sns.despine(figure)
    return figure


def forest(
    comparisons: pd.DataFrame, margin: float | None = None, intervals: Mapping[str, tuple[str, str]] = INTERVALS
) -> Figure:
    """Differences with one or two intervals each, a line for each comparison, as `results.Runs.compare` gives them.

    A dot has the colour of its verdict where there is one, and a line without an interval stays empty.  margin: grey,
    too small to matter.  intervals: name -> columns of its ends; the last is drawn thick.
    """
    figure, axis = plt.subplots(figsize=(7.5, 1.3 + 0.4 * len(comparisons)), layout="constrained")
    at = np.arange(len(comparisons))
    if margin is not None:
        axis.axvspan(-margin, margin, color="0.9", zorder=0)
    axis.axvline(0, color="0.5", linewidth=1)
    for (kind, (low, high)), width in zip(intervals.items(), (1.5, 5)[-len(intervals) :], strict=True):
        axis.hlines(at, comparisons[low], comparisons[high], color=PALETTE[0], linewidth=width, label=kind)
    words = comparisons.get("verdict", pd.Series("difference", comparisons.index))
    for word in dict.fromkeys(words[comparisons["difference"].notna()]):
        mine = (words == word).to_numpy()
        axis.scatter(
            comparisons["difference"][mine], at[mine], color=VERDICTS[word], edgecolor="w", s=50, zorder=3, label=word
        )
    axis.set(yticks=at, yticklabels=comparisons.index, xlabel="difference in accuracy, points")
    axis.set_ylim(len(comparisons) - 0.5, -0.5)
    if margin is not None:  # both its ends are seen, also where nothing else is drawn
        left, right = axis.get_xlim()
        axis.set_xlim(min(left, -1.5 * margin), max(right, 1.5 * margin))
    axis.grid(axis="x", alpha=0.3)
    figure.legend(frameon=False, ncols=5, loc="outside upper center")
    sns.despine(figure)
    return figure


def cohort_dots(accuracy: pd.DataFrame, ideal: float | None = None) -> Figure:
    """Accuracy of every cohort as a dot, a row for each column, with the mean and its 95 % interval.

    accuracy: percent, cohorts x arms, as `results.Runs.accuracy` gives it.  ideal: a dashed line, such as the
    near-ideal observer's accuracy.
    """
    figure, axis = plt.subplots(figsize=(7.5, 1.0 + 0.45 * accuracy.shape[1]), layout="constrained")
    for row, name in enumerate(accuracy):
        values, colour = accuracy[name].dropna(), ARMS.get(name, "0.35")
        heights = row + np.linspace(-0.22, 0.22, len(values))  # the same cohort at the same height
        axis.scatter(values, heights, s=14, color=colour, alpha=0.5, linewidths=0)
        if len(values) > 1:
            half = _half_width(values)
            axis.errorbar(values.mean(), row, xerr=half, color=colour, marker="D", markeredgecolor="w", capsize=4)
    if ideal is not None:
        axis.axvline(ideal, color="0.3", linestyle="--", linewidth=1)
    axis.set(yticks=range(accuracy.shape[1]), yticklabels=list(accuracy), xlabel="accuracy on unseen patients, %")
    axis.set_ylim(accuracy.shape[1] - 0.5, -0.5)
    axis.grid(axis="x", alpha=0.3)
    sns.despine(figure)
    return figure


def arm_curves(values: Mapping[str, pd.DataFrame], ylabel: str, xlabel: str = "") -> Figure:
    """Means over cohorts with 95 % intervals by t, side by side for each arm, in the colours of `ARMS`.

    values: arm -> (cohorts, places), nan where there is no record.  Places that are numbers lie on a logarithmic axis
    and are joined by a line; others are named.  A place with fewer than two cohorts has a dot and no interval.
    """
    figure, axis = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
    places = next(iter(values.values())).columns
    numbers = pd.api.types.is_numeric_dtype(places)
    for i, (arm, table) in enumerate(values.items()):
        aside = i - (len(values) - 1) / 2  # so that arms do not hide each other
        at = places * 1.02**aside if numbers else np.arange(len(places)) + 0.15 * aside
        half = [_half_width(table[place].dropna()) for place in table]
        style = {"color": ARMS.get(arm, "0.35"), "marker": "o", "linestyle": "-" if numbers else "none"}
        axis.errorbar(at, table.mean(), half, capsize=4, label=arm, **style)
    if numbers:
        axis.set_xscale("log")
        axis.minorticks_off()
        axis.set_xticks(places, places)
    else:
        axis.set_xticks(range(len(places)), places)
    axis.set(ylabel=ylabel, xlabel=xlabel)
    axis.grid(axis="y", alpha=0.3)
    figure.legend(frameon=False, ncols=len(values), loc="outside upper center")
    sns.despine(figure)
    return figure


def map_grid(
    pictures: np.ndarray, maps: Mapping[str, np.ndarray], titles: Sequence[str], limit: float | None = None
) -> Figure:
    """Maps over the pictures they belong to, a row for each name, a column for each picture.

    pictures: (n, S, S) in grey.  maps: name -> (n, S, S).  limit: one scale for all, from -limit (blue) to limit (red);
    without it each map is stretched from its own least value to its own largest, as packages do.
    """
    n = len(pictures)
    figure, axes = plt.subplots(
        len(maps), n, figsize=(1.75 * n + 0.8, 1.9 * len(maps) + 0.2), squeeze=False, layout="constrained"
    )
    for row, (name, values) in zip(axes, maps.items(), strict=True):
        for axis, picture, values_of_one in zip(row, pictures, np.asarray(values), strict=True):
            axis.imshow(picture, cmap="gray")
            least, most = (-limit, limit) if limit else (values_of_one.min(), values_of_one.max())
            shown = axis.imshow(values_of_one, cmap="RdBu_r" if limit else "inferno", vmin=least, vmax=most, alpha=0.55)
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(name)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    if limit:
        figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.01)
    return figure


def part_scores(scores: pd.DataFrame, xlabel: str, nothing: float) -> Figure:
    """Means with 95 % intervals, a line for each class and part, side by side for arms and baselines.

    scores: as `explained.localisation` or `explained.faithfulness` gives them.  nothing: what a map gets that knows
    nothing, dashed; unless it is 0 the axis is one of ratios.  Arms have their colours and dots; baselines are grey,
    with signs.
    """
    arms = list(scores.index.unique("arm"))
    grey = [arm for arm in arms if arm not in ARMS]
    lines = list(dict.fromkeys(f"{kind}: {part}" for _, kind, part in scores.index))
    figure, axis = plt.subplots(figsize=(7.5, 1.2 + (0.11 * len(arms) + 0.15) * len(lines)), layout="constrained")
    axis.axvline(nothing, color="0.3", linestyle="--", linewidth=1)
    for i, arm in enumerate(arms):
        mine = scores.xs(arm, level="arm")
        at = [lines.index(f"{kind}: {part}") + 0.75 * ((i + 0.5) / len(arms) - 0.5) for kind, part in mine.index]
        marker = "o" if arm in ARMS else "sv^DPX*"[grey.index(arm)]
        ends = [mine["mean"] - mine["low"], mine["high"] - mine["mean"]]
        style = {"fmt": marker, "color": ARMS.get(arm, "0.45"), "markersize": 5, "elinewidth": 1.2}
        axis.errorbar(mine["mean"], at, xerr=ends, label=arm, **style)
    if nothing:
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
    axis.set(yticks=range(len(lines)), yticklabels=lines, xlabel=xlabel)
    axis.set_ylim(len(lines) - 0.5, -0.5)
    for between in np.arange(len(lines) - 1) + 0.5:
        axis.axhline(between, color="0.9", linewidth=0.8)
    axis.grid(axis="x", alpha=0.3)
    figure.legend(frameon=False, ncols=4, loc="outside upper center")
    sns.despine(figure)
    return figure


def type_one_rates(rates: Mapping[float, Mapping[str, tuple[float, float]]], alpha: float = 0.05) -> Figure:
    """How often equal models are declared different, by the correlation within a patient, for each unit counted.

    rates: correlation -> what `comparisons.simulate_type_one` found.  Bars: two Monte Carlo standard errors.
    """
    figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
    axis.axhline(100 * alpha, color="0.5", linestyle="--", linewidth=1)
    for unit, colour, marker in zip(next(iter(rates.values())), PALETTE, "os", strict=False):
        rate, error = 100 * np.array([found[unit] for found in rates.values()]).T
        axis.errorbar(list(rates), rate, 2 * error, color=colour, marker=marker, capsize=3, label=f"counting {unit}")
    axis.set(xlabel="correlation of slices of one patient", ylabel="declared different, %", ylim=0)
    axis.grid(axis="y", alpha=0.3)
    axis.legend(frameon=False)
    sns.despine(figure)
    return figure


def _half_width(values: pd.Series) -> float:
    """Of the 95 % interval of a mean; nan for fewer than two values."""
    if len(values) < 2:
        return float("nan")
    low, high = mean_t(values.to_numpy()).interval()
    return (high - low) / 2
