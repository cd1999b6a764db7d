"""`Outcome`: what a model answered for slices it was not trained on."""

from dataclasses import dataclass

import numpy as np

from .metrics import accuracy_over_folds, auc_over_folds, class_accuracy_over_folds


@dataclass(frozen=True, eq=False)
class Outcome:
    """Answers for N slices of C classes, each by a model that was not trained on its patient."""

    y_true: np.ndarray  # (N,) int64
    prob: np.ndarray  # (N, C) float64
    group: np.ndarray  # (N,)
    patient: np.ndarray  # (N,)
    classes: tuple[str, ...]
    train_loss: dict[int, list[float]]  # group left out -> mean loss by epoch

    @property
    def y_pred(self) -> np.ndarray:
        return self.prob.argmax(axis=1)

    @property
    def by_fold(self) -> np.ndarray:
        """Accuracy of each fold in percent, in the order of the groups."""
        correct = self.y_pred == self.y_true
        return np.array([100 * correct[self.group == group].mean() for group in np.unique(self.group)])

    @property
    def accuracy(self) -> tuple[float, float]:
        """Percent, mean and population sd over folds."""
        return accuracy_over_folds(self.y_true, self.y_pred, self.group)

    @property
    def auc(self) -> tuple[float, float]:
        """Macro one-vs-rest, mean and population sd over folds."""
        return auc_over_folds(self.y_true, self.prob, self.group)

    def summary(self) -> dict[str, str]:
        """Mean ± sd over folds of each class's accuracy, of the accuracy and of the AUC, as the paper prints them.

        One fold has no spread, and none is printed.
        """
        several = len(np.unique(self.group)) > 1

        def cell(mean: float, sd: float, digits: int) -> str:
            return f"{mean:.{digits}f} ± {sd:.{digits}f}" if several else f"{mean:.{digits}f}"

        means, sds = class_accuracy_over_folds(self.y_true, self.y_pred, self.group, len(self.classes))
        row = {c: cell(m, s, 1) for c, m, s in zip(self.classes, means, sds, strict=True)}
        row["accuracy, %"] = cell(*self.accuracy, 1)
        row["AUC"] = cell(*self.auc, 2)
        return row
