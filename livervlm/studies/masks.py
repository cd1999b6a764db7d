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
EDGE = 1e-4  # voxels
NEAR = 0.01  # mm


def pieces(mask: np.ndarray) -> list[np.ndarray]:
    """The parts of a (Z, Y, X) mask that do not touch, not even at a corner, largest first, without stray voxels."""
    labels, n = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    kept = [i for i in np.argsort(-sizes, kind="stable") if sizes[i] > STRAY or 20 * sizes[i] >= sizes.max()]
    return [labels == i + 1 for i in kept]


def dicom_mask(path: Path, like: sitk.Image, value, threshold: float | None, reading: Reading) -> sitk.Image | None:
    """The mask of a DICOM object made for masks; None where there is none."""
    if not path.exists():
        raise InputError("no such file or folder")
    if path.is_dir():
        found = sort_folder(path)
        objects = {f: h for f, h in found.objects.items() if sop_class(h) in (*SEGMENTATIONS, RTSTRUCT)}
        if len(objects) > 1:
            raise InputError(f"{len(objects)} DICOM segmentations; name the file of one")
        if not objects and not found.series and any(modality(h) == "SEG" for h in found.objects.values()):
            raise InputError("modality SEG, but no segmentation object; convert it to a NIfTI mask")
        if not objects:
            return None
        path, header = next(iter(objects.items()))
    elif is_dicom(path):
        header = read_header(path)
    else:
        return None
    if sop_class(header) == RTSTRUCT:
        return contoured(header, like, value, reading)
    if sop_class(header) in SEGMENTATIONS:
        return segmented(path, value, threshold, reading)
    return None


def chosen(values: np.ndarray, value, threshold: float | None, reading: Reading) -> np.ndarray:
    """(Z, Y, X) uint8 of the voxels that are meant."""
    if isinstance(value, str):
        raise InputError("mask_value is a name, but only DICOM-SEG and RTSTRUCT name their parts; give a number")
    if threshold is not None and value is not None:
        raise InputError("mask_value picks a label and mask_threshold cuts a soft map; give the one that this mask is")
    if value is not None and value <= 0:
        raise InputError(f"mask_value {value} is the background of a mask; give the lesion's label, from 1 up")
    if threshold is not None:
        return _not_empty(values >= threshold, values, f"no voxel from {threshold:g} up")
    whole = np.rint(values)
    if values.dtype.kind == "f":
        off = float(np.abs(values - whole).max())
        if off > 1e-3:
            reading.doubt(
                f"a soft map from {values.min():g} to {values.max():g}: state from which value on it is lesion"
            )
            return _not_empty(values >= values.max() / 2, values, "no voxel above 0")
        if off:
            reading.assume(f"labels up to {off:.1g} off whole numbers: rounded")
    if value is not None:
        return _not_empty(whole == value, whole, f"no voxel of value {value}")
    labels = np.unique(whole[whole != 0])
    if len(labels) > 1:
        shown = ", ".join(f"{v:g}" for v in labels[:12])
        reading.doubt(f"labels {shown} in one mask, all taken as the lesion: name one with mask_value")
    return _not_empty(whole != 0, whole, "no voxel but zeros")


def _not_empty(mask: np.ndarray, values: np.ndarray, wanted: str) -> np.ndarray:
    if not mask.any():
        present = ", ".join(f"{v:g}" for v in np.unique(values)[:12])
        raise InputError(f"the mask is empty, {wanted} (it holds {present}); give the lesion's mask")
    return mask.astype(np.uint8)


def one_piece(lesion: sitk.Image, piece: int | None, reading: Reading) -> sitk.Image:
    """The chosen piece of a mask, or all of them; see `read_mask`."""
    whole = sitk.GetArrayViewFromImage(lesion)
    if np.count_nonzero(whole) < LEAST:
        reading.doubt(f"a mask of {np.count_nonzero(whole)} voxels: a click, no lesion; give its mask or a box")
    if piece == 0:
        return lesion
    found = pieces(whole)
    each = math.prod(lesion.GetSpacing())
    sizes = ", ".join(f"{one.sum() * each:.0f}" for one in found[:6]) + (", ..." if len(found) > 6 else "")
    if piece is not None and not 1 <= piece <= len(found):
        raise InputError(f"no piece {piece}: the mask has {len(found)}, of {sizes} mm3")
    if piece is None and len(found) > 1:
        reading.doubt(
            f"{len(found)} pieces that do not touch, of {sizes} mm3, taken as one lesion: give each a row with "
            "its number as piece (1 the largest), or piece 0 where they are one"
        )
    stray = np.count_nonzero(whole) - sum(int(one.sum()) for one in found)
    if stray:
        reading.leave_out(f"{stray} stray voxels beside the lesion")
    chosen = found if piece is None else [found[piece - 1]]
    made = sitk.GetImageFromArray(np.any(chosen, axis=0).astype(np.uint8))
    made.CopyInformation(lesion)
    return made


def check_place(lesion: sitk.Image, phase: sitk.Image, reading: Reading) -> None:
    """Whether a mask lies in the volume of its phase, and has that volume's header where it has its shape."""
    where = np.argwhere(sitk.GetArrayViewFromImage(lesion))[:, ::-1]  # (n, 3) x, y, z of the mask
    index = _index(lesion, phase, where)
    inside = _within(index, phase)
    stored = len(where) * math.prod(lesion.GetSpacing())
    if inside.mean() <= 0.5:
        raise InputError(
            f"only {stored * inside.mean():.0f} of the mask's {stored:.0f} mm3 lie in the volume; origin, spacing or "
            "direction disagree: export the mask on the grid of its phase"
        )
    outside = 1 - inside.mean()
    if outside > OUTSIDE:
        reading.doubt(
            f"{outside:.0%} of the mask lies outside the volume: its phase was scanned too short, or is another"
        )
    elif outside:
        reading.leave_out(f"{outside:.1%} of the mask, outside the volume")
    if not same_grid(sitk.DICOMOrient(lesion, "LPS"), phase):
        reading.assume("the mask lies on another grid than its phase: resampled, nearest neighbour")
    sizes = (lesion.GetSize(), phase.GetSize())
    if sorted(sizes[0]) == sorted(sizes[1]):
        mine, its = (_corners(image) for image in (lesion, phase))
        apart = np.linalg.norm(mine[:, None] - its, axis=2).min(axis=1).max()
        if apart > 0.1 * min(phase.GetSpacing()) + NEAR:
            reading.doubt(
                f"the mask has the volume's number of voxels, but by its header lies up to {apart:.1f} mm elsewhere: "
                "one of the two headers is wrong, or it belongs to another phase"
            )


def place_on(lesion: sitk.Image, grid: sitk.Image, reading: Reading) -> tuple[np.ndarray, tuple[float, ...]]:
    """A mask on another grid, (Z, Y, X) bool, and its centre (z, y, x) there, of the part beyond that grid, too."""
    where = np.argwhere(sitk.GetArrayViewFromImage(lesion))[:, ::-1]
    index = _index(lesion, grid, where)
    beyond = 1 - float(_within(index, grid).mean())
    moved = sitk.GetArrayFromImage(sitk.Resample(lesion, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0))
    if not moved.any():
        raise InputError("it lies beyond the volume of the reference, or between its voxels; name another reference")
    if beyond > OUTSIDE:
        reading.doubt(
            f"{beyond:.0%} of it lies beyond the volume of the reference and is cut off; is it the right one?"
        )
    return moved.astype(bool), tuple(index.mean(axis=0).round(6)[::-1].tolist())  # without what the matrices leave


def same_grid(one: sitk.Image, two: sitk.Image) -> bool:
    """Whether two images have their voxels at the same places, up to rounding."""
    return one.GetSize() == two.GetSize() and bool(np.abs(_corners(one) - _corners(two)).max() < NEAR)


def _corners(image: sitk.Image) -> np.ndarray:
    """(8, 3) mm."""
    ends = np.array(np.meshgrid(*((0, n - 1) for n in image.GetSize()))).reshape(3, -1).T
    return np.array([image.TransformIndexToPhysicalPoint([int(v) for v in end]) for end in ends])


def _within(index: np.ndarray, grid: sitk.Image) -> np.ndarray:
    """(n,) bool: which of (n, 3) voxels x, y, z with fractions lie in an image."""
    return ((index > -0.5 - EDGE) & (index < np.array(grid.GetSize()) - 0.5 + EDGE)).all(axis=1)


def _index(of: sitk.Image, like: sitk.Image, where: np.ndarray) -> np.ndarray:
    """(n, 3) voxels of `like`, with fractions, at whole voxels of another image."""
    matrices = [np.reshape(i.GetDirection(), (3, 3)) * i.GetSpacing() for i in (of, like)]
    points = where @ matrices[0].T + np.subtract(of.GetOrigin(), like.GetOrigin())
    return points @ np.linalg.inv(matrices[1]).T
