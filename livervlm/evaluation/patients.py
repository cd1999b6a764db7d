"""What a clinic asks of answers: by patient, class by class, with intervals; and for which lesions they fail."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, logit

from ..base.errors import InputError
from ..scans.conventions import MALIGNANT
from .comparisons import auc_covariance, cluster_bootstrap, crossed_bootstrap

FEWEST = 20  # patients on each side of a bootstrap: with fewer, a resample may hold none of one side
LINE = ["value", "low", "high", "patients"]  # of a measure


@dataclass(frozen=True, eq=False)
class PatientAnswers:
    """N answers, each for a whole patient.

    A patient may stand there several times, answered by several networks; intervals take its answers together.
    """

    label: np.ndarray  # (N,) int, a place in `classes`
    prob: np.ndarray  # (N, C), the mean over the patient's slices
    patient: np.ndarray  # (N,)
    classes: tuple[str, ...]

    @classmethod
    def of_slices(cls, y_true: np.ndarray, prob: np.ndarray, patient: np.ndarray, classes: Sequence[str]):
        """From n slices, each answered once.  y_true, patient: (n,).  prob: (n, C).

        Raises `InputError` where the slices of one patient have different classes.
        """
        names, first, owner, slices = np.unique(patient, return_index=True, return_inverse=True, return_counts=True)
        label = np.asarray(y_true)[first]
        if strange := names[owner[label[owner] != y_true]].tolist():
            raise InputError(f"patient {strange[0]}: has slices of two classes; give each lesion a patient of its own")
        total = np.stack([np.bincount(owner, column) for column in np.transpose(prob)], axis=1)
        return cls(label, total / slices[:, None], names, tuple(classes))

    @property
    def targets(self) -> dict[str, list[int]]:
        """What may be looked for -> its places in `classes`.

        Each class; and "malignant", where more than one malignant class is there: HCC, ICC or MET.
        """
        malignant = [c for c, name in enumerate(self.classes) if name in MALIGNANT]
        each = {name: [c] for c, name in enumerate(self.classes)}
        return each | {"malignant": malignant} if len(malignant) > 1 else each

    def sides(self, target: str) -> tuple[np.ndarray, np.ndarray]:
        """Whether a target is there, (N,) bool, and its probability, (N,): the sum over its classes."""
        places = self.targets[target]
        return np.isin(self.label, places), self.prob[:, places].sum(axis=1)

    def roc(self, target: str) -> tuple[np.ndarray, np.ndarray]:
        """The ROC curve: share of false alarms, and sensitivity, each (thresholds,), from 0 to 1."""
        from sklearn.metrics import roc_curve  # slow to import

        return roc_curve(*self.sides(target))[:2]

    def clinical(self, specificity: float = 0.9) -> pd.DataFrame:
        """A line for each measure and target: value, its 95 % interval (low, high), and how many patients bear it.

        AUC: `auc_interval`.  Sensitivity at a specificity: `sensitivity_interval`.  Sensitivity and specificity as
        answered: of the most probable class, with Wilson's intervals, where a patient counts once.  Targets that fewer
        than two patients have, or have not, are left out.
        """
        answer, lines = self.prob.argmax(axis=1), {}
        for target, places in self.targets.items():
            there, score = self.sides(target)
            having, without = (len(np.unique(self.patient[side])) for side in (there, ~there))
            if min(having, without) < 2:
                continue
            said = np.isin(answer, places)
            at = sensitivity_interval(there, score, self.patient, specificity)
            lines["AUC", target] = *auc_interval(there, score, self.patient), having + without
            lines[f"sensitivity at {100 * specificity:g} % specificity", target] = *at, having
            lines["sensitivity as answered", target] = *wilson(said[there].mean(), having), having
            lines["specificity as answered", target] = *wilson(1 - said[~there].mean(), without), without
        index = pd.MultiIndex.from_tuples(lines, names=["measure", "target"])
        return pd.DataFrame([*lines.values()], index=index, columns=LINE)


def auc_interval(there: np.ndarray, score: np.ndarray, patient: np.ndarray) -> tuple[float, float, float]:
    """AUC and its 95 % interval by patient (Obuchowski 1997), on the scale of the logit, so that it ends below 1.

    there, score, patient: (N,).  Where the AUC is 0 or 1, no patient moves it and an interval is not to be had: nan.
    """
    (auc,), ((variance,),) = auc_covariance(there, score, patient)
    if variance == 0 or not 0 < auc < 1:
        return float(auc), np.nan, np.nan
    half = stats.norm.ppf(0.975) * np.sqrt(variance) / (auc * (1 - auc))
    return float(auc), float(expit(logit(auc) - half)), float(expit(logit(auc) + half))


def sensitivity_at(there: np.ndarray, score: np.ndarray, specificity: float = 0.9) -> float:
    """Share of those who have it whose score lies above the lowest threshold of at least this specificity.

    there: (N,) bool.  score: (N,).  The threshold is found on the same N.
    """
    if not 0 < specificity <= 1:
        raise InputError(f"specificity {specificity}: give a share above 0, at most 1")
    others = np.sort(score[~there])
    threshold = others[int(np.ceil(specificity * len(others) - 1e-9)) - 1]
    return float(np.mean(score[there] > threshold))


def sensitivity_interval(
    there: np.ndarray, score: np.ndarray, patient: np.ndarray, specificity: float = 0.9
) -> tuple[float, float, float]:
    """`sensitivity_at` and its 95 % interval by a bootstrap over patients that finds the threshold anew each time.

    The interval is nan where fewer than `FEWEST` patients have it, or have it not, and where no resample differs.
    """
    measure = partial(sensitivity_at, specificity=specificity)
    if min(len(np.unique(patient[side])) for side in (there, ~there)) < FEWEST:
        return measure(there, score), np.nan, np.nan
    value, low, high = cluster_bootstrap(measure, patient, there, score)
    return (value, low, high) if low < high else (value, np.nan, np.nan)


def wilson(share: float, n: int) -> tuple[float, float, float]:
    """A share of n patients and Wilson's 95 % interval."""
    from statsmodels.stats.proportion import proportion_confint  # slow to import

    return float(share), *map(float, proportion_confint(share * n, n, method="wilson"))


def accuracy_by(right: np.ndarray, value: np.ndarray, parts: int = 5) -> pd.DataFrame:
    """Accuracy from where a quantity is low to where it is high: patients in equal parts, by its rank.

    right: (cohorts, patients), percent, as `results.Runs.patients` gives it.  value: (patients,).  A line for each
    part: the median of the quantity, the accuracy, its 95 % interval (low, high) when cohorts and patients are both
    drawn again, and the number of patients.
    """
    right, value = _patients(right, value, parts)
    lines = [
        (np.median(value[part]), *crossed_bootstrap(right[:, part]), len(part))
        for part in np.array_split(np.argsort(value, kind="stable"), parts)
    ]
    return pd.DataFrame(lines, index=range(1, parts + 1), columns=["median", "accuracy", "low", "high", "patients"])


def last_less_first(
    right: np.ndarray, value: np.ndarray, kind: np.ndarray | None = None, parts: int = 5
) -> tuple[float, float, float]:
    """Accuracy in the part where a quantity is highest, less that where it is lowest, and its 95 % interval; points.

    As in `accuracy_by`.  kind: (patients,), their classes: the two parts are then taken from each class by itself, so
    that both hold the same mix of classes.  The interval sets one patient of a part against one of the other, which
    changes nothing, as patients are drawn independently.
    """
    right, value = _patients(right, value, parts)
    kind = np.zeros(len(value)) if kind is None else np.asarray(kind)
    first, last = [], []
    for one in np.unique(kind):
        mine = np.flatnonzero(kind == one)
        order, n = mine[np.argsort(value[mine], kind="stable")], len(mine) // parts
        first.append(order[:n])
        last.append(order[len(order) - n :])
    return crossed_bootstrap(right[:, np.concatenate(last)] - right[:, np.concatenate(first)])


def _patients(right, value, parts: int) -> tuple[np.ndarray, np.ndarray]:
    right, value = np.asarray(right, dtype=float), np.asarray(value, dtype=float)
    if right.ndim != 2 or value.shape != right.shape[1:] or not 2 <= parts <= len(value) // 2:
        raise InputError(f"right {right.shape}, value {value.shape}: give cohorts x patients, and a value a patient")
    return right, value
