"""Counts behind printed figures: brute force, the paper's rows, and what has to fail."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livervlm.base.errors import InputError
from livervlm.base.paths import data_file
from livervlm.book import figures
from livervlm.evaluation import forensics
from livervlm.evaluation.forensics import (
    MODEL_1,
    TOLERANCE,
    chance_of_fitting,
    counts_behind,
    definitions_of_accuracy,
    examine_rows,
    folds_behind,
    implied_accuracy,
    largest_sd,
    recovered_comparisons,
    rows_table,
)
from livervlm.phantom.patients import table1
from livervlm.scans.conventions import LIVER_VLM_CLASSES

SLICES = {name: rows.slices.tolist() for name, rows in table1().groupby("class")}
TOTAL = np.sum(list(SLICES.values()), axis=0)

RECOVERED = {  # accuracy in G1 to G5, found by another program
    "CLIP zero-shot, single medical prompt": [22.11, 30.00, 17.53, 20.00, 13.04],
    "Liver-VLM, from scratch": [81.05, 89.09, 84.54, 67.37, 83.70],
    "Liver-VLM, phase-shuffle SSL init": [85.26, 90.00, 88.66, 80.00, 81.52],
    "Liver-VLM, SimSiam SSL init": [85.26, 80.00, 81.44, 70.53, 83.70],
    "Liver-VLM, Video-Swin encoder": [41.05, 53.64, 83.51, 67.37, 68.48],
    "Liver-VLM, ConvNeXt-Tiny encoder": [69.47, 73.64, 77.32, 52.63, 78.26],
    "Liver-VLM, EfficientNet-V2-S encoder": [84.21, 89.09, 83.51, 82.11, 83.70],
    "Liver-VLM from scratch, ResNet50": [89.47, 72.73, 81.44, 66.32, 78.26],
}
BY_CLASS_ONLY = {
    "Liver-VLM, ImageNet init",
    "Liver-VLM ImageNet init, ResNet50",
    "Model 2: enriched prompt + phase-shuffle augmentation",
}
FAILING = {
    "Model 0: simple CLIP-style prompt": LIVER_VLM_CLASSES,
    "ResNet18 + FC layer, phase-shuffle augmentation": LIVER_VLM_CLASSES,
    "Phase-shuffle SSL + FC layer": LIVER_VLM_CLASSES,
    "MedCLIP zero-shot": ("CYST", "HEM"),
    "Liver-VLM, misregistered ROIs": ("FNH", "HCC"),
}


def rows():
    return {row.model: row for row in examine_rows()}


def brute_force(candidates, mean, sd, sizes, tolerance):
    """The slow way: every candidate (W, F) by itself, in order, each once."""
    fits = []
    for k in {tuple(int(n) for n in way) for way in candidates}:
        share = [100 * a / n for a, n in zip(k, sizes, strict=True)]
        if abs(np.mean(share) - mean) <= tolerance and abs(np.std(share) - sd) <= tolerance:
            fits.append(k)
    return sorted(fits)


@st.composite
def folds(draw, most_folds=5, most_cases=40):
    """Sizes (F,) and counts (F,) of one class."""
    sizes = draw(st.lists(st.integers(1, most_cases), min_size=2, max_size=most_folds))
    return sizes, [draw(st.integers(0, n)) for n in sizes]


# --- The search ------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(folds(), st.booleans())
def test_the_true_counts_are_among_those_found_behind_what_is_printed(case, rounded_first):
    sizes, counts = case
    share = 100 * np.array(counts) / sizes
    share = share.round(2) if rounded_first else share
    found = counts_behind(round(share.mean(), 2), round(share.std(), 2), sizes)
    assert counts in found.tolist()


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
    monkeypatch.setattr(forensics, "_CHUNK", 100)
    assert len(whole) == 18
    assert counts_behind(57.23, 20.64, SLICES["HCC"]).tolist() == whole.tolist()


@settings(deadline=None, max_examples=20)
@given(folds(most_folds=3, most_cases=20))
@example((SLICES["HCC"], [20, 21, 22, 20, 12]))
def test_the_chance_of_fitting_counts_the_figures_around(case):
    sizes, counts = case
    share = 100 * np.array(counts) / sizes
    mean, sd = round(float(share.mean()), 2), round(float(share.std()), 2)
    around = [(round(mean + i / 100, 2), round(sd + j / 100, 2)) for i in range(-3, 4) for j in range(-3, 4)]
    fits = [len(counts_behind(m, s, sizes)) > 0 for m, s in around if 0 <= m <= 100 and s >= 0]
    assert chance_of_fitting(mean, sd, sizes, reach=0.03) == pytest.approx(np.mean(fits))


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


# --- The paper's rows ------------------------------------------------------------------------------------------


def test_eight_rows_give_away_their_folds():
    assert {row.model for row in examine_rows() if row.status == "recovered"} == RECOVERED.keys()
    for model, accuracy in RECOVERED.items():
        assert np.round(rows()[model].folds, 2).tolist() == accuracy


def test_the_other_rows_fit_by_class_only_or_not_at_all():
    by_status = {status: {r.model for r in examine_rows() if r.status == status} for status in rows_table()["status"]}
    assert by_status["fits by class only"] == BY_CLASS_ONLY
    assert {model: rows()[model].failing for model in by_status["unattainable"]} == FAILING
    assert by_status["no class figures"] == {"CLIP zero-shot, ensemble of 16 medical prompts"}
    assert set(by_status) == {"recovered", "fits by class only", "unattainable", "no class figures"}


def test_every_printed_line_is_in_one_row():
    lines = pd.read_csv(data_file("paper_tables.csv")).groupby(["table", "model"]).ngroups
    assert sum(len(row.tables) for row in examine_rows()) == lines == 26
    assert len(examine_rows()) == 17
    assert rows()[MODEL_1].tables == (3, 4, 5, 6, 7)
    assert rows()["Model 2: enriched prompt + phase-shuffle augmentation"].tables == (7, 8, 9)
    assert rows()["Liver-VLM, from scratch"].tables == (3, 9)


@pytest.mark.parametrize("model", RECOVERED)
def test_a_recovered_row_is_the_only_one_far_around(model):
    """No other fold accuracies lie ten times as far off, and the printed mean follows to the digit."""
    row = rows()[model]
    ways = [counts_behind(*row.printed[name], SLICES[name]) for name in LIVER_VLM_CLASSES]
    assert len(folds_behind(ways, *row.printed["accuracy"], TOTAL, tolerance=10 * TOLERANCE)) == 1
    assert round(np.round(row.folds, 2).mean(), 2) == row.printed["accuracy"][0]


@pytest.mark.parametrize("model", sorted(BY_CLASS_ONLY))
def test_a_row_that_fits_by_class_only_prints_an_accuracy_that_its_classes_cannot_add_up_to(model):
    row = rows()[model]
    ways = [counts_behind(*row.printed[name], SLICES[name]) for name in LIVER_VLM_CLASSES]
    means = [np.mean(100 * np.sum(choice, axis=0) / TOTAL) for choice in itertools.product(*ways)]
    (lowest, highest), (printed, _) = row.attainable, row.printed["accuracy"]
    assert (lowest, highest) == pytest.approx((min(means), max(means)))
    assert not lowest - TOLERANCE <= printed <= highest + TOLERANCE


def test_a_figure_with_one_decimal_read_as_just_that_changes_no_status():
    """73.7, 80.1 and 15.7 stand among figures with two; Model 2 alone hangs on such a figure."""
    row = rows()["Model 2: enriched prompt + phase-shuffle augmentation"]
    assert row.printed["HCC"] == (83.45, 15.7)
    ways = [counts_behind(*row.printed[c], SLICES[c], 0.0551 if c == "HCC" else TOLERANCE) for c in LIVER_VLM_CLASSES]
    assert len(ways[2]) > row.fitting["HCC"]
    assert len(folds_behind(ways, *row.printed["accuracy"], TOTAL)) == 0


def perturbed(monkeypatch, tmp_path, change):
    """`examine_rows` on the tables after `change(lines)`."""
    lines = pd.read_csv(data_file("paper_tables.csv"))
    change(lines).to_csv(tmp_path / "paper_tables.csv", index=False)
    monkeypatch.setattr(forensics, "data_file", lambda name: tmp_path / name)
    return examine_rows.__wrapped__()


@pytest.mark.parametrize(("column", "by"), [("mean", 0.05), ("std", -0.05)])
@pytest.mark.parametrize("part", ["CYST", "FNH", "HCC", "HEM", "accuracy"])
def test_one_figure_a_little_off_and_the_row_is_not_recovered(monkeypatch, tmp_path, part, column, by):
    """CYST and FNH have few counts, so they tell at once; the others fit some other counts, not together."""
    metric = "acc" if part == "accuracy" else f"acc_{part.lower()}"

    def change(lines):
        simsiam = lines[lines.model == "Liver-VLM, SimSiam SSL init"].copy()
        simsiam.loc[simsiam.metric == metric, column] += by
        return simsiam

    (row,) = perturbed(monkeypatch, tmp_path, change)
    few = part in ("CYST", "FNH")
    assert (row.status, row.failing) == (("unattainable", (part,)) if few else ("fits by class only", ()))
    assert row.folds is None


def test_folds_of_equal_size_leave_a_row_ambiguous(monkeypatch, tmp_path):
    equal = table1().assign(slices=10)
    monkeypatch.setattr(forensics, "table1", lambda: equal)
    recall = np.array([100, 90, 80, 80, 80])
    values = [(f"acc_{c.lower()}", recall.mean(), recall.std()) for c in LIVER_VLM_CLASSES]
    values += [("acc", recall.mean(), recall.std()), ("auc", 0.9, 0.1)]
    lines = pd.DataFrame([(1, "m", *v) for v in values], columns=["table", "model", "metric", "mean", "std"])
    (row,) = perturbed(monkeypatch, tmp_path, lambda _: lines)
    assert (row.status, row.folds, row.failing) == ("ambiguous", None, ())
    assert row.solutions >= 20  # the folds in any order


def test_the_table_for_a_page_says_the_same():
    table = rows_table()
    assert len(table) == len(examine_rows())
    assert table.loc[MODEL_1, ["G1", "G2", "G3", "G4", "G5"]].astype(float).round(2).tolist() == RECOVERED[MODEL_1]
    assert table.loc["MedCLIP zero-shot", "failing"] == "CYST, HEM"
    assert table["ways CYST"].isna().sum() == 1


def test_few_counts_fit_by_chance_and_many_do():
    trained = rows_table().drop(index=["CLIP zero-shot, single medical prompt", "MedCLIP zero-shot"])
    assert (trained[["by chance CYST", "by chance FNH"]].max() < 0.1).all()
    assert trained["by chance HCC"].median() > 0.8


# --- Comparisons and single figures ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "difference", "low", "high"),
    [
        ("Liver-VLM, SimSiam SSL init", 4.90, -2.1, 11.9),
        ("Liver-VLM, from scratch", 3.94, -2.9, 10.8),
        ("Liver-VLM, EfficientNet-V2-S encoder", 0.567, -3.2, 4.3),
    ],
)
def test_phase_shuffle_against_the_others(other, difference, low, high):
    line = recovered_comparisons().loc[other]
    assert line["difference"] == pytest.approx(difference, abs=0.005)
    assert (round(line["low"], 1), round(line["high"], 1)) == (low, high)
    assert line["corrected high"] - line["corrected low"] == pytest.approx(1.5 * (line["high"] - line["low"]))


def test_comparisons_leave_out_the_reference_and_refuse_one_that_is_not_recovered():
    assert [*recovered_comparisons().index] == [m for m in rows() if m in RECOVERED and m != MODEL_1]
    with pytest.raises(InputError, match="MedCLIP"):
        recovered_comparisons("MedCLIP zero-shot")


def test_only_one_meaning_of_accuracy_gives_the_printed_figures_of_clip():
    table = definitions_of_accuracy().reset_index()
    assert table["fits"].tolist() == [True, False, False, False, False, False]
    assert table.loc[0, "mean"] == pytest.approx(20.536)
    assert table.loc[:2, "sd"].round(2).tolist() == [5.61, 5.61, 6.28]
    assert table["mean"].round(2).tolist() == [20.54, 20.53, 20.53, 20.86, 25.0, 23.53]


def test_medclips_class_figures_deny_its_accuracy_and_no_auc_spreads_so_far():
    row = rows()["MedCLIP zero-shot"]
    centre, reach = row.implied
    assert round(centre, 2) == 12.95
    assert row.printed["accuracy"][0] == 26.12 > centre + reach + 10
    assert not row.class_figures_allow
    assert {r.model for r in examine_rows() if not r.auc_possible} == {"MedCLIP zero-shot"}
    assert largest_sd(0.48) == pytest.approx(0.4996, abs=1e-4)
    near_one = [replace(row, printed={"AUC": (1.0, sd)}).auc_possible for sd in (0.07, 0.09)]  # 1.00 is 0.995 or more
    assert near_one == [True, False]


def test_what_class_figures_imply_is_reached_where_recall_falls_as_the_share_of_the_class_rises():
    """By hand: shares of 1/4 and 3/4 have a mean of 1/2 and a population sd of 1/4: (80 + 60) / 2 and (10 + 20) / 4."""
    sizes = np.array([[1, 3], [3, 1]])  # two classes in two folds
    assert implied_accuracy([(80, 10), (60, 20)], sizes) == pytest.approx((70, 7.5))
    for recall, end in (([[90, 70], [40, 80]], 70 - 7.5), ([[70, 90], [80, 40]], 70 + 7.5)):  # of these figures
        assert (recall * sizes / 4).sum(axis=0).mean() == end


@given(st.integers(0, 2**32 - 1))
def test_class_figures_never_deny_an_accuracy_that_they_come_from(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 40, (4, 5))
    counts = rng.integers(0, sizes + 1)
    recall = 100 * counts / sizes
    centre, reach = implied_accuracy(list(zip(recall.mean(axis=1), recall.std(axis=1), strict=True)), sizes)
    accuracy = 100 * (counts.sum(axis=0) / sizes.sum(axis=0)).mean()
    assert abs(accuracy - centre) <= reach + 1e-9


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_no_values_spread_more_than_the_largest_sd(values):
    mean = float(np.clip(np.mean(values), 0, 1))
    assert np.std(values) <= largest_sd(mean) + 1e-7
    ends = np.round(values)
    assert np.std(ends) == pytest.approx(largest_sd(ends.mean()))


def test_largest_sd_refuses_a_mean_in_another_unit():
    with pytest.raises(InputError, match="outside 0 to 1"):
        largest_sd(48.0)


def test_figures_show_every_fold_and_both_intervals():
    folds = rows_table().query("status == 'recovered'")[["G1", "G2", "G3", "G4", "G5"]].astype(float)
    (axis,) = figures.folds_by_row(folds).axes
    means, *dots = axis.collections
    assert [segment[0, 0] for segment in means.get_segments()] == folds.mean(axis=1).tolist()
    assert [fold.get_offsets()[:, 0].tolist() for fold in dots] == folds.T.to_numpy().tolist()
    lines = recovered_comparisons()
    of_folds = {"corrected": ("corrected low", "corrected high"), "plain": ("low", "high")}
    (axis,) = figures.forest(lines, intervals=of_folds).axes
    corrected, plain, _ = axis.collections
    for drawn, ends in ((corrected, ["corrected low", "corrected high"]), (plain, ["low", "high"])):
        assert [s[:, 0].tolist() for s in drawn.get_segments()] == lines[ends].to_numpy().tolist()
