"""Two clinical queues: studies as a hospital has them, through detector and cascade, with one answer for each patient.

Their classes are those of the LiLNet paper's clinical evaluations.  In Sanya 121 of 235 livers have no lesion, in
Tianfu all 184 have one, mostly a cyst.  So it can be told what an accuracy among lesions cannot: how often nothing is
said where nothing is, and how many of those called malignant have a cancer, which depends on how common cancers are.
The plan is `data/results/queues.md`.  For teaching and research, not for diagnosis.
"""

import argparse
import functools
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base.paths import data_file
from ..base.progress import bar
from ..evaluation.patients import LINE, wilson
from ..models.detector import CONFIDENCE, Detector
from ..phantom.abdomen import AbdomenPatient, abdomen_study, draw_abdomens
from ..phantom.abdomen_patients import VERSION
from ..phantom.centres import NORMAL, in_turn, lilnet_patients
from ..runs.cells import one_thread
from ..runs.records import read_record, run_provenance
from ..runs.runner import run
from ..scans.conventions import LILNET_CLASSES, MALIGNANT
from ..scans.seeds import seed_of
from . import scan_to_answer
from .detection.scans import PHASES, boxed
from .lilnet_table import facts
from .scan_to_answer import FOUND, PATIENTS, follow, tables, teach_cascade

HOSPITALS = ("Sanya", "Tianfu")
DRAWS = 200  # of a place in the queue, of which the first with, or without, lesions is taken
BENIGN = tuple(kind for kind in LILNET_CLASSES if kind not in MALIGNANT)


def kinds_of(hospital: str, patients: int | None = None) -> list[str]:
    """The class of each patient or "normal", in the hospital's shares; a shorter queue is the beginning of a longer.

    patients: by default as many as the paper has.
    """
    counts = lilnet_patients().loc[hospital, [*LILNET_CLASSES, NORMAL]]
    counts = counts[counts > 0].astype(int).to_dict()
    return list(in_turn(counts, sum(counts.values()) if patients is None else patients))


def draw_queue(seed: int, kinds: list[str]) -> list[AbdomenPatient]:
    """Whole abdomens of `kinds_of`: without a lesion of the liver, or with one to three of one class."""
    queue = []
    for place, kind in enumerate(kinds):
        classes = LILNET_CLASSES if kind == NORMAL else (kind,)
        numbers = range(place * DRAWS, (place + 1) * DRAWS)
        drawn = (draw_abdomens(seed, 1, classes=classes, first=number)[0] for number in numbers)
        queue.append(next(one for one in drawn if bool(one.lesions) == (kind != NORMAL)))
    return queue


@dataclass(frozen=True)
class Queue:
    """The queue of one hospital, read by the detector that the book ships and by the cascade of `scan_to_answer`.

    Work for `runs.runner`.  patients: how many, by default the paper's number.  taught: of each class, for the cascade.
    """

    hospital: str
    patients: int | None = None
    taught: int = PATIENTS

    def path(self, out: str | Path) -> Path:
        return Path(out).absolute() / f"{self.hospital.lower()}.json"

    def record(self) -> dict[str, Any]:
        start, kinds = time.monotonic(), kinds_of(self.hospital, self.patients)
        seed, teacher = seed_of("centres queue", HOSPITALS.index(self.hospital)), seed_of("detection development", 98)
        detector, lines = Detector.from_pretrained(data_file("detector")), []
        with one_thread():
            classify = teach_cascade(teacher, self.taught, progress=False)
            for place, one in enumerate(bar(draw_queue(seed, kinds), self.hospital)):
                scan = boxed(abdomen_study(one, PHASES, detector.size), place)
                # The finer scan that ROIs are cut from, as in `scan_to_answer`.
                finer = functools.partial(abdomen_study, one, PHASES, scan_to_answer.MATRIX)
                lines.append(follow(scan, detector, classify, finer))
        return {
            **run_provenance(),
            "settings": {"matrix": scan_to_answer.MATRIX, "patients of a class": self.taught}
            | {"profile": asdict(scan_to_answer.PROFILE)},
            "data": {"source": {"kind": "phantom", "room": "abdomen", "version": str(VERSION)}, "phases": PHASES}
            | {"seeds": {"queue": seed, "cascade": teacher}, "hospital": self.hospital, "classes": LILNET_CLASSES},
            "kinds": kinds,
            **{part: [line for each in lines for line in each[part]] for part in ("lesions", "false")},
            "seconds": round(time.monotonic() - start, 1),
        }


def read_records(folder: str | Path | None = None) -> dict[str, dict]:
    """The records of the queues that are there, by hospital; by default the book's own."""
    paths = {one: Queue(one).path(folder or data_file("results") / "queues") for one in HOSPITALS}
    return {one: read_record(path) for one, path in paths.items() if path.exists()}


def by_patient(record: Mapping[str, Any], confidence: float = CONFIDENCE) -> pd.DataFrame:
    """One answer for each patient of a record, from what is found at a confidence.

    Columns: kind, the class or "normal"; found, whether there is a find; malignant, whether one of them is called so,
    from one half on; answer, the class of the surest find, "" without one.
    """
    finds = pd.concat(tables(record))
    finds = finds[finds.get("score", pd.Series(dtype=float)) >= confidence]
    lines = []
    for place, kind in enumerate(record["kinds"]):
        mine = finds[finds["patient"] == place].sort_values("score") if len(finds) else finds
        answer = mine[f"{FOUND}, answer"].iloc[-1] if len(mine) else ""
        lines.append((kind, len(mine) > 0, bool(len(mine)) and (mine[f"{FOUND}, malignant"] >= 0.5).any(), answer))
    return pd.DataFrame(lines, columns=["kind", "found", "malignant", "answer"])


def measured(record: Mapping[str, Any], confidence: float = CONFIDENCE) -> pd.DataFrame:
    """Shares of patients with Wilson's 95 % intervals, columns `LINE`; a share of nobody is left out.

    Of all: called malignant or not, rightly.  Without a cancer: not called malignant, and where the liver is healthy
    also nothing found.  With a cancer: found, and called malignant.  Of those called malignant, those who have a
    cancer, and of the others those who have none: both hold for this queue's share of cancers alone.  Of each class:
    the class is answered.
    """
    table = by_patient(record, confidence)
    cancer, called = table["kind"].isin(MALIGNANT), table["malignant"]
    healthy, benign = table["kind"] == NORMAL, table["kind"].isin(BENIGN)
    asked = {
        "all: malignant or not": (pd.Series(True, table.index), called == cancer),
        "healthy liver: nothing found": (healthy, ~table["found"]),
        "healthy liver: not called malignant": (healthy, ~called),
        "benign lesion: not called malignant": (benign, ~called),
        "no cancer: not called malignant": (~cancer, ~called),
        "cancer: something found": (cancer, table["found"]),
        "cancer: called malignant": (cancer, called),
        "called malignant: has a cancer": (called, cancer),
        "not called malignant: has none": (~called, ~cancer),
    }
    asked |= {f"{kind}: named": (table["kind"] == kind, table["answer"] == kind) for kind in LILNET_CLASSES}
    there = {name: true[who] for name, (who, true) in asked.items() if who.any()}
    lines = {name: (*wilson(true.mean(), len(true)), len(true)) for name, true in there.items()}
    return pd.DataFrame.from_dict(lines, orient="index", columns=LINE)


def beside_printed(records: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """`measured` of each hospital in percent, as text, and the accuracy that the paper prints of its queue there."""
    columns = {}
    for hospital, record in records.items():
        shares = measured(record)
        ends = (100 * shares[["value", "low", "high"]]).round().astype(int).astype(str)
        told = ends["value"] + " (" + ends["low"] + " to " + ends["high"] + "), n = " + shares["patients"].astype(str)
        printed = facts("centres_printed").query(f"set == 'queue, {hospital}'").set_index("what")["acc"]
        printed = printed.rename(lambda what: "all: malignant or not" if "/" in what else f"{what}: named")
        columns |= {hospital: told, f"{hospital}, printed": printed.reindex(told.index).map("{:g}".format, "ignore")}
    names = dict.fromkeys(name for one in columns.values() for name in one.index)
    return pd.DataFrame(columns, index=list(names)).fillna("")


def predictive_value(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Of those called malignant, the share who have a cancer, where cancers are as common as `prevalence`; from 0 to 1.

    By Bayes' rule; nan where nobody is called malignant.
    """
    right, wrong = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return float(np.divide(right, right + wrong)) if right + wrong else np.nan


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.analyses.clinical_queue", description=Queue.__doc__)
    parser.add_argument("--jobs", type=int, default=1, help="processes, of 2 GB each; a queue is read by one")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="of the records")
    options = parser.parse_args()
    run([Queue(one) for one in HOSPITALS], options.out, name="queues", jobs=options.jobs)


if __name__ == "__main__":
    main()
