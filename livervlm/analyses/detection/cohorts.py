"""Detectors taught on the studies of one cohort, and the boxes that they find in studies that none was taught on."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...evaluation.detection import (
    IOUS,
    SIDES,
    by_size,
    each_box,
    false_positives,
    froc,
    in_liver,
    joined,
    liver_share,
    measured,
)
from ...models.detector import CONFIDENCE, Detector, train_detector
from ...phantom.abdomen import draw_abdomens
from ...phantom.abdomen_patients import VERSION
from ...runs.cells import one_thread
from ...runs.records import run_provenance
from ...scans.seeds import seed_of
from ...scans.windowing import window
from .scans import PHASES, BoxedScan, make_scans

# Of the cohorts of a use, in `scans.seeds`.
POOLS = {"detection": ("detection pool", 0), "detection development": ("detection development", 99)}


@dataclass(frozen=True)
class Row:
    """A detector.  size: side of a slice, px.  trunk, pretrained: as in `Detector`."""

    size: int = 160
    trunk: str = "resnet10_narrow"
    pretrained: bool = False


ROWS = {
    "narrow": Row(),
    "narrow, 256 px": Row(size=256),
    "Lite0": Row(trunk="efficientnet_lite0"),
    "Lite0, ImageNet": Row(trunk="efficientnet_lite0", pretrained=True),
}


@dataclass(frozen=True)
class Cohort:
    """One row of the study on the studies of one cohort.  Work for `runs.runner`."""

    row: str = "narrow"
    number: int = 0
    use: str = "detection"  # of `scans.seeds`
    studies: int = 120
    tested: int = 60
    epochs: int = 30

    def path(self, out: str | Path) -> Path:
        name = self.row.lower().replace(", ", "-").replace(" ", "-")
        return Path(out).absolute() / f"cohort{self.number:03d}-{name}.json"

    @property
    def size(self) -> int:
        return ROWS[self.row].size

    def taught_on(self, jobs: int = 1, progress: bool = False) -> list[BoxedScan]:
        seed = seed_of(self.use, self.number)
        return make_scans(seed, self.studies, self.size, teaching=True, jobs=jobs, progress=progress)

    def tested_on(self, jobs: int = 1, progress: bool = False) -> list[BoxedScan]:
        """The same patients for every cohort, of whom none is in any."""
        seed = seed_of(*POOLS[self.use])
        return make_scans(seed, self.tested, self.size, jobs=jobs, progress=progress)

    def detector(self, taught_on: Sequence[BoxedScan], progress: bool = False) -> tuple[Detector, list[float]]:
        """The detector and its losses, by epoch."""
        torch.manual_seed(self.number)
        detector = Detector(PHASES, **asdict(ROWS[self.row]))
        told = dict(epochs=self.epochs, seed=self.number, progress=progress)
        return detector, train_detector(detector, *teaching_data(taught_on), **told)

    def _diameters(self, true: pd.DataFrame) -> list[float]:
        """Of the lesion of each true box, mm, as drawn: the same in every row, whatever its pixels."""
        drawn = draw_abdomens(seed_of(*POOLS[self.use]), self.tested)
        return [drawn[one.patient].lesions[one.lesion].diameter for one in true.itertuples()]

    def record(self) -> dict[str, Any]:
        start = time.monotonic()
        with one_thread():
            detector, losses = self.detector(self.taught_on())
            tested_on = self.tested_on()
            found = pd.concat(
                [found_boxes(detector, one.hu, one.pixel, one.liver, one.patient) for one in tested_on],
                ignore_index=True,
            )
            true = pd.concat([true_boxes(one) for one in tested_on], ignore_index=True)
            true["diameter"] = self._diameters(true)
        return {
            **run_provenance(),
            "settings": {**asdict(self), **asdict(ROWS[self.row])},
            "data": {"source": {"kind": "phantom", "room": "abdomen", "version": str(VERSION)}, "phases": PHASES},
            "losses": losses,
            "kinds": {str(one.patient): one.kinds for one in tested_on},
            "boxes": {name: arrays(table) for name, table in (("found", found), ("true", true))},
            "summary": summary(found, true, [one.patient for one in tested_on]),
            "seconds": round(time.monotonic() - start, 1),
        }


def teaching_data(scans: Sequence[BoxedScan]) -> tuple[Tensor, Tensor]:
    """Slices (n, P, H, W) int16 and their boxes (n, K, 4), rows of -1 where there are fewer than K."""
    most = max(np.bincount(one.at).max(initial=0) for one in scans)
    boxes = [np.full((len(one.hu), most, 4), -1, dtype=np.float32) for one in scans]
    for one, of in zip(scans, boxes, strict=True):
        for s in range(len(one.hu)):
            mine = one.box[one.at == s]
            of[s, : len(mine)] = mine
    return torch.from_numpy(np.concatenate([one.hu for one in scans])), torch.from_numpy(np.concatenate(boxes))


def found_boxes(
    detector: Detector, hu: np.ndarray, pixel: float, liver: np.ndarray | None = None, patient: int = 0
) -> pd.DataFrame:
    """The boxes found in slices (S, P, H, W) int16: the table of `evaluation.detection`, in mm from the corner.

    pixel: mm.  liver: (S, H, W) bool, for the column of that name: each box's share of it.
    """
    found = detector.find(window(torch.from_numpy(np.ascontiguousarray(hu))))
    at = np.repeat(np.arange(len(found)), [len(score) for _, score in found])
    box, score = (torch.cat([one[i] for one in found]).numpy() for i in (0, 1))
    table = box_table(box * pixel, at, patient).assign(score=score)
    return table if liver is None else table.assign(liver=liver_share(box, at, liver))


def true_boxes(scan: BoxedScan) -> pd.DataFrame:
    """The same of the true boxes, with their `lesion`."""
    return box_table(scan.box * scan.pixel, scan.at, scan.patient).assign(lesion=scan.lesion)


def box_table(box: np.ndarray, at: np.ndarray, patient: int) -> pd.DataFrame:
    return pd.DataFrame(box, columns=SIDES).assign(patient=patient, slice=at)


def arrays(boxes: pd.DataFrame) -> dict[str, np.ndarray]:
    """The columns of a table of boxes as a record keeps them."""
    return {c: boxes[c].to_numpy(np.int32 if c in ("patient", "slice", "lesion") else np.float32) for c in boxes}


def summary(found: pd.DataFrame, true: pd.DataFrame, patients: Sequence[int]) -> dict[str, Any]:
    """What `evaluation.detection` says at LiLNet's confidence, of boxes and of lesions, outside the liver removed."""
    sure = found[found["score"] >= CONFIDENCE]
    every = {
        "boxes": (each_box(in_liver(sure)), each_box(true)),
        "lesions": (joined(in_liver(sure)), true),
        "lesions, without a liver": (joined(sure), true),
    }
    return {
        name: {
            "measures": lines(measured(*tables, patients)),
            "by size": {str(iou): lines(by_size(*tables, iou)) for iou in IOUS},
            "false positives a study": lines(false_positives(*tables, patients)),
        }
        for name, tables in every.items()
    } | {"FROC": lines(froc(in_liver(found), true, patients))}


def lines(told: pd.DataFrame) -> list[dict[str, Any]]:
    """A table, a dictionary for each line."""
    return told.round(4).reset_index().to_dict("records")
