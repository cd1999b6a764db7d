"""The liver in a CT volume, by the liver network: to its voxels and scale, window by window, and back."""

import numpy as np
import torch
from scipy import ndimage

from ..base.device import best_device
from .liver_network import MARGIN, SPACING, WINDOW, LiverNetwork

RANGE = 200.0  # HU on both sides of 0, which become -.5 to .5
TISSUE = -150.0  # HU, below those of fat
ANSWERED = tuple(n - 2 * MARGIN for n in WINDOW)  # voxels of a window that get an answer
STEP = ANSWERED[2] // 2  # voxels between windows along the body, so that each voxel but the outermost is in two
EDGES = ndimage.generate_binary_structure(3, 2)  # neighbours of a voxel that share a face or an edge with it


def find_liver(network: LiverNetwork, hu: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Which voxels are liver: (Z, Y, X) bool; none where it sees no liver.

    hu: (Z, Y, X), z from feet to head, y from front to back, x from right to left.  spacing: mm along Z, Y, X.

    As the package does it: cropped to the body, a median over 3 x 3 x 3 voxels of 1.5 mm, then 3 mm; what is above .5
    is opened, and the largest piece is the liver.  Two things differ.  Where it crops a long scan to the abdomen, by
    lungs and hips, here the windows go along the whole body, and their answers are averaged.  Back in the scan's voxels
    it counts all that linear interpolation touches, which adds a rim; here half is needed.
    """
    body = _body(hu, spacing)
    part = hu[body]
    smooth = ndimage.median_filter(resampled(part, spacing, (SPACING / 2,) * 3), size=3)
    smooth = resampled(smooth, (SPACING / 2,) * 3, (SPACING,) * 3)
    liver = _largest(_probabilities(network, smooth.clip(-RANGE, RANGE) / (2 * RANGE)) > 0.5)
    found = np.zeros(hu.shape, dtype=bool)
    found[body] = resampled(liver, (SPACING,) * 3, spacing, part.shape) >= 0.5
    return found


def resampled(volume: np.ndarray, spacing, to, shape=None) -> np.ndarray:
    """(Z, Y, X) in voxels of `to` mm about the same middle, float32; a mean where they are larger, else linear.

    shape: of the result; without it as many voxels as cover the volume.  What is outside is 0.
    """
    if shape is None:
        shape = np.ceil(np.multiply(volume.shape, spacing) / to - 1e-6).astype(int)
    z, y, x = (_weights(*of) for of in zip(volume.shape, spacing, shape, to, strict=True))
    return np.tensordot(z, np.stack([y @ one.astype(np.float32) @ x.T for one in volume]), 1)


def _weights(old: int, spacing: float, new: int, to: float) -> np.ndarray:
    """(new, old) float32: what each old voxel gives to each new one, along one axis."""
    ratio = to / spacing
    apart = np.abs((np.arange(new)[:, None] - (new - 1) / 2) * ratio - (np.arange(old) - (old - 1) / 2))
    if ratio <= 1:
        return np.float32((1 - apart).clip(0))
    return np.float32(((ratio + 1) / 2 - apart).clip(0, 1) / ratio)  # the overlap of the two


def _body(hu: np.ndarray, spacing) -> tuple[slice, slice, slice]:
    """All slices, and of these what the largest piece of tissue needs."""
    coarse = resampled(hu, spacing, (SPACING,) * 3)
    pieces, n = ndimage.label(ndimage.binary_erosion(coarse > TISSUE))
    if not n:
        return (slice(None),) * 3
    found = ndimage.find_objects(pieces)[np.bincount(pieces.ravel())[1:].argmax()]
    ends = []
    for axis in (1, 2):
        middle = (hu.shape[axis] - coarse.shape[axis] * SPACING / spacing[axis]) / 2  # where the coarse grid begins
        first, last = (middle + end * SPACING / spacing[axis] for end in (found[axis].start, found[axis].stop))
        ends.append(slice(max(int(np.floor(first)), 0), int(np.ceil(last))))
    return slice(None), *ends


def _probabilities(network: LiverNetwork, scaled: np.ndarray) -> np.ndarray:
    """Of a scaled volume (Z, Y, X) at 3 mm, the same shape; 0 where no window answers."""
    device = best_device()
    network = network.to(device)
    ras = scaled[:, ::-1, ::-1].transpose(2, 1, 0)  # (X, Y, Z), x to the right, y to the front
    total, windows = np.zeros(ras.shape, np.float32), np.zeros(ras.shape[2], np.float32)
    for z in _middles(ras.shape[2]):
        middle = (ras.shape[0] // 2, ras.shape[1] // 2, z)
        seen, there = _overlap(ras.shape, middle, WINDOW, 0)
        window = torch.zeros(WINDOW)
        window[there] = torch.from_numpy(ras[seen].copy())
        answer = network(window[None, None].to(device))[0, 0].cpu().numpy()
        seen, there = _overlap(ras.shape, middle, WINDOW, MARGIN)
        total[seen] += answer[there]
        windows[seen[2]] += 1
    return (total / windows.clip(1)).transpose(2, 1, 0)[:, ::-1, ::-1]


def _middles(n: int) -> list[int]:
    """The middles of the windows along n voxels."""
    half = ANSWERED[2] // 2
    if n <= ANSWERED[2]:
        return [n // 2]
    return [*range(half, n - half, STEP), n - half]


def _overlap(shape, middle, window, margin: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """What of a volume a window covers, less a margin, and where it lies in the window without that margin."""
    begins = [m - w // 2 + margin for m, w in zip(middle, window, strict=True)]
    sides = [w - 2 * margin for w in window]
    ends = [(max(b, 0), min(b + side, n), b) for b, side, n in zip(begins, sides, shape, strict=True)]
    return tuple(slice(a, z) for a, z, _ in ends), tuple(slice(a - b, z - b) for a, z, b in ends)


def _largest(liver: np.ndarray) -> np.ndarray:
    """The largest piece after an erosion, grown again."""
    pieces, n = ndimage.label(ndimage.binary_erosion(liver, EDGES))
    if not n:
        return np.zeros_like(liver)
    return ndimage.binary_dilation(pieces == np.bincount(pieces.ravel())[1:].argmax() + 1, EDGES)
