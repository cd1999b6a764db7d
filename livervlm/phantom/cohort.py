"""Phantom patients and cohorts: by default exactly the cases and slices of the paper's Table 1."""

import functools

import numpy as np
import pandas as pd

from ..lesions import CLASS_NAMES, LesionSet
from ..paths import data_file
from ..phases import CANONICAL
from ..progress import bar
from ..rois import Study, extract_rois, mask_box
from .anatomy import grow
from .enhancement import draw_hu, draw_patterns
from .scanner import scan

PHANTOM_VERSION = 1
PIXEL = 0.585  # mm, in-plane (paper section 4.1: 0.57-0.59 mm)
SUB_SLICES = 3  # anatomy is grown this much finer than slices are thick, so that slices blur edges
REACH = 18.0  # mm of liver beyond the lesion's ROI, for displaced phases to look at
TEXTURE = 3.0  # HU, sd of the unevenness of tissue
MARGIN = 1.5  # side of the ROI over the lesion's diameter
MASK_NAMES = ("lesion", "scar", "capsule", "necrosis", "washout", "nodules")


@functools.cache
def table1() -> pd.DataFrame:
    """Cases and slices by group and class: Table 1 of the paper."""
    return pd.read_csv(data_file("table1.csv"))


def phantom_study(rng: np.random.Generator, kind: str, n_slices: int, phases: tuple[str, ...] = CANONICAL) -> Study:
    """One patient: a volume per phase around a lesion that `n_slices` slices cut."""
    thickness = rng.choice([5.0, 7.0])
    noise_sd = rng.uniform(8, 13)
    height = (n_slices + 1) * thickness  # so that every one of the slices meets the lesion
    diameter = max(height * np.exp(rng.normal(0, 0.15)), 12.0)
    spacing = np.array([thickness, PIXEL, PIXEL])
    step = spacing / (SUB_SLICES, 1, 1)
    around = int(np.ceil(REACH / thickness))  # slices above and below the lesion
    side = 2 * int(np.ceil((MARGIN * 1.3 * diameter / 2 + REACH) / PIXEL))
    shape = (SUB_SLICES * (n_slices + 2 * around), side, side)
    anatomy = grow(rng, kind, draw_patterns(rng, kind), diameter, height, shape, tuple(step))
    painted = np.zeros(shape, dtype=np.uint8)  # number of the tissue on top
    for number, where in enumerate(anatomy.tissues.values()):
        painted[where] = number

    hu = draw_hu(rng, phases)
    middle = (np.array([n_slices + 2 * around, side, side]) - 1) / 2
    volumes, masks, centres = {}, {name: {} for name in anatomy.parts}, {}
    for p, phase in enumerate(phases):
        # One displacement per phase, shared by its slices: breathing, mostly head to foot.  The last phase is
        # the reference; where its ROI is put, the others' are put with an error of 3-4 mm.
        moved, error = np.zeros(3), np.zeros(3)
        if phase != phases[-1]:
            moved = rng.normal(0, (6, 2.5, 2.5)).clip(-14, 14)
            error = rng.standard_normal(3)
            error *= rng.uniform(3, 4) / np.linalg.norm(error)
        centres[phase] = tuple(middle + (moved + error) / spacing)
        view = np.ix_(
            *((np.arange(n) - m).clip(0, n - 1) for n, m in zip(shape, np.rint(moved / step).astype(int), strict=True))
        )
        levels = np.float32([hu[tissue][p] for tissue in anatomy.tissues])
        true = levels[painted[view]] + TEXTURE * anatomy.texture[view]
        volumes[phase] = scan(rng, true, SUB_SLICES, PIXEL, noise_sd)
        for name, part in anatomy.parts.items():
            masks[name][phase] = _thick(part[view])
    box = list(mask_box(masks["lesion"][phases[-1]]))
    box[:2] = around, around + n_slices
    return Study(volumes, tuple(spacing), tuple(box), centres, masks)


def make_cohort(
    seed: int = 0,
    size: int = 64,
    phases: tuple[str, ...] = CANONICAL,
    aligned: bool = True,
    progress: bool = True,
) -> LesionSet:
    """A cohort with Table 1's patients and slices, group by group.

    The same arguments give the same bytes in every process.  `aligned` recentres the ROI in every phase and
    leaves 3-4 mm; otherwise the box keeps its table position (paper Table 6, "misregistered").
    """
    patients = list(_patients(np.random.default_rng(np.random.SeedSequence((PHANTOM_VERSION, seed)))))
    parts: dict[str, list] = {name: [] for name in ("hu", "label", "patient", "group", "spacing", "masks")}
    for number, (group, kind, n_slices) in enumerate(bar(patients, "phantom patients", progress)):
        rng = np.random.default_rng(np.random.SeedSequence((PHANTOM_VERSION, seed, number)))
        study = phantom_study(rng, kind, n_slices, phases)
        rois = extract_rois(study, size, phases=phases, margin=MARGIN, aligned=aligned)
        bits = np.zeros(rois.hu.shape, dtype=np.uint8)
        for name, mask in rois.masks.items():
            bits |= mask.astype(np.uint8) << MASK_NAMES.index(name)
        label = list(CLASS_NAMES).index(kind)
        for name, value in (("label", label), ("patient", number), ("group", group)):
            parts[name].append(np.full(n_slices, value))
        for name, value in (("hu", rois.hu), ("spacing", rois.spacing), ("masks", bits)):
            parts[name].append(value)
    return LesionSet(
        **{name: np.concatenate(values) for name, values in parts.items()},
        phases=phases,
        mask_names=MASK_NAMES,
        source={
            "kind": "phantom",
            "version": str(PHANTOM_VERSION),
            "seed": str(seed),
            "alignment": "aligned" if aligned else "misregistered",
        },
    )


def _patients(rng: np.random.Generator):
    """(group, class, slices) of every patient: each cell of Table 1 split at random among its cases."""
    for row in table1().itertuples():
        extra = rng.multinomial(row.slices - 2 * row.cases, np.full(row.cases, 1 / row.cases))
        for n_slices in extra + 2:  # at least two slices a patient
            yield row.group, row._2, int(n_slices)


def _thick(part: np.ndarray) -> np.ndarray:
    """A fine mask seen in thick slices: where the tissue fills at least half of the slice."""
    return sum(part[i::SUB_SLICES].astype(np.uint8) for i in range(SUB_SLICES)) * 2 >= SUB_SLICES
