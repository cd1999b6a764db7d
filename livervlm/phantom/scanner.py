"""The scanner: slices as thick as the protocol's, a point spread in the plane, and noise with a CT spectrum."""

import numpy as np
from scipy.ndimage import gaussian_filter

POINT_SPREAD = 0.8  # mm, sd of the in-plane blur of a soft kernel


def noise(rng: np.random.Generator, shape, pixel: float, sd: float) -> np.ndarray:
    """CT noise (Z, Y, X) in HU: power spectrum ramp times Gaussian, independent between slices.

    Filtered back projection amplifies noise in proportion to frequency, and the soft kernel then cuts it.
    """
    fy, fx = np.fft.fftfreq(shape[1], pixel)[:, None], np.fft.rfftfreq(shape[2], pixel)[None]
    f = np.hypot(fy, fx)  # cycles per mm
    amplitude = np.sqrt(f * np.exp(-((f / 0.35) ** 2)))
    white = rng.standard_normal(shape, dtype=np.float32)
    coloured = np.fft.irfft2(np.fft.rfft2(white) * amplitude, s=shape[1:])
    return (coloured * (sd / coloured.std())).astype(np.float32)


def scan(rng, hu: np.ndarray, sub_slices: int, pixel: float, noise_sd: float) -> np.ndarray:
    """Scan one phase: (Z * sub_slices, Y, X) true HU -> (Z, Y, X) int16 HU."""
    thick = hu.reshape(-1, sub_slices, *hu.shape[1:]).mean(axis=1)
    blurred = gaussian_filter(thick, (0, POINT_SPREAD / pixel, POINT_SPREAD / pixel))
    return np.rint(blurred + noise(rng, blurred.shape, pixel, noise_sd)).astype(np.int16)
