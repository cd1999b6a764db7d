"""One real CT slice, which the package pydicom ships among its test files."""

import numpy as np

from .reading import pydicom, sitk
from .volumes import read_volume

SLICE = "CT_small.dcm"  # 5 mm, 120 kV, contrast agent given; pydicom's README knows of no restriction on its use


def real_slice() -> np.ndarray:
    """(128, 128) int16 HU with pixels of 0.66 mm: the middle of a back, with aorta, vertebra, muscle and lungs."""
    file = pydicom.data.get_testdata_file(SLICE, download=False)
    return sitk.GetArrayFromImage(read_volume(file, least=1))[0]
