"""Accuracy and AUC over folds as the paper reports them, and calibration."""

import numpy as np


def accuracy_over_folds(y_true: np.ndarray, y_pred: np.ndarray, group: np.ndarray) -> tuple[float, float]:
    """Mean and population sd (ddof=0), in percent, of the slice accuracy of each fold.

    Always answering HEM on the default cohort gives 20.53 and 5.61, the row the paper prints for CLIP: so these
    are the mean and the sd that the paper means (Tables 3 to 9).
    """
    folds = [np.mean(y_pred[group == g] == y_true[group == g]) for g in np.unique(group)]
    return 100 * float(np.mean(folds)), 100 * float(np.std(folds))


def class_accuracy_over_folds(y_true, y_pred, group, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The same class by class, two arrays (C,): recall of each class in each fold.

    Folds without the class are left out; where no fold has it, it is nan.
    """
    recalls = np.full((len(np.unique(group)), n_classes), np.nan)
    for row, g in enumerate(np.unique(group)):
        for c in range(n_classes):
            here = (group == g) & (y_true == c)
            if here.any():
                recalls[row, c] = 100 * np.mean(y_pred[here] == c)
    recalls = np.ma.masked_invalid(recalls)
    return recalls.mean(axis=0).filled(np.nan), recalls.std(axis=0).filled(np.nan)


def auc_over_folds(y_true: np.ndarray, prob: np.ndarray, group: np.ndarray) -> tuple[float, float]:
    """Mean and population sd over folds of the macro one-vs-rest AUC.  prob: (N, C)."""
    folds = [macro_auc(y_true[group == g], prob[group == g]) for g in np.unique(group)]
    return float(np.mean(folds)), float(np.std(folds))


def class_auc(y_true: np.ndarray, prob: np.ndarray) -> dict[int, float]:
    """Area under the one-vs-rest ROC curve, by class; without a class that all slices have, or none."""
    from sklearn.metrics import roc_auc_score  # slow to import

    present = [c for c in range(prob.shape[1]) if 0 < np.mean(y_true == c) < 1]
    return {c: float(roc_auc_score(y_true == c, prob[:, c])) for c in present}


def macro_auc(y_true: np.ndarray, prob: np.ndarray) -> float:
    """Mean of `class_auc` over the classes present; nan where only one is."""
    every = class_auc(y_true, prob)
    return float(np.mean([*every.values()])) if every else float("nan")


def confusion(y_true: np.ndarray, y_pred: np.ndarray, n_classes: int) -> np.ndarray:
    """Counts, (C, C): rows the truth, columns the answer."""
    return np.bincount(y_true * n_classes + y_pred, minlength=n_classes**2).reshape(n_classes, n_classes)


def design_effect(correct: np.ndarray, patient: np.ndarray) -> float:
    """How much wider the slices of one patient make the variance of an accuracy than independent slices would.

    correct, patient: (N,).  The variance of the mean with patients as clusters (the linearised, or sandwich,
    estimate) over the binomial variance: 1 for independent slices, m for m equal copies.  N divided by it is the
    number of independent slices that would tell as much (Kish 1965).
    """
    residual = correct - correct.mean()
    by_patient = np.bincount(np.unique(patient, return_inverse=True)[1], weights=residual)
    return float((by_patient**2).sum() / (residual**2).sum())


def calibration(y_true: np.ndarray, prob: np.ndarray, bins: int = 10) -> tuple[np.ndarray, float]:
    """How far confidence tells the truth.

    Returns a table (bins, 3) of mean confidence, accuracy and count by confidence (empty bins are nan), and the
    expected calibration error: the mean distance of the two, weighted by count (Naeini et al. 2015).
    """
    confidence, correct = prob.max(axis=1), prob.argmax(axis=1) == y_true
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, weights, minlength=bins) for weights in (confidence, correct)]
    with np.errstate(invalid="ignore"):
        table = np.stack([sums[0] / count, sums[1] / count, count.astype(float)], axis=1)
    return table, float(np.abs(sums[0] - sums[1]).sum() / len(y_true))
