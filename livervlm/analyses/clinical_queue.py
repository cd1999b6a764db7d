"""A clinical queue: studies as a hospital has them, many livers healthy, through detector and cascade; one answer each.

The classes are those of the LiLNet paper's second clinical evaluation (Sanya), where 121 of 235 livers have no lesion.
So it can be told what an accuracy among lesions cannot: how often nothing is said where nothing is, and how many of
those called malignant have a cancer, which depends on how common cancers are.  The plan is `data/results/queue.md`.
For teaching and research, not for diagnosis.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from ..base.errors import InputError
from ..base.paths import data_file
from ..base.progress import bar
from ..evaluation.patients import LINE, wilson
from ..models.detector import CONFIDENCE, Detector
from ..phantom.abdomen import AbdomenPatient, AbdomenStudy, abdomen_study, draw_abdomens
from ..phantom.abdomen_patients import VERSION
from ..phantom.centres import NORMAL, in_turn, lilnet_patients
from ..runs.cells import one_thread
from ..runs.records import run_provenance, write_record
from ..scans.conventions import LILNET_CLASSES, MALIGNANT
from ..scans.seeds import seed_of
from . import scan_to_answer
from .detection.scans import PHASES, BoxedScan, boxed
from .scan_to_answer import FOUND, PATIENTS, follow, tables, teach_cascade

HOSPITAL = "Sanya"
DRAWS = 200  # of a place in the queue, of which the first with, or without, lesions is taken
BENIGN = tuple(kind for kind in LILNET_CLASSES if kind not in MALIGNANT)


def kinds_of(patients: int | None = None) -> list[str]:
    """The class of each patient or "normal", in the hospital's shares; a shorter queue is the beginning of a longer.

    patients: by default as many as the paper has.
    """
    counts = lilnet_patients().loc[HOSPITAL, [*LILNET_CLASSES, NORMAL]]
    counts = counts[counts > 0].astype(int).to_dict()
    return list(in_turn(counts, sum(counts.values()) if patients is None else patients))


def draw_queue(seed: int, patients: int | None = None) -> list[AbdomenPatient]:
    """Whole abdomens of `kinds_of`: without a lesion of the liver, or with one to three of one class."""
    queue = []
    for place, kind in enumerate(kinds_of(patients)):
        classes = LILNET_CLASSES if kind == NORMAL else (kind,)
        numbers = range(place * DRAWS, (place + 1) * DRAWS)
        drawn = (draw_abdomens(seed, 1, classes=classes, first=number)[0] for number in numbers)
        queue.append(next(one for one in drawn if bool(one.lesions) == (kind != NORMAL)))
    return queue


def scans_of(patient: AbdomenPatient, place: int, size: int) -> tuple[BoxedScan, AbdomenStudy]:
    """What the detector reads, and the finer scan that ROIs are cut from, as in `scan_to_answer`."""
    coarse = boxed(abdomen_study(patient, PHASES, size), place)
    return coarse, abdomen_study(patient, PHASES, scan_to_answer.MATRIX)


def record(queue: int | None = None, patients: int = PATIENTS, jobs: int = 1, progress: bool = True) -> dict[str, Any]:
    """The record of a queue, read by the detector that the book ships and by the cascade of `scan_to_answer`.

    queue: how many, by default the paper's number.  patients: of each class, that teach the cascade.
    """
    start, seed, teacher = time.monotonic(), seed_of("centres queue", 0), seed_of("detection development", 98)
    detector, kinds = Detector.from_pretrained(data_file("detector")), kinds_of(queue)
    with one_thread():
        classify = teach_cascade(teacher, patients, jobs, progress)
        drawn = enumerate(draw_queue(seed, queue))
        scans = Parallel(jobs, return_as="generator")(delayed(scans_of)(one, i, detector.size) for i, one in drawn)
        lines = [
            follow(scan, detector, classify, lambda fine=fine: fine)
            for scan, fine in bar(scans, "studies", progress, total=len(kinds))
        ]
    return {
        **run_provenance(),
        "settings": {"matrix": scan_to_answer.MATRIX, "patients of a class": patients}
        | {"profile": asdict(scan_to_answer.PROFILE)},
        "data": {"source": {"kind": "phantom", "room": "abdomen", "version": str(VERSION)}, "phases": PHASES}
        | {"seeds": {"queue": seed, "cascade": teacher}, "hospital": HOSPITAL, "classes": LILNET_CLASSES},
        "kinds": kinds,
        **{part: [line for each in lines for line in each[part]] for part in ("lesions", "false")},
        "seconds": round(time.monotonic() - start, 1),
    }


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

    Without a cancer: not called malignant, and where the liver is healthy also nothing found.  With a cancer: found,
    and called malignant.  Of those called malignant, those who have a cancer, and of the others those who have none:
    both hold for this queue's share of cancers alone.  Of each class: the class is answered.
    """
    table = by_patient(record, confidence)
    cancer, called = table["kind"].isin(MALIGNANT), table["malignant"]
    healthy, benign = table["kind"] == NORMAL, table["kind"].isin(BENIGN)
    asked = {
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


def predictive_value(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Of those called malignant, the share who have a cancer, where cancers are as common as `prevalence`; from 0 to 1.

    By Bayes' rule; nan where nobody is called malignant.
    """
    right, wrong = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return float(np.divide(right, right + wrong)) if right + wrong else np.nan


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.analyses.clinical_queue", description=record.__doc__)
    parser.add_argument("--queue", type=int, help="patients, by default the paper's number")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of 2 GB each")
    parser.add_argument("--out", metavar="FILE", required=True, help="of the record")
    options = parser.parse_args()
    try:
        write_record(options.out, record(options.queue, jobs=options.jobs))
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
