"""The patients of LiLNet's study on the phantom: six classes, from several centres and years, and two clinical queues.

How many of which class, and how large, is the paper's (Tables 1 and 2; queues: its text).  How the scanners of the
centres differ is declared in `data/centres.csv`, mostly chosen.  For teaching and research, not for diagnosis.
"""

import functools
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from ..base.cache import made_once
from ..base.errors import InputError
from ..base.paths import data_file
from ..base.progress import bar
from ..scans.conventions import LILNET_CLASSES
from ..scans.lesions import LesionSet
from .cohort import MASK_NAMES, patient_rois
from .enhancement import COLUMNS, Tables, draw_tables
from .patients import N_GROUPS, Knobs, Patient, draw_patient

VERSION = 3  # of the tables
PHASES = ("ART", "PV")
SLICES = 6  # of a patient in each phase
NORMAL = "normal"  # a patient without a lesion, in a queue
# mm; the paper's bins.  The outer ends are chosen: what is smaller is not characterised, and by MCT-LTDiag nine in ten
# HCC stay below 122 mm.
SIZES = {"<1 cm": (5.0, 10.0), "1-3 cm": (10.0, 30.0), "3-5 cm": (30.0, 50.0), ">5 cm": (50.0, 120.0)}


@dataclass(frozen=True, eq=False)
class CentreSet:
    """Patients of one centre.

    lesions: up to six slices of each patient with a lesion, spread evenly through it, in every phase with the lesion in
    the middle, as the paper has a box in each; `lesions.patient` is a row of `patients`.  Of its spacing, what lies
    between slices is their thickness.  patients: one row each, as `draw_centre` tells them.
    """

    lesions: LesionSet
    patients: pd.DataFrame

    @property
    def n_healthy(self) -> int:
        """Patients without a lesion: a classifier never meets them, a detector does."""
        return int((self.patients["kind"] == NORMAL).sum())


@functools.cache
def lilnet_patients() -> pd.DataFrame:
    """Patients by class in each set of the paper (index), the centre that it is from, and the printed number."""
    return pd.read_csv(data_file("lilnet_patients.csv")).set_index("cohort")


@functools.cache
def lilnet_sizes() -> pd.DataFrame:
    """Patients by class in each size bin, of the paper's test set and of HN: index (cohort, size)."""
    return pd.read_csv(data_file("lilnet_sizes.csv")).set_index(["cohort", "size"])


@functools.cache
def centre_table() -> pd.DataFrame:
    """What `data/centres.csv` declares of each centre (index), a column each; a drift that is not named is 0."""
    table = pd.read_csv(data_file("centres.csv"), dtype=str)
    wide = table.pivot(index="centre", columns="quantity", values="value").loc[table["centre"].unique()].fillna("0")
    text = {"thickness": wide["thickness"].map(lambda mm: [float(one) for one in mm.split()]), "sizes": wide["sizes"]}
    return wide.drop(columns=list(text)).astype(float).assign(**text)


def centre_set(
    name: str,
    seed: int = 0,
    size: int = 64,
    *,
    patients: int | Mapping[str, int] | None = None,
    span: tuple[float, float] = (0.0, 1.0),
    hospital: int | None = None,
    field: float | None = None,
    phases: Sequence[str] = PHASES,
    jobs: int = 1,
    progress: bool = True,
) -> CentreSet:
    """A set of LiLNet's study: "training" and "test" from one centre, "HN", "CD", "GZ", "LS", "Tianfu" or "Sanya".

    size: side of the ROIs, pixels.  field: their side in mm, for every lesion the same, so that its size shows; without
    it half as wide again as the lesion.  The paper's crop, 224 pixels of .7 mm, is 157.
    patients, span, hospital: as in `draw_centre`.

    The same arguments give the same bytes, over however many processes `jobs` spreads the work; they are made once and
    then read from the cache.  Raises `InputError` for what cannot be.
    """
    if field is not None and not 20 <= field <= 300:
        raise InputError(f"a field of {field} mm: give 20 to 300, or none for one in proportion to the lesion")
    table, drawn = draw_centre(name, seed, patients, span=span, hospital=hospital)
    todo = [(number, replace(one, field=field)) for number, one in enumerate(drawn) if one.kind != NORMAL]
    if not todo:
        raise InputError(f"{name}: none of the patients has a lesion; ask for some of {', '.join(LILNET_CLASSES)}")

    def make(path: Path) -> None:
        work = (delayed(patient_rois)(one, size, tuple(phases), True, even_slices(one.n_slices)) for _, one in todo)
        rois = list(bar(Parallel(jobs, return_as="generator")(work), f"patients: {name}", progress, total=len(todo)))
        count = [len(part["hu"]) for part in rois]
        LesionSet(
            **{key: np.concatenate([part[key] for part in rois]) for key in ("hu", "spacing", "masks")},
            label=np.repeat([LILNET_CLASSES.index(one.kind) for _, one in todo], count),
            patient=np.repeat([number for number, _ in todo], count),
            group=np.repeat([one.group for _, one in todo], count),
            classes=LILNET_CLASSES,
            phases=tuple(phases),
            mask_names=MASK_NAMES,
            source={"kind": "phantom", "version": str(VERSION), "seed": str(seed), "alignment": "aligned"}
            | {"centre set": name, "patients": str(patients or "the paper's"), "span": str(span)}
            | {"hospital": str(hospital), "field": str(field)},
        ).save(path)

    settings = [VERSION, name, seed, size, _counts(name, patients), span, hospital, field, phases, SLICES, SIZES]
    about = centre_table().loc[table.at[0, "centre"]].to_dict()  # a cache of other tables is not read
    settings += [about, lilnet_sizes().loc[about["sizes"], list(LILNET_CLASSES)].to_numpy().tolist()]
    return CentreSet(LesionSet.load(made_once("centres", settings, make)), table)


def draw_centre(
    name: str,
    seed: int = 0,
    patients: int | Mapping[str, int] | None = None,
    *,
    span: tuple[float, float] = (0.0, 1.0),
    hospital: int | None = None,
) -> tuple[pd.DataFrame, list[Patient]]:
    """The patients of a set without a picture: a table of them, and each as `phantom_study` takes it.

    patients: None for as many as the paper has; a number, in the paper's shares, of which a smaller one is the
    beginning of a larger; or class -> number.  span: the part of the centre's years that they come from, 0 to 1: of a
    split by time one side is (0, .55), the other (.55, 1).  hospital: the seed that draws the phantom's uncertain
    tables, as in `make_cohort`; without it they are as they stand.

    Columns: patient, a number from 0; kind, the class or "normal"; diameter_mm; size, the paper's bin of it;
    background: none, steatosis, cirrhosis or both; time, 0 to 1 through the centre's years; centre; thickness_mm.
    """
    counts, n = _counts(name, patients)
    if not 0 <= span[0] < span[1] <= 1:
        raise InputError(f"a span from {span[0]} to {span[1]}: give two times from 0 to 1, the earlier first")
    centre = lilnet_patients().at[name, "centre"]
    about = centre_table().loc[centre].to_dict()
    up_to = lilnet_sizes().loc[about["sizes"], list(LILNET_CLASSES)].cumsum()  # patients in a size bin and those below
    drawn_by = None if hospital is None else np.random.default_rng((VERSION, hospital, zlib.crc32(b"tables")))
    tables = draw_tables(drawn_by, version=VERSION)
    root, so_far = (VERSION, seed, zlib.crc32(f"centre {name}".encode())), Counter()
    lines, drawn = [], []
    for number, kind in enumerate(in_turn(dict(counts), n)):
        rng = np.random.default_rng((*root, number, zlib.crc32(b"centre")))
        time = span[0] + (span[1] - span[0]) * rng.random()
        thickness = float(rng.choice(about["thickness"]))
        at, within = rng.random(2)
        diameter, size = None, None
        if kind != NORMAL:
            counted = up_to[kind].to_numpy()
            size, (low, high) = [*SIZES.items()][np.searchsorted(counted, at * counted[-1], side="right")]
            diameter = low * (high / low) ** within
        there, group = at_centre(tables, about, time), 1 + so_far[kind] % N_GROUPS
        one = draw_patient((*root, number), kind, group, 1, there, Knobs(), thickness, diameter)
        drawn.append(replace(one, recentred=one.displacement))  # every phase has a box of its own
        so_far[kind] += 1
        lines.append((number, kind, diameter, size, background(one), time, centre, thickness))
    columns = ["patient", "kind", "diameter_mm", "size", "background", "time", "centre", "thickness_mm"]
    return pd.DataFrame(lines, columns=columns).astype({"diameter_mm": float}), drawn


def at_centre(tables: Tables, about: Mapping, time: float) -> Tables:
    """The tables as a centre's scanners and protocol show them, at a time of its years.

    dose: a factor on what tissues gain in HU since NC.  timing: how far ART is moved on its way to PV.  Drifts are from
    the first patient to the last; halfway the centre is as its other quantities tell.
    """
    art, pv = COLUMNS.index("ART"), COLUMNS.index("PV")
    years, q, mean = time - 0.5, tables.quantities, tables.mean
    noise, dose = (about[name] * (1 + about[f"{name} drift"] * years) for name in ("noise", "dose"))
    timing = about["timing"] + about["timing drift"] * years
    mean = mean + (dose - 1) * (mean - mean[:, :1])
    mean[:, art] += timing * (mean[:, pv] - mean[:, art])
    factors = {"noise": noise} | {name: about[name] for name in ("point spread", "noise cut-off")}
    scanner = {name: q[name] * factor for name, factor in factors.items()}
    return replace(tables, mean=mean, quantities=q | scanner)


def in_turn(counts: Mapping[str, int], n: int) -> Iterator[str]:
    """The classes of n patients, one after another: always the one that is farthest behind its share.

    So a smaller set is the beginning of a larger, no class is ever a whole patient ahead of its share, and as many
    patients as there are counts have the counts.
    """
    total, given = sum(counts.values()), dict.fromkeys(counts, 0)
    for i in range(1, n + 1):
        kind = max(counts, key=lambda kind: counts[kind] * i - given[kind] * total)
        given[kind] += 1
        yield kind


def even_slices(n: int) -> list[int]:
    """Which of a lesion's n slices are kept: `SLICES`, spread evenly about its middle, or all where it has no more."""
    if n <= SLICES:
        return list(range(n))
    upper = [math.floor((k + 0.5) * n / SLICES) for k in range(SLICES // 2)]
    return upper + [n - 1 - k for k in reversed(upper)]


def background(patient: Patient) -> str:
    """What else the liver has: none, steatosis, cirrhosis or both."""
    there = [name for name in ("steatosis", "cirrhosis") if f"liver {name}" in patient.patterns]
    return "both" if len(there) == 2 else (there or ["none"])[0]


def _counts(name: str, patients: int | Mapping[str, int] | None) -> tuple[list[tuple[str, int]], int]:
    """The classes of a set with their numbers in the paper, or as they are asked for; and how many patients to draw."""
    table, known = lilnet_patients(), (*LILNET_CLASSES, NORMAL)
    if name not in table.index:
        raise InputError(f"set {name!r}: choose one of {', '.join(table.index)}")
    counts = patients if isinstance(patients, Mapping) else table.loc[name, list(known)].to_dict()
    for kind, count in counts.items():
        if kind not in known or count < 0:
            raise InputError(f"{count} patients of class {kind!r}: classes are {', '.join(known)}, counts from 0")
    n = sum(counts.values()) if patients is None or counts is patients else patients
    if n < 1:
        raise InputError(f"{name}: {n} patients; ask for at least one")
    return [(kind, int(count)) for kind, count in counts.items() if count], int(n)
