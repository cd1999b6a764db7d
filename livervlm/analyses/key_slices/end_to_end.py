"""End to end: a study and a sentence, the slice that is chosen, the ROI of the lesion there, and Liver-VLM's class.

What is asked is what a wrong slice costs, so only the slice is chosen: where the lesion lies in the plane and how large
it is, is told from the truth.  Where the chosen slice does not show the lesion, the ROI shows what else is there.

A selector reads slices of 64 pixels; ROIs are cut from a second scan of the same patient, `MATRIX` pixels a side, with
the same slices, and on that scan the reader marks.  They resemble the ROIs that the classifier is taught on
(`make_cohort`): of a few development lesions that were scanned both ways, the mean HU in a phase agree to about 2.
What differs: slices are all 5 mm thick, there 5 to 7; pixels are 0.7 to 1 mm before the ROI is resampled, there 0.57
to 0.59, so that noise of the same sd lacks its finest grain (in the ROI of a small lesion neighbouring pixels differ
by a fifth less); around the lesion is the abdomen, with lung, bowel and other lesions, there a piece of liver with
vessels and, in some, its edge.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed

from ...base.errors import InputError
from ...base.paths import data_file
from ...base.profiles import PROFILES
from ...base.progress import bar
from ...evaluation.retrieval import by_patient
from ...models.liver_vlm import LiverVLM
from ...models.towers import SliceTowers
from ...models.trainer import config_for, train_model
from ...models.training import predict
from ...phantom.abdomen import AbdomenStudy, abdomen_study, draw_abdomens
from ...phantom.abdomen_patients import VERSION
from ...phantom.cohort import MARGIN, make_cohort
from ...phantom.series import Series, make_series
from ...runs.cells import one_thread
from ...runs.records import run_provenance
from ...scans.conventions import LILNET_CLASSES
from ...scans.rois import extract_rois
from ...scans.seeds import seed_of
from ...scans.study import Study
from ...scans.windowing import window
from .questions import Scorer, baselines, by_towers, sentences_of

MATRIX = 512  # pixels a side, a scanner's
PATIENTS = 100  # of each class, that teach the classifier
PROFILE = replace(PROFILES["recorded"], encoder="resnet10_narrow", geometry="affine")  # small_network.md's choice
BASELINES = ("middle slice", "places of organs")
READER, SELECTOR = "reader", "selector"
DIFFERENCE = f"{READER} - {SELECTOR}"

Line = dict[str, Any]
Rois = dict[str, np.ndarray | None]


# ---- one lesion


def best_slice(scores: np.ndarray) -> int:
    """The slice of the highest score; of several that tie, the middle one.  scores: (S, P), each slice's best phase."""
    best = scores.max(axis=1)
    tied = np.flatnonzero(best == best.max())
    return int(tied[len(tied) // 2])


def roi_at(study: Study, number: int, size: int) -> np.ndarray | None:
    """What is at the lesion's place in slice `number` of the reference phase, (P, size, size) int16 HU.

    As `extract_rois` cuts it, recentred phase by phase.  None where that refuses: no phase has such a slice, or there
    is lung or air at the place.
    """
    here = replace(study, box=(number, number + 1, *study.box[2:]), masks={})
    try:
        return extract_rois(here, size, phases=tuple(study.volumes), margin=MARGIN).hu[0]
    except InputError:
        return None


def choose(series: Series, scorers: Mapping[str, Scorer]) -> dict[int, dict[str, int]]:
    """Liver lesion, from 0 -> each of `scorers` -> the slice that it chooses for the lesion's sentence."""
    asked = [sentence for _, sentence in sentences_of([series]) if sentence.organ == "liver"]
    found = {way: score(series, asked) for way, score in scorers.items()} if asked else {}
    return {one.finding: {way: best_slice(scores[i]) for way, scores in found.items()} for i, one in enumerate(asked)}


def cut_rois(scan: AbdomenStudy, chosen: Mapping[int, Mapping[str, int]], size: int) -> list[tuple[Line, Rois]]:
    """A line for each liver lesion, and the ROI at the reader's slice and at each one chosen, as `roi_at` gives it.

    chosen: as `choose` gives it.  A line: lesion, class, and of each way its slice and whether that shows the lesion.
    """
    found = []
    for number, slices in chosen.items():
        study, area = scan.lesion_study(number), scan.mask(number).sum(axis=(1, 2))
        slices = {READER: int(area.argmax()), **slices}
        line = {"lesion": number, "class": scan.findings[number].kind}
        line |= {f"{way} slice": at for way, at in slices.items()}
        line |= {f"{way} shows": bool(area[at]) for way, at in slices.items()}
        found.append((line, {way: roi_at(study, at, size) for way, at in slices.items()}))
    return found


def answered(line: Line, rois: Rois, classify: Callable[[np.ndarray], str]) -> Line:
    """The line with the class that is answered for each way, "" where there is no ROI."""
    return line | {f"{way} answer": "" if roi is None else classify(roi) for way, roi in rois.items()}


def summarize(lines: pd.DataFrame) -> pd.DataFrame:
    """A share for each unit and measure, and its 95 % interval by patient.

    lines: as `answered` gives them, each with its patient, of two patients or more.  Units: "lesion", and "patient", of
    whom all lesions are to be right.  Measures: each way's share of right answers, the paired `DIFFERENCE`, and, of
    lesions, the share of chosen slices that show them.
    """
    ways = [name.removesuffix(" answer") for name in lines if name.endswith(" answer")]
    right = pd.DataFrame({way: lines[f"{way} answer"] == lines["class"] for way in ways}).astype(float)
    whole = right.groupby(lines["patient"]).min()
    right, whole = (t.assign(**{DIFFERENCE: t[READER] - t[SELECTOR]}) for t in (right, whole))
    shows = lines[[f"{way} shows" for way in ways]].astype(float)
    tables = {
        "lesion": by_patient(right.join(shows), lines["patient"].to_numpy()),
        "patient": by_patient(whole, whole.index.to_numpy()),
    }
    return pd.concat(tables, names=["unit", "measure"])


# ---- the study


def finer_scan(seed: int, number: int) -> AbdomenStudy:
    """The patient of `scan_series` again: the same slices, `MATRIX` pixels a side."""
    return abdomen_study(draw_abdomens(seed, 1, first=number)[0], size=MATRIX)


def teach_classifier(
    seed: int, patients: int = PATIENTS, jobs: int = 1, progress: bool = True
) -> tuple[LiverVLM, list[float]]:
    """Liver-VLM of six classes, taught on a phantom cohort with `patients` of each, and its losses by epoch."""
    counts = dict.fromkeys(LILNET_CLASSES, patients)
    told = dict(classes=LILNET_CLASSES, patients=counts, version=VERSION, jobs=jobs, progress=progress)
    lesions = make_cohort(seed, PROFILE.size, **told)
    every = np.arange(len(lesions))
    return train_model(lesions, every, config_for(lesions, PROFILE), PROFILE, progress=progress)


def likeliest(model: LiverVLM, roi: np.ndarray) -> str:
    """The class that a model answers for an ROI (P, S, S) int16 HU."""
    prob = predict(model, window(torch.from_numpy(roi[None]), model.config.window))
    return model.config.classes[int(prob.argmax())]


def _scanned_and_cut(seed: int, number: int, chosen: Mapping[int, Mapping[str, int]], size: int):
    return cut_rois(finer_scan(seed, number), chosen, size)


def record(
    seed: int, studies: int, taught_on: Sequence[Series], patients: int = PATIENTS, jobs: int = 1, progress: bool = True
) -> dict[str, Any]:
    """The record of some test studies with the selector that the book ships.

    taught_on: for the places of organs.  patients: as in `teach_classifier`.  jobs: processes, of 2 GB each.
    """
    start, classifier_seed = time.monotonic(), seed_of("abdomens development", 1)
    with one_thread():
        model, losses = teach_classifier(classifier_seed, patients, jobs, progress)
        scorers = {SELECTOR: by_towers(SliceTowers.from_pretrained(data_file("selector")))}
        scorers |= {name: score for name, score in baselines(taught_on).items() if name in BASELINES}
        tested_on = make_series(seed, studies, jobs=jobs, progress=progress)
        chosen = {one.patient: slices for one in tested_on if (slices := choose(one, scorers))}
        todo = [delayed(_scanned_and_cut)(seed, number, slices, PROFILE.size) for number, slices in chosen.items()]
        made = bar(Parallel(jobs, return_as="generator")(todo), "finer scans", progress, total=len(todo))
        classify = partial(likeliest, model)
        cut = [(patient, *one) for patient, found in zip(chosen, made, strict=True) for one in found]
        lines = pd.DataFrame([{"patient": p, **answered(line, rois, classify)} for p, line, rois in cut])
    summary = summarize(lines)
    return {
        **run_provenance(),
        "settings": {"matrix": MATRIX, "patients of a class": patients, "profile": asdict(PROFILE)},
        "data": {
            "source": {"kind": "phantom", "room": "abdomen", "version": str(VERSION)},
            "seeds": {"studies": seed, "classifier": classifier_seed},
            "studies": studies,
            "classes": LILNET_CLASSES,
        },
        "losses": losses,
        "lesions": lines.to_dict("list"),
        "summary": {unit: summary.loc[unit].round(4).to_dict("index") for unit in ("lesion", "patient")},
        "seconds": round(time.monotonic() - start, 1),
    }
