"""Records become tables, intervals and verdicts; each is checked against records whose answer is known."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from livervlm.base.errors import InputError
from livervlm.runs.cells import cells, patient_answers
from livervlm.runs.cohorts import pool_of
from livervlm.runs.records import write_record
from livervlm.runs.results import NO_VERDICT, Runs, claims
from livervlm.runs.rows import all_rows, declared
from livervlm.scans.conventions import LIVER_VLM_CLASSES

PATIENTS = 400
CONTRASTS = {contrast["name"]: contrast for contrast in declared()["contrasts"]["claims"]}
COHORTS = declared()["plan"]["cohorts"]


@pytest.fixture
def answered(tmp_path, quick, provenance):
    """Write records of a row from what was right in each cohort, (cohorts, PATIENTS, 2); returns what reads them."""
    runs = Runs("population", tmp_path, quick, PATIENTS)

    def write(name, answers):
        todo = cells([all_rows()[name]], "population", len(answers), quick, PATIENTS)
        for cell, right in zip(todo, answers, strict=True):
            counts = np.diag([20, 30, 10, 40]) + np.array([[0, 20, 0, 0], [10, 0, 0, 0], [0, 0, 0, 10], [0, 0, 60, 0]])
            test = {"slices": np.full(PATIENTS, 2, np.uint8), "correct": right.sum(axis=1).astype(np.uint8)}
            test |= {"accuracy": round(100 * right.mean(), 3), "confusion": counts.tolist()}
            test |= {"AUC": 0.9, "ECE": 0.1, "loss": 0.5}
            record = {"row": {"name": name}, "cohort": cell.cohort, "fold": None, "tests": {cell.pools[0]: test}}
            write_record(cell.path(tmp_path), {**provenance, **record})
        return runs

    return write


@pytest.fixture
def recorded(answered):
    """The same from the accuracy in each cohort; every cohort has its errors at other patients."""

    def write(name, accuracy, seed=0):
        first = [np.arange(2 * PATIENTS) < percent / 100 * 2 * PATIENTS for percent in accuracy]
        mixed = [np.random.default_rng([seed, cohort]).permutation(right) for cohort, right in enumerate(first)]
        return answered(name, [right.reshape(PATIENTS, 2) for right in mixed])

    return write


def spread(n, mean, sd):
    """n numbers with just this mean and sd."""
    at = stats.norm.ppf((np.arange(n) + 0.5) / n)
    return mean + sd * (at - at.mean()) / at.std(ddof=1)


def test_rows_are_compared_cohort_by_cohort(recorded):
    n = COHORTS["core"]
    base = np.linspace(60, 80, n)
    recorded("scratch", base)
    runs = recorded("model 1", base + spread(n, 3, 2))
    line = runs.compare({"gain": ("model 1", "scratch")}).loc["gain"]
    t = stats.ttest_1samp((runs.accuracy("model 1")["model 1"] - runs.accuracy("scratch")["scratch"]), 0)
    assert (line["n"], line["difference"], line["sd"]) == pytest.approx((n, 3, 2), abs=0.1)
    assert (line["low"], line["high"]) == pytest.approx(t.confidence_interval(), abs=1e-9)
    assert (line["low 90"], line["high 90"]) == pytest.approx(t.confidence_interval(0.9), abs=1e-9)
    empty = runs.compare({"half": ("model 1", "model 0")})
    assert empty.loc["half", "n"] == 0
    assert empty.drop(columns="n").isna().all(axis=None)  # what has no record is drawn as an empty line
    assert list(empty) == list(runs.compare({"gain": ("model 1", "scratch")}))


def test_only_cohorts_of_both_rows_count(recorded):
    few, more = COHORTS["misregistration"], COHORTS["core"]
    recorded("misregistered", np.full(few, 60.0))
    runs = recorded("model 1", [*np.linspace(61, 63, few), *np.full(more - few, 99.0)])
    line = runs.compare({"gain": ("model 1", "misregistered")}).loc["gain"]
    assert (line["difference"], line["n"]) == (pytest.approx(2, abs=0.1), few)
    assert runs.accuracy("misregistered", "model 1").isna().sum().tolist() == [more - few, 0]


def test_a_difference_has_no_interval_before_its_cohorts_are_all_there(recorded):
    recorded("scratch", spread(COHORTS["core"], 60, 2))
    runs = recorded("model 1", spread(COHORTS["core"] - 1, 65, 2))
    line = runs.compare({"gain": ("model 1", "scratch")}).loc["gain"]
    assert line["n"] == COHORTS["core"] - 1
    assert line.drop("n").isna().all()
    assert runs.complete("scratch")
    assert not runs.complete("scratch", "model 1")


def test_measures_read_the_confusion_by_truth(recorded):
    found = recorded("scratch", [50.0]).measures("scratch").loc[0]
    assert found[["CYST", "FNH", "HCC", "HEM"]].tolist() == [50, 75, 50, 40]
    assert found["accuracy"] == 50


def test_a_changed_record_is_refused(recorded):
    runs = recorded("scratch", [50.0])
    (path,) = runs.out.rglob("*.json")
    record = json.loads(path.read_text())
    record["tests"]["standard"]["accuracy"] = 90.0
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=path.name):
        runs.accuracy("scratch")


def test_each_verdict(recorded):
    n = COHORTS["core"]
    base = spread(n, 70, 5)
    for name, gain, sd in (
        ("model 1", 0, 0),
        ("scratch", -6, 3),  # better by 6
        ("SimSiam", 6, 3),  # worse by 6
        ("scratch, twice the steps", 0.1, 1),  # within the margin
        ("model 0", -1.8, 7),  # neither
    ):
        runs = recorded(name, base + spread(n, gain, sd)[np.random.default_rng(len(name)).permutation(n)])
    found = runs.contrasts()
    assert list(found.index) == list(CONTRASTS)
    assert found["verdict"].head(3).tolist() == ["reproduced", "not reproduced", "equivalent"]
    assert found.loc["enriched against simple prompt", "verdict"] == "undecided"
    assert (found["verdict"] == NO_VERDICT).sum() == len(CONTRASTS) - 4
    first = found.loc["phase shuffle against scratch"]
    assert first["bootstrap low"] == pytest.approx(first["low"], abs=1)
    assert first["bootstrap high"] == pytest.approx(first["high"], abs=1)


@pytest.mark.parametrize("sign", [1, -1])
def test_where_the_two_intervals_disagree_about_zero_the_wider_one_counts(answered, sign):
    """Cohorts agree to a patient, but the gain is 120 patients won and 100 lost: others might have turned it."""
    n = COHORTS["core"]
    won, lost = np.zeros((2, n, PATIENTS, 2), dtype=bool)
    won[:, :120] = lost[:, 120:220] = True
    won[::2, 399] = True  # one patient more in every second cohort gives the t interval a width
    sides = ("model 1", "scratch")[::sign]
    answered(sides[0], won)
    line = answered(sides[1], lost).contrasts().loc["phase shuffle against scratch"]
    assert line["p, Holm"] < 0.001
    assert sign * line["difference"] == pytest.approx(5.125)
    assert min(sign * line["low"], sign * line["high"]) > 5
    assert line["bootstrap low"] < 0 < line["bootstrap high"]
    assert line["verdict"] == "undecided"


def test_an_unfinished_contrast_has_no_verdict_and_shows_no_interval(recorded):
    recorded("model 1", spread(COHORTS["core"], 80, 2))
    line = recorded("scratch", spread(COHORTS["core"] - 1, 60, 2)).contrasts().loc["phase shuffle against scratch"]
    assert (line["n"], line["of"], line["verdict"]) == (COHORTS["core"] - 1, COHORTS["core"], NO_VERDICT)
    assert line[["difference", "low", "high", "p, Holm", "p TOST, Holm"]].isna().all()


def test_a_contrast_waits_for_both_its_plans_though_one_side_needs_fewer_cohorts(recorded):
    """The forest has 18 cohorts: the network's first 18 are not looked at before its thirtieth is there."""
    few, many = COHORTS["controls"], COHORTS["geometric"]
    recorded("radiomics", spread(few, 70, 1))
    early = recorded("scratch, geometric", np.full(many - 1, 80)).contrasts("ordinary augmentation")
    line = early.loc["geometric against the forest"]
    assert (line["n"], line["of"], line["verdict"]) == (few, few, NO_VERDICT)
    assert line[["difference", "low", "high", "p, Holm", "p TOST, Holm"]].isna().all()
    done = recorded("scratch, geometric", np.full(many, 80)).contrasts("ordinary augmentation")
    assert done.loc["geometric against the forest", "verdict"] == "reproduced"
    assert done["verdict"].eq(NO_VERDICT).sum() == len(done) - 1 == 5


def test_verdicts_can_be_had_with_pandas_alone(recorded):
    """By the very cells that the report shows its readers."""
    chapter = json.loads((Path(__file__).parents[1] / "book" / "report.ipynb").read_text(encoding="utf-8"))
    codes = ["".join(cell["source"]) for cell in chapter["cells"]]
    shown = [code for code in codes if "def accuracies(" in code or "def recomputed(" in code]
    assert len(shown) == 2
    reader = {"json": json, "np": np, "pd": pd}
    exec("\n".join(shown), reader)
    rng = np.random.default_rng(1)
    for number, (name, row) in enumerate(all_rows().items()):
        if any(name in (c["better"], c["worse"]) for c in CONTRASTS.values()):
            runs = recorded(name, 70 + number / 3 + rng.normal(0, 2, COHORTS[row.set]), seed=number)
    wide, margin = reader["accuracies"](runs.out), declared()["plan"]["margin"]
    theirs, ours = reader["recomputed"](wide, CONTRASTS.values(), margin), runs.contrasts()
    assert ours["p, Holm"].tolist() == pytest.approx(theirs["p"], rel=0.02)
    assert ours["p TOST, Holm"].tolist() == pytest.approx(theirs["p, equal"], rel=0.02, abs=1e-9)
    assert ours["difference"].tolist() == pytest.approx(theirs["mean"], abs=1e-3)
    assert ours["verdict"].tolist() == theirs["verdict"].tolist()
    assert ours["verdict"].nunique() > 2


def test_claims_stand_beside_what_was_printed(recorded):
    base = spread(COHORTS["core"], 70, 3)
    recorded("model 1", base + spread(len(base), 5, 2)[::-1])
    runs = recorded("scratch", base)
    table = claims(runs, Runs("paper", runs.out, runs.profile))
    first = table.loc["Phase-shuffle pretraining is better than training from scratch."]
    assert (first["table"], first["printed"], first["its folds"]) == (3, "+3.94", "-6.4 to +14.2")
    assert first["population"].startswith("+5.0 (")
    assert (first["five folds"], first["verdict"]) == ("not run", "reproduced")
    prompt = table.loc["The enriched prompt is better than the simple one."]
    assert (prompt["printed"], prompt["its folds"]) == ("+2.63", "not recovered: model 0")
    assert (prompt["population"], prompt["verdict"]) == (f"0 of {len(base)} cohorts", NO_VERDICT)
    assert len(table) == len(CONTRASTS)


def test_a_summary_waits_for_the_plans_cohorts(recorded):
    values, n = spread(COHORTS["core"], 70, 2), COHORTS["core"]
    early = recorded("scratch", values[:-1]).summary(["scratch"]).loc["scratch"]
    assert (early["ours"], early["n"]) == ("-", f"{n - 1} of {n} cohorts")
    done = recorded("scratch", values).summary(["scratch"]).loc["scratch"]
    mean, sd = map(float, done["ours"].split(" ± "))
    assert (mean, sd, done["n"]) == (pytest.approx(70, abs=0.5), pytest.approx(2, abs=0.2), f"{n} cohorts")


def test_a_claim_that_two_rows_do_equally_well_is_refuted_by_a_difference_and_shown_by_equivalence(recorded):
    n = COHORTS["misregistration"]
    recorded("model 1", np.full(COHORTS["core"], 80))
    line = recorded("misregistered", spread(n, 70, 1)).contrasts().loc["aligned against misregistered"]
    assert (line["verdict"], line["on the paper"]) == ("reproduced", "not reproduced")
    line = recorded("misregistered", spread(n, 80, 1)).contrasts().loc["aligned against misregistered"]
    assert (line["verdict"], line["on the paper"]) == ("equivalent", "reproduced")
    line = recorded("misregistered", spread(n, 90, 1)).contrasts().loc["aligned against misregistered"]
    assert (line["verdict"], line["on the paper"]) == ("not reproduced", "not reproduced")


def test_the_papers_words_are_the_papers():
    text = Path(__file__).parents[2] / "shared" / "seeds" / "liver_vlm_applsci_2025.txt"
    if not text.exists():
        pytest.skip("the paper's text is not beside this checkout")
    paper = text.read_text(encoding="utf-8")
    quoted = [contrast["paper"]["words"] for contrast in CONTRASTS.values() if "paper" in contrast]
    assert len(quoted) == 8
    assert [words for words in quoted if words not in paper] == []


# -- What a clinic asks -----------------------------------------------------------------------------------------------


@pytest.fixture
def told(tmp_path, quick, provenance):
    """Write records of a row, as a run leaves them, for `pool_of`'s patients with random answers; their reader."""
    runs = Runs("population", tmp_path, quick, 12)

    def write(name, cohorts, **changed):
        for cell in cells([all_rows()[name]], "population", cohorts, quick, 12):
            pool = pool_of(cell, "standard")
            prob = np.random.default_rng(cell.cohort).dirichlet(np.ones(4), len(pool))
            test = {**patient_answers(prob, pool), **changed}
            record = {"row": {"name": name}, "cohort": cell.cohort, "fold": None, "tests": {"standard": test}}
            write_record(cell.path(tmp_path), {**provenance, **record})
        return runs

    return write


def test_confusions_of_all_cohorts_are_added_up_truth_by_answer(recorded):
    n = COHORTS["core"]
    counts = recorded("model 1", np.full(n, 50.0)).confusion("model 1")
    assert counts.loc["CYST"].tolist() == [20 * n, 20 * n, 0, 0]
    assert counts.loc["HEM"].tolist() == [0, 0, 60 * n, 40 * n]
    assert (counts.index.name, counts.columns.name) == ("truth", "answer")


def test_a_pools_patients_are_one_each_however_many_cohorts_answer_them(told):
    n = COHORTS["encoders"]
    runs = told("scratch, ResNet50", n)
    found, records = runs.by_patient("scratch, ResNet50"), runs.read("scratch, ResNet50")
    assert found.patient.tolist() == [*range(12)] * n
    assert found.label.tolist() == records[0]["tests"]["standard"]["label"].tolist() * n
    assert np.array_equal(found.prob[12:24], records[1]["tests"]["standard"]["prob"].astype(float))
    assert found.clinical().loc["AUC", "patients"].tolist() == [12] * 4


def test_nobody_looks_before_the_planned_cohorts_are_there(told):
    name = "scratch, ResNet50"
    runs = told(name, COHORTS["encoders"] - 1)
    for method in (runs.confusion, runs.by_patient):
        with pytest.raises(InputError, match=f"{name}: not all of its planned cohorts are there"):
            method(name)
        with pytest.raises(InputError, match="scratch: not all"):
            method("scratch")  # has no record at all
    with pytest.raises(InputError, match="scratch: not all"):
        Runs("paper", runs.out, runs.profile).by_patient("scratch")


def test_records_without_probabilities_are_refused(recorded):
    runs = recorded("model 1", np.full(COHORTS["core"], 50.0))
    with pytest.raises(InputError, match="model 1: its records keep no probabilities by patient"):
        runs.by_patient("model 1")


def test_in_the_papers_protocol_each_cohort_has_patients_of_its_own():
    runs = Runs("paper")
    found, outcomes = runs.by_patient("model 1"), runs.outcomes("model 1")
    assert len(found.label) == len(set(found.patient)) == 85 * len(outcomes)
    place = found.patient.tolist().index("7 of cohort 1")
    mine = outcomes[1].patient == 7
    assert found.prob[place] == pytest.approx(outcomes[1].prob[mine].mean(axis=0))
    assert found.label[place] == outcomes[1].y_true[mine][0]
    counts = runs.confusion("model 1")
    assert counts.to_numpy().sum() == sum(len(outcome.y_true) for outcome in outcomes.values())
    right = sum((outcome.y_pred == outcome.y_true).sum() for outcome in outcomes.values())
    assert np.trace(counts) == right


def test_lesions_are_those_of_the_records(told):
    runs = told("scratch", 2)
    lesions, (record, _) = runs.lesions("scratch"), runs.read("scratch")
    assert [LIVER_VLM_CLASSES[label] for label in record["tests"]["standard"]["label"]] == lesions["class"].tolist()
    assert lesions.index.equals(runs.patients("scratch").columns)


@pytest.mark.parametrize("pool", ["own hospital", "next hospital"])
def test_patients_who_are_others_for_every_cohort_are_not_taken_as_shared(pool, tmp_path):
    runs = Runs("population", tmp_path)
    for method in (runs.lesions, runs.by_patient):
        with pytest.raises(InputError, match=f"narrow: scratch: pool '{pool}' has other patients for every cohort"):
            method("narrow: scratch", pool)


def test_contrasts_draw_test_patients_again_only_where_all_cohorts_share_them(tmp_path):
    with pytest.raises(InputError, match="own hospital: model 1: pool 'own hospital' has other patients"):
        Runs("population", tmp_path).contrasts("hospitals, ResNet18")


@pytest.mark.parametrize("what", ["label", "correct", "slices"])
def test_patients_who_are_not_those_of_the_records_are_refused(told, what):
    test = told("scratch", 1).read("scratch")[0]["tests"]["standard"]
    other = np.roll(test["label"], 1) if what == "label" else test[what] + np.eye(12, dtype=np.uint8)[0]
    with pytest.raises(InputError, match="scratch, cohort 0: its test patients cannot be drawn again"):
        told("scratch", 1, **{what: other}).lesions("scratch")
