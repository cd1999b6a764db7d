"""Places of the liver's segments: learned without a picture, asked in sentences that name a segment or a lobe."""

import sys

import numpy as np
import pytest

from livervlm.analyses.key_slices import __main__ as command
from livervlm.analyses.key_slices import places, read_records
from livervlm.analyses.key_slices.cohorts import MAIN, Cohort
from livervlm.analyses.key_slices.questions import baselines, sentences_of
from livervlm.base.paths import data_file
from livervlm.phantom.abdomen_patients import draw_abdomens
from livervlm.phantom.findings import ORGANS, Finding
from livervlm.phantom.sentences import Sentence
from livervlm.phantom.series import Series, make_series
from livervlm.runs.records import read_record
from livervlm.scans.seeds import seed_of

DEVELOPMENT = seed_of("abdomens development", 2)
RECORD = data_file("results") / "key_slices_places.json"


def test_a_lesions_place_is_where_a_reader_marks_it():
    """The slice of the lesion's middle and the one where it is largest: at most two apart."""
    patients, studies = draw_abdomens(DEVELOPMENT, 2), make_series(DEVELOPMENT, 2, 32, progress=False)
    found = [p * (len(one.hu) - 1) for patient, one in zip(patients, studies, strict=True)
             for p in places.positions(patient)]  # fmt: skip
    marks = [finding.marked for one in studies for finding in one.findings if finding.organ == "liver"]
    assert len(found) == 3
    assert np.abs(np.subtract(found, marks)).max() <= 2
    table = places.segment_places(patients)
    assert sum(n for n, _ in table.values()) == len(marks)
    assert {int(s) for s in table} == {s for patient in patients for s in patient.segments}


@pytest.fixture
def one():
    """11 slices with two lesions, in segments 8 above and 6 below; no picture."""
    marks = (3, 7)
    findings = tuple(
        Finding(kind="HCC", organ="liver", segment=s, diameter=20.0, slices=(m, m), marked=m)
        for s, m in zip((8, 6), marks, strict=True)
    )
    area, organs = np.zeros((11, 2)), np.zeros((11, len(ORGANS)))
    area[marks, (0, 1)] = 9
    organs[2:9, ORGANS.index("liver")] = 50
    return Series(np.zeros((11, 2, 4, 4), np.int16), 5.0, organs, area, findings, {}, 1, ("ART", "PV"))


def about(text: str, finding: int) -> Sentence:
    return Sentence(text, finding, "liver", "finding")


def test_the_place_of_a_segment_and_of_a_lobe_by_hand(one):
    known = {"8": (3, 0.2), "6": (1, 0.6), "2": (5, 0.9)}
    score = places.by_segment(known, baselines([_told(one)])["middle slice"])
    asked = [
        about(f"A lesion in {where}.", 0) for where in ("segment VIII", "the right lobe", "the liver", "segment 3")
    ]
    found = score(one, asked)
    assert found.shape == (4, 11, 2)
    assert found.max(axis=2).argmax(axis=1).tolist() == [2, 3, 5, 5]  # 0.2; (3 * 0.2 + 0.6) / 4 = 0.3; the middle


def _told(one: Series) -> Series:
    """The same with a report, as baselines learn from reports."""
    return Series(**{**vars(one), "reports": {"seen": (about("A lesion.", 0),)}})


def test_places_of_segments_tell_two_lesions_and_sides_apart(one):
    score = places.by_segment({"8": (1, 0.3), "6": (1, 0.7), "2": (1, 0.0)}, baselines([_told(one)])["middle slice"])
    asked = [(one, about("A lesion in segment 8.", 0)), (one, about("A lesion in segment 6.", 1))]
    asked.append((one, about("A lesion in the right lobe of the liver.", 0)))
    table = places.retrieve(score, asked)
    assert table["which of two"].tolist()[:2] == [1, 1]
    assert table["side"].tolist()[2] == 1  # the left lobe lies elsewhere along the body, so this, too, is told by place


def made_up() -> tuple[list[dict], dict]:
    """Two cohorts and their places, of four sentences, of which the second and the last name a segment."""
    columns = {"accepted": [0, 0, 1, 1], "which of two": [0, 1, np.nan, 0]}
    rows = {row: {"as written": {c: np.float32(v) for c, v in columns.items()}} for row in (MAIN, "places of organs")}
    records = [{"settings": {"number": n}, "answers": rows} for n in (0, 1)]
    mine = {"accepted": np.float32([1, 0]), "which of two": np.float32([1, 1])}
    return records, {"named": np.uint8([0, 1, 0, 1]), "answers": {"0": mine, "1": mine}}


def test_where_a_segment_is_named_the_row_has_its_answers_and_else_those_of_the_organ():
    records, given = made_up()
    (first, _) = found = places.with_segments(records, given)
    assert first["answers"][places.ROW]["as written"]["accepted"].tolist() == [0, 1, 1, 0]
    assert first["answers"]["places of organs"]["as written"]["accepted"].tolist() == [0, 0, 1, 1]
    assert places.ROW not in records[0]["answers"]
    assert len(found) == 2


def test_what_the_names_tell_by_hand():
    table = places.told_by_names(*made_up(), "which of two")
    assert table.loc["segment or lobe named"].tolist() == [50, 50, 100, 2]
    assert table.loc["neither named"].tolist() == [0, 0, 0, 1]


def test_the_record_of_two_small_cohorts(tmp_path, monkeypatch):
    monkeypatch.setattr(Cohort, "tested_on", lambda cohort: make_series(DEVELOPMENT, 2, 32, progress=False))
    monkeypatch.setattr(command, "Cohort", lambda number: Cohort(number, studies=4, use="abdomens development"))
    path = tmp_path / "places.json"
    monkeypatch.setattr(sys, "argv", ["key_slices", "--places", str(path), "--cohorts", "2"])
    command.main()
    record = read_record(path)
    asked = sentences_of(make_series(DEVELOPMENT, 2, 32, progress=False))
    assert record["named"].tolist() == places.names_segment(asked).astype(int).tolist()
    assert set(record["places"]) == set(record["answers"]) == {"0", "1"}
    assert record["places"]["0"] != record["places"]["1"]
    for columns in record["answers"].values():
        assert {values.shape for values in columns.values()} == {(record["named"].sum(),)}


def test_the_books_record_is_about_the_sentences_and_patients_of_the_cohorts():
    record, cohorts = read_record(RECORD), read_records()
    assert not record["commit"].endswith("dirty")
    assert set(record["answers"]) == {str(n) for n in range(12)}
    assert record["studies"] == Cohort(0).studies
    for one in cohorts:
        patient = one["answers"]["places of organs"]["as written"]["patient"]
        mine = record["answers"][str(one["settings"]["number"])]
        assert mine["patient"].tolist() == patient[record["named"].astype(bool)].tolist()
    drawn = places.segment_places(draw_abdomens(seed_of("abdomens", 3), 2))
    assert set(drawn) <= set(record["places"]["3"])
