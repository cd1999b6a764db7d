"""What cells are trained and tested on: cohorts, and pools of test patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed

from ..base.cache import made_once
from ..base.progress import bar
from ..datasets import load_dataset
from ..phantom.anatomy import INSTEAD, MAIN
from ..phantom.cohort import make_cohort
from ..phantom.enhancement import COLUMNS
from ..phantom.patients import PHANTOM_VERSION, Knobs, draw_patients, shared_out
from ..scans.conventions import CANONICAL
from ..scans.lesions import LesionSet
from ..scans.seeds import seed_of
from .rows import PROTOCOLS, declared

if TYPE_CHECKING:  # cells are run with what stands here
    from .cells import Cell

CHUNK = 100  # patients of a test pool that share one draw of the phantom's uncertain tables
SLICES = 2  # of each patient in a test pool


def cohort_of(cell: Cell) -> LesionSet:
    """The patients that a cell is trained on, and in the paper's protocol tested on."""
    protocol = PROTOCOLS[cell.protocol]
    arguments = {"seed": seed_of(protocol.cohorts, cell.cohort), "size": cell.profile.size, **cell.row.cohort}
    if protocol.pool:
        arguments["knobs"] = Knobs(uncertain=True)
    return load_dataset("phantom", progress=False, **arguments)


def pool_of(cell: Cell, name: str, jobs: int = 1, progress: bool = False) -> LesionSet:
    """Fresh patients that every cohort is tested on, two slices of each; made once, then read from the cache.

    Every hundred have a phantom of their own, drawn from what is known of it.  Classes, phases and version are the
    cohort's, and so are the classes' shares of the patients, where the row names its patients class by class.
    """
    chunks, shares, knobs, changed = _chunks(cell, name)
    asked = {key: cell.row.cohort[key] for key in ("classes", "phases", "version") if key in cell.row.cohort}
    first, size = chunks[0][0], cell.profile.size

    def make(path: Path) -> None:
        todo = [delayed(_chunk)(seed, mix, size, knobs, {**asked, **changed}) for seed, mix in chunks]
        made = bar(Parallel(jobs, return_as="generator")(todo), f"test pool: {name}", progress, total=len(todo))
        parts = [replace(part, patient=part.patient + i * CHUNK) for i, part in enumerate(made)]
        source = {"kind": "phantom pool", "version": str(asked.get("version", PHANTOM_VERSION))}
        source |= {"seed": str(first), "pool": name}
        replace(LesionSet.concatenate(parts), source=source).save(path)

    settings = [PHANTOM_VERSION, first, cell.test_patients, CHUNK, SLICES, size, asked, shares, changed, asdict(knobs)]
    return LesionSet.load(made_once("pools", settings, make))


def pool_patients(cell: Cell, name: str) -> pd.DataFrame:
    """The patients of a pool, drawn again without a picture; a line each, by the patient's number in the pool.

    class; diameter in mm; contrast in HU, how far the lesion's main tissue lies from the liver in the phase, of those
    shown, where it lies farthest; and that difference, lesion less liver, in each of these phases.
    """
    chunks, _, knobs, _ = _chunks(cell, name)
    version, lines = cell.row.cohort.get("version", PHANTOM_VERSION), []
    for patient in (one for seed, mix in chunks for one in draw_patients(seed, mix, knobs, version)):
        main = next((INSTEAD[pattern] for pattern in patient.patterns if pattern in INSTEAD), MAIN[patient.kind])
        difference = dict(zip(COLUMNS, np.subtract(patient.hu[main], patient.hu["liver"]).tolist(), strict=True))
        shown = {phase: difference[phase] for phase in cell.row.cohort.get("phases", CANONICAL)}
        contrast = max(map(abs, shown.values()))
        lines.append({"class": patient.kind, "diameter": patient.diameter, "contrast": contrast, **shown})
    return pd.DataFrame(lines)


def make_pools(todo: Sequence[Cell], jobs: int | None = None) -> None:
    """Make the test pools of some cells with all processes, before each works on a cell of its own."""
    wanted = {(name, str(sorted(cell.row.cohort.items()))): cell for cell in todo for name in cell.pools}
    for (name, _), cell in wanted.items():
        pool_of(cell, name, jobs or cpu_count(), progress=True)


def _chunks(cell: Cell, name: str) -> tuple[list[tuple[int, int | dict[str, int]]], dict | None, Knobs, dict]:
    """Seed and patients of each draw of a pool; the classes' shares, where the row names them; what else is changed."""
    changed = {**declared()["pools"][name]}
    knobs = Knobs(uncertain=True, **changed.pop("knobs", {}))
    shares = cell.row.cohort.get("patients")
    shares = dict(shares) if isinstance(shares, Mapping) else None
    first = seed_of(PROTOCOLS[cell.protocol].pool, 0)
    numbers = np.diff([*range(0, cell.test_patients, CHUNK), cell.test_patients]).tolist()
    chunks = [(first + i, shared_out(n, shares) if shares else n) for i, n in enumerate(numbers)]
    return chunks, shares, knobs, changed


def _chunk(seed: int, patients: int | Mapping, size: int, knobs: Knobs, asked: Mapping) -> LesionSet:
    lesions = make_cohort(seed, size, patients=patients, knobs=knobs, progress=False, **asked)
    rng = np.random.default_rng(seed)
    slices = [np.flatnonzero(lesions.patient == patient) for patient in np.unique(lesions.patient)]
    kept = np.concatenate([np.sort(rng.permutation(mine)[:SLICES]) for mine in slices])
    return replace(lesions, masks=None, mask_names=()).subset(kept)
