"""Checkers of the chapter 'The next hospital'."""

import numpy as np

from .judge import Wrong, array_of, as_text, checker


@checker
def price_of_choosing(answer):
    """What is given away when the winner of the folds is taken."""
    promised = np.array([[70.0, 72.0, 71.0], [80.0, 78.0, 79.0], [60.0, 64.0, 66.0], [75.0, 74.0, 70.0]])
    true = np.array([[71.0, 70.0, 74.0], [79.0, 80.0, 77.0], [62.0, 65.0, 69.0], [76.0, 73.0, 71.0]])
    got = float(array_of(answer(promised.copy(), true.copy()), ()))
    if np.isclose(got, 1.25):  # 4, 1, 0 and 0 points
        return
    example = f"In four hospitals the choice gives away 4, 1, 0 and 0 points; you answer {got:.2f}"
    for wrong, words in (
        (5.0, "That is the sum; asked for is the mean over hospitals."),
        (-1.25, "Turn the difference round: best less chosen."),
        (0.5, "That is the share of hospitals in which another method is best; asked for are points."),
        (-0.25, "That is what the chosen methods promised, less what they reach: compare with the best one."),
        (0.25, "That is what the chosen methods reach, less what they promised: compare with the best one."),
        (74.75, "That is the mean of the best; take away what the chosen method reaches."),
        (73.5, "That is what the chosen methods reach; how far is it below the best?"),
        (2.75, "You take one method for all hospitals; each hospital takes its own."),
    ):
        if np.isclose(got, wrong):
            raise Wrong(f"{example}. {words}")
    raise Wrong(f"{example}; expected 1.25.")


@checker
def highest_correlation(answer):
    """The root of what two seeds share."""
    x = np.array([-1.0, 1.0, -1.0, 1.0])  # at right angles to the next, of the same length, and both of mean 0
    y = np.array([-1.0, -1.0, 1.0, 1.0])
    for r, unit in ((0.64, 3.0), (1.0, 1.0), (0.0, 1.0), (-0.6, 1.0)):
        one, other = 2 + unit * x, unit * (r * x + np.sqrt(1 - r**2) * y)
        got = float(array_of(answer(one.copy(), other.copy()), ()))
        right = np.sqrt(max(r, 0.0))
        if np.isclose(got, right, atol=1e-6):
            continue
        example = f"For `{as_text(one)}` and `{as_text(other)}`, whose correlation is {r:g}, you answer {got:.3f}"
        if r < 0:
            raise Wrong(f"{example}. A correlation below 0 is luck: the columns have nothing in common, so answer 0.")
        for wrong, words in (
            (r, "That is the correlation of two columns that both have luck in them; the lasting gain has none."),
            (r**2, "You square; asked for is the root."),
            (r * unit**2 * 4 / 3, "That is a covariance; divide by both standard deviations."),
            (r * unit**2, "That is a covariance; divide by both standard deviations."),
        ):
            if np.isclose(got, wrong):
                raise Wrong(f"{example}. {words}")
        raise Wrong(f"{example}; expected {right:.3f}.")
