"""What the records of LiLNet's study say: its contrasts, and what each row answers where.

The plan that these functions carry out is `data/results/lilnet.md`.
"""

import functools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...base.errors import InputError
from ...base.paths import data_file
from ...evaluation.comparisons import holm, mean_t, verdicts
from ...evaluation.patients import PatientAnswers
from ...phantom.centres import CLASSES, SIZES, lilnet_patients
from ...runs.records import read_record
from ...scans.conventions import MALIGNANT
from .cohorts import EARLY

LATE = "late"  # the patients of the pool "test" after `EARLY`


@functools.cache
def declared() -> dict:
    """The plan, the contrasts and the paper's rows, as `data/lilnet.json` declares them."""
    return json.loads(data_file("lilnet.json").read_text(encoding="utf-8"))


def read_records(folder: str | Path | None = None) -> list[dict]:
    """The records of the cohorts that are there, by number; by default the book's own."""
    folder = Path(folder) if folder else data_file("results") / "lilnet"
    return [read_record(path) for path in sorted(folder.glob("cohort*.json"))]


def answers(record: dict, row: str, pool: str = "test", shown: str = "both") -> PatientAnswers:
    """What a row of one cohort answers for the patients of a pool.  shown: "both" phases, "ART" or "PV".  pool: "late"
    is the part of "test" that was scanned last."""
    name = "test" if pool == LATE else pool
    about, prob = record["pools"][name], np.asarray(record["answers"][row][name][shown], dtype=float)
    kept = np.asarray(about["time"]) > EARLY if pool == LATE else np.full(len(prob), True)
    return PatientAnswers(np.asarray(about["label"], dtype=int)[kept], prob[kept], np.flatnonzero(kept), CLASSES)


def recall(found: PatientAnswers) -> float:
    """The mean over the classes that are there of the share of patients answered rightly, in percent."""
    right = found.prob.argmax(axis=1) == found.label
    return 100 * float(pd.Series(right).groupby(found.label).mean().mean())


def as_prevalent(found: PatientAnswers, cohort: str) -> float:
    """Accuracy, in percent, where classes are as frequent as in a set of the paper, such as "test"."""
    right = pd.Series(found.prob.argmax(axis=1) == found.label).groupby(found.label).mean()
    weight = lilnet_patients().loc[cohort, list(CLASSES)].to_numpy(float)[right.index]
    return 100 * float(np.average(right, weights=weight))


def staged(found: PatientAnswers) -> dict[str, float]:
    """Accuracies of the paper's three questions, in percent, with classes alike.

    The second and the third are judged as if the first were always answered rightly, as the paper does.
    """
    side = np.array([name in MALIGNANT for name in CLASSES])
    truth, said = side[found.label], found.prob[:, side].sum(axis=1) >= 0.5
    lines = {"benign or malignant": 100 * np.mean([(said == truth)[truth == one].mean() for one in (False, True)])}
    for name, one in (("HCC, ICC, MET", True), ("FNH, HEM, CYST", False)):
        mine = truth == one
        within = np.where(side == one, found.prob[mine], -1).argmax(axis=1)
        right = pd.Series(within == found.label[mine]).groupby(found.label[mine]).mean()
        lines[name] = 100 * float(right.mean())
    return lines


def contrasts(records: Sequence[dict]) -> pd.DataFrame:
    """The declared contrasts, in points, with Holm's p over the family and their verdicts; a line each, by name.

    "No peeking", says the plan: an `InputError` until all its cohorts are there.
    """
    plan = declared()["plan"]
    if len(records) < plan["cohorts"]:
        raise InputError(f"{len(records)} of {plan['cohorts']} cohorts: run the others before looking")
    lines, compared = {}, []
    for one in declared()["contrasts"]:
        better, worse = (np.array([recall(answers(r, *one[side])) for r in records]) for side in ("better", "worse"))
        compared.append(mean_t(better - worse))
        low, high = compared[-1].interval()
        sd = (better - worse).std(ddof=1)
        lines[one["name"]] = (better.mean(), worse.mean(), compared[-1].difference, sd, low, high, len(records))
    columns = ["better", "worse", "difference", "sd", "low", "high", "n"]
    table = pd.DataFrame.from_dict(lines, orient="index", columns=columns)
    table["p, Holm"] = holm([c.p for c in compared])
    table["p TOST, Holm"] = holm([max(c.tost(plan["margin"])) for c in compared])
    table["verdict"] = verdicts(compared, plan["margin"])
    # Where the paper says that both do equally well, the verdict on the paper is the other way round.
    equal = [one.get("paper", {}).get("equal", False) for one in declared()["contrasts"]]
    opposite = {"equivalent": "reproduced", "reproduced": "not reproduced"}
    table["on the paper"] = table["verdict"].mask(equal, table["verdict"].replace(opposite))
    return table


def by_size(records: Sequence[dict], row: str = "LiLNet", pool: str = "test") -> pd.DataFrame:
    """Patients and accuracy, in percent, over all cohorts: a line for each bin of the paper's, columns by class."""
    tables = []
    for record in records:
        found = answers(record, row, pool)
        right = 100.0 * (found.prob.argmax(axis=1) == found.label)
        ends = [0, *(high for _, high in SIZES.values())]
        size = pd.cut(record["pools"][pool]["diameter_mm"], ends, labels=list(SIZES), right=False)
        kind = pd.Categorical.from_codes(found.label, CLASSES)
        tables.append(pd.DataFrame({"right": right, "size": size, "class": kind}))
    grouped = pd.concat(tables).groupby(["size", "class"], observed=False)["right"]
    return grouped.agg(["count", "mean"]).unstack("class")


def by_background(records: Sequence[dict], row: str = "LiLNet", pool: str = "test") -> pd.DataFrame:
    """Patients and accuracy, in percent, over all cohorts, by what else the liver has; of HCC and of all classes."""
    tables = []
    for record in records:
        found = answers(record, row, pool)
        right = 100.0 * (found.prob.argmax(axis=1) == found.label)
        kind = pd.Categorical.from_codes(found.label, CLASSES)
        tables.append(pd.DataFrame({"right": right, "background": record["pools"][pool]["background"], "class": kind}))
    table = pd.concat(tables)
    parts = {"HCC": table[table["class"] == "HCC"], "all": table}
    return pd.concat(
        {name: part.groupby("background")["right"].agg(["count", "mean"]) for name, part in parts.items()}, axis=1
    )


def agreement(records: Sequence[dict], row: str = "LiLNet", pool: str = "test") -> pd.Series:
    """How often the two phases give one answer, and who is right where they do not; percent, means over cohorts."""
    lines = []
    for record in records:
        both, art, pv = (answers(record, row, pool, shown) for shown in ("both", "ART", "PV"))
        said = {name: one.prob.argmax(axis=1) for name, one in (("both", both), ("ART", art), ("PV", pv))}
        apart = said["ART"] != said["PV"]
        line = {"agree": 100 * (1 - apart.mean())}
        line |= {f"apart, {name} right": 100 * (said[name] == both.label)[apart].mean() for name in said}
        lines.append(line)
    return pd.DataFrame(lines).mean()
