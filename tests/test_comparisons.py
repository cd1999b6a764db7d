"""Tests and intervals against scipy, statsmodels, sums written out, the jackknife, and values worked out by others."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from statsmodels.stats.weightstats import ttost_paired

from livervlm.base.errors import InputError
from livervlm.evaluation.comparisons import (
    Comparison,
    auc_covariance,
    cluster_bootstrap,
    crossed_bootstrap,
    delong,
    holm,
    paired_t,
    pairs_for_half_width,
    power,
    simulate_type_one,
    verdicts,
)
from livervlm.evaluation.metrics import design_effect, macro_auc

seeds = st.integers(0, 2**32 - 1)


@st.composite
def pairs(draw):
    rng = np.random.default_rng(draw(seeds))
    a = rng.normal(70, 5, draw(st.integers(2, 30)))
    return a, a + rng.normal(draw(st.floats(-4, 4)), 3, len(a))


@st.composite
def slices(draw):
    """(y_true, scores (2, N), patient): few distinct scores, so many ties; patients with slices of both classes."""
    rng = np.random.default_rng(draw(seeds))
    y = np.r_[0, 0, 0, 1, 1, 1, rng.integers(0, 2, draw(st.integers(0, 30)))]
    patient = np.r_[0, 1, 2, 0, 1, 3, rng.integers(0, 8, len(y) - 6)]
    return y, rng.integers(0, 6, (2, len(y))) + y * rng.integers(0, 3), patient


@given(pairs())
def test_paired_t_is_scipys(case):
    ours, theirs = paired_t(*case), stats.ttest_rel(*case)
    assert ours.p == pytest.approx(theirs.pvalue)
    assert ours.interval(0.9) == pytest.approx(tuple(theirs.confidence_interval(0.9)))
    assert (ours.n, ours.df) == (len(case[0]), theirs.df)


@given(pairs(), st.floats(0.1, 5))
def test_tost_is_statsmodels_and_agrees_with_the_90_percent_interval(case, margin):
    ours = paired_t(*case)
    p, low, high = ttost_paired(*case, -margin, margin)
    assert ours.tost(margin) == pytest.approx((low[1], high[1]))
    assert max(ours.tost(margin)) == pytest.approx(p)
    assume(abs(p - 0.05) > 1e-6)
    ends = ours.interval(0.9)
    assert (p < 0.05) == (-margin < ends[0] and ends[1] < margin)


def test_five_folds_of_the_paper_and_the_price_of_overlap():
    shuffle, simsiam = [85.26, 90.00, 88.66, 80.00, 81.52], [85.26, 80.00, 81.44, 70.53, 83.70]
    plain, corrected = paired_t(shuffle, simsiam), paired_t(shuffle, simsiam, test_over_train=1 / 4)
    assert plain.difference == pytest.approx(4.90, abs=0.005)
    assert plain.interval() == pytest.approx((-2.1, 11.9), abs=0.05)
    assert np.diff(corrected.interval()) == pytest.approx(1.5 * np.diff(plain.interval()))
    assert corrected.p == pytest.approx(2 * stats.t.sf(stats.ttest_rel(shuffle, simsiam).statistic / 1.5, 4))


def test_the_same_difference_in_every_pair_is_sure():
    none, one = paired_t([3, 5, 8], [3, 5, 8]), paired_t([4, 6, 9], [3, 5, 8])
    assert (none.p, none.interval(), none.tost(2)) == (1, (0, 0), (0, 0))
    assert (one.p, one.interval(), one.tost(0.5)) == (0, (1, 1), (0, 1))
    swapped = paired_t([3, 5, 8], [4, 6, 9])
    assert (swapped.p, swapped.tost(0.5)) == (0, (1, 0))


def test_delong_variance_of_the_known_iris_example():
    # The test of yandexdataschool/roc_comparison, of 2017: scikit-learn then solved by liblinear, and its copy of iris
    # had other numbers than Fisher's in two flowers (put right in 0.20).
    data, target = load_iris(return_X_y=True)
    data[[34, 37]] = [4.9, 3.1, 1.5, 0.1]
    x_train, x_test, y_train, y_test = train_test_split(data, target == 1, test_size=0.8, random_state=42)
    score = LogisticRegression(solver="liblinear").fit(x_train, y_train).predict_proba(x_test)[:, 1]
    auc, covariance = auc_covariance(y_test, score)
    assert auc[0] == pytest.approx(roc_auc_score(y_test, score))
    assert covariance[0, 0] == pytest.approx(0.0014569635512, rel=1e-10)


def placements(y, scores):
    """Each pair of a positive and a negative, counted one by one: (K, M, N)."""
    above = scores[:, y == 1, None] - scores[:, None, y == 0]
    return (above > 0) + 0.5 * (above == 0)


@given(slices())
def test_delong_is_the_sum_over_all_pairs(case):
    y, scores, _ = case
    won = placements(y, scores)
    expected = np.cov(won.mean(2)) / won.shape[1] + np.cov(won.mean(1)) / won.shape[2]
    auc, covariance = auc_covariance(y, scores)
    assert auc == pytest.approx([roc_auc_score(y, s) for s in scores])
    assert covariance == pytest.approx(expected, abs=1e-12)
    assert auc_covariance(y, scores[0])[1] == pytest.approx(covariance[:1, :1])
    test = delong(y, *scores)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert test.difference == pytest.approx(auc[0] - auc[1])
    assert test.se**2 == pytest.approx(variance, abs=1e-12)
    assert test.n == len(y)
    assume(variance > 1e-9)
    assert test.p == pytest.approx(2 * stats.norm.sf(abs(auc[0] - auc[1]) / np.sqrt(variance)))
    assert test.interval() == pytest.approx(stats.norm.interval(0.95, auc[0] - auc[1], np.sqrt(variance)))


@given(slices())
def test_clustered_delong_is_obuchowskis_sums_patient_by_patient(case):
    y, scores, patient = case
    won = placements(y, scores)
    auc, (_, m_all, n_all) = won.mean((1, 2)), won.shape
    names = np.unique(patient)
    with_positive, with_negative = (len(np.unique(patient[y == kind])) for kind in (1, 0))
    s10, s01, s11 = np.zeros((3, 2, 2))
    for name in names:
        x = (won[:, patient[y == 1] == name].mean(2) - auc[:, None]).sum(1)
        z = (won[:, :, patient[y == 0] == name].mean(1) - auc[:, None]).sum(1)
        s10 += with_positive / ((with_positive - 1) * m_all) * np.outer(x, x)
        s01 += with_negative / ((with_negative - 1) * n_all) * np.outer(z, z)
        s11 += len(names) / (len(names) - 1) * np.outer(x, z)
    expected = s10 / m_all + s01 / n_all + (s11 + s11.T) / (m_all * n_all)
    assert auc_covariance(y, scores, patient)[1] == pytest.approx(expected, abs=1e-12)


@given(slices(), st.integers(2, 5))
def test_lone_slices_are_delongs_and_copies_tell_nothing(case, m):
    y, scores, patient = case
    names = np.array([f"patient {i}" for i in np.random.default_rng(m).permutation(len(y))])
    alone, plain = delong(y, *scores, names), delong(y, *scores)
    assert (alone.se, alone.n) == (pytest.approx(plain.se), len(y))
    copied = [np.repeat(x, m) for x in (y, *scores, patient)]
    once = delong(y, *scores, patient)
    assert delong(*copied).se == pytest.approx(once.se, abs=1e-9)
    assert delong(*copied).difference == pytest.approx(once.difference)
    assert delong(*copied[:3]).se ** 2 <= plain.se**2 / m + 1e-12  # DeLong takes copies for news


@pytest.mark.parametrize("share", [0.0, 2.0])
def test_clustered_delong_agrees_with_the_jackknife_over_patients(share):
    """Patients of both classes; what their slices share, a jackknife that knows no formula finds as well."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(100), 6)
    y = np.tile([0, 0, 0, 1, 1, 1], 100)
    scores = y + share * rng.normal(size=(2, 100))[:, patient] + rng.normal(size=(2, 600))
    without = []
    for left_out in range(100):
        rest = patient != left_out
        without.append(roc_auc_score(y[rest], scores[0, rest]) - roc_auc_score(y[rest], scores[1, rest]))
    jackknife = np.sqrt(99 / 100 * np.sum((without - np.mean(without)) ** 2))
    assert delong(y, *scores, patient).se == pytest.approx(jackknife, rel=0.03)


def test_scores_that_rank_alike_do_not_differ():
    rng = np.random.default_rng(0)
    y, score, patient = rng.integers(0, 2, 60), rng.normal(size=60), rng.integers(0, 12, 60)
    assert delong(y, score, np.exp(score), patient).p == 1
    assert delong(y, score, -score).difference == pytest.approx(-delong(y, -score, score).difference)


def test_cluster_bootstrap_counts_patients_not_slices():
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(80), 6)
    correct = (rng.random(80) < 0.7)[patient] ^ (rng.random(480) < 0.1)
    by_patient = cluster_bootstrap(np.mean, patient, correct, n_boot=1000)
    by_slice = cluster_bootstrap(np.mean, np.arange(480), correct, n_boot=1000)
    assert by_patient[0] == by_slice[0] == correct.mean()
    assert by_slice[2] - by_slice[1] == pytest.approx(2 * 1.96 * correct.std() / np.sqrt(480), rel=0.1)
    ratio = (by_patient[2] - by_patient[1]) / (by_slice[2] - by_slice[1])
    assert ratio**2 == pytest.approx(design_effect(correct, patient), rel=0.2)


def test_cluster_bootstrap_keeps_a_patients_slices_together_and_its_rows_in_step():
    rng = np.random.default_rng(0)
    patient = rng.integers(0, 10, 60)
    size = np.bincount(patient)

    def whole(ids, twice):
        assert np.array_equal(twice[:, 0], 2 * ids)
        assert (np.bincount(ids, minlength=10) % size == 0).all()
        return np.mean(ids)

    first = cluster_bootstrap(whole, patient, patient, np.stack([2 * patient, patient], 1), n_boot=50, seed=3)
    assert first == cluster_bootstrap(whole, patient, patient, np.stack([2 * patient, patient], 1), n_boot=50, seed=3)
    assert first[1] < first[0] < first[2]


def test_crossed_bootstrap_has_the_width_of_both_draws():
    """Against the variance that independent multinomial weights on rows and columns give by algebra."""
    rng = np.random.default_rng(0)
    difference = 2 + rng.normal(size=(20, 1)) + 2 * rng.normal(size=(1, 60)) + rng.normal(size=(20, 60))
    rows, columns = difference.mean(1) - difference.mean(), difference.mean(0) - difference.mean()
    rest = difference - difference.mean() - rows[:, None] - columns
    se = np.sqrt((rows**2).sum() / 20**2 + (columns**2).sum() / 60**2 + (rest**2).sum() / 1200**2)
    mean, low, high = crossed_bootstrap(difference, n_boot=4000)
    assert mean == pytest.approx(difference.mean())
    assert high - low == pytest.approx(2 * 1.96 * se, rel=0.06)
    assert crossed_bootstrap(difference.T, 4000)[2] == pytest.approx(high, abs=0.06 * se * 2)
    alike = np.repeat(difference[:, :1], 500, axis=1)  # patients all alike: only cohorts vary
    _, low, high = crossed_bootstrap(alike, n_boot=4000)
    assert high - low == pytest.approx(2 * 1.96 * alike[:, 0].std() / np.sqrt(20), rel=0.08)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_power_is_the_noncentral_t_and_reproduces_the_trial():
    cut, shift = stats.t.ppf(0.975, 45), 1.5 / 5 * np.sqrt(46)
    expected = stats.nct.sf(cut, 45, shift) + stats.nct.cdf(-cut, 45, shift)
    assert power(1.5, 5, 46) == pytest.approx(expected)
    assert power(0, 5, 46) == pytest.approx(0.05)
    assert [pairs_for_half_width(sd, 1.5) for sd in (2, 3, 4, 5, 6)] == [10, 18, 30, 46, 64]


@given(st.floats(0.5, 20), st.floats(0.5, 5))
def test_fewest_pairs_are_enough_and_one_less_is_not(sd, half_width):
    n = pairs_for_half_width(sd, half_width)
    assert stats.t.ppf(0.975, n - 1) * sd / np.sqrt(n) <= half_width
    assert n == 2 or stats.t.ppf(0.975, n - 2) * sd / np.sqrt(n - 1) > half_width


def test_verdicts():
    def of(difference, se):
        return Comparison(difference, se, 45, 46)

    assert verdicts([of(5, 1)], 2) == ["reproduced"]
    assert verdicts([of(-5, 1)], 2) == ["not reproduced"]
    assert verdicts([of(0.1, 0.5)], 2) == ["equivalent"]
    assert verdicts([of(1.5, 1)], 2) == ["undecided"]
    tiny = of(0.8, 0.2)
    assert tiny.p < 0.001
    assert verdicts([tiny], 2) == ["equivalent"]  # real, and smaller than what matters


def test_a_family_asks_more_of_each_contrast():
    close, equal = Comparison(2.5, 1, 45, 46), Comparison(0, 1, 45, 46)
    assert verdicts([close], 2) == ["reproduced"]
    assert verdicts([equal], 2) == ["equivalent"]
    unsure = Comparison(2.5, 5, 45, 46)
    assert verdicts([close, equal] + 8 * [unsure], 2) == 10 * ["undecided"]


def test_slices_declare_equal_models_different_and_patients_do_not():
    n = 200
    rates = simulate_type_one(n)
    tolerance = 3 * np.sqrt(0.05 * 0.95 / n)
    assert rates["slices"][0] - 3 * rates["slices"][1] > 0.05 + tolerance
    assert rates["patients"][0] == pytest.approx(0.05, abs=tolerance)
    for rate, error in rates.values():
        assert error == pytest.approx(np.sqrt(rate * (1 - rate) / n))
    assert simulate_type_one(20, seed=1) == simulate_type_one(20, seed=1)
    independent = simulate_type_one(n, icc=0)["slices"][0]
    assert independent == pytest.approx(0.05, abs=tolerance)  # DeLong is right where slices are independent


NAN, TWO = float("nan"), [0, 0, 1, 1]
BAD = {
    "nan in a t": (lambda: paired_t([1, 2, NAN], [1, 2, 3]), "a: 1 of 3 values are not finite"),
    "one pair": (lambda: paired_t([1], [2]), "2 or more pairs"),
    "unequal pairs": (lambda: paired_t([1, 2, 3], [2, 3]), "2 or more pairs"),
    "negative overlap": (lambda: paired_t([1, 2], [2, 4], -1), "ratio of two sizes"),
    "margin 0": (lambda: paired_t([1, 2], [2, 4]).tost(0), "margin above 0"),
    "nan score": (lambda: delong(TWO, [1, 2, 3, NAN], [1, 2, 3, 4]), "not finite"),
    "unequal scores": (lambda: delong(TWO, [1, 2, 3], [1, 2, 3, 4]), "one of each per slice"),
    "short truth": (lambda: delong([0, 1], [1, 2, 3, 4], [1, 2, 3, 4]), "one per slice"),
    "short patients": (lambda: delong(TWO, TWO, TWO, [0, 1]), "one per slice"),
    "one class": (lambda: delong([1, 1, 1], [1, 2, 3], [1, 2, 3]), "two of each"),
    "one positive patient": (lambda: delong(TWO, TWO, TWO, [0, 1, 2, 2]), "1 patients or slices with the class"),
    "four classes": (lambda: delong([0, 1, 2, 3], TWO, TWO), "other values than 0 and 1"),
    "slice without patient": (lambda: delong(TWO, TWO, TWO, [0, NAN, 2, 3]), "1 of 4 slices name none"),
    "nan to resample": (lambda: cluster_bootstrap(np.mean, [0, 1], [1, NAN]), "not finite"),
    "one patient": (lambda: cluster_bootstrap(np.mean, [0, 0], [1, 2]), "give two patients"),
    "unequal rows": (lambda: cluster_bootstrap(np.mean, [0, 1], [1, 2, 3]), "as many rows"),
    "resample of one class": (
        lambda: cluster_bootstrap(macro_auc, [0, 1], np.array([0, 1]), np.eye(2), n_boot=20),
        "resampled patients: .* not finite",
    ),
    "nan difference": (lambda: crossed_bootstrap([[1, NAN], [0, 1]]), "not finite"),
    "one cohort": (lambda: crossed_bootstrap([[1, 2, 3]]), "two or more cohorts"),
    "nan p": (lambda: holm([0.1, NAN]), "not finite"),
    "p above 1": (lambda: holm([0.1, 1.1]), "outside 0 to 1"),
    "no contrast": (lambda: verdicts([], 2), "there are none"),
    "nan effect": (lambda: power(NAN, 1, 10), "power needs"),
    "no sd": (lambda: pairs_for_half_width(0, 1), "above 0"),
    "icc above 1": (lambda: simulate_type_one(1, icc=2), "icc of 0 to 1"),
}


@pytest.mark.parametrize(("call", "says"), BAD.values(), ids=BAD)
def test_bad_input_is_told_in_one_line(call, says):
    with pytest.raises(InputError, match=says) as told:
        call()
    assert "\n" not in str(told.value)
