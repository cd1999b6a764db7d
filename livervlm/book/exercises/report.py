"""Checkers of the chapter 'The reproduction report'."""

import numpy as np

from .judge import Wrong, array_of, checker, expect


@checker
def verdict_of(answer):
    """The verdict on one claim, from its two intervals and the margin."""
    cases = [  # 95 %, 90 %, margin; the verdict; why
        ((2.6, 7.4), (3.0, 7.0), 2, "reproduced", "the 95 % interval lies above zero."),
        ((-5.5, -2.5), (-5.3, -2.7), 2, "not reproduced", "the 95 % interval lies below zero, against the claim."),
        ((-1.0, 1.2), (-0.8, 1.0), 2, "equivalent", "the 90 % interval lies inside the margin."),
        ((-3.0, 5.0), (-2.3, 4.3), 2, "undecided", "zero is possible, and so is a difference that matters."),
        ((0.2, 1.8), (0.4, 1.6), 2, "equivalent", "there is a difference, and it is too small to matter: that counts."),
        ((-2.1, 0.9), (-1.9, 0.7), 2, "equivalent", "of equivalence the 90 % interval decides, not the 95 %."),
        ((-1.0, 1.2), (-0.8, 1.0), 0.9, "undecided", "1.0 is outside this margin of 0.9."),
        ((0.1, 4.0), (0.4, 3.7), 2, "reproduced", "the 95 % interval lies above zero, if only just."),
        ((-0.1, 4.0), (0.2, 3.7), 2, "undecided", "of a difference the 95 % interval decides, and it holds zero."),
        ((-4.0, 0.1), (-3.7, -0.2), 2, "undecided", "of a difference the 95 % interval decides, and it holds zero."),
    ]
    words = {case[3] for case in cases}
    for wide, narrow, margin, truth, why in cases:
        got = answer(wide, narrow, margin)
        if not isinstance(got, str) or got not in words:
            raise Wrong(f"You answer `{got!r}`: give one of the words {', '.join(sorted(words))}.")
        if got != truth:
            raise Wrong(
                f"95 %: {wide[0]} to {wide[1]}; 90 %: {narrow[0]} to {narrow[1]}; margin {margin}: you say {got}. It "
                f"is {truth}: {why}"
            )


@checker
def paired_difference(answer):
    """A mean difference over the cohorts that two arms share, and its standard error."""
    a, b = {0: 70.0, 1: 80.0, 2: 75.0, 5: 90.0}, {3: 50.0, 2: 72.0, 1: 79.0, 0: 65.0, 7: 60.0}
    mean, error = 3.0, 2 / np.sqrt(3)  # of 5, 1 and 3
    got_mean, got_error = array_of(answer(a, b), (2,))
    for wrong, words in (
        (-mean, "Your difference is b - a; asked for was a - b."),
        (np.mean([*a.values()]) - np.mean([*b.values()]), "You compare cohorts that only one arm has."),
        (np.mean(np.subtract([*a.values()], [*b.values()][:4])), "You pair by place in the table; pair by cohort."),
    ):
        if np.isclose(got_mean, wrong):
            raise Wrong(words)
    expect(got_mean, mean, "the mean over cohorts 0, 1 and 2")
    for wrong, words in (
        (2.0, "You give the spread of the differences; that of their mean is smaller by the root of their number."),
        (np.sqrt(8 / 3) / np.sqrt(3), "Your sd is that of a population (ddof 0); three differences have two to spare."),
        (np.sqrt((25 + 49) / 3), "You add up the errors of both arms; subtract first, cohort by cohort."),
        (2 / np.sqrt(4), "You divide by the root of the number of all cohorts of one arm; three have a difference."),
    ):
        if np.isclose(got_error, wrong):
            raise Wrong(words)
    expect(got_error, error, "the standard error")


@checker
def winners_luck(answer):
    """By how much the best of k equally good arms looks better than it is."""
    for k, sd, truth in ((1, 3.0, 0.0), (2, 1.0, 0.5642), (10, 2.0, 3.0775), (5, 0.5, 0.5815)):
        got, again = (float(array_of(answer(k, sd, 0), ())) for _ in range(2))
        if got != again:
            raise Wrong("One seed gave two answers: draw from `np.random.default_rng(seed)` and from nothing else.")
        example = f"With {k} arms and an sd of {sd:g}"
        if abs(got - truth) <= 0.05 * sd:
            continue
        if abs(got) <= 0.05 * sd:
            raise Wrong(f"{example} you find no excess: you average all arms, and the table prints the best in bold.")
        if abs(got + truth) <= 0.05 * sd:
            raise Wrong(f"{example} you answer {got:.2f}: that is the worst arm.")
        if abs(got - truth / sd) <= 0.05:
            raise Wrong(f"{example} you answer {got:.2f}, as for an sd of 1: the noise has the given sd.")
        if abs(got - truth * sd) <= 0.05 * sd:
            raise Wrong(f"{example} you answer {got:.2f}: your noise has a variance, or twice the sd, in place of it.")
        if got > 3 * sd:
            raise Wrong(f"{example} you answer {got:.2f}: that is the luckiest of all tables; asked for was the mean.")
        raise Wrong(f"{example} you answer {got:.2f}; expected about {truth:.2f}.")
