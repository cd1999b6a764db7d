"""Known values of the measures: the paper's own row, scikit-learn, and examples done by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, roc_auc_score

from livervlm.evaluation.metrics import (
    accuracy_over_folds,
    auc_over_folds,
    calibration,
    class_accuracy_over_folds,
    confusion,
    design_effect,
    macro_auc,
)
from livervlm.phantom.patients import table1


@st.composite
def answers(draw):
    """(y_true, prob, group) of 3 folds of 12 slices, each with all 4 classes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = np.concatenate([np.r_[0:4, rng.integers(0, 4, 8)] for _ in range(3)])
    prob = rng.dirichlet(np.ones(4), len(y)) + 0.3 * np.eye(4)[y]
    return y, prob / prob.sum(1, keepdims=True), np.repeat([1, 2, 3], 12)


def test_always_answering_hem_on_table_1_scores_what_the_paper_prints_for_clip():
    rows = table1()
    label = rows["class"].map({"CYST": 0, "FNH": 1, "HCC": 2, "HEM": 3})
    y, group = np.repeat(label, rows.slices).to_numpy(), np.repeat(rows.group, rows.slices).to_numpy()
    mean, sd = accuracy_over_folds(y, np.full(len(y), 3), group)
    assert (round(mean, 2), round(sd, 2)) == (20.53, 5.61)
    assert round(sd * np.sqrt(5 / 4), 2) == 6.28  # what ddof=1 would print, and the paper does not


def test_fold_sizes_do_not_weigh():
    mean, sd = accuracy_over_folds(np.zeros(12, int), np.r_[0, 0, np.ones(10, int)], np.r_[1, 1, np.full(10, 2)])
    assert (mean, sd) == (50.0, 50.0)


@given(answers(), st.permutations(range(36)))
def test_measures_do_not_depend_on_the_order_of_slices_or_the_numbers_of_groups(case, turn):
    y, prob, group = case
    other = y[turn], prob[turn], 10 - group[turn]
    assert accuracy_over_folds(y, prob.argmax(1), group) == pytest.approx(
        accuracy_over_folds(other[0], other[1].argmax(1), other[2])
    )
    assert auc_over_folds(y, prob, group) == pytest.approx(auc_over_folds(*other))
    assert calibration(y, prob)[1] == pytest.approx(calibration(other[0], other[1])[1])


@given(answers())
def test_auc_is_scikit_learns_and_blind_to_rising_scales(case):
    y, prob, group = case
    expected = [roc_auc_score(y[group == g], prob[group == g], multi_class="ovr", average="macro") for g in (1, 2, 3)]
    assert auc_over_folds(y, prob, group) == pytest.approx((np.mean(expected), np.std(expected)))
    assert auc_over_folds(y, np.log(prob), group) == pytest.approx(auc_over_folds(y, prob, group))


def test_auc_leaves_out_a_class_that_the_fold_has_not():
    y, prob = np.array([0, 0, 1, 1]), np.array([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.3, 0.3, 0.4], [0.1, 0.8, 0.1]])
    assert macro_auc(y, prob) == pytest.approx((1.0 + 0.75) / 2)


@given(answers())
def test_confusion_is_scikit_learns(case):
    y, prob, _ = case
    assert np.array_equal(confusion(y, prob.argmax(1), 5), confusion_matrix(y, prob.argmax(1), labels=range(5)))


@given(answers())
def test_class_accuracies_are_recalls_of_the_folds(case):
    y, prob, group = case
    recalls = []
    for g in (1, 2, 3):
        counts = confusion_matrix(y[group == g], prob[group == g].argmax(1), labels=range(4))
        recalls.append(100 * np.diag(counts) / counts.sum(1))
    means, sds = class_accuracy_over_folds(y, prob.argmax(1), group, 4)
    assert means == pytest.approx(np.mean(recalls, 0))
    assert sds == pytest.approx(np.std(recalls, 0))


@pytest.mark.filterwarnings("error")
def test_class_accuracy_counts_only_folds_that_have_the_class():
    y, group = np.array([0, 0, 1, 0]), np.array([1, 1, 1, 2])
    means, sds = class_accuracy_over_folds(y, np.array([0, 1, 1, 1]), group, 3)
    assert means == pytest.approx([25, 100, np.nan], nan_ok=True)
    assert sds == pytest.approx([25, 0, np.nan], nan_ok=True)


def test_calibration_by_hand():
    #  confidence .95 right, .95 wrong, .65 right, .55 wrong
    prob = np.array([[0.95, 0.05], [0.95, 0.05], [0.35, 0.65], [0.55, 0.45]])
    table, error = calibration(np.array([0, 1, 1, 1]), prob)
    assert error == pytest.approx((2 * 0.45 + 0.35 + 0.55) / 4)
    assert table[9] == pytest.approx([0.95, 0.5, 2])
    assert table[:, 2].tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0, 2]
    assert np.isnan(table[0, :2]).all()


def test_full_confidence_has_a_bin_and_no_error_when_it_is_right():
    table, error = calibration(np.array([0, 1]), np.eye(2))
    assert error == 0
    assert table[9].tolist() == [1, 1, 2]


def test_design_effect_is_one_for_lone_slices_and_m_for_m_copies():
    correct = np.random.default_rng(0).random(400) < 0.7
    assert design_effect(correct, np.arange(400)) == pytest.approx(1)
    assert design_effect(np.repeat(correct, 5), np.repeat(np.arange(400), 5)) == pytest.approx(5)
    independent = np.random.default_rng(1).random(40_000) < 0.7
    assert design_effect(independent, np.repeat(np.arange(8000), 5)) == pytest.approx(1, abs=0.1)
