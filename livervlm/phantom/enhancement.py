"""How bright each tissue is in each phase: Hounsfield units drawn per patient from `data/enhancement.csv`."""

import functools

import numpy as np
import pandas as pd

from ..paths import data_file


@functools.cache
def enhancement_table() -> pd.DataFrame:
    """HU by tissue and phase with spread and source; `relative_to` says whether to air (HU) or to liver."""
    return pd.read_csv(data_file("enhancement.csv"))


@functools.cache
def pattern_rates() -> pd.DataFrame:
    """How often each pattern is there, with its source."""
    return pd.read_csv(data_file("pattern_rates.csv"))


def draw_patterns(rng: np.random.Generator, kind: str) -> set[str]:
    """The patterns that one patient with a lesion of this kind shows."""
    rates = pattern_rates()
    shown = rng.random(len(rates)) < rates["rate"]
    mine = rates["pattern"].str.startswith((kind, "liver", "organ"))
    return set(rates["pattern"][shown & mine])


def draw_hu(rng: np.random.Generator, phases: tuple[str, ...]) -> dict[str, np.ndarray]:
    """HU of every tissue in each phase for one patient, tissue -> (P,).

    The spread of a tissue is shared by its phases (a bright patient is bright throughout); a contrast dose
    common to the whole patient scales what was gained since the non-contrast phase.
    """
    table = enhancement_table()
    means = table.pivot(index="tissue", columns="phase", values="mean")
    sds = table.pivot(index="tissue", columns="phase", values="sd")
    to_liver = table.groupby("tissue")["relative_to"].first() == "liver"
    dose = np.exp(rng.normal(0, 0.10))
    every = ["NC", *phases]  # the non-contrast phase is the baseline even where it was not scanned
    hu = {}
    for tissue in ["liver", *(t for t in means.index if t != "liver")]:
        shared, own = rng.standard_normal(), rng.standard_normal(len(PHASE_COLUMNS))
        offsets = dict(zip(PHASE_COLUMNS, np.sqrt(0.5) * (shared + own), strict=True))
        value = np.array([means.loc[tissue, p] + sds.loc[tissue, p] * offsets[p] for p in every])
        value = value[0] + dose * (value - value[0])
        hu[tissue] = value + hu["liver"] if to_liver[tissue] else value
    return {tissue: value[1:] for tissue, value in hu.items()}


PHASE_COLUMNS = ("NC", "ART", "PV", "DL")
