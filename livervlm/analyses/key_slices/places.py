"""Where the segments of the liver lie along the body, and how far a sentence's segment alone leads to its slice.

Couinaud's segments lie at different heights, so who reads "segment VII" in a sentence knows more than the organ's
place.  The baseline learns from the patients of a cohort without any picture: their lesions' places and segments.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...phantom.abdomen_patients import THICKNESS, TOP, VERSION, AbdomenPatient, draw_abdomens
from ...phantom.sentences import Sentence, named_segments
from ...phantom.series import Series
from ...runs.records import code_provenance
from ...scans.seeds import seed_of
from .cohorts import MAIN, Cohort
from .questions import Asked, Scorer, baselines, retrieve, sentences_of

ROW = "places of segments"
Places = Mapping[str, Sequence[float]]  # segment, "1" to "8" -> how many lesions, and their mean height


def positions(patient: AbdomenPatient) -> list[float]:
    """Of each liver lesion its middle, from 0, the middle of the first slice, to 1, that of the last."""
    first = -TOP * 10 * patient.scale[0] + THICKNESS / 2
    length = THICKNESS * (patient.n_slices - 1)
    return [min(max((z - first) / length, 0.0), 1.0) for z, _, _ in patient.places]


def segment_places(patients: Iterable[AbdomenPatient]) -> dict[str, tuple[int, float]]:
    """Of each segment with a lesion: how many, and the mean of their `positions`."""
    found: dict[int, list[float]] = {}
    for patient in patients:
        for segment, position in zip(patient.segments, positions(patient), strict=True):
            found.setdefault(segment, []).append(position)
    return {str(s): (len(there), round(float(np.mean(there)), 4)) for s, there in sorted(found.items())}


def by_segment(places: Places, otherwise: Scorer) -> Scorer:
    """The nearer to the mean place of the segment or lobe that a sentence names, the higher; without one `otherwise`.

    A lobe's place is the mean over the lesions of its segments.
    """

    def score(series: Series, sentences: Sequence[Sentence]) -> np.ndarray:
        rows, along = otherwise(series, sentences), np.linspace(0, 1, len(series.hu))
        for row, sentence in zip(rows, sentences, strict=True):
            known = [places[str(s)] for s in named_segments(sentence.text) if str(s) in places]
            if known:
                count, mean = np.transpose(known)
                row[:] = -np.abs(along - np.average(mean, weights=count))[:, None]
        return rows

    return score


def names_segment(asked: Sequence[Asked]) -> np.ndarray:
    """(N,) bool: whether each sentence names a segment or a lobe of the liver."""
    return np.array([bool(named_segments(sentence.text)) for _, sentence in asked])


def record(cohorts: Sequence[Cohort]) -> dict[str, Any]:
    """What the places of segments answer, cohort by cohort, to the sentences that name a segment or a lobe."""
    start = time.monotonic()
    tested_on = cohorts[0].tested_on()
    asked = sentences_of(tested_on)
    named, middle = names_segment(asked), baselines(tested_on)["middle slice"]
    mine = [pair for pair, there in zip(asked, named, strict=True) if there]
    places, answers = {}, {}
    for cohort in cohorts:
        patients = draw_abdomens(seed_of(cohort.use, cohort.number), cohort.studies)
        places[str(cohort.number)] = segment_places(patients)
        table = retrieve(by_segment(places[str(cohort.number)], middle), mine).drop(columns="organ")
        answers[str(cohort.number)] = {column: np.float32(table[column]) for column in table}
    return {
        **code_provenance("livervlm", "numpy"),
        "data": {"source": {"kind": "phantom", "room": "abdomen", "version": str(VERSION)}},
        "studies": cohorts[0].studies,
        "places": places,
        "named": named.astype(np.uint8),
        "answers": answers,
        "seconds": round(time.monotonic() - start, 1),
    }


def with_segments(records: Sequence[dict], places: dict) -> list[dict]:
    """The cohorts' records with a row more, `ROW`: places of segments where one is named, else places of organs.

    places: as `record` makes it.
    """
    named, found = places["named"].astype(bool), []
    for one in records:
        mine, row = places["answers"][str(one["settings"]["number"])], {}
        for column, values in one["answers"]["places of organs"]["as written"].items():
            row[column] = values.copy()
            row[column][named] = mine[column]
        found.append({**one, "answers": {**one["answers"], ROW: {"as written": row}}})
    return found


def told_by_names(records: Sequence[dict], places: dict, question: str) -> pd.DataFrame:
    """The share of right answers to one of `PLACELESS`, in percent, mean over cohorts, and the number of sentences.

    A line for the sentences that name a segment or a lobe and one for the others; a column for each of three rows.
    """
    records, named, lines = with_segments(records, places), places["named"].astype(bool), {}
    for words, these in (("segment or lobe named", named), ("neither named", ~named)):
        lines[words] = {}
        for row in (MAIN, "places of organs", ROW):
            values = np.array([one["answers"][row]["as written"][question][these] for one in records], dtype=float)
            lines[words][row] = 100 * np.nanmean(values, axis=1).mean()
        lines[words]["n"] = int(np.isfinite(values[0]).sum())
    return pd.DataFrame.from_dict(lines, orient="index")
