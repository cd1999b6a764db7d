"""Whole abdomens: scans from neck to pelvis, with none, one or several liver lesions and other findings.

A patient lies on the back.  Slice 0 is at the neck; rows run from front to back; columns from the patient's right to
the patient's left, as a radiologist looks at them: the liver is on the left of the picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..base.errors import InputError
from ..scans.conventions import CANONICAL, PHASE_NAMES
from ..scans.rois import mask_box
from ..scans.study import Study
from .abdomen_patients import THICKNESS, TOP, AbdomenPatient, draw_abdomens
from .anatomy import Anatomy, grow_trees, near_lesion, paint_lesion, paint_pieces
from .body import paint_body
from .cohort import fine_grid
from .enhancement import COLUMNS
from .findings import ORGANS, OTHER_KINDS, Finding
from .organs import Palette, anatomy, fill, paint_parts, within
from .patients import Patient
from .scanner import blur, noise

__all__ = ["AbdomenPatient", "AbdomenStudy", "abdomen_study", "draw_abdomens", "paint_abdomen"]

SUB = 2  # the anatomy is painted this much finer than slices are thick
FINE = 1.65  # mm; larger pixels are painted twice as fine
CONTRAST = 10.0  # HU from its organ within which a finding is "iso"
AROUND = {  # organ -> the tissues that a finding in it is seen against
    "liver": ("liver",),
    "kidney": ("kidney cortex", "kidney medulla"),
    "spleen": ("spleen",),
    "gallbladder": ("bile",),
    "lung": ("lung",),
}
FLUIDS = ("pleural effusion", "ascites")
TREES = (  # part of the table, tissue of the vessels, organ they belong to, side, share of their thickness
    ("liver", "portal vein", "liver", 1, 1.0),
    ("liver", "hepatic vein", "liver", 1, 1.0),
    ("lung", "heart blood", "lung", 1, 0.6),
    ("lung", "heart blood", "lung", -1, 0.6),
    ("small bowel", "portal vein", "", 1, 0.6),
    ("small bowel", "portal vein", "", -1, 0.6),
    ("small bowel", "artery", "", 1, 0.4),
)


@dataclass(frozen=True, eq=False)
class AbdomenStudy:
    """A scan of an abdomen, from the neck down; the last of its phases is the reference.

    volumes: phase -> (Z, Y, X) int16 HU.  spacing: mm along Z, Y, X.  origin: mm of the first voxel's middle.
    organs: (Z, Y, X) uint8 in the reference phase, 0 for none, else one more than a place in `findings.ORGANS`.
    marks: phase -> (Z, Y, X) uint8, 0 for none, else one more than a place in `findings`.
    findings: the liver's lesions first, in the order of the patient's.
    """

    patient: AbdomenPatient
    volumes: Mapping[str, np.ndarray]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    reference: str
    organs: np.ndarray
    marks: Mapping[str, np.ndarray]
    findings: tuple[Finding, ...] = ()

    def mask(self, number: int, phase: str | None = None) -> np.ndarray:
        """(Z, Y, X) bool of `findings[number]` in a phase, by default the reference."""
        return self.marks[phase or self.reference] == number + 1

    def organ(self, name: str) -> np.ndarray:
        """(Z, Y, X) bool of one of `findings.ORGANS` in the reference phase; a lesion belongs to its organ."""
        if name not in ORGANS:
            raise InputError(f"organ {name!r}: choose one of {', '.join(ORGANS)}")
        return self.organs == ORGANS.index(name) + 1

    def lesion_study(self, number: int) -> Study:
        """The `Study` of one liver lesion, from which `extract_rois` cuts its ROIs."""
        lesions = self.patient.lesions
        if not 0 <= number < len(lesions):
            raise InputError(f"no liver lesion {number}: the patient has {len(lesions)}, counted from 0")
        middle = np.subtract(self.patient.places[number], self.origin) / self.spacing
        told = {p: np.divide(lesions[number].recentred[p], self.spacing) for p in self.volumes}
        told[self.reference] = np.zeros(3)
        centres = {phase: tuple((middle + by).tolist()) for phase, by in told.items()}
        masks = {"lesion": {phase: self.mask(number, phase) for phase in self.volumes}}
        box = mask_box(masks["lesion"][self.reference])
        return Study(self.volumes, self.spacing, self.reference, box, centres, masks)


# Painting


class Grown(NamedTuple):
    """A lesion as its ROI has it: its middle, its codes from 1 up, and its axes from its middle, mm."""

    place: tuple[float, float, float]
    anatomy: Anatomy
    axes: list[np.ndarray]


def grow_lesion(lesion: Patient, place: tuple[float, float, float]) -> Grown:
    """Grow one lesion without what is around it, on the grid of its own ROI."""
    _, axes = near_lesion(lesion, *fine_grid(lesion).axes)
    anatomy = Anatomy(np.zeros([len(c) for c in axes], dtype=np.uint8), first_lesion=1)
    anatomy.unevenness = paint_lesion(lesion, anatomy, anatomy.code, axes, None)
    return Grown(place, anatomy, axes)


def paint_abdomen(patient: AbdomenPatient, axes, palette: Palette) -> np.ndarray:
    """(Z, Y, X) codes of the reference phase at `axes`, ascending mm: organs, vessels and findings, on any grid."""
    body, room = paint_body(axes, patient.fat, patient.sex, patient.shape, palette)
    code = show(body, paint_viscera(patient, axes, room, palette), palette)
    for number, place in enumerate(patient.places):
        put_lesion(code, axes, grow_lesion(patient.lesions[number], place), (0, 0, 0), palette, number + 1)
    return code


def paint_viscera(patient: AbdomenPatient, axes, room: np.ndarray, palette: Palette) -> np.ndarray:
    """(Z, Y, X) codes of all that breathing moves, 0 elsewhere; room: as `paint_body` gives it."""
    code = np.zeros(room.shape, dtype=np.uint8)
    paint_parts(code, axes, "viscera", patient.shape, palette)
    paint_vessels(code, axes, patient, palette)
    for number, other in enumerate(patient.others, len(patient.lesions) + 1):
        paint_other(code, axes, room, patient, other, number, palette)
    return code


def show(body: np.ndarray, viscera: np.ndarray, palette: Palette) -> np.ndarray:
    """The viscera where the body has room for them, the body elsewhere."""
    return np.where((viscera > 0) & (body == palette.code("cavity")), viscera, body)


def put_lesion(code, axes, grown: Grown, moved, palette: Palette, number: int):
    """Put a lesion, moved by (z, y, x) mm, over whatever is there; returns the box it is in and its mosaic, HU."""
    index, there = [], []
    for c, middle, by, grid in zip(axes, grown.place, moved, grown.axes, strict=True):
        i = np.rint((c - middle - by - grid[0]) / (grid[-1] - grid[0]) * (len(grid) - 1)).astype(int)
        there.append((i >= 0) & (i < len(grid)))
        index.append(i[there[-1]])
    box = tuple(slice(t.argmax(), t.argmax() + t.sum()) for t in there)
    names = [palette.code(*names, organ="liver", finding=number) for names in grown.anatomy.tissues[1:]]
    own = np.array([0, *names], dtype=np.uint8).take(grown.anatomy.code[np.ix_(*index)])
    np.copyto(code[box], own, where=own > 0)
    return box, grown.anatomy.unevenness[np.ix_(*index)]


def paint_vessels(code, axes, patient: AbdomenPatient, palette: Palette) -> None:
    """Trees of vessels through the liver, the lungs and the fat between the loops of the small bowel."""
    parts, shape = anatomy("viscera"), patient.shape
    for name, tissue, organ, side, thin in TREES:
        half, centre = shape.half_axes(parts[name]), shape.places(parts[name], side)[0]
        box, near = within(axes, centre, half)
        if not all(len(c) for c in near):
            continue
        ends = [np.array([o - 0.8 * h, o + 0.8 * h]) for o, h in zip(centre, half, strict=True)]
        pieces = grow_trees(patient.rng(f"{name} {tissue}", side + 1), *ends)
        pieces[:, 6] *= thin
        vessels = np.zeros([len(c) for c in near], dtype=np.uint8)
        paint_pieces(vessels, *near, pieces, palette.code(tissue, organ=organ))
        only = palette.code(name, organ=organ) if organ else 0
        np.copyto(code[box], vessels, where=(code[box] == only) & (vessels > 0))


def paint_other(code, axes, room, patient: AbdomenPatient, other, number: int, palette: Palette) -> None:
    """A finding beside the liver's lesions, only in the tissues where it can be."""
    z, y, x = axes
    organ, level = OTHER_KINDS[other.kind], -z / patient.scale[0] / 10
    new = palette.code(other.kind, organ="" if other.kind in FLUIDS else organ, finding=number)
    if other.kind == "pleural effusion":  # at the back of the chest
        lung = (code == palette.code("lung", organ="lung")) & ((x > 0) == (other.side == "left"))
        fill(code, lung & (y > 70 * patient.scale[1] - other.radius)[:, None], new)
    elif other.kind == "ascites":  # along the wall, below the diaphragm, and behind the bladder
        free = ((code == 0) | (code == palette.code("fat"))) & (level < 43)[:, None, None]
        deep = np.float32(other.radius * np.interp(level, [6, 14, 30, 42], [1.0, 0.8, 0.6, 0.4]))
        low = (level[:, None] < 12) & (y > 10)
        fill(code, free & ((room < deep[:, None, None]) | low[:, :, None]), new)
    else:
        box, near = within(axes, other.centre, [other.radius] * 3)
        dz, dy, dx = np.ix_(*(c - o for c, o in zip(near, other.centre, strict=True)))
        only = [i for i, o in enumerate(palette.organs) if o == organ]
        only += [0, palette.code("fat")] if other.kind == "renal cyst" else []
        fill(code[box], (dz**2 + dy**2 + dx**2 < other.radius**2) & np.isin(code[box], only), new)


# Scanning


def abdomen_study(patient: AbdomenPatient, phases: Sequence[str] = CANONICAL, size: int = 128) -> AbdomenStudy:
    """Scan a patient from neck to pelvis: `size` x `size` pixels, slices of 5 mm, the last phase the reference.

    Between phases the viscera move with the liver, less and less towards neck and pelvis; in the grid's fine steps.
    """
    if not 1 <= len(phases) == len(set(phases) & set(PHASE_NAMES)):
        raise InputError(f"phases {', '.join(phases) or '(none)'}: give each once, of {', '.join(PHASE_NAMES)}")
    if not 16 <= size <= 1024:
        raise InputError(f"{size} pixels a side: give 16 to 1024")
    base, n = patient.base, patient.n_slices
    view = 2 * (185 * patient.scale[2] + patient.fat + 10)  # mm, the widest of the body and some air
    pixel, k = view / size, 1 if view / size <= FINE else 2
    spacing, sub = np.array([THICKNESS, pixel, pixel]), (SUB, k, k)
    origin = np.array([-TOP * 10 * patient.scale[0] + THICKNESS / 2, *[pixel / 2 - view / 2] * 2])
    grid = zip(origin, spacing, (n, size, size), sub, strict=True)
    axes = [o + d * ((np.arange(m * s) + 0.5) / s - 0.5) for o, d, m, s in grid]
    palette = Palette()
    body, room = paint_body(axes, patient.fat, patient.sex, patient.shape, palette)
    viscera = paint_viscera(patient, axes, room, palette)
    lesions = [grow_lesion(one, place) for one, place in zip(patient.lesions, patient.places, strict=True)]
    share = np.interp(-axes[0] / patient.scale[0] / 10, [8, 22, 49, 62], [0, 1, 1, 0])
    volumes, marks, organs = {}, {}, np.zeros((n, size, size), dtype=np.uint8)
    for phase in phases:
        moved = np.zeros(3) if phase == phases[-1] else np.array(base.displacement[phase])
        z, y, x = moved / spacing * sub
        index = [np.arange(len(c)) - np.rint(s).astype(int) for c, s in zip(axes, (z * share, y, x), strict=True)]
        seen = viscera[np.ix_(*(i.clip(0, len(i) - 1) for i in index))] if moved.any() else viscera
        code = show(body, seen, palette)
        placed = [put_lesion(code, axes, one, moved, palette, j + 1) for j, one in enumerate(lesions)]
        volumes[phase], marks[phase] = scan(patient, phase, code, placed, palette, (n, size, size), sub, pixel)
    lut = np.array([ORGANS.index(o) + 1 if o else 0 for o in palette.organs], dtype=np.uint8)
    organs = lut[code[tuple(slice(s // 2, None, s) for s in sub)]]  # the fine voxel at the middle or next to it
    # A lesion is marked in a voxel at least; another finding that fills none is not reported.
    for number, place in enumerate(patient.places, 1):
        if not (marks[phases[-1]] == number).any():
            marks[phases[-1]][tuple(np.rint((np.array(place) - origin) / spacing).astype(int))] = number
    seen = np.unique(marks[phases[-1]])[1:]
    order = np.zeros(256, dtype=np.uint8)
    order[seen] = np.arange(1, len(seen) + 1)
    marks = {phase: order[mark] for phase, mark in marks.items()}
    study = AbdomenStudy(patient, volumes, tuple(spacing.tolist()), tuple(origin.tolist()), phases[-1], organs, marks)
    return replace(study, findings=tuple(_findings(study, seen)))


def scan(patient: AbdomenPatient, phase: str, code, placed, palette: Palette, shape, sub, pixel: float):
    """The picture, (Z, Y, X) int16 HU, and the number of the finding that fills at least half of each voxel, uint8."""
    base, column = patient.base, COLUMNS.index(phase)
    hu = base.hu | {"cavity": base.hu["fat"]}
    level = np.float32([hu[names[column]][column] for names in palette.tissues])
    numbers = np.array(palette.findings)
    true, marks = np.empty(shape, dtype=np.float32), np.zeros(shape, dtype=np.uint8)
    blocks = (SUB, shape[1], sub[1], shape[2], sub[2])
    for j in range(shape[0]):  # a slice at a time stays in the processor's cache
        fine = slice(j * SUB, (j + 1) * SUB)
        slab = level.take(code[fine])
        for box, mosaic in placed:
            a, b = max(fine.start, box[0].start), min(fine.stop, box[0].stop)
            if a < b:
                slab[a - fine.start : b - fine.start, box[1], box[2]] += mosaic[a - box[0].start : b - box[0].start]
        true[j] = slab.reshape(blocks).mean(axis=(0, 2, 4))
        for number in np.unique(numbers[np.unique(code[fine])])[1:]:
            part = np.isin(code[fine], np.flatnonzero(numbers == number)).reshape(blocks)
            marks[j][part.mean(axis=(0, 2, 4)) >= 0.5] = number
    picture = blur(true, pixel, base.point_spread)
    rngs = [patient.rng(f"noise {phase}", j) for j in range(shape[0])]
    picture += noise(rngs, shape[1], pixel, base.noise, base.noise_cutoff)
    return np.rint(picture).clip(-1024, 3071).astype(np.int16), marks


def _findings(study: AbdomenStudy, seen: np.ndarray):
    """What a reader would report of the findings that are seen, numbers from 1, measured on the reference's masks."""
    patient = study.patient
    told = [(p.kind, "liver", "", s) for p, s in zip(patient.lesions, patient.segments, strict=True)]
    told += [(o.kind, OTHER_KINDS[o.kind], o.side, 0) for o in patient.others]
    for i, (kind, organ, side, segment) in enumerate(told[j - 1] for j in seen):
        mask = study.mask(i)
        area = mask.sum(axis=(1, 2))
        shown = np.flatnonzero(area)
        marked = int(area.argmax())
        yield Finding(
            kind=kind,
            organ=organ,
            side=side,
            segment=segment,
            diameter=_diameter(mask[marked], study.spacing[1]),
            slices=(int(shown[0]), int(shown[-1])),
            marked=marked,
            attenuation={} if kind in FLUIDS else {p: _attenuation(study, i, organ, p) for p in study.volumes},
        )


def _diameter(mask: np.ndarray, pixel: float) -> float:
    """mm, the largest extent of a (Y, X) mask over all directions."""
    y, x = np.nonzero(mask)
    turns = np.linspace(0, np.pi, 24, endpoint=False)[:, None]
    return round(float((np.ptp(x * np.cos(turns) + y * np.sin(turns), axis=1).max() + 1) * pixel), 1)


def _attenuation(study: AbdomenStudy, number: int, organ: str, phase: str) -> str:
    """How a finding looks against the tissue of its organ in a phase."""
    hu, column = study.patient.base.hu, COLUMNS.index(phase)
    around = np.mean([hu[tissue][column] for tissue in AROUND[organ]])
    mask = study.mask(number, phase)
    if not mask.any():  # too small for the grid, in this phase
        return "iso"
    difference = study.volumes[phase][mask].mean() - around
    return "hyper" if difference > CONTRAST else "hypo" if difference < -CONTRAST else "iso"
