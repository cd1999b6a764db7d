"""The cascade: its stages, its answer for all classes, and what is added up for a patient."""

import numpy as np
import pytest
from conftest import make_toy
from scipy.special import softmax

from livervlm.base.errors import InputError
from livervlm.evaluation.patients import PatientAnswers
from livervlm.models.cascade import STAGES, branches, multiplied, pooled, stage_sets, stepwise

SIX = ("HCC", "CYST", "ICC", "FNH", "MET", "HEM")


def stages(n: int = 200, seed: int = 0):
    rng = np.random.default_rng(seed)
    return [softmax(3 * rng.normal(size=(n, k)), axis=1) for k in (2, 3, 3)]


def test_sides_are_found_among_the_classes_of_the_data():
    assert branches(SIX) == ([1, 3, 5], [0, 2, 4])
    assert branches(("CYST", "FNH", "HCC", "HEM")) == ([0, 1, 3], [2])
    targets = PatientAnswers(np.zeros(1), np.ones((1, 6)) / 6, np.zeros(1), SIX).targets
    assert targets["malignant"] == branches(SIX)[1]  # one grouping, wherever it is asked for
    for classes in (("HCC", "MET"), ("CYST", "HEM")):
        with pytest.raises(InputError, match=f"only {', '.join(classes)}"):
            branches(classes)


def test_multiplied_probabilities_are_those_of_all_classes():
    first, benign, malignant = stages()
    prob = multiplied(first, benign, malignant, SIX)
    assert prob.sum(axis=1) == pytest.approx(np.ones(200))
    assert prob[:, [0, 2, 4]].sum(axis=1) == pytest.approx(first[:, 1])
    assert prob[7, 3] == pytest.approx(first[7, 0] * benign[7, 1])
    assert prob[7, 4] == pytest.approx(first[7, 1] * malignant[7, 2])


def test_the_hard_rule_agrees_where_a_side_is_certain_and_need_not_elsewhere():
    first, benign, malignant = stages()
    sure = np.where(first > 0.5, 1.0, 0.0)
    told = stepwise(sure, benign, malignant, SIX)
    assert np.array_equal(told, multiplied(sure, benign, malignant, SIX).argmax(axis=1))
    assert np.array_equal(told, stepwise(first, benign, malignant, SIX))  # 0.5 asks no more than which is larger
    assert (told != multiplied(first, benign, malignant, SIX).argmax(axis=1)).any()
    case = [np.array([row]) for row in ([0.45, 0.55], [1.0, 0, 0], [0.4, 0.3, 0.3])]
    assert stepwise(*case, SIX).tolist() == [0]  # malignant, so HCC, although a cyst is twice as probable
    assert multiplied(*case, SIX).argmax() == 1
    assert stepwise(*case, SIX, threshold=0.6).tolist() == [1]


def test_each_stage_learns_its_own_classes():
    toy = make_toy(8)
    index = np.arange(3, len(toy))
    first, benign, malignant = stage_sets(toy, index)
    assert (first.classes, benign.classes, malignant.classes) == (STAGES, ("CYST", "FNH", "HEM"), ("HCC",))
    assert np.array_equal(first.label, toy.label[index] == 2)
    told = np.take(benign.classes, benign.label)
    assert np.array_equal(told, np.take(toy.classes, toy.label[index][toy.label[index] != 2]))
    assert np.array_equal(malignant.hu, toy.hu[index][toy.label[index] == 2])
    assert len(first) == len(benign) + len(malignant) == len(index)


def test_a_patient_is_the_mean_of_probabilities_or_of_logits():
    rng = np.random.default_rng(0)
    logits, owner = 4 * rng.normal(size=(30, 3)), rng.integers(0, 7, 30)
    prob = softmax(logits, axis=1)
    patients = np.unique(owner)
    wanted = np.stack([prob[owner == one].mean(axis=0) for one in patients])
    assert pooled(prob, owner) == pytest.approx(wanted)
    assert pooled(prob, owner) == pytest.approx(PatientAnswers.of_slices(owner * 0, prob, owner, SIX[:3]).prob)
    wanted = softmax(np.stack([logits[owner == one].mean(axis=0) for one in patients]), axis=1)
    assert pooled(prob, owner, "logits") == pytest.approx(wanted)
    with pytest.raises(InputError, match="averaged 'votes'"):
        pooled(prob, owner, "votes")


def test_one_certain_slice_outweighs_two_only_where_logits_are_averaged():
    prob = np.array([[1e-6, 1 - 1e-6], [0.7, 0.3], [0.7, 0.3], [0.7, 0.3]])
    assert pooled(prob, np.zeros(4)).argmax() == 0
    assert pooled(prob, np.zeros(4), "logits").argmax() == 1
