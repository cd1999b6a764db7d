"""LiLNet, its parts and its rivals: taught on one cohort of six classes, asked about patients of six centres."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...base.profiles import Profile
from ...models.cascade import pooled
from ...models.lilnet import LiLNet
from ...models.lilnet_training import balanced, train_lilnet
from ...models.settings import LiLNetSettings, Recipe
from ...phantom.centres import CentreSet, centre_set
from ...runs.cells import one_thread
from ...runs.methods import Answer, Method, Trained, TrainedLiLNet
from ...runs.records import data_provenance, run_provenance
from ...scans.conventions import LILNET_CLASSES
from ...scans.lesions import LesionSet
from ...scans.seeds import seed_of

EARLY = 0.55  # of a centre's years: the paper sorts by time and tests on the last 45 % of its patients
# Patients of each class in a pool.  Classes alike, so that a rare one is measured as well as the others; CD, GZ and LS
# have in the paper only the classes that stand here.
POOLS: dict[str, Mapping[str, int]] = {
    "test": dict.fromkeys(LILNET_CLASSES, 80),
    "HN": dict.fromkeys(LILNET_CLASSES, 40),
    "CD": {"HCC": 40},
    "GZ": {"HCC": 40, "ICC": 40},
    "LS": {"HCC": 40, "ICC": 40},
}
CROP = 157.0  # mm: the paper's 224 pixels, at .7 mm
PLAIN = {"masks": False, "joint": False, "depths": "deep", "teacher": "none"}


@dataclass(frozen=True)
class Row:
    """What is taught.  by_phase: it reads phases one by one, so that each can be asked alone.  early: on patients of
    the first years only.  field: side of the ROI in mm, as in `centre_set`."""

    method: Method
    by_phase: bool = True
    early: bool = False
    field: float | None = None


ROWS = {
    "LiLNet": Row(TrainedLiLNet()),
    "plain network": Row(TrainedLiLNet(PLAIN)),
    "LiLNet, no joint labels": Row(TrainedLiLNet({"joint": False})),
    "LiLNet, no masks": Row(TrainedLiLNet({"masks": False})),
    "LiLNet, no distillation": Row(TrainedLiLNet({"teacher": "none"})),
    "LiLNet, one depth": Row(TrainedLiLNet({"depths": "deep"})),
    "LiLNet, as its code": Row(TrainedLiLNet({"teacher": "aggregate", "answer": "aggregate"}, averaged="logits")),
    "LiLNet, cascade": Row(TrainedLiLNet(cascade=True)),
    "plain network, cascade": Row(TrainedLiLNet(PLAIN, cascade=True)),
    "LiLNet, early years": Row(TrainedLiLNet(), early=True),
    "LiLNet, crop of 157 mm": Row(TrainedLiLNet(), field=CROP),
    "plain network, Adam": Row(TrainedLiLNet(PLAIN, optimizer="adam")),
    "Liver-VLM": Row(Trained(recipe=Recipe(geometry="turns")), by_phase=False),
    "FC": Row(Trained(config={"head": "fc"}, recipe=Recipe(geometry="turns")), by_phase=False),
}


@dataclass(frozen=True)
class Cohort:
    """One cohort of the study.  Work for `runs.runner`.

    taught: patients, in the paper's shares.  share: of `POOLS`, for trials.
    """

    number: int
    use: str = "centres"  # of `scans.seeds`, with the tested patients
    pool: str = "centres pool"
    taught: int = 400
    share: float = 1.0
    epochs: int = 12
    size: int = 64
    encoder: str = "resnet10_narrow"
    rows: tuple[str, ...] = tuple(ROWS)

    def path(self, out: str | Path) -> Path:
        return Path(out).absolute() / f"cohort{self.number:03d}.json"

    @property
    def profile(self) -> Profile:
        return Profile("centres", self.size, self.epochs, "minilm", self.encoder)

    def taught_on(self, early: bool = False, field: float | None = None, **how) -> CentreSet:
        """The cohort.  how: `jobs` and `progress` of `centre_set`."""
        span = (0, EARLY) if early else (0, 1)
        return self._set(self.use, "training", patients=self.taught, span=span, field=field, **how)

    def tested_on(self, pool: str, field: float | None = None, **how) -> CentreSet:
        """Patients of one centre, whose lesions are as those of the cohort, and none of whom is in it."""
        counts = {kind: max(round(n * self.share), 1) for kind, n in POOLS[pool].items()}
        return self._set(self.pool, pool, patients=counts, field=field, **how)

    def _set(self, use: str, name: str, **told) -> CentreSet:
        # A cohort has one draw of the phantom's uncertain tables, for all its sets.
        told = {"hospital": seed_of(self.use, self.number), "progress": False, **told}
        return centre_set(name, seed_of(use, self.number), self.size, **told)

    def fit(self, name: str, lesions: LesionSet) -> tuple[Answer, dict[str, Any]]:
        """What a row answers, and what was found as it was taught."""
        row, profile, train = ROWS[name], self.profile, np.arange(len(lesions))
        if not row.by_phase:
            # It sees all phases of a slice at once, so that twice the epochs show it as many pictures; and of itself it
            # does not repeat rarer classes.
            train = balanced(lesions.label)
            profile = replace(profile, epochs=self.epochs * len(lesions.phases))
        fitted = row.method.fit(lesions, train, profile, self.number)
        return fitted.answer, fitted.found

    def lilnet(self, jobs: int = 1, progress: bool = False) -> tuple[LiLNet, list[float]]:
        """The network of the row "LiLNet", and its losses by epoch."""
        lesions = self.taught_on(jobs=jobs, progress=progress).lesions
        settings = LiLNetSettings(lesions.classes, self.encoder)
        return train_lilnet(
            lesions, np.arange(len(lesions)), settings, self.epochs, seed=self.number, progress=progress
        )

    def record(self) -> dict[str, Any]:
        start = time.monotonic()
        with one_thread():
            rows = {name: ROWS[name] for name in self.rows}
            taught = {(row.early, row.field): self.taught_on(row.early, row.field).lesions for row in rows.values()}
            fields = dict.fromkeys(row.field for row in rows.values())
            pools = {(name, field): self.tested_on(name, field) for name in POOLS for field in fields}
            answers, found, seconds = {}, {}, {}
            for name, row in rows.items():
                began = time.monotonic()
                answer, found[name] = self.fit(name, taught[row.early, row.field])
                tested = {pool: pools[pool, row.field].lesions for pool in POOLS}
                answers[name] = {pool: ask(answer, lesions, row) for pool, lesions in tested.items()}
                seconds[name] = round(time.monotonic() - began, 1)
        sets = {_called("training", *key): lesions for key, lesions in taught.items()}
        sets |= {_called(name, False, field): one.lesions for (name, field), one in pools.items()}
        return {
            **run_provenance(),
            "settings": asdict(self),
            "rows": {name: row.method.about(taught[row.early, row.field], self.profile) for name, row in rows.items()},
            "data": {name: data_provenance(lesions) for name, lesions in sets.items()},
            "pools": {name: told(one) for (name, field), one in pools.items() if field is None},
            "found": found,
            "answers": answers,
            "seconds of rows": seconds,
            "seconds": round(time.monotonic() - start, 1),
        }


def _called(name: str, early: bool, field: float | None) -> str:
    return name + (", early years" if early else "") + (f", crop of {field:.0f} mm" if field else "")


def ask(answer: Answer, lesions: LesionSet, row: Row) -> dict[str, np.ndarray]:
    """Probabilities (n, N) of each patient, means over slices, by what was shown: "both" phases, or each alone."""
    shown = {"both": lesions}
    if row.by_phase:
        shown |= {phase: only(lesions, phase) for phase in lesions.phases}
    every, averaged = np.arange(len(lesions)), getattr(row.method, "averaged", "probabilities")
    return {name: np.float16(pooled(answer(one, every), lesions.patient, averaged)) for name, one in shown.items()}


def only(lesions: LesionSet, phase: str) -> LesionSet:
    """The same slices in one phase."""
    at = lesions.phases.index(phase)
    masks = None if lesions.masks is None else lesions.masks[:, at : at + 1]
    return replace(lesions, hu=lesions.hu[:, at : at + 1], phases=(phase,), masks=masks)


def told(one: CentreSet) -> dict[str, Any]:
    """What is known of the patients of a pool, as arrays and lists of one length."""
    table = one.patients
    return {
        "label": np.uint8([LILNET_CLASSES.index(kind) for kind in table["kind"]]),
        "diameter_mm": np.float32(table["diameter_mm"]),
        "time": np.float32(table["time"]),
        "background": table["background"].tolist(),
    }
