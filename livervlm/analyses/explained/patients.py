"""Phantom patients whose causal parts are known: a slice of each, and the same slice without each of its parts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from scipy.ndimage import distance_transform_edt

from ...base.cache import made_once
from ...base.paths import folder_written_whole
from ...base.progress import bar
from ...phantom.cohort import MARGIN, MASK_NAMES, phantom_study
from ...phantom.patients import PHANTOM_VERSION, Knobs, Patient, draw_patients
from ...scans.conventions import CANONICAL
from ...scans.lesions import LesionSet, pack_masks
from ...scans.rois import extract_rois
from ...scans.seeds import seed_of
from ...scans.study import Study

# The paper's.  ResNet18 then ends in a map of 7 x 7 places; at the size of the other records the map has 2 x 2.
SIZE = 224
# The patients of a draw share one phantom; the next draw's phantom has other values where its tables are uncertain.
DRAWS, PATIENTS_PER_DRAW = 6, {"CYST": 10, "FNH": 50, "HCC": 25, "HEM": 20}
OFF_CENTRE = 0.1  # of the ROI's side: the largest distance of its middle from the lesion's, in each direction
VISIBLE = 0.02, 0.9  # a part is scored where its share of the lesion in the slice lies between these
EDGE_DEPTH = 0.15  # of the lesion's diameter; the "edge" is a place in the picture and causes nothing


@dataclass(frozen=True, eq=False)
class Counterfactuals:
    """One slice of each of N patients, and for every part the same slice of the patients that have it, without it.

    slices: the N slices as they are, with masks.  without: part -> (positions (n,) in `slices`, the n slices without
    the part).  "lesion" is one of the parts, and every patient has it.
    """

    slices: LesionSet
    without: Mapping[str, tuple[np.ndarray, LesionSet]]

    def part_mask(self, name: str) -> np.ndarray:
        """(N, S, S) bool: where a part is, in any phase.  "edge" is the outermost `EDGE_DEPTH` of the lesion."""
        if name != "edge":
            return self.slices.mask(name).any(axis=1)
        lesion = self.slices.mask("lesion").any(axis=1)
        depth = np.stack([distance_transform_edt(one) for one in lesion])
        diameter = 2 * np.sqrt(lesion.sum(axis=(1, 2), keepdims=True) / np.pi)
        return lesion & (depth < EDGE_DEPTH * diameter)


def examples(lesions: LesionSet) -> list[int]:
    """A slice of each class: the one with most of its causal parts, or the first where none are known."""
    parts = np.zeros(len(lesions)) if lesions.masks is None else (lesions.masks > 1).sum(axis=(1, 2, 3))
    of_class = [np.flatnonzero(lesions.label == c) for c in range(len(lesions.classes))]
    return [int(mine[np.argmax(parts[mine])]) for mine in of_class]


def load_counterfactuals(jobs: int = 1, progress: bool = True) -> Counterfactuals:
    """The patients whose maps are scored, made once and then read from the cache."""
    per_draw = sum(PATIENTS_PER_DRAW.values())
    todo = [delayed(_draw_folder)(seed_of("explained", i), SIZE) for i in range(DRAWS)]
    made = Parallel(jobs, return_as="generator")(todo)
    folders = list(bar(made, f"{per_draw} phantom patients each", progress, total=DRAWS))
    found: dict[str, list[LesionSet]] = {}
    for i, folder in enumerate(folders):
        for file in sorted(folder.iterdir()):
            part = LesionSet.load(file)
            found.setdefault(file.stem, []).append(replace(part, patient=part.patient + i * per_draw))
    joined = {name: LesionSet.concatenate(parts) for name, parts in found.items()}
    slices = joined.pop("whole")
    at = {patient: i for i, patient in enumerate(slices.patient.tolist())}
    return Counterfactuals(slices, {n: (np.array([at[p] for p in s.patient.tolist()]), s) for n, s in joined.items()})


def _draw_folder(seed: int, size: int) -> Path:
    settings = [PHANTOM_VERSION, seed, PATIENTS_PER_DRAW, OFF_CENTRE, VISIBLE, size]
    return made_once("explained patients", settings, lambda folder: _make_draw(seed, size, folder), suffix="")


def _make_draw(seed: int, size: int, folder: Path) -> None:
    """Write one draw's patients: a set of the slices as they are, and for each part a set of the slices without it."""
    made: dict[str, list[LesionSet]] = {}
    for number, patient in enumerate(draw_patients(seed, PATIENTS_PER_DRAW, Knobs(uncertain=True))):
        names, slices = slices_without(patient, size)
        for i, name in enumerate(names):
            made.setdefault(name, []).append(replace(slices.subset([i]), patient=np.array([number])))
    with folder_written_whole(folder) as new:
        for name, parts in made.items():
            source = {"kind": "phantom, explained", "version": str(PHANTOM_VERSION), "seed": str(seed), "without": name}
            masks = {} if name == "whole" else {"masks": None, "mask_names": ()}
            replace(LesionSet.concatenate(parts), source=source, **masks).save(new / f"{name}.safetensors")


def slices_without(patient: Patient, size: int, centred: bool = False) -> tuple[list[str], LesionSet]:
    """The slice with most of a patient's parts, as it is, without the lesion, and without each part visible in it.

    Returns the names of what is missing, "whole" first, and as many slices of size x size pixels, all with the masks of
    the whole one.  centred: the lesion in the middle, as in a cohort; otherwise up to `OFF_CENTRE` from it.
    """
    study = phantom_study(patient)
    study = study if centred else _off_centre(patient, study)
    whole = extract_rois(study, size, phases=CANONICAL, margin=MARGIN)
    area = {name: mask.any(axis=1).sum(axis=(1, 2)) for name, mask in whole.masks.items()}  # (slices,) pixels
    parts = {name: pixels for name, pixels in area.items() if name != "lesion"}
    best = int(np.argmax(sum(parts.values()) if parts else area["lesion"]))
    visible = [n for n, pixels in parts.items() if VISIBLE[0] <= pixels[best] / area["lesion"][best] <= VISIBLE[1]]
    names, hu = ["whole", "lesion", *visible], [whole.hu[best]]
    for name in names[1:]:
        gone = replace(phantom_study(patient, without=name), box=study.box, centres=study.centres, masks={})
        hu.append(extract_rois(gone, size, phases=CANONICAL, margin=MARGIN).hu[best])
    bits = pack_masks({name: mask[best] for name, mask in whole.masks.items()}, MASK_NAMES)
    n = len(names)
    return names, LesionSet(
        np.stack(hu),
        label=np.full(n, list(PATIENTS_PER_DRAW).index(patient.kind)),
        patient=np.zeros(n),
        group=np.ones(n),
        spacing=np.tile(whole.spacing[best], (n, 1)),
        classes=tuple(PATIENTS_PER_DRAW),
        masks=np.tile(bits, (n, 1, 1, 1)),
        mask_names=MASK_NAMES,
    )


def _off_centre(patient: Patient, study: Study) -> Study:
    """The same study, to be cut with the lesion off the middle."""
    z0, z1, y0, y1, x0, x1 = study.box
    side = MARGIN * max(y1 - y0, x1 - x0)
    dy, dx = np.rint(patient.rng("off centre").uniform(-OFF_CENTRE, OFF_CENTRE, 2) * side).astype(int).tolist()
    centres = {phase: (z, y + dy, x + dx) for phase, (z, y, x) in study.centres.items()}
    return replace(study, box=(z0, z1, y0 + dy, y1 + dy, x0 + dx, x1 + dx), centres=centres)
