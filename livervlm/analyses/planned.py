"""What studies share whose unit is a cohort: the plan that is declared, the records, and the contrasts with verdicts.

A study called NAME has `data/NAME.json` (plan, contrasts), its plan in words in `data/results/NAME.md`, and its records
in `data/results/NAME/`.
"""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..base.errors import InputError
from ..base.paths import data_file
from ..evaluation.comparisons import holm, mean_t, verdicts
from ..runs.records import read_record


@functools.cache
def declared(study: str) -> dict:
    """The plan, the contrasts and the paper's rows of a study."""
    return json.loads(data_file(f"{study}.json").read_text(encoding="utf-8"))


def read_records(study: str, folder: str | Path | None = None) -> list[dict]:
    """The records of the cohorts that are there, by number; by default the book's own.

    An `InputError` where those of a row were not all made with the same settings.
    """
    folder = Path(folder) if folder else data_file("results") / study
    records, first = [], {}
    for path in sorted(folder.glob("cohort*.json")):
        records.append(read_record(path))
        own = {name: value for name, value in records[-1].get("settings", {}).items() if name != "number"}
        before = first.setdefault(own.get("row"), own)
        if own != before:
            apart = ", ".join(sorted(name for name in own.keys() | before.keys() if own.get(name) != before.get(name)))
            raise InputError(f"{path}: other settings than the cohorts before: {apart}; give it a folder of its own")
    return records


def all_there(study: str, records: Sequence[dict]) -> None:
    """An `InputError` until a study has all its cohorts: "no peeking", say the plans."""
    cohorts = declared(study)["plan"]["cohorts"]
    if len(records) < cohorts:
        raise InputError(f"{len(records)} of {cohorts} cohorts: run the others before looking")


def judged(study: str, records: Sequence[dict], value: Callable[[dict, Sequence[str]], float]) -> pd.DataFrame:
    """The declared contrasts, in points, with Holm's p over the family and their verdicts; a line each, by name.

    value: of a cohort's record and one side of a contrast, in percent.  on the paper: as verdict, but the other way
    round where the paper says that both sides do equally well.  An `InputError` until `all_there`.
    """
    all_there(study, records)
    plan, mine = declared(study)["plan"], declared(study)["contrasts"]
    lines, compared = {}, []
    for one in mine:
        better, worse = (np.array([value(r, one[side]) for r in records]) for side in ("better", "worse"))
        compared.append(mean_t(better - worse))
        low, high = compared[-1].interval()
        sd = (better - worse).std(ddof=1)
        lines[one["name"]] = (better.mean(), worse.mean(), compared[-1].difference, sd, low, high, len(records))
    columns = ["better", "worse", "difference", "sd", "low", "high", "n"]
    table = pd.DataFrame.from_dict(lines, orient="index", columns=columns)
    table["p, Holm"] = holm([c.p for c in compared])
    table["p TOST, Holm"] = holm([max(c.tost(plan["margin"])) for c in compared])
    table["verdict"] = verdicts(compared, plan["margin"])
    equal = [one.get("paper", {}).get("equal", False) for one in mine]
    opposite = {"equivalent": "reproduced", "reproduced": "not reproduced"}
    table["on the paper"] = table["verdict"].mask(equal, table["verdict"].replace(opposite))
    return table
