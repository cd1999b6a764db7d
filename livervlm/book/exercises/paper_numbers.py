"""Checkers of the chapter "Reading the paper's numbers"."""

import numpy as np

from .judge import Wrong, array_of, checker, expect


@checker
def possible(answer):
    """Whether a share of n cases can be printed as this percentage, to two decimals."""
    cases = [  # percent and n as given; the truth; why
        (50.0, 2, True, "1 of 2 is 50 % exactly."),
        (66.67, 3, True, "2 of 3 is 66.666... %, printed 66.67: compare after rounding to two decimals."),
        (93.33, 15, True, "14 of 15 is 93.33 %. `93.33 * 15 / 100` is 13.9995: take the nearest whole number."),
        (100.0, 7, True, "all 7 of 7 is 100 %."),
        (0.0, 7, True, "none of 7 is 0 %."),
        (87.6, 15, False, "13 of 15 is 86.67 %, 14 of 15 is 93.33 %, and nothing lies between."),
        (33.0, 3, False, "1 of 3 is printed 33.33: the second decimal counts."),
        (71.42, 7, False, "5 of 7 is 71.4286 %, rounded to 71.43; 71.42 is that figure cut off."),
        (12.34, 20_000, True, "2468 of 20000 is 12.34 %."),
    ]
    for percent, n, truth, why in cases:
        got = array_of(answer(percent, n), ())
        if got not in (0, 1):
            raise Wrong("Answer True or False: compare, and return what the comparison gives.")
        if got != truth:
            raise Wrong(f"You say {'no' if truth else 'yes'} to {percent:.2f} % of {n} cases. But {why}")


@checker
def population_sd(answer):
    """The population sd of n folds, from their sample sd."""
    for sample, n in ((10.0, 5), (3.0, 9), (5.0, 2)):
        got, expected = array_of(answer(sample, n), ()), sample * np.sqrt((n - 1) / n)
        example = f"For a sample sd of {sample:g} over {n} folds"
        for wrong, words in (
            (sample * np.sqrt(n / (n - 1)), "your sd grows: dividing by n instead of n - 1 makes it smaller."),
            (sample * (n - 1) / n, "you scale the sd as if it were a variance; it is the root of one."),
            (sample / np.sqrt(n), "you give the standard error of a mean; asked for was the spread of the folds."),
            (sample * np.sqrt(4 / 5), "your factor is that of 5 folds: use `n_folds`."),
            (sample, "you change nothing: the two divide the same sum by n - 1 and by n."),
        ):
            if np.isclose(got, wrong) and not np.isclose(got, expected):
                raise Wrong(f"{example} {words}")
        expect(got, expected, example[4:])


@checker
def corrected_interval(answer):
    """The 95 % interval of a difference over folds, corrected for training sets that overlap."""
    ten = np.array([80, 70, 85, 75, 90, 65, 80, 88, 72, 79.0]), np.array([78, 73, 80, 70, 82, 66, 79, 80, 70, 75.0])
    for a, b, t in ((np.array([80, 90, 85, 70, 75.0]), np.array([75, 88, 78, 72, 70.0]), 2.776), (*ten, 2.262)):
        n, difference = len(a), a - b
        low, high = array_of(answer(a, b, t), (2,))
        if low > high:
            raise Wrong("Your low end lies above your high end: return `low, high`.")
        middle, half = (low + high) / 2, (high - low) / 2
        if np.isclose(middle, -difference.mean()):
            raise Wrong("Your interval is that of b - a; asked for was a - b.")
        expect(middle, difference.mean(), f"the middle of the interval over {n} folds")
        variance, folds, overlap = difference.var(ddof=1), 1 / n, 1 / (n - 1)
        expected = t * np.sqrt((folds + overlap) * variance)
        for wrong, words in (
            (folds * variance, f"as narrow as if no training sets overlapped: add 1/(n-1) to 1/n, here {overlap:.3g}."),
            ((folds + overlap) * difference.var(), "that of the population sd; the interval needs `ddof=1`."),
            (folds * difference.var(), "neither corrected nor that of `ddof=1`: mind both."),
            (
                (folds + overlap) * (a.var(ddof=1) + b.var(ddof=1)),
                "that of two unrelated lists. Subtract fold by fold first: both models met the same patients.",
            ),
            (variance, "the spread of the differences; that of their mean has 1/n + 1/(n-1) under the root."),
            ((folds + 1 / 4) * variance, "right for five folds only: the overlap is 1/(n-1), not 1/4."),
        ):
            if np.isclose(half, t * np.sqrt(wrong)) and not np.isclose(half, expected):
                raise Wrong(f"Over {n} folds your interval is {words}")
        expect((low, high), (middle - expected, middle + expected), f"{n} folds")
