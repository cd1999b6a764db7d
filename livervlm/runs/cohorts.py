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
from ..base.errors import InputError
from ..base.progress import bar
from ..datasets import load_dataset
from ..phantom.anatomy import INSTEAD, MAIN
from ..phantom.cohort import make_cohort
from ..phantom.enhancement import COLUMNS
from ..phantom.patients import PHANTOM_VERSION, Knobs, draw_patients, shared_out
from ..scans.conventions import CANONICAL
from ..scans.lesions import LesionSet, assign_groups
from ..scans.seeds import seed_of
from .rows import PROTOCOLS, declared

if TYPE_CHECKING:  # cells are run with what stands here
    from .cells import Cell

CHUNK = 100  # patients of a test pool that share one draw of the phantom's uncertain tables
CHUNKS = 100  # seeds that are set apart for the own pool of one cohort
SLICES = 2  # of each patient in a test pool


def cohort_of(cell: Cell) -> LesionSet:
    """The patients that a cell is trained on, and without a pool tested on."""
    protocol = PROTOCOLS[cell.protocol]
    arguments = {"seed": seed_of(protocol.cohorts, cell.cohort), "size": cell.profile.size, **cell.row.cohort}
    if protocol.uncertain:
        arguments["knobs"] = Knobs(uncertain=True)
    lesions = load_dataset("phantom", progress=False, **arguments)
    if protocol.dealt is None:
        return lesions
    return replace(lesions, group=assign_groups(lesions.label, lesions.patient, protocol.folds, protocol.dealt))


def pool_of(cell: Cell, name: str, jobs: int = 1, progress: bool = False) -> LesionSet:
    """Fresh patients that a cell is tested on, two slices of each; made once, then read from the cache.

    Every hundred have a phantom of their own, drawn from what is known of it, and all cohorts share them.  Classes,
    phases and version are the cohort's, and so are the classes' shares of the patients, where the row names its
    patients class by class.  A pool in `data/rows.json` may name a hospital.  "own": other patients of the cohort's own
    tables.  "next": the patients of the next cohort, with all their slices.
    """
    if declared()["pools"][name].get("hospital") == "next":
        return cohort_of(replace(cell, cohort=(cell.cohort + 1) % declared()["plan"]["cohorts"][cell.row.set]))
    chunks, changed, settings = _chunks(cell, name)

    def make(path: Path) -> None:
        todo = [delayed(_chunk)(seed, mix, cell.profile.size, changed) for seed, mix in chunks]
        made = bar(Parallel(jobs, return_as="generator")(todo), f"test pool: {name}", progress, total=len(todo))
        parts = [replace(part, patient=part.patient + i * CHUNK) for i, part in enumerate(made)]
        source = {"kind": "phantom pool", "version": str(changed.get("version", PHANTOM_VERSION))}
        source |= {"seed": str(chunks[0][0]), "pool": name}
        replace(LesionSet.concatenate(parts), source=source).save(path)

    return LesionSet.load(made_once("pools", settings, make))


def pool_patients(cell: Cell, name: str) -> pd.DataFrame:
    """The patients of a pool, drawn again without a picture; a line each, by the patient's number in the pool.

    Raises `InputError` for the pool that is the next cohort.

    class; diameter in mm; contrast in HU, how far the lesion's main tissue lies from the liver in the phase, of those
    shown, where it lies farthest; and that difference, lesion less liver, in each of these phases.
    """
    if declared()["pools"][name].get("hospital") == "next":
        raise InputError(f"pool {name!r} is a cohort, whose patients have no place in a pool; `cohort_of` makes it")
    chunks, changed, _ = _chunks(cell, name)
    how, lines = {key: changed[key] for key in ("knobs", "version", "hospital") if key in changed}, []
    for patient in (one for seed, mix in chunks for one in draw_patients(seed, mix, **how)):
        main = next((INSTEAD[pattern] for pattern in patient.patterns if pattern in INSTEAD), MAIN[patient.kind])
        difference = dict(zip(COLUMNS, np.subtract(patient.hu[main], patient.hu["liver"]).tolist(), strict=True))
        shown = {phase: difference[phase] for phase in cell.row.cohort.get("phases", CANONICAL)}
        contrast = max(map(abs, shown.values()))
        lines.append({"class": patient.kind, "diameter": patient.diameter, "contrast": contrast, **shown})
    return pd.DataFrame(lines)


def make_pools(todo: Sequence[Cell], jobs: int | None = None) -> None:
    """Make the test pools of some cells with all processes, before each works on a cell of its own."""
    shared = [name for name, pool in declared()["pools"].items() if "hospital" not in pool]  # the others: cell by cell
    wanted = {(n, str(sorted(cell.row.cohort.items()))): cell for cell in todo for n in cell.pools if n in shared}
    for (name, _), cell in wanted.items():
        pool_of(cell, name, jobs or cpu_count(), progress=True)


def _chunks(cell: Cell, name: str) -> tuple[list[tuple[int, int | dict[str, int]]], dict, list]:
    """Seed and patients of each draw of a pool; other arguments of `make_cohort`; what the cache knows the pool by."""
    pool, row = {**declared()["pools"][name]}, cell.row.cohort
    knobs = Knobs(uncertain=True, **pool.pop("knobs", {}))
    patients, first = pool.pop("patients", cell.test_patients), seed_of(PROTOCOLS[cell.protocol].pool, 0)
    if "hospital" in pool:
        pool["hospital"] = seed_of(PROTOCOLS[cell.protocol].cohorts, cell.cohort)
        first = seed_of("own hospital", cell.cohort * CHUNKS)
    asked = {key: row[key] for key in ("classes", "phases", "version") if key in row}
    shares = dict(row["patients"]) if isinstance(row.get("patients"), Mapping) else None
    numbers = np.diff([*range(0, patients, CHUNK), patients]).tolist()
    chunks = [(first + i, shared_out(n, shares) if shares else n) for i, n in enumerate(numbers)]
    settings = [PHANTOM_VERSION, first, patients, CHUNK, SLICES, cell.profile.size, asked, shares, pool, asdict(knobs)]
    return chunks, {**asked, **pool, "knobs": knobs}, settings


def _chunk(seed: int, patients: int | Mapping, size: int, changed: Mapping) -> LesionSet:
    lesions = make_cohort(seed, size, patients=patients, progress=False, **changed)
    rng = np.random.default_rng(seed)
    slices = [np.flatnonzero(lesions.patient == patient) for patient in np.unique(lesions.patient)]
    kept = np.concatenate([np.sort(rng.permutation(mine)[:SLICES]) for mine in slices])
    return replace(lesions, masks=None, mask_names=()).subset(kept)
