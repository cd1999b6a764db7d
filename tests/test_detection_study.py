"""The study of detection: boxes of the phantom's lesions, the slices that teach, and a cohort's record."""

import numpy as np
import pandas as pd
import pytest
from conftest import cells_that_wait

from livervlm.analyses.detection import cohorts
from livervlm.analyses.detection import summary as told
from livervlm.analyses.detection.cohorts import Cohort, teaching_data, true_boxes
from livervlm.analyses.detection.scans import HEALTHY, PHASES, BoxedScan, boxed, teaching_slices
from livervlm.base.paths import data_file
from livervlm.evaluation.detection import SIDES, joined, measured
from livervlm.models.detector import Detector
from livervlm.models.saved import read_card
from livervlm.phantom.abdomen import abdomen_study, draw_abdomens
from livervlm.runs.records import read_record, write_record
from livervlm.scans.rois import mask_box
from livervlm.scans.seeds import seed_of

SIZE = 32


@pytest.fixture(scope="module")
def patients():
    """A healthy one and one with two lesions or more."""
    drawn = draw_abdomens(seed_of("detection development", 50), 12)
    return [next(p for p in drawn if not p.lesions), next(p for p in drawn if len(p.lesions) > 1)]


@pytest.fixture(scope="module")
def studies(patients):
    return [abdomen_study(patient, PHASES, SIZE) for patient in patients]


def test_boxes_together_are_the_box_of_the_whole_lesion(studies):
    healthy, ill = (boxed(study, number) for number, study in enumerate(studies))
    assert len(healthy.box) == 0
    assert healthy.kinds == ()
    assert len(ill.kinds) == len(studies[1].patient.lesions)
    for number in range(len(ill.kinds)):
        z0, z1, y0, y1, x0, x1 = mask_box(studies[1].mask(number))
        mine = ill.lesion == number
        low, high = ill.box[mine].min(axis=0), ill.box[mine].max(axis=0)
        assert (ill.at[mine].min(), ill.at[mine].max() + 1) == (z0, z1)
        assert [*low[:2], *high[2:]] == [x0, y0, x1, y1]


def test_a_scan_comes_back_from_its_file(studies, tmp_path):
    scan = boxed(studies[1], 7)
    scan.save(tmp_path / "scan.safetensors")
    again = BoxedScan.load(tmp_path / "scan.safetensors")
    for name in ("hu", "liver", "box", "at", "lesion"):
        assert np.array_equal(getattr(scan, name), getattr(again, name)), name
    assert (again.kinds, again.pixel, again.thickness, again.patient) == (scan.kinds, scan.pixel, 5.0, 7)


def test_as_many_slices_without_a_lesion_teach_as_with_one(studies):
    healthy, ill = (boxed(study, 0, teaching_slices(study, (0, 0))) for study in studies)
    assert len(healthy.hu) == HEALTHY
    assert len(np.unique(ill.at)) * 2 == len(ill.hu)
    assert ill.liver.any(axis=(1, 2)).sum() >= 0.75 * len(ill.hu) - 1
    hu, boxes = teaching_data([healthy, ill])
    assert hu.shape == (len(healthy.hu) + len(ill.hu), 2, SIZE, SIZE)
    assert (boxes[: len(healthy.hu)] == -1).all()
    assert (boxes[:, :, 2] > 0).sum() == len(ill.box)


def test_the_truth_finds_itself(studies):
    true = true_boxes(boxed(studies[1], 1))
    told = measured(true.drop(columns="lesion").assign(score=1.0).pipe(joined), true, [0, 1], n_boot=5)
    assert (told["value"] == 1).all()


def test_the_shipped_detector_was_not_taught_on_what_is_judged():
    folder = data_file("detector")
    detector, told = Detector.from_pretrained(folder), read_card(folder)["provenance"]
    assert (detector.phases, detector.size) == (PHASES, Cohort().size)
    assert told["use"] == "detection development"
    assert told["command"].startswith("python -m livervlm.analyses.detection --model")
    assert told["taught on"] == "a phantom, no patient"


def test_a_record_keeps_every_box_and_what_they_say(tmp_path, empty_cache, monkeypatch):
    monkeypatch.setitem(cohorts.ROWS, "small, Lite0", cohorts.Row(SIZE, "efficientnet_lite0"))
    cohort = Cohort("small, Lite0", use="detection development", studies=2, tested=2, epochs=1)
    write_record(cohort.path(tmp_path), cohort.record())
    record = read_record(tmp_path / "cohort000-small-lite0.json")
    assert record["settings"]["studies"] == 2
    assert record["settings"]["trunk"] == "efficientnet_lite0"
    assert len(record["losses"]) == 1
    assert set(record["boxes"]["found"]) >= {"patient", "slice", "x0", "score", "liver"}
    true = record["boxes"]["true"]
    assert set(zip(true["patient"].tolist(), true["lesion"].tolist(), strict=True)) == {
        (int(patient), number) for patient, kinds in record["kinds"].items() for number in range(len(kinds))
    }
    drawn = draw_abdomens(seed_of("detection development", 99), 2)
    mine = {(p, n): one.diameter for p, patient in enumerate(drawn) for n, one in enumerate(patient.lesions)}
    places = zip(true["patient"].tolist(), true["lesion"].tolist(), strict=True)
    assert true["diameter"].tolist() == pytest.approx([mine[place] for place in places])
    assert {line["matching"] for line in record["summary"]["lesions"]["measures"]} == {"one to one", "not one to one"}
    assert "by size" in record["summary"]["boxes"]


@pytest.fixture(scope="module")
def record():
    """Five studies, three with a lesion: one found in both of its slices, one surely, one unsurely; a false alarm."""
    boxes = [(0, 3, 0, 20, 0.9), (0, 4, 0, 20, 0.8), (2, 1, 0, 20, 0.3), (3, 2, 30, 45, 0.2)]
    true = pd.DataFrame([(x, x, x + side, x + side, who, at, 0) for who, at, x, side, _ in boxes])
    true.columns = [*SIDES, "patient", "slice", "lesion"]
    found = true.drop(columns="lesion").assign(score=[one[-1] for one in boxes], liver=1.0)
    wrong = pd.DataFrame([(50, 50, 60, 60, 1, 3, 0.6, 1.0)], columns=found.columns)
    found = pd.concat([found, wrong], ignore_index=True)
    return {"settings": {"row": "narrow"}, "summary": cohorts.summary(found, true, range(5))}


def test_a_detector_stands_beside_what_is_printed(record):
    table = told.detector_table([record])
    assert table.columns.tolist() == [told.PRINTED, *cohorts.ROWS]
    assert table[told.PRINTED].tolist()[:3] == ["94.2", "95.1", "93.3"]
    mine = table["narrow"].str.partition(" (")[0]
    assert mine[["F1, IoU 0.1", "recall, IoU 0.3", "precision, IoU 0.5"]].tolist() == ["67", "67", "67"]
    # Two of five livers are healthy, and one of them has the false alarm.
    assert mine[["false positives, healthy", "false positives, with lesions"]].tolist() == ["0.50", "0.00"]
    assert mine["false positives, all"] == "0.20"
    assert mine[["recall, 20 to 30 mm", "recall, 30 to 50 mm"]].tolist() == ["100 of 2", "0 of 1"]
    assert set(table["Lite0"]) == {"waits"}
    assert set(told.detector_table([])["narrow"]) == {"waits"}


def test_the_chapter_shows_the_detectors_once_they_are_there(record):
    (cell,) = cells_that_wait("scan_to_answer", "detector_table()")
    records = [{**record, "settings": {"row": row}} for row in cohorts.ROWS]
    names = {"detector_table": lambda: told.detector_table(records)}
    assert "waits" not in eval(cell, names).to_numpy()
