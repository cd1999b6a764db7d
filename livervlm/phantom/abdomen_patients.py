"""Patients of whole abdomens: everything about them that is drawn, before any picture is made."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt

from ..base.errors import InputError
from ..base.paths import data_file
from ..scans.conventions import CLASS_NAMES, LILNET_CLASSES
from .body import paint_body
from .enhancement import COLUMNS, Tables, draw_tables
from .findings import OTHER_KINDS
from .organs import Field, Palette, Shape, anatomy, paint_parts, tube, turned
from .patients import Knobs, Patient, draw_patient, draw_slices

VERSION = 3  # of the tables
THICKNESS = 5.0  # mm
TOP, BOTTOM = 66.0, 4.0  # cm of the table of anatomy: neck and pelvis
REFERENCE = 1760.0  # mm, the stature of the table of anatomy
STATURE = {"man": (1760.0, 70.0), "woman": (1630.0, 65.0)}  # mm, mean and sd: general knowledge
FAT = {"man": (15.0, 0.35), "woman": (19.0, 0.35)}  # mm under the skin of the flank, ln sd: general knowledge
SAME_KIND = 0.7  # share of further lesions that are of the first one's class
ROUND = {  # kind of a round finding -> usual radius, least and most, mm; how far out in its organ
    "renal cyst": (11, 5, 30, 0.9),
    "splenic cyst": (8, 4, 14, 0.3),
    "lung nodule": (6, 3, 14, 0.6),
}


@dataclass(frozen=True, kw_only=True)
class Other:
    """A finding beside the liver's lesions: its middle (z, y, x) and radius, mm; of a fluid the depth."""

    kind: str
    side: str
    centre: tuple[float, float, float]
    radius: float


@dataclass(frozen=True, kw_only=True)
class AbdomenPatient:
    """Everything drawn about a patient; lengths in mm, coordinates (z, y, x) as in `phantom.organs`.

    stature, fat: of the body; fat under the skin of the flank.  scale: of lengths along z, y, x against the table.
    volumes: organ -> mL that it should have.  lesions: of the liver, each as `phantom_study` takes it.  places: the
    middle of each in the reference phase.  segments: of the liver, 1 to 8.  base: the latents that all lesions share,
    as those of a patient with one: `hu` (of organs too), `noise`, `pixel`, `displacement`, `recentred`.
    """

    seed: tuple[int, ...]
    sex: str
    stature: float
    fat: float
    scale: tuple[float, float, float]
    volumes: Mapping[str, float]
    lesions: tuple[Patient, ...] = ()
    places: tuple[tuple[float, float, float], ...] = ()
    segments: tuple[int, ...] = ()
    others: tuple[Other, ...] = ()
    base: Patient = field(repr=False)

    @property
    def n_slices(self) -> int:
        """Slices of 5 mm from neck to pelvis."""
        return round((TOP - BOTTOM) * 10 * self.scale[0] / THICKNESS)

    def rng(self, purpose: str, *numbers: int) -> np.random.Generator:
        """This patient's own generator for one purpose: none depends on how often another was asked."""
        return np.random.default_rng((*self.seed, zlib.crc32(purpose.encode()), *numbers))

    @cached_property
    def shape(self) -> Shape:
        """How this body departs from the table of anatomy.  The lungs fill what ribs and diaphragm leave."""
        body, rows = np.prod(self.scale), organ_volumes()
        factors = {o: float(np.clip(self.volumes[o] / rows[o][0] / body, 0.4, 2.2)) for o in rows if o != "lung"}
        warp = [Field(self.rng("warp", axis), 90.0) for axis in range(3)]
        bulge, mottle = Field(self.rng("bulge"), 35.0), Field(self.rng("mottle"), 6.0)
        return Shape(np.array(self.scale), factors, warp, bulge, mottle, self.rng)


@cache
def organ_volumes() -> dict[str, tuple[float, float, float]]:
    """Organ -> mL in a man and in a woman, and their spread as a ln sd: `data/organ_volumes.csv`."""
    table = pd.read_csv(data_file("organ_volumes.csv"))
    return {row.organ: (row.man, row.woman, row.spread) for row in table.itertuples()}


@cache
def finding_rates() -> dict[str, float]:
    """Share of patients with each finding, and with each number of liver lesions: `data/findings.csv`."""
    return pd.read_csv(data_file("findings.csv")).set_index("finding")["rate"].to_dict()


def abdomen_tables(rng: np.random.Generator | None = None, version: int = VERSION) -> Tables:
    """The tables of a version with the HU of `data/organs.csv`; with `rng`, one draw of what is uncertain."""
    tables, hu = draw_tables(rng, version=version), pd.read_csv(data_file("organs.csv"))
    tissues = tuple(hu["tissue"].drop_duplicates())
    mean, sd, uncertainty = (
        hu.pivot(index="tissue", columns="phase", values=v).loc[list(tissues), list(COLUMNS)].to_numpy(float)
        for v in ("mean", "sd", "uncertainty")
    )
    if rng is not None:
        mean = mean + uncertainty * rng.standard_normal((len(tissues), 1))
    return replace(
        tables,
        tissues=tables.tissues + tissues,
        mean=np.concatenate([tables.mean, mean]),
        sd=np.concatenate([tables.sd, sd]),
        relative=tables.relative | dict.fromkeys(tissues, "air"),
    )


def draw_abdomens(
    seed: int = 0,
    n: int = 1,
    knobs: Knobs | None = None,
    *,
    classes: Sequence[str] = LILNET_CLASSES,
    version: int = VERSION,
    first: int = 0,
) -> list[AbdomenPatient]:
    """Draw `n` patients, from number `first` on; patient i is the same however many are drawn.

    classes: of the lesions, equally often.

    Raises `InputError` for a class or a number that cannot be.
    """
    if min(n, first) < 0:
        raise InputError(f"{n} abdomens from number {first} on: ask for 0 or more, from 0 on")
    strange = [kind for kind in classes if kind not in CLASS_NAMES]
    if strange or not classes:
        raise InputError(f"class {strange[0] if strange else '(none)'}: choose among {', '.join(CLASS_NAMES)}")
    knobs, root = knobs or Knobs(), (version, seed, zlib.crc32(b"abdomen"))
    rng = np.random.default_rng((*root, zlib.crc32(b"tables"))) if knobs.uncertain else None
    tables = abdomen_tables(rng, version)
    return [_draw((*root, i), tables, knobs, tuple(classes)) for i in range(first, first + n)]


def _draw(seed: tuple[int, ...], tables: Tables, knobs: Knobs, classes: tuple[str, ...]) -> AbdomenPatient:
    rng = np.random.default_rng((*seed, zlib.crc32(b"abdomen")))
    sex = ("man", "woman")[rng.integers(2)]
    mean, sd = STATURE[sex]
    stature = float(mean + sd * np.clip(rng.standard_normal(), -2.5, 2.5))
    tall = stature / REFERENCE
    girth, (fat, spread) = np.exp(0.05 * rng.standard_normal(2)), FAT[sex]
    spreads = rng.standard_normal(len(organ_volumes())).clip(-2, 2)
    patient = AbdomenPatient(
        seed=seed,
        sex=sex,
        stature=stature,
        fat=float(np.clip(fat * np.exp(spread * rng.standard_normal()), 6, 45)),
        scale=(tall, *(np.sqrt(tall) * girth).tolist()),  # tall people are wider, but by less than they are taller
        volumes={
            organ: float((man if sex == "man" else woman) * np.exp(sd * z))
            for (organ, (man, woman, sd)), z in zip(organ_volumes().items(), spreads, strict=True)
        },
        base=draw_patient(seed, classes[0], 1, 1, tables, knobs, THICKNESS),
    )
    counts = [finding_rates()[f"liver lesions {k}"] for k in range(4)]
    number = int(rng.choice(4, p=np.divide(counts, np.sum(counts))))
    kinds = [str(kind) for kind in rng.choice(classes, number)]
    kinds = [kinds[0] if rng.random() < SAME_KIND else kind for kind in kinds]
    others = tuple(_draw_others(patient, rng))
    return place_lesions(replace(patient, others=others), rng, kinds, tables, knobs)


def place_lesions(patient: AbdomenPatient, rng, kinds: list[str], tables: Tables, knobs: Knobs) -> AbdomenPatient:
    """The patient with lesions at places in the liver that hold them; one that fits nowhere is drawn anew, smaller."""
    if not kinds:
        return patient
    step, base, lesions, places = 6.0, patient.base, [], []
    axes = [np.arange(a, b, step) for a, b in ((-480, -200), (-150, 150), (-220, 160))]
    palette = Palette()
    body, _ = paint_body(axes, patient.fat, patient.sex, patient.shape, palette)
    viscera = np.zeros_like(body)
    paint_parts(viscera, axes, "viscera", patient.shape, palette)
    free = (viscera == palette.code("liver", organ="liver")) & (body == palette.code("cavity"))
    for j, kind in enumerate(kinds):
        room = distance_transform_edt(np.pad(free, 1))[1:-1, 1:-1, 1:-1] * step
        for attempt in range(40):
            _, _, n = next(draw_slices(rng, tables.quantities, {kind: 1}))
            n = max(round(n * 6 / THICKNESS * 0.93**attempt), 1)  # the tables' slices are 6 mm thick
            drawn = draw_patient((*patient.seed, j, attempt), kind, 1, n, tables, knobs, THICKNESS)
            reach = 0.55 * max(drawn.diameter, drawn.height) + 3
            fits = np.argwhere(room > reach)
            if len(fits):
                break
        else:
            continue
        place = [float(c[i]) for c, i in zip(axes, fits[rng.integers(len(fits))], strict=True)]
        z, y, x = np.ix_(*(c - p for c, p in zip(axes, place, strict=True)))
        free &= z**2 + y**2 + x**2 > (reach + 3) ** 2
        shared = ("hu", "dose", "timing", "noise", "pixel", "displacement", "recentred")
        patterns = [p for p in base.patterns if p.startswith("liver")] + [p for p in drawn.patterns if kind in p]
        shared = {name: getattr(base, name) for name in shared} | {"patterns": tuple(patterns)}
        lesions.append(replace(drawn, **shared))
        places.append(tuple(place))
    segments = tuple(segment(patient, place) for place in places)
    return replace(patient, lesions=tuple(lesions), places=tuple(places), segments=segments)


def segment(patient: AbdomenPatient, place: Sequence[float]) -> int:
    """Couinaud's segment of a place: by three planes through the cava and the level of the portal vein's fork."""
    z, y, x = np.divide(place, patient.scale) / 10
    if y > -1.5 and -3.0 < x < 1.5:
        return 1
    upper, turn = -z > 35.0, np.degrees(np.arctan2(x + 2.5, 1.5 - y))  # 0 to the front, positive to the left
    if turn > 17:  # beyond the falciform ligament
        return 2 if upper else 3
    if turn > -21:  # up to the plane of the gallbladder
        return 4
    if turn > -57:  # up to that of the right hepatic vein
        return 8 if upper else 5
    return 7 if upper else 6


def _draw_others(patient: AbdomenPatient, rng: np.random.Generator):
    """The findings beside the liver's lesions; a rate changes no other finding."""
    shape, parts = patient.shape, anatomy("viscera")
    for kind in OTHER_KINDS:
        there, side = rng.random() < finding_rates()[kind], ("left", "right")[rng.integers(2)]
        size, way = np.exp(0.45 * rng.standard_normal()), rng.standard_normal(3)
        way, sign = way / np.linalg.norm(way), 1 if side == "left" else -1
        if not there:
            continue
        radius, centre = float(np.clip(20 * size, 10, 45)), np.zeros(3)  # depth of the fluid
        if kind == "gallstone":
            radius = float(np.clip(5 * size, 3, 9))
            bag = parts["gallbladder"]
            room = tube(bag, shape)[-1, 6] - bag.wall - radius
            centre = shape.places(bag)[-1] + (0, max(room, 0), 0)  # the stone sinks to the back
        elif kind in ROUND:
            usual, least, most, far = ROUND[kind]
            radius = float(np.clip(usual * size, least, most))
            part = parts[{"renal cyst": f"{side} kidney", "splenic cyst": "spleen", "lung nodule": "lung"}[kind]]
            mirror = sign if kind == "lung nodule" else 1
            if kind == "lung nodule":  # above the diaphragm, away from the heart
                way = np.array([-0.7 - 0.7 * abs(way[0]), 0.8 * way[1], mirror * 0.7 * abs(way[2])])
            centre = shape.places(part, mirror)[0] + far * (shape.half_axes(part) * way) @ turned(part, mirror)
        sided = kind in ("renal cyst", "lung nodule", "pleural effusion")
        yield Other(kind=kind, side=side if sided else "", centre=tuple(centre.tolist()), radius=radius)
