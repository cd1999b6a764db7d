"""The phantom: Table 1's patients, published Hounsfield units, a CT's noise, and the same bytes every time."""

import hashlib
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import binary_erosion, center_of_mass

from livervlm import datasets
from livervlm.phantom import PHANTOM_VERSION, make_cohort, phantom_study, table1
from livervlm.phantom import cohort as module
from livervlm.phantom.enhancement import draw_hu, draw_patterns, enhancement_table, pattern_rates
from livervlm.phantom.scanner import noise
from livervlm.phases import CANONICAL
from livervlm.rois import extract_rois

GOLDEN = Path(__file__).with_name("golden_phantom.json")
CLASSES = ("CYST", "FNH", "HCC", "HEM")


def golden_piece() -> dict:
    """A few coarse slices of one patient of each class."""
    piece = {}
    for number, kind in enumerate(CLASSES):
        study = phantom_study(np.random.default_rng(number), kind, 2)
        piece[kind] = extract_rois(study, 8, phases=CANONICAL, margin=1.0).hu.tolist()
    return {"version": PHANTOM_VERSION, "hu": piece}


def digest(study) -> str:
    parts = [*study.volumes.values(), *(m for masks in study.masks.values() for m in masks.values())]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts) + repr(study.box).encode()).hexdigest()


@pytest.fixture
def few_patients(monkeypatch):
    """Three patients in place of Table 1's 85."""
    few = pd.DataFrame([(1, "CYST", 1, 2), (1, "HEM", 1, 2), (2, "HCC", 1, 3)], columns=table1().columns)
    monkeypatch.setattr(module, "table1", lambda: few)


def test_cohort_has_the_cases_and_slices_of_table_1(cohort):
    patients = pd.DataFrame({"group": cohort.group, "class": cohort.label, "patient": cohort.patient})
    patients["class"] = patients["class"].map(dict(enumerate(CLASSES)))
    got = patients.groupby(["group", "class"])["patient"].agg(cases="nunique", slices="size").reset_index()
    wanted = pd.read_csv(Path(__file__).parents[1] / "data" / "table1.csv")
    pd.testing.assert_frame_equal(got, wanted, check_dtype=False)
    assert (len(cohort), len(np.unique(cohort.patient))) == (489, 85)
    assert (cohort.phases, cohort.classes, cohort.size) == (CANONICAL, CLASSES, 64)


def test_the_cohort_is_made_once_and_then_read(cohort, monkeypatch):
    monkeypatch.setattr(datasets, "make_cohort", None)
    assert datasets.load_dataset().fingerprint() == cohort.fingerprint()


def test_every_patient_shows_a_lesion_in_every_phase_of_the_middle_slice(cohort):
    share = cohort.mask("lesion").mean(axis=(2, 3))
    for patient in np.unique(cohort.patient):
        rows = np.flatnonzero(cohort.patient == patient)
        assert (share[rows[len(rows) // 2]] > 0.1).all(), patient


def test_causal_parts_lie_inside_the_lesion_and_belong_to_their_class(cohort):
    lesion = cohort.mask("lesion")
    owner = {"scar": 1, "capsule": 2, "necrosis": 2, "washout": 2, "nodules": 3}
    assert set(cohort.mask_names) == {"lesion", *owner}
    for name, label in owner.items():
        part = cohort.mask(name)
        assert not (part & ~lesion).any(), name
        assert set(cohort.label[part.any(axis=(1, 2, 3))]) == {label}, name


@pytest.mark.parametrize(
    ("kind", "tissue", "without"), [(0, "cyst", ""), (1, "fnh", "scar"), (3, "hemangioma", "nodules")]
)
def test_lesions_are_as_bright_as_the_table_says(cohort, kind, tissue, without):
    inside = cohort.mask("lesion")
    if without:
        inside = inside & ~cohort.mask(without)
    table = enhancement_table().query("tissue == @tissue").set_index("phase")
    for p, phase in enumerate(CANONICAL):
        means = []
        for patient in np.unique(cohort.patient[cohort.label == kind]):
            rows = np.flatnonzero(cohort.patient == patient)
            row = rows[len(rows) // 2]
            if without and not cohort.mask(without)[rows].any() and kind == 3:
                continue  # it fills at once: another row of the table
            core = binary_erosion(inside[row, p], iterations=5)  # away from blurred edges
            if core.sum() > 30:
                means.append(cohort.hu[row, p][core].mean())
        wanted, sd = table.loc[phase, "mean"], table.loc[phase, "sd"]
        assert len(means) > 8
        assert np.mean(means) == pytest.approx(wanted, abs=3 * sd / np.sqrt(len(means)) + 3), (phase, len(means))
        assert (np.abs(np.array(means) - wanted) < 4 * sd + 8).all()


def test_drawn_hounsfield_units_have_the_means_and_spreads_of_the_table():
    phases = ("NC", "ART", "PV", "DL")
    rng = np.random.default_rng(0)
    draws = [draw_hu(rng, phases) for _ in range(300)]
    table = enhancement_table()
    assert set(draws[0]) == set(table["tissue"])
    for row in table.itertuples():
        values = np.array([d[row.tissue][phases.index(row.phase)] for d in draws])
        if row.relative_to == "liver":
            values -= [d["liver"][phases.index(row.phase)] for d in draws]
        gain = row.mean - table.query("tissue == @row.tissue and phase == 'NC'")["mean"].item()
        sd = np.hypot(row.sd, 0.1 * gain)  # the contrast dose varies by a tenth
        assert values.mean() == pytest.approx(row.mean, abs=4 * sd / np.sqrt(300) + 0.01 * abs(gain)), row
        assert values.std() == pytest.approx(sd, rel=0.25), row


def test_patterns_come_at_their_rates_and_only_to_their_class():
    rng = np.random.default_rng(1)
    for kind in CLASSES:
        drawn = [draw_patterns(rng, kind) for _ in range(400)]
        for row in pattern_rates().itertuples():
            rate = row.rate if row.pattern.startswith((kind, "liver", "organ")) else 0.0
            share = np.mean([row.pattern in patterns for patterns in drawn])
            assert share == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / 400)), (kind, row.pattern)


@pytest.mark.parametrize("table", [enhancement_table, pattern_rates])
def test_every_row_of_the_phantoms_tables_names_its_source(table):
    sources = table()["source"]
    assert len(sources) > 0
    assert sources.map(lambda text: isinstance(text, str) and len(text) > 3).all()


def test_noise_has_the_spread_asked_for_and_the_spectrum_of_a_ct():
    pixel, sd = 0.585, 11.0
    picture = noise(np.random.default_rng(0), (60, 128, 128), pixel, sd)
    assert (picture.std(), picture.mean()) == pytest.approx((sd, 0), rel=1e-3, abs=1e-3)
    power = (np.abs(np.fft.fft2(picture.astype(float))) ** 2).mean(axis=0)
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(128, pixel), np.fft.fftfreq(128, pixel)))
    edges = np.linspace(0.02, 0.7, 18)
    radial = np.array([power[(f >= a) & (f < b)].mean() for a, b in pairwise(edges)])
    middle = (edges[:-1] + edges[1:]) / 2
    ramp = middle * np.exp(-((middle / 0.35) ** 2))
    assert radial / radial.sum() == pytest.approx(ramp / ramp.sum(), abs=0.006)
    between = np.corrcoef(picture[:-1].ravel(), picture[1:].ravel())[0, 1]
    assert abs(between) < 0.01


@pytest.mark.usefixtures("few_patients")
def test_the_same_arguments_give_the_same_cohort_and_others_another():
    first, again, other = (make_cohort(seed, size=16, progress=False) for seed in (3, 3, 4))
    assert first.fingerprint() == again.fingerprint()
    assert first.masks.tobytes() == again.masks.tobytes()
    assert first.fingerprint() != other.fingerprint()
    assert first.source == {
        "kind": "phantom",
        "version": str(PHANTOM_VERSION),
        "seed": "3",
        "alignment": "aligned",
    }


def test_another_process_makes_the_same_patient():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import numpy as np; from test_phantom import digest, "
        "phantom_study; print(digest(phantom_study(np.random.default_rng(5), 'FNH', 2)))"
    )
    here = digest(phantom_study(np.random.default_rng(5), "FNH", 2))
    run = [sys.executable, "-c", code, str(Path(__file__).parent)]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == here
    assert digest(phantom_study(np.random.default_rng(6), "FNH", 2)) != here


@pytest.mark.usefixtures("few_patients")
def test_misregistered_rois_are_of_the_same_patients_and_differ_only_in_where_phases_are_cut():
    aligned, moved = (make_cohort(0, size=32, aligned=a, progress=False) for a in (True, False))
    for name in ("label", "patient", "group", "spacing"):
        assert np.array_equal(getattr(aligned, name), getattr(moved, name))
    assert np.array_equal(aligned.hu[:, -1], moved.hu[:, -1])
    assert all(not np.array_equal(aligned.hu[:, p], moved.hu[:, p]) for p in (0, 1))


def test_alignment_leaves_three_to_four_millimetres():
    left = []
    for seed in range(8):
        study = phantom_study(np.random.default_rng(seed), "CYST", 2)
        lesion = study.masks["lesion"]
        true = {p: np.array(center_of_mass(m)) - center_of_mass(lesion["PV"]) for p, m in lesion.items()}
        for phase in ("NC", "ART"):
            told = np.array(study.centres[phase]) - study.centres["PV"]
            left.append(np.linalg.norm((told - true[phase]) * study.spacing))
        assert study.centres["PV"] == pytest.approx((np.array(lesion["PV"].shape) - 1) / 2)
    assert 2.4 < np.mean(left) < 4.6  # anatomy moves by whole steps of its grid


@pytest.mark.parametrize("phases", [("NC", "PV"), ("NC", "ART", "PV", "DL")])
def test_a_study_has_the_phases_asked_for(phases):
    study = phantom_study(np.random.default_rng(0), "HCC", 3, phases)
    assert tuple(study.volumes) == phases
    assert extract_rois(study, 16, phases=phases).hu.shape == (3, len(phases), 16, 16)


def test_the_phantom_is_frozen():
    frozen = json.loads(GOLDEN.read_text())
    again = "and make the frozen piece again: python tests/test_phantom.py"
    assert frozen["version"] == PHANTOM_VERSION, f"PHANTOM_VERSION is new: {again}"
    made = golden_piece()["hu"]
    for kind in CLASSES:
        difference = np.abs(np.array(made[kind]) - np.array(frozen["hu"][kind])).max()
        assert difference <= 1, f"{kind} changed by {difference} HU: raise PHANTOM_VERSION {again}"


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden_piece()) + "\n")
