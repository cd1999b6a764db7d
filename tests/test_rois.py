"""Cutting lesions out of a study whose answer is known: a bright ball in an uneven liver."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass

from livervlm.base.errors import InputError
from livervlm.phantom.cohort import phantom_study
from livervlm.phantom.patients import Knobs, draw_patients
from livervlm.scans.rois import extract_rois, mask_box
from livervlm.scans.study import Study

PHASES = ("NC", "ART", "PV")
SPACING = (4.0, 0.8, 0.8)
RADIUS = 13.0  # mm
MOVES = {"NC": (1, 4, -5), "ART": (-1, -3, 2), "PV": (0, 0, 0)}  # whole voxels


def ball_study(moves=MOVES, spacing=SPACING) -> Study:
    """Every phase is the same picture, moved."""
    shape = (15, 80, 90)
    middle = np.array([7, 40, 45])
    away = [(np.arange(n) - m) * d for n, m, d in zip(shape, middle, spacing, strict=True)]
    ball = away[0][:, None, None] ** 2 + away[1][:, None] ** 2 + away[2] ** 2 <= RADIUS**2
    liver = 60 + np.random.default_rng(0).normal(0, 8, shape) + 60 * ball
    volumes = {p: np.rint(np.roll(liver, move, (0, 1, 2))).astype(np.int16) for p, move in moves.items()}
    lesion = {p: np.roll(ball, move, (0, 1, 2)) for p, move in moves.items()}
    centres = {p: tuple(middle + np.array(move)) for p, move in moves.items()}
    return Study(volumes, spacing, "PV", mask_box(ball), centres, {"lesion": lesion})


@pytest.fixture(scope="module")
def study():
    return ball_study()


def test_aligned_rois_show_the_lesion_at_one_place_in_every_phase(study):
    rois = extract_rois(study, 32, phases=PHASES)
    assert rois.hu.dtype == np.int16
    for p in (0, 1):
        assert np.array_equal(rois.hu[:, p], rois.hu[:, 2])
        assert np.array_equal(rois.masks["lesion"][:, p], rois.masks["lesion"][:, 2])


def test_misregistered_rois_show_the_lesion_where_it_had_moved(study):
    rois = extract_rois(study, 60, phases=PHASES, aligned=False)
    middle = len(rois.hu) // 2
    centres = [center_of_mass(mask) for mask in rois.masks["lesion"][middle]]
    pixel = rois.spacing[0, 1]
    for p, phase in enumerate(PHASES):
        moved = (np.array(centres[p]) - centres[2]) * pixel
        assert moved == pytest.approx(np.array(MOVES[phase][1:]) * 0.8, abs=0.15), phase
    assert centres[2] == pytest.approx((29.5, 29.5), abs=0.8 / float(pixel))  # whole voxels are cut
    aligned = extract_rois(study, 60, phases=PHASES)
    assert np.array_equal(rois.hu[:, 2], aligned.hu[:, 2])  # the reference phase does not move


def test_slices_are_those_of_the_box_and_follow_the_lesion_up_and_down(study):
    rois = extract_rois(study, 24, phases=PHASES)
    assert len(rois.hu) == study.box[1] - study.box[0] == 7
    areas = rois.masks["lesion"].sum(axis=(2, 3))
    assert (areas > 0).all()
    assert areas[:, 0].argmax() == 3
    still = extract_rois(study, 24, phases=PHASES, aligned=False).masks["lesion"].sum(axis=(2, 3))
    assert still.argmax(axis=0).tolist() == [4, 2, 3]


@pytest.mark.parametrize("size", [24, 64])
@pytest.mark.parametrize("spacing", [(4.0, 0.8, 0.8), (4.0, 0.8, 0.7), (5.0, 0.55, 0.55)])
def test_spacing_tells_the_millimetres_of_a_pixel(size, spacing):
    rois = extract_rois(ball_study(dict.fromkeys(PHASES, (0, 0, 0)), spacing), size, phases=PHASES)
    middle = rois.masks["lesion"][len(rois.hu) // 2, 0]
    dz, dy, dx = rois.spacing[0]
    assert dz == spacing[0]
    assert np.sqrt(middle.sum() * dy * dx / np.pi) == pytest.approx(RADIUS, rel=0.02)
    assert np.ptp(np.argwhere(middle), axis=0) + 1 == pytest.approx([2 * RADIUS / dy, 2 * RADIUS / dx], abs=2.1)


@pytest.mark.parametrize("width", range(10, 16))
def test_spacing_is_that_of_the_pixels_cut_not_of_the_box(width):
    ramp = np.arange(100.0) * np.ones((3, 100, 1))  # brightness counts columns
    study = Study({"PV": ramp}, (5, 1, 1), "PV", (0, 3, 40, 40 + width, 40, 40 + width))
    rois = extract_rois(study, 8, phases=("PV",))
    step = (rois.hu[0, 0, 4, 6] - rois.hu[0, 0, 4, 1]) / 5
    assert rois.spacing[0, 2] == pytest.approx(step, abs=0.21)  # rounded to whole HU
    wide = extract_rois(replace(study, volumes={"PV": ramp * 4 - 100}), 8, phases=("PV",))
    assert wide.spacing[0, 2] == pytest.approx((wide.hu[0, 0, 4, 6] - wide.hu[0, 0, 4, 1]) / 20, abs=0.06)


def test_margin_widens_the_square(study):
    rois = [extract_rois(study, 32, phases=PHASES, margin=margin) for margin in (1.0, 2.0)]
    assert rois[1].spacing[0, 1] == pytest.approx(2 * rois[0].spacing[0, 1])
    assert rois[0].spacing[0, 1] * 32 == pytest.approx(33 * 0.8)  # the ball spans 33 voxels


def test_phases_come_in_the_order_asked_for(study):
    rois = extract_rois(study, 16, phases=("ART", "PV"), aligned=False)
    full = extract_rois(study, 16, phases=PHASES, aligned=False)
    assert np.array_equal(rois.hu, full.hu[:, 1:])


def test_masks_of_every_name_are_cut(study):
    masks = {**study.masks, "scar": {p: np.zeros_like(m) for p, m in study.masks["lesion"].items()}}
    rois = extract_rois(replace(study, masks=masks), 16, phases=PHASES)
    assert set(rois.masks) == {"lesion", "scar"}
    assert not rois.masks["scar"].any()


def changed(study, change):
    volume = study.volumes["ART"].astype(np.float32)
    return replace(study, volumes={**study.volumes, "ART": change(volume)})


def holed(volume):
    volume[7, 37, 47] = np.nan
    return volume


BAD = {
    "a missing phase": (
        lambda s: replace(s, volumes={p: s.volumes[p] for p in ("NC", "PV")}),
        "phase ART is missing: the study has NC, PV",
    ),
    "NaN": (lambda s: changed(s, holed), "phase ART holds NaN"),
    "a constant picture": (lambda s: changed(s, lambda v: v * 0 + 60), "implausible HU in phase ART.*range 0"),
    "raw values": (lambda s: changed(s, lambda v: v + 1024), "implausible HU in phase ART.*median 1[01]"),
    "display values": (lambda s: changed(s, lambda v: v * 20), "implausible HU in phase ART"),
    "lung": (lambda s: changed(s, lambda v: v - 800), "implausible HU in phase ART.*median -7"),
    "padding": (
        lambda s: changed(s, lambda v: np.where(np.arange(90) < 40, -1024, v)),
        "implausible HU in phase ART.*padding [1-9]",
    ),
    "a lesion above the scan": (
        lambda s: replace(s, centres={**s.centres, "ART": (14, 40, 45)}),
        "phase ART was scanned too short",
    ),
    "a lesion below the scan": (
        lambda s: replace(s, centres={**s.centres, "NC": (1, 40, 45)}),
        "phase NC was scanned too short",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_a_study_without_a_lesion_in_the_liver_is_refused(study, change, message):
    with pytest.raises(InputError, match=message) as caught:
        extract_rois(change(study), 32, phases=PHASES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [-1, 0, 1, 3])
def test_a_picture_too_small_to_judge_is_refused(study, size):
    with pytest.raises(InputError, match="pixels"):
        extract_rois(study, size, phases=PHASES)


def test_an_roi_over_the_edge_of_the_picture_repeats_the_edge(study):
    near = {p: np.roll(v, -40, axis=2) for p, v in study.volumes.items()}  # the lesion at the left edge
    box = (*study.box[:4], 0, 20)
    rois = extract_rois(replace(study, volumes=near, box=box, centres={}, masks={}), 40, phases=PHASES)
    assert np.isfinite(rois.hu).all()
    assert np.abs(rois.hu[..., 0] - rois.hu[..., 5]).max() <= 1
    assert np.abs(rois.hu[..., 15] - rois.hu[..., 20]).max() > 10


@given(st.tuples(*(st.tuples(st.integers(0, 6), st.integers(1, 3)) for _ in range(3))))
def test_box_of_a_mask_is_the_block_that_it_was_made_of(block):
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[tuple(slice(first, first + n) for first, n in block)] = True
    assert mask_box(mask) == tuple(end for first, n in block for end in (first, first + n))


def test_box_of_an_empty_mask_is_refused():
    with pytest.raises(InputError, match="mask is empty"):
        mask_box(np.zeros((3, 3, 3), dtype=bool))


# -- The reference phase ----------------------------------------------------------------------------------------------


def test_a_study_needs_a_volume_of_its_reference_phase(study):
    with pytest.raises(InputError, match="reference phase DL: the study has only NC, ART, PV"):
        replace(study, reference="DL")


@pytest.mark.parametrize("phases", [p for n in (1, 2, 3) for p in permutations(PHASES, n)], ids="-".join)
def test_a_phase_is_cut_alike_whatever_other_phases_are_asked_for(study, phases):
    full = extract_rois(study, 24, phases=PHASES)
    part = extract_rois(study, 24, phases=phases)
    assert np.array_equal(part.hu, full.hu[:, [PHASES.index(phase) for phase in phases]])


@pytest.fixture(scope="module")
def patient():
    return draw_patients(3, {"HEM": 1}, Knobs(displacement=12))[0]


ALL = ("NC", "ART", "PV", "DL")


@pytest.mark.parametrize("phases", [p for n in (1, 2, 3, 4) for p in permutations(ALL, n)], ids="-".join)
def test_a_phantom_keeps_3_to_4_mm_in_any_phases_in_any_order(patient, phases):
    """Where the lesion lies in each phase, against where the ROI was moved to."""
    study = phantom_study(patient, phases=phases)
    assert study.reference == phases[-1]
    lesion = {p: np.array(center_of_mass(study.masks["lesion"][p])) for p in phases}
    for phase in phases[:-1]:
        moved = lesion[phase] - lesion[study.reference]
        followed = np.subtract(study.centres[phase], study.centres[study.reference])
        left = np.linalg.norm((moved - followed) * study.spacing)
        assert 3 - 0.5 < left < 4 + 0.5, phase  # half a millimetre for what the scan's thick slices blur
        cut = extract_rois(study, 64, phases=(phase,)).masks["lesion"][:, 0]
        there = extract_rois(study, 64, phases=(study.reference,))
        middle = [
            np.mean([center_of_mass(m) for m in masks if m.any()], 0) for masks in (cut, there.masks["lesion"][:, 0])
        ]
        assert np.linalg.norm((middle[0] - middle[1]) * there.spacing[0, 1:]) < 4.5, phase
