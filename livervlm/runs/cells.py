"""The unit of work: a row on a cohort, in the paper's protocol with one group left out.  It leaves one record."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base.cache import changed, short_hash
from ..base.errors import InputError
from ..base.paths import data_file
from ..base.profiles import PROFILES, Profile
from ..evaluation.metrics import calibration, class_auc, confusion, macro_auc
from ..phantom.patients import PHANTOM_VERSION
from ..scans.lesions import LesionSet
from .methods import Answer, Method
from .records import data_provenance, read_record, run_provenance
from .rows import PROTOCOLS, Row, all_rows, declared, row_named

CURVE = 5  # epochs between two points of a learning curve
SECOND_SEED = 1_000_000  # from the first seed of a cohort to its second


@dataclass(frozen=True)
class Cell:
    """A row on a cohort; fold: the group that is left out, None where test patients come from pools."""

    row: Row
    protocol: str
    cohort: int
    fold: int | None
    profile: Profile
    test_patients: int

    @property
    def pools(self) -> tuple[str, ...]:
        """What it is tested on beside its own folds; in development the first alone, as nothing is compared there."""
        if self.fold is not None:
            return ()
        return self.row.pools[:1] if PROTOCOLS[self.protocol].curves else self.row.pools

    @property
    def seed(self) -> int:
        """Of weights and steps: the cohort's number; another for a row that has the cohort's second seed."""
        return self.cohort + SECOND_SEED * self.row.seed

    def path(self, out: str | Path) -> Path:
        """Its record, named by all that decides its result; absolute, as a process may stand in another folder."""
        folder, stem = self._place(out)
        fold = "" if self.fold is None else f"-fold{self.fold}"
        return folder / f"{stem}-cohort{self.cohort:03d}{fold}.json"

    def siblings(self, out: str | Path) -> list[Path]:
        """The records of the same row and settings that are there, cohort by cohort and fold by fold."""
        folder, stem = self._place(out)
        return sorted(folder.glob(f"{stem}-cohort*{'' if self.fold is None else '-fold*'}.json"))

    def whole_cohorts(self, out: str | Path) -> int:
        """Of how many cohorts all records are there.  They are counted by their names, and not read."""
        folds = 1 if self.fold is None else PROTOCOLS[self.protocol].folds
        found = Counter(path.stem.split("-cohort")[1].split("-fold")[0] for path in self.siblings(out))
        return sum(n == folds for n in found.values())

    def of_cohort(self, out: str | Path) -> list[Path]:
        """The records of the same row and settings on the same cohort, in whatever protocol."""
        found = []
        for name, protocol in PROTOCOLS.items():
            if protocol.cohorts == PROTOCOLS[self.protocol].cohorts:
                same = replace(self, protocol=name, fold=None if protocol.pool else 1)
                folder, stem = same._place(out)
                found += sorted(folder.glob(f"{stem}-cohort{self.cohort:03d}*.json"))
        return found

    def _place(self, out: str | Path) -> tuple[Path, str]:
        pools = {name: declared()["pools"][name] for name in self.pools}
        settings = [self.row.departures, pools, changed(self.profile), PHANTOM_VERSION]
        if self.fold is None:
            settings.append(self.test_patients)
        slug = "".join(c if c.isalnum() else "-" for c in self.row.name.lower()).replace("--", "-")
        return Path(out).absolute() / self.protocol / slug, f"{self.profile.name}-{short_hash(settings, 8)}"

    def record(self) -> dict[str, Any]:
        """Run it."""
        from .cohorts import cohort_of, pool_of

        start, method = time.monotonic(), self.row.method
        with one_thread():
            lesions = cohort_of(self)
            watch, curve = None, {}
            if PROTOCOLS[self.protocol].curves:

                def watch(answer: Answer, epoch: int) -> None:
                    if epoch % CURVE == 0:
                        pool = pool_of(self, self.pools[0])
                        right = answer(pool, np.arange(len(pool))).argmax(axis=1) == pool.label
                        curve[str(epoch)] = round(100 * right.mean(), 2)

            if self.fold is None:
                fitted = method.fit(lesions, np.arange(len(lesions)), self.profile, self.seed, watch)
                tests = {name: pool_of(self, name) for name in self.pools}
                judge = (lambda answers, pool: answers) if method.measures else patient_answers
                found = {"tests": {n: judge(fitted.answer(p, np.arange(len(p))), p) for n, p in tests.items()}}
                found |= fitted.found | ({"curve": curve} if curve else {})
            else:
                found = fold_answers(method, lesions, self.fold, self.profile, self.seed)
        row = {"name": self.row.name, "set": self.row.set, "cohort": self.row.cohort, "pools": self.row.pools}
        row |= {"seed": self.row.seed} if self.row.seed else {}
        return {
            **provenance(lesions, method, self.profile, self.seed),
            "row": {**row, "method": method.name, **asdict(method)},
            "protocol": self.protocol,
            "cohort": self.cohort,
            "fold": self.fold,
            **found,
            "seconds": round(time.monotonic() - start, 1),
        }


def on_one_device(todo: Iterable[Cell], out: str | Path) -> None:
    """An `InputError` where a cell that is still to be run would give its cohort a second device or precision.

    What is compared has to come from one kind of machine: both sides of a difference, and folds with their truth.  So
    the records of all rows count that stand in a family of contrasts with one of these.
    """
    from ..base.device import PRECISION  # imports torch, and whoever counts records needs none of it

    here, todo = _kind(run_provenance()["device"]), list(todo)
    begun = {cell.cohort: cell for cell in todo if not cell.path(out).exists()}
    asked = {cell.row.name: cell.row for cell in todo}
    compared = set(asked)
    for family in declared()["contrasts"].values():
        mine = {contrast[side] for contrast in family for side in ("better", "worse")}
        compared |= mine if mine & compared else set()
    for cell, name in product(begun.values(), sorted(compared)):
        for path in replace(cell, row=asked.get(name) or row_named(name)).of_cohort(out):
            there = _kind(read_record(path)["device"])
            if there != here:
                remedy = "go on where it began"
                if there == "cpu, float32":
                    remedy = f"set {PRECISION}=float32"
                elif os.environ.get(PRECISION):
                    remedy = f"leave {PRECISION} out, or {remedy}"
                raise InputError(
                    f"{path}: cohort {cell.cohort} was begun on {there}, and this is {here}; "
                    f"nothing that is compared may mix them: {remedy}, or give another --out"
                )


def _kind(device: dict[str, str]) -> str:
    return f"{device['type']}, {device['autocast'].replace('None', 'float32').removeprefix('torch.')}"


def coverage(out: Path | None = None, test_patients: int = 2000) -> pd.DataFrame:
    """A line for each row: cohorts there and planned, cohorts of five folds, and why one is open.

    of five folds: in the paper's protocol; those inside a hospital go by the names of their protocols.  Records are
    counted by their names, under the profile that the plan has for the row's set, and not read.
    """
    out, planned, lines = out or data_file("results"), declared()["plan"]["cohorts"], {}
    profiles, called = declared()["plan"]["profiles"], {"population": "cohorts", "paper": "of five folds"}
    for row in all_rows().values():
        profile, there = PROFILES[profiles.get(row.set, "recorded")], {}
        for name, protocol in PROTOCOLS.items():
            if not protocol.curves:
                there[called.get(name, name)] = cells([row], name, 1, profile, test_patients)[0].whole_cohorts(out)
        wanted = planned.get(row.set, 0)
        why = "" if any(there.values()) else "no record yet" if wanted else f"needs {row.method.needs}"
        lines[row.name] = {"set": row.set, "planned": wanted, **there, "open": why}
    return pd.DataFrame.from_dict(lines, orient="index")


def fold_answers(
    method: Method, lesions: LesionSet, fold: int, profile: Profile, seed: int, tested: LesionSet | None = None
) -> dict[str, Any]:
    """What a record keeps of a fold: the method fitted to the other groups, and its answers for the one left out.

    tested: the same slices in other pictures, which the group left out is shown in.
    """
    train, test = (np.flatnonzero(where) for where in (lesions.group != fold, lesions.group == fold))
    fitted, shown = method.fit(lesions, train, profile, seed), lesions if tested is None else tested
    answer = fitted.answer(shown, test)
    if method.measures:
        return {**fitted.found, "tests": {"standard": answer}}
    slices = {"patient": lesions.patient[test], "y_true": lesions.label[test], "prob": answer.astype(np.float32)}
    return {**fitted.found, "slices": slices}


def patient_answers(prob: np.ndarray, pool: LesionSet) -> dict[str, Any]:
    """How each patient of a pool was answered, and what a mean over slices hides or shows.

    For M patients, in the order of their numbers: label, slices, correct (M,), and prob (M, C), the mean over slices.
    Accuracy is the mean over patients; confusion, AUC, calibration error and loss are over slices.
    """
    right = prob.argmax(axis=1) == pool.label
    _, first, owner = np.unique(pool.patient, return_index=True, return_inverse=True)
    slices, correct = np.bincount(owner), np.bincount(owner, right).astype(int)
    mean = np.stack([np.bincount(owner, column) for column in prob.T], axis=1) / slices[:, None]
    own = np.clip(prob[np.arange(len(prob)), pool.label], 1e-12, None)
    return {
        "fingerprint": pool.fingerprint(),
        "classes": pool.classes,
        "label": smallest(pool.label[first]),
        "slices": smallest(slices),
        "correct": smallest(correct),
        "prob": mean.astype(np.float16),
        "accuracy": round(100 * float(np.mean(correct / slices)), 3),
        "confusion": confusion(pool.label, prob.argmax(axis=1), prob.shape[1]).tolist(),
        "AUC": round(macro_auc(pool.label, prob), 4),
        "AUC by class": {pool.classes[c]: round(auc, 5) for c, auc in class_auc(pool.label, prob).items()},
        "ECE": round(calibration(pool.label, prob)[1], 4),
        "loss": round(float(-np.log(own).mean()), 4),
    }


def smallest(counts: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 up in the smallest type that holds them."""
    return counts.astype(np.min_scalar_type(counts.max()))


def provenance(lesions: LesionSet, method: Method, profile: Profile, seed: int) -> dict[str, Any]:
    """What a number of a fitted method needs beside it: code, data, settings, versions, device."""
    about = {"data": data_provenance(lesions), "profile": changed(profile), "seed": seed, "text_encoder": None}
    return {**run_provenance(), **about, **method.about(lesions, profile)}


@contextmanager
def one_thread() -> Iterator[None]:
    """On CPU cores, two processes of one thread each are faster than one process of two threads."""
    import torch

    threads = torch.get_num_threads()
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def sized(profile: Profile) -> Profile:
    """The profile as rows take it: pixels, epochs, text encoder.  Its network and its recipe a row says by itself."""
    return replace(profile, encoder=Profile.encoder, geometry=Profile.geometry)


def cells(
    chosen: Iterable[Row],
    protocol: str,
    cohorts: int,
    profile: Profile,
    test_patients: int = 2000,
    abreast: int = 1,
) -> list[Cell]:
    """The cells of some rows on the cohorts 0 to `cohorts` - 1, cohort by cohort.

    abreast: so many cohorts in turn, for as many processes.  At one cohort they would wait for its pool or its pretext,
    which one of them makes.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol {protocol!r} is unknown: choose one of {', '.join(PROTOCOLS)}")
    folds = [None] if PROTOCOLS[protocol].pool else range(1, PROTOCOLS[protocol].folds + 1)
    return [
        Cell(row, protocol, cohort, fold, sized(profile), test_patients)
        for first in range(0, cohorts, abreast)
        for row in chosen
        for fold in folds
        for cohort in range(first, min(first + abreast, cohorts))
    ]
