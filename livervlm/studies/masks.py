"""Which voxels of a mask are the lesion, and where these lie on the grid of a phase."""

import math
from pathlib import Path

import numpy as np
from scipy import ndimage

from ..base.errors import InputError
from .frames import read_header
from .reading import Reading, sitk
from .segmentations import RTSTRUCT, SEGMENTATIONS, contoured, segmented
from .series import is_dicom, modality, sop_class, sort_folder

LEAST = 5  # voxels: below it a mask is a click or an accident
STRAY = 5  # voxels of a piece that is left out beside one of twenty times as many
OUTSIDE = 0.01  # share of a mask that may lie outside its volume


def pieces(mask: np.ndarray) -> list[np.ndarray]:
    """The parts of a (Z, Y, X) mask that do not touch, not even at a corner, largest first."""
    labels, n = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    return [labels == i + 1 for i in np.argsort(-sizes, kind="stable")]


def dicom_mask(path: Path, like: sitk.Image, value, threshold: float | None, reading: Reading) -> sitk.Image | None:
    """The mask of a DICOM object made for masks; None where there is none."""
    if path.is_dir():
        found = sort_folder(path)
        objects = {f: h for f, h in found.objects.items() if sop_class(h) in (*SEGMENTATIONS, RTSTRUCT)}
        if len(objects) > 1:
            raise InputError(f"{path}: {len(objects)} DICOM segmentations; name the file of one")
        if not objects and not found.series and any(modality(h) == "SEG" for h in found.objects.values()):
            raise InputError(f"{path}: modality SEG, but no segmentation object; convert it to a NIfTI mask")
        if not objects:
            return None
        path, header = next(iter(objects.items()))
    elif is_dicom(path):
        header = read_header(path)
    else:
        return None
    if sop_class(header) == RTSTRUCT:
        return contoured(path, header, like, value, reading)
    if sop_class(header) in SEGMENTATIONS:
        return segmented(path, value, threshold, reading)
    return None


def chosen(path: Path, values: np.ndarray, value, threshold: float | None, reading: Reading) -> np.ndarray:
    """(Z, Y, X) uint8 of the voxels that are meant."""
    if isinstance(value, str):
        raise InputError(
            f"{path}: mask_value is a name, but only DICOM-SEG and RTSTRUCT name their parts; give a number"
        )
    if threshold is not None:
        return _not_empty(path, values >= threshold, values, f"no voxel from {threshold:g} up")
    whole = np.rint(values)
    if values.dtype.kind == "f":
        off = float(np.abs(values - whole).max())
        if off > 1e-3:
            reading.doubt(
                f"a soft map from {values.min():g} to {values.max():g}: state from which value on it is lesion"
            )
            return _not_empty(path, values >= values.max() / 2, values, "no voxel above 0")
        if off:
            reading.assume(f"labels up to {off:.1g} off whole numbers: rounded")
    if value is not None:
        return _not_empty(path, whole == value, whole, f"no voxel of value {value}")
    labels = np.unique(whole[whole != 0])
    if len(labels) > 1:
        shown = ", ".join(f"{v:g}" for v in labels[:12])
        reading.doubt(f"labels {shown} in one mask, all taken as the lesion: name one with mask_value")
    return _not_empty(path, whole != 0, whole, "no voxel but zeros")


def _not_empty(path: Path, mask: np.ndarray, values: np.ndarray, wanted: str) -> np.ndarray:
    if not mask.any():
        present = ", ".join(f"{v:g}" for v in np.unique(values)[:12])
        raise InputError(f"{path}: the mask is empty, {wanted} (it holds {present}); give the lesion's mask")
    return mask.astype(np.uint8)


def one_piece(path: Path, lesion: sitk.Image, piece: int | None, reading: Reading) -> sitk.Image:
    found = pieces(sitk.GetArrayViewFromImage(lesion))
    sizes = [int(p.sum()) for p in found]
    kept = [i for i, n in enumerate(sizes) if n > STRAY or 20 * n >= sizes[0]]
    if len(kept) < len(found):
        reading.leave_out(f"{sum(sizes) - sum(sizes[i] for i in kept)} stray voxels beside the lesion")
    if piece and piece > len(kept):
        raise InputError(f"{path}: no piece {piece}: the mask has {len(kept)}, of {_volumes(sizes, kept, lesion)} mm3")
    if piece:
        kept = [kept[piece - 1]]
    elif piece is None and len(kept) > 1:
        reading.doubt(
            f"{len(kept)} pieces that do not touch, of {_volumes(sizes, kept, lesion)} mm3, taken as one lesion: give "
            "each a row with its number as piece (1 the largest), or piece 0 where they are one"
        )
    if sum(sizes[i] for i in kept) < LEAST:
        reading.doubt(f"a mask of {sum(sizes[i] for i in kept)} voxels: a click, no lesion; give its mask or a box")
    made = sitk.GetImageFromArray(np.any([found[i] for i in kept], axis=0).astype(np.uint8))
    made.CopyInformation(lesion)
    return made


def _volumes(sizes: list[int], kept: list[int], image: sitk.Image) -> str:
    each = math.prod(image.GetSpacing())
    return ", ".join(f"{sizes[i] * each:.0f}" for i in kept[:6]) + (", ..." if len(kept) > 6 else "")


def moved(path: Path, lesion: sitk.Image, like: sitk.Image, reading: Reading) -> sitk.Image:
    voxel = math.prod(lesion.GetSpacing())
    where = np.argwhere(sitk.GetArrayViewFromImage(lesion))[:, ::-1]  # (n, 3) x, y, z of the mask
    index = _index(lesion, like, where)
    outside = ((index < -0.5 - 1e-6) | (index > np.array(like.GetSize()) - 0.5 + 1e-6)).any(axis=1).mean()
    mask = sitk.Resample(lesion, like, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    kept = np.count_nonzero(sitk.GetArrayViewFromImage(mask)) * math.prod(like.GetSpacing())
    stored = len(where) * voxel
    if outside >= 0.5 or not kept:
        raise InputError(
            f"{path}: only {stored * (1 - outside) if kept else 0:.0f} of the mask's {stored:.0f} mm3 lie in the "
            "volume; origin, spacing or direction disagree: export the mask on the grid of its phase"
        )
    if outside > OUTSIDE:
        reading.doubt(
            f"{outside:.0%} of the mask lies outside the volume: its phase was scanned too short, or is another"
        )
    elif outside:
        reading.leave_out(f"{outside:.1%} of the mask, outside the volume")
    shape = sorted(lesion.GetSize()), sorted(like.GetSize())
    corners = np.array(np.meshgrid(*((0, n - 1) for n in lesion.GetSize()))).reshape(3, -1).T
    at = [image.TransformIndexToPhysicalPoint([int(v) for v in c]) for image in (lesion,) for c in corners]
    own = [like.TransformIndexToPhysicalPoint([int(v) for v in c]) for c in _corners(like)]
    apart = max(np.linalg.norm(np.subtract(own, point), axis=1).min() for point in at)
    if shape[0] == shape[1] and apart > 0.1 * min(like.GetSpacing()) + 0.01:
        reading.doubt(
            f"the mask has the volume's number of voxels, but by its header lies up to {apart:.1f} mm elsewhere: one "
            "of the two headers is wrong, or it belongs to another phase"
        )
    return mask


def _corners(image: sitk.Image) -> np.ndarray:
    return np.array(np.meshgrid(*((0, n - 1) for n in image.GetSize()))).reshape(3, -1).T


def _index(of: sitk.Image, like: sitk.Image, where: np.ndarray) -> np.ndarray:
    """(n, 3) voxels of `like`, with fractions, at whole voxels of another image."""
    matrices = [np.reshape(i.GetDirection(), (3, 3)) * i.GetSpacing() for i in (of, like)]
    points = where @ matrices[0].T + np.subtract(of.GetOrigin(), like.GetOrigin())
    return points @ np.linalg.inv(matrices[1]).T
