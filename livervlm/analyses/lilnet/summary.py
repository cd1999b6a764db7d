"""What the records of LiLNet's study say: its contrasts, and what each row answers where.

The plan that these functions carry out is `data/results/lilnet.md`.
"""

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...base.errors import InputError
from ...evaluation.comparisons import mean_with_interval
from ...evaluation.metrics import calibration, macro_auc
from ...evaluation.patients import PatientAnswers, sensitivity_at
from ...phantom.centres import SIZES, lilnet_patients
from ...scans.conventions import LILNET_CLASSES, MALIGNANT
from .. import planned
from .cohorts import EARLY, POOLS

LATE = "late"  # the patients of the pool "test" after `EARLY`
SPECIFICITY = 0.9  # at which sensitivity for a malignant lesion is told


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
    return _alike(found.prob.argmax(axis=1) == found.label, found.label)


def as_prevalent(found: PatientAnswers, cohort: str) -> float:
    """Accuracy, in percent, where classes are as frequent as in a set of the paper, such as "test"."""
    right = pd.Series(found.prob.argmax(axis=1) == found.label).groupby(found.label).mean()
    weight = lilnet_patients().loc[cohort, list(LILNET_CLASSES)].to_numpy(float)[right.index]
    return 100 * float(np.average(right, weights=weight))


def staged(found: PatientAnswers) -> dict[str, float]:
    """Accuracies of the paper's three questions, in percent, with classes alike; nan where nobody can be asked.

    The second and the third are judged as if the first were always answered rightly, as the paper does.
    """
    side = np.array([name in MALIGNANT for name in LILNET_CLASSES])
    truth, said = side[found.label], found.prob[:, side].sum(axis=1) >= 0.5
    lines = {"benign or malignant": _alike(said == truth, truth)}
    for name, one in (("HCC, ICC, MET", True), ("FNH, HEM, CYST", False)):
        mine = truth == one
        within = np.where(side == one, found.prob[mine], -1).argmax(axis=1)
        lines[name] = _alike(within == found.label[mine], found.label[mine])
    return lines


def _alike(right: np.ndarray, kind: np.ndarray) -> float:
    """The mean over the kinds that are there of the share that is right, in percent."""
    return 100 * float(pd.Series(right).groupby(kind).mean().mean())


def measured(found: PatientAnswers) -> dict[str, float]:
    """The paper's measures, in percent: means over the classes, the error of the confidence, and the malignant side.

    calibration error: the expected one.  sensitivity: for a malignant lesion, at `SPECIFICITY`.
    """
    from sklearn.metrics import precision_recall_fscore_support  # slow to import

    shares = precision_recall_fscore_support(found.label, found.prob.argmax(axis=1), average="macro", zero_division=0)
    return {
        "AUC": 100 * macro_auc(found.label, found.prob),
        **{name: 100 * float(share) for name, share in zip(("precision", "recall", "F1"), shares[:3], strict=True)},
        "calibration error": 100 * calibration(found.label, found.prob)[1],
        f"sensitivity at {100 * SPECIFICITY:g} %": 100 * sensitivity_at(*found.sides("malignant"), SPECIFICITY),
    }


def measures(records: Sequence[dict], rows: Sequence[str], pool: str = "test") -> pd.DataFrame:
    """`measured`, a line for each row: means over cohorts with 95 % intervals by t, as text.

    An `InputError` until all cohorts are there.
    """
    planned.all_there("lilnet", records)
    return pd.DataFrame({row: _over_cohorts([measured(answers(r, row, pool)) for r in records]) for row in rows}).T


def by_centre(records: Sequence[dict], rows: Sequence[str]) -> pd.DataFrame:
    """Accuracies by row and centre, in percent: means over cohorts with 95 % intervals by t, as text.

    Columns: of six classes with classes alike and at the paper's frequencies, and `staged`.  "-" where a centre has no
    patient to ask.  The row of early years is asked about the later ones.  An `InputError` until all cohorts are there.
    """
    planned.all_there("lilnet", records)
    asked = [(row, pool) for row in rows for pool in POOLS] + [("LiLNet, early years", LATE)]
    lines = {
        (row, pool): _over_cohorts([_of_centre(answers(record, row, pool), pool) for record in records])
        for row, pool in asked
    }
    return pd.DataFrame(lines).T.rename_axis(["network", "centre"])


def _of_centre(found: PatientAnswers, pool: str) -> dict[str, float]:
    frequent = as_prevalent(found, "test" if pool == LATE else pool)
    return {"classes alike": recall(found), "paper's frequencies": frequent, **staged(found)}


def _over_cohorts(lines: Sequence[dict[str, float]]) -> pd.Series:
    """Of each measure the mean over cohorts and its interval; "-" where no cohort has it."""
    table = pd.DataFrame(lines)
    told = table.dropna(axis=1).apply(lambda one: mean_with_interval(one).partition(", n")[0])
    return told.reindex(table.columns).fillna("-")


def contrasts(records: Sequence[dict]) -> pd.DataFrame:
    """The declared contrasts with their verdicts, as `planned.judged` tells them."""
    return planned.judged("lilnet", records, lambda record, side: recall(answers(record, *side)))


def verdict(records: Sequence[dict], names: Sequence[str]) -> tuple[str, str]:
    """The verdict on a claim that rests on these contrasts, and their differences in points, in words."""
    lines = contrasts(records).loc[[*names]]
    ends = [
        f"{one.Index.replace(' against ', ' less ')}: {one.difference:+.1f} ({one.low:+.1f} to {one.high:+.1f})"
        for one in lines.itertuples()
    ]
    return "; ".join(lines["on the paper"]), f"{'; '.join(ends)}, {len(records)} cohorts"


def same_signs(deep: Sequence[dict], narrow: Sequence[dict]) -> pd.DataFrame:
    """LiLNet less the plain network with ResNet18 and with the narrow network on the same cohorts, in points.

    deep, narrow: the records of both.  Of each declared contrast that has these two rows alone, a line for each cohort.
    An `InputError` until all cohorts of both are there, or where a cohort is not the same in both.
    """
    planned.all_there("lilnet", narrow)
    numbers = [record["settings"]["number"] for record in deep]
    if numbers != list(range(declared()["plan"]["resnet18"])):
        raise InputError(f"ResNet18: cohorts {numbers} are there; run the first {declared()['plan']['resnet18']}")
    for pair in zip(deep, narrow, strict=False):
        if len({record["data"]["test"]["fingerprint"] for record in pair}) > 1:
            raise InputError(f"cohort {pair[0]['settings']['number']}: its test patients are not the same in both")
    lines = {}
    for one in declared()["contrasts"]:
        if {one["better"][0], one["worse"][0]} != {"LiLNet", "plain network"}:
            continue
        for number, pair in enumerate(zip(deep, narrow, strict=False)):
            gains = [recall(answers(r, *one["better"])) - recall(answers(r, *one["worse"])) for r in pair]
            lines[one["name"], number] = (*gains, gains[0] * gains[1] > 0)
    table = pd.DataFrame.from_dict(lines, orient="index", columns=["ResNet18", "narrow network", "same sign"])
    return table.set_axis(pd.MultiIndex.from_tuples(lines, names=["contrast", "cohort"]))


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
    """Patients and accuracy, in percent, over all cohorts, by what else the liver has; of HCC, ICC and all classes."""
    tables = []
    for record in records:
        found = answers(record, row, pool)
        right = 100.0 * (found.prob.argmax(axis=1) == found.label)
        kind = pd.Categorical.from_codes(found.label, LILNET_CLASSES)
        tables.append(pd.DataFrame({"right": right, "background": record["pools"][pool]["background"], "class": kind}))
    table = pd.concat(tables)
    parts = {name: table[table["class"] == name] for name in ("HCC", "ICC")} | {"all": table}
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
