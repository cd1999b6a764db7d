"""From a scan to an answer: lesions that a detector finds in a study, and the class that a cascade gives each.

Every number of a two-step system is a product of what its steps do, and of what the second does with what the first
leaves it.  So each lesion is classified three ways: in its true box, moved with it from phase to phase; in its true
box, at the same place in every phase, as whoever has boxes of one phase must; and in the box that was found.

The cascade is LiLNet's, of three narrow networks, taught on `make_cohort`'s ROIs.  ROIs are cut from a second scan of
the same patients with the same slices and `MATRIX` pixels a side; see `key_slices.end_to_end` for what differs.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from ..base.errors import InputError
from ..base.paths import data_file
from ..base.profiles import Profile
from ..base.progress import bar
from ..evaluation.detection import SIDES, in_liver, joined, lesion_iou, matched
from ..models.detector import CONFIDENCE, Detector
from ..phantom.abdomen import AbdomenStudy, abdomen_study, draw_abdomens
from ..phantom.abdomen_patients import VERSION
from ..phantom.cohort import MARGIN, make_cohort
from ..runs.cells import one_thread
from ..runs.methods import Answer, TrainedLiLNet
from ..runs.records import run_provenance, write_record
from ..scans.conventions import LILNET_CLASSES, MALIGNANT
from ..scans.lesions import LesionSet
from ..scans.rois import extract_rois
from ..scans.seeds import seed_of
from ..scans.study import Study
from .detection.cohorts import POOLS, found_boxes, true_boxes
from .detection.scans import PHASES, BoxedScan, make_scans
from .key_slices.end_to_end import MATRIX

PATIENTS = 100  # of each class, that teach the cascade
PROFILE = Profile("scan to answer", size=64, epochs=12, text_encoder="minilm", encoder="resnet10_narrow")
SLICES = 6  # of a lesion, at most, as in LiLNet's sets
LOWEST = 0.1  # score from which a box is kept, for the curves; answers count from `CONFIDENCE`
GIVEN, STILL, FOUND = "box given", "box given in one phase", "box found"


@dataclass(frozen=True)
class Found:
    """One lesion as a detector tells it.

    slices: those with a box.  box: x0, y0, x1, y1 in mm, the surest of its boxes, the largest where all are as sure.
    """

    slices: tuple[int, ...]
    box: tuple[float, float, float, float]
    score: float
    boxes: pd.DataFrame

    @classmethod
    def of(cls, boxes: pd.DataFrame) -> "Found":
        """From the lines of one lesion of a table of boxes."""
        area = (boxes["x1"] - boxes["x0"]) * (boxes["y1"] - boxes["y0"])
        told = boxes.assign(area=area, score=boxes.get("score", 1.0))
        best = told.sort_values(["score", "area"]).iloc[-1]
        return cls(tuple(boxes["slice"].sort_values()), tuple(map(float, best[SIDES])), float(best["score"]), boxes)

    def in_slice(self, number: int) -> np.ndarray:
        """Its box in a slice, (n, 4) mm, n 0 or 1."""
        return self.boxes.loc[self.boxes["slice"] == number, SIDES].to_numpy()


def detected(detector: Detector, scan: BoxedScan) -> list[Found]:
    """The lesions found in a study, those outside the liver left out, the surest first."""
    boxes = found_boxes(detector, scan.hu, scan.pixel, scan.liver, scan.patient)
    boxes = joined(in_liver(boxes[boxes["score"] >= LOWEST]))
    return sorted((Found.of(mine) for _, mine in boxes.groupby("lesion")), key=lambda one: -one.score)


def taken(found: Sequence[Found], true: Sequence[Found], threshold: float = 0.1) -> np.ndarray:
    """The true lesion that each found one takes, by IoU in 3D, one to one: (found,), -1 for none."""
    if not found or not true:
        return np.full(len(found), -1)
    tables = (
        pd.concat([one.boxes.assign(lesion=i) for i, one in enumerate(side)], ignore_index=True)
        for side in (found, true)
    )
    return matched(lesion_iou(*tables), np.array([one.score for one in found]), threshold)


def rois(study: Study, slices: Sequence[int], phases: Sequence[str], aligned: bool) -> np.ndarray | None:
    """ROIs of a lesion, up to `SLICES` spread evenly over its slices, (n, P, 64, 64) int16; None where it has none.

    A slice that cannot be cut, as a phase was not scanned so far or lung is at the place, is left out.
    """
    chosen = np.unique(
        np.asarray(slices)[np.linspace(0, len(slices) - 1, min(len(slices), SLICES)).round().astype(int)]
    )
    cut = []
    for number in chosen:
        here = replace(study, box=(int(number), int(number) + 1, *study.box[2:]), masks={})
        try:
            cut.append(extract_rois(here, PROFILE.size, phases=phases, margin=MARGIN, aligned=aligned).hu[0])
        except InputError:
            continue
    return np.stack(cut) if cut else None


def study_of(volumes: Mapping[str, np.ndarray], spacing: tuple[float, float, float], one: Found) -> Study:
    """The `Study` of a lesion that was found: its box on the last phase, and nothing that only the truth tells."""
    (x0, x1), (y0, y1) = (np.divide(one.box[axis::2], spacing[2 - axis]) for axis in (0, 1))
    plane = int(np.floor(y0)), int(np.ceil(y1)), int(np.floor(x0)), int(np.ceil(x1))
    return Study(volumes, spacing, [*volumes][-1], (one.slices[0], one.slices[-1] + 1, *plane))


def as_lesions(cut: np.ndarray, classes: Sequence[str], phases: Sequence[str]) -> LesionSet:
    """ROIs (n, P, S, S) of one lesion, of which the class is not known, as a network is shown them."""
    nobody = np.zeros(len(cut), dtype=np.int64)
    return LesionSet(cut, nobody, nobody, nobody, np.ones((len(cut), 3)), tuple(classes), tuple(phases))


def answers(classify: Answer, cut: np.ndarray | None) -> list[float] | None:
    """The cascade's probabilities for a lesion, (6,): the mean over its slices."""
    if cut is None:
        return None
    slices = as_lesions(cut, LILNET_CLASSES, PHASES)
    return np.asarray(classify(slices, np.arange(len(cut)))).mean(axis=0).round(4).tolist()


def follow(scan: BoxedScan, detector: Detector, classify: Answer, finer: Callable[[], AbdomenStudy]) -> dict[str, list]:
    """One study: a line for each true lesion, and one for each found lesion that took none.

    finer: makes the scan from which ROIs are cut; not called where nothing is there and nothing found.
    """
    found, boxes = detected(detector, scan), true_boxes(scan)
    true = [Found.of(mine) for _, mine in boxes.groupby("lesion")]
    took = taken(found, true)
    lines, false = [], []
    if not found and not true:
        return {"lesions": lines, "false": false}
    fine = finer()
    for number, one in enumerate(true):
        known = fine.lesion_study(number)
        hit = np.flatnonzero(took == number)
        mine = found[hit[0]] if len(hit) else None
        ways = {GIVEN: rois(known, one.slices, PHASES, True), STILL: rois(known, one.slices, PHASES, False)}
        ways[FOUND] = rois(study_of(fine.volumes, fine.spacing, mine), mine.slices, PHASES, False) if mine else None
        x0, y0, x1, y1 = one.box
        line = {"patient": scan.patient, "class": scan.kinds[number], "size": round(max(x1 - x0, y1 - y0), 1)}
        line["score"] = round(mine.score, 4) if mine else 0.0
        lines.append(line | {way: answers(classify, cut) for way, cut in ways.items()})
    for one in (found[i] for i in np.flatnonzero(took < 0)):
        cut = rois(study_of(fine.volumes, fine.spacing, one), one.slices, PHASES, False)
        false.append({"patient": scan.patient, "score": round(one.score, 4), FOUND: answers(classify, cut)})
    return {"lesions": lines, "false": false}


def teach_cascade(seed: int, patients: int = PATIENTS, jobs: int = 1, progress: bool = True) -> Answer:
    """LiLNet's cascade, taught on a phantom cohort with `patients` of each class."""
    told = dict(
        phases=PHASES,
        classes=LILNET_CLASSES,
        patients=dict.fromkeys(LILNET_CLASSES, patients),
        version=VERSION,
        jobs=jobs,
    )
    lesions = make_cohort(seed, PROFILE.size, **told, progress=progress)
    return TrainedLiLNet(cascade=True).fit(lesions, np.arange(len(lesions)), PROFILE, seed).answer


def record(studies: int, patients: int = PATIENTS, jobs: int = 1, progress: bool = True) -> dict[str, Any]:
    """The record of some studies of the detection's test pool, with the detector that the book ships."""
    start, (pool, number) = time.monotonic(), POOLS["detection"]
    seed, teacher = seed_of(pool, number), seed_of("detection development", 98)
    detector = Detector.from_pretrained(data_file("detector"))
    with one_thread():
        classify = teach_cascade(teacher, patients, jobs, progress)
        scans = make_scans(seed, studies, detector.size, jobs=jobs, progress=progress)
        made = Parallel(jobs, return_as="generator")(
            delayed(_finer)(seed, one.patient) for one in scans if len(one.kinds) or detected(detector, one)
        )
        lines = []
        for one in bar(scans, "studies", progress, total=len(scans)):
            lines.append(follow(one, detector, classify, lambda: next(made)))
    return {
        **run_provenance(),
        "settings": {"matrix": MATRIX, "patients of a class": patients, "profile": asdict(PROFILE)},
        "data": {"source": {"kind": "phantom", "room": "abdomen", "version": str(VERSION)}, "phases": PHASES}
        | {"seeds": {"studies": seed, "cascade": teacher}, "studies": studies, "classes": LILNET_CLASSES},
        "healthy": [one.patient for one in scans if not one.kinds],
        **{part: [line for each in lines for line in each[part]] for part in ("lesions", "false")},
        "seconds": round(time.monotonic() - start, 1),
    }


def _finer(seed: int, number: int) -> AbdomenStudy:
    return abdomen_study(draw_abdomens(seed, 1, first=number)[0], PHASES, MATRIX)


def tables(record: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The lesions and the false finds of a record, with what follows from the probabilities of each way.

    Columns more: "WAY, answer", a class, and "WAY, malignant", a probability; "" and 0 where there is no ROI, for which
    a box that was not found is one reason.
    """
    malignant = np.isin(LILNET_CLASSES, list(MALIGNANT))
    found = []
    for part, ways in (("lesions", (GIVEN, STILL, FOUND)), ("false", (FOUND,))):
        table = pd.DataFrame(record[part])
        for way in ways if len(table) else ():
            prob = np.array([one if one is not None else np.zeros(len(LILNET_CLASSES)) for one in table.pop(way)])
            table[f"{way}, malignant"] = prob[:, malignant].sum(axis=1)
            side = np.where(table[f"{way}, malignant"].to_numpy()[:, None] >= 0.5, malignant, ~malignant)
            best = np.where(side, prob, -1).argmax(axis=1)
            table[f"{way}, answer"] = np.where(prob.any(axis=1), np.array(LILNET_CLASSES)[best], "")
        found.append(table)
    return found[0], found[1]


def steps(lesions: pd.DataFrame, confidence: float = CONFIDENCE) -> pd.DataFrame:
    """What is left after each step, in percent of all lesions: found, side right, class right, by way.

    side: malignant or benign, at one half.
    """
    truth = lesions["class"].isin(MALIGNANT)
    lines = {}
    for way in (GIVEN, STILL, FOUND):
        there = lesions["score"] >= confidence if way == FOUND else pd.Series(True, lesions.index)
        side = there & ((lesions[f"{way}, malignant"] >= 0.5) == truth)
        right = there & (lesions[f"{way}, answer"] == lesions["class"])
        lines[way] = {"found": there.mean(), "and side right": side.mean(), "and class right": right.mean()}
    return 100 * pd.DataFrame(lines).T


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.analyses.scan_to_answer", description=record.__doc__)
    parser.add_argument("--studies", type=int, default=40, help="the plan's number by default")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of 2 GB each")
    parser.add_argument("--out", metavar="FILE", required=True, help="of the record")
    options = parser.parse_args()
    try:
        write_record(options.out, record(options.studies, jobs=options.jobs))
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
