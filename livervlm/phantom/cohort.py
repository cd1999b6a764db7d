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
    made = Parallel(jobs, return_as="generator")(delayed(_rois)(p, size, tuple(phases), aligned) for p in drawn)
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


def _rois(patient: Patient, size: int, phases: tuple[str, ...], aligned: bool) -> dict[str, np.ndarray]:
    """One patient's share of a cohort."""
    study = _scan(patient, phases, None, aligned)
    rois = extract_rois(study, size, phases=phases, margin=MARGIN, aligned=aligned)
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
    side = 2 * int(np.ceil((MARGIN * WIDEST * patient.diameter / 2 + far) / patient.pixel))
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


def _scan(patient: Patient, phases: Sequence[str], without: str | None, aligned: bool | None = None) -> Study:
    """`phantom_study`; with `aligned` given, only the slices that the ROIs need, the others left at 0 HU."""
    if not 1 <= len(phases) == len(set(phases) & set(PHASE_NAMES)):
        raise InputError(f"phases {', '.join(phases) or '(none)'}: give each once, of {', '.join(PHASE_NAMES)}")
    if without not in (None, *MASK_NAMES):
        raise InputError(f"no part {without!r} to leave out: choose one of {', '.join(MASK_NAMES)}")
    n, reference = patient.n_slices, phases[-1]
    grid = fine_grid(patient)
    shape, middle, above, told, steps, low = grid.shape, grid.middle, grid.above, grid.told, grid.steps, grid.low
    spacing, side = np.array([patient.thickness, patient.pixel, patient.pixel]), int(shape[1])
    anatomy = grow(patient, *grid.axes, without)

    there = [name for name in MASK_NAMES if any(_codes(name, anatomy, p) for p in phases)]
    volumes, masks, centres = {}, {name: {} for name in there}, {}
    for phase in phases:
        to, step = (told[phase], steps[phase]) if phase != reference else (np.zeros(3), np.zeros(3, dtype=int))
        centres[phase] = tuple((middle + to / spacing).tolist())
        first = 0 if aligned is None else above + aligned * round(to[0] / patient.thickness)
        last = int(shape[0]) if aligned is None else first + n
        start = np.array([first * SUB_SLICES, 0, 0]) - step - low
        end = np.add(start, ((last - first) * SUB_SLICES, side, side))
        seen = tuple(slice(a, b) for a, b in zip(start, end, strict=True))
        code = anatomy.code[seen]
        column = COLUMNS.index(phase)
        level = np.float32([patient.hu[names[column]][column] for names in anatomy.tissues])
        true = level.take(code)
        true += anatomy.unevenness[seen]
        thick = true.reshape(-1, SUB_SLICES, side, side).mean(axis=1)
        rngs = [patient.rng(f"noise {phase}", k) for k in range(first, last)]
        picture = blur(thick, patient.pixel, patient.point_spread)
        picture += noise(rngs, side, patient.pixel, patient.noise, patient.noise_cutoff)
        volumes[phase] = np.zeros(shape, dtype=np.int16)
        volumes[phase][first:last] = np.rint(picture)
        for name in masks:
            masks[name][phase] = np.zeros(shape, dtype=bool)
            masks[name][phase][first:last] = _thick(code, _codes(name, anatomy, phase))
    plane = mask_box(masks["lesion"][reference])[2:] if "lesion" in masks else (0, side, 0, side)
    return Study(volumes, tuple(spacing.tolist()), reference, (above, above + n, *plane), centres, masks)


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
