"""Queues, one with healthy livers: who is in it, one answer for each, and shares of patients with known values."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import cells_that_wait

from livervlm.analyses import clinical_queue, scan_to_answer
from livervlm.analyses.clinical_queue import (
    Queue,
    beside_printed,
    by_patient,
    draw_queue,
    kinds_of,
    measured,
    predictive_value,
    read_records,
)
from livervlm.analyses.scan_to_answer import FOUND, GIVEN, STILL
from livervlm.phantom.centres import NORMAL
from livervlm.runs.runner import run
from livervlm.scans.conventions import LILNET_CLASSES


def sure_of(kind: str) -> list[float]:
    return np.where(np.array(LILNET_CLASSES) == kind, 0.9, 0.02).tolist()


def lesion(patient: int, kind: str, score: float = 0.0, answer: str | None = None) -> dict:
    ways = dict.fromkeys((GIVEN, STILL), sure_of(kind)) | {FOUND: answer and sure_of(answer)}
    return {"patient": patient, "class": kind, "size": 20.0, "score": score, **ways}


@pytest.fixture
def record():
    """Ten patients: four healthy, of whom one has an alarm that counts, called a cancer, and one an unsure one."""
    return {
        "kinds": [NORMAL] * 4 + ["HCC"] * 4 + ["CYST", "HEM"],
        "lesions": [
            lesion(4, "HCC", 0.9, "HCC"),
            lesion(4, "HCC"),
            lesion(5, "HCC", 0.5, "FNH"),
            lesion(6, "HCC"),
            lesion(7, "HCC", 0.4, "HCC"),
            lesion(8, "CYST", 0.8, "CYST"),
            lesion(9, "HEM", 0.3, "HEM"),
        ],
        "false": [
            {"patient": 1, "score": 0.6, FOUND: sure_of("MET")},
            {"patient": 2, "score": 0.1, FOUND: sure_of("MET")},
            {"patient": 7, "score": 0.7, FOUND: sure_of("CYST")},
        ],
    }


def test_a_queue_has_the_papers_shares_and_a_shorter_one_begins_it():
    assert Counter(kinds_of("Sanya")) == {NORMAL: 121, "CYST": 45, "HCC": 34, "HEM": 23, "MET": 8, "ICC": 4}
    assert Counter(kinds_of("Tianfu")) == {"CYST": 117, "HCC": 24, "HEM": 22, "MET": 16, "ICC": 5}
    assert kinds_of("Sanya")[:20] == kinds_of("Sanya", 20)


def test_patients_have_what_the_queue_says():
    kinds = kinds_of("Sanya", 4)
    queue = draw_queue(8_599_999, kinds)
    for patient, kind in zip(queue, kinds, strict=True):
        assert {one.kind for one in patient.lesions} == ({kind} - {NORMAL})
    assert len({patient.seed for patient in queue}) == 4


def test_one_answer_for_each_patient(record):
    table = by_patient(record)
    assert table["found"].tolist() == [False, True, False, False, True, True, False, True, True, True]
    assert table["malignant"].tolist() == [False, True, False, False, True, False, False, True, False, False]
    # Of the last HCC the surest find is no lesion.
    assert table["answer"].tolist() == ["", "MET", "", "", "HCC", "FNH", "", "CYST", "CYST", "HEM"]
    assert by_patient(record, confidence=0.05)["found"].sum() == 7


def test_shares_count_patients(record):
    table = measured(record)
    assert table["value"].to_dict() == {
        "all: malignant or not": 7 / 10,
        "healthy liver: nothing found": 3 / 4,
        "healthy liver: not called malignant": 3 / 4,
        "benign lesion: not called malignant": 1,
        "no cancer: not called malignant": 5 / 6,
        "cancer: something found": 3 / 4,
        "cancer: called malignant": 2 / 4,
        "called malignant: has a cancer": 2 / 3,
        "not called malignant: has none": 5 / 7,
        "HCC: named": 1 / 4,
        "CYST: named": 1,
        "HEM: named": 1,
    }
    assert table.loc["called malignant: has a cancer", "patients"] == 3
    assert (table["low"] < table["value"]).all()


def test_a_queue_in_which_nothing_is_found(record):
    silent = {**record, "lesions": [], "false": []}
    table = measured(silent)
    assert table.loc["healthy liver: nothing found", "value"] == 1
    assert table.loc["cancer: something found", "value"] == 0
    assert "called malignant: has a cancer" not in table.index


def test_bayes_rule_gives_the_share_of_the_queue_itself(record):
    shares = measured(record)["value"]
    own = predictive_value(shares["cancer: called malignant"], shares["no cancer: not called malignant"], 0.4)
    assert own == pytest.approx(shares["called malignant: has a cancer"])
    assert np.isnan(predictive_value(0, 1, 0.5))


class Blind:
    """A detector that finds nothing, in small slices."""

    size = 32

    def find(self, slices):
        return [(torch.zeros(0, 4), torch.zeros(0))] * len(slices)


def test_small_queues_go_the_whole_way(tmp_path, monkeypatch):
    monkeypatch.setattr(scan_to_answer, "MATRIX", 32)
    monkeypatch.setattr(clinical_queue.Detector, "from_pretrained", lambda _: Blind())
    always = np.array([sure_of("CYST")])
    monkeypatch.setattr(clinical_queue, "teach_cascade", lambda *_, **__: lambda _, at: always.repeat(len(at), axis=0))
    assert read_records(tmp_path) == {}
    run([Queue("Tianfu", 1), Queue("Sanya", 2)], tmp_path, jobs=1, progress=False)
    records = read_records(tmp_path)
    assert [*records] == ["Sanya", "Tianfu"]
    record = records["Sanya"]
    assert record["kinds"] == kinds_of("Sanya", 2)
    assert {one["patient"] for one in record["lesions"]} == {1}, "the first is healthy"
    assert np.allclose(record["lesions"][0][GIVEN], sure_of("CYST"))
    assert measured(record)["value"].tolist() == [1, 1, 1, 1, 1, 1, 0]  # nothing found, nothing called, nothing named
    seeds = {one["data"]["seeds"]["queue"] for one in records.values()}
    assert len(seeds) == 2, "no patient is in both queues"


def test_shares_stand_beside_the_papers(record):
    tianfu = {"kinds": ["CYST", "FNH"], "lesions": [lesion(0, "CYST", 0.8, "CYST"), lesion(1, "FNH")], "false": []}
    table = beside_printed({"Sanya": record, "Tianfu": tianfu})
    shares = ["70 (40 to 89), n = 10", "90.5", "100 (34 to 100), n = 2", "91.9"]
    assert table.loc["all: malignant or not"].tolist() == shares
    assert table.loc["HEM: named", ["Sanya, printed", "Tianfu", "Tianfu, printed"]].tolist() == ["95.6", "", ""]
    assert table.loc["FNH: named", "Tianfu"].startswith("0 (0 to ")
    assert (table.loc["healthy liver: nothing found", ["Tianfu", "Sanya, printed"]] == "").all()


def test_the_chapter_reads_the_queues_once_they_are_there(record, monkeypatch):
    (cell,) = cells_that_wait("scan_to_answer", "clinical_queue.measured")
    said = []
    names = {"pd": pd, "say": said.append}
    monkeypatch.setattr(clinical_queue, "read_records", dict)
    exec(cell, names)
    assert names["shown"].columns.tolist() == ["waits for"]
    monkeypatch.setattr(clinical_queue, "read_records", lambda: {"Sanya": record})
    exec(cell, names)
    assert said[0].startswith("Sanya: of those called malignant, 67 % have a cancer.")
    assert names["shown"].loc["HEM: named", "Sanya, printed"] == "95.6"
