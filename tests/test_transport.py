"""Does a gain survive in the next hospital, and do five folds predict it: on records and tables of known answers."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import CLASSES, cells_that_wait
from scipy import stats

from livervlm.analyses import transport
from livervlm.analyses.transport import (
    FEW,
    Transport,
    ceiling,
    correlations,
    coverage,
    five_fold_intervals,
    predictors,
    survival,
    winners,
)
from livervlm.base.errors import InputError
from livervlm.evaluation.comparisons import cluster_bootstrap
from livervlm.evaluation.outcome import Outcome
from livervlm.runs.cells import cells
from livervlm.runs.records import write_record
from livervlm.runs.results import Runs
from livervlm.runs.rows import all_rows, declared

COHORTS, PATIENTS = 8, 20


def effects(**columns) -> pd.DataFrame:
    """A table of effects from (contrasts, cohorts) arrays."""
    shape = np.shape(next(iter(columns.values())))
    index = pd.MultiIndex.from_product([[f"c{i}" for i in range(shape[0])], range(shape[1])])
    return pd.DataFrame(
        {name: np.ravel(values) for name, values in columns.items()}, index.set_names(["contrast", "cohort"])
    )


def around(mean: float, sd: float, n: int = 30) -> np.ndarray:
    """n numbers of just this mean and sd."""
    at = stats.norm.ppf((np.arange(n) + 0.5) / n)
    return mean + sd * at / at.std(ddof=1)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(transport, "N_BOOT", 200)


@pytest.fixture
def few_cohorts(monkeypatch):
    monkeypatch.setitem(declared()["plan"]["cohorts"], "hospitals", COHORTS)


def answers(share: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class, probabilities and patient of two slices of each of `PATIENTS`, of which about this share is right."""
    rng = np.random.default_rng(seed)
    y_true = np.repeat(np.arange(PATIENTS) % 4, 2)
    said = np.where(rng.permutation(2 * PATIENTS) < round(share * 2 * PATIENTS), y_true, (y_true + 1) % 4)
    prob = rng.uniform(0, 0.2, (2 * PATIENTS, 4))
    prob[np.arange(2 * PATIENTS), said] += 1
    return y_true, prob / prob.sum(axis=1, keepdims=True), np.repeat(np.arange(PATIENTS), 2)


@pytest.fixture
def study(tmp_path, quick, few_cohorts, provenance):
    """Write records in which row i is right in 40 + 3 i + cohort % inside, about two less in five folds."""
    within, across = (Runs(protocol, tmp_path, quick, PATIENTS) for protocol in ("inside", "population"))
    made = Transport(within, across)

    def write(cohorts=COHORTS, outside=lambda i, cohort: 50.0, rows=None):
        for i, name in enumerate(rows or made.rows):
            for cell in cells([all_rows()[name]], "inside", cohorts, quick, PATIENTS):
                y_true, prob, patient = answers(0.38 + 0.03 * i + 0.01 * cell.cohort, 100 * cell.cohort + i)
                mine = patient % 5 == cell.fold - 1
                slices = {"patient": patient[mine], "y_true": y_true[mine], "prob": prob[mine].astype(np.float32)}
                record = {"row": {"name": name}, "cohort": cell.cohort, "fold": cell.fold, "slices": slices}
                write_record(cell.path(tmp_path), {**provenance, **record, "data": {"classes": CLASSES}})
            for cell in cells([all_rows()[name]], "population", cohorts, quick, PATIENTS):
                tests = {}
                of = {
                    "own hospital": 40 + 3 * i + cell.cohort,
                    "standard": outside(i, cell.cohort),
                    "next hospital": 60,
                }
                for pool, percent in of.items():
                    correct = np.full(PATIENTS, percent)  # of a hundred slices each
                    tests[pool] = {"slices": np.full(PATIENTS, 100), "correct": correct}
                    tests[pool]["AUC by class"] = {"HCC": 0.5 + percent / 1000}
                record = {"row": {"name": name}, "cohort": cell.cohort, "fold": None, "tests": tests}
                write_record(cell.path(tmp_path), {**provenance, **record, "data": {"classes": CLASSES}})
        return made

    return write


# -- From records ------------------------------------------------------------------------------------------------------


def test_the_contrasts_are_those_of_the_plan_between_rows_of_the_narrow_network():
    claims = {one["name"]: (one["better"], one["worse"]) for one in declared()["contrasts"]["claims"]}
    for name, sides in Transport().contrasts.items():
        assert claims[name.removeprefix("narrow: ")] == tuple(side.removeprefix("narrow: ") for side in sides)
    assert len(Transport().contrasts) == len(Transport().rows) == 8
    assert {all_rows()[row].method.config["encoder"] for row in Transport().rows} == {"resnet10_narrow"}


def test_the_four_differences_of_a_contrast(study):
    made = study()
    table = made.effects()
    assert table.index.names == ["contrast", "cohort"]
    assert len(table) == 8 * COHORTS
    for name, (better, worse) in made.contrasts.items():
        apart = made.rows.index(better) - made.rows.index(worse)
        mine = table.loc[name]
        assert mine["inside"].tolist() == pytest.approx([3.0 * apart] * COHORTS)
        assert mine["outside"].tolist() == mine["next"].tolist() == [0.0] * COHORTS
        assert np.sign(mine["folds"].mean()) == np.sign(apart)
        assert made.cancer().loc[name, "inside"].tolist() == pytest.approx([0.003 * apart] * COHORTS)


def test_nothing_is_looked_at_before_all_cohorts_are_there(study):
    made = study(COHORTS - 1)
    with pytest.raises(InputError, match=f"folds: {COHORTS - 1} of {COHORTS} cohorts are there; run the others"):
        made.effects()
    row = made.rows[0]
    assert not made.within.complete(row)
    assert made.within.summary([row]).loc[row, "ours"] == "-"
    pair = made.within.compare({"": made.contrasts[next(iter(made.contrasts))]})
    assert pair.drop(columns="n").isna().all(axis=None)
    whole = study()
    assert whole.within.complete(row)
    assert "±" in whole.within.summary([row]).loc[row, "ours"]


def test_the_best_row_by_five_folds_is_looked_up_among_the_truths(study):
    """Inside, the last row is best, as by five folds; outside, the first is, and the last is 7 points behind it."""
    made = study(outside=lambda i, cohort: 50 - i)
    table = winners(made)
    won = made.within.accuracy(*made.rows).to_numpy().argmax(axis=1)
    assert table.loc["inside", "value"] == pytest.approx(np.mean(won == 7))
    assert table.loc["outside", "value"] == pytest.approx(np.mean(won == 0))
    assert table.loc["outside", "price"] == pytest.approx(won.mean())
    assert table.loc["outside", "price at random"] == pytest.approx(3.5)
    assert (table.loc["inside", "word"], table.loc["outside", "word"]) == ("choose", "do not choose")


def test_coverage_counts_the_intervals_that_hold_the_truth(study):
    made = study()
    table = made.effects()
    found, folds, cancer = coverage(made, table), made.folds(), made.cancer()
    assert set(found.index) == {(k, t) for k in five_fold_intervals(*[folds[made.rows[0]][0]] * 2) for t in TRUTHS}
    for kind, truth in found.index:
        held = []
        for name, sides in made.contrasts.items():
            for cohort in range(COHORTS):
                low, high = five_fold_intervals(*(folds[side][cohort] for side in sides), seed=cohort)[kind]
                true = (cancer if kind == "DeLong" else table).loc[(name, cohort), truth]
                held.append(low <= true <= high)
        assert found.loc[(kind, truth), "value"] == pytest.approx(np.mean(held))
    words = np.where(found["high"] < 0.95, "too narrow", "honest")
    assert found["word"].tolist() == words.tolist()


TRUTHS = ("inside", "outside")


def test_what_predicts_is_measured_on_the_cohorts_that_have_all(study, tmp_path, quick, monkeypatch):
    """Inside, a held-out hospital says 0, as zero does; the other two say what five folds say, on half the cohorts."""
    made = study()
    table = made.effects()
    five = made.within.accuracy(*FEW).loc[: COHORTS // 2]
    of = {"ten": five + 1, "again": five.sub([0, 0, 4, 0])}  # the same differences; model 2 four points lower
    ten, again = (type("Told", (), {"accuracy": lambda self, *rows, how=how: of[how][[*rows]]})() for how in of)
    found = predictors(made, table, ten, again)
    few = [name for name, sides in made.contrasts.items() if {*sides} <= {*FEW}]
    assert len(few) == 4
    mine = table.loc[few].query(f"cohort <= {COHORTS // 2}")
    for truth in TRUTHS:
        assert found.loc["zero", truth] == pytest.approx(np.sqrt((mine[truth] ** 2).mean()))
        assert found.loc["five folds", truth] == pytest.approx(np.sqrt(((mine["folds"] - mine[truth]) ** 2).mean()))
        assert found.loc["ten folds", truth] == pytest.approx(found.loc["five folds", truth])
        assert found.loc["one other hospital", truth] == pytest.approx(found.loc["zero", truth])
        assert (found[f"{truth} low"] <= found[truth] + 1e-9).all()
        assert (found[truth] <= found[f"{truth} high"] + 1e-9).all()
    moved = mine["folds"] - 2 * np.array(
        [any(side == "narrow: model 2" for side in made.contrasts[n]) for n, _ in mine.index]
    )
    assert found.loc["two times five folds", "inside"] == pytest.approx(np.sqrt(((moved - mine["inside"]) ** 2).mean()))
    assert found["trainings"].to_dict() == {
        "five folds": 5, "ten folds": 10, "two times five folds": 10, "one other hospital": 1, "zero": 0
    }  # fmt: skip
    assert (found["cohorts"] == COHORTS // 2 + 1).all()


def test_two_seeds_tell_how_high_a_correlation_can_be():
    rng = np.random.default_rng(0)
    common, own = rng.standard_normal(10), rng.standard_normal((2, 10))
    gains = common + 0.5 * own

    class Told:
        def accuracy(self, *rows, pool):
            assert pool == "own hospital"
            gain = gains[int(rows[0].startswith("second seed"))]
            return pd.DataFrame({rows[0]: 60 + gain, rows[1]: np.full(10, 60.0)})

    found = ceiling(Transport(across=Told()))
    assert found["reliability"] == pytest.approx(np.corrcoef(gains)[0, 1])
    assert found["highest"] == pytest.approx(np.sqrt(found["reliability"]))
    assert found["cohorts"] == 10


# -- From tables -------------------------------------------------------------------------------------------------------


def test_what_is_lost_outside_gets_its_word():
    rng = np.random.default_rng(0)
    mixed = [rng.permutation(30) for _ in range(5)]
    inside = np.stack([around(5, 1), around(-5, 1), around(5, 1), around(2, 1), around(2, 8)])
    lost = np.stack(
        [around(m, s)[p] for (m, s), p in zip([(5, 2), (-5, 2), (-5, 2), (0, 1), (2, 8)], mixed, strict=True)]
    )
    table = survival(effects(inside=inside, outside=inside - lost), margin=2)
    assert table["word"].tolist() == ["lost outside", "lost outside", "gained outside", "the same", "undecided"]
    assert table["lost"].tolist() == pytest.approx([5, -5, -5, 0, 2])
    first = stats.ttest_1samp(lost[0], 0).confidence_interval(0.95)
    assert (table.loc["c0", "lost low"], table.loc["c0", "lost high"]) == pytest.approx((first.low, first.high))
    assert table.loc["c0", "bootstrap low"] == pytest.approx(first.low, abs=0.3)
    assert table.loc["c0", "inside"] == pytest.approx(5)
    assert (table["p, Holm"] >= [stats.ttest_1samp(one, 0).pvalue for one in lost]).all()


@pytest.mark.parametrize(("r", "word"), [(0.9, "predict"), (0.0, "do not predict"), (0.5, "undecided")])
def test_a_correlation_is_judged_by_its_interval(r, word):
    rng = np.random.default_rng(3)
    folds, other = rng.standard_normal((2, 8, 30))
    truth = r * folds + np.sqrt(1 - r**2) * other
    found = correlations(effects(folds=folds, inside=truth, outside=other))
    each = [np.corrcoef(f, t)[0, 1] for f, t in zip(folds, truth, strict=True)]
    assert found.loc["inside", "value"] == pytest.approx(np.tanh(np.mean(np.arctanh(each))))
    assert found.loc["inside", "low"] < found.loc["inside", "value"] < found.loc["inside", "high"]
    assert found.loc["inside", "word"] == word
    assert found.loc["outside", "word"] == "do not predict"


def test_contrasts_far_apart_do_not_make_a_correlation():
    """Within each contrast nothing goes together, though large effects are large in both."""
    rng = np.random.default_rng(1)
    middle = np.linspace(-20, 20, 8)[:, None]
    folds, inside, outside = middle + rng.standard_normal((3, 8, 30))
    assert abs(correlations(effects(folds=folds, inside=inside, outside=outside)).loc["inside", "value"]) < 0.25


def test_cohorts_are_drawn_whole():
    """Eight copies of one contrast tell no more than one of them."""
    rng = np.random.default_rng(2)
    folds, truth = rng.standard_normal((2, 1, 30))
    one = correlations(effects(folds=folds, inside=truth, outside=truth))
    eight = correlations(
        effects(**{k: np.repeat(v, 8, axis=0) for k, v in {"folds": folds, "inside": truth, "outside": truth}.items()})
    )
    assert np.allclose(one[["value", "low", "high"]], eight[["value", "low", "high"]], atol=1e-9)


def test_the_intervals_of_a_laboratory():
    sides = []
    for share, seed in ((0.8, 0), (0.6, 1)):
        y_true, prob, patient = answers(share, seed)
        sides.append(Outcome(y_true, prob, patient % 5, patient, CLASSES, {}))
    found = five_fold_intervals(*sides)
    a, b = (side.by_fold for side in sides)
    assert found["t over folds"] == pytest.approx(tuple(stats.ttest_rel(a, b).confidence_interval(0.95)))
    wide = (found["Nadeau-Bengio"][1] - found["Nadeau-Bengio"][0]) / (
        found["t over folds"][1] - found["t over folds"][0]
    )
    assert wide == pytest.approx(np.sqrt((1 / 5 + 1 / 4) / (1 / 5)))
    gained = 100 * ((sides[0].y_pred == sides[0].y_true) - 1.0 * (sides[1].y_pred == sides[1].y_true))
    _, *slow = cluster_bootstrap(np.mean, sides[0].patient, gained)
    assert found["bootstrap of patients"] == pytest.approx(slow, abs=4)
    low, high = found["DeLong"]
    assert -1 < low < high < 1


def test_the_chapter_makes_its_tables_once_the_records_are_there(study):
    made = study()
    told = predictors(made, made.effects(), made.within, made.within)
    names = {"pd": pd, "declared": declared, "study": made, "effects": made.effects(), "margin": 2}
    names["transport"] = SimpleNamespace(**{**vars(transport), "predictors": lambda *_: told})  # ten folds are not here
    shown = []
    for cell in cells_that_wait("next_hospital", "if effects is None"):
        exec(cell, names)
        shown.append(names["shown"])
    words, measures, errors = shown
    assert words.index.tolist() == list(made.contrasts)
    assert set(words.columns) >= {"inside", "outside", "lost", "word"}
    kinds = {"correlation": 2, "coverage": 8, "winner": 2}  # of two truths each; four kinds of intervals
    assert {kind: sum(name.startswith(kind) for name in measures.index) for kind in kinds} == kinds
    assert "five folds" in errors.index


# -- With ordinary augmentation on both sides --------------------------------------------------------------------------


def test_each_contrast_has_one_with_augmentation_and_nothing_else_differs():
    families = [declared()["contrasts"][name] for name in ("hospitals", "hospitals, geometric")]
    for plain, augmented in zip(*families, strict=True):
        for side in ("better", "worse"):
            one, other = all_rows()[plain[side]].method, all_rows()[augmented[side]].method
            assert replace(one.recipe, geometry="affine") == other.recipe
            assert one.config == other.config
        assert augmented["name"].replace("narrow, geometric: ", "narrow: ") == plain["name"]


def test_what_augmentation_leaves_of_a_gain(tmp_path, quick, provenance, monkeypatch):
    monkeypatch.setitem(declared()["plan"]["cohorts"], "hospitals, geometric", COHORTS)
    across, wobble = Runs("population", tmp_path, quick, PATIENTS), np.resize([0, 1, 0, -1], COHORTS)
    rows = [row for one in declared()["contrasts"]["hospitals, geometric"] for row in (one["better"], one["worse"])]
    plain = [name.replace("narrow, geometric: ", "narrow: ") for name in rows]

    def write(names, gain, wobble):
        """Model 1 is better than all else by `gain`."""
        for name in dict.fromkeys(names):
            for cell in cells([all_rows()[name]], "population", COHORTS, quick, PATIENTS):
                percent = 50 + (gain + wobble[cell.cohort]) * name.endswith("model 1")
                test = {"slices": np.full(PATIENTS, 100), "correct": np.full(PATIENTS, percent)}
                record = {"row": {"name": name}, "cohort": cell.cohort, "fold": None, "tests": {"standard": test}}
                write_record(cell.path(tmp_path), {**provenance, **record, "data": {"classes": CLASSES}})

    write(plain, 10, wobble)
    with pytest.raises(InputError, match="0 of 8 cohorts are there"):
        transport.beside_augmentation(across, 2)
    write(rows, 4, np.roll(wobble, 1))
    table = transport.beside_augmentation(across, 2)
    gains, none = table.loc["narrow: phase shuffle against scratch"], table.loc["narrow: prompts against FC, augmented"]
    assert gains[["without", "with", "change", "n"]].tolist() == pytest.approx([10, 4, -6, COHORTS])
    assert (gains["verdict"], gains["word"]) == ("reproduced", "smaller with augmentation")
    assert (none["verdict"], none["word"]) == ("equivalent", "the same")
    assert table.loc["narrow: augmentation against none", "word"] == "smaller with augmentation"
