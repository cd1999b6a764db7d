"""What a printed mean and standard deviation say about the whole numbers behind them.

A fold of 15 slices knows only 16 recalls, so few counts give both figures of a printed row: the idea of GRIM and
GRIMMER (Brown & Heathers 2017; Anaya 2016), here over the five folds whose sizes Table 1 prints.  In the paper an
accuracy is the share of correct slices in each fold, averaged over the folds, with the population sd (ddof=0);
`definitions_of_accuracy` shows why.  A class's accuracy is the same over the slices of that class: its recall.

A row that fits may rest on these counts, and how much that says depends on how easily such figures fit by chance:
seldom for CYST and FNH, often for HCC and HEM (`chance_of_fitting`).  What is unique is so among the counts of
Table 1 and within `TOLERANCE`.  A row that fits no counts may come from another split, from an average over repeats,
or from a misprint: from outside these cannot be told apart.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..base.errors import InputError
from ..base.paths import data_file
from ..phantom.patients import table1
from ..scans.conventions import LIVER_VLM_CLASSES
from .comparisons import paired_t

# Points.  A result rounded to two decimals is off by up to 0.005, and by as much again where each fold was rounded
# first, as the CLIP row was; one cut off instead of rounded is off by up to 0.01 too, as two recovered sds seem to be.
# 0.0001 is for figures on the very edge.  A figure with one decimal (73.7) is taken to have lost a zero, since all
# others have two.
TOLERANCE = 0.0101

# Metric of `data/paper_tables.csv` -> its name here.
PARTS = {f"acc_{name.lower()}": name for name in LIVER_VLM_CLASSES} | {"acc": "accuracy", "auc": "AUC"}
MODEL_1 = "Liver-VLM, phase-shuffle SSL init"

_SLACK = 1e-9  # for sums of floating-point numbers
_MOST_HALVES, _MOST_PAIRS, _CHUNK = 2_000_000, 50_000_000, 500_000  # ways, for memory and time


def counts_behind(mean: float, sd: float, sizes: Sequence[int], tolerance: float = TOLERANCE) -> np.ndarray:
    """Every way to get k_i of n_i right in fold i with this mean and population sd of the shares, (W, F) int.

    mean, sd: percent, as printed.  sizes: n_1 to n_F, the cases in each fold.  tolerance: points that either may be
    off; take more than half a unit of the last printed decimal.  No ways (W = 0) means that figures and sizes
    disagree, not which of them is wrong, nor why.

    InputError: a mean outside 0 to 100, a negative sd, fewer than two folds or an empty one, or folds so large that
    their counts are too many to list (then the figures say little about them).
    """
    sizes = _checked(mean, sd, sizes, tolerance)
    middle = len(sizes) // 2
    first = _near_counts(mean, sd, sizes, tolerance, range(middle))
    second = _near_counts(mean, sd, sizes, tolerance, range(middle, len(sizes)))
    i, j = _pairs(100 * first / sizes, 100 * second / sizes, mean, sd, tolerance)
    return np.unique(first[i] + second[j], axis=0)


def folds_behind(
    counts: Sequence[np.ndarray], mean: float, sd: float, sizes: Sequence[int], tolerance: float = TOLERANCE
) -> np.ndarray:
    """Every number of correct cases by fold that fits all classes and the overall accuracy together, (W, F) int.

    counts: for each class the ways (W_c, F) that `counts_behind` found.  mean, sd: percent, of the overall accuracy.
    sizes: the cases of all classes in each fold.  InputError as there.
    """
    sizes = _checked(mean, sd, sizes, tolerance)
    middle = len(counts) // 2
    first, second = _sums(counts[:middle], len(sizes)), _sums(counts[middle:], len(sizes))
    i, j = _pairs(100 * first / sizes, 100 * second / sizes, mean, sd, tolerance)
    return np.unique(first[i] + second[j], axis=0)


def chance_of_fitting(mean: float, sd: float, sizes: Sequence[int], reach: float = 0.25) -> float:
    """How easily figures like these fit: the share, 0 to 1, of the figures around them that fit some counts.

    Those around are up to `reach` points off in mean and sd, in steps of 0.01.  Near 1, a fit says nothing; near 0,
    it is hard to come by without these sizes.  Other arguments and InputError as in `counts_behind`.
    """
    share = 100 * counts_behind(mean, sd, sizes, reach + TOLERANCE) / np.asarray(sizes)
    steps = np.arange(-round(100 * reach), round(100 * reach) + 1) / 100
    means, sds = mean + steps, sd + steps
    means, sds = means[(means >= 0) & (means <= 100)], sds[sds >= 0]
    near_mean, near_sd = (
        np.abs(found[:, None] - around) <= TOLERANCE
        for found, around in ((share.mean(axis=1), means), (share.std(axis=1), sds))
    )  # (W, figures around)
    return float((near_mean.T.astype(float) @ near_sd.astype(float) > 0).mean())


def implied_accuracy(printed: Sequence[tuple[float, float]], sizes: np.ndarray) -> tuple[float, float]:
    """What class figures alone say of the overall accuracy: (centre, reach), percent, of its mean over folds.

    printed: mean and sd of each class.  sizes: (C, F) cases.  The accuracy of a fold weighs each class's recall by
    its share of the fold.  Were recalls and shares unrelated over the folds, the mean would be the centre; by
    Cauchy and Schwarz it cannot lie further off than the reach, whole counts or not.  Both rest on the sizes.
    """
    mean, sd = np.array(printed).T
    share = sizes / sizes.sum(axis=0)  # (C, F)
    return float(share.mean(axis=1) @ mean), float(share.std(axis=1) @ sd)


def largest_sd(mean: float, top: float = 1.0) -> float:
    """The largest population sd of values between 0 and `top` that have this mean: all of them 0 or `top`."""
    if not 0 <= mean <= top:
        raise InputError(f"mean {mean:g}: lies outside 0 to {top:g}; give it in the unit of the largest value, {top:g}")
    return math.sqrt(mean * (top - mean))


@dataclass(frozen=True)
class PaperRow:
    """One row of Tables 3 to 9, and what stands behind it.

    tables: where it is printed.  model: its name in the first of them.  printed: part -> (mean, sd), the parts being
    classes, "accuracy" (percent) and "AUC"; a missing sd is 0.  fitting: part -> number of ways to fit it alone, AUC
    left out.  by_chance: class -> `chance_of_fitting`.  solutions: sets of fold accuracies that fit all classes and
    the accuracy together (0 where a part fits in no way).  folds: accuracy in G1 to G5, percent, where a row with
    class figures has one solution, else None.  implied: (centre, reach) by `implied_accuracy`.  attainable: lowest and
    highest mean accuracy that the ways to fit each class add up to.  Without class figures these two are None, and
    where a class fits in no way the second is.
    """

    tables: tuple[int, ...]
    model: str
    printed: dict[str, tuple[float, float]]
    fitting: dict[str, int]
    by_chance: dict[str, float]
    solutions: int
    folds: tuple[float, ...] | None
    implied: tuple[float, float] | None
    attainable: tuple[float, float] | None

    @property
    def status(self) -> str:
        """One of five.

        unattainable: some part fits no counts of Table 1 (`failing` tells which).
        no class figures: only the overall accuracy is printed, and `solutions` sets of fold accuracies fit it.
        fits by class only: every part fits alone, and no fold accuracies fit them together.
        recovered: exactly one set of fold accuracies fits everything printed.
        ambiguous: several do.
        """
        if self.failing:
            return "unattainable"
        if self.implied is None:
            return "no class figures"
        return {0: "fits by class only", 1: "recovered"}.get(self.solutions, "ambiguous")

    @property
    def failing(self) -> tuple[str, ...]:
        """Parts that fit no counts."""
        return tuple(part for part, ways in self.fitting.items() if ways == 0)

    @property
    def class_figures_allow(self) -> bool | None:
        """Whether the printed accuracy lies within reach of the class figures, all of them give or take `TOLERANCE`."""
        if self.implied is None:
            return None
        centre, reach = self.implied
        return abs(self.printed["accuracy"][0] - centre) <= reach + 3 * TOLERANCE  # mean, means and sds of the classes

    @property
    def auc_possible(self) -> bool:
        """Whether values between 0 and 1 can have the printed mean and sd of the AUC, give or take their rounding."""
        mean, sd = self.printed["AUC"]
        nearest_half = min(max(0.5, mean - 0.005), mean + 0.005)
        return sd - 0.005 <= largest_sd(nearest_half)


@functools.cache
def examine_rows() -> tuple[PaperRow, ...]:
    """Every row of Tables 3 to 9, in the paper's order; rows that agree in all the figures they share are one."""
    slices = table1().pivot(index="class", columns="group", values="slices").loc[list(LIVER_VLM_CLASSES)].to_numpy()
    return tuple(_examine(tables, model, printed, slices) for tables, model, printed in _printed_rows())


def rows_table() -> pd.DataFrame:
    """`examine_rows` for a page: one line a row, by model.  Percent; ways to fit under the name of the part."""
    lines = []
    for row in examine_rows():
        mean, sd = row.printed["accuracy"]
        folds = row.folds or [np.nan] * 5
        lines.append(
            {"model": row.model, "tables": ", ".join(map(str, row.tables)), "mean": mean, "sd": sd}
            | {"status": row.status, "failing": ", ".join(row.failing), "solutions": row.solutions}
            | {f"G{i}": accuracy for i, accuracy in enumerate(folds, start=1)}
            | {f"ways {part}": ways for part, ways in row.fitting.items()}
            | {f"by chance {part}": share for part, share in row.by_chance.items()}
            | dict(zip(("implied", "reach"), row.implied or (np.nan, np.nan), strict=True))
            | dict(zip(("lowest", "highest"), row.attainable or (np.nan, np.nan), strict=True))
            | {"class figures allow": row.class_figures_allow, "AUC possible": row.auc_possible}
        )
    table = pd.DataFrame(lines).set_index("model")
    return table.astype({name: "Int64" for name in table if name.startswith("ways ")})


def recovered_comparisons(reference: str = MODEL_1) -> pd.DataFrame:
    """`reference` minus every other recovered row, in points, by the other's name.

    Columns: difference, its 95 % interval by paired t over the folds, and the interval corrected for training sets that
    overlap (`comparisons.paired_t`).  InputError where the reference is not recovered.
    """
    folds = {row.model: row.folds for row in examine_rows() if row.status == "recovered"}
    if reference not in folds:
        raise InputError(f"reference {reference!r}: not a recovered row; choose one of: {'; '.join(folds)}")
    lines = {}
    for model in folds.keys() - {reference}:
        plain, corrected = (paired_t(folds[reference], folds[model], overlap) for overlap in (0, 1 / 4))
        lines[model] = [plain.difference, *plain.interval(), *corrected.interval()]
    columns = ["difference", "low", "high", "corrected low", "corrected high"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).loc[[m for m in folds if m in lines]]


def definitions_of_accuracy() -> pd.DataFrame:
    """What always answering HEM scores on Table 1 under each meaning of "accuracy, mean and sd", by definition.

    Zero-shot CLIP is printed as that predictor (Table 9).  Columns: mean, sd (percent), `fits` (both give the printed
    figures to the digit).
    """
    rows = table1().set_index(["class", "group"])
    hem, whole = rows.loc["HEM"], rows.groupby("group").sum()
    folds = (100 * hem.slices / whole.slices).to_numpy()
    cases = (100 * hem.cases / whole.cases).to_numpy()
    share = (whole.slices / whole.slices.sum()).to_numpy()
    pooled = share @ folds
    scores = {
        "slices of each fold, rounded to two decimals, population sd": (folds.round(2).mean(), folds.round(2).std()),
        "slices of each fold, population sd": (folds.mean(), folds.std()),
        "slices of each fold, sample sd": (folds.mean(), folds.std(ddof=1)),
        "all slices pooled, sd weighted by fold size": (pooled, np.sqrt(share @ (folds - pooled) ** 2)),
        "mean recall of the four classes, population sd": (100 / len(LIVER_VLM_CLASSES), 0.0),
        "patients of each fold, population sd": (cases.mean(), cases.std()),
    }
    printed = next(row.printed["accuracy"] for row in examine_rows() if row.printed.get("HEM") == (100, 0))
    table = pd.DataFrame.from_dict(scores, orient="index", columns=["mean", "sd"]).rename_axis("definition")
    return table.assign(fits=(table.round(2) == pd.Series(printed, table.columns)).all(axis=1))


def _examine(
    tables: tuple[int, ...], model: str, printed: dict[str, tuple[float, float]], slices: np.ndarray
) -> PaperRow:
    """slices: (C, F) of Table 1, classes in the order of `LIVER_VLM_CLASSES`."""
    total = slices.sum(axis=0)
    sizes = dict(zip(LIVER_VLM_CLASSES, slices, strict=True)) | {"accuracy": total}
    ways = {part: counts_behind(*printed[part], sizes[part]) for part in sizes if part in printed}
    fitting = {part: len(found) for part, found in ways.items()}
    overall = ways.pop("accuracy")
    if not ways:
        return PaperRow(tables, model, printed, fitting, {}, len(overall), None, None, None)
    by_chance = {part: chance_of_fitting(*printed[part], sizes[part]) for part in ways}
    solutions, attainable = folds_behind(list(ways.values()), *printed["accuracy"], total), None
    if all(fitting[part] for part in ways):
        means = [(100 * found / total).mean(axis=1) for found in ways.values()]  # they add up over classes
        attainable = float(sum(m.min() for m in means)), float(sum(m.max() for m in means))
    folds = tuple((100 * solutions[0] / total).tolist()) if len(solutions) == 1 else None
    implied = implied_accuracy([printed[part] for part in ways], slices)
    return PaperRow(tables, model, printed, fitting, by_chance, len(solutions), folds, implied, attainable)


def _printed_rows() -> list[tuple[tuple[int, ...], str, dict[str, tuple[float, float]]]]:
    """(tables, model, part -> (mean, sd)) of each different row of `data/paper_tables.csv`.

    All rows print accuracy and AUC, so those are the least that two rows must share to be taken for one.
    """
    rows = []
    lines = pd.read_csv(data_file("paper_tables.csv")).fillna({"std": 0.0})  # no sd: the same in every fold
    for (table, model), of_row in lines.groupby(["table", "model"], sort=False):
        new = {PARTS[line.metric]: (line.mean, line.std) for line in of_row.itertuples(index=False)}
        for place, (tables, name, known) in enumerate(rows):
            if all(known.get(part, figures) == figures for part, figures in new.items()):
                rows[place] = (*tables, table), name, known | new
                break
        else:
            rows.append(((table,), model, new))
    return rows


def _checked(mean: float, sd: float, sizes: Sequence[int], tolerance: float) -> np.ndarray:
    """`sizes` as an array (F,), where all four are possible."""
    sizes = np.asarray(sizes)
    if sizes.ndim != 1 or len(sizes) < 2 or sizes.dtype.kind not in "iu" or (sizes < 1).any():
        raise InputError(f"sizes {sizes.tolist()}: not two or more folds of one case or more; give whole numbers")
    if not 0 <= mean <= 100:
        raise InputError(f"mean {mean:g}: lies outside 0 to 100; give it in percent")
    if not 0 <= sd < math.inf:
        raise InputError(f"sd {sd:g}: is not a number from 0 up; give it in percent, 0 where every fold is the same")
    if not 0 < tolerance < math.inf:
        raise InputError(f"tolerance {tolerance:g}: is not above 0; give the points that mean and sd may be off")
    return sizes


def _near_counts(mean: float, sd: float, sizes: np.ndarray, tolerance: float, folds: range) -> np.ndarray:
    """Counts of these folds, 0 in the others, that do not by themselves spread more than the figures allow, (W, F).

    Over all F folds the squared distances from the printed mean add up to F (sd^2 + (mean - printed mean)^2).
    """
    most = len(sizes) * ((sd + tolerance) ** 2 + tolerance**2) + _SLACK
    distances = [(100 * np.arange(sizes[fold] + 1) / sizes[fold] - mean) ** 2 for fold in folds]
    near = [np.flatnonzero(d <= most) for d in distances]
    if math.prod(map(len, near)) > _MOST_HALVES:
        raise InputError(f"sizes {sizes.tolist()}: their counts are too many to list; give fewer or smaller folds")
    chosen = np.stack(np.meshgrid(*near, indexing="ij"), axis=-1).reshape(-1, len(folds))
    spread = sum(d[k] for d, k in zip(distances, chosen.T, strict=True))
    chosen = chosen[spread <= most]
    counts = np.zeros((len(chosen), len(sizes)), dtype=int)
    counts[:, list(folds)] = chosen
    return counts


def _sums(counts: Sequence[np.ndarray], folds: int) -> np.ndarray:
    """Every different sum of one row from each of `counts`, (W, folds)."""
    total = np.zeros((1, folds), dtype=int)
    for ways in counts:
        if len(total) * len(ways) > _MOST_HALVES:
            raise InputError(f"counts: {len(total) * len(ways)} ways to add them up are too many; take less tolerance")
        total = np.unique((total[:, None] + ways).reshape(-1, folds), axis=0)
    return total


def _pairs(a: np.ndarray, b: np.ndarray, mean: float, sd: float, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """All i, j such that a[i] + b[j] has this mean and population sd.  a: (A, F), b: (B, F), percent by fold.

    Meets in the middle: with b in the order of its sums, the partners of each a[i] by the mean are one stretch of b.
    """
    folds = a.shape[1]
    order = np.argsort(b.sum(axis=1))
    b = b[order]
    sum_a, sum_b, within = a.sum(axis=1), b.sum(axis=1), tolerance + _SLACK
    start = np.searchsorted(sum_b, folds * (mean - within) - sum_a, side="left")
    partners = np.searchsorted(sum_b, folds * (mean + within) - sum_a, side="right") - start
    if partners.sum() > _MOST_PAIRS:
        raise InputError(f"mean {mean:g}, sd {sd:g}: fit too many counts to list; give fewer or smaller folds")
    found = [np.empty((2, 0), dtype=int)]
    for rows in np.array_split(np.arange(len(a)), 1 + partners.sum() // _CHUNK):  # for memory
        n = partners[rows]
        i = np.repeat(rows, n)
        j = np.repeat(start[rows] - np.cumsum(n) + n, n) + np.arange(n.sum())
        fits = np.abs((a[i] + b[j]).std(axis=1) - sd) <= within
        found.append(np.stack([i[fits], order[j[fits]]]))
    i, j = np.concatenate(found, axis=1)
    return i, j
