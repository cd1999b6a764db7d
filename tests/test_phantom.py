"""The phantom: Table 1's patients, published Hounsfield units, a CT's noise, and the same bytes every time."""

import dataclasses
import hashlib
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import CLASSES
from scipy.ndimage import binary_dilation, center_of_mass

from livervlm import datasets
from livervlm.base.errors import InputError
from livervlm.phantom import patients as module
from livervlm.phantom.cohort import make_cohort, phantom_study
from livervlm.phantom.enhancement import COLUMNS
from livervlm.phantom.patients import Knobs, Patient, draw_patients, table1
from livervlm.phantom.scanner import blur, noise, noise_spectrum
from livervlm.scans.conventions import CANONICAL, CLASS_NAMES
from livervlm.scans.rois import extract_rois

OWNER = {"rim": {"ICC", "MET"}, "scar": {"FNH", "HEM"}, "nodules": {"HEM"}, "capsule": {"HCC"}, "necrosis": {"HCC"}}
OWNER["washout"] = {"HCC", "ICC", "MET"}


def digest(study) -> str:
    parts = [*study.volumes.values(), *(m for masks in study.masks.values() for m in masks.values())]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts) + repr(study.box).encode()).hexdigest()


def small(seed: int, **counts: int) -> list[Patient]:
    return draw_patients(seed, counts, Knobs(diameter=0.5))


@pytest.fixture
def few_patients(monkeypatch):
    """Three patients in place of Table 1's 85."""
    few = pd.DataFrame([(1, "CYST", 1, 2), (1, "HEM", 1, 2), (2, "HCC", 1, 3)], columns=table1().columns)
    monkeypatch.setattr(module, "table1", lambda: few)


# Cohorts


def test_cohort_has_the_cases_and_slices_of_table_1(cohort):
    patients = pd.DataFrame({"group": cohort.group, "class": cohort.label, "patient": cohort.patient})
    patients["class"] = patients["class"].map(dict(enumerate(CLASSES)))
    got = patients.groupby(["group", "class"])["patient"].agg(cases="nunique", slices="size").reset_index()
    wanted = pd.read_csv(Path(__file__).parents[1] / "data" / "table1.csv")
    pd.testing.assert_frame_equal(got, wanted, check_dtype=False)
    assert (len(cohort), len(np.unique(cohort.patient))) == (489, 85)
    assert (cohort.phases, cohort.classes, cohort.size) == (CANONICAL, CLASSES, 48)


def test_the_cohort_is_made_once_and_then_read(cohort, monkeypatch):
    monkeypatch.setattr(datasets, "make_cohort", None)
    assert datasets.load_dataset().fingerprint() == cohort.fingerprint()


def test_the_cache_tells_parameters_apart(empty_cache):
    tell = [{}, {"seed": 1}, {"aligned": False}, {"knobs": Knobs(diameter=0.4, noise=3)}]
    few = {"size": 16, "patients": {"CYST": 1, "HEM": 1}, "progress": False}
    made = [datasets.load_dataset("phantom", **{**few, "knobs": Knobs(diameter=0.4), **t}) for t in tell]
    assert len({m.fingerprint() for m in made}) == 4
    assert len(list((empty_cache / "phantom").glob("*.safetensors"))) == 4
    datasets.load_dataset("phantom", **few, knobs=Knobs(diameter=0.4), jobs=1)
    assert len(list((empty_cache / "phantom").glob("*.safetensors"))) == 4
    with pytest.raises(InputError, match=r"mine.safetensors: seed belong to the phantom"):
        datasets.load_dataset("mine.safetensors", seed=3)


def test_cohorts_of_other_sizes_classes_and_phases():
    drawn = draw_patients(0, 850)
    counts = pd.Series([p.kind for p in drawn]).value_counts()
    assert counts.to_dict() == {"CYST": 300, "HCC": 190, "HEM": 200, "FNH": 160}
    assert {p.group for p in drawn} == {1, 2, 3, 4, 5}
    for kind, row in table1().groupby("class")[["cases", "slices"]].sum().iterrows():
        slices = [p.n_slices for p in drawn if p.kind == kind]
        assert np.mean(slices) == pytest.approx(
            row["slices"] / row["cases"], abs=4 * np.std(slices) / len(slices) ** 0.5
        )
    few, small = {"CYST": 1, "MET": 1, "ICC": 1}, Knobs(diameter=0.3)
    made = make_cohort(0, 16, COLUMNS, classes=tuple(CLASS_NAMES), patients=few, knobs=small, progress=False)
    assert made.classes == ("CYST", "FNH", "HCC", "HEM", "ICC", "MET")
    turned = make_cohort(0, 16, COLUMNS, classes=("MET", "ICC", "CYST"), patients=few, knobs=small, progress=False)
    assert [turned.classes[i] for i in turned.label] == [made.classes[i] for i in made.label]
    with pytest.raises(InputError, match="patients of class ICC are not in the classes CYST, FNH, HCC, HEM"):
        make_cohort(0, 16, patients=few, progress=False)
    assert made.hu.shape[1:] == (4, 16, 16)
    assert [made.classes[i] for i in np.unique(made.label)] == ["CYST", "ICC", "MET"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_patients(0, 2), "2 patients: ask for at least 4"),
        (lambda: draw_patients(0, {"LUNG": 3}), "class 'LUNG': classes are CYST"),
        (lambda: draw_patients(0, {"CYST": 0}), "no patients"),
        (lambda: Knobs(diameter=0.0), r"knob diameter is 0.0: give a number from 0.2"),
        (lambda: Knobs(noise=float("nan")), "knob noise is nan"),
        (
            lambda: phantom_study(small(0, CYST=1)[0], without="tail"),
            "no part 'tail' to leave out: choose one of lesion",
        ),
        (lambda: phantom_study(small(0, CYST=1)[0], phases=("PV", "XX")), "phases PV, XX: give each once, of NC"),
        (lambda: phantom_study(small(0, CYST=1)[0], phases=("PV", "PV")), "phases PV, PV: give each once"),
        (lambda: make_cohort(phases=()), r"phases \(none\)"),
    ],
)
def test_bad_wishes_are_refused_in_one_line(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# Displacement


def test_what_is_cut_out_is_displaced_as_the_latents_say():
    left = []
    for patient in small(2, CYST=3, HCC=2, HEM=2):
        study, spacing = phantom_study(patient), np.array([patient.thickness, patient.pixel, patient.pixel])
        centre = {p: np.array(center_of_mass(m)) * spacing for p, m in study.masks["lesion"].items()}
        for phase in ("NC", "ART"):
            moved = centre[phase] - centre["PV"]
            assert moved == pytest.approx(patient.displacement[phase], abs=1.2)  # masks are of whole slices
            told = (np.array(study.centres[phase]) - study.centres["PV"]) * spacing
            left.append(np.linalg.norm(told - patient.displacement[phase]))
    assert 3 <= min(left) <= max(left) <= 4


def test_aligned_rois_hold_the_lesion_in_every_phase_and_slice_that_the_reference_does(cohort):
    lesion = cohort.mask("lesion").sum(axis=(2, 3))
    assert (lesion[:, -1] > 0).all()
    rows = [np.flatnonzero(cohort.patient == p) for p in np.unique(cohort.patient)]
    assert all((lesion[r].sum(axis=0) > 0.55 * lesion[r, -1].sum()).all() for r in rows)
    assert np.mean([lesion[r[len(r) // 2]].min() / lesion[r[len(r) // 2]].max() for r in rows]) > 0.8


@pytest.mark.usefixtures("few_patients")
def test_misregistered_rois_are_of_the_same_patients_and_differ_only_in_where_phases_are_cut():
    aligned, moved = (make_cohort(0, size=32, aligned=a, progress=False) for a in (True, False))
    for name in ("label", "patient", "group", "spacing"):
        assert np.array_equal(getattr(aligned, name), getattr(moved, name))
    assert np.array_equal(aligned.hu[:, -1], moved.hu[:, -1])
    assert all(not np.array_equal(aligned.hu[:, p], moved.hu[:, p]) for p in (0, 1))


def test_without_displacement_every_phase_shows_the_same_place():
    chosen = {"patients": {"CYST": 2, "HCC": 2}, "knobs": Knobs(displacement=0, diameter=0.5), "progress": False}
    lesion = make_cohort(0, 24, aligned=False, **chosen).mask("lesion")
    assert np.array_equal(lesion, np.repeat(lesion[:, -1:], 3, axis=1))


def test_a_cohort_is_cut_from_the_same_scans_that_a_study_shows():
    chosen = {"patients": {"HCC": 1, "HEM": 1}, "knobs": Knobs(diameter=0.5)}
    drawn = draw_patients(5, **chosen)
    for aligned in (True, False):
        made = make_cohort(5, 24, aligned=aligned, progress=False, **chosen)
        whole = [extract_rois(phantom_study(p), 24, phases=CANONICAL, aligned=aligned) for p in drawn]
        assert np.array_equal(made.hu, np.concatenate([rois.hu for rois in whole]))


# Pictures


def test_lesions_are_as_bright_as_their_latents_say():
    for patient in draw_patients(4, dict.fromkeys(("CYST", "FNH", "HCC", "HEM"), 3), Knobs(noise=5, atypical=0)):
        patient = dataclasses.replace(patient, patterns=tuple(p for p in patient.patterns if "liver" in p))
        study = phantom_study(patient, phases=COLUMNS)
        main = {"CYST": "cyst", "FNH": "fnh", "HCC": "hcc", "HEM": "hemangioma"}[patient.kind]
        for column, phase in enumerate(COLUMNS):
            lesion = study.masks["lesion"][phase]
            nodules = study.masks.get("nodules", {}).get(phase, np.zeros_like(lesion))
            edges = binary_dilation(~lesion | nodules, np.ones((3, 7, 7)))
            if (core := lesion & ~edges).sum() > 400:
                assert study.volumes[phase][core].mean() == pytest.approx(patient.hu[main][column], abs=5), (
                    main,
                    phase,
                )


def test_causal_parts_lie_inside_the_lesion_and_belong_to_their_class(cohort):
    lesion = cohort.mask("lesion")
    assert set(cohort.mask_names) == {"lesion", *OWNER}
    for name, kinds in OWNER.items():
        part = cohort.mask(name)
        assert not (part & ~lesion).any(), name
        assert {CLASSES[i] for i in np.unique(cohort.label[part.any(axis=(1, 2, 3))])} == kinds & set(CLASSES), name
    nodules, hem = cohort.mask("nodules").sum(axis=(2, 3)), cohort.label == 3
    assert nodules[hem, 2].sum() > 1.2 * nodules[hem, 1].sum()  # they fill in
    assert not cohort.mask("washout")[:, :2].any()  # it is a matter of the later phases


def test_noise_has_the_spread_asked_for_and_the_spectrum_declared():
    pixel, sd, side, cutoff = 0.585, 9.0, 150, 0.35
    rngs = [np.random.default_rng(i) for i in range(60)]
    picture = noise(rngs, side, pixel, sd, cutoff)
    assert (picture.std(), picture.mean()) == pytest.approx((sd, 0), rel=1e-2, abs=1e-3)
    power = (np.abs(np.fft.fft2(picture.astype(float))) ** 2).mean(axis=0)
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(side, pixel), np.fft.fftfreq(side, pixel)))
    edges = np.linspace(0.02, 0.7, 18)
    rings = [(f >= a) & (f < b) for a, b in pairwise(edges)]
    measured, declared = (
        np.array([values[ring].mean() for ring in rings]) for values in (power, noise_spectrum(f, cutoff))
    )
    assert measured / measured.sum() == pytest.approx(declared / declared.sum(), abs=0.003)
    assert abs(np.corrcoef(picture[:-1].ravel(), picture[1:].ravel())[0, 1]) < 0.01


def test_the_noise_of_a_scan_is_the_latent_one():
    patient = dataclasses.replace(small(0, CYST=1)[0], liver_unevenness=0.0, patterns=())
    with_noise, without = (phantom_study(dataclasses.replace(patient, noise=sd)) for sd in (9.0, 0.0))
    difference = with_noise.volumes["ART"].astype(float) - without.volumes["ART"]
    assert difference.std() == pytest.approx(np.hypot(9.0, np.sqrt(2 / 12)), rel=0.03)  # both were rounded


def test_the_point_spread_has_its_width_and_ends():
    point = np.zeros((1, 41, 41), dtype=np.float32)
    point[0, 20, 20] = 1
    spread, at = blur(point, 0.5, 1.0)[0], (np.arange(41) - 20) * 0.5
    assert spread.sum() == pytest.approx(1, rel=1e-5)
    assert np.sqrt((spread.sum(axis=0) * at**2).sum()) == pytest.approx(1.0, rel=0.03)
    assert (spread[:, abs(at) > 3.5] == 0).all()


def test_lesions_are_no_ellipses_and_change_from_slice_to_slice():
    filled = []
    for patient in draw_patients(3, {"CYST": 12}, Knobs(diameter=0.8)):
        lesion = phantom_study(patient).masks["lesion"]["PV"]
        areas = lesion.sum(axis=(1, 2))
        assert len(set(areas[areas > 0])) > 1 or (areas > 0).sum() == 1
        outline = np.cov(np.nonzero(lesion[areas.argmax()]))
        filled.append(areas.max() / (4 * np.pi * np.sqrt(np.linalg.det(outline))))  # of an ellipse with these moments
    assert np.mean(filled) < 0.993


# Counterfactuals


@pytest.mark.parametrize(
    ("part", "pattern"),
    [
        ("scar", "FNH scar"),
        ("capsule", "HCC capsule"),
        ("necrosis", "HCC necrosis"),
        ("washout", "HCC washout"),
        ("rim", "MET rim"),
        ("nodules", "HEM"),
        ("lesion", "CYST"),
    ],
)
def test_leaving_a_part_out_changes_it_and_nothing_else(part, pattern):
    patient = draw_patients(7, {pattern.split()[0]: 1}, Knobs(atypical=0, diameter=0.8))[0]
    patient = dataclasses.replace(patient, patterns=(pattern,))
    factual, counter = phantom_study(patient, phases=COLUMNS), phantom_study(patient, phases=COLUMNS, without=part)
    assert part not in counter.masks or not any(m.any() for m in counter.masks[part].values())
    assert factual.box == counter.box
    changed = 0
    for phase in COLUMNS:
        lesion, near = (binary_dilation(factual.masks[n][phase], np.ones((3, 13, 13))) for n in ("lesion", part))
        difference = factual.volumes[phase] != counter.volumes[phase]
        changed += difference.sum()
        assert not (difference & ~lesion).any(), phase
        assert (difference & ~near).sum() <= 0.3 * difference.sum(), phase  # masks leave thin ends of parts out
        if part != "lesion":
            assert np.array_equal(factual.masks["lesion"][phase], counter.masks["lesion"][phase])
    assert changed > 50


def test_a_pattern_that_is_changed_changes_the_lesion_alone():
    patient = small(3, HCC=1)[0]
    one, other = (
        phantom_study(dataclasses.replace(patient, patterns=p)) for p in (("HCC hypovascular",), ("HCC washout",))
    )
    lesion = binary_dilation(one.masks["lesion"]["ART"], np.ones((3, 13, 13)))
    different = one.volumes["ART"] != other.volumes["ART"]
    assert different.any()
    assert not (different & ~lesion).any()
    assert np.array_equal(one.masks["lesion"]["ART"], other.masks["lesion"]["ART"])


# The same bytes


@pytest.mark.usefixtures("few_patients")
def test_the_same_arguments_give_the_same_cohort_and_others_another():
    first, again, other = (make_cohort(seed, size=16, progress=False) for seed in (3, 3, 4))
    assert first.fingerprint() == again.fingerprint()
    assert first.masks.tobytes() == again.masks.tobytes()
    assert first.fingerprint() != other.fingerprint()
    told = {"kind": "phantom", "version": "2", "seed": "3", "alignment": "aligned", "patients": "Table 1"}
    assert told.items() <= first.source.items()
    assert first.source["uncertain"] == "False"


def test_more_processes_make_the_same_bytes():
    chosen = {"patients": {"CYST": 2, "HEM": 2}, "knobs": Knobs(diameter=0.3), "progress": False}
    one, two = (make_cohort(1, 16, jobs=jobs, **chosen) for jobs in (1, 2))
    assert one.fingerprint() == two.fingerprint()
    assert np.array_equal(one.masks, two.masks)


def test_another_process_makes_the_same_patient_out_of_order():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "from test_phantom import digest, phantom_study, small; print(digest(phantom_study(small(5, FNH=3)[2])))"
    )
    drawn = small(5, FNH=3)
    here = [digest(phantom_study(patient)) for patient in drawn]
    run = [sys.executable, "-c", code, str(Path(__file__).parent)]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == here[2]
    assert len(set(here)) == 3


def test_phases_do_not_depend_on_which_others_are_asked_for():
    patient = small(0, HEM=1)[0]
    three, four, two = (phantom_study(patient, phases=p) for p in (CANONICAL, COLUMNS, ("NC", "PV")))
    for phase in ("NC", "ART"):
        assert np.array_equal(three.volumes[phase], four.volumes[phase])
    assert tuple(two.volumes) == ("NC", "PV")
    assert np.array_equal(three.volumes["PV"], two.volumes["PV"])
    assert extract_rois(two, 16, phases=("NC", "PV")).hu.shape == (patient.n_slices, 2, 16, 16)


def test_a_class_without_numbers_is_told(monkeypatch):
    monkeypatch.setitem(CLASS_NAMES, "HCA", "Hepatocellular Adenoma")
    with pytest.raises(InputError, match=r"class HCA: .* data/phantom.csv has no row 'HCA slices'"):
        draw_patients(0, {"HCA": 3})
