"""Phases on the reference: a liver that was moved is found, what is no liver is left alone, and volumes are kept."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt

pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")

import SimpleITK as sitk
from small_scans import fails

from livervlm.analyses import alignment as analysis
from livervlm.base.paths import data_file
from livervlm.book.alignment import before_after
from livervlm.phantom.abdomen import draw_abdomens
from livervlm.runs.records import read_record
from livervlm.scans.rois import extract_rois, mask_box
from livervlm.scans.seeds import seed_of
from livervlm.scans.study import PADDING, Study
from livervlm.studies import alignment
from livervlm.studies.alignment import align, likeness
from livervlm.studies.volumes import read_mask, read_volume

REAL = Path(__file__).parents[2] / "shared" / "realdata" / "totalsegmentator_example"

SPACING, SHAPE = (5.0, 3.0, 3.0), (36, 52, 56)
LIVER, LESION = (90.0, 72.0, 66.0), (92.0, 80.0, 62.0)  # middles, mm
VESSELS = ((70, 60, 50, 7), (80, 90, 90, 6), (110, 60, 80, 8), (100, 90, 40, 6), (90, 50, 60, 5))  # middle, radius
HU = {"NC": (55, 20, 45, 40), "ART": (70, 120, 130, 55), "PV": (110, 60, 160, 60)}  # liver, lesion, vessel, muscle
MOVED = {"NC": (-11.0, 3.0, -2.0), "ART": (7.5, -1.5, 2.5), "PV": (0.0, 0.0, 0.0)}


def ball(middle, radii, moved=(0, 0, 0), bend=0.0) -> np.ndarray:
    """Share of each voxel that lies in an ellipsoid; bend: mm that its ends are raised more than its middle."""
    z, y, x = (np.arange(n) * mm for n, mm in zip(SHAPE, SPACING, strict=True))
    z, y, x = np.meshgrid(z, y, x, indexing="ij")
    z = z - bend * ((x - LIVER[2]) / 50) ** 2
    places = [(c - m - by) / r for c, m, by, r in zip((z, y, x), middle, moved, np.broadcast_to(radii, 3), strict=True)]
    return np.clip((1 - np.sqrt(sum(p**2 for p in places))) * np.min(radii) / 3 + 0.5, 0, 1)


def scan(phase: str, moved=(0, 0, 0), bend=0.0, radius=15) -> tuple[np.ndarray, np.ndarray]:
    """A phase and its lesion's mask: liver, lesion and vessels move, the body and the spine do not."""
    liver, lesion, vessel, muscle = HU[phase]
    hu = np.full(SHAPE, -1000.0)
    parts = [(ball((90, 78, 84), (300, 72, 80)), -100), (ball((90, 128, 84), (300, 14, 14)), 350)]
    parts += [(ball((90, 78, 84), (300, 72, 80)) - ball((90, 78, 84), (300, 64, 72)), muscle)]
    parts += [(ball(LIVER, (55, 50, 48), moved, bend), liver)]
    parts += [(ball(v[:3], v[3], moved, bend), vessel) for v in VESSELS]
    parts += [(mass := ball(LESION, radius, moved, bend), lesion)]
    for share, value in parts:
        hu += share * (value - hu)
    noise = np.random.default_rng(sorted(HU).index(phase)).normal(0, 8, SHAPE)
    return np.rint(hu + noise).clip(PADDING + 1).astype(np.int16), mass > 0.5


def made(moved=MOVED, **told) -> Study:
    phases = {phase: scan(phase, by, **told) for phase, by in moved.items()}
    masks = {phase: mask for phase, (_, mask) in phases.items()}
    volumes = {phase: hu for phase, (hu, _) in phases.items()}
    centres = {phase: tuple(np.argwhere(mask).mean(axis=0).tolist()) for phase, mask in masks.items()}
    return Study(volumes, SPACING, "PV", mask_box(masks["PV"]), centres, {"lesion": masks})


@pytest.fixture(scope="module")
def study():
    return made()


@pytest.fixture(scope="module")
def both(study):
    return align(study)


def other(study, volume) -> Study:
    """The study with another arterial phase, and nothing but a box."""
    return replace(study, volumes={"ART": volume, "PV": study.volumes["PV"]}, masks={}, centres={})


def kept(study, aligned) -> bool:
    return aligned.volumes["ART"] is study.volumes["ART"] and "ART" not in aligned.centres


def test_a_liver_that_moved_is_found_though_the_spine_stays(both):
    found = both[1]
    assert list(found) == ["NC", "ART"]
    for phase, one in found.items():
        assert one.doubt is None
        off = np.abs(np.subtract(one.displacement, MOVED[phase]))
        assert (off <= np.divide(SPACING, 2)).all(), (phase, off)
        assert 0 <= one.before < one.after <= 1


def test_one_box_and_one_centre_hold_in_every_phase(study, both):
    aligned, before = both[0], [study.volumes[p].copy() for p in study.volumes]
    assert list(aligned.volumes) == list(study.volumes)
    assert aligned.box == study.box
    assert set(aligned.centres.values()) == {study.centres["PV"]}
    assert aligned.volumes["PV"] is study.volumes["PV"]
    for phase in ("NC", "ART"):
        assert aligned.volumes[phase].dtype == np.int16
        inside = aligned.volumes[phase][study.masks["lesion"]["PV"]]
        assert np.median(inside) == pytest.approx(HU[phase][1], abs=6)
    rois = extract_rois(aligned, 24, phases=tuple(HU)).masks["lesion"]
    for p in range(2):
        assert 2 * (rois[:, p] & rois[:, 2]).sum() > 0.85 * (rois[:, p].sum() + rois[:, 2].sum())
    assert all((a == b).all() for a, b in zip(before, study.volumes.values(), strict=True))


@pytest.mark.parametrize("radius", [7, 11, 15])
def test_the_lesion_keeps_its_volume(radius):
    study = made({"ART": MOVED["ART"], "PV": MOVED["PV"]}, radius=radius)
    aligned, found = align(study)
    assert found["ART"].doubt is None
    volumes = [one.masks["lesion"]["ART"].sum() for one in (study, aligned)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.05)
    reference = study.masks["lesion"]["PV"]
    overlap = [(one.masks["lesion"]["ART"] & reference).sum() for one in (study, aligned)]
    assert overlap[1] > overlap[0]


def test_a_mask_of_the_reference_stays(study):
    mask = study.masks["lesion"]["PV"]
    aligned, found = align(replace(study, masks={"lesion": dict.fromkeys(HU, mask)}, centres={}))
    assert all(one.doubt is None for one in found.values())
    assert all((aligned.masks["lesion"][phase] == mask).all() for phase in HU)


def test_phases_that_agree_stay():
    still = made({"ART": (0, 0, 0), "PV": (0, 0, 0)})
    found = align(still)[1]["ART"]
    assert found.doubt is None
    assert np.abs(found.displacement).max() < 0.5
    same = other(still, still.volumes["PV"].copy())
    aligned, found = align(same)
    assert (found["ART"].displacement, found["ART"].before) == ((0, 0, 0), pytest.approx(1, abs=0.01))
    assert (aligned.volumes["ART"] == same.volumes["ART"]).all()


def test_what_is_no_liver_is_left_as_it_was(study):
    rng = np.random.default_rng(3)
    doubts = {
        "too little like|over the 40 mm|no more like": rng.normal(60, 30, SHAPE).astype(np.int16),
        "is empty": np.full(SHAPE, PADDING, np.int16),
        "all values are the same": np.full(SHAPE, 50, np.int16),
    }
    for words, volume in doubts.items():
        case = other(study, volume)
        aligned, found = align(case, deform=True)
        assert any(w in found["ART"].doubt for w in words.split("|")), found
        assert kept(case, aligned)


def test_a_phase_that_was_scanned_in_part(study):
    part = study.volumes["ART"].copy()
    part[:9] = PADDING  # half of the lesion's region below it
    aligned, found = align(other(study, part))
    assert found["ART"].doubt is None
    assert (np.abs(np.subtract(found["ART"].displacement, MOVED["ART"])) <= np.divide(SPACING, 2)).all()
    volume = aligned.volumes["ART"]
    empty = (volume == PADDING).all(axis=(1, 2))
    assert empty.sum() == pytest.approx(9 - MOVED["ART"][0] / 5, abs=1)
    assert (volume[~empty] > -1100).all()
    assert volume[~empty].mean() == pytest.approx(study.volumes["ART"][9:].mean(), abs=60), "no mix with padding"
    part[:24] = PADDING
    case = other(study, part)
    aligned, found = align(case)
    assert found["ART"].doubt.startswith("shows less than 50%")
    assert kept(case, aligned)
    part[:34] = PADDING
    assert align(other(study, part))[1]["ART"].doubt.startswith("shows too little about the lesion")


@pytest.mark.skipif(not REAL.is_dir(), reason="the real CT of shared/realdata is not beside this checkout")
@pytest.mark.parametrize(
    ("ct", "seg", "steps"),
    [
        ("example_ct.nii.gz", "example_seg.nii.gz", (3, 4, -5)),
        ("example_ct_dicom", "example_seg_dicom.nii.gz", (2, 9, -11)),
    ],
)
def test_a_real_liver_that_was_moved_is_found(ct, seg, steps):
    """Of the second no more than 38 mm were scanned: less than the way that is searched."""
    image = read_volume(REAL / ct)
    liver = sitk.GetArrayFromImage(read_mask(REAL / seg, image, 5)) == 1
    hu, spacing = sitk.GetArrayFromImage(image), image.GetSpacing()[::-1]
    middle = np.argwhere(liver).mean(axis=0).astype(int)
    box = tuple(int(end) for c, mm in zip(middle, spacing, strict=True) for end in (c - 8 // mm, c + 8 // mm + 1))
    phase = np.roll(hu + np.random.default_rng(0).normal(0, 10, hu.shape).astype(np.int16), steps, (0, 1, 2))
    phase = phase.clip(PADDING + 1)
    phase[: steps[0]], phase[:, : steps[1]], phase[:, :, steps[2] :] = PADDING, PADDING, PADDING
    (found,) = align(Study({"ART": phase, "PV": hu}, spacing, "PV", box))[1].values()
    assert found.doubt is None
    assert (np.abs(np.subtract(found.displacement, np.multiply(steps, spacing))) <= np.divide(spacing, 2)).all()


def test_a_reference_of_three_slices_is_an_error(study):
    thin = {phase: volume[17:20] for phase, volume in study.volumes.items()}
    fails("reference phase PV shows too little about", align, Study(thin, SPACING, "PV", (0, 3, *study.box[2:])))


def test_further_than_the_bound_is_a_doubt(study, monkeypatch):
    monkeypatch.setattr(alignment, "LARGEST", 9.0)
    aligned, found = align(study)
    assert "over the 9 mm" in found["NC"].doubt
    assert found["NC"].displacement[0] < -9
    assert aligned.volumes["NC"] is study.volumes["NC"]
    assert aligned.masks["lesion"]["NC"] is study.masks["lesion"]["NC"]
    assert aligned.centres["NC"] == study.centres["NC"]
    assert found["ART"].doubt is None


def test_twice_is_the_same(study, both):
    again = align(study)
    assert again[1] == both[1]
    assert all((again[0].volumes[p] == both[0].volumes[p]).all() for p in HU)


def test_a_b_spline_follows_a_liver_that_bends():
    bent = made({"ART": (6.0, 0, 0), "PV": (0, 0, 0)})
    phase, mask = scan("ART", (6.0, 0, 0), bend=18.0)
    bent = replace(
        bent, volumes={**bent.volumes, "ART": phase}, masks={"lesion": {**bent.masks["lesion"], "ART": mask}}
    )
    (_, rigid), (aligned, spline) = align(bent), align(bent, deform=True)
    assert spline["ART"].after > rigid["ART"].after + 0.02
    assert aligned.masks["lesion"]["ART"].sum() == pytest.approx(mask.sum(), rel=0.05)


def test_likeness_is_of_lines_whatever_their_slope():
    rng = np.random.default_rng(0)
    a, noise = rng.normal(0, 10, (2, 12, 30, 30))
    everywhere = np.ones(a.shape, bool)
    for b, expected in ((3 * a + 5, 1), (-a, 1), (noise, 0), (a + noise, 0.5), (np.zeros_like(a), 0)):
        assert likeness(a, b, (5, 3, 3), everywhere) == pytest.approx(expected, abs=0.05)


def test_the_picture_shows_each_phase_before_and_after(study, both):
    figure = before_after(study, both[0])
    axes = np.reshape(figure.axes, (2, 3))
    assert [axis.get_title() for axis in axes[0]] == ["NC", "ART", "PV, the reference"]
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["before", "after"]
    pictures = [[axis.images[0].get_array().data for axis in row] for row in axes]
    assert (pictures[0][2] == pictures[1][2]).all()
    assert (pictures[0][0] != pictures[1][0]).any()
    plt.close(figure)


# ---- the study of residuals


def test_residuals_of_a_patient_and_their_summary(monkeypatch, tmp_path):
    monkeypatch.setattr(analysis, "MATRIX", 64)
    monkeypatch.setattr(analysis, "STEP", 5.0)
    (patient,) = draw_abdomens(seed_of("alignment development", 0), 1, first=4)
    lines = json.loads(json.dumps(analysis.residuals(patient)))
    assert [line["phase"] for line in lines] == ["NC", "ART"]
    for line in lines:
        assert line["displacement"] == list(patient.base.displacement[line["phase"]])
        assert line[analysis.NOTHING]["lesion"] == pytest.approx(np.linalg.norm(line["displacement"]), abs=0.001)
    more = [{**line, "patient": i, "displacement": [i + j, 0, 0]} for i in range(6) for j, line in enumerate(lines)]
    table = analysis.summarize({"lines": more})
    assert table["", "phases"].sum() == 12
    assert table["", "displacement"].is_monotonic_increasing
    assert (table["lesion", analysis.NOTHING] >= 0).all()
    assert list(analysis.volume_changes({"lines": more})["phases"]) == [12, 12]


def test_the_books_record_is_the_plans():
    record = read_record(data_file("results/alignment.json"))
    plan = data_file("results/alignment.md").read_text(encoding="utf-8")
    studies, lines = record["data"]["studies"], record["lines"]
    assert f"The first {studies} patients" in plan
    assert f"{len(lines)} in all" in plan
    assert len({line["patient"] for line in lines}) == studies == analysis.STUDIES
    assert record["data"]["seed"] == seed_of("alignment", 0)
    assert f"below {alignment.LEAST}," in plan
    assert f"further off than {alignment.LARGEST:.0f} mm" in plan
    assert not record["commit"].endswith("dirty")


def test_rigid_is_better_than_nothing_in_every_third_and_lesions_keep_their_volume():
    record = read_record(data_file("results/alignment.json"))
    table = analysis.summarize(record)
    for measure in ("lesion", "edge"):
        assert (table[measure, analysis.RIGID] < table[measure, analysis.NOTHING]).all()
    assert (analysis.volume_changes(record)["largest"] < 5).all()
