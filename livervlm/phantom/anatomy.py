"""The shapes: a piece of liver with vessel trees and a curved edge, and one lobulated lesion with its parts."""

from dataclasses import dataclass

import numpy as np

from .patients import Patient

PARTS = {  # causal part -> the tissues of the enhancement table that it is made of
    "rim": ("icc rim", "met rim"),
    "scar": ("scar", "hemangioma scar"),
    "nodules": ("nodules",),
    "capsule": ("capsule",),
    "necrosis": ("necrosis",),
    "washout": ("washout",),
}
MAIN = {"CYST": "cyst", "FNH": "fnh", "HCC": "hcc", "HEM": "hemangioma", "ICC": "icc", "MET": "met"}
INSTEAD = {  # pattern -> the tissue that then fills the lesion
    "CYST dense": "dense cyst",
    "HCC hypovascular": "hypovascular",
    "HEM low": "low hemangioma",
    "HEM flash filling": "flash hemangioma",
    "ICC nonrim": "icc nonrim",
}
UNIFORM = ("fat", "cyst", "dense cyst", "necrosis", "portal vein", "hepatic vein", "artery", "bone")


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Where each tissue is, on a fine grid.

    code: (Z, Y, X) uint8, row of `tissues`.  tissues: for each code the tissue whose HU it has in NC, ART, PV, DL.
    first_lesion: the codes from here up are the lesion.  unevenness: (Z, Y, X) float32 HU, of any phase.
    """

    code: np.ndarray
    tissues: tuple[tuple[str, str, str, str], ...]
    first_lesion: int
    unevenness: np.ndarray


def smooth_field(rng: np.random.Generator, z, y, x, scale: float) -> np.ndarray:
    """A random field of unit sd that varies over about `scale` mm, at coordinates in mm: (Z, Y, X) float32.

    White noise on a grid of that pitch, spread with a Gaussian: three small matrix products.
    """
    spread = []
    for at in (z, y, x):
        knots = np.arange(np.floor(at[0] / scale) - 2, np.ceil(at[-1] / scale) + 3)
        weights = np.exp(-((at[:, None] / scale - knots) ** 2) / (2 * 0.7**2))
        spread.append(np.float32(weights / np.linalg.norm(weights, axis=1, keepdims=True)))
    field = rng.standard_normal([w.shape[1] for w in spread], dtype=np.float32)
    field = np.tensordot(spread[1], field, axes=(1, 1))  # (Y, kz, kx)
    field = np.tensordot(spread[0], field, axes=(1, 1))  # (Z, Y, kx)
    return field @ spread[2].T


def grow(patient: Patient, z: np.ndarray, y: np.ndarray, x: np.ndarray, without: str | None = None) -> Anatomy:
    """Grow a patient's anatomy at coordinates (mm) from the middle of the lesion; `without` leaves one part out."""
    code = np.zeros((len(z), len(y), len(x)), dtype=np.uint8)
    tissues = [("liver",) * 4]

    def paint(where: np.ndarray, view: np.ndarray, *names: str) -> None:
        np.putmask(view, where, len(tissues))
        tissues.append(names if len(names) == 4 else names * 4)

    for name in ("portal vein", "hepatic vein"):
        pieces = grow_trees(patient.rng(name), z, y, x)
        if name == "portal vein":  # an artery runs along each larger portal branch
            beside = pieces[pieces[:, 6] > 1.5] + (0, 1.4, 1.4, 0, 1.4, 1.4, 0)
            paint_pieces(code, z, y, x, beside * (1, 1, 1, 1, 1, 1, 0.4), len(tissues))
            tissues.append(("artery",) * 4)
        paint_pieces(code, z, y, x, pieces, len(tissues))
        tissues.append((name,) * 4)
    if "organ edge in view" in patient.patterns:
        beyond = edge(patient, z, y, x)
        rng = patient.rng("wall")
        fat = np.exp(rng.normal(np.log(4), 0.8))
        paint(beyond > 0, code, "fat")
        paint(beyond > fat, code, "muscle")
        ribs = smooth_field(rng, z, y, x, 14)
        paint((beyond > fat + 3) & (beyond < fat + 10) & (ribs > 0.9), code, "bone")
        paint(beyond > fat + 14, code, "fat")

    # The lesion, in the piece of the grid that can hold it.  Depth is 1 in its middle and 0 at its surface.
    first_lesion, half, radius = len(tissues), patient.height / 2, patient.diameter / 2
    inside = np.ix_(abs(z) < half, abs(y) < 1.35 * radius, abs(x) < 1.35 * radius)
    z_, y_, x_ = (c[i.ravel()] for c, i in zip((z, y, x), inside, strict=True))
    view = code[inside]
    depth = lesion_depth(patient, z_, y_, x_)
    lesion = depth > 0
    patterns = patient.patterns
    main = next((INSTEAD[p] for p in patterns if p in INSTEAD), MAIN[patient.kind])
    if without != "lesion":
        paint(lesion, view, main)

        def blobs(name: str, scale: float) -> np.ndarray:
            return smooth_field(patient.rng(name), z_, y_, x_, scale)

        def part(name: str, where: np.ndarray, *names: str) -> None:
            if name != without:
                paint(lesion & where, view, *names)

        thick = depth * radius  # mm under the surface
        if any(p.endswith("washout") for p in patterns) and main != "hypovascular":
            part("washout", blobs("washout", max(radius / 2, 5)) > -0.9, main, main, "washout", "washout")
        if main == "hemangioma":  # nodules at the surface that grow inwards and meet
            seeds = blobs("nodules", max(radius / 3.2, 3.0))
            late, later = (main, main, "nodules", "nodules"), (main, main, main, "nodules")
            for fewest, steep, names in ((-0.7, 0.8, later), (0.1, 1.6, late), (0.5, 2.8, ("nodules",))):
                part("nodules", seeds > fewest + steep * depth, *names)
        if main in ("icc", "met") and f"{patient.kind} rim" in patterns:
            part("rim", depth < 0.3 + 0.12 * blobs("rim", max(radius / 2, 4)), f"{main} rim")
        if "FNH scar" in patterns or ("HEM scar" in patterns and main == "hemangioma"):
            part("scar", scar(patient, depth, z_, y_, x_), "scar" if main == "fnh" else "hemangioma scar")
        if "HCC necrosis" in patterns:
            part("necrosis", (thick > 3) & (blobs("necrosis", max(radius / 2, 4)) > 1.2 - depth), "necrosis")
        if "HCC capsule" in patterns:
            open_ = blobs("capsule", max(radius / 1.5, 8)) < -0.9  # a capsule is seldom complete
            part("capsule", (thick < 1.8) & ~open_, "capsule")
        code[inside] = view

    coarse = "liver cirrhosis" in patient.patterns
    uneven = smooth_field(patient.rng("texture"), z, y, x, 6.0 if coarse else 3.5)
    sd = [1.0 if names[0] in UNIFORM else patient.liver_unevenness for names in tissues]
    sd[0] *= 1.6 if coarse else 1.0
    uneven *= np.float32(sd).take(code)
    if main not in UNIFORM and without != "lesion":  # the mosaic of a solid tumour
        mosaic = smooth_field(patient.rng("mosaic"), z_, y_, x_, max(radius / 3, 3.0))
        uneven[inside] += patient.tumour_unevenness * mosaic * lesion
    return Anatomy(code, tuple(tissues), first_lesion, uneven)


def lesion_depth(patient: Patient, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(Z, Y, X) float32: 1 in the middle, 0 at a lobulated surface that every height below the top crosses."""
    rng = patient.rng("lesion")
    radius = patient.diameter / 2
    angle, flat, lobes = rng.uniform(0, np.pi), rng.uniform(0.75, 1.0), rng.uniform(0.15, 0.35)
    wander = 0.08 * radius * smooth_field(rng, z, np.zeros(1), np.arange(2) * 9.0 * radius, radius)  # (Z, 1, 2)
    u, v = x[None, None] - wander[..., :1], y[None, :, None] - wander[..., 1:]
    u, v = u * np.cos(angle) + v * np.sin(angle), (v * np.cos(angle) - u * np.sin(angle)) / flat
    # Lobes: rounded outwards, with soft notches where the field crosses zero.
    bulge = 1 + lobes * (1.25 * np.sqrt(smooth_field(rng, z, y, x, radius / 1.2) ** 2 + 0.15) - 1.1)
    bulge += 0.03 * smooth_field(rng, z, y, x, max(radius / 4, 2.5))
    bulge = bulge.clip(0.6, 1.15)
    return 1 - np.sqrt((u**2 + v**2) / (radius * bulge) ** 2 + (z[:, None, None] / (patient.height / 2)) ** 2)


def scar(patient: Patient, depth: np.ndarray, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(Z, Y, X) bool: irregular strands that leave the middle and thin out."""
    rng, strands = patient.rng("scar"), np.full(depth.shape, np.inf, dtype=np.float32)
    reach = rng.uniform(0.25, 0.5)
    for _ in range(2):
        sheet = smooth_field(rng, z, y, x, max(patient.diameter / 5, 4.0))
        sheet = sheet - sheet[tuple(n // 2 for n in sheet.shape)]  # through the middle
        strands = np.minimum(strands, abs(sheet))
    return strands < 0.8 * (depth - reach)


def edge(patient: Patient, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(Z, Y, X) float32, mm beyond the liver's surface, which bulges outwards and in cirrhosis is nodular."""
    rng = patient.rng("edge")
    side, tilt, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.3), 1 / rng.uniform(60, 180)
    away = 0.75 * patient.diameter * rng.uniform(0.6, 1.05)  # in shares of the ROI, for every size alike
    along = y[:, None] * np.cos(side) - x * np.sin(side)
    out = smooth_field(rng, z, y, x, 30)
    out *= 3
    if "liver cirrhosis" in patient.patterns:
        out += 1.2 * abs(smooth_field(rng, z, y, x, 7)) - 1
    out += y[:, None] * np.sin(side) + x * np.cos(side) + bend / 2 * along**2 - away  # (Y, X)
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
        for bend in 0.25 * rng.standard_normal((3, 3)):  # a branch is three pieces
            way = way + bend
            way = way / np.sqrt(way @ way)
            to = at + way * radius * 2.75
            pieces.append((*at, *to, radius))
            at = to
        if radius > 0.95 and (at > low - 5).all() and (at < high + 5).all():
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
