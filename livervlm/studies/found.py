"""What a tree of files holds, by headers and names: scans that `import_studies` could read, and masks."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import Dataset

from .frames import Frame, read_header
from .names import is_plain, organs_told, phase_told, stem, tells_mask, words_of
from .nifti import is_nifti, nifti_grid
from .reading import DAMAGED, Reading, Source, one_line, silence, sitk
from .segmentations import RTSTRUCT, SEGMENTATIONS, drawn_in, drawn_on
from .series import Series, kind_name, sop_class
from .stored import read_stored

SHARP = re.compile(r"lung|bone|edge|sharp|detail|[bhuq][a-z]?[5-9]\d|fc[358]\d|^(d|e|l|y[a-d])$", re.IGNORECASE)
PACKED = 0.1  # bytes a voxel: a compressed file below it holds a few labels, no noise of a scan
MANY = 8  # labels of a map of organs
UNKNOWN = Source()


@dataclass(frozen=True, eq=False)
class Grid:
    """Where voxels lie."""

    size: tuple[int, int, int]  # x, y, z
    matrix: np.ndarray  # (3, 3) mm along x, y, z
    origin: np.ndarray  # (3,) mm, LPS

    def is_of(self, other: "Grid") -> bool:
        """Whether two grids have the same voxels, in whatever order they are stored."""
        if sorted(self.size) != sorted(other.size):
            return False
        apart = np.linalg.norm(self._corners()[:, None] - other._corners(), axis=2).min(axis=1).max()
        return bool(apart < 0.1 * np.linalg.norm(self.matrix, axis=0).min())

    def _corners(self) -> np.ndarray:
        ends = np.array(np.meshgrid(*((0, n - 1) for n in self.size))).reshape(3, -1)
        return (self.matrix @ ends).T + self.origin


@dataclass(eq=False)
class Scan:
    """A volume: a file, or the folder of a DICOM series."""

    path: Path
    words: str  # for reading, never for showing
    slices: int
    thickness: float | None = None  # mm
    source: Source = UNKNOWN
    contrast: bool | None = None
    number: int | None = None  # of the series in its study
    poor: tuple[bool, ...] = ()  # reasons to prefer another reconstruction, the strongest first
    grid: Grid | None = None
    doubts: list[str] = field(default_factory=list)
    alone: bool = True  # whether it can be imported: its path holds nothing else, or it has a number there
    place: int | None = None  # of several series in a folder, from 1

    @property
    def cell(self) -> Path:
        """How `read_volume` and a table name it."""
        return self.path if self.place is None else self.path.with_name(f"{self.path.name}#{self.place}")

    @property
    def described(self) -> str:
        number = "" if self.number is None else f"series {self.number}, "
        thick = "" if self.thickness is None else f" of {self.thickness:.3g} mm"
        return f"{number}{self.slices} slices{thick}"


@dataclass(eq=False)
class Mask:
    """A mask of lesions.  parts: which of its labels, segments or contours are one each; None: all of it."""

    path: Path
    words: tuple[str, ...] = ()  # of its name
    parts: Sequence[int | None] = (None,)
    series: frozenset[str] = frozenset()  # on which it was drawn
    source: Source = UNKNOWN
    grid: Grid | None = None
    doubts: list[str] = field(default_factory=list)

    def fitting(self, scans: Iterable[Scan]) -> list[Scan]:
        """Those on which it says that it was drawn, else those in its frame of reference, else those of its voxels."""
        frame, scans = self.source.frame_of_reference, list(scans)
        drawn = [scan for scan in scans if scan.source.series in self.series]
        near = [scan for scan in scans if frame and scan.source.frame_of_reference == frame]
        return drawn or near or [scan for scan in scans if self.grid and scan.grid and self.grid.is_of(scan.grid)]


def series_scan(folder: Path, frames: Sequence[Frame], root: Path) -> Scan:
    """A series of DICOM; `folder` is what its files have in common."""
    first, header = frames[0], read_header(frames[0].file)
    files = {frame.file for frame in frames}
    times = [frame.source.seconds for frame in frames if frame.source.seconds]  # midnight is what anonymizers write
    normal = None if first.axes is None else np.cross(*first.axes)
    kernel = " ".join([first.tags["reconstruction kernel"], str(header.get("SeriesDescription") or "")])
    number = str(header.get("SeriesNumber") or "")
    return Scan(
        path=folder if len(files) > 1 or len(frames) == 1 else first.file,
        words=" ".join([first.source.words, *folder.relative_to(root).parts[-1:]]),
        slices=len(frames),
        thickness=first.thickness,
        source=Source(**{**vars(first.source), "seconds": min(times, default=None)}),
        contrast=first.source.contrast,
        number=int(number) if number.isdecimal() else None,
        poor=(normal is None or abs(normal[2]) < 0.9, any(map(SHARP.search, kernel.split()))),
        grid=_series_grid(frames),
    )


def _series_grid(frames: Sequence[Frame]) -> Grid | None:
    first = frames[0]
    if first.axes is None or first.spacing is None or any(frame.position is None for frame in frames):
        return None
    places = sorted((frame.position for frame in frames), key=lambda place: float(place @ np.cross(*first.axes)))
    step = (places[-1] - places[0]) / max(len(places) - 1, 1)
    rows, columns = first.spacing
    matrix = np.column_stack([first.axes[0] * columns, first.axes[1] * rows, step])
    return Grid((*first.shape[::-1], len(frames)), matrix, places[0])


def joined(parts: Iterable[tuple[Path, Series]]) -> list[tuple[list[Path], list[Frame]]]:
    """Series by their folder, those together that an export spread over several."""
    groups = defaultdict(list)
    for folder, series in parts:
        first, tags = series.frames[0], series.frames[0].tags
        grid = [None if of is None else tuple(np.round(of, 3).ravel()) for of in (first.axes, first.spacing)]
        whose = (first.source.patient, first.source.study, tags["series"], tags["frame of reference"])
        groups[(*whose, first.shape, *grid, "" if tags["series"] and not series.why else id(series))].append(
            (folder, series.frames)
        )
    whole = []
    for group in groups.values():
        frames = [frame for _, of in group for frame in of]
        if len(group) > 1 and _even(frames):
            whole.append(([folder for folder, _ in group], frames))
        else:
            whole += [([folder], of) for folder, of in group]
    return whole


def _even(frames: Sequence[Frame]) -> bool:
    if any(frame.position is None for frame in frames):
        return False
    gaps = np.diff(np.sort([frame.position @ np.cross(*frame.axes) for frame in frames]))
    return bool(np.ptp(gaps) < 0.5 * np.median(gaps))


def object_masks(objects: dict[Path, Dataset], left_out: Counter) -> list[Mask]:
    """DICOM segmentations and contours, without what is plainly an organ."""
    masks = []
    for file, header in objects.items():
        kind = sop_class(header)
        if kind not in (*SEGMENTATIONS, RTSTRUCT):
            continue
        left_out[kind_name(kind)] -= 1
        try:
            mask, names = _contours(file, header) if kind == RTSTRUCT else _segments(file, header)
        except DAMAGED:
            left_out["mask that is not whole"] += 1
            continue
        kept = [number for number, name in names.items() if not organs_told(words_of(name))]
        left_out["label or segment of an organ"] += len(names) - len(kept)
        if kept:
            mask.parts = kept if len(names) > 1 else (None,)
            if 0 < len(kept) < len(names):
                mask.doubts.append(
                    f"segments of organs are left out (of {len(names)} segments {len(names) - len(kept)})"
                )
            masks.append(mask)
    return masks


def _segments(file: Path, header: Dataset) -> tuple[Mask, dict[int, str]]:
    names = {}
    for segment in header.SegmentSequence:
        meant = [str(code.get("CodeMeaning") or "") for code in segment.get("SegmentedPropertyTypeCodeSequence") or ()]
        names[int(segment.SegmentNumber)] = " ".join([str(segment.get("SegmentLabel") or ""), *meant])
    return Mask(file, series=drawn_on(header), source=drawn_in(header)), names


def _contours(file: Path, header: Dataset) -> tuple[Mask, dict[int, str]]:
    names = {int(roi.ROINumber): str(roi.get("ROIName") or "") for roi in header.StructureSetROISequence}
    return Mask(file, series=drawn_on(header), source=drawn_in(header)), names


def volume_file(file: Path, root: Path) -> Scan | Mask | int:
    """A scan, a mask, or a number of organs' labels that are left out; raises `InputError` for what is neither."""
    with one_line(file):
        kind, grid = _file_grid(file)
    words = words_of(stem(file.name))
    folders = [words_of(part) for part in reversed(file.relative_to(root).parts[:-1]) if is_plain(part)]
    told = next((is_mask for of in (words, *folders) if (is_mask := tells_mask(of)) is not None), None)
    voxels = float(np.prod(grid.size, dtype=float))
    if told is None and phase_told(words) is None:
        packed = file.name.lower().endswith(".gz") and file.stat().st_size < PACKED * voxels
        told = kind.itemsize == 1 or packed
    if not told:
        phase = phase_told(words) or next(filter(None, map(phase_told, folders)), None)
        thickness = float(np.linalg.norm(grid.matrix[:, 2]))
        return Scan(file, phase or " ".join(words), grid.size[2], thickness, grid=grid)
    mask = Mask(file, words, grid=grid)
    try:
        with one_line(file):
            labels = _labels(file)
    except ValueError:  # an InputError, too
        mask.doubts.append("the mask cannot be read")
        return mask
    if organs_told(words) >= max(len(labels), 1):
        return max(len(labels), 1)
    if len(labels) > MANY:
        mask.doubts.append(f"many labels in one mask (it has {len(labels)}): name the lesion's as mask_value")
    elif len(labels) > 1:
        mask.parts = labels
        mask.doubts.append("several labels in one mask, a row for each: delete those of organs")
    elif not labels:
        mask.doubts.append("the mask is empty")
    return mask


def _file_grid(file: Path) -> tuple[np.dtype, Grid]:
    if is_nifti(file):
        kind, *grid = nifti_grid(file)
        return kind, Grid(*grid)
    header = sitk.ImageFileReader()
    header.SetFileName(file)
    with silence():
        header.ReadImageInformation()
    if header.GetDimension() != 3:
        raise EOFError
    small = header.GetPixelID() in (sitk.sitkUInt8, sitk.sitkInt8)
    matrix = np.reshape(header.GetDirection(), (3, 3)) * header.GetSpacing()
    return np.dtype("u1" if small else "i2"), Grid(header.GetSize(), matrix, np.array(header.GetOrigin()))


def _labels(file: Path) -> list[int]:
    """Whole numbers above 0 in a mask; of a soft map none but 1."""
    values = np.unique(sitk.GetArrayFromImage(read_stored(file, 1, Reading())))
    if np.abs(values - np.rint(values)).max() > 1e-3:
        return [1]
    return sorted({int(value) for value in np.rint(values) if value > 0.5})
