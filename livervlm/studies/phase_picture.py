"""What a CT shows of contrast, read without any mask: a few brightnesses that need no segmentation.

All lengths are in mm, so that field of view, matrix and slice thickness matter little.  Nothing depends on which end of
the volume is the head, or which side is the right.
"""

import numpy as np
from scipy import ndimage

STEP = 4.0  # mm; finer voxels are averaged to about this
SMOOTH = 3.0  # mm sd
LEAST = (60.0, 150.0)  # mm of slices, cm2 of body in the middle one: less tells nothing
FEATURES = ("tube", "second tube", "organ", "muscle")


def picture_features(volume: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray | None:
    """The brightnesses `FEATURES`, (4,) HU, of (Z, Y, X) HU; None where too little of a body is seen.

    tube: the brightest that runs along the body before the spine, mostly the aorta.  second tube: the brightest beside
    it, mostly the inferior vena cava.  organ: the largest that is even over 32 mm, mostly the liver.  muscle: behind
    the spine.
    """
    hu, mm = coarse(volume, spacing)
    if len(hu) * mm[0] < LEAST[0]:
        return None
    body = body_mask(hu)
    if np.median(body.sum(axis=(1, 2))) * mm[1] * mm[2] / 100 < LEAST[1]:
        return None
    spine = spine_line(hu, body, mm)
    if spine is None:
        return None
    y, x = (np.arange(n) * d for n, d in zip(hu.shape[1:], mm[1:], strict=True))
    dy, dx = y - spine[:, :1], x - spine[:, 1:]  # (Z, Y), (Z, X): mm behind the spine, beside it
    behind = ((dy > 0) & (dy < 50))[:, :, None] & ((abs(dx) > 20) & (abs(dx) < 50))[:, None]
    before = ((dy > -85) & (dy < -30))[:, :, None] & (abs(dx) < 45)[:, None]

    # A vessel is as bright 18 mm further up and down; vertebrae and discs take turns.
    length = odd(36 / mm[0])
    change = ndimage.maximum_filter1d(hu, length, axis=0) - ndimage.minimum_filter1d(hu, length, axis=0)
    tubes = np.where(before & (change < 40) & body, hu, -np.inf).max(axis=1)  # (Z, X)
    apart = abs(dx - dx[np.arange(len(dx)), tubes.argmax(axis=1)][:, None]) > 20
    first, second = (
        seen[np.isfinite(seen)] for seen in (tubes.max(axis=1), np.where(apart, tubes, -np.inf).max(axis=1))
    )

    size = [odd(32 / d) for d in mm]
    mean = ndimage.uniform_filter(hu, size)
    sd = np.sqrt((ndimage.uniform_filter(hu**2, size) - mean**2).clip(0))
    even, n = ndimage.label((sd < 12) & (mean > 20) & (mean < 220) & body & (dy < 20)[:, :, None])
    muscle = hu[behind & body & (hu > 0) & (hu < 120)]
    if not n or min(map(len, (first, second, muscle))) < 5:
        return None
    organ = mean[even == np.bincount(even.ravel())[1:].argmax() + 1]
    return np.array([np.quantile(first, 0.7), np.median(second), np.median(organ), np.median(muscle)])


def odd(length: float) -> int:
    """The odd number of voxels next to a length."""
    return 2 * max(round((length - 1) / 2), 0) + 1


def coarse(volume: np.ndarray, spacing: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """(Z, Y, X) float32 HU averaged over blocks to voxels of about `STEP` and smoothed, and their size, mm."""
    by = [max(round(STEP / d), 1) for d in spacing]
    n = [s // b for s, b in zip(volume.shape, by, strict=True)]
    hu = np.empty(n, dtype=np.float32)
    for k in range(n[0]):  # a slab at a time: a scan of 1,000 slices needs no more memory
        slab = volume[k * by[0] : (k + 1) * by[0], : n[1] * by[1], : n[2] * by[2]].clip(-1000, 1000)
        hu[k] = slab.reshape(by[0], n[1], by[1], n[2], by[2]).mean(axis=(0, 2, 4))
    mm = np.multiply(spacing, by)
    return ndimage.gaussian_filter(hu, SMOOTH / mm, mode="nearest"), mm


def body_mask(hu: np.ndarray) -> np.ndarray:
    """(Z, Y, X) bool: the largest thing that is no air, without the table; with what it encloses in each slice."""
    tissue = hu > -250
    ball = ndimage.generate_binary_structure(3, 1)
    core = ndimage.binary_erosion(tissue, ball, iterations=2, border_value=1)
    label, n = ndimage.label(core)
    if not n:
        return core
    largest = label == np.bincount(label.ravel())[1:].argmax() + 1
    body = ndimage.binary_dilation(largest, ball, iterations=2, mask=tissue)
    return np.stack([ndimage.binary_fill_holes(one) for one in body])


def spine_line(hu: np.ndarray, body: np.ndarray, mm: np.ndarray) -> np.ndarray | None:
    """(Z, 2) mm from the first row and column: the middle of the bone in the back half of the body, slice by slice."""
    line = np.full((len(hu), 2), np.nan)
    for k, (one, inside) in enumerate(zip(hu, body, strict=True)):
        rows = np.flatnonzero(inside.any(axis=1))
        if not len(rows):
            continue
        bone = (one > 180) & inside
        bone[: (rows[0] + rows[-1]) // 2] = False
        y, x = np.nonzero(bone)
        if len(x) < 8:
            continue
        middle = np.median(x)
        near = abs(x - middle) * mm[2] < 20
        if near.sum() >= 4:
            line[k] = np.median(y[near]) * mm[1], middle * mm[2]
    known = np.isfinite(line[:, 0])
    if known.mean() < 0.3:
        return None
    at = np.arange(len(hu))
    line = np.stack([np.interp(at, at[known], line[known, i]) for i in range(2)], axis=1)
    return ndimage.median_filter(line, (odd(60 / mm[0]), 1), mode="nearest")
