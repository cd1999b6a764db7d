"""The records of explained networks and baselines, summarised: localisation and faithfulness with 95 % intervals."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.typing import SeriesGroupBy
from scipy import stats

from ...base.errors import InputError
from ...base.paths import data_file
from ...phantom.anatomy import PARTS
from ...runs.records import read_record
from .maps import SCORE_COLUMNS
from .networks import ARMS, CONTROLS, NARROW, REFERENCE, UNTRAINED


def read_records(folder: str | Path | None = None) -> list[dict]:
    """All records in a folder, by default the book's; `InputError` where they are not of the same patients."""
    folder = Path(folder or data_file("results/grad_cam"))
    records = [read_record(path) for path in sorted(folder.glob("*.json"))]
    if len({json.dumps([one["data"]["fingerprint"], one["profile"]]) for one in records}) > 1:
        raise InputError(f"{folder}: records of other patients or another profile are among them; give each a folder")
    return records


def record_table(records: Iterable[dict]) -> pd.DataFrame:
    """The records as one table, with a line for each network or baseline, slice and part.

    Columns: those of `maps.score_maps`; fall and changed, nan for a baseline and for an "edge"; arm, which is the name
    of a baseline, too; cohort, -1 for a baseline; class; right, None for a baseline.
    """
    tables = [pd.DataFrame(columns=[*SCORE_COLUMNS, "fall", "changed", "arm", "cohort", "class", "right"])]
    for one in records:
        for name, columns in one.get("baselines", {one["arm"]: one.get("parts")}).items():
            table = pd.DataFrame(columns).assign(arm=name, cohort=one.get("cohort", -1))
            table["class"], right = np.array(one["classes"])[table["slice"]], one.get("right")
            tables.append(table.assign(right=np.array(right)[table["slice"]] if right else None))
    table = pd.concat(tables, ignore_index=True)
    numbers = ["precision", "energy", "mass", "fall", "changed"]
    return table.assign(**{name: table[name].astype(float) for name in numbers})


def localisation(table: pd.DataFrame) -> pd.DataFrame:
    """Does a map single out the part?  Mean precision with its 95 % interval over patients, by arm, class and part.

    table: of `record_table`.  A patient counts once, with the mean over an arm's networks, so that the interval is for
    these networks and new patients.  Columns: mean, sd, patients, low, high, networks.
    """
    keys = ["arm", "class", "part"]
    each = table.dropna(subset=["precision"]).groupby([*keys, "slice"])["precision"].mean().groupby(keys)
    return _with_interval(each).assign(networks=table.groupby(keys)["cohort"].nunique())


def faithfulness(table: pd.DataFrame, given_area: bool = False) -> pd.DataFrame:
    """Does a larger claim go with a larger fall?  Spearman's correlation of mass and fall, by arm, class and part.

    given_area: the partial correlation instead, for parts of one size: a large part gets a large claim from any map,
    and its loss costs more.  The area is the mass of the baseline "ceiling", a map of the part itself.
    table: of `record_table`.  The mean over an arm's networks that have more than ten patients, with a 95 % interval
    for one network by Fisher's z: all networks see the same patients, so more networks do not narrow it.  A baseline's
    claims are compared with the falls of `REFERENCE`.  Columns: mean, low, high, patients, networks.
    """
    keys = ["arm", "class", "part"]
    every, compared = {}, _claims_and_falls(table)
    if given_area:
        area = table[table["arm"] == "ceiling"][["slice", "part", "mass"]].rename(columns={"mass": "area"})
        compared = compared[compared["arm"] != "ceiling"].merge(area, on=["slice", "part"])
    for key, mine in compared.groupby(keys):
        each = [one for _, one in mine.groupby("cohort") if len(one) > 10]
        if each:
            z = np.arctanh(np.mean([_rank_correlation(one, given_area) for one in each]))
            n = min(map(len, each)) - given_area
            half = 1.96 * 1.03 / np.sqrt(n - 3)  # of a rank correlation, a little wider than Pearson's
            every[key] = (*np.tanh([z, z - half, z + half]), n, len(each))
    index = pd.MultiIndex.from_tuples(every, names=keys)
    return pd.DataFrame(every.values(), index, ["mean", "low", "high", "patients", "networks"])


def _rank_correlation(one: pd.DataFrame, given_area: bool) -> float:
    """Spearman's of mass and fall; given the area, the partial one of the ranks."""
    if not given_area:
        return stats.spearmanr(one["mass"], one["fall"]).statistic
    inverse = np.linalg.inv(one[["mass", "fall", "area"]].rank().corr().to_numpy())
    return -inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1])


def sentences_told(table: pd.DataFrame, sentences: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Sentences on maps, each of a class and a part, as questions to `REFERENCE` and the untrained network; by words.

    table: of `record_table`.  Columns, as text with 95 % intervals over patients: "found, ARM", as `localisation`;
    "fall, %", what the score loses without the part, in percent of what it loses without the lesion, "-" for an edge.
    holds: it is found better than by the untrained network, and missed when it is gone.
    """
    falls = table[table["arm"] == REFERENCE].groupby(["class", "slice", "part"])["fall"].mean().unstack()
    lines = {}
    for words, (kind, part) in sentences.items():
        mine = table[(table["class"] == kind) & (table["part"] == part)].dropna(subset=["precision"])
        found = {a: mine[mine["arm"] == a].groupby("slice")["precision"].mean() for a in (REFERENCE, UNTRAINED)}
        line = {f"found, {arm}": _mean_with_ends(values, 2) for arm, values in found.items()}
        line |= {"fall, %": "-", "holds": False}
        if part != "edge":
            share = 100 * falls.loc[kind, part].dropna() / falls.loc[kind, "lesion"].mean()
            better = (found[REFERENCE] - found[UNTRAINED]).dropna()
            line |= {"fall, %": _mean_with_ends(share, 0), "holds": _ends(better)[0] > 0 and _ends(share)[0] > 0}
        lines[words] = line
    return pd.DataFrame.from_dict(lines, orient="index")


def _ends(values: pd.Series) -> tuple[float, float]:
    """The 95 % interval of a mean, by t."""
    return stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))


def _mean_with_ends(values: pd.Series, digits: int) -> str:
    low, high = _ends(values)
    return f"{values.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f}), n = {len(values)}"


def faithfulness_within_patients(table: pd.DataFrame) -> pd.DataFrame:
    """Of two parts of one patient, does the larger claim belong to the larger fall?  Kendall's tau, by arm.

    1: always, -1: never, 0: as by chance.  table: of `record_table`.  Over the patients with two scored parts or more,
    each with the mean over an arm's networks; with a 95 % interval over patients.  Baselines as in `faithfulness`.
    Columns: mean, sd, patients, low, high.
    """
    both = _claims_and_falls(table[table["part"].isin(PARTS)]).groupby(["arm", "cohort", "slice"])
    both = both.filter(lambda one: len(one) > 1).groupby(["arm", "cohort", "slice"])[["mass", "fall"]]
    tau = both.apply(lambda one: stats.kendalltau(one["mass"], one["fall"]).statistic)
    each = tau.dropna().groupby(["arm", "slice"]).mean().groupby("arm")
    return _with_interval(each)


def _claims_and_falls(table: pd.DataFrame) -> pd.DataFrame:
    """The lines that have both; a baseline has no falls of its own and gets those of each network of `REFERENCE`."""
    networks = table["arm"].isin((*ARMS, *CONTROLS, NARROW))
    reference = table.loc[table["arm"] == REFERENCE, ["cohort", "slice", "part", "fall"]]
    others = table[~networks].drop(columns=["cohort", "fall"]).merge(reference, on=["slice", "part"])
    return pd.concat([table[networks], others]).dropna(subset=["mass", "fall"])


def _with_interval(each: SeriesGroupBy) -> pd.DataFrame:
    """Mean, sd and 95 % interval by t of groups with one number a patient."""
    found = pd.DataFrame({"mean": each.mean(), "sd": each.std(), "patients": each.size()})
    half = found["sd"] / np.sqrt(found["patients"]) * stats.t.ppf(0.975, found["patients"] - 1)
    return found.assign(low=found["mean"] - half, high=found["mean"] + half)
