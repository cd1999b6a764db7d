"""What the rows of the paper's Tables 3 to 9 say about the whole numbers behind them (`counts`).

In the paper an accuracy is the share of correct slices in each of the five folds whose sizes Table 1 prints, averaged
over the folds, with the population sd (ddof=0).  The folds are rounded first.  `definitions_of_accuracy` shows both
for one row, `rules_of_rounding` for the others.  A class's accuracy is the same over the slices of that class: its
recall.

A row that fits may rest on these counts, and how much that says depends on how easily such figures fit by chance:
seldom for CYST and FNH, often for HCC and HEM (`chance_of_fitting`).  What is unique is so among the counts of
Table 1 and within `TOLERANCE`.  A row that fits no counts may come from another split, from an average over repeats,
or from a misprint: from outside these cannot be told apart.
"""

import functools
import itertools
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
from .counts import TOLERANCE, chance_of_fitting, counts_behind, folds_behind, to_the_digit

# Metric of `data/paper_tables.csv` -> its name here.
PARTS = {f"acc_{name.lower()}": name for name in LIVER_VLM_CLASSES} | {"acc": "accuracy", "auc": "AUC"}
MODEL_1 = "Liver-VLM, phase-shuffle SSL init"
ALWAYS = (100, 0)  # HEM of zero-shot CLIP, which answers nothing else; no other row prints it


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
    classes, "accuracy" (percent) and "AUC"; a missing sd is 0.  fitting: part -> number of ways to fit it alone, within
    `TOLERANCE`, AUC left out.  solutions: sets of fold accuracies that fit all classes and the accuracy together (0
    where a part fits in no way).  folds: accuracy in G1 to G5, percent, where a row with class figures has one
    solution, else None.  counts: slices right (C, F) of `LIVER_VLM_CLASSES` in G1 to G5, where one table fits
    the classes and adds up to these folds, else None.  exact: the parts that follow `to_the_digit`, a class from one
    of its ways, the accuracy from one of the solutions.  by_chance: class -> `chance_of_fitting` to the digit.
    implied: (centre, reach) by `implied_accuracy`.  attainable: lowest and highest mean accuracy that the ways to fit
    each class add up to.  Without class figures these two are None, and where a class fits in no way the second is.
    """

    tables: tuple[int, ...]
    model: str
    printed: dict[str, tuple[float, float]]
    fitting: dict[str, int]
    solutions: int
    folds: tuple[float, ...] | None
    counts: tuple[tuple[int, ...], ...] | None
    exact: tuple[str, ...]
    by_chance: dict[str, float]
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
    slices = _slices()
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
            | {"to the digit": ", ".join(row.exact)}
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
    printed = next(row.printed["accuracy"] for row in examine_rows() if row.printed.get("HEM") == ALWAYS)
    table = pd.DataFrame.from_dict(scores, orient="index", columns=["mean", "sd"]).rename_axis("definition")
    return table.assign(fits=(table.round(2) == pd.Series(printed, table.columns)).all(axis=1))


def rules_of_rounding() -> pd.DataFrame:
    """How many figures of the recovered rows follow to the digit under each rule of rounding, the best rule first.

    Twelve rules: each fold is kept as it is, rounded to two decimals or cut off there; then the mean and the sd of the
    folds are each rounded or cut off.  Index: what is done to "folds", "mean" and "sd".  Columns: `CLIP`, whether the
    accuracy of zero-shot CLIP follows; `figures`, those of the other rows whose mean and sd both follow; `of` how many.
    A half goes to the even digit.
    """
    rows, slices = [row for row in examine_rows() if row.counts], _slices()
    right = [[*row.counts, np.sum(row.counts, axis=0)] for row in rows]  # (rows, parts, F)
    hundredths = 10_000 * np.array(right) / [*slices, slices.sum(axis=0)]
    printed = [[row.printed[part] for part in (*LIVER_VLM_CLASSES, "accuracy")] for row in rows]
    printed = np.rint(100 * np.array(printed))  # (rows, parts, 2)
    clip = np.array([row.printed["HEM"] == ALWAYS for row in rows])
    ends = {"rounded": np.rint, "cut off": lambda x: np.floor(x + 1e-6)}  # a sum of floats may miss a whole number
    lines = {}
    for rule in itertools.product(["kept", *ends], ends, ends):
        folds = ends.get(rule[0], np.array)(hundredths)
        found = np.stack([ends[rule[1]](folds.mean(axis=-1)), ends[rule[2]](folds.std(axis=-1))], axis=-1)
        follows = (found == printed).all(axis=-1)
        lines[rule] = follows[clip, -1].all(), follows[~clip].sum(), follows[~clip].size
    table = pd.DataFrame(lines.values(), pd.MultiIndex.from_tuples(lines, names=["folds", "mean", "sd"]))
    table.columns = ["CLIP", "figures", "of"]
    return table.sort_values("figures", ascending=False, kind="stable")


def _slices() -> np.ndarray:
    """(C, F) of Table 1, classes in the order of `LIVER_VLM_CLASSES`."""
    return table1().pivot(index="class", columns="group", values="slices").loc[list(LIVER_VLM_CLASSES)].to_numpy()


def _examine(
    tables: tuple[int, ...], model: str, printed: dict[str, tuple[float, float]], slices: np.ndarray
) -> PaperRow:
    """slices: (C, F), by `_slices`."""
    total = slices.sum(axis=0)
    sizes = dict(zip(LIVER_VLM_CLASSES, slices, strict=True)) | {"accuracy": total}
    ways = {part: counts_behind(*printed[part], sizes[part]) for part in sizes if part in printed}
    fitting = {part: len(found) for part, found in ways.items()}
    classes = {part: found for part, found in ways.items() if part != "accuracy"}
    if classes:  # the accuracy has to agree with them
        ways["accuracy"] = folds_behind(list(classes.values()), *printed["accuracy"], total)
    exact = tuple(part for part in ways if to_the_digit(ways[part], *printed[part], sizes[part]).any())
    solutions = ways["accuracy"]
    if not classes:
        return PaperRow(tables, model, printed, fitting, len(solutions), None, None, exact, {}, None, None)
    by_chance = {part: chance_of_fitting(*printed[part], sizes[part], exact=True) for part in classes}
    folds = counts = attainable = None
    if len(solutions) == 1:
        folds = tuple((100 * solutions[0] / total).tolist())
        chosen = [way for way in itertools.product(*classes.values()) if (sum(way) == solutions[0]).all()]
        counts = tuple(tuple(k.tolist()) for k in chosen[0]) if len(chosen) == 1 else None
    if all(fitting[part] for part in classes):
        means = [(100 * found / total).mean(axis=1) for found in classes.values()]  # they add up over classes
        attainable = float(sum(m.min() for m in means)), float(sum(m.max() for m in means))
    implied = implied_accuracy([printed[part] for part in classes], slices)
    return PaperRow(
        tables, model, printed, fitting, len(solutions), folds, counts, exact, by_chance, implied, attainable
    )


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
