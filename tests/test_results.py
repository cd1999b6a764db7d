"""Records become tables, intervals and verdicts; each is checked against records whose answer is known."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from livervlm.errors import InputError
from livervlm.records import code_provenance, write_record
from livervlm.reproduce import cells
from livervlm.results import NO_RECORD, Runs
from livervlm.rows import all_rows, declared

PATIENTS = 400
CONTRASTS = {contrast["name"]: contrast for contrast in declared()["contrasts"]}
COHORTS = declared()["plan"]["cohorts"]


@pytest.fixture
def recorded(tmp_path, quick):
    """Write records of a row whose accuracy in each cohort is given; returns what reads them."""
    runs = Runs("population", tmp_path, quick, PATIENTS)

    def write(name, accuracy, seed=0):
        todo = cells([all_rows()[name]], "population", len(accuracy), quick, PATIENTS)
        for cell, percent in zip(todo, accuracy, strict=True):
            rng = np.random.default_rng([seed, cell.cohort])
            right = rng.permutation(np.arange(2 * PATIENTS) < percent / 100 * 2 * PATIENTS).reshape(PATIENTS, 2)
            counts = np.diag([20, 30, 10, 40]) + np.array([[0, 20, 0, 0], [10, 0, 0, 0], [0, 0, 0, 10], [0, 0, 60, 0]])
            test = {"slices": "2" * PATIENTS, "correct": "".join(map(str, right.sum(axis=1)))}
            test |= {"accuracy": round(100 * right.mean(), 3), "confusion": counts.tolist()}
            test |= {"AUC": 0.9, "ECE": 0.1, "loss": 0.5}
            record = {"row": {"name": name}, "cohort": cell.cohort, "fold": None, "tests": {cell.pools[0]: test}}
            write_record(cell.path(tmp_path), {**code_provenance(), **record})
        return runs

    return write


def spread(n, mean, sd):
    """n numbers with just this mean and sd."""
    at = stats.norm.ppf((np.arange(n) + 0.5) / n)
    return mean + sd * (at - at.mean()) / at.std(ddof=1)


def test_rows_are_compared_cohort_by_cohort(recorded):
    base = np.linspace(60, 80, 12)
    recorded("scratch", base)
    runs = recorded("model 1", base + spread(12, 3, 2))
    line = runs.compare({"gain": ("model 1", "scratch")}).loc["gain"]
    t = stats.ttest_1samp((runs.accuracy("model 1")["model 1"] - runs.accuracy("scratch")["scratch"]), 0)
    assert (line["n"], line["difference"], line["sd"]) == pytest.approx((12, 3, 2), abs=0.1)
    assert (line["low"], line["high"]) == pytest.approx(t.confidence_interval(), abs=1e-9)
    assert (line["low 90"], line["high 90"]) == pytest.approx(t.confidence_interval(0.9), abs=1e-9)
    none = runs.compare({"half": ("model 1", "model 0")})
    assert none.loc["half", "n"] == 0
    assert none.columns.equals(runs.compare({"gain": ("model 1", "scratch")}).columns)  # so that a figure can draw it


def test_only_cohorts_of_both_rows_count(recorded):
    recorded("scratch", [60, 70])
    runs = recorded("model 1", [61, 72, 99])
    assert runs.compare({"gain": ("model 1", "scratch")}).loc["gain", ["difference", "n"]].tolist() == [1.5, 2]
    assert runs.accuracy("scratch", "model 1").isna().sum().tolist() == [1, 0]


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
    assert (found["verdict"] == NO_RECORD).sum() == len(CONTRASTS) - 4
    first = found.loc["phase shuffle against scratch"]
    assert first["bootstrap low"] == pytest.approx(first["low"], abs=1)
    assert first["bootstrap high"] == pytest.approx(first["high"], abs=1)


def test_an_unfinished_contrast_has_no_verdict_and_shows_no_interval(recorded):
    recorded("model 1", spread(COHORTS["core"], 80, 2))
    line = recorded("scratch", spread(COHORTS["core"] - 1, 60, 2)).contrasts().loc["phase shuffle against scratch"]
    assert (line["n"], line["of"], line["verdict"]) == (COHORTS["core"] - 1, COHORTS["core"], NO_RECORD)
    assert line[["difference", "low", "high", "p, Holm", "p TOST, Holm"]].isna().all()


def test_verdicts_can_be_had_with_pandas_alone(recorded):
    """What the report shows its readers."""
    rng = np.random.default_rng(1)
    for number, (name, row) in enumerate(all_rows().items()):
        if any(name in (c["better"], c["worse"]) for c in CONTRASTS.values()):
            runs = recorded(name, 70 + number / 3 + rng.normal(0, 2, COHORTS[row.set]), seed=number)
    records = [json.loads(path.read_text()) for path in runs.out.rglob("*.json")]
    table = pd.DataFrame(
        [(r["row"]["name"], r["cohort"], next(iter(r["tests"].values()))["accuracy"]) for r in records]
    ).pivot(index=1, columns=0, values=2)
    differences = [(table[c["better"]] - table[c["worse"]]).dropna() for c in CONTRASTS.values()]
    p = multipletests([stats.ttest_1samp(d, 0).pvalue for d in differences], method="holm")[1]
    found = runs.contrasts()
    assert found["p, Holm"].tolist() == pytest.approx(p, rel=0.02)
    assert found["difference"].tolist() == pytest.approx([d.mean() for d in differences], abs=1e-3)
    assert found["verdict"].nunique() > 1
