"""Whether the slice that a sentence picks is the right one, and whether a slice shows an organ, with intervals.

A sentence has a score for each of the S slices of its series, and the highest is its choice.  Slices that tie are as
good as drawn from in random order: every measure is its mean over all such orders, so that a constant score gets
exactly chance, and no order of the slices favours a method.

Strict: the slice that the reader marked.  Overlap: a slice that shows the finding.  Accepted: by a rule in the place of
the paper's reader, that the chosen slice shows the finding in a cross-section of at least half its largest.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import comb

from ..base.errors import InputError
from ..base.paths import data_file
from .comparisons import cluster_bootstrap
from .patients import LINE

# Of summed counts, (patients, 3) of hits, errors and slices rightly said to be without.
PRESENCE = {
    "accuracy": lambda counts: 1 - counts[:, 1].sum() / counts.sum(),
    "F1": lambda counts: 2 * counts[:, 0].sum() / max(counts[:, 0].sum() * 2 + counts[:, 1].sum(), 1),
}
MEASURES = ("Acc@1", "Acc@5", "overlap@1", "overlap@5", "accepted", "MRR", "MAE slices", "MAE mm")


# ---- the slice of a sentence


def chance_in_top(scores: np.ndarray, right: np.ndarray, k: int) -> float:
    """Chance that one of the right slices is among the k best.  scores: (S,).  right: (S,) bool, one or more."""
    scores = _scores(scores, right)
    if not right.any() or k < 1:
        raise InputError(f"{right.sum()} right slices, k {k}: give at least one, and a k of 1 or more")
    least = np.sort(scores)[::-1][min(k, len(scores)) - 1]  # of the k best
    above, tied = scores > least, scores == least
    if right[above].any():
        return 1.0
    places = min(k, len(scores)) - above.sum()  # that the tied share: all without a right one is a miss
    return float(1 - comb(tied.sum() - (tied & right).sum(), places) / comb(tied.sum(), places))


def measure(scores: np.ndarray, marked: int, area: np.ndarray, spacing: float) -> dict[str, float]:
    """One sentence: each of `MEASURES`; shares from 0 to 1, the error of its choice in slices and in mm.

    scores: (S,).  marked: the slice that the reader marked.  area: (S,), the finding's cross-section in any unit, 0
    where a slice does not show it.  spacing: mm between slices.
    """
    scores, area = _scores(scores, area), np.asarray(area, dtype=float)
    if not (0 <= marked < len(scores) and spacing > 0 and np.isfinite(area).all() and area[marked] > 0):
        raise InputError(f"slice {marked} marked of {len(scores)}, {spacing} mm: mark one that shows the finding")
    slices = np.arange(len(scores))
    better, tied = (scores > scores[marked]).sum(), (scores == scores[marked]).sum()
    error = np.abs(slices - marked)[scores == scores.max()].mean()
    tops = [chance_in_top(scores, right, k) for right in (slices == marked, area > 0) for k in (1, 5)]
    accepted = chance_in_top(scores, area >= area.max() / 2, 1)
    reciprocal = np.mean(1 / np.arange(better + 1, better + tied + 1))
    return dict(zip(MEASURES, map(float, (*tops, accepted, reciprocal, error, error * spacing)), strict=True))


def measure_all(
    scores: Sequence[np.ndarray], marked: Sequence[int], area: Sequence[np.ndarray], spacing: Sequence[float]
) -> pd.DataFrame:
    """`measure` of N sentences, a line each; series may have different lengths."""
    if not len(scores) or not len(scores) == len(marked) == len(area) == len(spacing):
        lengths = ", ".join(str(len(one)) for one in (scores, marked, area, spacing))
        raise InputError(f"{lengths} scores, marks, areas and spacings: give one of each for every sentence")
    return pd.DataFrame([measure(*one) for one in zip(scores, marked, area, spacing, strict=True)])


def by_patient(lines: pd.DataFrame, patient: np.ndarray, n_boot: int = 2000) -> pd.DataFrame:
    """Mean of each column and its 95 % interval, patients with all their sentences drawn again.  patient: (N,)."""
    n = len(np.unique(patient))
    table = {name: (*cluster_bootstrap(np.mean, patient, lines[name], n_boot=n_boot), n) for name in lines}
    return pd.DataFrame.from_dict(table, orient="index", columns=LINE)


# ---- what can be had without a model: scores (S,) to be measured as any other


def middle_slice(n: int) -> np.ndarray:
    """Highest in the middle of n slices; of an even number two tie."""
    return -np.abs(np.arange(n) - (n - 1) / 2)


def largest_organ_slice(organ_area: np.ndarray) -> np.ndarray:
    """Highest where the organ's cross-section is largest; it needs the truth of where the organ is."""
    return np.asarray(organ_area, dtype=float)


class PositionPrior:
    """Where along the body the marked slices of training studies lie, organ by organ: a histogram.

    position: (N,), from 0 at the head's end to 1 at the feet's, of slices that readers marked.  organ: (N,).
    """

    def __init__(self, position: np.ndarray, organ: Sequence[str], bins: int = 20):
        position, organ = _positions(position), np.asarray(organ)
        if position.shape != organ.shape or not len(position) or bins < 1:
            raise InputError(f"{len(position)} positions, {len(organ)} organs, {bins} bins: give one of each or more")
        self.bins = bins
        self.counts = {str(one): self._histogram(position[organ == one]) for one in np.unique(organ)}
        self.all = self._histogram(position)

    def scores(self, organ: str, position: np.ndarray) -> np.ndarray:
        """Share of the organ's marks in the bin of each slice, (S,); of all organs' marks where it has none."""
        return self.counts.get(organ, self.all)[self._bin(_positions(position))]

    def _bin(self, position: np.ndarray) -> np.ndarray:
        return np.minimum((position * self.bins).astype(int), self.bins - 1)

    def _histogram(self, position: np.ndarray) -> np.ndarray:
        return np.bincount(self._bin(position), minlength=self.bins) / len(position)


# ---- whether a slice shows an organ


def youden_threshold(there: np.ndarray, score: np.ndarray) -> float:
    """The score from which on "it is there" has the greatest sensitivity + specificity - 1 (Youden 1950).

    there: (N,) bool.  score: (N,).  Of several the highest; infinite, so that nothing is there, where none beats 0.
    """
    from sklearn.metrics import roc_curve  # slow to import

    there, score = np.asarray(there, dtype=bool), _scores(score, there)
    if there.all() or not there.any():
        raise InputError(f"{there.sum()} of {len(there)} slices show it: a threshold needs slices with and without")
    false_alarms, sensitivity, threshold = roc_curve(there, score)
    return float(threshold[np.argmax(np.round(sensitivity - false_alarms, 12))])  # equal ones differ by rounding


def presence(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    patient: np.ndarray,
    organs: Sequence[str],
) -> pd.DataFrame:
    """Accuracy and F1 in test slices, organ by organ, at the threshold chosen on training slices.

    train, test: (there, score), each (slices, organs).  patient: of the test slices.  A line for each organ and
    measure, with `LINE` and the threshold; the interval is by patient.  F1 is 0 where nothing is there and nothing is
    said to be.  Nan stands for an organ that all or none of the training slices show, or no test slice.
    """
    (there, score), (test_there, test_score) = ([np.asarray(a) for a in pair] for pair in (train, test))
    shapes = there.shape, score.shape, test_there.shape, test_score.shape
    wanted = ((len(there), len(organs)),) * 2 + ((len(patient), len(organs)),) * 2
    if shapes != wanted:
        raise InputError(f"shapes {shapes}, {len(organs)} organs: give slices x organs, and a patient a test slice")
    names, owner = np.unique(patient, return_inverse=True)
    lines = {}
    for o, organ in enumerate(organs):
        lines[organ, "accuracy"] = lines[organ, "F1"] = (np.nan, np.nan, np.nan, len(names), np.nan)
        real = test_there[:, o].astype(bool)
        if there[:, o].all() or not there[:, o].any() or not real.any():
            continue
        threshold = youden_threshold(there[:, o], score[:, o])
        said = _scores(test_score[:, o], real) >= threshold
        cells = (real & said, real != said, ~real & ~said)  # as in `PRESENCE`
        counts = np.stack([np.bincount(owner, cell, len(names)) for cell in cells], axis=1)
        for name, share in PRESENCE.items():
            lines[organ, name] = (*cluster_bootstrap(share, names, counts), len(names), threshold)
    index = pd.MultiIndex.from_tuples(lines, names=["organ", "measure"])
    return pd.DataFrame([*lines.values()], index=index, columns=[*LINE, "threshold"])


def printed(table: str) -> pd.DataFrame:
    """A table of the paper: "slice retrieval" or "acceptance rate", percent by method; "organ presence", by organ.

    The public copies do not say whether the figures of organ presence are accuracy or F1.
    """
    lines = pd.read_csv(data_file("key_slice_selection.csv"), keep_default_na=False)
    lines = lines[lines.table == table]
    if lines.empty:
        raise InputError(f"table {table!r} is unknown: choose slice retrieval, acceptance rate or organ presence")
    index, columns = ("organ", ["method", "metric"]) if table == "organ presence" else ("method", "metric")
    return lines.pivot(index=index, columns=columns, values="value")


def _scores(scores, others) -> np.ndarray:
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 1 or not len(scores) or scores.shape != np.shape(others):
        raise InputError(f"scores {scores.shape}, truth {np.shape(others)}: give one of each per slice, and a slice")
    if not np.isfinite(scores).all():
        raise InputError(
            f"scores: {np.sum(~np.isfinite(scores))} of {len(scores)} are not finite; see why before ranking"
        )
    return scores


def _positions(position) -> np.ndarray:
    position = np.asarray(position, dtype=float)
    if position.ndim != 1 or not ((position >= 0) & (position <= 1)).all():
        raise InputError("position: give one per slice, from 0 to 1")
    return position
