"""Does a gain survive in the next hospital, and do five folds predict it: on records and tables of known answers."""

import ast
import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from conftest import CLASSES, cells_that_wait
from scipy import stats
from statsmodels.stats.multitest import multipletests

from livervlm.analyses import transport
from livervlm.analyses.transport import (
    AUGMENTED,
    FEW,
    RESNET18,
    SCALED,
    Transport,
    ceiling,
    changes,
    correlations,
    coverage,
    five_fold_intervals,
    predictors,
    same_signs,
    survival,
    winners,
)
from livervlm.base.errors import InputError
from livervlm.base.profiles import PROFILES
from livervlm.evaluation.comparisons import cluster_bootstrap, delong
from livervlm.evaluation.outcome import Outcome
from livervlm.runs import cohorts, results
from livervlm.runs.cells import cells
from livervlm.runs.records import write_record
from livervlm.runs.results import Runs
from livervlm.runs.rows import PROTOCOLS, all_rows, declared

COHORTS, PATIENTS, HOSPITALS = (
    10,
    20,
    5,
)  # as few cohorts as are looked at; the patients outside are of so many hospitals
TRUTHS = ("inside", "outside")
RECORDED, LARGE = PROFILES["recorded"], PROFILES["recorded-224"]


def effects(**columns) -> pd.DataFrame:
    """A table of effects from (contrasts, cohorts) arrays."""
    shape = np.shape(next(iter(columns.values())))
    index = pd.MultiIndex.from_product([[f"c{i}" for i in range(shape[0])], range(shape[1])])
    return pd.DataFrame(
        {name: np.ravel(values) for name, values in columns.items()}, index.set_names(["contrast", "cohort"])
    )


def outside_in(table: pd.DataFrame, apart=(0.0, 0.0)) -> pd.DataFrame:
    """The same difference outside in every other hospital, but for how far each lies from their mean."""
    return pd.DataFrame(table["outside"].to_numpy()[:, None] + np.asarray(apart), table.index)


def around(mean: float, sd: float, n: int = 30) -> np.ndarray:
    """n numbers of just this mean and sd."""
    at = stats.norm.ppf((np.arange(n) + 0.5) / n)
    return mean + sd * at / at.std(ddof=1)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    for module in (transport.resampling, transport.prediction):
        monkeypatch.setattr(module, "N_BOOT", 200)


@pytest.fixture
def few_cohorts(monkeypatch):
    for name in ("hospitals", "hospitals, geometric"):
        monkeypatch.setitem(declared()["plan"]["cohorts"], name, COHORTS)
    monkeypatch.setattr(cohorts, "CHUNK", PATIENTS // HOSPITALS)


def answers(share: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class, probabilities and patient of two slices of each of `PATIENTS`, of which about this share is right."""
    rng = np.random.default_rng(seed)
    y_true = np.repeat(np.arange(PATIENTS) % 4, 2)
    said = np.where(rng.permutation(2 * PATIENTS) < round(share * 2 * PATIENTS), y_true, (y_true + 1) % 4)
    prob = rng.uniform(0, 0.2, (2 * PATIENTS, 4))
    prob[np.arange(2 * PATIENTS), said] += 1
    return y_true, prob / prob.sum(axis=1, keepdims=True), np.repeat(np.arange(PATIENTS), 2)


@pytest.fixture
def write(tmp_path, provenance):
    """Write the record of a cell, as a run leaves it, from what was found."""

    def write_cell(cell, **found):
        row = {"name": cell.row.name, "method": cell.row.method.name, **asdict(cell.row.method)}
        about = {"row": row, "protocol": cell.protocol, "profile": asdict(cell.profile), "text_encoder": "minilm"}
        about |= {"data": {"classes": CLASSES, "source": {"version": "2"}}, "cohort": cell.cohort, "fold": cell.fold}
        write_record(cell.path(tmp_path), {**provenance, **about, **found})

    return write_cell


@pytest.fixture
def folded(tmp_path, write):
    """Write the folds of some rows, of which row i is right in about `share(i, cohort)`; returns what reads them."""

    def write_folds(rows, share, protocol="inside", cohorts=COHORTS):
        for i, name in enumerate(rows):
            for cell in cells([all_rows()[name]], protocol, cohorts, RECORDED):
                y_true, prob, patient = answers(share(i, cell.cohort), 100 * cell.cohort + i)
                mine = patient % PROTOCOLS[protocol].folds == cell.fold - 1
                slices = {"patient": patient[mine], "y_true": y_true[mine], "prob": prob[mine].astype(np.float32)}
                write(cell, slices=slices)
        return Runs(protocol, tmp_path)

    return write_folds


@pytest.fixture
def tested(tmp_path, write):
    """Write the tests of some rows: pool -> (i, cohort) -> percent right of a patient, or of each; what reads them."""

    def write_tests(rows, pools, cohorts=COHORTS, profile=RECORDED):
        for i, name in enumerate(rows):
            for cell in cells([all_rows()[name]], "population", cohorts, profile):
                tests = {}
                for pool, percent in pools.items():
                    right = np.full(PATIENTS, percent(i, cell.cohort))  # of ten thousand slices each
                    tests[pool] = {"slices": np.full(PATIENTS, 10_000), "correct": np.rint(100 * right).astype(int)}
                    tests[pool]["AUC by class"] = {"HCC": 0.5 + right.mean() / 1000, "HEM": 0.5}
                    tests[pool]["accuracy"] = round(right.mean(), 3)
                write(cell, tests=tests)
        return Runs("population", tmp_path, profile)

    return write_tests


@pytest.fixture
def study(folded, tested, few_cohorts):
    """Row i is right in 40 + 3 i + cohort % inside, and in about two less in five folds."""

    def write(
        cohorts=COHORTS,
        share=lambda i, cohort: 0.38 + 0.03 * i + 0.01 * cohort,
        inside=lambda i, cohort: 40 + 3 * i + cohort,
        outside=lambda i, cohort: 50.0,
        next=lambda i, cohort: 60.0,
    ):
        rows = Transport().rows
        within = folded(rows, share, cohorts=cohorts)
        pools = {"own hospital": inside, "standard": outside, "next hospital": next}
        return Transport(within, tested(rows, pools, cohorts))

    return write


# -- From records ------------------------------------------------------------------------------------------------------


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


# -- From tables -------------------------------------------------------------------------------------------------------


def test_what_is_lost_outside_gets_its_word():
    rng = np.random.default_rng(0)
    mixed = [rng.permutation(30) for _ in range(5)]
    inside = np.stack([around(5, 1), around(-5, 1), around(5, 1), around(2, 1), around(2, 8)])
    lost = np.stack(
        [around(m, s)[p] for (m, s), p in zip([(5, 2), (-5, 2), (-5, 2), (0, 1), (2, 8)], mixed, strict=True)]
    )
    made = effects(inside=inside, outside=inside - lost)
    table = survival(made, outside_in(made), margin=2)
    assert table["word"].tolist() == ["lost outside", "lost outside", "gained outside", "the same", "undecided"]
    assert table["lost"].tolist() == pytest.approx([5, -5, -5, 0, 2])
    for column, values in (("inside", inside), ("outside", inside - lost), ("lost", lost)):
        each = [stats.ttest_1samp(one, 0).confidence_interval(0.95) for one in values]
        assert table[f"{column} low"].tolist() == pytest.approx([one.low for one in each])
        assert table[f"{column} high"].tolist() == pytest.approx([one.high for one in each])
    assert table.loc["c0", "lost bootstrap low"] == pytest.approx(table.loc["c0", "lost low"], abs=0.3)
    assert table.loc["c0", "inside"] == pytest.approx(5)
    p = [stats.ttest_1samp(one, 0).pvalue for one in lost]
    assert table["p, Holm"].tolist() == pytest.approx(multipletests(p, method="holm")[1].tolist())


def test_the_interval_that_draws_hospitals_too_is_wider_where_they_differ():
    """All cohorts share the other hospitals: what is chance between these is the same in every cohort."""
    made = effects(inside=[around(5, 1)], outside=[around(3, 1)[::-1]])
    apart = around(0, 6, 20)
    (alike,), (differ,) = (
        survival(made, outside_in(made, spread), margin=2).to_dict("records") for spread in (0 * apart, apart)
    )
    for part in ("outside", "lost"):
        assert differ[part] == pytest.approx(alike[part])
        assert differ[f"{part} high"] - differ[f"{part} low"] == pytest.approx(
            alike[f"{part} high"] - alike[f"{part} low"]
        )
        width = differ[f"{part} crossed high"] - differ[f"{part} crossed low"]
        sd = made["outside"].std() if part == "outside" else (made["inside"] - made["outside"]).std()
        assert width == pytest.approx(2 * 1.96 * np.sqrt(sd**2 / 30 + 6**2 / 20), rel=0.15)
        assert differ[f"{part} crossed low"] < differ[part] < differ[f"{part} crossed high"]


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


@pytest.mark.parametrize("folds", [5, 10])
def test_the_intervals_of_a_laboratory(folds):
    sides = []
    for share, seed in ((0.8, 0), (0.6, 1)):
        y_true, prob, patient = answers(share, seed)
        sides.append(Outcome(y_true, prob, patient % folds, patient, CLASSES, {}))
    found = five_fold_intervals(*sides)
    a, b = (side.by_fold for side in sides)
    assert found["t over folds"] == pytest.approx(tuple(stats.ttest_rel(a, b).confidence_interval(0.95)))
    wide = np.ptp(found["Nadeau-Bengio"]) / np.ptp(found["t over folds"])
    assert wide == pytest.approx(np.sqrt((1 / folds + 1 / (folds - 1)) / (1 / folds)))
    gained = 100 * ((sides[0].y_pred == sides[0].y_true) - 1.0 * (sides[1].y_pred == sides[1].y_true))
    _, *slow = cluster_bootstrap(np.mean, sides[0].patient, gained)
    assert found["bootstrap of patients"] == pytest.approx(slow, abs=4)
    cancer = CLASSES.index("HCC")
    wanted = delong(sides[0].y_true == cancer, *(side.prob[:, cancer] for side in sides))
    assert found["DeLong"] == pytest.approx(wanted.interval())
    assert wanted.difference > 0


# -- The chapter -------------------------------------------------------------------------------------------------------


@pytest.fixture
def pages_of(tmp_path, monkeypatch):
    """Execute the cells of a chapter that show records, on those of this test; what each shows, and what it says."""
    monkeypatch.setattr(results, "data_file", lambda name: tmp_path)

    def execute(chapter, first, last, **given):
        said, shown = [], []
        names = {"np": np, "pd": pd, "say": said.append, "json": json, **given}
        sources = cells_that_wait(chapter, "")
        start, stop = (next(i for i, source in enumerate(sources) if text in source) for text in (first, last))
        for source in sources[start : stop + 1]:
            *body, end = ast.parse(source).body
            exec(compile(ast.Module(body, []), chapter, "exec"), names)
            if isinstance(end, ast.Expr):
                shown.append(eval(compile(ast.Expression(end.value), chapter, "eval"), names))
            else:
                exec(compile(ast.Module([end], []), chapter, "exec"), names)
        return [one for one in shown if isinstance(one, pd.DataFrame)], "\n".join(said)

    return execute


def test_without_records_the_chapter_shows_what_its_plan_asks(pages_of):
    tables, said = pages_of("next_hospital", "def once(", "rivals =")
    assert len(tables) == 7
    assert "Still running: protocol 'inside': 0 of 30 cohorts are there." in said
    assert "All this waits for the same records." in said
    assert tables[-1].drop(columns="n").isna().all(axis=None)


def test_with_all_records_the_chapter_makes_its_tables_and_computes_them_again(
    study, folded, tested, pages_of, few_cohorts, monkeypatch
):
    """The chapter's own asserts compare what it computes from the files with what the package computes."""
    monkeypatch.setattr(transport.prediction, "N_BOOT", 2000)  # as the chapter has
    for name in (RESNET18, "hospitals, second seed"):
        monkeypatch.setitem(declared()["plan"]["cohorts"], name, COHORTS)
    luck = np.random.default_rng(0).normal(0, 3, (5, 8, COHORTS)).round(2)
    inside, outside, next = (lambda i, cohort, n=n: 50 + 2 * i + luck[n, i, cohort] for n in range(3))
    made = study(share=lambda i, cohort: 0.5 + luck[3, i, cohort] / 30, inside=inside, outside=outside, next=next)
    for protocol in ("inside-ten", "inside-again"):
        folded(FEW, lambda i, cohort: 0.5 + 0.04 * i + 0.01 * cohort, protocol)
    seeds = ["second seed: scratch", "second seed: model 1"]
    tested(seeds, {"own hospital": lambda i, cohort: 50 + luck[2, i, cohort]})
    pools = {pool: lambda i, cohort, n=n: 50 + luck[n, i, cohort] for n, pool in ((3, "own hospital"), (4, "standard"))}
    tested(Transport(family=RESNET18).rows, pools)
    tested(*by_row("hospitals, geometric", {"model 1": luck[2, 0]}))
    tables, said = pages_of("next_hospital", "def once(", "rivals =")
    survived, chance, sizes, measures, errors, changed, gains = tables
    names = [name.removeprefix("narrow: ") for name in made.contrasts]
    for table in (survived, chance, sizes, changed):
        assert table.index.tolist() == names
    assert list(survived) == ["inside", "outside", "lost", "p, Holm", "word"]
    kinds = {"correlation": 2, "coverage": 8, "winner": 2}  # of two truths each; four kinds of intervals
    assert {kind: sum(name.startswith(kind) for name in measures.index) for kind in kinds} == kinds
    assert errors.loc["one other hospital", ["trainings", "other patients"]].tolist() == [1, 85]
    assert list(changed) == ["without", "with", "change", "verdict", "word"]
    assert (gains["n"] == COHORTS).all()
    assert gains.notna().all(axis=None)
    assert "could reach a correlation of" in said
    assert "ordinary augmentation affine" in said
    assert "come out as in the tables above" in said
    assert "running" not in said


@pytest.fixture
def report(pages_of):
    """The report's two tables on other sizes, and what it says of them."""
    verdict = pd.DataFrame({"verdict": "equivalent"}, [one["name"] for one in declared()["contrasts"]["claims"]])
    return lambda: pages_of("report", "large, pixels =", "begun =", runs=Runs(), judged=verdict, Runs=Runs)


def test_without_records_the_report_shows_what_it_has_of_other_sizes(report):
    (sizes, weights), said = report()
    assert sizes["64 px, ResNet18"].tolist() == ["equivalent"] * 8
    assert sizes["224 px, narrow"].tolist() == ["no verdict yet"] * 8
    assert sizes["n at 224"].tolist() == ["0 of 12"] * 8
    assert weights["verdict"].tolist() == ["no verdict yet"] * 8
    assert (weights[["difference", "low", "high"]] == "").all(axis=None)
    assert "Still running: 224 pixels: model 1 less 224 pixels: scratch, 224 pixels: 0 of 12" in said
    assert "What was run" not in said


def test_with_all_records_the_report_sets_other_sizes_beside_its_own(report, tested, few_cohorts, monkeypatch):
    for name, n in {"core": 4, "224 pixels": 4, "224 pixels, ResNet18": 3}.items():
        monkeypatch.setitem(declared()["plan"]["cohorts"], name, n)
    rows = ("scratch", "model 1", "model 2", "FC, phase shuffle")
    tested(rows, {"standard": lambda i, cohort: 50 + i}, 4)
    tested([f"224 pixels, ResNet18: {name}" for name in rows], {"standard": lambda i, cohort: 50 + i}, 3, LARGE)
    tested(*by_row("hospitals", {}))
    tested(*by_row("224 pixels", {"model 1": 8 + np.resize([0, 1], 99)}), 4, LARGE)
    tested(*by_row("ImageNet", {"ImageNet": np.full(99, 9.0)}), 6, PROFILES["recorded-128"])
    (sizes, weights), said = report()
    assert sizes.loc["phase shuffle against scratch"].tolist() == [
        "equivalent",
        "reproduced",
        "4 of 4",
        "another",
        "3",
        "3",
    ]
    assert sizes.loc["prompts against FC, augmented"].tolist() == [
        "equivalent",
        "equivalent",
        "4 of 4",
        "the same",
        "",
        "",
    ]
    assert weights.loc["Weights from ImageNet are better than random ones.", ["difference", "verdict"]].tolist() == [
        9, "reproduced"
    ]  # fmt: skip
    assert "pixels 224, epochs 20 / 40, text encoder minilm / none, network resnet10_narrow" in said
    assert "pixels 128, epochs 20, text encoder minilm, network efficientnet_lite0" in said
    assert "running" not in said


# -- With ordinary augmentation on both sides, and in larger pictures --------------------------------------------------


@pytest.mark.parametrize(
    ("family", "before", "extra"),
    [("hospitals, geometric", "narrow, geometric: ", {"geometry": "affine"}), ("224 pixels", "224 pixels: ", {})],
)
def test_each_contrast_has_one_that_differs_in_one_thing(family, before, extra):
    families = [declared()["contrasts"][name] for name in ("hospitals", family)]
    for plain, other in zip(*families, strict=True):
        for side in ("better", "worse"):
            one, two = all_rows()[plain[side]].method, all_rows()[other[side]].method
            assert replace(one.recipe, **extra) == two.recipe
            assert one.config == two.config
        assert other["name"].replace(before, "narrow: ") == plain["name"]


def by_row(family: str, gains: dict[str, np.ndarray]):
    """The rows of a family, and the percent of each where a row's part after the colon gains so much in each cohort."""
    rows = list(dict.fromkeys(one[side] for one in declared()["contrasts"][family] for side in ("better", "worse")))
    return rows, {"standard": lambda i, cohort: 50 + gains.get(rows[i].split(": ")[1], np.zeros(99))[cohort]}


@pytest.mark.parametrize(("family", "words"), [("hospitals, geometric", AUGMENTED), ("224 pixels", SCALED)])
def test_what_is_left_of_a_gain(family, words, tested, few_cohorts, monkeypatch):
    monkeypatch.setitem(declared()["plan"]["cohorts"], family, COHORTS)
    profile = RECORDED if words == AUGMENTED else LARGE
    wobble = np.resize([1, 0, -1, 0, 0], COHORTS)
    before = tested(*by_row("hospitals", {"model 1": 10 + wobble, "SimSiam": 2 + wobble}))
    runs = tested(*by_row(family, {}), cohorts=COHORTS - 1, profile=profile)
    with pytest.raises(InputError, match=f"pixels: {COHORTS - 1} of {COHORTS} cohorts are there"):
        changes((runs, family), (before, "hospitals"), words)
    gains = {"model 1": 4 + np.roll(wobble, 1), "SimSiam": np.roll(wobble, 1) - 6}
    runs = tested(*by_row(family, gains), profile=profile)
    table = changes((runs, family), (before, "hospitals"), words)
    first, none = table.loc["narrow: phase shuffle against scratch"], table.loc["narrow: prompts against FC, augmented"]
    each = np.roll(wobble, 1) - wobble - 6
    assert first[["before", "now", "change", "n"]].tolist() == pytest.approx([10, 4, -6, COHORTS])
    t = stats.ttest_1samp(each, 0).confidence_interval(0.95)
    assert first[["change low", "change high"]].tolist() == pytest.approx([t.low, t.high], abs=0.01)
    t = stats.ttest_1samp(gains["model 1"], 0).confidence_interval(0.95)
    assert first[["now low", "now high"]].tolist() == pytest.approx([t.low, t.high], abs=0.01)
    assert (first["verdict"], first["word"]) == ("reproduced", words[0])
    assert (none["verdict"], none["word"]) == ("equivalent", "the same")
    assert table.loc["narrow: augmentation against none", "word"] == words[0]
    larger = table.loc["narrow: phase shuffle against SimSiam"]
    assert larger[["before", "now", "change"]].tolist() == pytest.approx([8, 10, 2])
    assert larger["word"] == words[1]


def test_a_change_is_judged_with_holms_correction(tested, few_cohorts):
    """By itself the change of one contrast has p = 0.02; of eight such questions this is no answer."""
    change = around(-4, 4 / stats.t.ppf(0.99, COHORTS - 1) * np.sqrt(COHORTS), COHORTS)
    wild = {
        name: np.roll(around(0, 9, COHORTS), i) for i, name in enumerate(("model 0", "SimSiam", "FC, phase shuffle"))
    }
    wild["scratch, twice the steps"] = around(0, 9, COHORTS)[::-1]
    before = tested(*by_row("hospitals", {"model 1": np.full(COHORTS, 10.0)}))
    now = tested(*by_row("hospitals, geometric", {"model 1": 10 + change, **wild}))
    table = changes((now, "hospitals, geometric"), (before, "hospitals"), AUGMENTED)
    line = table.loc["narrow: phase shuffle against scratch"]
    assert line["change high"] < 0
    assert 0.05 < line["p, Holm"] <= 8 * 0.021
    assert line["word"] == "undecided"


def test_the_verdict_with_augmentation_counts_the_wider_interval(tested, few_cohorts):
    """The gain lies in two test patients that all cohorts share: with other patients there may be none."""
    of_patient = np.zeros(PATIENTS)
    of_patient[:2] = 45
    level = np.resize([1, 0, -1, 0, 0], COHORTS)
    before = tested(*by_row("hospitals", {}))
    rows, _ = by_row("hospitals, geometric", {})
    model_1 = rows.index("narrow, geometric: model 1")
    now = tested(rows, {"standard": lambda i, cohort: 50 + (i == model_1) * (of_patient + level[cohort])})
    line = changes((now, "hospitals, geometric"), (before, "hospitals"), AUGMENTED).loc[
        "narrow: phase shuffle against scratch"
    ]
    assert line["now"] == pytest.approx(4.5)
    assert line["now low"] > 3
    assert line["verdict"] == "undecided"


def test_signs_in_large_pictures_are_counted_against_the_mean_in_small_ones(tested, monkeypatch):
    for name, n in (("core", 4), ("224 pixels, ResNet18", 3)):
        monkeypatch.setitem(declared()["plan"]["cohorts"], name, n)
    rows = ("scratch", "model 1", "model 2", "FC, phase shuffle")
    small = tested(rows, {"standard": lambda i, cohort: 50 + [0, 2, -2, 1][i]}, 4)
    gains = np.array([[0, 0, 0], [1, 1, -1], [3, 0, -4], [2, -1, 1]])
    names = [f"224 pixels, ResNet18: {name}" for name in rows]
    with pytest.raises(InputError, match="224 pixels: 2 of 3 cohorts are there"):
        same_signs(tested(names, {"standard": lambda i, cohort: 50 + gains[i, cohort]}, 2, LARGE), small)
    table = same_signs(tested(names, {"standard": lambda i, cohort: 50 + gains[i, cohort]}, 3, LARGE), small)
    assert table["at 64"].to_dict() == pytest.approx({
        "phase shuffle against scratch": 2, "augmentation against none": -4,
        "proposed against phase shuffle with FC": -3, "prompts against FC, pretrained": 1,
    })  # fmt: skip
    assert table["same sign"].tolist() == [2, 2, 1, 1]
    assert (table["of"] == 3).all()
