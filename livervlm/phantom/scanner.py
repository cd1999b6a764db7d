"""The scanner: slices as thick as the protocol's, a point spread in the plane, and noise with a CT spectrum."""

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter1d


def noise_spectrum(f: np.ndarray, cutoff: float) -> np.ndarray:
    """The declared power at `f` cycles per mm, ramp times Gaussian, up to a factor.

    Filtered back projection amplifies noise in proportion to frequency, and the soft kernel then cuts it.
    """
    return f * np.exp(-((f / cutoff) ** 2))


def noise(rngs: list[np.random.Generator], side: int, pixel: float, sd: float, cutoff: float) -> np.ndarray:
    """CT noise in HU, a slice from each generator, independent of one another: (len(rngs), side, side) float32."""
    f = np.hypot(np.fft.fftfreq(side, pixel)[:, None], np.fft.rfftfreq(side, pixel)[None])
    power = noise_spectrum(f, cutoff)
    twice = np.full(power.shape[1], 2.0)  # rfft keeps half the frequencies: each stands for two
    twice[0] = 1
    if side % 2 == 0:
        twice[-1] = 1
    amplitude = np.float32(sd * np.sqrt(power / (power * twice).sum()) * side)
    white = np.stack([rng.standard_normal((side, side), dtype=np.float32) for rng in rngs])
    return scipy.fft.irfft2(scipy.fft.rfft2(white) * amplitude, s=(side, side))


def blur(slices: np.ndarray, pixel: float, point_spread: float) -> np.ndarray:
    """The point spread in the plane, a Gaussian of `point_spread` mm sd: (n, Y, X) float32.

    It reaches three sd and no further, so that what changes in one place leaves all others as they were.
    """
    for axis in (1, 2):
        slices = gaussian_filter1d(slices, point_spread / pixel, axis=axis, mode="nearest", truncate=3)
    return slices
