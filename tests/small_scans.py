"""What the tests of scans on disk share: a study of a liver in three phases, pictures of an array, one-line errors."""

import numpy as np
import pytest
import SimpleITK as sitk

from livervlm.base.errors import InputError
from livervlm.scans.rois import mask_box
from livervlm.scans.study import Study

PHASES = ("NC", "ART", "PV")
SPACING = (2.5, 0.8, 0.7)  # mm along Z, Y, X


def liver_study(moves: bool = True, seed: int = 7) -> Study:
    """A noisy liver with a dark ellipsoid that lies elsewhere in each phase if it `moves`; seed: of the noise."""
    rng = np.random.default_rng(seed)
    shape = (12, 40, 44)
    z, y, x = np.indices(shape)
    volumes, masks, centres = {}, {}, {}
    for i, phase in enumerate(PHASES):
        centre = (5 + i * moves, 18 + 2 * i * moves, 21 - i * moves)
        lesion = ((z - centre[0]) / 2.5) ** 2 + ((y - centre[1]) / 7) ** 2 + ((x - centre[2]) / 6) ** 2 <= 1
        hu = 60 + 25 * i + rng.normal(0, 8, shape) - 45 * lesion + x  # a slope: left is not right
        hu[:, :, :3] = -1000  # air at the patient's right
        volumes[phase], masks[phase], centres[phase] = hu.astype(np.float32), lesion, centre
    box = mask_box(masks["PV"])
    return Study(volumes, SPACING, "PV", box, centres if moves else {}, {"lesion": masks})


def image(array: np.ndarray, origin=(0.0, 0.0, 0.0), spacing=SPACING) -> sitk.Image:
    made = sitk.GetImageFromArray(array)
    made.SetSpacing(spacing[::-1])
    made.SetOrigin(origin)
    return made


def oval(shape, spacing, middle, half) -> np.ndarray:
    """(Y, X) bool; lengths in mm from the picture's corner."""
    y, x = (d * (np.arange(n) + 0.5) for n, d in zip(shape, spacing, strict=True))
    return ((y[:, None] - middle[0]) / half[0]) ** 2 + ((x - middle[1]) / half[1]) ** 2 <= 1


def fails(words: str, call, *args, **kwargs) -> str:
    with pytest.raises(InputError, match=words) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)
