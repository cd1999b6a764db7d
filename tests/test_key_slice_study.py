"""The study on key slices: a whole cohort on small data, its record, and what the records say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import cells_that_wait

from livervlm.analyses import key_slices
from livervlm.analyses.key_slices import cohorts, summary
from livervlm.analyses.key_slices.cohorts import MAIN, ROWS, Cohort
from livervlm.analyses.key_slices.questions import QUESTIONS
from livervlm.base.errors import InputError
from livervlm.base.paths import data_file
from livervlm.evaluation.retrieval import printed
from livervlm.phantom.findings import ORGANS
from livervlm.runs.records import SCHEMA, read_record, write_record
from livervlm.scans.seeds import SEEDS

SMALL = Cohort(0, studies=3, tested=2, pairs=40, epochs=1, size=32)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """A whole cohort; the toy CLIP is taught no drawings, as that takes long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cohorts, "taught_on_drawings", lambda: cohorts.tiny_clip.TinyCLIP())
        patch.setattr(cohorts, "FOR_THRESHOLDS", 3)
        path = tmp_path_factory.mktemp("records") / "cohort000.json"
        write_record(path, SMALL.record())
    return read_record(path)


def test_a_record_holds_every_row_and_all_that_is_asked(record):
    answers, (n,) = record["answers"], record["answers"][MAIN]["as written"]["accepted"].shape
    assert set(answers) == {*ROWS, "middle slice", "largest slice of the organ", "places of organs"}
    assert set(answers[MAIN]) == {"held-out grammar", "another scanner", *QUESTIONS}
    for row, asked in answers.items():
        assert row == MAIN or set(asked) == {"as written"}
        assert {values.shape for values in asked["as written"].values()} == {(n,)}
    assert set(record["organs"]) == {name for name, row in ROWS.items() if not row.permuted}
    assert set(record["organs"][MAIN]["word"]) == set(ORGANS)
    assert record["losses"]["toy CLIP, as it is"] == []
    assert all(len(losses) == 1 for name, losses in record["losses"].items() if ROWS[name].taught)


def test_nobody_is_taught_on_who_is_tested(monkeypatch):
    asked = []
    monkeypatch.setattr(cohorts, "make_series", lambda seed, *_, **__: asked.append(seed))
    for number in range(12):
        Cohort(number).taught_on()
    assert len(set(asked)) == 12
    assert set(asked) <= set(SEEDS["abdomens"])
    Cohort(0).tested_on()
    Cohort(7).tested_on()
    assert asked[-1] == asked[-2] in SEEDS["abdomens pool"]


def test_the_other_scanner_has_the_same_patients_and_noisier_pictures():
    ours, other = SMALL.tested_on(), SMALL.tested_on(cohorts.ANOTHER_SCANNER)
    for one, two in zip(ours, other, strict=True):
        assert one.hu.shape == two.hu.shape
        assert [f.kind for f in one.findings] == [f.kind for f in two.findings]
    noise = [np.mean([np.std(s.hu[:, :, :4, :4]) for s in every]) for every in (ours, other)]  # in the air
    assert noise[1] > 1.5 * noise[0]


# ---- what the records say


def made_up(values: dict[str, float], n: int = 10) -> dict:
    """A record in which a row's first `values[row]` of n sentences are accepted, and the organs' accuracy is 0.8."""
    columns = {"open": np.array([1.0] * 4 + [0.0] * (n - 4)), "MAE slices": np.full(n, 3.0), "side": np.full(n, np.nan)}
    columns["side"][:2] = 1, 0
    answers = {}
    for row in (*ROWS, "places of organs"):
        accepted = np.float32(np.arange(n) < values.get(row, 0))
        names = ["as written", "held-out grammar", "another scanner"]
        answers[row] = {name: {**columns, "accepted": accepted} for name in names}
    organs = {name: {o: found for o in ORGANS} for name, found in (("word", [0.7, 0.4]), ("sentence", [0.8, 0.5]))}
    return {"answers": answers, "organs": {MAIN: organs}}


def test_values_by_hand():
    record = made_up({MAIN: 6})
    assert summary.value(record, MAIN) == pytest.approx(60)
    assert summary.value(record, MAIN, open_only=True) == pytest.approx(100)
    assert summary.value(record, "places of organs", open_only=True) == 0
    assert summary.value(record, MAIN, measure="MAE slices") == 3
    assert summary.value(record, MAIN, measure="side") == pytest.approx(50)  # of the two that name one
    assert summary.organ_value(record, MAIN, "sentence") == pytest.approx(80)
    assert summary.organ_value(record, MAIN, "word", "F1") == pytest.approx(40)


def test_organs_by_prompt_and_measure():
    table = summary.organs([made_up({}), made_up({})])
    assert table.loc["liver"].to_dict() == {
        ("word", "accuracy"): 0.7, ("word", "F1"): 0.4, ("sentence", "accuracy"): 0.8, ("sentence", "F1"): 0.5,
    }  # fmt: skip
    assert list(table.index) == list(ORGANS)


def test_contrasts_have_the_side_and_the_verdict_of_the_records():
    rng, n = np.random.default_rng(0), 100
    rows = {MAIN: 50, "own towers, lesions only": 30, "toy CLIP, fine-tuned": 20, "toy CLIP, as it is": 25}
    rows |= {"toy CLIP, from scratch": 20, "places of organs": 50}
    records = [made_up({row: v + rng.integers(-1, 2) for row, v in rows.items()}, n) for _ in range(12)]
    table = summary.contrasts(records)
    assert list(table.index) == [c["name"] for c in summary.declared()["contrasts"]]
    assert table.loc["lesions and organs against lesions only", "verdict"] == "reproduced"
    assert table.loc["lesions and organs against lesions only", "difference"] == pytest.approx(20, abs=1.5)
    assert table.loc["fine-tuned against as it is", "verdict"] == "not reproduced"
    assert table.loc["taught elsewhere before against from scratch", "verdict"] == "equivalent"
    assert table.loc["sentence against word", "difference"] == pytest.approx(10)


def test_no_contrast_is_looked_at_before_all_cohorts_are_there():
    records = [made_up({MAIN: 5})] * 11
    with pytest.raises(InputError, match="11 of 12 cohorts: run the others before looking"):
        summary.contrasts(records)


def test_selectors_side_by_side():
    records = [made_up({MAIN: k}) for k in (4, 6)]
    table = summary.measured(records, ["accepted", "MAE slices"])
    assert table.loc[MAIN, ("accepted", "mean")] == pytest.approx(50)
    assert table.loc[MAIN, ("accepted", "sd")] == pytest.approx(np.std([40, 60], ddof=1))
    assert table.loc[MAIN, ("MAE slices", "mean")] == 3


def test_records_are_read_in_the_order_of_their_cohorts(tmp_path):
    assert summary.read_records(tmp_path) == []
    for number in (2, 10, 1):
        write_record(Cohort(number).path(tmp_path), {"schema": SCHEMA, "number": number})
    assert [record["number"] for record in summary.read_records(tmp_path)] == [1, 2, 10]


# ---- plan and records


def test_the_plan_lists_the_contrasts_and_the_rows_that_are_declared():
    text = data_file("results/key_slices.md").read_text(encoding="utf-8")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    written = {line[0]: line[1:] for line in lines}
    for one in summary.declared()["contrasts"]:
        measure, better, worse = written[one["name"]]
        assert measure == one["better"][0] == one["worse"][0]
        for side, words in (("better", better), ("worse", worse)):
            _, row, asked = one[side]
            assert words in (row, f"{row}, {asked}")
    assert set(ROWS) <= set(written)


def test_every_row_of_the_papers_tables_is_declared_and_stands_beside_one_that_runs():
    declared = {(row["table"], row["method"]): row for row in summary.declared()["printed"]}
    paper = set()
    for table in ("acceptance rate", "slice retrieval", "organ presence"):
        found = printed(table)
        methods = found.columns.get_level_values(0) if table == "organ presence" else found.index
        paper |= {(table, method) for method in methods}
    assert set(declared) == paper
    assert all(row["open"] for row in declared.values())
    assert {row["row"] for row in declared.values()} - {None} <= set(ROWS)


def test_records_are_those_of_the_plan():
    for number, record in enumerate(summary.read_records()):
        planned = Cohort(record["settings"]["number"])
        assert record["settings"] == vars(planned)
        assert planned.number == number
        assert not record["commit"].endswith("dirty")
        assert replace(planned, number=0) == Cohort(0)


def test_the_chapter_makes_its_tables_once_the_records_are_there():
    records = key_slices.read_records()
    names = {"key_slices": key_slices, "pd": pd, "planned": 12, "done": True, "records": (records * 12)[:12]}
    shown = []
    for cell in cells_that_wait("key_slices", "if done:"):
        exec(cell, names)
        shown.append(names["paper" if "ours" in cell else "shown"])
    contrasts, measures, organs = shown
    assert contrasts.index.tolist() == [one["name"] for one in key_slices.declared()["contrasts"]]
    assert contrasts["verdict"].notna().all()
    assert measures.notna().all(axis=None)
    assert organs.columns.str.startswith("accuracy, ").any()
