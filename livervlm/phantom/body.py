"""The body that holds the organs: skin, fat, muscle, ribs, spine and pelvis, and the table under it."""

import numpy as np

from .organs import Palette, Part, Shape, anatomy, fill, paint_parts

# The numbers of this file are general knowledge: chosen beside a real CT, slice by slice, and measured by nobody.
SKIN = 2.0  # mm
RIB_ROOM = (3.0, 10.0)  # mm under the surface of the muscles
PELVIS = ([0, 6, 10, 14, 18, 21], [50, 62, 80, 112, 170, 400])  # cm of the table, mm to its wall on either side
POWER = 2.4  # of the outline: between an ellipse and a rectangle


def paint_body(axes, fat: float, sex: str, shape: Shape, palette: Palette) -> tuple[np.ndarray, np.ndarray]:
    """(Z, Y, X) codes of all that no breath moves; where it shows the cavity, organs go; and the room, mm.

    fat: mm under the skin at the flank.  room: from the wall of the cavity inwards, along a ray from the middle.
    """
    z, y, x = axes
    depth, front, back = wall_depth(axes, shape)
    code = np.full(depth.shape, palette.code("air"), dtype=np.uint8)
    # Fat is thickest in front of the lower abdomen and over the buttocks, thin on the neck and the chest.
    level = -z / shape.scale[0] / 10
    along = np.float32(np.interp(level, [8, 14, 24, 36, 46, 58, 64], [1.5, 1.4, 1.2, 0.8, 0.7, 0.6, 0.35]))
    thick = fat * along[:, None, None] * (1 + 0.35 * np.tanh(-np.float32(y) / 60))[:, None]
    fill(code, depth > -thick - SKIN, palette.code("skin"))
    fill(code, depth > -thick, palette.code("fat"))
    fill(code, depth > 0, palette.code("trunk muscle"))
    wall = wall_thickness(level, y)
    inside = depth > wall
    narrow = (abs(x) / (np.interp(level, *PELVIS)[:, None] * shape.scale[2])) ** 3  # (Z, X)
    inside &= np.float32(narrow)[:, None] + np.float32(abs(y / shape.scale[1]) / 100)[:, None] ** 3 < 1
    fill(code, inside, palette.code("cavity"))
    table = back.max() + fat * 1.1 + 12 - x**2 / 1400  # (X,) mm, a shallow trough
    for off in (0, 30):
        fill(code, (code == palette.code("air")) & (abs(y[:, None] - table - off) < 2.5), palette.code("table"))
    for part in anatomy("body").values():
        if part.shape == "rib":
            paint_rib(code, axes, part, depth, front, back, shape, palette)
    neck = level > 60.5  # no cavity there, only muscle and fat between the organs
    code[neck] = np.where(code[neck] == palette.code("cavity"), palette.code("trunk muscle"), code[neck])
    paint_parts(code, axes, "body", shape, palette, skip=("uterus",) if sex == "man" else ("prostate",))
    for part in anatomy("body").values():
        if part.shape == "vertebra":
            paint_vertebra(code, axes, part, shape, palette)
    return code, depth - wall


def outline(level: np.ndarray, shape: Shape) -> np.ndarray:
    """Half width, front and back of the muscles at heights in cm of the table: (3, n), mm."""
    part = anatomy("body")["outline"]
    order = np.argsort(-part.points[:, 0])
    height, sizes = -part.points[order, 0] / 10, part.sizes[order]
    ends = np.array([np.interp(level, height, sizes[:, i]) for i in (2, 1, 0)])  # the columns a, b, c
    return ends * shape.scale[[2, 1, 1]][:, None]


def wall_depth(axes, shape: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(Z, Y, X) float32 mm under the surface of the muscles, and that surface's front and back, (Z,) mm."""
    z, y, x = axes
    wide, front, back = np.float32(outline(-z / shape.scale[0] / 10, shape))
    middle, half = (front + back) / 2, (back - front) / 2
    v = np.float32(y) - middle[:, None]  # (Z, Y)
    across = abs(np.float32(x) / wide[:, None]) ** POWER  # (Z, X)
    r = (abs(v / half[:, None]) ** POWER)[:, :, None] + across[:, None]
    r = np.maximum(r, np.float32(1e-3)) ** np.float32(-1 / POWER)
    r -= 1
    r *= np.sqrt((v**2)[:, :, None] + np.float32(x) ** 2)
    r += 4 * shape.bulge(*axes)
    return r, front, back


def wall_thickness(level: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(Z, Y, 1) mm of muscle: thin in front, thick at the back and about the pelvis."""
    ahead = np.interp(level, [0, 8, 14, 24, 40, 58, 62], [40, 22, 12, 9, 10, 14, 30])
    behind = np.interp(level, [0, 8, 14, 20, 24, 36, 58, 62], [45, 45, 42, 24, 16, 14, 20, 30])
    share = (1 / (1 + np.exp(-(y - 20) / 12)))[None]
    return np.float32(ahead[:, None] * (1 - share) + behind[:, None] * share)[:, :, None]


def paint_rib(code, axes, part: Part, depth, front, back, shape: Shape, palette: Palette) -> None:
    """A pair of ribs: bands within the wall that slant down from the spine; cartilage near the breastbone."""
    z, y, x = axes
    (top, end, _), drop = part.points[0] * shape.scale, part.sizes[0, 2] * shape.scale[0]
    near = (z > top - 10) & (z < top + drop + 10)
    if not near.any():
        return
    box = slice(near.argmax(), near.argmax() + near.sum())
    share = (back[box, None] - y) / (back - front)[box, None]  # 0 at the back, 1 in front: (Z, Y)
    off = abs(z[box, None] - top - drop * share)  # mm above or below the band
    low, high = RIB_ROOM
    here = (depth[box] > low) & (depth[box] < high) & (off < 4.8)[:, :, None] & (y > end)[:, None] & (abs(x) > 18)
    deep = (depth[box] > low + 2) & (depth[box] < high - 2) & (off < 2.6)[:, :, None]
    bony = (share < 0.86)[:, :, None]
    fill(code[box], here & bony, palette.code("cortical bone"))
    fill(code[box], here & bony & deep, palette.code("marrow"))
    fill(code[box], here & ~bony, palette.code("cartilage"))


def paint_vertebra(code, axes, part: Part, shape: Shape, palette: Palette) -> None:
    """One vertebra with the disc below it: body, arch about the canal, transverse and spinous processes."""
    centre, (c, b, a) = shape.places(part)[0], shape.half_axes(part)
    half = 1.22 * c  # to the middle of the disc
    near = abs(axes[0] - centre[0]) <= half + 1
    if not near.any():
        return
    rows, columns = abs(axes[1] - centre[1]) < 75, abs(axes[2] - centre[2]) < 50
    box = tuple(slice(m.argmax(), m.argmax() + m.sum()) for m in (near, rows, columns))
    dz, dy, dx = (np.float32(ax[s] - o) for ax, s, o in zip(axes, box, centre, strict=True))
    dz, dy = dz[:, None, None], dy[:, None]
    waist = 1 - 0.08 * (1 - (dz / c) ** 2).clip(0)  # narrower half way up
    disc = abs(dz) > c * 0.9
    r = (dx / a) ** 2 + (dy / b) ** 2
    canal = (dx / 10.5) ** 2 + ((dy - b - 9) / 8.5) ** 2
    seen, lower, level = code[box], abs(dz + 0.1 * c) < 0.55 * c, abs(dz) < 0.3 * c
    fill(
        seen, (abs(dy - b - 7 - 0.08 * abs(dx)) < 4.0) & (abs(dx) < 1.35 * a + 8) & level, palette.code("cortical bone")
    )
    fill(seen, (canal < 2.3) & (lower | (dy > b + 9)), palette.code("cortical bone"))
    fill(seen, (abs(dx) < 3.5) & (dy > b + 15) & (dy < b + 31) & (dz > -0.5 * c), palette.code("cortical bone"))
    fill(seen, (abs(abs(dx) - 15) < 7) & (abs(dy - b - 14) < 6) & ~lower, palette.code("cortical bone"))
    fill(seen, r < waist**2, palette.code("cortical bone"))
    fill(seen, (r < (0.87 * waist) ** 2) & (abs(dz) < 0.85 * c), palette.code("marrow"))
    fill(seen, (r < 1) & disc, palette.code("disc"))
    fill(seen, canal < 1, palette.code("cord"))
