"""Key slices: chance for those who tie, brute force for the rest, and the paper's printed figures."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from livervlm.base.errors import InputError
from livervlm.base.paths import data_file
from livervlm.evaluation.retrieval import (
    MEASURES,
    PositionPrior,
    by_patient,
    chance_in_top,
    largest_organ_slice,
    measure,
    measure_all,
    middle_slice,
    presence,
    printed,
    youden_threshold,
)
from livervlm.phantom.findings import ORGANS

AREA = np.array([0, 0, 2, 5, 8, 4, 1, 0, 0, 0.0])  # accepted: slices 3, 4, 5


@st.composite
def a_series(draw, most=6):
    """(scores with ties, marked, area) of a short series."""
    n = draw(st.integers(1, most))
    scores = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=float)
    area = np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), dtype=float)
    marked = draw(st.integers(0, n - 1))
    area[marked] = 5
    return scores, marked, area


# ---- the slice of a sentence


def test_known_values():
    scores = np.array([0, 1, 2, 9, 7, 3, 4, 5, 6, 8.0])  # best first: 3, 9, 4, 8, 7
    near = measure(scores, 4, AREA, 5.0)
    assert tuple(near) == ("Acc@1", "Acc@5", "overlap@1", "overlap@5", "accepted", "MRR", "MAE slices", "MAE mm")
    assert list(near.values()) == [0, 1, 1, 1, 1, 1 / 3, 1, 5]
    far = measure(-np.arange(10.0), 4, AREA, 2.5)  # best first: 0, 1, 2, 3, 4
    assert list(far.values()) == [0, 1, 0, 1, 0, 1 / 5, 4, 10]


def test_constant_scores_get_chance():
    got = measure(np.zeros(10), 4, AREA, 2.0)
    miss = np.prod([(5 - i) / (10 - i) for i in range(5)])  # five of ten slices show it
    harmonic = sum(1 / r for r in range(1, 11)) / 10
    error = np.mean(np.abs(np.arange(10) - 4))
    assert list(got.values()) == pytest.approx([0.1, 0.5, 0.5, 1 - miss, 0.3, harmonic, error, 2 * error])


@given(a_series())
def test_ties_are_the_mean_over_all_orders(case):
    scores, marked, area = case
    orders = [o for o in itertools.permutations(range(len(scores))) if (np.diff(scores[list(o)]) <= 0).all()]
    values = []
    for order in orders:
        shown = [area[s] > 0 for s in order]
        values.append(
            [
                order[0] == marked,
                marked in order[:5],
                shown[0],
                any(shown[:5]),
                area[order[0]] >= area.max() / 2,
                1 / (1 + order.index(marked)),
                abs(order[0] - marked),
                3 * abs(order[0] - marked),
            ]
        )
    got = measure(scores, marked, area, 3.0)
    assert tuple(got) == MEASURES
    assert list(got.values()) == pytest.approx(np.mean(values, axis=0))


@given(a_series(12), st.integers(1, 12))
def test_only_the_order_of_scores_counts_and_more_slices_never_hurt(case, k):
    scores, marked, area = case
    assert measure(np.exp(2 * scores) - 7, marked, area, 1.0) == measure(scores, marked, area, 1.0)
    assert chance_in_top(scores, area > 0, k) <= chance_in_top(scores, area > 0, k + 1) + 1e-12
    one = measure(scores, marked, area, 1.0)
    assert one["Acc@1"] <= one["accepted"] <= one["overlap@1"]
    assert one["Acc@1"] <= one["MRR"]


@given(a_series(12), st.randoms())
def test_the_place_of_a_slice_counts_for_nothing_but_the_distance(case, random):
    scores, marked, area = case
    turn = np.array(random.sample(range(len(scores)), len(scores)))
    moved = measure(scores[turn], int(np.flatnonzero(turn == marked)[0]), area[turn], 1.0)
    here = measure(scores, marked, area, 1.0)
    assert {name: moved[name] for name in MEASURES[:6]} == pytest.approx({name: here[name] for name in MEASURES[:6]})
    flipped = measure(scores[::-1], len(scores) - 1 - marked, area[::-1], 1.0)
    assert flipped == pytest.approx(here)  # head first or feet first


def test_means_and_intervals_are_by_patient():
    scores = [np.eye(10)[s] for s in (4, 4, 4, 0)] * 3
    lines = measure_all(scores, [4] * 12, [AREA] * 12, [5.0] * 12)
    patient = np.repeat(["a", "b", "c"], 4)
    table = by_patient(lines, patient, n_boot=50)
    assert list(table.index) == list(MEASURES)
    assert table.loc["Acc@1"].tolist() == [0.75, 0.75, 0.75, 3]  # all patients alike: none moves the mean
    assert table.loc["MAE mm", "value"] == pytest.approx(5.0)
    unlike = by_patient(lines, np.tile(["a", "b", "c", "d"], 3), n_boot=200)
    assert unlike.loc["Acc@1", "low"] < 0.75 < unlike.loc["Acc@1", "high"]
    assert unlike.loc["Acc@1", "value"] == 0.75


# ---- baselines


@pytest.mark.parametrize(("n", "best"), [(1, [0]), (5, [2]), (6, [2, 3])])
def test_middle_slice(n, best):
    scores = middle_slice(n)
    assert np.flatnonzero(scores == scores.max()).tolist() == best


def test_largest_organ_slice():
    assert measure(largest_organ_slice(AREA), 4, AREA, 1.0)["Acc@1"] == 1


def test_position_prior_counts_marks_of_each_organ():
    prior = PositionPrior(np.array([0.1, 0.11, 0.6, 1.0]), ["lung", "lung", "lung", "liver"], bins=10)
    slices = (np.arange(10) + 0.5) / 10
    assert prior.scores("lung", slices) == pytest.approx([0, 2 / 3, 0, 0, 0, 0, 1 / 3, 0, 0, 0])
    assert prior.scores("liver", slices).argmax() == 9
    assert prior.scores("spleen", slices) == pytest.approx([0, 0.5, 0, 0, 0, 0, 0.25, 0, 0, 0.25])  # of all


# ---- organs


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=25))
def test_youden_by_trying_every_threshold(pairs):
    there, score = np.array([t for t, _ in pairs]), np.array([s for _, s in pairs]) / 7
    if there.all() or not there.any():
        with pytest.raises(InputError, match="with and without"):
            youden_threshold(there, score)
        return
    gain = {t: np.mean(score[there] >= t) - np.mean(score[~there] >= t) for t in [*score, np.inf]}
    best = max(gain.values())
    assert youden_threshold(there, score) == max(t for t, g in gain.items() if g > best - 1e-9)


def test_youden_takes_the_highest_of_equals_though_rounding_parts_them():
    there = np.array([1, 0, 1, 1, 0, 0], dtype=bool)  # from 6 on and from 3 on: 2/3 - 1/3 and 1 - 2/3
    assert youden_threshold(there, np.array([3, 5, 6, 6, 6, 1])) == 6


def organ_slices(seed, n=60):
    rng = np.random.default_rng(seed)
    there = rng.random((n, 3)) < [0.3, 0.6, 0.0]
    return there, np.round(there + rng.normal(0, 0.8, there.shape), 1)  # with ties


def test_presence_is_scikit_learns_at_the_threshold_of_training():
    train, test = organ_slices(0), organ_slices(1)
    test = test[0], test[1] + 0.5  # another threshold would be best here
    patient = np.repeat(np.arange(6), 10)
    table = presence(train, test, patient, ["liver", "lung", "thyroid gland"])
    for o, organ in enumerate(("liver", "lung")):
        threshold = youden_threshold(train[0][:, o], train[1][:, o])
        assert threshold != youden_threshold(test[0][:, o], test[1][:, o])
        said = test[1][:, o] >= threshold
        for name, share in (("accuracy", accuracy_score), ("F1", f1_score)):
            line = table.loc[organ, name]
            assert line[["value", "patients", "threshold"]].tolist() == pytest.approx(
                [share(test[0][:, o], said), 6, threshold]
            )
            assert line.low < line["value"] < line.high
    gone = presence(train, (test[0] & [False, True, True], test[1]), patient, ["liver", "lung", "thyroid gland"])
    assert gone.loc["liver"].drop(columns="patients").isna().all(axis=None)  # in no test slice
    assert gone.loc["lung"].equals(table.loc["lung"])
    assert table.loc["thyroid gland", ["value", "low", "high", "threshold"]].isna().all(axis=None)


def test_presence_takes_slices_of_a_patient_together():
    train, test = organ_slices(0), organ_slices(1)
    twice = tuple(np.concatenate([a, a]) for a in test)
    patient = np.arange(60) // 4
    once = presence(train, test, patient, ["a", "b", "c"])
    assert once.equals(presence(train, twice, np.concatenate([patient, patient]), ["a", "b", "c"]))


# ---- the paper's tables


def test_the_papers_percentages_are_counts_of_87():
    lines = pd.read_csv(data_file("key_slice_selection.csv"), keep_default_na=False)
    percent = lines[lines.table != "organ presence"].value.to_numpy()
    assert len(percent) == 6 + 15

    def fits(n):
        return (np.abs(np.rint(percent * n / 100) / n * 100 - percent) <= 0.005 + 1e-9).all()

    assert [n for n in range(1, 261) if fits(n)] == [87, 174]


def test_the_papers_tables_are_whole():
    lines = pd.read_csv(data_file("key_slice_selection.csv"), keep_default_na=False)
    assert list(lines) == ["table", "organ", "method", "metric", "value", "source"]
    assert not lines.duplicated(["table", "organ", "method", "metric"]).any()
    assert set(lines.source) == {"Table 1", "Table 3 by order", "Appendix B", "Appendix D"}

    accepted, found, organs = map(printed, ("acceptance rate", "slice retrieval", "organ presence"))
    gain = [accepted.accepted[f"{m}(FT)"] - accepted.accepted[m] for m in ("CLIP", "PubMedCLIP", "BiomedCLIP")]
    assert gain == pytest.approx([16.09, 12.64, 5.75])  # the third column of Table 1
    assert (found["Acc@5"] > found["Acc@1"]).sum() == 7
    assert found["Acc@5"].isna().sum() == 1  # the second radiologist marks one slice
    assert (accepted.accepted >= found["Acc@1"].reindex(accepted.index)).all()  # a reader accepts the marked slice
    assert sorted(organs.index) == sorted(ORGANS)
    assert organs.shape == (15, 12)
    assert ((organs > 0) & (organs < 1)).all(axis=None)
    means = {("CLIP", "word"): 7.708, ("CLIP", "sentence"): 7.807, ("BiomedCLIP(FT)", "sentence"): 12.816}
    assert organs[list(means)].sum().to_dict() == pytest.approx(means)  # sums of columns, a guard against a slip


# ---- bad input


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: measure_all([], [], [], []),
        lambda: measure_all([AREA], [4, 4], [AREA], [1.0]),
        lambda: measure(np.zeros(0), 0, np.zeros(0), 1.0),
        lambda: measure(np.zeros(9), 4, AREA, 1.0),
        lambda: measure(np.full(10, np.nan), 4, AREA, 1.0),
        lambda: measure(np.zeros(10), 0, AREA, 1.0),  # marks a slice that does not show it
        lambda: measure(np.zeros(10), 10, AREA, 1.0),
        lambda: measure(np.zeros(10), 4, AREA, 0.0),
        lambda: chance_in_top(np.zeros(10), np.zeros(10, dtype=bool), 1),
        lambda: chance_in_top(np.zeros(10), AREA > 0, 0),
        lambda: PositionPrior(np.zeros(0), []),
        lambda: PositionPrior(np.array([1.5]), ["liver"]),
        lambda: PositionPrior(np.array([0.5]), ["liver"]).scores("liver", np.array([np.nan])),
        lambda: presence(organ_slices(0), organ_slices(1), np.zeros(59), ["a", "b", "c"]),
        lambda: presence(organ_slices(0), organ_slices(1), np.zeros(60), ["a", "b"]),
        lambda: printed("table 9"),
    ],
)
def test_bad_input_is_one_line(wrong):
    with pytest.raises(InputError) as error:
        wrong()
    assert "\n" not in str(error.value)
