"""From Hounsfield units to what a network sees."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .conventions import WINDOW
from .lesions import LesionSet


def window(hu: Tensor, bounds: tuple[float, float] = WINDOW) -> Tensor:
    """Clip Hounsfield units to a window and scale to [-1, 1], float32, same shape and device."""
    low, high = bounds
    return (hu.float().clamp(low, high) - low) * (2 / (high - low)) - 1


def images(
    lesions: LesionSet,
    index: Sequence[int] | np.ndarray | slice = slice(None),
    bounds: tuple[float, float] = WINDOW,
) -> Tensor:
    """The windowed images of some slices, (n, P, H, W) float32 on the CPU."""
    return window(torch.tensor(lesions.hu[index]), bounds)
