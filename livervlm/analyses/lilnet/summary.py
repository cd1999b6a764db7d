"""What the records of LiLNet's study say: its contrasts, and what each row answers where.

The plan that these functions carry out is `data/results/lilnet.md`.
"""

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...evaluation.patients import PatientAnswers
from ...phantom.centres import SIZES, lilnet_patients
from ...scans.conventions import LILNET_CLASSES, MALIGNANT
from .. import planned
from .cohorts import EARLY

LATE = "late"  # the patients of the pool "test" after `EARLY`


declared = functools.partial(planned.declared, "lilnet")
read_records = functools.partial(planned.read_records, "lilnet")


def answers(record: dict, row: str, pool: str = "test", shown: str = "both") -> PatientAnswers:
    """What a row of one cohort answers for the patients of a pool.

    shown: "both" phases, "ART" or "PV".  pool: "late" is the part of "test" that was scanned last.
    """
    name = "test" if pool == LATE else pool
    about, prob = record["pools"][name], np.asarray(record["answers"][row][name][shown], dtype=float)
    kept = np.asarray(about["time"]) > EARLY if pool == LATE else np.full(len(prob), True)
    return PatientAnswers(np.asarray(about["label"], dtype=int)[kept], prob[kept], np.flatnonzero(kept), LILNET_CLASSES)


def recall(found: PatientAnswers) -> float:
    """The mean over the classes that are there of the share of patients answered rightly, in percent."""
    right = found.prob.argmax(axis=1) == found.label
    return 100 * float(pd.Series(right).groupby(found.label).mean().mean())


def as_prevalent(found: PatientAnswers, cohort: str) -> float:
    """Accuracy, in percent, where classes are as frequent as in a set of the paper, such as "test"."""
    right = pd.Series(found.prob.argmax(axis=1) == found.label).groupby(found.label).mean()
    weight = lilnet_patients().loc[cohort, list(LILNET_CLASSES)].to_numpy(float)[right.index]
    return 100 * float(np.average(right, weights=weight))


def staged(found: PatientAnswers) -> dict[str, float]:
    """Accuracies of the paper's three questions, in percent, with classes alike.

    The second and the third are judged as if the first were always answered rightly, as the paper does.
    """
    side = np.array([name in MALIGNANT for name in LILNET_CLASSES])
    truth, said = side[found.label], found.prob[:, side].sum(axis=1) >= 0.5
    lines = {"benign or malignant": 100 * np.mean([(said == truth)[truth == one].mean() for one in (False, True)])}
    for name, one in (("HCC, ICC, MET", True), ("FNH, HEM, CYST", False)):
        mine = truth == one
        within = np.where(side == one, found.prob[mine], -1).argmax(axis=1)
        right = pd.Series(within == found.label[mine]).groupby(found.label[mine]).mean()
        lines[name] = 100 * float(right.mean())
    return lines


def contrasts(records: Sequence[dict]) -> pd.DataFrame:
    """The declared contrasts with their verdicts, as `planned.judged` tells them."""
    return planned.judged("lilnet", records, lambda record, side: recall(answers(record, *side)))


def by_size(records: Sequence[dict], row: str = "LiLNet", pool: str = "test") -> pd.DataFrame:
    """Patients and accuracy, in percent, over all cohorts: a line for each bin of the paper's, columns by class."""
    tables = []
    for record in records:
        found = answers(record, row, pool)
        right = 100.0 * (found.prob.argmax(axis=1) == found.label)
        ends = [0, *(high for _, high in SIZES.values())]
        size = pd.cut(record["pools"][pool]["diameter_mm"], ends, labels=list(SIZES), right=False)
        kind = pd.Categorical.from_codes(found.label, LILNET_CLASSES)
        tables.append(pd.DataFrame({"right": right, "size": size, "class": kind}))
    grouped = pd.concat(tables).groupby(["size", "class"], observed=False)["right"]
    return grouped.agg(["count", "mean"]).unstack("class")


def by_background(records: Sequence[dict], row: str = "LiLNet", pool: str = "test") -> pd.DataFrame:
    """Patients and accuracy, in percent, over all cohorts, by what else the liver has; of HCC and of all classes."""
    tables = []
    for record in records:
        found = answers(record, row, pool)
        right = 100.0 * (found.prob.argmax(axis=1) == found.label)
        kind = pd.Categorical.from_codes(found.label, LILNET_CLASSES)
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
