"""From a scan to an answer: each step is counted with what the one before left it."""

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from livervlm.analyses import scan_to_answer as path
from livervlm.analyses.detection.scans import PHASES, boxed
from livervlm.analyses.scan_to_answer import FOUND, GIVEN, STILL, Found
from livervlm.base.paths import data_file
from livervlm.phantom.abdomen import abdomen_study, draw_abdomens
from livervlm.runs.records import read_record
from livervlm.scans.conventions import LILNET_CLASSES

SIZE = 64


@pytest.fixture(scope="module")
def study():
    """An abdomen with two lesions of the liver or more."""
    for number in range(40):
        (patient,) = draw_abdomens(20_000, 1, first=number)
        if len(patient.lesions) > 1:
            return abdomen_study(patient, PHASES, SIZE)
    raise AssertionError("no such patient")


@pytest.fixture(scope="module")
def scan(study):
    return boxed(study, 7)


class Says:
    """A detector that finds given boxes: (slices' places, boxes in pixels, scores)."""

    def __init__(self, at, box, score):
        self.at, self.box, self.score = np.array(at), np.array(box, dtype=float).reshape(-1, 4), np.array(score)

    def find(self, slices):
        return [
            (torch.tensor(self.box[self.at == s]), torch.tensor(self.score[self.at == s])) for s in range(len(slices))
        ]


def sure_of(kind: str):
    """A classifier that always answers one class."""
    prob = np.where(np.array(LILNET_CLASSES) == kind, 0.8, 0.04)
    return lambda lesions, at: np.tile(prob, (len(at), 1))


def everything(scan) -> Says:
    return Says(scan.at, scan.box, np.full(len(scan.at), 0.9))


def test_a_perfect_detector_takes_every_lesion_once(scan):
    found, true = path.detected(everything(scan), scan), path.true_boxes(scan)
    lesions = [Found.of(mine) for _, mine in true.groupby("lesion")]
    took = path.taken(found, lesions)
    assert sorted(took) == list(range(len(lesions)))
    for one, number in zip(found, took, strict=True):
        assert one.slices == lesions[number].slices
        assert one.box == pytest.approx(lesions[number].box)
        assert one.score == pytest.approx(0.9)
        assert one.in_slice(one.slices[0]).shape == (1, 4)
        assert one.in_slice(-1).shape == (0, 4)


def test_nothing_found_nothing_taken(scan):
    assert path.taken([], [Found.of(path.true_boxes(scan))]).tolist() == []
    found = path.detected(everything(scan), scan)
    assert path.taken(found, []).tolist() == [-1] * len(found)


def test_a_study_is_followed_to_its_answers(study, scan):
    lines = path.follow(scan, everything(scan), sure_of("HCC"), lambda: study)
    assert [line["class"] for line in lines["lesions"]] == [one.kind for one in study.findings[: len(scan.kinds)]]
    assert lines["false"] == []
    for line in lines["lesions"]:
        assert line["patient"] == 7
        assert line["score"] == pytest.approx(0.9)
        for way in (GIVEN, STILL, FOUND):
            assert np.argmax(line[way]) == LILNET_CLASSES.index("HCC")


def test_what_is_missed_has_no_answer_and_what_is_not_there_is_false(study, scan):
    free = scan.liver & ~np.isin(np.arange(len(scan.liver)), scan.at)[:, None, None]
    depth = np.stack([distance_transform_edt(one) for one in free])
    s, y, x = np.unravel_index(depth.argmax(), depth.shape)
    elsewhere = Says([s], [[x - 2, y - 2, x + 2, y + 2]], [0.6])
    lines = path.follow(scan, elsewhere, sure_of("CYST"), lambda: study)
    assert all(line[FOUND] is None and line["score"] == 0 for line in lines["lesions"])
    assert all(line[GIVEN] is not None for line in lines["lesions"])
    (false,) = lines["false"]
    assert false["score"] == pytest.approx(0.6)
    lesions, table = path.tables({"lesions": lines["lesions"], "false": lines["false"]})
    assert set(lesions[f"{FOUND}, answer"]) == {""}
    assert set(lesions[f"{GIVEN}, answer"]) == {"CYST"}
    assert (lesions[f"{FOUND}, malignant"] == 0).all()
    assert len(table) == 1


def test_boxes_outside_the_liver_and_below_the_lowest_score_are_left_out(scan):
    assert path.detected(Says([0], [[1, 1, 6, 6]], [0.9]), scan) == []
    unsure = Says(scan.at, scan.box, np.full(len(scan.at), path.LOWEST / 2))
    assert path.detected(unsure, scan) == []


def test_a_scan_with_nothing_is_not_made_again(scan):
    empty = type(scan)(
        **{name: getattr(scan, name) for name in ("hu", "liver", "pixel", "thickness", "patient")},
        box=np.zeros((0, 4), np.float32), at=np.zeros(0, int), lesion=np.zeros(0, int), kinds=(),
    )  # fmt: skip

    def never():
        raise AssertionError("made")

    assert path.follow(empty, Says([], [], []), sure_of("HCC"), never) == {"lesions": [], "false": []}


def test_a_box_that_stays_shows_what_breathing_left_there(study):
    """The phase on which the boxes lie is the same either way; the other one is cut elsewhere where the liver moved."""
    known = study.lesion_study(0)
    slices = range(known.box[0], known.box[1])
    moved, still = (path.rois(known, slices, PHASES, aligned) for aligned in (True, False))
    assert len(moved) == min(len(slices), path.SLICES)
    assert (moved[:, 1] == still[:, 1]).all()
    shift = np.subtract(known.centres["ART"], known.centres["PV"])
    assert (moved[:, 0] == still[:, 0]).all() == (abs(shift).max() < 0.5)


def test_steps_multiply():
    """Four lesions: one is not found, one gets the wrong side, one the wrong class."""
    prob = {kind: np.where(np.array(LILNET_CLASSES) == kind, 0.9, 0.02).tolist() for kind in LILNET_CLASSES}
    lines = [
        {"class": "HCC", "score": 0.0, GIVEN: prob["HCC"], STILL: prob["HCC"], FOUND: None},
        {"class": "HCC", "score": 0.9, GIVEN: prob["HCC"], STILL: prob["CYST"], FOUND: prob["FNH"]},
        {"class": "HCC", "score": 0.9, GIVEN: prob["HCC"], STILL: prob["ICC"], FOUND: prob["ICC"]},
        {"class": "CYST", "score": 0.3, GIVEN: prob["CYST"], STILL: prob["CYST"], FOUND: prob["CYST"]},
    ]
    lesions, _ = path.tables({"lesions": [{"patient": i, **line} for i, line in enumerate(lines)], "false": []})
    expected = {GIVEN: [100, 100, 100], STILL: [100, 75, 50], FOUND: [75, 50, 25]}
    pd.testing.assert_frame_equal(
        path.steps(lesions),
        pd.DataFrame(expected, ["found", "and side right", "and class right"], dtype=float).T,
    )
    assert path.steps(lesions, confidence=0.5).loc[FOUND, "found"] == 50


def test_the_answer_is_the_likeliest_class_of_the_likelier_side():
    """Malignant together with .52, though the likeliest single class is benign."""
    prob = dict.fromkeys(LILNET_CLASSES, 0.0) | {"HCC": 0.2, "ICC": 0.17, "MET": 0.15, "CYST": 0.48}
    line = {"patient": 0, "class": "HCC", "score": 0.9} | {way: list(prob.values()) for way in (GIVEN, STILL, FOUND)}
    lesions, _ = path.tables({"lesions": [line], "false": []})
    assert lesions[f"{GIVEN}, malignant"].item() == pytest.approx(0.52)
    assert lesions[f"{GIVEN}, answer"].item() == "HCC"


def test_the_whole_record_on_two_studies_and_a_cascade_that_learned_little(monkeypatch):
    monkeypatch.setattr(path, "MATRIX", 64)
    monkeypatch.setattr(path, "PROFILE", replace(path.PROFILE, size=32, epochs=1))
    made = path.record(2, patients=2, progress=False)
    assert made["data"]["studies"] == 2
    patients = {one["patient"] for part in ("lesions", "false") for one in made[part]}
    assert patients <= {0, 1}
    assert set(made["healthy"]) == {0, 1} - {one["patient"] for one in made["lesions"]}
    lesions, _ = path.tables(made)
    for way in (GIVEN, STILL):
        assert set(lesions[f"{way}, answer"]) <= set(LILNET_CLASSES)
    assert (lesions["score"].eq(0) == lesions[f"{FOUND}, answer"].eq("")).all()
    steps = path.steps(lesions)
    assert (steps.loc[[GIVEN, STILL], "found"] == 100).all()
    assert (steps.diff(axis=1).iloc[:, 1:] <= 0).all(axis=None), "each step can only lose"


def test_the_books_record_is_the_plans():
    record = read_record(data_file("results/scan_to_answer.json"))
    plan = data_file("results/scan_to_answer.md").read_text(encoding="utf-8")
    assert f"The first {record['data']['studies']} of the detection's test pool" in plan
    assert f"--studies {record['data']['studies']} " in plan
    assert record["settings"]["patients of a class"] == path.PATIENTS
    assert record["settings"]["profile"] == asdict(path.PROFILE)
    assert not record["commit"].endswith("dirty")
