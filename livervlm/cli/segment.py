"""A mask of the liver: `livervlm segment`."""

import argparse
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path

from ..base.errors import InputError
from .shared import NOT_FOR_DIAGNOSIS

SHORT = 120.0  # mm of a scan that can hardly hold a liver


def segment(arguments: argparse.Namespace) -> None:
    from ..base.paths import written_whole
    from ..models import total_segmentator
    from ..models.liver_weights import PACKAGE, liver_weights
    from ..scans.conventions import PHASE_NAMES
    from ..studies.reading import Reading, sitk
    from ..studies.volumes import read_mask, read_volume

    if not arguments.out.endswith(".nii.gz"):
        raise InputError(f"{arguments.out}: a mask is written as .nii.gz; name --out so")
    if Path(arguments.out).exists():  # a scan has the same ending
        raise InputError(f"{arguments.out}: already there; name a new file")
    better = total_segmentator.is_there()
    weights = None if better else liver_weights(arguments.fetch)  # before anything is read
    study = Path(arguments.study)
    last = [file for p in PHASE_NAMES for file in (study / p, study / f"{p}.nii.gz") if file.exists()][-1:]
    path, reading = (last or [study])[0], Reading()
    volume = read_volume(path, reading=reading)
    truth = arguments.truth and read_mask(arguments.truth, volume, arguments.value, piece=0, reading=reading)
    began = time.perf_counter()
    mask = total_segmentator.find_liver(volume) if better else _by_network(weights, volume)
    seconds = time.perf_counter() - began
    voxels = int(sitk.GetArrayViewFromImage(mask).sum())
    if not voxels:
        raise InputError(f"{path}: no liver was found; give a CT of the abdomen, in Hounsfield units")
    with written_whole(arguments.out) as temporary, tempfile.TemporaryDirectory() as scratch:
        named = Path(scratch) / "mask.nii.gz"  # whose ending tells the format
        sitk.WriteImage(sitk.DICOMOrient(mask, _stored_axes(path)), named)
        shutil.copyfile(named, temporary)

    length = volume.GetDepth() * volume.GetSpacing()[2]
    if not better and length < SHORT:
        print(f"The scan is {length:.0f} mm long, and the network was taught on whole livers: look at the mask.")
    if truth:
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(mask, truth)
        print(f"Dice with the given mask: {overlap.GetDiceCoefficient():.3f} (one scan).")
    for line in reading.lines():
        print(line, file=sys.stderr)  # beside the answer, not in it
    used = "TotalSegmentator" if better else f"the liver network of {PACKAGE}"
    ml = voxels * math.prod(mask.GetSpacing()) / 1000
    print(f"{arguments.out}: a liver of {ml:,.0f} ml, by {used}, in {seconds:.0f} s. {NOT_FOR_DIAGNOSIS}")


def _by_network(weights: Path, volume):
    from ..models.liver_network import LiverNetwork
    from ..models.liver_segmentation import find_liver
    from ..studies.reading import sitk

    hu, spacing = sitk.GetArrayViewFromImage(volume), volume.GetSpacing()[::-1]
    found = find_liver(LiverNetwork.from_pretrained(weights), hu, spacing)
    mask = sitk.GetImageFromArray(found.astype("uint8"))
    mask.CopyInformation(volume)
    return mask


def _stored_axes(path: Path) -> str:
    """How a NIfTI file stores its axes, in letters; for all else LPS, as it was read."""
    import numpy as np

    from ..studies.nifti import is_nifti, nifti_grid
    from ..studies.reading import sitk

    if not is_nifti(path):
        return "LPS"
    matrix = nifti_grid(path)[2]
    axes = (matrix / np.linalg.norm(matrix, axis=0)).ravel().tolist()
    return sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(axes)
