"""Readers and a machine: statsmodels, scipy and counting by hand."""

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as oracle

from livervlm.base.errors import InputError
from livervlm.evaluation.counts import counts_of_share
from livervlm.evaluation.readers import against_best, agreement, counts_of, fleiss_kappa, kappa_interval, paired_errors

FLEISS = [  # the ten subjects, fourteen raters and five answers of Fleiss 1971's well-known example
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]


def three_readers(n=300, seed=0):
    """Truth, (n,), and answers, (n, 3), each right in two of three, of four classes."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, n)
    guess = rng.integers(0, 4, (n, 3))
    return truth, np.where(rng.random((n, 3)) < 2 / 3, truth[:, None], guess)


def test_kappa_of_the_textbook():
    assert fleiss_kappa(np.array(FLEISS)) == pytest.approx(0.210, abs=0.0005)


@pytest.mark.parametrize("seed", range(3))
def test_kappa_and_counts_are_those_of_statsmodels(seed):
    _, answers = three_readers(seed=seed)
    counts, _ = aggregate_raters(answers)
    assert (counts_of(answers) == counts).all()
    assert fleiss_kappa(counts) == pytest.approx(oracle(counts), abs=1e-12)


def test_kappa_is_one_where_all_agree_about_zero_by_chance_and_none_for_one_answer():
    rng = np.random.default_rng(1)
    assert fleiss_kappa(counts_of(np.repeat(rng.integers(0, 3, (50, 1)), 4, axis=1))) == 1
    assert abs(fleiss_kappa(counts_of(rng.integers(0, 3, (4000, 4))))) < 0.02
    assert np.isnan(fleiss_kappa(counts_of(np.ones((5, 2)))))


def test_the_interval_of_kappa_holds_it_and_narrows_with_patients():
    widths = []
    for n in (100, 900):
        value, low, high = kappa_interval(three_readers(n)[1], n_boot=200)
        assert low < value < high
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 3, rel=0.35)


def test_kappa_does_not_depend_on_the_names_or_the_order_of_readers():
    _, answers = three_readers()
    named = np.array(["HCC", "ICC", "MET", "none"])[answers][:, ::-1]
    assert fleiss_kappa(counts_of(named)) == pytest.approx(fleiss_kappa(counts_of(answers)), abs=1e-12)


@pytest.mark.parametrize("counts", [[[1, 1], [1, 2]], [[1, 0], [0, 1]], [[3, -1]], [1, 2], np.empty((0, 2), int)])
def test_counts_that_are_none_are_said(counts):
    with pytest.raises(InputError, match="patients x answers"):
        fleiss_kappa(counts)


def test_one_reader_is_too_few():
    with pytest.raises(InputError, match="two or more readers"):
        counts_of(np.ones((5, 1)))


def test_agreement_counts_pairs_in_the_order_of_the_names():
    table = agreement(["a", "b", "b", "b"], ["a", "a", "a", "b"], ["b", "a", "c"])
    assert table.to_numpy().tolist() == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]
    with pytest.raises(InputError, match="'d': not among"):
        agreement(["d"], ["a"], ["a", "b"])
    with pytest.raises(InputError, match="one answer of each"):
        agreement(["a"], ["a", "b"], ["a", "b"])


def test_errors_are_mcnemars_exact_test():
    truth, answers = three_readers()
    a, b = (answers[:, i] == truth for i in (0, 1))
    found = paired_errors(a, b)
    table = [[found.both_right, found.a_only], [found.b_only, found.both_wrong]]
    assert found.p == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-9)
    assert found.n == len(truth)
    assert found.difference.difference == pytest.approx(a.mean() - b.mean())
    assert (paired_errors(b, a).a_only, paired_errors(b, a).p) == (found.b_only, found.p)


def test_nobody_errs_alone():
    same = np.array([True, False, True])
    assert (paired_errors(same, same).p, paired_errors(same, ~same).both_right) == (1.0, 0)


def test_known_values_of_the_exact_test():
    a, b = np.arange(40) < 20, np.arange(40) >= 12  # 12 right alone, 20 right alone
    assert paired_errors(a, b).p == binomtest(12, 32).pvalue


@pytest.mark.parametrize("bad", [np.array([1, 0]), np.array([[True, False]]), np.array(["yes", "no"])])
def test_right_is_true_or_false(bad):
    with pytest.raises(InputError, match="give True where"):
        paired_errors(bad, np.array([True, False]))


def test_the_best_reader_is_chosen_in_each_group():
    group = np.repeat([0, 1], 10)
    readers = np.zeros((20, 2), bool)
    readers[:9, 0] = readers[:5, 1] = readers[10:18, 1] = True
    found = against_best(np.ones(20, bool), readers, group)
    assert (found.chosen, found.machine, found.best) == ({0: 0, 1: 1}, 1, 17 / 20)
    assert found.low <= found.difference <= found.high


def test_one_reader_is_no_choice_and_brings_no_optimism():
    rng = np.random.default_rng(0)
    machine, reader = rng.random((2, 200)) < [[0.8], [0.7]]
    found, paired = against_best(machine, reader[:, None], np.zeros(200)), paired_errors(machine, reader).difference
    assert abs(found.optimism) < 0.003
    assert (found.low, found.high) == pytest.approx(paired.interval(), abs=0.015)


def test_the_best_of_equal_readers_looks_better_than_it_is():
    """Ten readers who are right in 70 % each: the best of 100 patients is near 77 %, and the optimism says so."""
    rng = np.random.default_rng(3)
    bests, optimisms = [], []
    for seed in range(30):
        found = against_best(rng.random(100) < 0.7, rng.random((100, 10)) < 0.7, np.zeros(100), 200, seed)
        bests.append(found.best)
        optimisms.append(found.optimism)
    assert np.mean(bests) > 0.75
    assert np.mean(bests) - np.mean(optimisms) == pytest.approx(0.7, abs=0.035)


def test_patients_of_the_machine_and_the_readers_must_be_the_same():
    with pytest.raises(InputError, match="one row per patient"):
        against_best(np.ones(3, bool), np.ones((4, 2), bool), np.zeros(3))


@pytest.mark.parametrize(
    ("percent", "n", "found"),
    [
        (74.0, 104, [77]),
        (71.9, 104, []),
        (82.9, 94, [78]),
        (83.0, 94, [78]),
        (85.7, 13, []),
        (50, 2, [1]),
        (100, 7, [7]),
    ],
)
def test_the_counts_behind_one_share(percent, n, found):
    assert counts_of_share(percent, n) == found


def test_shares_outside_the_possible_are_said():
    for percent, n in ((101, 5), (50, 0)):
        with pytest.raises(InputError, match="0 to 100"):
            counts_of_share(percent, n)
