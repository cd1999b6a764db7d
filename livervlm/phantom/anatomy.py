"""The shapes: a piece of liver with vessels and an edge, and one lobulated lesion with its causal parts."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Where each tissue is, on a fine grid.  Later tissues cover earlier ones.

    tissues: name -> (Z, Y, X) bool, painted in order.  parts: name -> bool, the lesion and its causal parts.
    texture: (Z, Y, X) float32 of unit sd, the unevenness of tissue.  spacing: mm.
    """

    tissues: dict[str, np.ndarray]
    parts: dict[str, np.ndarray]
    texture: np.ndarray
    spacing: tuple[float, float, float]


def smooth_field(rng: np.random.Generator, shape, spacing, scale: float) -> np.ndarray:
    """A random field of about unit sd that varies over about `scale` mm, (Z, Y, X) float32.

    White noise on a grid of that pitch, spread with a Gaussian: three small matrix products.
    """
    spread = []
    for n, d in zip(shape, spacing, strict=True):
        knots = np.arange(-2, np.ceil(n * d / scale) + 3)
        weights = np.exp(-((np.arange(n)[:, None] * d / scale - knots) ** 2) / (2 * 0.7**2))
        spread.append(np.float32(weights / np.linalg.norm(weights, axis=1, keepdims=True)))
    field = rng.standard_normal([w.shape[1] for w in spread], dtype=np.float32)
    for weights in reversed(spread):  # contract the last axis, put the new one first
        field = np.moveaxis(np.tensordot(field, weights, axes=(2, 1)), 2, 0)
    return field


def grow(
    rng: np.random.Generator, kind: str, patterns: set[str], diameter: float, height: float, shape, spacing
) -> Anatomy:
    """Grow one patient's anatomy around a lesion in the middle of the grid.

    kind: CYST, FNH, HCC or HEM.  patterns: names of `data/pattern_rates.csv` that this patient shows.
    diameter: in-plane, mm.  height: head to foot, mm.
    """
    z, y, x = (np.float32((np.arange(n) - (n - 1) / 2) * d) for n, d in zip(shape, spacing, strict=True))
    angle, flat = rng.uniform(0, np.pi), rng.uniform(0.8, 1.0)
    u = x[None, None] * np.cos(angle) + y[None, :, None] * np.sin(angle)
    v = (y[None, :, None] * np.cos(angle) - x[None, None] * np.sin(angle)) / flat
    w = z[:, None, None] * (diameter / height)
    # Depth under the lesion's surface in radii: 1 at the centre, 0 at a surface that is bent into lobes.
    depth = 1 - np.sqrt(u**2 + v**2 + w**2) / (diameter / 2)
    depth += 0.10 * smooth_field(rng, shape, spacing, diameter / 2.5)
    lesion = depth > 0
    blobs = smooth_field(rng, shape, spacing, max(diameter / 5, 4.0))

    tissues: dict[str, np.ndarray] = {"liver": np.ones(shape, dtype=bool)}
    if "liver vessel in view" in patterns:  # where two smooth fields vanish together there are branching tubes
        tubes = smooth_field(rng, shape, spacing, 28) ** 2 + smooth_field(rng, shape, spacing, 28) ** 2
        tissues["vessel"] = tubes < rng.uniform(0.008, 0.03)
    if "organ edge in view" in patterns:
        side = rng.uniform(0, 2 * np.pi)
        wall = x[None, None] * np.cos(side) + y[None, :, None] * np.sin(side)
        wall = wall + 6 * smooth_field(rng, shape, spacing, 50)
        tissues["fat"] = wall > diameter * rng.uniform(0.45, 0.75)
    main = {"CYST": "cyst", "FNH": "fnh", "HCC": "hcc", "HEM": "hemangioma"}[kind]
    if "HCC hypovascular" in patterns:
        main = "hypovascular"
    elif "HCC washout" in patterns:
        main = "washout"
    elif "HEM flash filling" in patterns:
        main = "nodules"
    tissues[main] = lesion

    parts = {"lesion": lesion}
    if "FNH scar" in patterns:  # irregular strands that leave the centre
        parts["scar"] = lesion & (depth > 0.55 + 0.25 * np.abs(blobs))
    if "HCC necrosis" in patterns:
        parts["necrosis"] = (depth > 0.35) & (blobs > 0.7)
    if "HCC capsule" in patterns:
        parts["capsule"] = lesion & (depth < max(2.5 / diameter, 0.06))
    if main == "hemangioma":  # a broken ring of nodules
        parts["nodules"] = lesion & (depth < 0.40) & (blobs > 0.2)
    tissues |= {name: part for name, part in parts.items() if name != "lesion"}
    if main == "washout":
        parts["washout"] = lesion
    return Anatomy(tissues, parts, smooth_field(rng, shape, spacing, 5.0), spacing)
