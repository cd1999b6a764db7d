"""The phantom's tables: Hounsfield units by tissue and phase, how often a pattern is there, and other quantities."""

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..base.paths import data_file
from ..scans.conventions import PHASE_NAMES

COLUMNS = tuple(PHASE_NAMES)  # NC, ART, PV, DL: every patient is drawn in all four


@functools.cache
def read_table(name: str) -> pd.DataFrame:
    """`enhancement`, `pattern_rates` or `phantom` of `data/`; every row names its source."""
    return pd.read_csv(data_file(f"{name}.csv"))


@dataclass(frozen=True, eq=False)
class Tables:
    """The numbers that patients of one cohort are drawn from.

    mean, sd: (tissues, 4) HU in the order of `COLUMNS`.  relative: tissue -> "air" (plain HU), "liver" or "fnh".
    rates: pattern -> share of patients.  quantities: name -> value, in the unit of `data/phantom.csv`.
    """

    tissues: tuple[str, ...]
    mean: np.ndarray
    sd: np.ndarray
    relative: dict[str, str]
    rates: dict[str, float]
    quantities: dict[str, float]


def draw_tables(rng: np.random.Generator | None = None, atypical: float = 1.0) -> Tables:
    """The tables as they stand; with `rng`, one draw of what is uncertain about them.

    A tissue's means move together, each by its own `uncertainty`; rates and quantities are uniform between
    `low` and `high`.  `atypical` multiplies the rates of the rows marked so.
    """
    hu, rates, other = read_table("enhancement"), read_table("pattern_rates"), read_table("phantom")
    tissues = tuple(hu["tissue"].drop_duplicates())
    mean, sd, uncertainty = (
        hu.pivot(index="tissue", columns="phase", values=v).loc[list(tissues), list(COLUMNS)].to_numpy(float)
        for v in ("mean", "sd", "uncertainty")
    )
    rate, value = rates["rate"].to_numpy(), other["value"].to_numpy()
    if rng is not None:
        mean = mean + uncertainty * rng.standard_normal((len(tissues), 1))
        rate = rng.uniform(rates["low"], rates["high"])
        value = rng.uniform(other["low"].clip(upper=other["high"]), other["high"])
    rate = np.where(rates["atypical"] == "yes", np.minimum(rate * atypical, 1), rate)
    return Tables(
        tissues,
        mean,
        sd,
        dict(zip(hu["tissue"], hu["relative_to"], strict=True)),
        dict(zip(rates["pattern"], rate.tolist(), strict=True)),
        dict(zip(other["quantity"], value.tolist(), strict=True)),
    )


def draw_patterns(rng: np.random.Generator, kind: str, tables: Tables) -> tuple[str, ...]:
    """The patterns that one patient with a lesion of this kind shows."""
    table = read_table("pattern_rates")
    chance = dict(zip(table["pattern"], rng.random(len(table)), strict=True))  # a row each: a rate changes no other
    for row in table.dropna(subset="never_with").itertuples():
        chance[row.pattern] = 1 - chance[row.never_with]
    return tuple(p for p in chance if chance[p] < tables.rates[p] and p.startswith((kind + " ", "liver ", "organ ")))


def draw_hu(
    rng: np.random.Generator, tables: Tables, dose: float, timing: float, steatosis: float
) -> dict[str, list[float]]:
    """HU of every tissue for one patient, tissue -> [NC, ART, PV, DL].

    Half of a tissue's variance is shared by its phases (a bright patient is bright throughout).  `dose` scales what
    was gained since NC; `timing` moves ART on its way to PV; both belong to the table's spread, not on top of it.
    `steatosis`: HU added to the liver in every phase.
    """
    art, pv = COLUMNS.index("ART"), COLUMNS.index("PV")
    q = tables.quantities
    gain = tables.mean - tables.mean[:, :1]
    common = (q["dose spread"] * gain) ** 2
    common[:, art] += (q["timing spread"] * (tables.mean[:, pv] - tables.mean[:, art])) ** 2
    own = np.sqrt(np.maximum(tables.sd**2 - common, (0.3 * tables.sd) ** 2))
    shared, single = rng.standard_normal((len(gain), 1)), rng.standard_normal(gain.shape)
    value = tables.mean + own * np.sqrt(0.5) * (shared + single) + (dose - 1) * gain
    value[:, art] += timing * (tables.mean[:, pv] - tables.mean[:, art])
    hu = dict(zip(tables.tissues, value, strict=True))
    hu["liver"] = hu["liver"] + steatosis
    for tissue, base in tables.relative.items():
        if base != "air":
            hu[tissue] = hu[tissue] + hu[base]
    return {tissue: np.round(v, 2).tolist() for tissue, v in hu.items()}
