"""Second and third question: do five folds predict what comes inside and outside, and what predicts better?"""

import numpy as np
import pandas as pd
from scipy import stats

from ...evaluation.comparisons import delong, paired_t
from ...evaluation.outcome import Outcome
from ...runs.results import Runs
from .resampling import N_BOOT, ends, judged, mean, resampled
from .study import CANCER, FEW, POOLS, TRUTHS, Transport, accuracies

PREDICTS, CHOOSES, HONEST = 0.5, 0.5, 0.95  # the plan's thresholds: of a correlation, of a share, of a coverage


def correlations(effects: pd.DataFrame) -> pd.DataFrame:
    """Second question, first measure: how the five-fold difference goes with the truth, over cohorts.

    A line for each truth: the mean within contrasts, by Fisher's z, its 95 % interval, and the plan's word.  On 30
    cohorts the interval is a little too narrow: in simulations it held a true 0.5 in 90 to 93 of 100 studies.
    """
    lines = {}
    for truth in TRUTHS:
        both = [effects[part].unstack("contrast").to_numpy() for part in ("folds", truth)]  # (cohorts, contrasts) each
        values = np.stack(both, axis=-1)
        lines[truth] = judged(_correlation(values[None])[0], resampled(values, _correlation), PREDICTS, "predict")
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
    """Second measure: how often such an interval holds the truth of its own cohort, a line for each kind and truth.

    The truth is that of one trained network on so many patients, with the luck of both, which no interval of the folds
    knows: "too narrow" is said of the interval for this truth, not of its arithmetic.
    """
    folds, cancer, held = study.folds(), study.cancer(), {}
    for (name, cohort), line in effects.iterrows():
        better, worse = (folds[side][cohort] for side in study.contrasts[name])
        for kind, (low, high) in five_fold_intervals(better, worse, seed=cohort).items():
            truth = cancer.loc[(name, cohort)] if kind == "DeLong" else line
            held[name, cohort] = held.get((name, cohort), {}) | {(kind, t): low <= truth[t] <= high for t in TRUTHS}
    table = pd.DataFrame.from_dict(held, orient="index").rename_axis(["contrast", "cohort"])
    by_cohort = table.groupby(level="cohort").mean()  # each has all contrasts
    lines = {key: judged(mine.mean(), resampled(mine.to_numpy(), mean), HONEST, "") for key, mine in by_cohort.items()}
    found = pd.DataFrame.from_dict(lines, orient="index")
    return found.assign(word=np.where(found["high"] >= HONEST, "honest", "too narrow"))


def winners(study: Transport) -> pd.DataFrame:
    """Third measure: how often the best row by five folds is the best of all, a line for each truth.

    value, the share, with its 95 % interval and the plan's word; price: points by which the chosen row stays behind the
    best, and those of a row picked at random.
    """
    by_folds, lines = accuracies(study.within, study.rows), {}
    for truth in TRUTHS:
        true = accuracies(study.across, study.rows, POOLS[truth])
        true = true.loc[true.index.intersection(by_folds.index)]
        chosen = by_folds.loc[true.index].to_numpy().argmax(axis=1)
        best, at = true.max(axis=1).to_numpy(), true.to_numpy()
        won = (at.argmax(axis=1) == chosen).astype(float)
        price = {"price": best - at[np.arange(len(at)), chosen], "price at random": best - at.mean(axis=1)}
        line = judged(won.mean(), resampled(won, mean), CHOOSES, "choose")
        lines[truth] = line | {name: values.mean() for name, values in price.items()}
    return pd.DataFrame.from_dict(lines, orient="index")


def predictors(
    study: Transport, effects: pd.DataFrame, ten: Runs | None = None, again: Runs | None = None
) -> pd.DataFrame:
    """Third question: how far off are five folds and what could stand in their place, over the contrasts of `FEW`.

    ten, again: the records of ten folds, and of five folds dealt again, on the cohorts that have them.  A line for each
    predictor: the trainings that it takes; the labelled patients that it takes beside the cohort's own; and for each
    truth the root mean square error in points with its 95 % interval over cohorts.  "one other hospital" tests the very
    network whose inside and outside are the truth, and shares its luck; the others train networks of their own.
    Raises `InputError` until the cohorts of `ten` and `again` are there.
    """
    ten, again = ten or Runs("inside-ten"), again or Runs("inside-again")
    few = {name: sides for name, sides in study.contrasts.items() if {*sides} <= {*FEW}}
    other = {how: accuracies(runs, FEW) for how, runs in (("ten", ten), ("again", again))}
    cohorts = other["ten"].index.intersection(other["again"].index)
    told, true = {}, effects.loc[effects.index.isin(cohorts, level="cohort")]

    def table(column: str) -> np.ndarray:  # (cohorts, contrasts)
        return true[column].unstack("contrast")[[*few]].loc[cohorts].to_numpy()

    more = {
        how: np.stack([found.loc[cohorts, one] - found.loc[cohorts, two] for one, two in few.values()], axis=1)
        for how, found in other.items()
    }
    told["five folds", 5, 0] = table("folds")
    told["ten folds", 10, 0] = more["ten"]
    told["two times five folds", 10, 0] = (table("folds") + more["again"]) / 2
    told["one other hospital", 1, 85] = table("next")
    told["zero", 0, 0] = np.zeros_like(more["ten"])
    lines = {}
    for (name, trainings, patients), values in told.items():
        lines[name] = {"trainings": trainings, "other patients": patients}
        for truth in TRUTHS:
            squared = (values - table(truth)) ** 2
            interval = resampled(squared, lambda samples: np.sqrt(mean(samples)))
            lines[name] |= {truth: np.sqrt(squared.mean())} | ends(truth, interval)
    return pd.DataFrame.from_dict(lines, orient="index").assign(cohorts=len(cohorts))


def ceiling(study: Transport) -> dict[str, float]:
    """How high the correlation of a prediction with the inside difference can be, if it is made before the training.

    That difference belongs to networks of one seed each.  Model 1 less scratch, by the first seed and by the second:
    reliability, their correlation over cohorts, and highest, its root, 0 where the two have nothing in common; each
    with its 95 % interval by Fisher's z, which is wide on ten cohorts.  Five folds may reach more, as their networks
    begin with the same weights as those of the whole cohort, and those of the second seed with others.  Raises
    `InputError` until both are there.
    """
    pairs = [(f"{prefix}model 1", f"{prefix}scratch") for prefix in ("narrow: ", "second seed: ")]
    seeds = [accuracies(study.across, sides, POOLS["inside"]) @ [1, -1] for sides in pairs]
    both = pd.concat(seeds, axis=1).dropna().to_numpy()
    found = stats.pearsonr(*both.T)
    reliability = np.array([found.statistic, *found.confidence_interval()])
    names = (("reliability", reliability), ("highest", np.sqrt(reliability.clip(0))))
    table = {name: {name: float(values[0])} | ends(name, values[1:].tolist()) for name, values in names}
    return table["reliability"] | table["highest"] | {"cohorts": len(both)}


def _correlation(samples: np.ndarray) -> np.ndarray:
    """(B, cohorts, contrasts, 2) -> (B,): over cohorts within each contrast, then the mean by Fisher's z."""
    centred = samples - samples.mean(axis=1, keepdims=True)
    one, other = centred[..., 0], centred[..., 1]
    r = (one * other).sum(axis=1) / np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))  # (B, contrasts)
    return np.tanh(np.arctanh(r).mean(axis=1))
