"""Boxes, lesions in 3D and their matching: cases by hand, other implementations, what must not change anything."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from livervlm.base.compat import import_torchvision, plain_nms
from livervlm.base.errors import InputError
from livervlm.evaluation.detection import (
    SIDES,
    areas,
    assess,
    by_size,
    each_box,
    false_positives,
    froc,
    in_liver,
    intersections,
    joined,
    lesion_iou,
    liver_share,
    matched,
    measured,
)

import_torchvision()
from torchvision.ops import box_iou  # noqa: E402  after the workaround

COLUMNS = ["patient", "slice", *SIDES, "lesion", "score"]


def boxes(*lines, score=0.9) -> pd.DataFrame:
    """Lines of patient, slice, x0, y0, x1, y1 and, where told, lesion and score."""
    full = [(*line, *(0, score)[len(line) - 6 :]) for line in lines]
    return pd.DataFrame(full, columns=COLUMNS).astype({c: int for c in ("patient", "slice", "lesion")})


def drawn(seed: int, n: int = 30) -> pd.DataFrame:
    """Boxes at random: 3 patients, 5 slices."""
    rng = np.random.default_rng(seed)
    corner, side = rng.uniform(0, 40, (n, 2)), rng.uniform(3, 25, (n, 2))
    table = pd.DataFrame(np.hstack([corner, corner + side]), columns=SIDES)
    return table.assign(patient=rng.integers(3, size=n), slice=rng.integers(5, size=n), score=rng.random(n))


def shares(told: pd.DataFrame) -> np.ndarray:
    return told["value"].unstack("measure")[["F1", "recall", "precision"]].to_numpy()


# ---- boxes


def test_the_iou_of_boxes_is_that_of_torchvision():
    a, b = (drawn(seed)[SIDES].to_numpy() for seed in (0, 1))
    common = intersections(a, b)
    ours = common / (areas(a)[:, None] + areas(b) - common)
    assert ours == pytest.approx(box_iou(torch.tensor(a), torch.tensor(b)).numpy())


@pytest.mark.parametrize("seed", range(3))
def test_plain_suppression_keeps_the_best_of_every_heap(seed):
    table = drawn(seed, 60)
    box, score = torch.tensor(table[SIDES].to_numpy()), torch.tensor(table["score"].to_numpy())
    kept = plain_nms(box, score, 0.3)
    assert (score[kept].diff() <= 0).all()
    iou = box_iou(box, box[kept])
    for i in range(len(box)):
        above = iou[i] > 0.3
        if i in kept:
            assert above.sum() == 1  # itself
        else:
            assert (score[kept][above] >= score[i]).any()


def test_suppression_is_that_of_torchvision_where_its_operators_load():
    table = drawn(0, 60)
    box, score = torch.tensor(table[SIDES].to_numpy()), torch.tensor(table["score"].to_numpy())
    try:
        expected = torch.ops.torchvision.nms(box, score, 0.3)
    except (AttributeError, RuntimeError):
        pytest.skip("torchvision's compiled operators do not load beside this torch")
    assert torch.equal(plain_nms(box, score, 0.3), expected)


def test_a_box_is_left_out_where_less_than_half_of_it_is_liver():
    liver = np.zeros((2, 10, 10), dtype=bool)
    liver[1, :, :5] = True
    box = np.array(
        [[0, 0, 4, 4], [3, 0, 7, 4], [4, 0, 8, 4], [0, 0, 4, 4], [-3, -3, 20, 20], [2, 2, 2, 2]], dtype=float
    )
    share = liver_share(np.array(box, dtype=float), np.array([1, 1, 1, 0, 1, 1]), liver)
    assert share.tolist() == [1, 0.5, 0.25, 0, 0.5, 1]
    assert in_liver(pd.DataFrame({"liver": share})).index.tolist() == [0, 1, 4, 5]


# ---- lesions


def test_boxes_of_neighbouring_slices_that_overlap_are_a_lesion():
    """By hand: two lesions side by side; a gap of a slice ends one; no overlap begins another; patients are apart."""
    table = boxes(
        (1, 3, 0, 0, 4, 4), (1, 4, 1, 1, 5, 5), (1, 4, 20, 20, 24, 24), (1, 5, 1, 1, 5, 5), (1, 7, 1, 1, 5, 5),
        (1, 5, 24, 24, 28, 28), (2, 6, 1, 1, 5, 5),
    )  # fmt: skip
    assert joined(table)["lesion"].tolist() == [0, 0, 1, 0, 3, 2, 0]


def test_a_box_goes_on_with_one_lesion_only():
    """Two boxes overlap one of the slice before: the one that fits better goes on, the other is new."""
    table = boxes((1, 0, 0, 0, 10, 10), (1, 1, 5, 0, 15, 10), (1, 1, 1, 0, 11, 10))
    assert joined(table)["lesion"].tolist() == [0, 1, 0]


def test_boxes_without_area_overlap_nothing():
    assert joined(boxes((1, 0, 3, 3, 3, 3), (1, 1, 3, 3, 3, 3)))["lesion"].tolist() == [0, 1]


def test_joining_has_at_most_one_box_in_a_slice_and_no_gap():
    table = joined(drawn(5, 60))
    for _, lesion in table.groupby(["patient", "lesion"]):
        at = np.sort(lesion["slice"])
        assert (np.diff(at) == 1).all()


def test_the_iou_of_lesions_is_over_all_their_slices():
    """By hand: 2 of 3 slices found exactly, 32 of 48; a second true lesion is nowhere found."""
    true = boxes((1, 1, 0, 0, 4, 4), (1, 2, 0, 0, 4, 4), (1, 3, 0, 0, 4, 4), (1, 2, 8, 8, 9, 9, 1))
    found = boxes((1, 1, 0, 0, 4, 4), (1, 2, 0, 0, 4, 4))
    assert lesion_iou(found, true) == pytest.approx(np.array([[2 / 3, 0]]))
    apart = found.assign(slice=found["slice"] + 3)
    assert lesion_iou(apart, true).tolist() == [[0, 0]]


# ---- matching


def test_the_higher_score_takes_first_and_each_only_one():
    iou = np.array([[0.6, 0.2], [0.7, 0.5], [0.6, 0.0]])
    assert matched(iou, np.array([0.9, 0.8, 0.95]), 0.1).tolist() == [1, -1, 0]
    assert matched(iou, np.array([0.9, 0.8, 0.95]), 0.3).tolist() == [-1, 1, 0]
    assert matched(np.zeros((2, 0)), np.array([0.9, 0.8]), 0.1).tolist() == [-1, -1]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 7), st.sampled_from([0.1, 0.3, 0.5]))
def test_no_matching_is_larger_than_the_largest_nor_less_than_half_of_it(seed, n, m, threshold):
    rng = np.random.default_rng(seed)
    iou = rng.random((n, m)) * rng.integers(2, size=(n, m))
    took = matched(iou, rng.random(n), threshold)
    right = took >= 0
    assert len(set(took[right])) == right.sum()
    assert (iou[right, took[right]] >= threshold).all()
    most = (maximum_bipartite_matching(csr_array(iou >= threshold), perm_type="column") >= 0).sum()
    assert most / 2 <= right.sum() <= most


def test_one_to_one_and_the_count_of_the_public_code_differ_as_by_hand():
    """A found box over two true ones, and two found over another: one to one 2 of 3 and 3, else 3 of 3 and 3."""
    true = each_box(boxes((1, 0, 0, 0, 4, 8), (1, 0, 4, 0, 8, 8), (1, 1, 0, 0, 8, 8)))
    found = each_box(boxes((1, 0, 0, 0, 8, 8), (1, 1, 0, 0, 8, 7), (1, 1, 0, 1, 8, 8)))
    told = measured(found, true, [1, 2], [0.3], n_boot=5)["value"]
    assert told[0.3, "one to one"].to_dict() == pytest.approx({"F1": 2 / 3, "recall": 2 / 3, "precision": 2 / 3})
    assert told[0.3, "not one to one"].to_dict() == {"F1": 1, "recall": 1, "precision": 1}
    said, real = assess(found, true, 0.6)
    assert said["right"].tolist() == [False, True, False]
    assert real["covered"].tolist() == [False, False, True]


def test_what_is_found_is_not_lost_when_less_overlap_is_asked_for():
    found, true = joined(drawn(1, 60)), joined(drawn(2, 60).drop(columns="score"))
    recalls = measured(found, true, range(3), (0.05, 0.1, 0.3), n_boot=5)["value"].unstack()["recall"].unstack()
    assert (np.diff(recalls.to_numpy(), axis=0) <= 0).all()
    assert (recalls["not one to one"] >= recalls["one to one"]).all()


@pytest.mark.parametrize("way", ["order", "mirror", "turn", "unit"])
def test_neither_order_nor_a_mirror_nor_the_unit_changes_a_measure(way):
    def changed(table: pd.DataFrame) -> pd.DataFrame:
        if way == "order":
            return table.sample(frac=1, random_state=0)
        if way == "mirror":
            return table.assign(x0=100 - table["x1"], x1=100 - table["x0"])
        if way == "turn":  # the table is read from the feet
            return table.assign(slice=4 - table["slice"])
        return table.assign(**{side: 2 * table[side] for side in SIDES})

    pair = drawn(1, 40), drawn(2, 40).drop(columns="score")
    before, after = (
        measured(joined(f), joined(t), range(3), n_boot=5) for f, t in (pair, [changed(table) for table in pair])
    )
    assert shares(after) == pytest.approx(shares(before))


# ---- measures


@pytest.fixture
def case():
    """Patient 1: a lesion of 20 mm found and one of 8 missed; 2 is healthy with two false ones; 3 healthy, none."""
    true = boxes((1, 0, 0, 0, 20, 10), (1, 5, 50, 50, 58, 58, 1))
    found = boxes((1, 0, 0, 0, 20, 9), (2, 0, 0, 0, 5, 5, 0, 0.3), (2, 3, 0, 0, 12, 5, 1, 0.6))
    return found, true


def test_false_positives_are_counted_where_the_liver_is_healthy_and_where_it_is_not(case):
    told = false_positives(*case, [1, 2, 3], n_boot=50)
    assert told.loc["healthy", ["value", "patients"]].tolist() == [1, 2]
    assert told.loc["all", ["value", "patients"]].tolist() == pytest.approx([2 / 3, 3])
    assert told.index.tolist() == ["all", "healthy"]  # of one patient with lesions there is no interval
    more = false_positives(*case, [1, 2, 3, 4], n_boot=50)
    assert more.loc["healthy", ["value", "low", "high"]].tolist() == pytest.approx([2 / 3, 0, 2])


def test_a_right_answer_has_the_size_of_the_true_lesion_a_false_one_its_own(case):
    told = by_size(*case, 0.1).drop(columns="F1")
    assert told.index.get_level_values("below mm").tolist() == [10, 20, 30, 50, 1000]
    assert told.loc[(0, 10)].tolist() == [1, 1, 0, 0]
    assert told.loc[(10, 20)].tolist() == [1, 0, 0, 0]
    assert told.loc[(20, 30)].tolist() == [1, 1, 1, 1]


def test_a_lesion_is_as_large_as_was_drawn_where_that_is_known(case):
    found, true = case
    told = by_size(found, true.assign(diameter=[12.0, 5.0]), 0.1)
    assert told["true"].tolist() == [1, 1, 0, 0, 0]
    assert told.loc[(10, 20), "recall"] == 1


def test_froc_trades_false_positives_for_recall(case):
    found, true = case
    told = froc(found.drop(columns="lesion"), true, [1, 2, 3, 4], confidences=(0.1, 0.5, 0.7, 0.95))
    assert told.to_numpy() == pytest.approx(np.array([[0.5, 0.5], [0.25, 0.5], [0, 0.5], [0, 0]]))


def test_nothing_found_is_a_recall_of_0(case):
    found, true = case
    assert (shares(measured(joined(found[:0]), true, [1, 2], n_boot=5)) == 0).all()
    assert froc(found[:0], true, [1, 2]).to_numpy().max() == 0


def test_patients_are_named_once_and_all(case):
    with pytest.raises(InputError, match=r"2 patients: name each once, also patient 2"):
        measured(*case, [1, 3])
    with pytest.raises(InputError, match=r"3 patients: name each once"):
        measured(*case, [1, 2, 2])
