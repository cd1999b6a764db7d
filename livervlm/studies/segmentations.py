"""Masks that DICOM has objects for: segmentations (PS3.3, A.51) and contours of radiotherapy (A.19)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom import Dataset
from skimage.draw import polygon2mask

from ..base.errors import InputError
from .frames import Frame, frames_of, stored_values
from .reading import Reading, Source, check_bytes, sitk
from .stack import as_image

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # segmentation, label map
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
# Where a segmentation, and where contours tell on what they were drawn, the most exact place first.
SERIES = (
    "ReferencedSeriesSequence SeriesInstanceUID",
    "ReferencedFrameOfReferenceSequence RTReferencedStudySequence RTReferencedSeriesSequence SeriesInstanceUID",
)
PICTURES = (
    "PerFrameFunctionalGroupsSequence DerivationImageSequence SourceImageSequence ReferencedSOPInstanceUID",
    "ROIContourSequence ContourSequence ContourImageSequence ReferencedSOPInstanceUID",
    "ReferencedSeriesSequence ReferencedInstanceSequence ReferencedSOPInstanceUID",
)
FAR = 0.25  # of a slice's distance: how far a frame or contour may lie from its slice


def segmented(path: Path, value: int | str | None, threshold: float | None, reading: Reading) -> sitk.Image:
    """The chosen segments of a DICOM-SEG on its own grid, uint8.  Frames that it leaves out are empty."""
    header, stored = stored_values(path)
    names = {int(s.SegmentNumber): str(s.get("SegmentLabel", "")) for s in header.SegmentSequence}
    numbers = _picked(names, value, "segment", reading)
    frames = frames_of(path, header)
    if header.get("SegmentationType") == "LABELMAP":
        values = np.isin(stored, numbers).astype(np.uint8)
    else:
        of = [_segment(header, i) for i in range(len(frames))]
        mine = [i for i, number in enumerate(of) if number in numbers]
        frames, values = [frames[i] for i in mine], stored[mine]
    if not len(values) or not values.any():
        raise InputError("the mask is empty, its segment has no pixel; give the lesion's segment")
    if header.get("SegmentationType") == "FRACTIONAL":
        soft = values / float(header.get("MaximumFractionalValue") or 255)
        if threshold is None and ((soft > 0) & (soft < 1)).any():
            reading.doubt(
                "a fractional segmentation, half and more taken as the lesion: state the value from which it is"
            )
        values = (soft >= (threshold or 0.5)).astype(np.uint8)
        if not values.any():
            raise InputError(f"the mask is empty, no voxel from {threshold or 0.5:g} up; lower the threshold")
    reading.source = drawn_in(header)
    return _laid(frames, values, reading)


def _segment(header: Dataset, index: int) -> int:
    for group in (header.PerFrameFunctionalGroupsSequence[index], header.SharedFunctionalGroupsSequence[0]):
        if "SegmentIdentificationSequence" in group:
            return int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    raise InputError("a frame names no segment; export the segmentation again")


def _picked(names: dict[int, str], value: int | str | None, what: str, reading: Reading) -> list[int]:
    """Numbers of the parts that are meant.  Names are compared, never shown: a person wrote them."""
    have = f"it has {what}s {', '.join(map(str, sorted(names)))}"
    if isinstance(value, str):
        found = [number for number, name in names.items() if name.strip().casefold() == value.strip().casefold()]
        if len(found) != 1:
            raise InputError(f"{len(found)} {what}s have the name of mask_value; {have}; give a number or a name")
        return found
    if value is not None and value not in names:
        raise InputError(f"the mask is empty, no {what} {value}; {have}")
    if value is None and len(names) > 1:
        reading.doubt(f"{len(names)} {what}s in one mask, all taken as the lesion: name one with mask_value")
    return sorted(names) if value is None else [value]


def _laid(frames: Sequence[Frame], values: np.ndarray, reading: Reading) -> sitk.Image:
    """Frames, several at one place where segments overlap, on the grid that they have in common."""
    first = frames[0]
    if any(f.position is None or f.axes is None or f.spacing is None for f in frames):
        raise InputError("frames without position, orientation or pixel spacing; export the segmentation again")
    if max(np.abs(f.axes - first.axes).max() for f in frames) > 0.01:
        raise InputError("its frames differ in orientation; export the segmentation again")
    normal = np.cross(*first.axes)
    along = np.array([f.position @ normal for f in frames])
    gaps = np.diff(np.unique(np.rint(along * 100) / 100))
    gap = min([*gaps, *([first.thickness] if first.thickness else [])], default=None)
    if gap is None:
        raise InputError("one frame, and no thickness in the header; export the segmentation again")
    if len(gaps):
        gap = min(gaps) if np.abs(gaps / min(gaps) - np.rint(gaps / min(gaps))).max() < FAR else gap
    slot = (along - along.min()) / gap
    if np.abs(slot - np.rint(slot)).max() > FAR:
        raise InputError("its frames lie at uneven distances; export the segmentation on the grid of its phase")
    slot = np.rint(slot).astype(int)
    check_bytes(int(slot.max() + 1) * values.shape[1] * values.shape[2], 1)
    mask = np.zeros((slot.max() + 1, *values.shape[1:]), np.uint8)
    for z, frame in zip(slot, values, strict=True):
        mask[z] |= frame
    if len(np.unique(slot)) < len(mask):
        reading.assume(
            f"{len(mask) - len(np.unique(slot))} slices between the frames of the segmentation: taken as empty"
        )
    rows, columns = first.spacing
    matrix = np.column_stack([first.axes[0] * columns, first.axes[1] * rows, normal * gap])
    return as_image(mask, matrix, frames[int(along.argmin())].position)


def contoured(header: Dataset, like: sitk.Image, value: int | str | None, reading: Reading) -> sitk.Image:
    """The voxels of `like` whose middles lie within the chosen closed contours, uint8 on its grid.

    A contour counts for the slices nearer to it than half the distance to the next one.  Contours inside each other
    cut holes, as do the keyholes that some programs write.
    """
    names = {int(roi.ROINumber): str(roi.get("ROIName", "")) for roi in header.StructureSetROISequence}
    numbers = _picked(names, value, "contour", reading)
    contours = [
        np.reshape(np.array(contour.ContourData, dtype=float), (-1, 3))
        for roi in header.ROIContourSequence
        if int(roi.ReferencedROINumber) in numbers
        for contour in roi.get("ContourSequence", ())
        if contour.get("ContourGeometricType", "CLOSED_PLANAR") in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
    ]
    contours = [points for points in contours if len(points) > 2]
    if not contours:
        raise InputError("the mask is empty, no closed contour; give the lesion's contours")
    matrix = np.reshape(like.GetDirection(), (3, 3)) * like.GetSpacing()
    index = [(points - like.GetOrigin()) @ np.linalg.inv(matrix).T for points in contours]  # x, y, z of voxels
    if max(np.ptp(points[:, 2]) for points in index) > 2 * FAR:
        raise InputError("contours that are not parallel to the slices; draw them on this phase")
    columns, rows, depth = like.GetSize()
    planes: dict[float, np.ndarray] = {}
    for points in index:
        z = round(float(points[:, 2].mean()), 1)
        inside = polygon2mask((rows, columns), points[:, 1::-1])
        planes[z] = planes.get(z, np.zeros((rows, columns), bool)) ^ inside
    levels = np.array(sorted(planes))
    reach = max(np.median(np.diff(levels)) / 2 if len(levels) > 1 else 0.5, 0.5)
    mask = np.zeros((depth, rows, columns), np.uint8)
    for z in range(depth):
        nearest = levels[np.abs(levels - z).argmin()]
        if abs(nearest - z) <= reach + 1e-6:
            mask[z] = planes[nearest]
    if not mask.any():
        raise InputError("only 0 of the contours lie in the volume; they belong to another phase or patient")
    outside = np.mean((levels < -0.5) | (levels > depth - 0.5))
    if outside:
        reading.doubt(
            f"{outside:.0%} of the contours lie outside the volume: its phase was scanned too short, or is another"
        )
    if reach > 0.75:
        reading.assume(f"contours every {2 * reach:.3g} slices: each stands for the slices around it")
    reading.source = drawn_in(header)
    return as_image(mask, matrix, like.GetOrigin())


def drawn_in(header: Dataset) -> Source:
    """Whose mask it is and on what it was drawn, as the header of a segmentation or of contours says."""
    patient, study = (str(header.get(name) or "").strip() for name in ("PatientID", "StudyInstanceUID"))
    frames = {
        str(roi.get("ReferencedFrameOfReferenceUID") or "") for roi in header.get("StructureSetROISequence") or ()
    }
    series = drawn_on(header)
    return Source(
        patient,
        study,
        frame_of_reference=frames.pop() if len(frames) == 1 else str(header.get("FrameOfReferenceUID") or ""),
        series=next(iter(series)) if len(series) == 1 else "",
        pictures=_values(header, PICTURES),
    )


def drawn_on(header: Dataset) -> frozenset[str]:
    """The series on which it was drawn."""
    return _values(header, SERIES)


def _values(header: Dataset, places: Sequence[str]) -> frozenset[str]:
    """What the first place holds that holds anything; a place is a path of sequences that ends in a value."""
    found: list = []
    for place in places:
        *sequences, name = place.split()
        found = [header]
        for sequence in sequences:
            found = [item for one in found for item in one.get(sequence) or ()]
        if values := frozenset(str(one.get(name) or "") for one in found) - {""}:
            return values
    return frozenset()
