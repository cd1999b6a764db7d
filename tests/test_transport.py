"""Does a gain survive in the next hospital, and do five folds predict it: on records of known answers."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from transport_records import COHORTS, HOSPITALS, PATIENTS, TRUTHS

from livervlm.analyses import transport
from livervlm.analyses.transport import FEW, RESNET18, Transport, ceiling, coverage, predictors, survival, winners
from livervlm.base.errors import InputError
from livervlm.evaluation.comparisons import cluster_bootstrap, delong
from livervlm.runs.rows import all_rows, declared

pytest_plugins = ["transport_records"]
pytestmark = pytest.mark.usefixtures("few_resamples")


@pytest.mark.parametrize(
    ("study_", "before", "encoder"),
    [(Transport(), "narrow: ", "resnet10_narrow"), (Transport(family=RESNET18), "own hospital: ", None)],
)
def test_the_contrasts_are_those_of_the_plan_between_rows_of_one_network(study_, before, encoder):
    claims = {one["name"]: (one["better"], one["worse"]) for one in declared()["contrasts"]["claims"]}
    for name, sides in study_.contrasts.items():
        assert claims[name.removeprefix(before)] == tuple(side.removeprefix(before) for side in sides)
    assert len(study_.contrasts) == len(study_.rows) == 8
    assert {all_rows()[row].method.config.get("encoder") for row in study_.rows} == {encoder}


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


def test_the_check_with_resnet18_has_no_folds(tested, few_cohorts, monkeypatch):
    monkeypatch.setitem(declared()["plan"]["cohorts"], RESNET18, COHORTS)
    check = Transport(family=RESNET18)
    pools = {"own hospital": lambda i, cohort: 40 + 3 * i, "standard": lambda i, cohort: 40 + i}
    check = Transport(across=tested(check.rows, pools), family=RESNET18)
    table = check.effects()
    assert list(table) == ["inside", "outside"]
    assert table["inside"].to_numpy() == pytest.approx(3 * table["outside"].to_numpy())
    assert len(survival(table, check.by_hospital(), 2)) == 8


def test_the_difference_outside_is_told_hospital_by_hospital(study):
    level = np.repeat(np.arange(HOSPITALS), PATIENTS // HOSPITALS)  # the first four patients are of one hospital
    made = study(outside=lambda i, cohort: 50 + i * level)
    table = made.by_hospital()
    for name, (better, worse) in made.contrasts.items():
        apart = made.rows.index(better) - made.rows.index(worse)
        assert table.loc[name].to_numpy() == pytest.approx(np.tile(apart * np.arange(HOSPITALS), (COHORTS, 1)))
    assert table.mean(axis=1).to_numpy() == pytest.approx(made.effects()["outside"].to_numpy())


def test_nothing_is_looked_at_before_all_cohorts_are_there(study):
    made = study(COHORTS - 1)
    there = f"{COHORTS - 1} of {COHORTS} cohorts are there; run the others"
    with pytest.raises(InputError, match=f"protocol 'inside': {there}"):
        made.effects()
    with pytest.raises(InputError, match=f"protocol 'inside': {there}"):
        winners(made)
    with pytest.raises(InputError, match=f"pool 'standard': {there}"):
        made.by_hospital()
    with pytest.raises(InputError, match=f"pool 'own hospital': {there}"):
        ceiling(made)
    row = made.rows[0]
    assert not made.within.complete(row)
    assert made.within.summary([row]).loc[row, "ours"] == "-"
    pair = made.within.compare({"": made.contrasts[next(iter(made.contrasts))]})
    assert pair.drop(columns="n").isna().all(axis=None)
    whole = study()
    assert whole.within.complete(row)
    assert "±" in whole.within.summary([row]).loc[row, "ours"]


def test_where_the_runs_have_ended_for_good_those_that_were_reached_are_enough(study, monkeypatch):
    made = study()
    monkeypatch.setitem(declared()["plan"]["cohorts"], "hospitals", COHORTS + 5)
    with pytest.raises(InputError, match=f"{COHORTS} of {COHORTS + 5} cohorts"):
        made.effects()
    monkeypatch.setitem(declared()["plan"]["ended"], "hospitals", COHORTS)
    assert len(made.effects()) == 8 * COHORTS
    assert made.within.complete(*made.rows)
    monkeypatch.setattr(transport.study, "LEAST", COHORTS + 1)
    with pytest.raises(InputError, match=f"{COHORTS} of {COHORTS + 1} cohorts"):
        made.effects()


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


def test_the_share_of_winners_has_the_interval_of_so_many_cohorts(study):
    """Outside, the winner of the folds is best in every second cohort."""
    made = study()
    won = made.within.accuracy(*made.rows).to_numpy().argmax(axis=1)
    made = study(outside=lambda i, cohort: 50 + (i == (won[cohort] + cohort % 2) % 8))
    line = winners(made).loc["outside"]
    assert (line["value"], line["word"]) == (0.5, "undecided")
    wanted = stats.binom(COHORTS, 0.5).ppf([0.025, 0.975]) / COHORTS
    assert (line["low"], line["high"]) == pytest.approx(wanted, abs=0.11)


def test_coverage_counts_the_intervals_that_hold_the_truth(study):
    """The intervals are made anew here, by scipy and by the functions that have tests of their own."""
    made = study(outside=lambda i, cohort: 48 + 4 * (i % 3) * (cohort - 4))
    table, held = made.effects(), {}
    found, folds, cancer = coverage(made, table), made.folds(), made.cancer()
    for name, sides in made.contrasts.items():
        for cohort in range(COHORTS):
            one, other = (folds[side][cohort] for side in sides)
            gain = one.by_fold - other.by_fold
            half = stats.t.ppf(0.975, 4) * gain.std(ddof=1)
            gained = 100.0 * (one.y_pred == one.y_true) - 100.0 * (other.y_pred == other.y_true)
            intervals = {
                "t over folds": (gain.mean() - half / 5**0.5, gain.mean() + half / 5**0.5),
                "Nadeau-Bengio": (gain.mean() - half * 0.45**0.5, gain.mean() + half * 0.45**0.5),
                "bootstrap of patients": cluster_bootstrap(np.mean, one.patient, gained, n_boot=200)[1:],
                "DeLong": delong(one.y_true == 2, one.prob[:, 2], other.prob[:, 2]).interval(),
            }
            for kind, (low, high) in intervals.items():
                for truth in TRUTHS:
                    true = (cancer if kind == "DeLong" else table).loc[(name, cohort), truth]
                    held.setdefault((kind, truth), []).append(low <= true <= high)
    assert set(found.index) == set(held)
    for key, one in held.items():
        shaken = 0.05 if key[0] == "bootstrap of patients" else 1e-9  # its draws are others
        assert found.loc[key, "value"] == pytest.approx(np.mean(one), abs=shaken)
        assert found.loc[key, "word"] == ("too narrow" if found.loc[key, "high"] < 0.95 else "honest")
    assert found["value"].nunique() > 4
    assert found["word"].nunique() == 2
    assert (found["low"] <= found["value"]).all()
    assert (found["value"] <= found["high"]).all()


def test_what_predicts_is_measured_on_the_cohorts_that_have_all(study, folded):
    made = study(next=lambda i, cohort: 60 + 3 * i + (i % 2) * (cohort - 4))
    table = made.effects()
    names, share = list(FEW), lambda i, cohort: 0.5 + 0.04 * i + 0.01 * cohort
    ten = folded(names, share, "inside-ten")
    with pytest.raises(InputError, match=f"protocol 'inside-again': {COHORTS - 1} of {COHORTS} cohorts are there"):
        predictors(made, table, ten, folded(names, share, "inside-again", COHORTS - 1))
    again = folded(names, share, "inside-again")
    assert not again.complete("narrow: model 0")
    assert again.complete(*names)
    found = predictors(made, table, ten, again)
    few = {name: sides for name, sides in made.contrasts.items() if {*sides} <= {*FEW}}
    assert len(few) == 4
    told = {"five folds": table["folds"], "one other hospital": table["next"], "zero": 0 * table["folds"]}
    accuracy = {"ten folds": ten.accuracy(*names), "again": again.accuracy(*names)}
    for how, one in accuracy.items():
        lines = {name: one[better] - one[worse] for name, (better, worse) in few.items()}
        told[how] = pd.concat(lines, names=table.index.names)
    told["two times five folds"] = (told["five folds"] + told.pop("again")) / 2
    for name, values in told.items():
        for truth in TRUTHS:
            squared = pd.concat({c: (values.loc[c] - table.loc[c, truth]) ** 2 for c in few}, axis=1)
            assert found.loc[name, truth] == pytest.approx(np.sqrt(squared.to_numpy().mean()))
            drawn = np.random.default_rng(9).integers(0, COHORTS, (4000, COHORTS))
            means = squared.mean(axis=1).to_numpy()[drawn].mean(axis=1)
            wanted = np.sqrt(np.quantile(means, (0.025, 0.975)))
            ends = found.loc[name, [f"{truth} low", f"{truth} high"]].tolist()
            assert ends == pytest.approx(wanted.tolist(), rel=0.15, abs=0.05)
    assert found.loc["ten folds", "inside"] != pytest.approx(found.loc["five folds", "inside"])
    assert found["trainings"].to_dict() == {
        "five folds": 5, "ten folds": 10, "two times five folds": 10, "one other hospital": 1, "zero": 0
    }  # fmt: skip
    assert found["other patients"].tolist() == [85 * (name == "one other hospital") for name in found.index]
    assert (found["cohorts"] == COHORTS).all()


@pytest.mark.parametrize("luck", [0.5, -1.0])
def test_two_seeds_tell_how_high_a_correlation_can_be(study, tested, luck):
    """The gain by the first seed is the cohort's number less 4.5, by the second that and luck, or its opposite."""
    wobble = np.array([0, 1, -1, 2, 0, -2, 1, -1, 1, -1])
    made = study()
    first, second = np.arange(10.0), luck * wobble + np.arange(10) if luck > 0 else luck * np.arange(10)
    for name, gains in (("narrow: ", first), ("second seed: ", second)):
        rows = [f"{name}scratch", f"{name}model 1"]
        tested(rows, {"own hospital": lambda i, cohort, gains=gains: 50 + i * gains[cohort]})
    found = ceiling(made)
    r = np.corrcoef(first, second)[0, 1]
    z = np.arctanh(np.clip(r, -1 + 1e-15, 1)) + stats.norm.ppf([0.025, 0.975]) / np.sqrt(COHORTS - 3)
    assert found["reliability"] == pytest.approx(r)
    assert (found["reliability low"], found["reliability high"]) == pytest.approx(tuple(np.tanh(z)), abs=1e-6)
    assert found["highest"] == pytest.approx(np.sqrt(r) if r > 0 else 0)
    assert found["highest high"] == pytest.approx(np.sqrt(max(0, np.tanh(z[1]))))
    assert found["cohorts"] == COHORTS
