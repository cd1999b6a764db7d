"""TotalSegmentator (Wasserthal et al., Radiology: AI 2023), where it is installed with its weights."""

import tempfile
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

from ..studies.reading import sitk

TASKS = (291, 298)  # nnU-Net's numbers of the weights: its organs at 1.5 mm, and the coarse look before


def is_there() -> bool:
    """Whether it can run without fetching what the liver needs."""
    if find_spec("totalsegmentator") is None:
        return False
    from totalsegmentator.config import get_weights_dir

    return all(any(Path(get_weights_dir()).glob(f"Dataset{task}_*")) for task in TASKS)


def find_liver(image: sitk.Image) -> sitk.Image:
    """The liver in a CT volume, 0 or 1, on its grid.  The program sends statistics of use unless it is told not to."""
    from totalsegmentator.python_api import totalsegmentator

    with tempfile.TemporaryDirectory() as scratch:
        volume, masks = Path(scratch) / "ct.nii.gz", Path(scratch) / "masks"
        sitk.WriteImage(image, volume)
        with redirect_stdout(StringIO()):
            totalsegmentator(volume, masks, roi_subset=["liver"], quiet=True)
        return sitk.ReadImage(masks / "liver.nii.gz", sitk.sitkUInt8)
