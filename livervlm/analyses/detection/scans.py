"""`BoxedScan`: axial slices of a phantom's abdomen with boxes around the lesions of its liver."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from safetensors import safe_open
from safetensors.numpy import save_file

from ...base.cache import made_once
from ...base.paths import written_whole
from ...base.progress import bar
from ...phantom.abdomen import AbdomenStudy, abdomen_study, draw_abdomens
from ...phantom.abdomen_patients import VERSION

PHASES = ("ART", "PV")  # those that LiLNet detects in; the boxes lie on the last
HEALTHY = 8  # slices of a study without lesions that teach


@dataclass(frozen=True, eq=False)
class BoxedScan:
    """S slices of a study in each of P phases, from the head down, and the lesions in them.

    hu: (S, P, H, W) int16.  liver: (S, H, W) bool, lesions included.  box: (K, 4) x0, y0, x1, y1 in pixels, ends
    excluded; one for each lesion in each slice that shows it in the last phase.  at: (K,) the box's place among the S
    slices.  lesion: (K,) its place in `kinds`, the classes.  pixel, thickness: mm.  patient: a number.
    """

    hu: np.ndarray
    liver: np.ndarray
    box: np.ndarray
    at: np.ndarray
    lesion: np.ndarray
    kinds: tuple[str, ...]
    pixel: float
    thickness: float
    patient: int

    def save(self, path: Path) -> None:
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in ("hu", "liver", "box", "at", "lesion")}
        about = {name: getattr(self, name) for name in ("kinds", "pixel", "thickness", "patient")}
        with written_whole(path) as temporary:
            save_file(arrays, temporary, {"about": json.dumps(about)})

    @classmethod
    def load(cls, path: Path) -> "BoxedScan":
        with safe_open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
            about = json.loads(file.metadata()["about"])
        return cls(**arrays, **about | {"kinds": tuple(about["kinds"])})


def make_scans(
    seed: int, patients: int, size: int, *, teaching: bool = False, jobs: int = 1, progress: bool = True
) -> list[BoxedScan]:
    """The scans of some patients, each made once and then read from the cache; patient i is the same in any number.

    teaching: keep only the slices that `teaching_slices` chooses.
    """
    todo = [delayed(_made)(seed, number, size, teaching) for number in range(patients)]
    paths = bar(Parallel(jobs, return_as="generator")(todo), "abdomens", progress, total=patients)
    return [BoxedScan.load(path) for path in paths]


def _made(seed: int, number: int, size: int, teaching: bool) -> Path:
    def make(path: Path) -> None:
        study = abdomen_study(draw_abdomens(seed, 1, first=number)[0], PHASES, size)
        boxed(study, number, teaching_slices(study, (seed, number)) if teaching else None).save(path)

    return made_once("boxed", [VERSION, seed, number, size, PHASES, HEALTHY if teaching else 0], make)


def teaching_slices(study: AbdomenStudy, seed: tuple[int, ...]) -> np.ndarray:
    """The slices that show a lesion, and as many that show none; `HEALTHY` of a study without lesions.

    Half of those without are drawn from the slices that show the liver, half from all.
    """
    rng, shown = np.random.default_rng(seed), _lesions(study).any(axis=(0, 2, 3))
    without, liver = np.flatnonzero(~shown), np.flatnonzero(~shown & study.organ("liver").any(axis=(1, 2)))
    n = min(int(shown.sum()) or HEALTHY, len(without))
    half = rng.choice(liver, min(n // 2, len(liver)), replace=False)
    rest = rng.choice(np.setdiff1d(without, half), n - len(half), replace=False)
    return np.sort(np.concatenate([np.flatnonzero(shown), half, rest]))


def boxed(study: AbdomenStudy, patient: int, keep: np.ndarray | None = None) -> BoxedScan:
    """The scan of a study.  keep: the slices, by default all."""
    keep = np.arange(len(study.organs)) if keep is None else keep
    masks = _lesions(study)[:, keep]
    lesion, at = np.nonzero(masks.any(axis=(2, 3)))
    return BoxedScan(
        hu=np.stack([study.volumes[phase][keep] for phase in study.volumes], axis=1),
        liver=study.organ("liver")[keep],
        box=np.float32([plane_box(masks[i, s]) for i, s in zip(lesion, at, strict=True)]).reshape(-1, 4),
        at=at,
        lesion=lesion,
        kinds=tuple(finding.kind for finding in study.findings[: len(masks)]),
        pixel=study.spacing[1],
        thickness=study.spacing[0],
        patient=patient,
    )


def _lesions(study: AbdomenStudy) -> np.ndarray:
    """(L, Z, Y, X) bool, in the reference phase."""
    return (
        np.stack([study.mask(i) for i in range(len(study.patient.lesions))])
        if study.patient.lesions
        else np.zeros((0, *study.organs.shape), dtype=bool)
    )


def plane_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of a (Y, X) mask, ends excluded."""
    y, x = np.nonzero(mask)
    return x.min(), y.min(), x.max() + 1, y.max() + 1
