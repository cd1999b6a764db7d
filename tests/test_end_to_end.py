"""End to end: the ROI is cut where the slice was chosen, and what is right is counted by lesion and by patient."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from livervlm.analyses.key_slices import __main__ as command
from livervlm.analyses.key_slices import end_to_end
from livervlm.analyses.key_slices.end_to_end import (
    answered,
    best_slice,
    choose,
    cut_rois,
    finer_scan,
    roi_at,
    summarize,
)
from livervlm.phantom.abdomen import AbdomenStudy
from livervlm.phantom.findings import ORGANS, Finding
from livervlm.phantom.sentences import Sentence
from livervlm.phantom.series import Series, make_series, scan_series
from livervlm.runs.records import read_record, write_record
from livervlm.scans.seeds import SEEDS, seed_of

SLICES, LUNG, MARKED = 12, 1, 5
DEVELOPMENT = seed_of("abdomens development", 2)


@pytest.fixture
def scan():
    """Slice n has 10 n HU, but lung at the top; a lesion in slices 4 to 6, largest in 5, one slice lower in ART."""
    rng, shape = np.random.default_rng(0), (SLICES, 32, 32)
    hu = 10 * np.arange(SLICES)[:, None, None] + rng.integers(-9, 10, shape)
    hu[LUNG] -= 800
    marks = {phase: np.zeros(shape, np.uint8) for phase in ("ART", "PV")}
    for phase, lower in (("ART", 1), ("PV", 0)):
        marks[phase][4 + lower : 7 + lower, 14:18, 14:18] = 1
        marks[phase][MARKED + lower, 12:20, 12:20] = 1
    lesion = SimpleNamespace(recentred={"ART": (5.0, 0.0, 0.0), "PV": (0.0, 0.0, 0.0)})
    patient = SimpleNamespace(lesions=(lesion,), places=((25.0, 15.5, 15.5),))
    findings = (Finding(kind="HCC", organ="liver", diameter=8.0, slices=(4, 6), marked=MARKED),)
    volumes = dict.fromkeys(marks, hu.astype(np.int16))
    return AbdomenStudy(patient, volumes, (5.0, 1.0, 1.0), (0.0,) * 3, "PV", np.zeros(shape), marks, findings)


@pytest.fixture
def series():
    sentences = Sentence("An HCC.", 0, "liver", "finding"), Sentence("A cyst.", 1, "kidney", "finding")
    hu, organs = np.zeros((SLICES, 2, 8, 8), np.int16), np.zeros((SLICES, len(ORGANS)))
    return Series(hu, 5.0, organs, np.ones((SLICES, 2)), (), {"seen": sentences}, 7, ("ART", "PV"))


def picks(number):
    """A scorer whose best slice is `number`, in the first phase."""
    return lambda series, sentences: np.tile((np.arange(SLICES) == number)[:, None] * [1, 0], (len(sentences), 1, 1))


def seen_slices(roi):
    """In place of a classifier: the slice that each phase of an ROI shows."""
    return " ".join(f"{round(np.median(picture) / 10)}" for picture in roi)


def test_the_best_slice_in_its_best_phase_and_the_middle_of_those_that_tie():
    assert best_slice(np.array([[0, 1], [3, 0], [2, 2]])) == 1
    assert best_slice(np.array([[0, 0], [3, 0], [1, 3], [3, 3], [0, 0]])) == 2


def test_each_way_of_choosing_gets_the_roi_of_its_slice(scan, series):
    scorers = {"selector": picks(9), "edge": picks(6), "lung": picks(LUNG), "end": picks(SLICES - 1)}
    ((line, rois),) = cut_rois(scan, choose(series, scorers), 16)
    line = answered(line, rois, seen_slices)
    assert (line["lesion"], line["class"]) == (0, "HCC")
    assert (line["reader slice"], line["reader shows"], line["reader answer"]) == (MARKED, True, "6 5")
    assert (line["selector slice"], line["selector shows"], line["selector answer"]) == (9, False, "10 9")
    assert (line["edge slice"], line["edge shows"], line["edge answer"]) == (6, True, "7 6")
    assert (line["lung slice"], line["lung answer"]) == (LUNG, "")  # no ROI of a liver
    assert (line["end slice"], line["end answer"]) == (SLICES - 1, "")  # in ART there is none below the last


def test_the_readers_roi_is_one_of_those_that_all_slices_of_the_lesion_give(scan):
    lesion = scan.lesion_study(0)
    whole = end_to_end.extract_rois(lesion, 16, phases=("ART", "PV"), margin=end_to_end.MARGIN)
    assert (roi_at(lesion, MARKED, 16) == whole.hu[MARKED - lesion.box[0]]).all()


def test_of_a_study_without_lesions_no_slice_is_chosen(series):
    without = replace(series, reports={"seen": series.reports["seen"][1:]})
    assert choose(without, {"selector": picks(4)}) == {}


def test_shares_and_intervals_by_hand():
    lines = pd.DataFrame({"patient": [3, 8, 8, 8], "class": ["HCC", "FNH", "MET", "CYST"]})
    for way, answers, shows in (
        ("reader", "HCC FNH MET HEM", [1, 1, 1, 1]),
        ("selector", "HCC HEM HEM ", [1, 0, 1, 0]),
    ):
        lines[f"{way} answer"], lines[f"{way} shows"] = answers.split(" "), np.array(shows, bool)
    table = summarize(lines)
    # Two patients drawn twice: the first alone, the second alone, each a quarter of the time, or both.
    wanted = {
        ("lesion", "reader"): (3 / 4, 2 / 3, 1),
        ("lesion", "selector"): (1 / 4, 0, 1),
        ("lesion", "reader - selector"): (1 / 2, 0, 2 / 3),
        ("lesion", "reader shows"): (1, 1, 1),
        ("lesion", "selector shows"): (1 / 2, 1 / 3, 1),
        ("patient", "reader"): (1 / 2, 0, 1),
        ("patient", "selector"): (1 / 2, 0, 1),
        ("patient", "reader - selector"): (0, 0, 0),
    }
    assert set(table.index) == set(wanted)
    for place, values in wanted.items():
        assert table.loc[place, ["value", "low", "high"]].to_list() == pytest.approx(values), place
    assert set(table["patients"]) == {2}


def test_the_finer_scan_has_the_same_slices(monkeypatch):
    monkeypatch.setattr(end_to_end, "MATRIX", 64)
    coarse, finer = scan_series(DEVELOPMENT, 1, 32, ("NC", "ART", "PV")), finer_scan(DEVELOPMENT, 1)
    assert finer.volumes["PV"].shape == (len(coarse.hu), 64, 64)
    assert coarse.spacing == finer.spacing[0]
    for p, phase in enumerate(coarse.phases):  # the same places along the body: a slice on, it is another picture
        one, other = coarse.hu[:, p].mean(axis=(1, 2)), finer.volumes[phase].mean(axis=(1, 2))
        off = [np.abs(np.roll(one, by) - other).mean() for by in (-1, 0, 1)]
        assert off[1] < 0.5 * min(off[0], off[2])
    kinds = [finding.kind for finding in finer.findings[:2]]
    assert kinds == [finding.kind for finding in coarse.findings[:2]] == [one.kind for one in finer.patient.lesions]


def test_a_record_of_a_few_studies(monkeypatch, tmp_path):
    monkeypatch.setattr(end_to_end, "MATRIX", 48)
    monkeypatch.setattr(end_to_end, "PROFILE", replace(end_to_end.PROFILE, size=16, epochs=1))
    taught_on = make_series(DEVELOPMENT, 2, progress=False)
    write_record(tmp_path / "record.json", end_to_end.record(DEVELOPMENT, 2, taught_on, patients=1, progress=False))
    record = read_record(tmp_path / "record.json")
    assert record["lesions"]["patient"] == [0, 1, 1]  # who have one lesion and two
    ways = {name.removesuffix(" answer") for name in record["lesions"] if name.endswith(" answer")}
    assert ways == {"reader", "selector", "middle slice", "places of organs"}
    assert all(record["lesions"]["reader shows"])
    assert set(record["summary"]["patient"]) == {*ways, "reader - selector"}


def test_the_command_asks_about_the_pool_that_all_cohorts_share(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(command.Cohort, "taught_on", lambda cohort, *_, **__: [cohort.use])
    monkeypatch.setattr(end_to_end, "record", lambda *given, jobs: asked.append((*given, jobs)) or {})
    monkeypatch.setattr(sys, "argv", ["key_slices", "--end-to-end", str(tmp_path / "record.json"), "--jobs", "2"])
    command.main()
    assert asked == [(SEEDS["abdomens pool"][0], 100, ["abdomens development"], 2)]
    assert (tmp_path / "record.json").is_file()
