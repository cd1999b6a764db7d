"""The study on key slices: a whole cohort on small data, its record, and what the records say."""

import re
from dataclasses import replace

import numpy as np
import pytest

from livervlm.analyses import key_slices
from livervlm.analyses.key_slices import cohorts, summary
from livervlm.analyses.key_slices.cohorts import MAIN, ROWS, Cohort
from livervlm.analyses.key_slices.paper import own_numbers
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
    empty = {place for place, row in declared.items() if row["open"] == "empty in the public text"}
    assert set(declared) - empty == paper
    assert len(empty) == 2
    assert all(row["open"] for row in declared.values())
    assert {row["row"] for row in declared.values()} - {None} <= set(ROWS)


def test_records_are_those_of_the_plan():
    for number, record in enumerate(summary.read_records()):
        planned = Cohort(record["settings"]["number"])
        assert record["settings"] == vars(planned)
        assert planned.number == number
        assert not record["commit"].endswith("dirty")
        assert replace(planned, number=0) == Cohort(0)


# ---- end to end


def costs(low: float, high: float) -> dict:
    """A made-up record of slices that are classified: the reader's against the selector's, and a baseline."""
    lines = {"reader": (0.7, 0.6, 0.8), "selector": (0.6, 0.5, 0.7), "middle slice": (0.3, 0.2, 0.4)}
    lines["reader - selector"] = ((low + high) / 2, low, high)
    found = {way: dict(zip(("value", "low", "high", "patients"), (*v, 80), strict=True)) for way, v in lines.items()}
    shows = {f"{way} shows": found[way] for way in lines if way != "reader - selector"}
    return {"summary": {"lesion": found | shows, "patient": found}, "lesions": {"class": ["HCC"] * 130}}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.05, 0.04, "equivalent"),
        (0.01, 0.04, "equivalent"),
        (0.01, 0.2, "reproduced"),
        (-0.2, -0.01, "not reproduced"),
        (-0.01, 0.2, "undecided"),
        (-0.06, 0.01, "undecided"),
    ],
)
def test_the_verdict_end_to_end_is_read_from_the_interval(low, high, verdict):
    assert key_slices.reader_against_selector(costs(low, high)) == verdict


def test_what_slices_cost():
    table = key_slices.slice_costs(costs(0.01, 0.2))
    assert list(table.index) == ["reader", "selector", "middle slice", "reader - selector"]
    assert table.loc["reader", "lesions right"] == "70.0 (60.0 to 80.0)"
    assert table.loc["reader - selector"].tolist() == ["10.5 (1.0 to 20.0)"] * 2 + [""]


# ---- the paper's claims


def test_every_claim_has_its_numbers_and_a_contrast_or_a_reason():
    table = key_slices.claims(key_slices.read_records())
    told = {one["claim"]: one for one in summary.declared()["claims"]}
    names = [one["name"] for one in summary.declared()["contrasts"]]
    assert all((one.get("contrast") in names) != bool(one.get("phantom")) for one in told.values())
    assert list(table.index[: len(told)]) == list(told)
    assert len(table) == len(told) + len(names) - sum("contrast" in one for one in told.values())
    judged = key_slices.contrasts(key_slices.read_records())["on the paper"]
    for claim, one in told.items():
        assert table.loc[claim, "phantom"] == (judged[one["contrast"]] if "contrast" in one else one["phantom"])


def test_claims_get_their_verdicts_once_all_cohorts_are_there():
    records = [made_up({MAIN: 6 + n % 2, "own towers, lesions only": 2}) for n in range(12)]
    line = key_slices.claims(records).loc["Organ-level pairs help beside lesion-level pairs."]
    assert line["phantom"] == "reproduced"
    assert re.fullmatch(r"\+45\.0 \(\+\d.* to \+\d.*\), n = 12", line["difference on the phantom"])


ORGANS_OF_CLIP = "CLIP, sentence 0.520, CLIP, word 0.514, higher in 8 of 15 organs"


@pytest.mark.parametrize(
    ("table", "worse", "better", "wanted"),
    [
        ("acceptance rate", "CLIP", "CLIP(FT)", "CLIP(FT) 35 of 87, CLIP 21: +16.1 points (+2.2 to +29.2)"),
        ("organ presence", "CLIP, word", "CLIP, sentence", ORGANS_OF_CLIP),
    ],
)
def test_own_numbers_in_words(table, worse, better, wanted):
    assert own_numbers(table, worse, better) == wanted
