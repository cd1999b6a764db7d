"""What the records of the study on key slices say: its contrasts, what each selector does, and what its slices cost.

The plans that these functions carry out are `data/results/key_slices.md` and `key_slices_end_to_end.md`.
"""

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...evaluation.retrieval import PRESENCE
from ...phantom.findings import ORGANS
from .. import planned
from .cohorts import MAIN, PROMPTS
from .end_to_end import DIFFERENCE

FIRST = "accepted"  # the measure of the contrasts
MARGIN = 5  # points, of reader against selector, end to end

declared = functools.partial(planned.declared, "key_slices")
read_records = functools.partial(planned.read_records, "key_slices")


def value(record: dict, row: str, asked: str = "as written", measure: str = FIRST, open_only: bool = False) -> float:
    """The mean of a measure over the sentences that it can be asked of, in percent but for errors in slices; else nan.

    open_only: of the sentences whose organ holds another finding, too.
    """
    columns = record["answers"][row][asked]
    values = columns[measure][columns["open"] > 0] if open_only else columns[measure]
    return float(pd.Series(values, dtype=float).mean()) * (1 if measure.startswith("MAE") else 100)


def organ_value(record: dict, row: str, prompt: str, measure: str = "accuracy") -> float:
    """Mean over the organs of accuracy or F1, in percent."""
    return 100 * float(organs([record], row)[prompt, measure].mean())


def _side(record: dict, side: Sequence[str]) -> float:
    kind, row, asked = side
    return organ_value(record, row, asked) if kind == "organs" else value(record, row, asked, open_only=kind == "open")


def contrasts(records: Sequence[dict]) -> pd.DataFrame:
    """The declared contrasts with their verdicts, as `planned.judged` tells them."""
    return planned.judged("key_slices", records, _side)


def measured(records: Sequence[dict], measures: Sequence[str], asked: str = "as written") -> pd.DataFrame:
    """Mean and sd over cohorts of some measures, a line for each selector; nan where it was not asked so."""
    found = {}
    for row in records[0]["answers"]:
        if asked in records[0]["answers"][row]:
            values = np.array([[value(r, row, asked, m) for m in measures] for r in records])
            found[row] = np.stack([values.mean(axis=0), values.std(axis=0, ddof=1)], axis=1).ravel()
    columns = pd.MultiIndex.from_product([measures, ["mean", "sd"]])
    return pd.DataFrame.from_dict(found, orient="index", columns=columns)


def organs(records: Sequence[dict], row: str = MAIN) -> pd.DataFrame:
    """Mean over cohorts of accuracy and F1, from 0 to 1, a line for each organ; columns prompt and measure."""
    found = {
        (prompt, measure): {o: np.mean([r["organs"][row][prompt][o][place] for r in records]) for o in ORGANS}
        for prompt in PROMPTS
        for place, measure in enumerate(PRESENCE)
    }
    return pd.DataFrame(found)


def slice_costs(record: dict) -> pd.DataFrame:
    """What is classified right with the slices of each way of choosing, in percent with 95 % intervals, as words.

    record: as `end_to_end.record` makes it.  A line for each way and one for `DIFFERENCE`, in points.
    """
    lesion, patient = record["summary"]["lesion"], record["summary"]["patient"]

    def words(found: dict | None) -> str:
        return "{value:.1f} ({low:.1f} to {high:.1f})".format(**{k: 100 * v for k, v in found.items()}) if found else ""

    lines = {
        way: [words(lesion[way]), words(patient[way]), words(lesion.get(f"{way} shows"))]
        for way in (*(way for way in patient if way != DIFFERENCE), DIFFERENCE)
    }
    return pd.DataFrame.from_dict(lines, "index", columns=["lesions right", "patients right", "slices with the lesion"])


def reader_against_selector(record: dict) -> str:
    """The verdict on the claim that the reader's slices are better, as the plan reads it from the 95 % interval."""
    found = record["summary"]["lesion"][DIFFERENCE]
    low, high = 100 * found["low"], 100 * found["high"]
    if max(-low, high) <= MARGIN:
        return "equivalent"
    return "reproduced" if low > 0 else "not reproduced" if high < 0 else "undecided"
