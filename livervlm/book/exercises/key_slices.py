"""Checkers of the chapter 'Which slice?'."""

import numpy as np

from .judge import Wrong, array_of, as_text, checker


@checker
def reciprocal_rank(answer):
    """One over the rank of the marked slice."""
    scores = np.array([0.1, 0.7, -0.2, 0.4, 0.5])
    for marked, right in ((1, 1.0), (3, 1 / 3), (2, 1 / 5)):
        got = float(array_of(answer(scores, marked), ()))
        if np.isclose(got, right):
            continue
        example = f"For scores `{as_text(scores)}` and the marked slice {marked} you answer {got:.3f}"
        rank = round(1 / right)
        for wrong, words in (
            (rank, "That is the rank; asked for is one over it."),
            (1 / (len(scores) + 1 - rank), "You count from the smallest score: rank 1 belongs to the largest."),
            (np.inf if rank == 1 else 1 / (rank - 1), "You count ranks from 0: the best slice has rank 1."),
            (1 / (marked + 1), "That is one over the slice's place; its rank is its place when sorted by score."),
        ):
            if np.isclose(got, wrong):
                raise Wrong(f"{example}. {words}")
        raise Wrong(f"{example}; expected {right:.3f}.")


@checker
def youden(answer):
    """Youden's threshold."""
    for there, scores, right, accurate, lowest in (
        ([1, 1, 1, 0, 0, 0], [0.9, 0.8, 0.6, 0.7, 0.3, 0.1], 0.8, 0.8, 0.6),
        ([1, 0, 0, 0, 0, 0, 0, 0], [0.5, 0.6, 0.55, 0.52, 0.3, 0.2, 0.1, 0.0], 0.5, np.inf, 0.5),
    ):
        there, scores = np.array(there, dtype=bool), np.array(scores)
        got = float(array_of(answer(there, scores), ()))
        if np.isclose(got, right):
            continue
        example = f"For slices `{there.astype(int)}` with scores `{as_text(scores)}` you answer {got:.3g}"
        for wrong, words in (
            (lowest, "Another threshold is as good and higher: of several take the highest."),
            (float(np.argmax(scores == right)), "That is a place; asked for is the score that stands there."),
            (accurate, "Accuracy is largest there. A rare organ would never be found: add the two shares instead."),
            (scores.max(), "Accuracy may be largest there, or you take the highest score: add the two shares instead."),
        ):
            if np.isclose(got, wrong):
                raise Wrong(f"{example}. {words}")
        raise Wrong(f"{example}; expected {right:g}.")
