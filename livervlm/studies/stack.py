"""DICOM frames become a volume: an even stack along its normal, upright where the gantry was tilted."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
from scipy.ndimage import affine_transform

from ..base.errors import InputError
from ..scans.study import PADDING
from .frames import Frame, forget, hounsfield
from .parts import SETTINGS, counted
from .reading import Reading, check_bytes, sitk

HOUNSFIELD = ("", "US", "HU", "HOUNSFIELD", "HOUNSFIELD UNITS")  # US: not specified
OTHER_UNITS = ("OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT")  # DICOM PS3.3, C.11.1.1.2
MAPS = re.compile(  # of a material or a flow, by the words of an ImageType (DICOM PS3.3, C.8.15.3.1 and C.8.16.1)
    r"IODINE|CALCIUM|WATER|Z_?EFF|EFF_ATOMIC|ELECTRON_DENSITY|MAT_(SPECIFIC|FRACTIONAL|VALUE)|PERFUSION|BLOOD_?FLOW"
)
SKEW = 0.005  # how far axes may be from right angles
TOLERANCE = 0.01  # of the slice spacing: how far a slice may lie from its place
FARTHEST = 1e6  # mm
FITS = 0.02  # how far two statements of one distance may differ, as a share of it
THINNED = 1.95  # times its thickness from one slice to the next
ROUNDED = 0.06  # mm: the same where a header rounds positions to 0.1 mm, up to a tenth of the spacing


def volume(frames: list[Frame], reading: Reading) -> sitk.Image:
    """int16 HU of the frames of one series, in any order; raises `InputError` where they are no even stack."""
    first = frames[0]
    for name, what in (("position", "position"), ("axes", "orientation"), ("spacing", "pixel spacing")):
        missing = sum(getattr(frame, name) is None for frame in frames)
        if missing:
            raise InputError(f"{missing} of its {len(frames)} slices tell no {what}; export the series again")
    _check_units(frames, reading)
    check_bytes(len(frames) * first.shape[0] * first.shape[1], 2)
    normal = np.cross(*first.axes)
    positions = np.array([frame.position for frame in frames])  # (n, 3) mm
    order = np.argsort(positions @ normal, kind="stable")
    frames, positions = [frames[i] for i in order], positions[order]
    step = _step(frames, positions, normal, reading)
    _tell(frames, reading)
    if len(frames) > 1:
        _compare(frames, step, normal, reading)
    try:
        hu = np.stack([hounsfield(frame, reading) for frame in frames])  # (Z, Y, X)
    finally:
        forget()
    rows, columns = first.spacing
    matrix = np.column_stack([first.axes[0] * columns, first.axes[1] * rows, step])  # mm along x, y, z of the array
    sideways = step - (step @ normal) * normal
    if np.linalg.norm(sideways) <= _tolerance(np.linalg.norm(step)) / max(len(frames) - 1, 1) or len(frames) < 2:
        if abs(frames[0].tilt) > 1:
            reading.doubt(
                f"gantry tilted by {frames[0].tilt:.1f} degrees as its header says, by 0.0 as its positions say: was "
                "it resampled upright?"
            )
        return as_image(hu, matrix - np.outer(sideways, (0, 0, 1)), positions[0])
    return _upright(hu, matrix, positions[0], frames[0].tilt, reading)


def as_image(array: np.ndarray, matrix: np.ndarray, origin: np.ndarray) -> sitk.Image:
    """(Z, Y, X) values with mm along x, y, z of the array as the columns of a (3, 3) matrix, in LPS."""
    if np.abs(origin).max() > FARTHEST:
        raise InputError("its first voxel lies kilometres away; the header is damaged, export it again")
    image = sitk.GetImageFromArray(array)
    spacing = np.linalg.norm(matrix, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((matrix / spacing).round(12).ravel().tolist())  # ITK's decomposition trips over 1e-300
    image.SetOrigin(np.asarray(origin, dtype=float).tolist())
    return image


def right_angles(matrix: np.ndarray, reading: Reading) -> np.ndarray:
    """The nearest matrix with axes at right angles, which is what rounding leaves of one."""
    lengths = np.linalg.norm(matrix, axis=0)
    left, _, right = np.linalg.svd(matrix / lengths)
    skew = np.abs(matrix / lengths - left @ right).max()
    if skew > SKEW:
        raise InputError(f"its axes are not at right angles ({skew:.3f} off); resample it upright (dcm2niix does)")
    if skew > 1e-4:
        reading.assume(f"axes {skew:.4f} off right angles: taken as at right angles")
    return left @ right * lengths


def _tolerance(spacing: float) -> float:
    return max(TOLERANCE * spacing, min(ROUNDED, spacing / 10))


def _step(frames: list[Frame], positions: np.ndarray, normal: np.ndarray, reading: Reading) -> np.ndarray:
    """(3,) mm from a slice to the next: one for all, or an error that says where it is another."""
    n = len(frames)
    if n < 2:
        if frames[0].thickness is None:
            reading.assume("one slice, and its header tells no thickness: taken as 1 mm")
        return normal * abs(frames[0].thickness or 1.0)
    gaps = np.diff(positions @ normal)
    usual = np.median(gaps)
    worst = np.abs(gaps - usual).argmax()
    if gaps.min() <= TOLERANCE * usual or usual <= 0:
        raise InputError("two slices at one position; put each phase or reconstruction in its own folder")
    number = np.arange(n) - (n - 1) / 2
    step = number @ positions / (number @ number)  # least squares
    off = np.abs(positions - positions.mean(axis=0) - np.outer(number, step))
    if (np.abs(off @ np.abs(normal)) > _tolerance(usual)).any():
        raise InputError(
            f"{gaps[worst]:g} mm between slices {worst + 1} and {worst + 2} of {n}, else "
            f"{usual:g} mm; slices are missing or uneven: copy the series again or export it evenly spaced"
        )
    if off.max() > _tolerance(usual):
        raise InputError(f"slices lie up to {off.max():.1f} mm beside their stack; export the series again")
    if off.max() > TOLERANCE * usual:
        reading.assume(f"slices up to {off.max():.2f} mm off their places: rounded in the header, taken as even")
    return step


def _check_units(frames: list[Frame], reading: Reading) -> None:
    other = {frame.unit for frame in frames}.difference(HOUNSFIELD)
    if other:
        shown = ", ".join(sorted(other.intersection(OTHER_UNITS))) or "another unit"
        raise InputError(f"values in {shown} by its RescaleType, no Hounsfield units; give the series in HU")
    if any(MAPS.search(frame.tags["image type"].upper()) for frame in frames):
        reading.doubt("a map of a material or of blood flow by its ImageType: are its values Hounsfield units?")


def _compare(frames: list[Frame], step: np.ndarray, normal: np.ndarray, reading: Reading) -> None:
    """What else the header says of the distance of slices, set against the `step` of their positions.

    SliceLocation may count from anywhere, in either direction, along the stack, the table or another axis of the
    patient; SpacingBetweenSlices is the gap between slices with some makers.  A derived series may carry the header of
    the one that it was made of.
    """
    apart = step @ normal
    along = np.array([apart, np.linalg.norm(step), *np.abs(step)])  # mm, all that a header may mean

    def fits(mm: float, slack: float = ROUNDED) -> bool:
        return bool((np.abs(along - mm) <= FITS * along + slack).any())

    def contradict(told: str, unsure: bool = False) -> None:
        line = f"slices lie {apart:.4g} mm apart by their positions, {told}"
        if not unsure and "DERIVED" not in frames[0].tags["image type"]:
            raise InputError(f"{line}; slices are missing, or one is wrong: export the series again")
        reading.doubt(f"{line}: was it thinned, or does its header belong to what it was derived from?")

    thick = np.median([float(frame.tags["slice thickness"] or 0) for frame in frames])
    between = np.median([abs(frame.between or 0) for frame in frames])
    if between and fits(thick + between) and not fits(between):
        reading.assume(f"SpacingBetweenSlices is {between:g} mm: taken as the gap between slices of {thick:g} mm")
    elif between and not fits(between):
        contradict(f"{between:.4g} mm by SpacingBetweenSlices", between == 1)  # as ITK writes it, and others keep it
    if thick and apart > THINNED * thick:
        reading.doubt(f"slices of {thick:.4g} mm every {apart:.4g} mm: was the series thinned?")
    elif thick and apart > (1 + FITS) * thick + ROUNDED:
        reading.assume(f"slices of {thick:.4g} mm every {apart:.4g} mm: what lies between them is not pictured")
    locations = [frame.location for frame in frames]
    if None in locations or np.ptp(locations) < ROUNDED:  # 0 for all, or across another axis
        return
    steps = np.diff(locations)
    grain = 2 * ROUNDED if np.mod(locations, 1).any() else 1.0  # mm, to which they are rounded
    usual = abs(locations[-1] - locations[0]) / len(steps)
    worst = np.abs(np.abs(steps) - usual).argmax()
    if steps.min() < 0 < steps.max():
        reading.doubt("its slices follow one another in another order by SliceLocation than by their positions")
    elif abs(abs(steps[worst]) - usual) > usual / 2 + grain:
        contradict(f"{abs(steps[worst]):.4g} mm by SliceLocation between {worst + 1} and {worst + 2} of {len(frames)}")
    elif not fits(usual, grain / len(steps)) and (np.abs(steps) == 1).all():
        reading.doubt(f"slices lie {apart:.4g} mm apart by their positions, 1 mm by SliceLocation: does it count them?")
    elif not fits(usual, grain / len(steps)):
        contradict(f"{usual:.4g} mm by SliceLocation")


def _tell(frames: list[Frame], reading: Reading) -> None:
    """What the header says of the stack, set against what its positions say."""
    times = [frame.source.seconds for frame in frames if frame.source.seconds is not None]
    pictures = frozenset().union(*(frame.source.pictures for frame in frames))
    reading.source = replace(frames[0].source, seconds=min(times, default=None), pictures=pictures)
    thick = [frame.thickness for frame in frames if frame.thickness]
    if len({frame.rescale for frame in frames}) > 1:
        reading.assume("rescale differs between slices: each by its own")
    if not thick:
        reading.assume("the header tells no slice thickness; spacing is that of the positions")
    if len({frame.tags["acquisition"] for frame in frames}) > 1:
        reading.assume("its slices are of several acquisitions that follow one another: taken as one scan")
    for name in SETTINGS:
        counts = Counter(frame.tags[name] for frame in frames).values()
        if len(counts) > 1:
            reading.doubt(f"its slices differ in {name} ({counted(counts)} slices): are they of one volume?")
    if 0 < len(times) < len(frames):
        reading.doubt(f"{len(frames) - len(times)} of its {len(frames)} slices tell no time: are they of one volume?")
    if len({frame.file for frame in frames}) < len(frames):
        reading.assume(f"{len(frames)} frames of a multi-frame file, sorted by position")


def _upright(hu: np.ndarray, matrix: np.ndarray, origin: np.ndarray, told: float, reading: Reading) -> sitk.Image:
    """Resample a sheared stack onto axes of the patient, linear; air where it does not reach.

    The shear is believed where the header says it twice: the gantry's tilt, or slices that are tilted themselves and
    step along the table.
    """
    step, normal = matrix[:, 2], np.cross(matrix[:, 0], matrix[:, 1])
    tilt = np.degrees(np.arccos(abs(step @ normal) / np.linalg.norm(step) / np.linalg.norm(normal)))
    along_table = np.abs(step[:2]).max() < 0.02 * abs(step[2])
    if abs(abs(told) - tilt) > 1 and not along_table:
        raise InputError(
            f"gantry tilted by {tilt:.1f} degrees as its positions say, by {told:.1f} as its header says; "
            "export the series again, or resample it upright (dcm2niix does)"
        )
    corners = np.array(np.meshgrid(*((0, n - 1) for n in hu.shape[::-1]))).reshape(3, -1)
    reached = (matrix @ corners).T + origin
    # Of each axis of the patient the step is that of the axis of the array that lies nearest to it.
    nearest = np.abs(matrix / np.linalg.norm(matrix, axis=0)).argmax(axis=1)
    spacing = np.abs(matrix[np.arange(3), nearest])
    low, high = reached.min(axis=0), reached.max(axis=0)
    size = np.floor((high - low) / spacing + 1e-6).astype(int) + 1  # x, y, z
    check_bytes(int(np.prod(size, dtype=float)), 2)
    back = np.linalg.inv(matrix)  # mm -> x, y, z of the array
    turn = (back * spacing)[::-1, ::-1]
    start = (back @ (low - origin))[::-1]
    moved = affine_transform(hu, turn, start, tuple(size[::-1]), np.float32, order=1, cval=PADDING)
    reading.assume(f"gantry tilted by {tilt:.1f} degrees: resampled upright, linear")
    return as_image(np.rint(moved).astype(np.int16), np.diag(spacing), low)
