"""What a paired t can be expected to show, under a number of pairs that moves."""

from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from scipy import stats

from ...base.errors import InputError
from ..figures import PALETTE
from .shared import MovingFigure, packed

# What moves: the number of pairs; the sd of their differences and the true difference, in points.
RANGES = PAIRS, SDS, DIFFERENCES = np.arange(3, 101), np.arange(1, 8.5, 0.5), np.arange(0, 6.5, 0.5)


def interval_and_pairs(margin: float, plans: Sequence[int]) -> MovingFigure:
    """What a paired t can be expected to show, under a number of pairs, an sd and a true difference that are moved.

    margin: of equivalence, in points.  plans: numbers of pairs, 3 to 100, in any order; each gets a button, and the
    figure starts with the smallest.  One contrast by itself, at 5 %.
    """
    if not 0 < margin <= 5:
        raise InputError(f"margin {margin}: give one above 0 and at most 5 points; the figure's axis ends at 10")
    plans = np.asarray(plans)
    if plans.dtype.kind not in "iu" or not plans.size or not np.isin(plans, PAIRS).all():
        known = f"whole numbers of pairs from {PAIRS[0]} to {PAIRS[-1]}"
        raise InputError(f"plans {plans.tolist()}: give {known}, such as [5, 30]")
    plans = np.unique(plans).tolist()
    n, sd, difference = plans[0], 5.0, 2.0
    quantiles = stats.t.ppf([[0.975], [0.95]], PAIRS - 1)
    found, equal = _chances(margin, quantiles)
    figure, axis = plt.subplots(figsize=(5, 1.6), layout="constrained")
    axis.axvspan(-margin, margin, color="0.9")
    axis.axvline(0, color="0.5", linewidth=1)
    half_width = quantiles[0, n - PAIRS[0]] * sd / np.sqrt(n)
    axis.errorbar(difference, 0, xerr=half_width, fmt="o", color=PALETTE[0], capsize=5)
    axis.set(xlim=(-10, 10), yticks=[], xlabel="difference, points", title=f"{n} pairs, sd {sd:g}")
    spec = {
        "margin": margin,
        "ranges": [{"min": r[0].item(), "max": r[-1].item(), "step": (r[1] - r[0]).item()} for r in RANGES],
        "quantiles": packed(quantiles.astype(np.float32)),
        "found": packed(np.rint(1e4 * found).astype(np.int16)),
        "equal": packed(np.rint(1e4 * equal).astype(np.int16)),
        "presets": plans,
        "start": [n, sd, difference],
    }
    alt = (
        f"A 95 % interval of {difference:g} plus or minus {half_width:.1f} points, from {n} pairs whose differences "
        f"have an sd of {sd:g} points, over a margin of {margin:g} points to either side of zero."
    )
    return MovingFigure("interval_and_pairs", spec, figure, alt)


def _chances(margin: float, quantiles: np.ndarray) -> np.ndarray:
    """Chance that p is below .05, and that TOST places the difference within the margin: (2, PAIRS, SDS, DIFFERENCES).

    A sample's mean and its sd are independent: each chance is a mean over the sd, of what the mean then has to do.
    """
    place, weight = np.polynomial.legendre.leggauss(100)
    n = PAIRS[:, None, None, None]
    sampled = np.sqrt(stats.chi2.ppf((1 + place) / 2, n - 1) / (n - 1))  # the sample's sd over the true one
    two_sided, one_sided = quantiles[:, :, None, None, None] * sampled  # in true standard errors
    se = SDS[:, None, None] / np.sqrt(n)
    shift, edge = DIFFERENCES[:, None] / se, margin / se
    found = stats.norm.sf(two_sided - shift) + stats.norm.cdf(-two_sided - shift)
    room = np.maximum(edge - one_sided, 0)
    equal = stats.norm.cdf(room - shift) - stats.norm.cdf(-room - shift)
    return np.stack([found, equal]) @ (weight / 2)
