"""First question: is a difference inside still there outside?  And with augmentation, or in larger pictures?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...base.errors import InputError
from ...evaluation.comparisons import Comparison, crossed_bootstrap, holm, mean_t
from ...runs.results import Runs
from ...runs.rows import all_rows, awaited, declared
from .resampling import ends, mean, resampled
from .study import TRUTHS

AUGMENTED = "smaller with augmentation", "larger with augmentation"  # words of `data/results/proper_baseline.md`
SCALED = "another", "another"  # of `data/results/scale.md`
RESNET18_LARGE = "224 pixels, ResNet18: "  # before the names of the rows that are looked at for their signs


def survival(effects: pd.DataFrame, by_hospital: pd.DataFrame, margin: float) -> pd.DataFrame:
    """Inside, outside and the difference of the two, a line for each contrast.

    lost: inside - outside, with its 95 % interval by t, that of a bootstrap over cohorts, and Holm's p over all.  word:
    "lost outside" or "gained outside" where it is not 0, by its side of `inside`; "the same" where both one-sided tests
    put it within the margin; else "undecided".  All these hold for the other hospitals that were drawn, as all cohorts
    share them; crossed: an interval that draws cohorts and other hospitals, each by itself.
    """
    lines, family = {}, []
    for name, mine in effects.groupby(level="contrast", sort=False):
        apart = mine["inside"] - mine["outside"]
        outside = by_hospital.loc[name].loc[mine.index.get_level_values("cohort")].to_numpy()  # (cohorts, hospitals)
        crossed = {"outside": outside, "lost": mine["inside"].to_numpy()[:, None] - outside}
        family.append(mean_t(apart.to_numpy()))
        found = {part: mean_t(mine[part].to_numpy()) for part in TRUTHS} | {"lost": family[-1]}
        lines[name] = {}
        for part, one in found.items():
            lines[name] |= {part: one.difference} | ends(part, one.interval())
            if part in crossed:
                lines[name] |= ends(f"{part} crossed", crossed_bootstrap(crossed[part])[1:])
        lines[name] |= ends("lost bootstrap", resampled(apart.to_numpy(), mean))
    table = pd.DataFrame.from_dict(lines, orient="index").assign(n=[one.n for one in family])
    return _worded(table, family, margin, "inside", ("gained outside", "lost outside"))


def changes(now: tuple[Runs, str], before: tuple[Runs, str], words: tuple[str, str]) -> pd.DataFrame:
    """How the difference of each contrast changes from one family to another that differs in one thing.

    now, before: the records and the family, whose contrasts are in the same order.  A line each, by the name in
    `before`, over the cohorts that the plan has for `now`.  before, now: the mean differences, the latter with its 95 %
    interval and its verdict by `Runs.contrasts`.  change: now - before in each cohort, its mean and its interval by t.
    word: where it is not 0, the first of `words` if it lies on the other side of 0 than `before`, that is, if the
    difference has become smaller, else the second; "the same" where both one-sided tests put it within the plan's
    margin; else "undecided".  Raises `InputError` until all cohorts of both are there.
    """
    contrasts = declared()["contrasts"]
    lines, family = {}, []
    for one, other in zip(contrasts[now[1]], contrasts[before[1]], strict=True):
        gained = _differences(now[0], one["better"], one["worse"])
        had = _differences(before[0], other["better"], other["worse"])[: len(gained)]
        mine = mean_t(gained)
        family.append(mean_t(gained - had))
        lines[other["name"]] = {"before": had.mean(), "now": mine.difference} | ends("now", mine.interval())
        lines[other["name"]] |= {"change": family[-1].difference} | ends("change", family[-1].interval())
    table = pd.DataFrame.from_dict(lines, orient="index").assign(n=[one.n for one in family])
    table["verdict"] = now[0].contrasts(now[1])["verdict"].to_numpy()
    return _worded(table, family, declared()["plan"]["margin"], "before", words)


def same_signs(large: Runs, small: Runs) -> pd.DataFrame:
    """In how many cohorts ResNet18's difference at 224 pixels has the sign of its mean at 64, a line for each contrast.

    large, small: the records at 224 and at 64 pixels.  Raises `InputError` until all cohorts of both are there.
    """
    lines = {}
    for contrast in declared()["contrasts"]["claims"]:
        sides = contrast["better"], contrast["worse"]
        if {*(there := [RESNET18_LARGE + side for side in sides])} <= {*all_rows()}:
            at_224, at_64 = _differences(large, *there), _differences(small, *sides).mean()
            same = int((at_224 * at_64 > 0).sum())
            lines[contrast["name"]] = {"at 64": at_64, "same sign": same, "of": len(at_224)}
    return pd.DataFrame.from_dict(lines, orient="index")


def _differences(runs: Runs, better: str, worse: str) -> np.ndarray:
    """better - worse in each cohort of the plan, from the first, (cohorts,); an `InputError` until all are there."""
    cohorts = min(awaited(all_rows()[side], runs.protocol) for side in (better, worse))
    table = runs.accuracy(better, worse).reindex(range(cohorts)).dropna()
    if len(table) < cohorts:
        what = f"{better} less {worse}, {runs.profile.size} pixels"
        raise InputError(f"{what}: {len(table)} of {cohorts} cohorts are there; run the others before looking")
    return table.to_numpy() @ [1, -1]


def _worded(
    table: pd.DataFrame, family: Sequence[Comparison], margin: float, side: str, words: tuple[str, str]
) -> pd.DataFrame:
    """The table with Holm's p over a family of differences, a line each, and a word for each.

    words: of a difference that is not 0, where its sign is not that of the column `side`, and where it is.
    """
    apart, equal = holm([one.p for one in family]), holm([max(one.tost(margin)) for one in family])
    table["p, Holm"], table["p TOST, Holm"] = apart, equal
    along = np.array([one.difference for one in family]) * np.sign(table[side]) > 0
    shown = np.where(along, words[1], words[0])
    table["word"] = np.select([equal < 0.05, apart < 0.05], ["the same", shown], "undecided")
    return table
