"""Phantom patients: everything about them that is drawn, before any picture is made."""

import dataclasses
import functools
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..base.errors import InputError
from ..base.paths import data_file
from ..scans.conventions import CLASS_NAMES, LIVER_VLM_CLASSES, PHASE_NAMES
from .enhancement import PHANTOM_VERSION, Tables, draw_hu, draw_patterns, draw_tables

SUB_SLICES = 4  # anatomy is grown this much finer than slices are thick, so that slices blur edges
N_GROUPS = 5


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """How difficult a cohort is, in physical units; None leaves a quantity to `data/phantom.csv`.

    noise: HU sd in the picture, from 2 up.  displacement: mm, head-foot sd between phases (in-plane a third of it).
    diameter: factor on every lesion's size; slice counts follow.  atypical: factor on the atypical patterns' rates.
    uncertain: draw the tables themselves, once per cohort, from what is known about them.
    """

    noise: float | None = None
    displacement: float | None = None
    diameter: float = 1.0
    atypical: float = 1.0
    uncertain: bool = False

    def __post_init__(self):
        for name, least in (("noise", 2), ("displacement", 0), ("diameter", 0.2), ("atypical", 0)):
            value = getattr(self, name)
            if value is not None and not least <= value < 1000:
                raise InputError(f"knob {name} is {value}: give a number from {least} up")


@dataclass(frozen=True, kw_only=True)
class Patient:
    """One patient with one lesion: the latent parameters, in mm and HU.

    seed: feeds every other random number of this patient.  diameter: in-plane.  height: head to foot.
    hu: tissue -> [NC, ART, PV, DL].  displacement: phase -> (z, y, x) of the lesion against the reference phase.
    recentred: phase -> (z, y, x) to which a registration moves the ROI; 3-4 mm short of the displacement.
    field: side of the square that is shown around the lesion; without it in proportion to the lesion.
    """

    seed: tuple[int, ...]
    kind: str
    group: int
    n_slices: int
    thickness: float
    pixel: float
    diameter: float
    height: float
    patterns: tuple[str, ...]
    dose: float
    timing: float
    noise: float
    noise_cutoff: float
    point_spread: float
    liver_unevenness: float
    tumour_unevenness: float
    hu: Mapping[str, list[float]] = dataclasses.field(repr=False)
    displacement: Mapping[str, tuple[float, float, float]]
    recentred: Mapping[str, tuple[float, float, float]]
    field: float | None = None

    def rng(self, purpose: str, *numbers: int) -> np.random.Generator:
        """This patient's own generator for one purpose: none depends on how often another was asked."""
        return np.random.default_rng((*self.seed, zlib.crc32(purpose.encode()), *numbers))


@functools.cache
def table1() -> pd.DataFrame:
    """Cases and slices by group and class: Table 1 of the paper."""
    return pd.read_csv(data_file("table1.csv"))


def draw_patients(
    seed: int = 0,
    patients: int | Mapping[str, int] | None = None,
    knobs: Knobs | None = None,
    version: int = PHANTOM_VERSION,
    hospital: int | None = None,
) -> list[Patient]:
    """Draw a cohort's patients.

    patients: None for Table 1's, every group, case and slice; a number, shared out as Table 1 shares its own; or
    class -> number, with ICC and MET too.  Patient i is the same whoever else is looked at.  version: of the tables.
    hospital: where the tables are uncertain, the seed that draws them; without it `seed` draws them, too.
    """
    knobs = knobs or Knobs()
    root = (version, seed)
    if hospital is not None and not knobs.uncertain:
        raise InputError(f"hospital {hospital}: only uncertain tables are drawn; ask for Knobs(uncertain=True)")
    drawn_by = seed if hospital is None else hospital
    rng = np.random.default_rng((version, drawn_by, zlib.crc32(b"tables")))
    tables = draw_tables(rng if knobs.uncertain else None, knobs.atypical, version)
    rng = np.random.default_rng((*root, zlib.crc32(b"cohort")))
    q = tables.quantities
    rows = _table1_rows(rng, q) if patients is None else draw_slices(rng, q, _counts(patients))
    return [draw_patient((*root, i), *row, tables, knobs) for i, row in enumerate(rows)]


def _table1_rows(rng: np.random.Generator, q: Mapping[str, float]):
    """(class, group, slices) of every patient: each cell of Table 1 split at random among its cases."""
    for _, row in table1().iterrows():
        size = np.exp(q["size spread"] * rng.standard_normal(row["cases"]))
        extra = rng.multinomial(row["slices"] - 2 * row["cases"], size / size.sum())
        yield from ((row["class"], int(row["group"]), int(n) + 2) for n in extra)  # at least two slices a patient


def draw_slices(rng: np.random.Generator, q: Mapping[str, float], counts: Mapping[str, int]):
    """The same for other numbers of patients: slices spread about the class's mean in Table 1, groups in turn."""
    total, spread = table1().groupby("class")[["cases", "slices"]].sum(), q["size spread"]
    mean = (total["slices"] / total["cases"]).to_dict()
    mean |= {name.removesuffix(" slices"): value for name, value in q.items() if name.endswith(" slices")}
    for kind, count in counts.items():
        if kind not in mean:
            raise InputError(f"class {kind}: the phantom does not know it; data/phantom.csv has no row '{kind} slices'")
        size = np.exp(spread * rng.standard_normal(count) - spread**2 / 2)
        for i, n in enumerate(rng.poisson((mean[kind] - 2) * size)):
            yield kind, 1 + i % N_GROUPS, int(n) + 2


def _counts(patients: int | Mapping[str, int]) -> dict[str, int]:
    if isinstance(patients, Mapping):
        for kind, count in patients.items():
            if kind not in CLASS_NAMES or count < 0:
                known = ", ".join(CLASS_NAMES)
                raise InputError(f"{count} patients of class {kind!r}: classes are {known}, counts from 0")
        if not sum(patients.values()):
            raise InputError("a cohort of no patients: ask for at least one")
        return dict(patients)
    return shared_out(patients, table1().groupby("class")["cases"].sum()[list(LIVER_VLM_CLASSES)].to_dict())


def shared_out(patients: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Some patients shared out among classes in these proportions."""
    if patients < len(shares):
        raise InputError(f"{patients} patients: ask for at least {len(shares)}, or name how many of each class")
    ends = np.rint(patients * np.cumsum([*shares.values()]) / sum(shares.values())).astype(int)
    return dict(zip(shares, np.diff(ends, prepend=0).tolist(), strict=True))


def draw_patient(
    seed: tuple[int, ...],
    kind: str,
    group: int,
    n_slices: int,
    tables: Tables,
    knobs: Knobs,
    thickness: float | None = None,
    diameter: float | None = None,
) -> Patient:
    """One patient from tables; `thickness`: mm of the slices where the protocol does not draw it.

    diameter: mm, where it is given and not drawn from the slices; their number then follows from it.
    """
    rng = np.random.default_rng((*seed, zlib.crc32(b"latents")))
    q = tables.quantities
    n_slices = max(round(n_slices * knobs.diameter), 1)
    drawn, pixel = float(rng.choice([5.0, 6.0, 7.0])), rng.uniform(0.57, 0.59)  # paper section 4.1
    thickness = thickness or drawn
    stretch, width = rng.uniform(1.0, 1.15), np.exp(q["width spread"] * rng.standard_normal())
    if diameter is None:
        height = n_slices * thickness * stretch  # every one of its slices meets the lesion
        diameter = max(height * width, 8.0)
    else:
        height = diameter / width
        n_slices = max(int(height / thickness), 1)
    noise = q["noise"] * np.sqrt(3 / thickness) * np.exp(q["noise spread"] * rng.standard_normal())
    dose, timing = np.exp(q["dose spread"] * rng.standard_normal()), q["timing spread"] * rng.standard_normal()
    patterns = draw_patterns(rng, kind, tables, diameter)
    # Steatosis darkens some livers.  The table is a mean over all livers, so those without it are brighter.
    fatty = ("liver steatosis" in patterns) - tables.rates["liver steatosis"]
    hu = draw_hu(rng, tables, dose, timing, q["steatosis"] * fatty)
    head_foot, sideways = q["displacement"], q["sideways"]
    if knobs.displacement is not None:
        head_foot, sideways = knobs.displacement, knobs.displacement / 3
    displacement, recentred = {}, {}
    for phase in PHASE_NAMES:
        moved = rng.standard_normal(3) * (head_foot, sideways, sideways)
        moved *= min(1.0, 30 / max(np.linalg.norm(moved), 1e-9))
        step = np.array([thickness / SUB_SLICES, pixel, pixel])
        moved = np.rint(moved / step) * step  # in whole steps of the fine grid
        # A registration moves by whole slices along the body; the rest of its error of 3-4 mm lies in the plane.
        left, angle = rng.uniform(3, 4), rng.uniform(0, 2 * np.pi)
        along = moved[0] - thickness * np.rint(moved[0] / thickness)
        plane = np.sqrt(max(left**2 - along**2, 0.0))
        error = np.array([along, plane * np.sin(angle), plane * np.cos(angle)])
        displacement[phase], recentred[phase] = tuple(moved.tolist()), tuple((moved - error).tolist())
    return Patient(
        seed=seed,
        kind=kind,
        group=group,
        n_slices=n_slices,
        thickness=thickness,
        pixel=pixel,
        diameter=float(diameter),
        height=float(height),
        patterns=patterns,
        dose=float(dose),
        timing=float(timing),
        noise=float(noise if knobs.noise is None else knobs.noise),
        noise_cutoff=q["noise cut-off"],
        point_spread=q["point spread"],
        liver_unevenness=q["liver unevenness"],
        tumour_unevenness=q["tumour unevenness"],
        hu=hu,
        displacement=displacement,
        recentred=recentred,
    )
