"""The shapes: a piece of liver with vessel trees and a curved edge, and one lobulated lesion with its parts."""

import math
from dataclasses import dataclass, field

import numpy as np

from .patients import Patient

PARTS = {"rim": ("icc rim", "met rim"), "scar": ("scar", "hemangioma scar")}  # causal part -> tissues it is made of
PARTS |= {name: (name,) for name in ("nodules", "capsule", "necrosis", "washout")}
MAIN = {"CYST": "cyst", "FNH": "fnh", "HCC": "hcc", "HEM": "hemangioma", "ICC": "icc", "MET": "met"}
INSTEAD = {  # pattern -> the tissue that then fills the lesion
    "CYST dense": "dense cyst",
    "FNH weak": "weak fnh",
    "HCC hypovascular": "hypovascular",
    "HEM low": "low hemangioma",
    "HEM flash filling": "flash hemangioma",
    "ICC nonrim": "icc nonrim",
}
UNIFORM = ("fat", "cyst", "dense cyst", "necrosis", "portal vein", "hepatic vein", "artery", "bone")


@dataclass(eq=False)
class Anatomy:
    """Where each tissue is, on a fine grid; what is painted later covers what was there.

    code: (Z, Y, X) uint8, a place in `tissues`, which tells the tissue whose HU is seen there in NC, ART, PV and DL.
    first_lesion: the codes from here up are the lesion.  unevenness: (Z, Y, X) float32 HU, the same in every phase.
    """

    code: np.ndarray
    tissues: list[tuple[str, ...]] = field(default_factory=lambda: [("liver",) * 4])
    first_lesion: int = 0
    unevenness: np.ndarray | None = None

    def add(self, *names: str) -> int:
        """A new code, for one tissue or for one in each phase."""
        self.tissues.append(names if len(names) == 4 else names * 4)
        return len(self.tissues) - 1


def smooth_field(rng: np.random.Generator, z, y, x, scale: float) -> np.ndarray:
    """A random field of unit sd that varies over about `scale` mm, at coordinates in mm: (Z, Y, X) float32.

    White noise on a grid of that pitch, spread with a Gaussian: three small matrix products.
    """
    spread = []
    for at in (z, y, x):
        knots = np.arange(np.floor(at[0] / scale) - 2, np.ceil(at[-1] / scale) + 3)
        weights = np.exp(-((at[:, None] / scale - knots) ** 2) / (2 * 0.7**2))
        spread.append(np.float32(weights / np.linalg.norm(weights, axis=1, keepdims=True)))
    values = rng.standard_normal([w.shape[1] for w in spread], dtype=np.float32)
    values = np.tensordot(spread[1], values, axes=(1, 1))  # (Y, kz, kx)
    values = np.tensordot(spread[0], values, axes=(1, 1))  # (Z, Y, kx)
    return values @ spread[2].T


def grow(patient: Patient, z: np.ndarray, y: np.ndarray, x: np.ndarray, without: str | None = None) -> Anatomy:
    """Grow a patient's anatomy at coordinates (mm) from the middle of the lesion; `without` leaves one part out."""
    anatomy = Anatomy(np.zeros((len(z), len(y), len(x)), dtype=np.uint8))
    paint_surroundings(patient, anatomy, z, y, x)
    anatomy.first_lesion = len(anatomy.tissues)
    coarse = "liver cirrhosis" in patient.patterns
    anatomy.unevenness = smooth_field(patient.rng("texture"), z, y, x, 6.0 if coarse else 3.5)
    box, axes = near_lesion(patient, z, y, x)
    mosaic = np.float32(0) if without == "lesion" else paint_lesion(patient, anatomy, anatomy.code[box], axes, without)
    sd = [1.0 if names[0] in UNIFORM else patient.liver_unevenness for names in anatomy.tissues]
    sd[0] *= 1.6 if coarse else 1.0
    anatomy.unevenness *= np.float32(sd).take(anatomy.code)
    anatomy.unevenness[box] += mosaic
    return anatomy


def near_lesion(patient: Patient, z: np.ndarray, y: np.ndarray, x: np.ndarray):
    """The piece of a grid that can hold the lesion, in which it is grown: slices, and the coordinates in it."""
    near = [abs(z) < patient.height / 2, abs(y) < 0.7 * patient.diameter, abs(x) < 0.7 * patient.diameter]
    axes = [c[i] for c, i in zip((z, y, x), near, strict=True)]
    return tuple(slice(i.argmax(), i.argmax() + i.sum()) for i in near), axes


def paint_surroundings(patient: Patient, anatomy: Anatomy, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> None:
    """Vessels and, where it is in view, the edge of the liver with fat, body wall and ribs beyond it."""
    code = anatomy.code
    portal, hepatic = (grow_trees(patient.rng(name), z, y, x) for name in ("portal vein", "hepatic vein"))
    # An artery runs beside larger portal branches, mm off both their ends.
    beside = portal[portal[:, 6] > 1.5] + np.array([0, 1.4, 1.4, 0, 1.4, 1.4, 0])
    paint_pieces(code, z, y, x, beside * (1, 1, 1, 1, 1, 1, 0.4), anatomy.add("artery"))
    paint_pieces(code, z, y, x, portal, anatomy.add("portal vein"))
    paint_pieces(code, z, y, x, hepatic, anatomy.add("hepatic vein"))
    if "organ edge in view" in patient.patterns:
        beyond, rng = edge(patient, z, y, x), patient.rng("wall")
        fat = 4 * np.exp(0.8 * rng.standard_normal())
        ribs = smooth_field(rng, z, y, x, 14) > 0.9
        np.putmask(code, beyond > 0, anatomy.add("fat"))
        np.putmask(code, (beyond > fat) & (beyond < fat + 14), anatomy.add("muscle"))
        np.putmask(code, (beyond > fat + 3) & (beyond < fat + 10) & ribs, anatomy.add("bone"))


def paint_lesion(patient: Patient, anatomy: Anatomy, code: np.ndarray, axes, without: str | None) -> np.ndarray:
    """Paint the lesion and its parts into `code`, a piece of the anatomy; returns its mosaic, HU of the same shape."""
    patterns, radius = patient.patterns, patient.diameter / 2
    main = next((INSTEAD[p] for p in patterns if p in INSTEAD), MAIN[patient.kind])
    depth = lesion_depth(patient, *axes)  # 1 in the middle, 0 at the surface
    lesion, thick = depth > 0, depth * radius  # thick: about how many mm under the surface
    np.putmask(code, lesion, anatomy.add(main))

    def blobs(name: str, scale: float) -> np.ndarray:
        return smooth_field(patient.rng(name), *axes, scale)

    def part(name: str, where: np.ndarray, *names: str) -> None:
        if name != without:
            np.putmask(code, lesion & where, anatomy.add(*names))

    if f"{patient.kind} washout" in patterns:
        part("washout", blobs("washout", max(radius / 2, 5)) > -0.9, main, main, "washout", "washout")
    if main == "hemangioma":  # nodules at the surface that grow inwards and meet
        seeds = blobs("nodules", np.clip(radius / 2.6, 3.5, 8))
        part("nodules", seeds > -0.8 + 0.8 * depth, main, main, main, "nodules")
        part("nodules", seeds > -0.1 + 1.4 * depth, main, main, "nodules", "nodules")
        part("nodules", seeds > 0.3 + 2.2 * depth, "nodules")
    if f"{patient.kind} rim" in patterns:
        part("rim", depth < 0.3 + 0.12 * blobs("rim", max(radius / 2, 4)), f"{main} rim")
    if f"{patient.kind} scar" in patterns:
        part("scar", scar(patient, depth, axes), "scar" if patient.kind == "FNH" else "hemangioma scar")
    if "HCC necrosis" in patterns:
        part("necrosis", (thick > 3) & (blobs("necrosis", max(radius / 2, 4)) > 1.2 - depth), "necrosis")
    if "HCC capsule" in patterns:  # seldom complete
        part("capsule", (thick < 1.8) & (blobs("capsule", max(radius / 1.5, 8)) > -0.9), "capsule")
    uneven = 0.0 if main in UNIFORM else patient.tumour_unevenness
    return blobs("mosaic", max(radius / 3, 3.0)) * lesion * uneven


def lesion_depth(patient: Patient, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(Z, Y, X) float32: 1 in the middle, 0 at a lobulated surface that every height below the top crosses."""
    rng = patient.rng("lesion")
    radius = patient.diameter / 2
    angle, flat, lobes = rng.uniform(0, np.pi), rng.uniform(0.75, 1.0), rng.uniform(0.15, 0.5)
    # The centre of the lesion shifts from slice to slice, by a smooth random curve for y and one for x.
    wander = 0.08 * radius * smooth_field(rng, z, np.zeros(1), np.array([0.0, 9.0]) * radius, radius)  # (Z, 1, 2)
    u, v = x[None, None] - wander[..., :1], y[None, :, None] - wander[..., 1:]
    cos, sin = math.cos(angle), math.sin(angle)  # plain floats keep the arrays float32
    u, v = u * cos + v * sin, (v * cos - u * sin) / flat
    # Lobes: where a smooth field crosses zero the rounded surface has a notch.
    notch = smooth_field(rng, z, y, x, radius / 1.2) ** 2
    bulge = 1 + lobes * (notch / (notch + 0.25) - 0.6)
    bulge += 0.03 * smooth_field(rng, z, y, x, max(radius / 4, 2.5))
    bulge = bulge.clip(0.6, 1.15)
    return 1 - np.sqrt((u**2 + v**2) / (radius * bulge) ** 2 + (z[:, None, None] / (patient.height / 2)) ** 2)


def scar(patient: Patient, depth: np.ndarray, axes) -> np.ndarray:
    """(Z, Y, X) bool: irregular strands that leave the middle and thin out."""
    rng, strands = patient.rng("scar"), np.full(depth.shape, np.inf, dtype=np.float32)
    reach = rng.uniform(0.25, 0.5)
    middle = (np.searchsorted(axes[0], 0), len(axes[1]) // 2, len(axes[2]) // 2)  # some slices may be left out
    for _ in range(2):
        sheet = smooth_field(rng, *axes, max(patient.diameter / 5, 4.0))
        sheet = sheet - sheet[middle]  # through the middle
        strands = np.minimum(strands, abs(sheet))
    return strands < 0.8 * (depth - reach)


def edge(patient: Patient, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(Z, Y, X) float32, mm beyond the liver's surface, which bulges outwards and in cirrhosis is nodular."""
    rng = patient.rng("edge")
    side, tilt, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.3), 1 / rng.uniform(60, 180)
    half = max(0.75 * patient.diameter, (patient.field or 0) / 2)
    away = half * rng.uniform(0.6, 1.05)  # a share of the ROI, so that it looks the same at every lesion size
    cos, sin = math.cos(side), math.sin(side)
    along = y[:, None] * cos - x * sin
    out = smooth_field(rng, z, y, x, 30)
    out *= 3
    if "liver cirrhosis" in patient.patterns:
        out += 1.2 * abs(smooth_field(rng, z, y, x, 7)) - 1
    out += y[:, None] * sin + x * cos + bend / 2 * along**2 - away  # (Y, X)
    out += (tilt * z)[:, None, None]
    return out


def grow_trees(rng: np.random.Generator, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Trees of vessels that enter at the faces of the grid, taper, bend and branch (Murray: r^3 is kept).

    Returns (n, 7): start and end (z, y, x) and radius of each straight piece, mm.
    """
    low, high = np.array([z[0], y[0], x[0]]), np.array([z[-1], y[-1], x[-1]])
    pieces, todo = [], []
    for _ in range(3):
        start = rng.uniform(low, high)
        axis = rng.integers(3)
        start[axis] = (low, high)[rng.integers(2)][axis]
        aim = rng.uniform(low, high) - start
        radius = np.clip(0.045 * (high - low).max() * np.exp(0.3 * rng.standard_normal()), 1.5, 5.0)
        todo.append((start, aim / np.linalg.norm(aim), radius))
    while todo:
        at, way, radius = todo.pop()
        for bend in 0.3 * rng.standard_normal((2, 3)):  # a branch is two pieces
            way = way + bend
            way = way / np.sqrt(way @ way)
            to = at + way * radius * 3.5
            pieces.append((*at, *to, radius))
            at = to
        if radius > 1.1 and (at > low - 5).all() and (at < high + 5).all():
            share, turn = rng.uniform(0.25, 0.75), rng.standard_normal(3)
            for part, sign in ((share, 1.0), (1 - share, -1.0)):
                child = way + sign * (1 - part) * turn
                todo.append((at, child / np.sqrt(child @ child), radius * part ** (1 / 3)))
    return np.array(pieces)


def paint_pieces(code: np.ndarray, z, y, x, pieces: np.ndarray, number: int) -> None:
    """Set `code` to `number` in every piece of `grow_trees`, a cylinder with round ends."""
    start, end, radius = pieces[:, :3], pieces[:, 3:6], pieces[:, 6:]
    low, high = np.minimum(start, end) - radius, np.maximum(start, end) + radius
    first = np.stack([np.searchsorted(c, low[:, i]) for i, c in enumerate((z, y, x))], axis=1)
    last = np.stack([np.searchsorted(c, high[:, i]) for i, c in enumerate((z, y, x))], axis=1)
    for i in np.flatnonzero((first < last).all(axis=1)):
        box = tuple(slice(a, b) for a, b in zip(first[i], last[i], strict=True))
        dz, dy, dx = (c[b] - s for c, b, s in zip((z, y, x), box, np.float32(start[i]), strict=True))
        vz, vy, vx = np.float32(end[i] - start[i])
        dz, dy = dz[:, None, None], dy[:, None]
        along = ((dz * vz + dy * vy + dx * vx) / (vz**2 + vy**2 + vx**2)).clip(0, 1)
        near = (dz - along * vz) ** 2 + (dy - along * vy) ** 2 + (dx - along * vx) ** 2 < radius[i, 0] ** 2
        np.putmask(code[box], near, number)
