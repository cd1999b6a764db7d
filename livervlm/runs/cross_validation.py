"""Cross-validation of any method on any data set, by patient group."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..base.cache import changed, short_hash
from ..base.code import code_key
from ..base.device import autocast_dtype, best_device
from ..base.errors import InputError
from ..base.paths import cache_home
from ..base.profiles import Profile, current_profile
from ..evaluation.outcome import Outcome
from ..models.prompts import templates
from ..scans.conventions import LIVER_VLM_CLASSES
from ..scans.lesions import LesionSet
from .cells import fold_answers, one_thread, provenance
from .methods import Method, Trained
from .records import data_provenance, read_record
from .runner import run


@dataclass(frozen=True, eq=False)
class Fold:
    """A method on a data set with one group left out.  tested: as in `cross_validate`.  key: of all its settings."""

    lesions: LesionSet
    method: Method
    profile: Profile
    seed: int
    group: int
    tested: LesionSet | None
    key: str

    def path(self, out: str | Path) -> Path:
        return Path(out).absolute() / f"{self.method.name}-{self.profile.name}-{self.key}-fold{self.group}.json"

    def record(self) -> dict[str, Any]:
        start = time.monotonic()
        with one_thread():
            found = fold_answers(self.method, self.lesions, self.group, self.profile, self.seed, self.tested)
        about = provenance(self.lesions, self.method, self.profile, self.seed)
        shown = {} if self.tested is None else {"tested on": data_provenance(self.tested)}
        return {**about, "fold": self.group, **shown, **found, "seconds": round(time.monotonic() - start, 1)}


def cross_validate(
    lesions: LesionSet,
    method: Method | None = None,
    profile: Profile | None = None,
    *,
    seed: int = 0,
    tested: LesionSet | None = None,
    records: str | Path | None = None,
    progress: bool = True,
) -> Outcome:
    """Leave each patient group out once (section 4.1): fit to the others, answer for its slices.

    method: Liver-VLM trained from scratch, where none is given.  profile: the current one.  tested: the same slices in
    other pictures, such as misregistered ones; the group left out is shown from there.  records: a folder; each fold
    leaves a record there and is not run again.  Without it they lie in the cache, by data, settings, prompts and code.
    """
    method, profile = method or Trained(), profile or current_profile()
    if tested is not None and (tested.cohort_key(), tested.phases) != (lesions.cohort_key(), lesions.phases):
        raise InputError("tested: not the slices that are trained on; give the same patients, slices and phases")
    settings = [method.settings, changed(profile), seed, lesions.fingerprint()]
    if tested is not None:
        settings.append(tested.fingerprint())
    key = short_hash(settings, 10)
    folds = [Fold(lesions, method, profile, seed, group, tested, key) for group, _, _ in lesions.folds()]
    device = best_device()
    made_by = [code_key(__name__), templates(), torch.__version__, device.type, str(autocast_dtype(device))]
    out = records or cache_home() / "folds" / short_hash(made_by)
    run(folds, out, name="folds", wait=True, progress=progress)
    return outcome_of(read_record(fold.path(out)) for fold in folds)


def outcome_of(records: Iterable[dict]) -> Outcome:
    """The records of some folds put together."""
    records = list(records)
    parts = [record["slices"] for record in records]
    return Outcome(
        **{name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in ("y_true", "patient")},
        prob=np.concatenate([np.asarray(part["prob"], dtype=float) for part in parts]),
        group=np.repeat([record["fold"] for record in records], [len(part["y_true"]) for part in parts]),
        classes=classes_of(records[0]),
        train_loss={record["fold"]: record.get("train_loss", []) for record in records},
    )


def classes_of(record: dict) -> tuple[str, ...]:
    """The classes of a record's data; a record from before they travelled has the four of Liver-VLM."""
    return tuple(record.get("data", {}).get("classes", LIVER_VLM_CLASSES))
