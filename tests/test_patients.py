"""Measures by patient: scikit-learn, counting by hand, and patients whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from livervlm.base.errors import InputError
from livervlm.evaluation.comparisons import auc_covariance
from livervlm.evaluation.patients import (
    FEWEST,
    PatientAnswers,
    accuracy_by,
    auc_interval,
    last_less_first,
    sensitivity_at,
    sensitivity_interval,
)
from livervlm.scans.conventions import CLASS_NAMES, LIVER_VLM_CLASSES

AT = "sensitivity at 90 % specificity"


def answers(n=200, classes=LIVER_VLM_CLASSES, sharp=1.0, seed=0):
    rng = np.random.default_rng(seed)
    label = np.arange(n) % len(classes)
    prob = rng.dirichlet(np.ones(len(classes)), n) + sharp * rng.random((n, 1)) * np.eye(len(classes))[label]
    return PatientAnswers(label, prob / prob.sum(axis=1, keepdims=True), np.arange(n), tuple(classes))


@st.composite
def scored(draw):
    """(there, score) of 30 patients, with ties, some on either side."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    there = rng.permutation(30) < draw(st.integers(1, 29))
    return there, rng.integers(0, draw(st.integers(1, 40)), 30) / 40 + 0.2 * there


# -- Slices become patients -------------------------------------------------------------------------------------------


def test_a_patients_probability_is_the_mean_of_the_slices():
    prob = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.0, 1.0]])
    found = PatientAnswers.of_slices(np.array([0, 1, 0, 1]), prob, np.array([7, 3, 7, 3]), ["CYST", "HCC"])
    assert found.patient.tolist() == [3, 7]
    assert found.label.tolist() == [1, 0]
    assert found.prob == pytest.approx(np.array([[0.1, 0.9], [0.7, 0.3]]))


def test_a_patient_of_two_classes_is_refused():
    with pytest.raises(InputError, match="patient 7: has slices of two classes"):
        PatientAnswers.of_slices(np.array([0, 1, 1]), np.eye(2)[[0, 1, 1]], np.array([7, 3, 7]), ["CYST", "HCC"])


def test_malignant_is_a_target_of_its_own_where_more_than_one_class_is():
    assert list(answers().targets) == list(LIVER_VLM_CLASSES)  # HCC alone is malignant there
    six = answers(classes=CLASS_NAMES)
    there, score = six.sides("malignant")
    names = np.array(six.classes)[six.label]
    assert there.tolist() == np.isin(names, ["HCC", "ICC", "MET"]).tolist()
    assert score == pytest.approx(1 - six.prob[:, :2].sum(axis=1) - six.prob[:, 3])


def test_one_cancer_taken_for_another_is_not_missed():
    classes = ("CYST", "HCC", "ICC")
    prob = np.eye(3)[[0, 0, 2, 2, 1, 0]]  # both HCC are taken for ICC; one ICC for HCC, the other for a cyst
    table = PatientAnswers(np.repeat([0, 1, 2], 2), prob, np.arange(6), classes).clinical()["value"]
    assert table["sensitivity as answered"].to_dict() == {"CYST": 1, "HCC": 0, "ICC": 0, "malignant": 0.75}
    assert table["specificity as answered"].to_dict() == {"CYST": 0.75, "HCC": 0.75, "ICC": 0.5, "malignant": 1}


# -- The measures -----------------------------------------------------------------------------------------------------


def test_aucs_are_scikit_learns_with_intervals_by_patient():
    found, table = answers(), answers().clinical().loc["AUC"]
    for c, name in enumerate(found.classes):
        line = table.loc[name]
        assert line["value"] == pytest.approx(roc_auc_score(found.label == c, found.prob[:, c]))
        se = np.sqrt(auc_covariance(found.label == c, found.prob[:, c])[1][0, 0])
        assert line["high"] - line["low"] == pytest.approx(2 * 1.96 * se, rel=0.05)
        assert line["low"] < line["value"] < line["high"] < 1
        assert line["patients"] == 200


def test_answers_of_several_networks_add_no_patients():
    once = answers(80)
    again = PatientAnswers(*(np.concatenate([a] * 4) for a in (once.label, once.prob, once.patient)), once.classes)
    one, four = once.clinical(), again.clinical()
    assert four["patients"].tolist() == one["patients"].tolist()
    # Resamples of repeated answers are the same patients in other numbers, in the same order of draws.
    assert four.to_numpy() == pytest.approx(one.to_numpy(), nan_ok=True)


def test_a_separation_without_error_has_no_interval():
    there = np.arange(60) < 30
    value, low, high = auc_interval(there, there * 1.0, np.arange(60))
    assert (value, np.isnan([low, high]).all()) == (1, True)
    value, low, high = sensitivity_interval(there, there * 1.0, np.arange(60))
    assert (value, np.isnan([low, high]).all()) == (1, True)


def test_few_patients_have_no_bootstrap_and_lone_ones_no_line():
    few = answers(4 * (FEWEST - 1)).clinical()
    assert few.loc[AT, ["low", "high"]].isna().all(axis=None)
    assert few.loc["AUC"].notna().all(axis=None)
    lone = answers(80)
    lone.label[lone.label == 3] = 0
    lone.label[:1] = 3
    assert lone.clinical().loc["AUC"].index.tolist() == ["CYST", "FNH", "HCC"]


@given(scored(), st.sampled_from([0.5, 0.55, 0.8, 0.9, 0.95, 1.0]))
def test_sensitivity_is_the_highest_of_the_curve_at_that_specificity(case, specificity):
    there, score = case
    alarms, found, _ = roc_curve(there, score, drop_intermediate=False)
    assert sensitivity_at(there, score, specificity) == pytest.approx(found[alarms <= 1 - specificity + 1e-9].max())


@given(scored())
def test_sensitivity_falls_as_specificity_rises(case):
    found = [sensitivity_at(*case, specificity) for specificity in np.linspace(0.05, 1, 20)]
    assert (np.diff(found) <= 0).all()


@pytest.mark.parametrize("specificity", [0, 1.1])
def test_a_specificity_that_is_none_is_refused(specificity):
    with pytest.raises(InputError, match="give a share above 0, at most 1"):
        answers().clinical(specificity)


def test_the_interval_of_a_sensitivity_is_as_wide_as_others_patients_would_have_it():
    """Scores of normal patients, those with it 1.637 sd above: 63.9 % of them are found at 90 % specificity."""
    rng, there = np.random.default_rng(0), np.arange(400) < 100
    drawn = [rng.normal(1.637 * there) for _ in range(500)]
    found = [sensitivity_at(there, score) for score in drawn]
    assert np.mean(found) == pytest.approx(0.639, abs=0.01)
    widths = [np.subtract(*sensitivity_interval(there, score, np.arange(400))[:0:-1]) for score in drawn[:3]]
    assert np.mean(widths) == pytest.approx(np.subtract(*np.quantile(found, [0.975, 0.025])), rel=0.2)


def test_the_curve_is_that_of_the_target():
    found = answers()
    alarms, sensitivity = found.roc("HEM")
    expected = roc_curve(found.label == 3, found.prob[:, 3])
    assert (alarms.tolist(), sensitivity.tolist()) == (expected[0].tolist(), expected[1].tolist())


# -- For which lesions ------------------------------------------------------------------------------------------------


def test_accuracy_in_parts_by_rank():
    value = np.random.default_rng(0).permutation(50).astype(float)
    right = np.where(value < 10, 20.0, 80.0) + np.array([[-5.0], [0.0], [5.0]])  # (3 cohorts, 50 patients)
    table = accuracy_by(right, value)
    assert table["median"].tolist() == [4.5, 14.5, 24.5, 34.5, 44.5]
    assert table["accuracy"].tolist() == [20, 80, 80, 80, 80]
    assert table["patients"].tolist() == [10] * 5
    assert (table["low"] < table["accuracy"]).all()
    assert (table["high"] <= table["accuracy"] + 5).all()
    assert last_less_first(right, value) == pytest.approx((60, 60, 60))  # every cohort and pair has this difference


def test_the_same_mix_of_classes_takes_out_what_a_class_brings():
    """A hard class of high values and an easy one of low ones: the sum falls, though each class rises."""
    rng = np.random.default_rng(0)
    kind = np.repeat(["easy", "hard"], 200)
    value = rng.random(400) + (kind == "hard")
    right = 50 + 40 * (kind == "easy") + 10 * (value - (kind == "hard")) + rng.normal(0, 1, (5, 400))
    assert last_less_first(right, value)[2] < -20
    difference, low, high = last_less_first(right, value, pd.Series(kind))
    assert 7 < low < difference < high < 9


@pytest.mark.parametrize(
    ("right", "value"), [(np.ones(20), np.ones(20)), (np.ones((3, 20)), np.ones(19)), (np.ones((3, 8)), np.ones(8))]
)
def test_what_is_not_cohorts_by_patients_is_refused(right, value):
    for function in (accuracy_by, last_less_first):
        with pytest.raises(InputError, match="give cohorts x patients, and a value a patient"):
            function(right, value)
