"""The phantom's tables: Hounsfield units by tissue and phase, how often a pattern is there, and other quantities."""

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..base.errors import InputError
from ..base.paths import data_file
from ..scans.conventions import PHASE_NAMES

COLUMNS = tuple(PHASE_NAMES)  # NC, ART, PV, DL: every patient is drawn in all four
PHANTOM_VERSION = 2  # of the tables, where no other is asked for
VERSIONS = (2, 3)
MOST = 0.8  # of a rate that goes with size


@functools.cache
def read_table(name: str, version: int = PHANTOM_VERSION) -> pd.DataFrame:
    """`enhancement`, `pattern_rates` or `phantom` of `data/`, as a version of the phantom has it.

    Every row names its source.  A row whose `version` is empty belongs to all versions.
    """
    if version not in VERSIONS:
        raise InputError(f"phantom version {version}: choose one of {', '.join(map(str, VERSIONS))}")
    table = pd.read_csv(data_file(f"{name}.csv"))
    of = table.pop("version")
    return table[of.isna() | (of == version)].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class Tables:
    """The numbers that patients of one cohort are drawn from.

    mean, sd: (tissues, 4) HU in the order of `COLUMNS`.  relative: tissue -> "air" (plain HU), "liver" or "fnh".
    rates: pattern -> share of patients.  quantities: name -> value, in the unit of `data/phantom.csv`.
    """

    version: int

    tissues: tuple[str, ...]
    mean: np.ndarray
    sd: np.ndarray
    relative: dict[str, str]
    rates: dict[str, float]
    quantities: dict[str, float]


def draw_tables(
    rng: np.random.Generator | None = None, atypical: float = 1.0, version: int = PHANTOM_VERSION
) -> Tables:
    """The tables as they stand; with `rng`, one draw of what is uncertain about them.

    A tissue's means move together, each by its own `uncertainty`; rates and quantities are uniform between
    `low` and `high`.  `atypical` multiplies the rates of the rows marked so.
    """
    hu, rates, other = (read_table(name, version) for name in ("enhancement", "pattern_rates", "phantom"))
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
        version,
        tissues,
        mean,
        sd,
        dict(zip(hu["tissue"], hu["relative_to"], strict=True)),
        dict(zip(rates["pattern"], rate.tolist(), strict=True)),
        dict(zip(other["quantity"], value.tolist(), strict=True)),
    )


@functools.cache
def _patterns(version: int) -> tuple[tuple[str, str | None, float, float], ...]:
    """Of each pattern its name, the one that it is never with, and how its rate goes with size: `at_mm` and `power`."""
    table = read_table("pattern_rates", version).fillna({"at_mm": 1.0, "power": 0.0}).replace({np.nan: None})
    return tuple(table[["pattern", "never_with", "at_mm", "power"]].itertuples(index=False, name=None))


def draw_patterns(rng: np.random.Generator, kind: str, tables: Tables, diameter: float) -> tuple[str, ...]:
    """The patterns that one patient with a lesion of this kind, `diameter` mm across, shows.

    A rate that depends on size is that of a lesion `at_mm` across, and goes with the diameter to the `power`, up to
    `MOST`: no size makes a pattern certain.
    """
    every = _patterns(tables.version)
    # A number for each pattern, so that changing one rate leaves the other draws as they are.
    chance = dict(zip((name for name, *_ in every), rng.random(len(every)), strict=True))
    for name, never_with, _, _ in every:
        if never_with:
            chance[name] = 1 - chance[never_with]
    rates = dict(tables.rates)
    for name, _, at_mm, power in every:
        if power:
            rates[name] = min(rates[name] * (diameter / at_mm) ** power, MOST)
    return tuple(p for p in chance if chance[p] < rates[p] and p.startswith((kind + " ", "liver ", "organ ")))


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
