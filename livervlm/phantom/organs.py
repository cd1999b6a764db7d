"""The organs: ellipsoids and bent tubes of `data/anatomy.csv`, painted in its order, varied and smoothly deformed.

Coordinates are (z, y, x) in mm: z from the head down, 0 where the trunk of the mathematical phantoms begins; y from
the middle to the back; x from the middle to the patient's left.  The table has cm, with z from the trunk's base up.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.interpolate import make_interp_spline

from ..base.paths import data_file
from .anatomy import paint_pieces

BOUNDS = np.array([[-800.0, 60.0], [-280.0, 280.0], [-320.0, 320.0]])  # mm, more than any body
# Unlike the table's, the numbers of this file are general knowledge: chosen beside a real CT.
UNEVEN = 0.05  # sd of a surface's distance from the middle, in shares of it
GAS = {  # organ -> what a field needs for gas, and how much the field, in place of the height, decides
    "stomach": (0.5, 0.1),
    "duodenum": (1.8, 1.0),
    "colon": (0.8, 1.0),
    "": (2.0, 1.0),
}


@dataclass(frozen=True, eq=False)
class Part:
    """One part of the table: an ellipsoid, a cylinder or a bent tube.

    points: (n, 3) mm, z, y, x; one but for tubes.  sizes: (n, 3) mm, half axes along z, y, x; a tube's radius last.
    angles: about z, x and y, radians.  wall: mm, of `tissue` about its `content`.  cut: (z, y, x) and limit of a
    plane, mm, whose far side is taken off.
    """

    name: str
    organ: str
    tissue: str
    shape: str
    points: np.ndarray
    sizes: np.ndarray
    angles: tuple[float, float, float]
    wall: float
    content: str
    cut: np.ndarray | None
    sides: tuple[int, ...]


@functools.cache
def anatomy(layer: str) -> dict[str, Part]:
    """The parts of one layer, "body" or "viscera", in the order in which they are painted."""
    table = pd.read_csv(data_file("anatomy.csv"))
    texts = ["organ", "tissue", "content", "cut", "mirror"]
    table = table.fillna(dict.fromkeys(texts, "")).fillna({"yaw": 0, "pitch": 0, "roll": 0, "wall": 0})
    parts = {}
    for name, rows in table[table["layer"] == layer].groupby("part", sort=False):
        row, cut = rows.iloc[0], None
        if row["cut"]:
            x, y, z, most = (float(v) for v in row["cut"].split())
            cut = np.array([-z, y, x, most * 10])
        parts[name] = Part(
            name,
            *row[["organ", "tissue", "shape"]],
            points=rows[["z", "y", "x"]].to_numpy(float) * (-10, 10, 10),
            sizes=rows[["c", "b", "a"]].to_numpy(float) * 10,
            angles=tuple(np.radians(row[["yaw", "pitch", "roll"]].to_numpy(float))),
            wall=float(row["wall"]),
            content=row["content"],
            cut=cut,
            sides=(1, -1) if row["mirror"] else (1,),
        )
    return parts


class Field:
    """A smooth random field of unit sd over `scale` mm, on a lattice of its own: a place has one value on any grid."""

    def __init__(self, rng: np.random.Generator, scale: float):
        self.rng, self.scale = rng, scale
        self.first = np.floor(BOUNDS[:, 0] / scale).astype(int) - 4

    @functools.cached_property
    def values(self) -> np.ndarray:
        """The lattice, drawn when it is first needed."""
        last = np.ceil(BOUNDS[:, 1] / self.scale).astype(int) + 4
        return self.rng.standard_normal(last - self.first + 1, dtype=np.float32)

    def weights(self, axis: int, at: np.ndarray) -> tuple[slice, np.ndarray]:
        """The lattice's part that reaches coordinates along an axis, and (n, knots) how much each knot counts."""
        first = self.first[axis]
        low, high = np.floor(np.min(at) / self.scale) - 3, np.ceil(np.max(at) / self.scale) + 4
        knots = np.arange(max(low, first), min(high, first + self.values.shape[axis]))
        weights = np.exp(-((np.asarray(at)[:, None] / self.scale - knots) ** 2) / (2 * 0.7**2))
        window = slice(int(knots[0] - first), int(knots[-1] - first) + 1)
        return window, np.float32(weights / np.linalg.norm(weights, axis=1, keepdims=True))

    def __call__(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """(Z, Y, X) float32 on the grid of these coordinates, mm."""
        windows, (wz, wy, wx) = zip(*(self.weights(i, at) for i, at in enumerate((z, y, x))), strict=True)
        values = np.tensordot(wz, self.values[windows], axes=1)  # (Z, ky, kx)
        return np.matmul(np.matmul(wy, values), wx.T)

    def at(self, points: np.ndarray) -> np.ndarray:
        """(n,) float32 at single points, (n, 3) mm."""
        windows, (wz, wy, wx) = zip(*(self.weights(i, points[:, i]) for i in range(3)), strict=True)
        return np.einsum("na,nb,nc,abc->n", wz, wy, wx, self.values[windows], optimize=True)


@dataclass(eq=False)
class Palette:
    """What the codes of a volume mean: code -> tissue in NC, ART, PV and DL; organ; number of the finding, from 1."""

    tissues: list[tuple[str, ...]] = field(default_factory=list)
    organs: list[str] = field(default_factory=list)
    findings: list[int] = field(default_factory=list)

    def code(self, *names: str, organ: str = "", finding: int = 0) -> int:
        """The code of a tissue, or of one in each phase; a new one if there is none yet."""
        entry = (names if len(names) == 4 else names * 4, organ, finding)
        entries = list(zip(self.tissues, self.organs, self.findings, strict=True))
        if entry in entries:
            return entries.index(entry)
        for column, value in zip((self.tissues, self.organs, self.findings), entry, strict=True):
            column.append(value)
        return len(entries)


@dataclass(eq=False)
class Shape:
    """How one body departs from the table.

    scale: of lengths along z, y, x.  factors: organ -> its volume over that of the table in this body.
    warp: a field for each direction, which moves every part by `shift` mm sd.  bulge: of surfaces.
    mottle: of contents.  rng_of: a purpose -> the patient's generator for it.
    """

    scale: np.ndarray
    factors: dict[str, float]
    warp: list[Field]
    bulge: Field
    mottle: Field
    rng_of: Callable[[str], np.random.Generator]
    shift: float = 4.0

    def places(self, part: Part, side: int = 1) -> np.ndarray:
        """(n, 3) mm, where the points of a part lie in this body; with side -1 those of its mirror image."""
        at = part.points * (1, 1, side) * self.scale
        return at + self.shift * np.stack([f.at(at) for f in self.warp], axis=1)

    def half_axes(self, part: Part) -> np.ndarray:
        """(3,) mm, of an ellipsoid in this body, along z, y, x before it is turned."""
        organ = "liver" if part.name == "right dome" else part.organ  # the diaphragm lies on the liver
        return part.sizes[0] * self.scale * np.cbrt(self.factors.get(organ, 1.0))


def paint_parts(code: np.ndarray, axes, layer: str, shape: Shape, palette: Palette, skip: tuple[str, ...] = ()) -> None:
    """Paint the ellipsoids and tubes of a layer into (Z, Y, X) codes at `axes`, mm."""
    for part in anatomy(layer).values():
        if part.shape not in ("ellipsoid", "squared", "cylinder", "tube", "loops") or part.name in skip:
            continue
        for side in part.sides:
            number = palette.code(part.tissue, organ=part.organ)
            inner = palette.code(part.content, organ=part.organ) if part.content else None
            if part.shape in ("tube", "loops"):
                pieces = tube(part, shape, side) if part.shape == "tube" else loops(part, shape)
                paint_pieces(code, *axes, pieces, number)
                if inner is not None:
                    pieces[:, 6] = np.maximum(pieces[:, 6] - part.wall, 0.5)
                    paint_pieces(code, *axes, pieces, inner)
                    if part.content in ("fluid", "faeces") and part.organ in GAS:
                        paint_gas(code, axes, pieces, inner, GAS[part.organ], shape, palette)
            else:
                paint_ellipsoid(code, axes, part, side, shape, number)
                if inner is not None:
                    paint_ellipsoid(code, axes, part, side, shape, inner, part.wall)


def turned(part: Part, side: int = 1) -> np.ndarray:
    """(3, 3): its rows are the directions (z, y, x) of the half axes of an ellipsoid."""
    yaw, pitch, roll = np.multiply(part.angles, (side, 1, side))
    about_z = [[1, 0, 0], [0, np.cos(yaw), -np.sin(yaw)], [0, np.sin(yaw), np.cos(yaw)]]
    about_x = [[np.cos(pitch), -np.sin(pitch), 0], [np.sin(pitch), np.cos(pitch), 0], [0, 0, 1]]
    about_y = [[np.cos(roll), 0, -np.sin(roll)], [0, 1, 0], [np.sin(roll), 0, np.cos(roll)]]
    return np.array(about_z) @ np.array(about_x) @ np.array(about_y)


def paint_ellipsoid(code, axes, part: Part, side: int, shape: Shape, number: int, less: float = 0.0) -> None:
    """Set `code` to `number` in an ellipsoid, `less` mm under its surface.

    A squared one has fourth powers and fills more of its box; a cylinder has no term along z: its box ends it.
    """
    half, turn, centre = np.maximum(shape.half_axes(part) - less, 0.5), turned(part, side), shape.places(part, side)[0]
    reach = np.sqrt(((turn * half[:, None]) ** 2).sum(axis=0)) * (1 if part.shape == "cylinder" else 1 + 3 * UNEVEN)
    box, near = within(axes, centre, reach)
    if not all(len(c) for c in near):
        return
    z, y, x = (np.float32(c - o) for c, o in zip(near, centre, strict=True))
    if part.shape == "ellipsoid":
        m = np.float32((turn / half[:, None] ** 2).T @ turn)  # the quadratic form
        z, y = z[:, None], y[None]
        total = (2 * (m[0, 2] * z + m[1, 2] * y))[:, :, None] * x
        total += (m[0, 0] * z**2 + 2 * m[0, 1] * z * y + m[1, 1] * y**2)[:, :, None]
        total += m[2, 2] * x**2
        power = 2
    else:
        power = 4 if part.shape == "squared" else 2
        total = ((y / half[1]) ** power)[:, None] + (x / half[2]) ** power
        along = np.zeros_like(z) if part.shape == "cylinder" else (z / half[0]) ** power
        total = along[:, None, None] + total
    bulge = shape.bulge(*near)
    inside = total < (1 + np.float32(UNEVEN) * bulge) ** power
    if part.cut is not None:
        nz, ny, nx, most = np.append(part.cut[:3] / shape.scale, part.cut[3])
        inside &= np.float32((nz * near[0])[:, None, None] + (ny * near[1])[:, None]) + np.float32(nx * near[2]) < (
            most + 8 * bulge
        )
    fill(code[box], inside, number)


def fill(code: np.ndarray, where: np.ndarray, number: int) -> None:
    """Set `code` to `number` where a mask, which may be thinner, is true."""
    np.copyto(code, np.uint8(number), where=where)


def within(axes, centre, reach):
    """The slices of a box of `axes` about a centre, and the coordinates in it."""
    ends = [(np.searchsorted(c, o - r), np.searchsorted(c, o + r)) for c, o, r in zip(axes, centre, reach, strict=True)]
    box = tuple(slice(a, b) for a, b in ends)
    return box, [c[b] for c, b in zip(axes, box, strict=True)]


def tube(part: Part, shape: Shape, side: int = 1) -> np.ndarray:
    """(n, 7) straight pieces of a bent tube, as `paint_pieces` takes them; the colon's has haustra."""
    places = shape.places(part, side)
    radius = part.sizes[:, 2] * np.sqrt(shape.factors.get(part.organ, 1.0) * shape.scale[1:].prod())
    way = np.concatenate([[0], np.linalg.norm(np.diff(places, axis=0), axis=1).cumsum()])
    spline = make_interp_spline(way, np.column_stack([places, radius]), k=min(3, len(way) - 1))
    fine = np.linspace(0, way[-1], max(2, int(way[-1] / (0.6 * radius.min()))))
    points = spline(fine)
    if part.organ == "colon":
        points[:, 3] *= 1 + 0.13 * np.sin(2 * np.pi * fine / 28)
    return np.column_stack([points[:-1, :3], points[1:, :3], points[:-1, 3]])


def loops(part: Part, shape: Shape) -> np.ndarray:
    """(n, 7) pieces of a long tube that wanders through an ellipsoid: the small bowel."""
    rng, n = shape.rng_of("loops"), 50
    knots = rng.standard_normal((n, 3))
    knots *= rng.uniform(0, 1, (n, 1)) ** (1 / 3) / np.linalg.norm(knots, axis=1, keepdims=True)  # even in a ball
    points = make_interp_spline(np.arange(n), knots, k=2)(np.linspace(0, n - 1, 450))
    points = shape.places(part)[0] + shape.half_axes(part) * points
    radius = 11 + 2 * np.sin(np.linspace(0, 280, 450))
    return np.column_stack([points[:-1], points[1:], radius[:-1]])


def paint_gas(code, axes, pieces, inner: int, gas_rule: tuple[float, float], shape: Shape, palette: Palette) -> None:
    """Gas in a tube's contents: at the front, where it rises in a patient who lies on the back, and in bubbles."""
    low, high = pieces[:, :3].min(axis=0) - 30, pieces[:, :3].max(axis=0) + 30
    box, near = within(axes, (low + high) / 2, (high - low) / 2)
    if not all(len(c) for c in near):
        return
    least, bubbly = gas_rule
    height = ((np.median(pieces[:, 1]) - 4 - near[1]) / 14).clip(-1, 1.5)[:, None]
    gas = bubbly * shape.mottle(*near) + height > least
    entry = palette.organs[inner]
    fill(code[box], gas & (code[box] == inner), palette.code("gas", organ=entry))
