"""Does a gain that five folds find inside a hospital survive in the next, and do five folds predict it?

A hospital is one draw of the phantom's tables.  For each declared contrast and each cohort there are four differences,
in points.  folds: of five folds inside the cohort.  inside: on other patients of the cohort's hospital.  outside: on
patients of twenty other hospitals.  next: on the patients of one other cohort.  The plan that these functions carry
out is `data/results/next_hospital.md`.  Its intervals draw whole cohorts again, with all their contrasts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..base.errors import InputError
from ..evaluation.comparisons import delong, holm, mean_t, paired_t, verdicts
from ..evaluation.outcome import Outcome
from ..runs.results import Runs
from ..runs.rows import all_rows, declared

FAMILY, AUGMENTED = "hospitals", "hospitals, geometric"
POOLS = {"inside": "own hospital", "outside": "standard", "next": "next hospital"}
TRUTHS = ("inside", "outside")
CANCER = "HCC"
PREDICTS, CHOOSES, HONEST = 0.5, 0.5, 0.95  # the plan's thresholds: of a correlation, of a share, of a coverage
FEW = ("narrow: scratch", "narrow: model 1", "narrow: model 2", "narrow: FC, phase shuffle")
N_BOOT = 2000


@dataclass(frozen=True)
class Transport:
    """The records of the study.  within: the five folds.  across: networks trained on whole cohorts."""

    within: Runs = field(default_factory=lambda: Runs("inside"))
    across: Runs = field(default_factory=Runs)

    @property
    def contrasts(self) -> dict[str, tuple[str, str]]:
        """Name -> (better, worse)."""
        return {one["name"]: (one["better"], one["worse"]) for one in declared()["contrasts"][FAMILY]}

    @property
    def rows(self) -> list[str]:
        return list(dict.fromkeys(side for sides in self.contrasts.values() for side in sides))

    def effects(self) -> pd.DataFrame:
        """The four differences, a line for each contrast and cohort.

        "No peeking", says the plan: an `InputError` until all its cohorts are there.
        """
        accuracy = {"folds": self.within.accuracy(*self.rows)}
        accuracy |= {name: self.across.accuracy(*self.rows, pool=pool) for name, pool in POOLS.items()}
        for name, table in accuracy.items():
            there, planned = len(table.dropna()), declared()["plan"]["cohorts"][all_rows()[self.rows[0]].set]
            if there < planned:
                raise InputError(f"{name}: {there} of {planned} cohorts are there; run the others before looking")
        lines = {
            contrast: pd.DataFrame({name: table[better] - table[worse] for name, table in accuracy.items()})
            for contrast, (better, worse) in self.contrasts.items()
        }
        return pd.concat(lines, names=["contrast", "cohort"])

    def folds(self) -> dict[str, dict[int, Outcome]]:
        """Row -> cohort -> the answers of its five folds."""
        return {row: self.within.outcomes(row) for row in self.rows}

    def cancer(self) -> pd.DataFrame:
        """The difference in the AUC of HCC over slices, inside and outside, a line for each contrast and cohort."""
        auc = {}
        for row in self.rows:
            for record in self.across.read(row):
                for name in TRUTHS:
                    auc[name, row, record["cohort"]] = record["tests"][POOLS[name]]["AUC by class"][CANCER]
        table = pd.Series(auc).unstack(1)  # (truth, cohort) x row
        lines = {name: (table[one] - table[other]).unstack(0) for name, (one, other) in self.contrasts.items()}
        return pd.concat(lines, names=["contrast", "cohort"])


def survival(effects: pd.DataFrame, margin: float) -> pd.DataFrame:
    """First question: inside, outside and the difference of the two, a line for each contrast.

    lost: inside - outside, with its 95 % interval by t, that of a bootstrap over cohorts, and Holm's p over all.  word:
    "lost outside" or "gained outside" where it is not 0, by its side of `inside`; "the same" where both one-sided tests
    put it within the margin; else "undecided".
    """
    lines, family = {}, []
    for name, mine in effects.groupby(level="contrast", sort=False):
        found = {part: mean_t(mine[part].to_numpy()) for part in TRUTHS}
        lost = mean_t((mine["inside"] - mine["outside"]).to_numpy())
        family.append(lost)
        one = {part: value.difference for part, value in found.items()}
        one |= {
            f"{part} {end}": v
            for part in TRUTHS
            for end, v in zip(("low", "high"), found[part].interval(), strict=True)
        }
        again = _resampled((mine["inside"] - mine["outside"]).to_numpy(), _mean)
        lines[name] = one | _ends("lost", lost.difference, lost.interval()) | _ends("bootstrap", None, again)
    table = pd.DataFrame.from_dict(lines, orient="index").assign(n=[one.n for one in family])
    apart, equal = holm([one.p for one in family]), holm([max(one.tost(margin)) for one in family])
    table["p, Holm"], table["p TOST, Holm"] = apart, equal
    side = np.where(table["lost"] * np.sign(table["inside"]) > 0, "lost outside", "gained outside")
    table["word"] = np.select([equal < 0.05, apart < 0.05], ["the same", side], "undecided")
    return table


def correlations(effects: pd.DataFrame) -> pd.DataFrame:
    """Second question, first measure: how the five-fold difference goes with the truth, over cohorts.

    A line for each truth: the mean within contrasts, by Fisher's z, its 95 % interval, and the plan's word.
    """

    lines = {}
    for truth in TRUTHS:
        both = [effects[part].unstack("contrast").to_numpy() for part in ("folds", truth)]  # (cohorts, contrasts) each
        values = np.stack(both, axis=-1)
        lines[truth] = _judged(_correlation(values[None])[0], _resampled(values, _correlation), PREDICTS, "predict")
    return pd.DataFrame.from_dict(lines, orient="index")


def five_fold_intervals(one: Outcome, other: Outcome, seed: int = 0) -> dict[str, tuple[float, float]]:
    """The 95 % intervals that a laboratory would compute for one - other: three of points, and one of AUC.

    By t over folds, as if they were independent; by t with the variance of Nadeau and Bengio; by a bootstrap of
    patients; by DeLong's test of the AUC of HCC over slices.
    """
    right = [np.asarray(side.y_pred == side.y_true, dtype=float) for side in (one, other)]
    owner = np.unique(one.patient, return_inverse=True)[1]
    gained, slices = np.bincount(owner, right[0] - right[1]), np.bincount(owner)
    n = len(slices)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), N_BOOT)  # (N_BOOT, patients)
    again = 100 * (drawn @ gained) / (drawn @ slices)
    there, column = one.y_true == one.classes.index(CANCER), one.classes.index(CANCER)
    folds = one.by_fold, other.by_fold
    return {
        "t over folds": paired_t(*folds).interval(),
        "Nadeau-Bengio": paired_t(*folds, test_over_train=1 / (len(folds[0]) - 1)).interval(),
        "bootstrap of patients": tuple(np.quantile(again, (0.025, 0.975)).tolist()),
        "DeLong": delong(there, one.prob[:, column], other.prob[:, column]).interval(),
    }


def coverage(study: Transport, effects: pd.DataFrame) -> pd.DataFrame:
    """Second measure: how often such an interval holds the truth of its own cohort, a line for each kind and truth."""
    folds, cancer, held = study.folds(), study.cancer(), {}
    for (name, cohort), line in effects.iterrows():
        better, worse = (folds[side][cohort] for side in study.contrasts[name])
        for kind, (low, high) in five_fold_intervals(better, worse, seed=cohort).items():
            truth = cancer.loc[(name, cohort)] if kind == "DeLong" else line
            held[name, cohort] = held.get((name, cohort), {}) | {(kind, t): low <= truth[t] <= high for t in TRUTHS}
    table = pd.DataFrame.from_dict(held, orient="index").rename_axis(["contrast", "cohort"])
    by_cohort = table.groupby(level="cohort").mean()  # each has all contrasts
    lines = {
        key: _judged(mine.mean(), _resampled(mine.to_numpy(), _mean), HONEST, "") for key, mine in by_cohort.items()
    }
    found = pd.DataFrame.from_dict(lines, orient="index")
    return found.assign(word=np.where(found["high"] >= HONEST, "honest", "too narrow"))


def winners(study: Transport) -> pd.DataFrame:
    """Third measure: how often the best row by five folds is the best of all, a line for each truth.

    share, with its 95 % interval and the plan's word; price: points by which the chosen row stays behind the best, and
    those of a row picked at random.
    """
    by_folds, lines = study.within.accuracy(*study.rows), {}
    for truth in TRUTHS:
        true = study.across.accuracy(*study.rows, pool=POOLS[truth])
        chosen = by_folds.loc[true.index].to_numpy().argmax(axis=1)
        best, at = true.max(axis=1).to_numpy(), true.to_numpy()
        won = (at.argmax(axis=1) == chosen).astype(float)
        price = {"price": best - at[np.arange(len(at)), chosen], "price at random": best - at.mean(axis=1)}
        line = _judged(won.mean(), _resampled(won, _mean), CHOOSES, "choose")
        lines[truth] = line | {name: values.mean() for name, values in price.items()}
    return pd.DataFrame.from_dict(lines, orient="index")


def predictors(
    study: Transport, effects: pd.DataFrame, ten: Runs | None = None, again: Runs | None = None
) -> pd.DataFrame:
    """Third question: how far off are five folds and what could stand in their place, over the contrasts of `FEW`.

    ten, again: the records of ten folds, and of five folds dealt again, on the cohorts that have them.  A line for each
    predictor: the trainings that it takes, and for each truth the root mean square error in points with its 95 %
    interval over cohorts.
    """
    ten, again = ten or Runs("inside-ten"), again or Runs("inside-again")
    few = {name: sides for name, sides in study.contrasts.items() if {*sides} <= {*FEW}}
    other = {how: runs.accuracy(*FEW).dropna() for how, runs in (("ten", ten), ("again", again))}
    cohorts = other["ten"].index.intersection(other["again"].index)
    told, true = {}, effects.loc[effects.index.get_level_values("cohort").isin(cohorts)]

    def table(column: str) -> np.ndarray:  # (cohorts, contrasts)
        return true[column].unstack("contrast")[[*few]].loc[cohorts].to_numpy()

    more = {
        how: np.stack([found.loc[cohorts, one] - found.loc[cohorts, two] for one, two in few.values()], axis=1)
        for how, found in other.items()
    }
    told["five folds", 5] = table("folds")
    told["ten folds", 10] = more["ten"]
    told["two times five folds", 10] = (table("folds") + more["again"]) / 2
    told["one other hospital", 1] = table("next")
    told["zero", 0] = np.zeros_like(told["five folds", 5])
    lines = {}
    for (name, trainings), values in told.items():
        lines[name] = {"trainings": trainings}
        for truth in TRUTHS:
            squared = (values - table(truth)) ** 2
            low, high = _resampled(squared, lambda samples: np.sqrt(_mean(samples)))
            lines[name] |= {truth: np.sqrt(squared.mean()), f"{truth} low": low, f"{truth} high": high}
    return pd.DataFrame.from_dict(lines, orient="index").assign(cohorts=len(cohorts))


def beside_augmentation(across: Runs, margin: float) -> pd.DataFrame:
    """What is left of each difference outside when both of its rows have ordinary augmentation, a line a contrast.

    The plan is `data/results/proper_baseline.md`.  without, with: the mean difference over the cohorts of the rows with
    augmentation, the latter with its 95 % interval and its verdict, Holm over all.  change: with less without, the
    same.  word: "smaller with augmentation" or "larger with augmentation" where the change is not 0, by the side of
    `without`; "the same" where both one-sided tests put it within the margin; else "undecided".  Raises `InputError`
    until all cohorts of the plan are there.
    """
    families = [declared()["contrasts"][name] for name in (AUGMENTED, FAMILY)]
    cohorts = declared()["plan"]["cohorts"][AUGMENTED]
    lines, withs, changes = {}, [], []
    for augmented, plain in zip(*families, strict=True):
        tables = [across.accuracy(one["better"], one["worse"]).reindex(range(cohorts)) for one in (augmented, plain)]
        there = min(len(table.dropna()) for table in tables)
        if there < cohorts:
            raise InputError(f"{augmented['name']}: {there} of {cohorts} cohorts are there; run the others first")
        gained, before = (table.to_numpy() @ [1, -1] for table in tables)
        withs.append(mean_t(gained))
        changes.append(mean_t(gained - before))
        lines[plain["name"]] = {"without": before.mean()} | {
            key: value
            for name, found in (("with", withs[-1]), ("change", changes[-1]))
            for key, value in _ends(name, found.difference, found.interval()).items()
        }
    table = pd.DataFrame.from_dict(lines, orient="index").assign(n=cohorts)
    table["verdict"] = verdicts(withs, margin)
    apart, equal = holm([one.p for one in changes]), holm([max(one.tost(margin)) for one in changes])
    table["p, Holm"], table["p TOST, Holm"] = apart, equal
    shrinks = table["change"] * np.sign(table["without"]) < 0
    side = np.where(shrinks, "smaller with augmentation", "larger with augmentation")
    table["word"] = np.select([equal < 0.05, apart < 0.05], ["the same", side], "undecided")
    return table


def ceiling(study: Transport) -> dict[str, float]:
    """How high a correlation with the inside difference can be, as that belongs to networks of one seed each.

    Model 1 less scratch, by the first seed and by the second: reliability, their correlation over cohorts, and highest,
    its root; nan where the two seeds have nothing in common.
    """
    pairs = [(f"{prefix}model 1", f"{prefix}scratch") for prefix in ("narrow: ", "second seed: ")]
    seeds = [study.across.accuracy(*sides, pool=POOLS["inside"]) for sides in pairs]
    both = pd.concat([table[one] - table[two] for table, (one, two) in zip(seeds, pairs, strict=True)], axis=1).dropna()
    r = float(np.corrcoef(both.to_numpy().T)[0, 1])
    return {"reliability": r, "highest": r**0.5 if r > 0 else float("nan"), "cohorts": len(both)}


def _judged(value: float, interval: tuple[float, float], threshold: float, verb: str) -> dict:
    """A value, its interval, and the word by the side of the threshold on which the interval lies."""
    low, high = interval
    word = verb if low > threshold else f"do not {verb}" if high < threshold else "undecided"
    return {"value": value, "low": low, "high": high, "word": word}


def _resampled(values: np.ndarray, measure: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """The 95 % interval of a measure when cohorts are drawn again.

    values: (cohorts, ...), all that belongs to a cohort.  measure: of many samples at once, (B, cohorts, ...) -> (B,).
    """
    drawn = np.random.default_rng(0).integers(0, len(values), (N_BOOT, len(values)))
    low, high = np.quantile(measure(values[drawn]), (0.025, 0.975))
    return float(low), float(high)


def _mean(samples: np.ndarray) -> np.ndarray:
    return samples.reshape(len(samples), -1).mean(axis=1)


def _correlation(samples: np.ndarray) -> np.ndarray:
    """(B, cohorts, contrasts, 2) -> (B,): over cohorts within each contrast, then the mean by Fisher's z."""
    centred = samples - samples.mean(axis=1, keepdims=True)
    one, other = centred[..., 0], centred[..., 1]
    r = (one * other).sum(axis=1) / np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))  # (B, contrasts)
    return np.tanh(np.arctanh(r).mean(axis=1))


def _ends(name: str, value: float | None, interval: tuple[float, float]) -> dict[str, float]:
    middle = {} if value is None else {name: value}
    return middle | {f"{name} low": interval[0], f"{name} high": interval[1]}
