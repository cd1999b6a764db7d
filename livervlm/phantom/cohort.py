"""From a patient to a `Study`, and from many to a `LesionSet`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import NamedTuple

import numpy as np
import scipy.fft
from joblib import Parallel, delayed

from ..base.errors import InputError
from ..base.progress import bar
from ..scans.conventions import CANONICAL, LIVER_VLM_CLASSES, PHASE_NAMES
from ..scans.lesions import LesionSet, pack_masks
from ..scans.rois import extract_rois, mask_box
from ..scans.study import Study
from .anatomy import PARTS, Anatomy, grow
from .enhancement import COLUMNS
from .patients import PHANTOM_VERSION, SUB_SLICES, Knobs, Patient, draw_patients
from .scanner import blur, noise

MARGIN = 1.5  # side of the ROI over the lesion's diameter
WIDEST = 1.2  # a lobulated lesion's extent over its diameter, hardly ever more
MASK_NAMES = ("lesion", *PARTS)


def phantom_study(patient: Patient, *, phases: Sequence[str] = CANONICAL, without: str | None = None) -> Study:
    """Scan a patient: a volume per phase; the last of `phases` is the reference, in which the box encloses the lesion.

    without: "lesion" or one of its parts, left out: the same patient and noise, and all else unchanged.  To change
    a pattern instead, give `dataclasses.replace(patient, patterns=...)`.
    """
    study = _scan(patient, phases, without)
    if without == "lesion":
        study = replace(study, box=_scan(patient, phases, None).box)  # where the lesion would be
    return study


def make_cohort(
    seed: int = 0,
    size: int = 64,
    phases: Sequence[str] = CANONICAL,
    aligned: bool = True,
    *,
    classes: Sequence[str] = LIVER_VLM_CLASSES,
    patients: int | Mapping[str, int] | None = None,
    knobs: Knobs | None = None,
    version: int = PHANTOM_VERSION,
    hospital: int | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> LesionSet:
    """A cohort of ROIs, by default with Table 1's patients and slices, group by group.

    The same arguments give the same bytes in every process, over however many processes `jobs` spreads the work.
    `aligned` recentres the ROI in every phase and leaves 3-4 mm; otherwise the box keeps its table position (paper
    Table 6, "misregistered").  classes: of the set, in this order, those of all its patients among them.
    patients, knobs, version, hospital: as in `draw_patients`.
    """
    knobs = knobs or Knobs()
    drawn = draw_patients(seed, patients, knobs, version, hospital)
    strange = {patient.kind for patient in drawn} - set(classes)
    if strange:
        raise InputError(f"patients of class {min(strange)} are not in the classes {', '.join(classes)}: name them all")
    made = Parallel(jobs, return_as="generator")(delayed(patient_rois)(p, size, tuple(phases), aligned) for p in drawn)
    rois = list(bar(made, "phantom patients", progress, total=len(drawn)))
    n_slices = [p.n_slices for p in drawn]
    return LesionSet(
        **{name: np.concatenate([part[name] for part in rois]) for name in ("hu", "spacing", "masks")},
        label=np.repeat([tuple(classes).index(p.kind) for p in drawn], n_slices),
        patient=np.repeat(np.arange(len(drawn)), n_slices),
        group=np.repeat([p.group for p in drawn], n_slices),
        classes=tuple(classes),
        phases=tuple(phases),
        mask_names=MASK_NAMES,
        source={
            "kind": "phantom",
            "version": str(version),
            "seed": str(seed),
            "alignment": "aligned" if aligned else "misregistered",
            "patients": "Table 1" if patients is None else str(patients),
            **{name: str(value) for name, value in asdict(knobs).items()},
            **({} if hospital is None else {"hospital": str(hospital)}),
        },
    )


def patient_rois(
    patient: Patient, size: int, phases: tuple[str, ...], aligned: bool = True, kept: Sequence[int] | None = None
) -> dict[str, np.ndarray]:
    """One patient's share of a cohort: `hu`, `spacing` and `masks`; of all its slices or of those `kept`, from 0."""
    study = _scan(patient, phases, None, aligned, kept)
    rois = extract_rois(study, size, phases=phases, margin=MARGIN, aligned=aligned, field=patient.field)
    return {"hu": rois.hu, "spacing": rois.spacing, "masks": pack_masks(rois.masks, MASK_NAMES)}


class FineGrid(NamedTuple):
    """Where a patient's anatomy is grown: with room for all four phases, whichever are asked for.

    shape, middle: of the volume, voxels.  above: slices over the box.  told: phase -> mm by which its ROI moves.
    steps: phase -> (z, y, x) fine voxels by which it is displaced.  low: the fine grid's first voxel in the volume.
    axes: z, y, x in mm from the lesion's middle.
    """

    shape: np.ndarray
    middle: np.ndarray
    above: int
    told: dict[str, np.ndarray]
    steps: dict[str, np.ndarray]
    low: np.ndarray
    axes: list[np.ndarray]


def fine_grid(patient: Patient) -> FineGrid:
    """The fine grid of one patient."""
    spacing = np.array([patient.thickness, patient.pixel, patient.pixel])
    moved = {p: np.array(patient.displacement[p]) for p in PHASE_NAMES}
    told = {p: np.array(patient.recentred[p]) for p in PHASE_NAMES}
    slices = {p: round(told[p][0] / patient.thickness) for p in PHASE_NAMES}  # whole slices from the reference's ROI
    above, below = 1 - min(0, *slices.values()), 1 + max(0, *slices.values())
    far = np.abs([*moved.values(), *told.values()])[:, 1:].max() + 3 * patient.point_spread
    wide = (
        MARGIN * WIDEST * patient.diameter if patient.field is None else patient.field + (WIDEST - 1) * patient.diameter
    )
    side = 2 * int(np.ceil((wide / 2 + far) / patient.pixel))
    side = scipy.fft.next_fast_len(side, real=True)
    shape = np.array([patient.n_slices + above + below, side, side])
    middle = np.array([above + (patient.n_slices - 1) / 2, (side - 1) / 2, (side - 1) / 2])
    fine = (SUB_SLICES, 1, 1)
    steps = {p: np.rint(moved[p] / spacing * fine).astype(int) for p in PHASE_NAMES}
    low = -np.max([*steps.values()], axis=0).clip(0)
    high = shape * fine - np.min([*steps.values()], axis=0).clip(max=0)
    origin = (middle + 0.5) * fine - 0.5  # the lesion's middle on the fine grid
    axes = [np.float32((np.arange(a, b) - o) * d) for a, b, o, d in zip(low, high, origin, spacing / fine, strict=True)]
    return FineGrid(shape, middle, above, told, steps, low, axes)


def _scan(
    patient: Patient,
    phases: Sequence[str],
    without: str | None,
    aligned: bool | None = None,
    kept: Sequence[int] | None = None,
) -> Study:
    """`phantom_study`; with `aligned` given, only the slices that the ROIs need, the others left at 0 HU.

    kept: of these, the ones that are scanned; the study then has no others, and in every phase at the same height.
    """
    if not 1 <= len(phases) == len(set(phases) & set(PHASE_NAMES)):
        raise InputError(f"phases {', '.join(phases) or '(none)'}: give each once, of {', '.join(PHASE_NAMES)}")
    if without not in (None, *MASK_NAMES):
        raise InputError(f"no part {without!r} to leave out: choose one of {', '.join(MASK_NAMES)}")
    n, reference, grid = patient.n_slices, phases[-1], fine_grid(patient)
    above, middle, side = grid.above, grid.middle, int(grid.shape[1])
    spacing = np.array([patient.thickness, patient.pixel, patient.pixel])
    told = {phase: grid.told[phase] if phase != reference else np.zeros(3) for phase in phases}
    steps = {phase: grid.steps[phase] if phase != reference else np.zeros(3, dtype=int) for phase in phases}
    asked = np.arange(n) if kept is None else np.asarray(kept)  # slices from the lesion's first on
    if aligned is None:
        asked = np.arange(grid.shape[0]) - above
    scanned, rows = {}, {}  # phase -> slices of the volume, and theirs of the fine grid
    for phase in phases:
        scanned[phase] = above + asked + (aligned or 0) * round(told[phase][0] / patient.thickness)
        fine = scanned[phase][:, None] * SUB_SLICES + np.arange(SUB_SLICES)
        rows[phase] = fine.ravel() - steps[phase][0] - grid.low[0]
    z = grid.axes[0]
    grown = np.arange(len(z)) if kept is None else _rows_to_grow(z, patient.height, [*rows.values()])
    anatomy = grow(patient, z[grown], *grid.axes[1:], without)

    shape, place = grid.shape, scanned
    if kept is not None:
        above, n, shape = 0, len(asked), np.array([len(asked), side, side])
        place = dict.fromkeys(phases, np.arange(n))
        middle = np.array([(n - 1) / 2, *middle[1:]])
        told = {phase: moved * (0, 1, 1) for phase, moved in told.items()}
    there = [name for name in MASK_NAMES if any(_codes(name, anatomy, p) for p in phases)]
    volumes, masks, centres = {}, {name: {} for name in there}, {}
    for phase in phases:
        centres[phase] = tuple((middle + told[phase] / spacing).tolist())
        start = -steps[phase][1:] - grid.low[1:]
        seen = (np.searchsorted(grown, rows[phase]), *(slice(a, a + side) for a in start))
        code = anatomy.code[seen]
        column = COLUMNS.index(phase)
        level = np.float32([patient.hu[names[column]][column] for names in anatomy.tissues])
        true = level.take(code)
        true += anatomy.unevenness[seen]
        thick = true.reshape(-1, SUB_SLICES, side, side).mean(axis=1)
        rngs = [patient.rng(f"noise {phase}", int(k)) for k in scanned[phase]]
        picture = blur(thick, patient.pixel, patient.point_spread)
        picture += noise(rngs, side, patient.pixel, patient.noise, patient.noise_cutoff)
        volumes[phase] = np.zeros(shape, dtype=np.int16)
        volumes[phase][place[phase]] = np.rint(picture)
        for name in masks:
            masks[name][phase] = np.zeros(shape, dtype=bool)
            masks[name][phase][place[phase]] = _thick(code, _codes(name, anatomy, phase))
    plane = mask_box(masks["lesion"][reference])[2:] if "lesion" in masks else (0, side, 0, side)
    return Study(volumes, tuple(spacing.tolist()), reference, (above, above + n, *plane), centres, masks)


def _rows_to_grow(z: np.ndarray, height: float, seen: list[np.ndarray]) -> np.ndarray:
    """Where only some rows of a fine grid are seen: these, and those that the anatomy's random fields hang on.

    They are the ends of the grid and of the lesion and the lesion's middle; so each row is as in the whole anatomy.
    """
    inside = np.flatnonzero(abs(z) < height / 2)
    return np.unique(np.concatenate([*seen, inside[[0, -1]], [0, len(z) - 1, np.searchsorted(z, 0)]]))


def _codes(name: str, anatomy: Anatomy, phase: str) -> list[int]:
    """The codes of the anatomy that belong to the lesion, or to a part of it, in a phase."""
    if name == "lesion":
        return list(range(anatomy.first_lesion, len(anatomy.tissues)))
    column = COLUMNS.index(phase)
    return [code for code, tissues in enumerate(anatomy.tissues) if tissues[column] in PARTS[name]]


def _thick(code: np.ndarray, wanted: list[int]) -> np.ndarray:
    """Fine codes seen in thick slices, bool: where those wanted fill at least half of the slice."""
    fine = np.zeros(code.shape, dtype=bool)
    for one in wanted:
        fine |= code == one
    return fine.reshape(-1, SUB_SLICES, *code.shape[1:]).sum(axis=1, dtype=np.uint8) * 2 >= SUB_SLICES
