"""Intervals that draw whole cohorts again, with all that belongs to each, and words by a threshold."""

from collections.abc import Callable

import numpy as np

N_BOOT = 2000


def resampled(values: np.ndarray, measure: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """The 95 % interval of a measure when cohorts are drawn again.

    values: (cohorts, ...), all that belongs to a cohort.  measure: of many samples at once, (B, cohorts, ...) -> (B,).
    """
    drawn = np.random.default_rng(0).integers(0, len(values), (N_BOOT, len(values)))
    low, high = np.quantile(measure(values[drawn]), (0.025, 0.975))
    return float(low), float(high)


def mean(samples: np.ndarray) -> np.ndarray:
    """(B, ...) -> (B,)."""
    return samples.reshape(len(samples), -1).mean(axis=1)


def judged(value: float, interval: tuple[float, float], threshold: float, verb: str) -> dict:
    """A value, its interval, and the word by the side of the threshold on which the interval lies."""
    low, high = interval
    word = verb if low > threshold else f"do not {verb}" if high < threshold else "undecided"
    return {"value": value, "low": low, "high": high, "word": word}


def ends(name: str, interval: tuple[float, float]) -> dict[str, float]:
    """An interval as two columns."""
    return {f"{name} low": interval[0], f"{name} high": interval[1]}
