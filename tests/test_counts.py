"""Counts behind printed figures, by brute force and by the exact rule, and input that has to fail."""

import itertools
from decimal import ROUND_HALF_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livervlm.base.errors import InputError
from livervlm.evaluation import counts as module
from livervlm.evaluation.counts import TOLERANCE, chance_of_fitting, counts_behind, folds_behind, to_the_digit
from livervlm.phantom.patients import table1

SLICES = {name: rows.slices.tolist() for name, rows in table1().groupby("class")}
UP_OR_EVEN = (ROUND_HALF_UP, ROUND_HALF_EVEN)


def brute_force(candidates, mean, sd, sizes, tolerance):
    """The slow way: every candidate (W, F) by itself, in order, each once."""
    fits = []
    for k in {tuple(int(n) for n in way) for way in candidates}:
        share = [100 * a / n for a, n in zip(k, sizes, strict=True)]
        if abs(np.mean(share) - mean) <= tolerance and abs(np.std(share) - sd) <= tolerance:
            fits.append(k)
    return sorted(fits)


def by_rule(counts, sizes, fold=ROUND_HALF_EVEN, mean=ROUND_HALF_EVEN, sd=ROUND_HALF_EVEN):
    """(mean, sd), percent, printed with two decimals, in decimal numbers of 60 digits; fold None keeps the shares."""
    with localcontext(prec=60):
        share = [Decimal(100 * int(k)) / int(n) for k, n in zip(counts, sizes, strict=True)]
        share = [x.quantize(Decimal("0.01"), fold) for x in share] if fold else share
        average = sum(share) / len(share)
        spread = (sum((x - average) ** 2 for x in share) / len(share)).sqrt()
        return tuple(float(x.quantize(Decimal("0.01"), end)) for x, end in ((average, mean), (spread, sd)))


@st.composite
def folds(draw, most_folds=5, most_cases=40):
    """Sizes (F,) and counts (F,) of one class."""
    sizes = draw(st.lists(st.integers(1, most_cases), min_size=2, max_size=most_folds))
    return sizes, [draw(st.integers(0, n)) for n in sizes]


@settings(deadline=None, max_examples=60)
@given(folds(), st.sampled_from([None, *UP_OR_EVEN]))
@example(([32, 32], [9, 9]), ROUND_HALF_UP)  # 28.125
@example(([32, 32], [9, 9]), ROUND_HALF_EVEN)
def test_the_true_counts_are_among_those_found_and_follow_to_the_digit_where_folds_were_rounded(case, fold):
    sizes, counts = case
    figures = by_rule(counts, sizes, fold)
    assert counts in counts_behind(*figures, sizes).tolist()
    assert fold is None or to_the_digit(np.array([counts]), *figures, sizes).tolist() == [True]


@settings(deadline=None, max_examples=30)
@given(folds(most_folds=3, most_cases=8), st.integers(-1, 1), st.integers(-1, 1))
@example(([32, 8], [9, 3]), 0, 0)  # halves in a fold and, where it is rounded up, in the mean
@example(([32, 32], [9, 9]), 1, 0)
def test_just_those_counts_follow_to_the_digit_that_give_the_figures_by_decimal_numbers(case, more_mean, more_sd):
    """Every count there is, against figures of some counts and figures one hundredth off; a half either way."""
    sizes, counts = case
    mean, sd = by_rule(counts, sizes)
    figures = min(max(round(mean + more_mean / 100, 2), 0), 100), max(round(sd + more_sd / 100, 2), 0)
    every = [*itertools.product(*[range(n + 1) for n in sizes])]
    halves = [*itertools.product(UP_OR_EVEN, *[(ROUND_HALF_UP, ROUND_HALF_DOWN)] * 2)]
    wanted = [figures in [by_rule(k, sizes, *half) for half in halves] for k in every]
    assert to_the_digit(np.array(every), *figures, sizes).tolist() == wanted


@pytest.mark.parametrize(("sd", "follows"), [(4.14, False), (4.15, True), (4.16, False)])
def test_a_figure_one_hundredth_off_is_found_and_does_not_follow_to_the_digit(sd, follows):
    """CYST of the paper's row from scratch, printed as 97.32 and 4.14."""
    found = counts_behind(97.32, sd, SLICES["CYST"])
    assert found.tolist() == ([[29, 31, 36, 24, 25]] if sd < 4.16 else [])
    assert to_the_digit(np.array([[29, 31, 36, 24, 25]]), 97.32, sd, SLICES["CYST"]).tolist() == [follows]


@settings(deadline=None, max_examples=60)
@given(folds(most_folds=4, most_cases=6), st.sampled_from([0.0101, 0.5, 4.0]), st.floats(-3, 3))
def test_the_search_finds_what_brute_force_finds(case, tolerance, shift):
    sizes, counts = case
    share = 100 * np.array(counts) / sizes
    mean, sd = float(np.clip(share.mean() + shift, 0, 100)), float(share.std())
    every = itertools.product(*[range(n + 1) for n in sizes])
    assert [*map(tuple, counts_behind(mean, sd, sizes, tolerance))] == brute_force(every, mean, sd, sizes, tolerance)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(1, 4), min_size=3, max_size=3), min_size=1, max_size=4), st.data())
def test_classes_together_are_what_brute_force_finds(sizes, data):
    """Every class by itself with wide tolerance, all of them with a narrow one."""
    truth = np.array([[data.draw(st.integers(0, n)) for n in row] for row in sizes])
    ways = []
    for counts, row in zip(truth, sizes, strict=True):
        share = 100 * counts / row
        ways.append(counts_behind(share.mean(), share.std(), row, tolerance=6.0))
    total = np.sum(sizes, axis=0)
    share = 100 * truth.sum(axis=0) / total
    every = [np.sum(choice, axis=0) for choice in itertools.product(*ways)]
    wanted = brute_force(every, share.mean(), share.std(), total, TOLERANCE)
    found = folds_behind(ways, share.mean(), share.std(), total)
    assert [*map(tuple, found)] == wanted
    assert truth.sum(axis=0).tolist() in found.tolist()


def test_a_work_space_of_any_size_changes_nothing(monkeypatch):
    whole = counts_behind(57.23, 20.64, SLICES["HCC"])
    monkeypatch.setattr(module, "CHUNK", 100)
    assert len(whole) == 18
    assert counts_behind(57.23, 20.64, SLICES["HCC"]).tolist() == whole.tolist()


@settings(deadline=None, max_examples=20)
@given(folds(most_folds=3, most_cases=20), st.booleans())
@example((SLICES["HCC"], [20, 21, 22, 20, 12]), False)
@example((SLICES["HCC"], [20, 21, 22, 20, 12]), True)
def test_the_chance_of_fitting_counts_the_figures_around(case, exact):
    sizes, counts = case
    mean, sd = by_rule(counts, sizes, fold=None)
    around = [(round(mean + i / 100, 2), round(sd + j / 100, 2)) for i in range(-3, 4) for j in range(-3, 4)]
    around = [(m, s) for m, s in around if 0 <= m <= 100 and s >= 0]
    found = [(counts_behind(*figures, sizes), *figures) for figures in around]
    fits = [to_the_digit(*each, sizes).any() if exact else len(each[0]) > 0 for each in found]
    assert chance_of_fitting(mean, sd, sizes, reach=0.03, exact=exact) == pytest.approx(np.mean(fits))


def test_folds_of_one_case_and_of_many():
    assert counts_behind(50, 50, [1, 1]).tolist() == [[0, 1], [1, 0]]
    assert counts_behind(100, 0, [7, 200, 3000]).tolist() == [[7, 200, 3000]]
    assert len(counts_behind(33.3, 0, [10, 10])) == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((101, 1, [5, 5]), "mean"),
        ((-0.1, 1, [5, 5]), "mean"),
        ((float("nan"), 1, [5, 5]), "mean"),
        ((50, -1, [5, 5]), "sd"),
        ((50, float("nan"), [5, 5]), "sd"),
        ((50, 1, [5]), "sizes"),
        ((50, 1, [5, 0]), "sizes"),
        ((50, 1, [5, 2.5]), "sizes"),
        ((50, 1, 5), "sizes"),
        ((50, 1, [5, 5], 0), "tolerance"),
        ((50, 20, [1000] * 5), "too many"),
        ((50, 20, [60] * 6, 2.0), "too many"),
    ],
)
def test_impossible_input_is_told_in_one_line(arguments, word):
    with pytest.raises(InputError, match=word) as caught:
        counts_behind(*arguments)
    assert "\n" not in str(caught.value)
