"""The whole numbers behind a printed mean and standard deviation over folds of known sizes, or behind one share.

A fold of 15 slices knows only 16 recalls, so few counts give both figures: the idea of GRIM and GRIMMER (Brown &
Heathers 2017; Anaya 2016), here over folds.  `counts_behind` searches with room for another way of rounding
(`TOLERANCE`); `to_the_digit` has none: it tells which counts give just what is printed by the rule of the paper.
"""

import math
from collections.abc import Sequence

import numpy as np

from ..base.errors import InputError

# Points that a figure may be off in the search.  The paper's rule (`to_the_digit`) moves a figure by up to 0.01: by
# 0.005 where it rounds the folds, and by as much where it rounds the result.  So what follows to the digit is always
# found.  So is an sd that was cut off instead of rounded, as two sds of recovered rows seem to be: they lie 0.0091 and
# 0.0096 off, and by the rule alone both rows would be lost.  0.0001 is for figures on the very edge.  A figure with one
# decimal (73.7) is taken to have lost a zero, since all others have two.
TOLERANCE = 0.0101

_SLACK = 1e-9  # for sums of floating-point numbers
_MOST_HALVES, _MOST_PAIRS, CHUNK = 2_000_000, 50_000_000, 500_000  # numbers of combinations, to bound memory and time


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


def counts_of_share(percent: float, n: int, decimals: int = 1) -> list[int]:
    """Every k such that k of n is printed as this percentage, rounded or cut off after `decimals` (GRIM, one share).

    An empty list means that no count gives it.  From n = 10 ** (decimals + 2) up, every figure is possible.
    """
    if not (0 <= percent <= 100 and n >= 1):
        raise InputError(f"{percent:g} % of {n}: give a percentage of 0 to 100 and one case or more")
    shares, unit = 100 * np.arange(n + 1) / n, 10.0**-decimals
    near = (shares - percent >= -unit / 2 - _SLACK) & (shares - percent < unit - _SLACK)
    return np.flatnonzero(near).tolist()


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


def to_the_digit(counts: np.ndarray, mean: float, sd: float, sizes: Sequence[int]) -> np.ndarray:
    """Which of these counts (W, F) give just this mean and sd, in percent with two decimals, by the paper's rule: (W,).

    The rule, known from the row of zero-shot CLIP (`forensics.definitions_of_accuracy`): each share is rounded to two
    decimals, as a script prints it; then the mean and the population sd of these are.  A half may go up or to the
    even digit in a share, and either way in the result.  InputError as in `counts_behind`.
    """
    near_mean, near_sd = _near_figures(counts, np.array([mean]), np.array([sd]), _checked(mean, sd, sizes), exact=True)
    return (near_mean & near_sd).reshape(2, len(counts)).any(axis=0)


def chance_of_fitting(mean: float, sd: float, sizes: Sequence[int], reach: float = 0.25, exact: bool = False) -> float:
    """How easily figures like these fit: the share, 0 to 1, of the figures around them that fit some counts.

    Those around are up to `reach` points off in mean and sd, in steps of 0.01.  Near 1, a fit says nothing; near 0,
    it is hard to come by without these sizes.  exact: fit `to_the_digit`, not only within `TOLERANCE`.  Other
    arguments and InputError as in `counts_behind`.
    """
    counts = counts_behind(mean, sd, sizes, reach + TOLERANCE)
    steps = np.arange(-round(100 * reach), round(100 * reach) + 1) / 100
    means, sds = mean + steps, sd + steps
    means, sds = means[(means >= 0) & (means <= 100)], sds[sds >= 0]
    near_mean, near_sd = _near_figures(counts, means, sds, np.asarray(sizes), exact)
    return float((near_mean.T.astype(float) @ near_sd.astype(float) > 0).mean())


def _checked(mean: float, sd: float, sizes: Sequence[int], tolerance: float = TOLERANCE) -> np.ndarray:
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


def _near_figures(
    counts: np.ndarray, means: np.ndarray, sds: np.ndarray, sizes: np.ndarray, exact: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Which of `means` (M,) and of `sds` (D,), in percent, the counts (W, F) give: (W, M) and (W, D), bool.

    exact: by the rule of `to_the_digit`, (2 W, M) and (2 W, D): a half to the even digit, then a half up.
    """
    share, within = 100 * counts / sizes, TOLERANCE
    if exact:
        hundredths = 10_000 * counts / sizes  # floats hold a half exactly
        share, within = np.concatenate([np.rint(hundredths), np.floor(hundredths + 0.5)]) / 100, 0.005
    found = (share.mean(axis=1), means), (share.std(axis=1), sds)
    return tuple(np.abs(values[:, None] - around) <= within + _SLACK for values, around in found)


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
    for rows in np.array_split(np.arange(len(a)), 1 + partners.sum() // CHUNK):  # for memory
        n = partners[rows]
        i = np.repeat(rows, n)
        j = np.repeat(start[rows] - np.cumsum(n) + n, n) + np.arange(n.sum())
        fits = np.abs((a[i] + b[j]).std(axis=1) - sd) <= within
        found.append(np.stack([i[fits], order[j[fits]]]))
    i, j = np.concatenate(found, axis=1)
    return i, j
