"""Whether two models differ: tests, intervals, the number of pairs that a question needs, and the verdict.

`a` and `b` are the two arms, measured on the same folds, cohorts or slices; a difference is always a - b, in the units
given.  No arm may hold nan: every function here raises `InputError` for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ..base.errors import InputError


@dataclass(frozen=True)
class Comparison:
    """A difference, its standard error, the degrees of freedom (infinite for a normal test) and how many units bear it.

    A standard error of 0 (the same difference in every pair) is no error: the interval is the point, and each p is 1
    where the null allows that point and 0 where it does not.
    """

    difference: float
    se: float
    df: float
    n: int

    @property
    def p(self) -> float:
        """Two-sided p of no difference."""
        return min(1.0, 2 * self._above(abs(self.difference)))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        half_width = stats.t.ppf((1 + confidence) / 2, self.df) * self.se
        return float(self.difference - half_width), float(self.difference + half_width)

    def tost(self, margin: float) -> tuple[float, float]:
        """p of two one-sided tests, against a difference of -margin or less and of margin or more (Schuirmann 1987).

        Both below alpha, which is the (1 - 2 alpha) interval inside the margin, show equivalence.
        """
        if not margin > 0:
            raise InputError(f"margin {margin}: equivalence needs a margin above 0; give the smallest that matters")
        return self._above(self.difference + margin), self._above(margin - self.difference)

    def _above(self, distance: float) -> float:
        """Chance to be this far or farther above a null."""
        if self.se == 0:
            return float(distance <= 0)
        return float(stats.t.sf(distance / self.se, self.df))


def mean_t(values: np.ndarray) -> Comparison:
    """A mean against 0, by t over n independent values, such as one difference a cohort.  values: (n,)."""
    return paired_t(values, np.zeros(np.shape(values)))


def mean_with_interval(values: np.ndarray) -> str:
    """The same mean with its 95 % interval and n, as text: "73.7 (72.8 to 74.5), n = 30".  nan are left out."""
    values = np.asarray(values, dtype=float)
    found = mean_t(values[~np.isnan(values)])
    low, high = found.interval()
    return f"{found.difference:.1f} ({low:.1f} to {high:.1f}), n = {found.n}"


def paired_t(a: np.ndarray, b: np.ndarray, test_over_train: float = 0.0) -> Comparison:
    """Paired t over n folds or cohorts.  a, b: (n,).

    test_over_train: 0 where the pairs share no training data, as cohorts.  Where training sets overlap, the size of
    a test set over that of a training set, 1 / (k - 1) for k folds: the variance of the mean is then taken as
    (1/n + test_over_train) s^2 (Nadeau & Bengio 2003; they derive it for random splits, for folds it is a convention).
    """
    a, b = _finite("a", a), _finite("b", b)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise InputError(f"a of shape {a.shape}, b of shape {b.shape}: give two lists of the same 2 or more pairs")
    if not test_over_train >= 0:
        raise InputError(f"test_over_train {test_over_train}: give the ratio of two sizes, 0 for no overlap")
    difference = a - b
    se = np.sqrt((1 / len(a) + test_over_train) * difference.var(ddof=1))
    return Comparison(float(difference.mean()), float(se), len(a) - 1, len(a))


def auc_covariance(y_true: np.ndarray, scores: np.ndarray, patient=None) -> tuple[np.ndarray, np.ndarray]:
    """AUC of each of K scores, (K,), and their covariance, (K, K).

    y_true: (N,) of 0 and 1.  scores: (K, N), or (N,) for K = 1.  patient: (N,), whose slice it is.

    Without patients every slice counts as independent (DeLong et al. 1988, by midranks: Sun & Xu 2014).  With
    patients the slices of one may depend on each other in any way and be of both classes (Obuchowski 1997).  With
    one slice a patient the two are the same number; m copies of every slice leave Obuchowski's as it was and divide
    DeLong's by about m.  Raises `InputError` where a class has fewer than two patients (slices, without patients).
    """
    scores = np.atleast_2d(_finite("scores", scores))
    y_true = np.asarray(y_true)
    owner, n_patients = _owners(np.arange(len(y_true)) if patient is None else patient)
    if scores.ndim != 2 or not (y_true.shape == owner.shape == scores.shape[1:]):
        raise InputError(f"y_true {y_true.shape}, scores {scores.shape}, patient {owner.shape}: give one per slice")
    if not np.isin(y_true, (0, 1)).all():
        raise InputError("y_true: holds other values than 0 and 1; give y_true == the class in question")
    kinds = positive, negative = y_true == 1, y_true == 0
    having = [len(np.unique(owner[kind])) for kind in kinds]
    if min(having) < 2:
        raise InputError(
            f"{having[0]} patients or slices with the class, {having[1]} without: an AUC needs two of each"
        )

    ranks = stats.rankdata(scores, axis=1)
    placement = np.empty_like(ranks)  # (K, N): the share of the other class that lies on the right side of a slice
    placement[:, positive] = (ranks[:, positive] - stats.rankdata(scores[:, positive], axis=1)) / negative.sum()
    placement[:, negative] = 1 - (ranks[:, negative] - stats.rankdata(scores[:, negative], axis=1)) / positive.sum()
    auc = placement[:, positive].mean(axis=1)  # (K,)

    moves = []  # what each patient's slices of a kind move the AUCs by: (K, patients)
    for kind in kinds:
        excess = (placement[:, kind] - auc[:, None]) / kind.sum()
        moves.append(np.stack([np.bincount(owner[kind], row, n_patients) for row in excess]))
    both = moves[0] @ moves[1].T  # 0 where no patient has slices of both kinds
    covariance = sum(n / (n - 1) * m @ m.T for n, m in zip(having, moves, strict=True))
    return auc, covariance + n_patients / (n_patients - 1) * (both + both.T)


def delong(y_true: np.ndarray, score_a: np.ndarray, score_b: np.ndarray, patient=None) -> Comparison:
    """Difference of two AUCs on the same slices; each array is (N,).

    Without `patient`, DeLong's test, for independent slices; with it, Obuchowski's, for slices in patients: see
    `auc_covariance`, which also gives the two AUCs.
    """
    if np.shape(score_a) != np.shape(score_b):
        raise InputError(f"scores of shape {np.shape(score_a)} and {np.shape(score_b)}: give one of each per slice")
    auc, covariance = auc_covariance(y_true, np.stack([score_a, score_b]), patient)
    variance = max(0.0, covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])  # rounding may give -1e-17
    n = len(y_true) if patient is None else _owners(patient)[1]
    return Comparison(float(auc[0] - auc[1]), float(np.sqrt(variance)), np.inf, n)


def cluster_bootstrap(
    statistic: Callable[..., float], patient: np.ndarray, *arrays: np.ndarray, n_boot: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """statistic(*arrays) and its 95 % percentile interval when patients, with all their slices, are drawn again.

    patient: (N,).  arrays: each (N, ...), one row a slice.  A resample in which the statistic is not finite, as an
    AUC of one class, is an `InputError`, not left out: leaving it out would narrow the interval unseen.
    """
    owner, n_patients = _owners(patient)
    arrays = [np.asarray(array) for array in arrays]
    if n_patients < 2 or not arrays or any(len(array) != len(owner) for array in arrays):
        raise InputError(f"{len(owner)} slices of {n_patients} patients: give two patients, and arrays of as many rows")
    for i, array in enumerate(arrays):
        _finite(f"array {i}", array)
    slices = np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner))[:-1])
    rng = np.random.default_rng(seed)
    values = [statistic(*arrays)]
    for _ in range(n_boot):
        drawn = np.concatenate([slices[i] for i in rng.integers(0, n_patients, n_patients)])
        values.append(statistic(*(array[drawn] for array in arrays)))
    values = _finite("statistic on resampled patients", values)
    return float(values[0]), *(float(q) for q in np.quantile(values[1:], (0.025, 0.975)))


def crossed_bootstrap(difference: np.ndarray, n_boot: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Mean and 95 % percentile interval when cohorts and test patients are both drawn again, each by itself.

    difference: (cohorts, patients), of the two arms trained on a cohort, in their accuracy on a patient of the pool
    that all cohorts share.  Errs, if at all, on the wide side (the pigeonhole bootstrap, Owen 2007).
    """
    difference = _finite("difference", difference)
    if difference.ndim != 2 or min(difference.shape) < 2:
        raise InputError(f"difference of shape {difference.shape}: give two or more cohorts by two or more patients")
    rng = np.random.default_rng(seed)
    times = [rng.multinomial(n, np.full(n, 1 / n), n_boot) for n in difference.shape]  # drawn: (n_boot, n)
    means = ((times[0] @ difference) * times[1]).sum(axis=1) / difference.size
    return float(difference.mean()), *(float(q) for q in np.quantile(means, (0.025, 0.975)))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's adjusted p of a family, in the order given."""
    from statsmodels.stats.multitest import multipletests  # slow to import

    p_values = _finite("p_values", p_values)
    if p_values.ndim != 1 or not len(p_values) or p_values.min() < 0 or p_values.max() > 1:
        raise InputError("p_values: some are outside 0 to 1, or there are none; give one p for each contrast")
    return multipletests(p_values, method="holm")[1]


def verdicts(family: Sequence[Comparison], margin: float, alpha: float = 0.05) -> list[str]:
    """What each contrast of a family says of the claim that a is better than b.

    equivalent: TOST places the difference within the margin.  reproduced: it is above 0.  not reproduced: it is below
    0.  undecided: none of these is shown.  Each of the two questions, of equivalence and of a difference, is put to
    the whole family with Holm's adjustment.  Where both are answered yes, the difference is real and smaller than what
    the margin says matters, and the verdict is equivalent.
    """
    equal = holm([max(comparison.tost(margin)) for comparison in family]) < alpha
    apart = holm([comparison.p for comparison in family]) < alpha
    side = ["reproduced" if comparison.difference > 0 else "not reproduced" for comparison in family]
    return ["equivalent" if e else s if d else "undecided" for e, d, s in zip(equal, apart, side, strict=True)]


def power(difference: float, sd: float, n: int, alpha: float = 0.05) -> float:
    """Chance that a paired t over n pairs finds a true difference.  sd: of the paired differences."""
    from statsmodels.stats.power import TTestPower  # slow to import

    if not (np.isfinite(difference) and sd > 0 and n >= 2):
        raise InputError(f"difference {difference}, sd {sd}, n {n}: power needs an sd above 0 and two or more pairs")
    return float(TTestPower().power(difference / sd, n, alpha))


def pairs_for_half_width(sd: float, half_width: float, confidence: float = 0.95) -> int:
    """The fewest pairs whose t interval is at most so wide to either side, if their differences have just this sd."""
    if not (sd > 0 and half_width > 0):
        raise InputError(f"sd {sd}, half-width {half_width}: both must be above 0")
    q = (1 + confidence) / 2
    n = max(2, int((stats.norm.ppf(q) * sd / half_width) ** 2))  # t is wider than the normal, so never too many
    while stats.t.ppf(q, n - 1) * sd / np.sqrt(n) > half_width:
        n += 1
    return n


def simulate_type_one(
    n_simulations: int = 500, seed: int = 0, icc: float = 0.5, alpha: float = 0.05
) -> dict[str, tuple[float, float]]:
    """How often two equally good models are declared different: by slices (DeLong) and by patients (Obuchowski).

    Returns {"slices": (rate, its Monte Carlo standard error), "patients": the same}; both should be alpha.
    85 patients, 20 of them of the class in question, as HEM in Table 1, have 2 to 12 slices, 5.75 in the mean.  Both
    models have an AUC of .85.  icc: the share of a score's variance within a class that all slices of a patient have
    in common; each model has its own such share.
    """
    if not (0 <= icc <= 1 and n_simulations > 0):
        raise InputError(f"icc {icc}, {n_simulations} simulations: give an icc of 0 to 1 and at least one simulation")
    rng = np.random.default_rng(seed)
    separation = np.sqrt(2) * stats.norm.ppf(0.85)
    rejected = np.zeros((n_simulations, 2), dtype=bool)
    for row in rejected:
        patient = np.repeat(np.arange(85), 2 + rng.binomial(10, 0.375, 85))
        y_true = (patient < 20).astype(int)
        of_patient, of_slice = rng.normal(size=(2, 85)), rng.normal(size=(2, len(patient)))
        a, b = separation * y_true + np.sqrt(icc) * of_patient[:, patient] + np.sqrt(1 - icc) * of_slice
        row[:] = delong(y_true, a, b).p < alpha, delong(y_true, a, b, patient).p < alpha
    rates = rejected.mean(axis=0)
    errors = np.sqrt(rates * (1 - rates) / n_simulations)
    return {name: (float(r), float(e)) for name, r, e in zip(("slices", "patients"), rates, errors, strict=True)}


def _finite(name: str, values) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    missing = np.size(values) - np.isfinite(values).sum()
    if missing:
        raise InputError(f"{name}: {missing} of {values.size} values are not finite; see why before comparing the rest")
    return values


def _owners(patient) -> tuple[np.ndarray, int]:
    """The patients numbered from 0, (N,), and how many there are."""
    owner, names = pd.factorize(np.asarray(patient))
    if (owner < 0).any():
        raise InputError(f"patient: {(owner < 0).sum()} of {len(owner)} slices name none; give each slice its patient")
    return owner, len(names)
