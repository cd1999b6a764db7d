"""Checkers of the chapter 'Misregistration: is the model robust?'."""

import numpy as np

from .judge import Wrong, array_of, checker, expect


@checker
def shown_equivalent(answer):
    """Whether cohorts show that two arms are equivalent."""
    shape = np.linspace(-1, 1, 12)
    shape /= shape.std(ddof=1)
    for mean, sd, n, expected, words in (
        (0.0, 1.0, 12, True, "A mean of 0 with a 90 % interval of ±0.5 lies within the margin."),
        (1.0, 1.0, 12, True, "A difference may be real and still lie within the margin: ask where the interval ends."),
        (-1.0, 1.0, 12, True, "A difference may be real and still lie within the margin: ask where the interval ends."),
        (0.0, 9.0, 12, False, "A mean near 0 is not enough, nor is a large p: this interval reaches ±4.7 points."),
        (1.8, 1.0, 12, False, "The mean lies within the margin, but the upper end of its interval does not."),
        (-1.8, 1.0, 12, False, "The mean lies within the margin, but the lower end of its interval does not."),
        (1.42, 1.0, 12, True, "Two one-sided tests at 5 % are the 90 % interval, not the 95 %."),
        (1.51, 1.0, 12, False, "With 12 cohorts take t with 11 degrees of freedom; the normal is too narrow."),
        (0.9, 1.0, 3, False, "With 3 cohorts take t with 2 degrees of freedom; n - 1, not 11 as with 12."),
        (5.0, 1.0, 12, False, "A difference of 5 points is outside, however sure it is."),
    ):
        few = shape if n == 12 else np.array([-1.0, 0.0, 1.0])
        got = array_of(answer(mean + sd * few, 2.0), ())
        if got not in (0, 1):
            raise Wrong("Answer True or False: compare, and return what the comparison gives.")
        if got != expected:
            raise Wrong(f"{n} cohorts with mean {mean:g} and sd {sd:g}, margin 2: expected {expected}. {words}")


@checker
def extra_loss(answer):
    """How much more one arm loses than another, paired by cohort."""
    rng = np.random.default_rng(1)
    level = rng.normal(70, 5, 8)
    a_standard, a_hard, b_standard, b_hard = (level + m + rng.normal(size=8) for m in (0, -6, 3, -5))
    more = (b_standard - b_hard) - (a_standard - a_hard)
    got = array_of(answer(a_standard, a_hard, b_standard, b_hard), (2,))
    for wrong, words in (
        (-more.mean(), "You have the sign turned round: B's loss less A's, and a loss is standard less hard."),
        ((a_hard - b_hard).mean(), "You compare the arms on the hard patients alone: B begins from another level."),
        ((b_standard - b_hard).mean(), "That is B's loss; subtract A's."),
    ):
        if np.isclose(got[0], wrong):
            raise Wrong(words)
    expect(got[0], more.mean(), "the first number, the mean")
    n = len(more)
    apart = np.sqrt(sum(x.var(ddof=1) for x in (a_standard, a_hard, b_standard, b_hard)) / n)
    by_arm = np.sqrt(sum(x.var(ddof=1) for x in (a_standard - a_hard, b_standard - b_hard)) / n)
    for wrong, words in (
        (more.std(ddof=1), "That is a standard deviation; its mean over n cohorts has one that is smaller by root n."),
        (more.std() / n**0.5, "Divide the sum of squares by n - 1: `std(ddof=1)`."),
        (more.std(ddof=1) / n, "Divide by the root of n, not by n."),
        (apart, "You add four variances as if no cohort were shared: take one number a cohort first."),
        (by_arm, "You add the variances of the two losses: both arms share the cohorts, so subtract first."),
    ):
        if np.isclose(got[1], wrong):
            raise Wrong(words)
    expect(got[1], more.std(ddof=1) / n**0.5, "the second number, the standard error")
