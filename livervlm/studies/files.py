"""Files become a `Study`, all phases on one grid, and a `Study` becomes files again."""

import errno
import locale
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..base.errors import InputError
from ..base.paths import folder_written_whole
from ..scans.conventions import PHASE_NAMES
from ..scans.rois import mask_box
from ..scans.study import PADDING, Study
from .acquisitions import doubt_mask, doubt_phases
from .masks import pieces, place_on, same_grid
from .reading import Reading, sitk, told
from .volumes import read_volume, stored_mask

MOST = 1e6  # mm3: few lesions are as large, and a whole liver is larger
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"  # DICOM PS3.4, table B.5-1


@dataclass(frozen=True, eq=False)
class Scan:
    """The phases of one patient, each read once, for any number of lesions.

    images: phase -> int16 HU, as `read_volume` gives them.  readings: phase -> the report of its reading.
    """

    images: Mapping[str, sitk.Image]
    readings: Mapping[str, Reading]
    _volumes: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)  # by the reference
    _doubts: dict[tuple, Reading] = field(default_factory=dict)  # by the reference, and by which phases have a mask

    def lesion(
        self,
        mask: str | Path | Mapping[str, str | Path] | None = None,
        box: tuple[int, int, int, int, int, int] | None = None,
        mask_value: int | str | None = None,
        threshold: float | None = None,
        piece: int | None = None,
        reading: Reading | None = None,
        reference: str | None = None,
    ) -> Study:
        """One lesion, every phase resampled (linear) onto the grid of the reference; see `read_study`."""
        names = [p for p in PHASE_NAMES if p in self.images]
        masks = mask if isinstance(mask, Mapping) else {reference or names[-1]: mask} if mask else {}
        reference = reference or [p for p in names if p in masks or box is not None][-1]
        if reference not in names or (masks and reference not in masks):
            raise InputError(f"reference {reference}: not a phase with a volume, or masks are given and it has none")
        reading, grid = told(reading), self.images[reference]
        if box is not None:
            _check_box(box, grid.GetSize()[::-1])
            reading.assume(
                f"the box is in voxels of {reference} turned upright, from the feet, the front and the right"
            )
        own, centres = {}, {}
        for p in names:
            reading.add(self.readings[p], p)
            if not same_grid(self.images[p], grid):
                reading.assume(f"{p}: resampled (linear) onto the grid of {reference}")
            if p in masks:
                part = Reading()
                lesion = stored_mask(masks[p], self.images[p], mask_value, threshold, piece, part)
                try:
                    own[p], centres[p] = place_on(lesion, grid, part)
                except InputError as error:
                    raise InputError(f"mask of {p}: {error}") from None
                doubt_mask(part.source, {q: of.source for q, of in self.readings.items()}, p, part)
                reading.add(part, f"mask of {p}")
        volumes, spacing = self._on_grid_of(reference), grid.GetSpacing()[::-1]
        reading.add(self._doubts_of_phases(reference, frozenset(own)), "")
        if box is not None:
            return Study(volumes, spacing, reference, tuple(box))
        lesion = {p: own.get(p, own[reference]) for p in names}
        centres = {p: centres.get(p, centres[reference]) for p in names} if len(own) > 1 else {}
        return Study(volumes, spacing, reference, mask_box(own[reference]), centres, {"lesion": lesion})

    def _on_grid_of(self, reference: str) -> dict[str, np.ndarray]:
        if reference not in self._volumes:
            grid = self.images[reference]
            images = {p: self.images[p] for p in PHASE_NAMES if p in self.images}
            self._volumes[reference] = {
                p: sitk.GetArrayFromImage(image) if same_grid(image, grid) else on_grid(image, grid)
                for p, image in images.items()
            }
        return self._volumes[reference]

    def _doubts_of_phases(self, reference: str, centred: frozenset[str]) -> Reading:
        if (reference, centred) not in self._doubts:
            made = self._doubts[reference, centred] = Reading()
            sources = {p: reading.source for p, reading in self.readings.items()}
            spacing = self.images[reference].GetSpacing()[::-1]
            doubt_phases(sources, self._on_grid_of(reference), spacing, set(centred), made)
        return self._doubts[reference, centred]


def read_study(
    phases: Mapping[str, str | Path],
    mask: str | Path | Mapping[str, str | Path] | None = None,
    box: tuple[int, int, int, int, int, int] | None = None,
    mask_value: int | str | None = None,
    threshold: float | None = None,
    piece: int | None = None,
    reading: Reading | None = None,
    reference: str | None = None,
) -> Study:
    """Read one lesion of one patient, every phase resampled (linear) onto the grid of the reference phase.

    phases: any of NC, ART, PV, DL -> file or folder, as in `read_volume`.
    mask: a mask of the lesion, or one for each of some phases; `mask_value`, `threshold` and `piece` pick what is meant
    as `value`, `threshold` and `piece` of `read_mask`.
    box: instead of a mask, (z0, z1, y0, y1, x0, x1), ends excluded: voxels of the reference phase turned to
    LPS, so slices count from the feet, rows from the front, columns from the patient's right, all from 0.
    reading: gets a line for all that was assumed, left out or is doubtful; without it a doubt is a Python warning.
    reference: the phase on which the box or the one mask lies; by default the last that has a mask of its own, else the
    last phase.

    Masks of several phases give the lesion's centre in each; with one mask or a box it is taken at one table position
    in every phase.  Where a phase does not reach, it is -1024, which `extract_rois` refuses in an ROI.
    """
    named = (*phases, *(mask if isinstance(mask, Mapping) else ()))
    unknown = [p for p in named if p not in PHASE_NAMES or p not in phases]
    if unknown or not phases:
        wrong = unknown[0] if unknown else "(none)"
        raise InputError(f"phase {wrong}: give a volume for each phase, of {', '.join(PHASE_NAMES)}")
    if bool(mask) == (box is not None):
        raise InputError("give either a mask of the lesion or a box")
    readings = {p: Reading() for p in PHASE_NAMES if p in phases}
    images = {p: read_volume(phases[p], reading=of) for p, of in readings.items()}
    reading = told(reading)
    study = Scan(images, readings).lesion(mask, box, mask_value, threshold, piece, reading, reference)
    doubt_extent(study, reading)
    return study


def doubt_extent(study: Study, reading: Reading) -> None:
    """Whether a lesion is too large for one, or reaches the end of the scan."""
    z0, z1, y0, y1, x0, x1 = study.box
    lesion = study.masks["lesion"][study.reference] if study.masks else None
    inside = np.pi / 6 * (z1 - z0) * (y1 - y0) * (x1 - x0) if lesion is None else np.count_nonzero(lesion)
    if (volume := inside * np.prod(study.spacing)) > MOST:
        reading.doubt(
            f"{volume / 1e6:.1f} l for one lesion, as large as a liver: name its label with mask_value, or give a mask "
            "or box of the lesion alone"
        )
    ends = [name for name, there in (("first", z0 == 0), ("last", z1 == len(study.volumes[study.reference]))) if there]
    if ends:
        reading.assume(
            f"the lesion lies in the {' and the '.join(ends)} slice of {study.reference}: taken to end there, and may "
            "go on beyond the scan"
        )


def lesions_apart(study: Study) -> list[Study]:
    """A study for each piece of its lesion mask that does not touch the others, the largest first."""
    found = pieces(study.masks["lesion"][study.reference])
    if len(found) == 1:
        return [study]
    if study.centres:
        raise InputError("several pieces in masks of several phases: which belong together is not known; give one mask")
    return [replace(study, box=mask_box(o), masks={"lesion": dict.fromkeys(study.volumes, o)}) for o in found]


def write_study(study: Study, folder: str | Path, format: str = "nifti", patient: str = "phantom") -> dict[str, Path]:
    """Write a study into a new folder, whole or not at all; `read_study` reads it back.

    format: "nifti" writes NC.nii.gz ..., "dicom" a folder NC ... for each phase, an uncompressed CT series of
    a patient with this name and ID.  The lesion's mask, where known, is mask_NC.nii.gz ... where the lesion's centre
    differs between phases; otherwise one file on the reference phase, mask.nii.gz where that is the last phase.
    HU are rounded to integers.

    Returns the paths by their column in the manifest of `import_studies`.
    """
    folder = Path(folder)
    if folder.exists():
        raise InputError(f"{folder}: already there; name a new folder")
    if format not in ("nifti", "dicom"):
        raise InputError(f"format {format!r}: a study is written as nifti or dicom")
    lesion = study.masks.get("lesion", {})
    if len(set(study.centres.values())) > 1:
        masks = {f"mask_{phase}.nii.gz": mask for phase, mask in lesion.items()}
    else:
        last = [phase for phase in PHASE_NAMES if phase in study.volumes][-1]
        name = "mask.nii.gz" if study.reference == last else f"mask_{study.reference}.nii.gz"
        masks = {name: lesion[study.reference]} if lesion else {}
    with folder_written_whole(folder) as new, _told_of_the_disk(folder):
        shared = {"0020|000d": _uid(), "0020|0052": _uid()}  # one study and frame of reference for all phases
        for phase, volume in study.volumes.items():
            image = _image(np.rint(volume).astype(np.int16), study.spacing)
            if format == "nifti":
                sitk.WriteImage(image, new / f"{phase}.nii.gz")
            else:
                _write_series(image, new / phase, shared | {"0010|0010": patient, "0010|0020": patient})
        for name, mask in masks.items():
            sitk.WriteImage(_image(mask.astype(np.uint8), study.spacing), new / name)
    return {path.name.removesuffix(".nii.gz"): path for path in sorted(folder.iterdir())}


@contextmanager
def _told_of_the_disk(folder: Path) -> Iterator[None]:
    """SimpleITK has many words for a file that cannot be written, and none of them is the system's."""
    try:
        yield
    except RuntimeError:
        raise OSError(errno.EIO, "a scan cannot be written; is the disk full?", str(folder)) from None


def on_grid(image: sitk.Image, grid: sitk.Image) -> np.ndarray:
    """(Z, Y, X) int16 HU of `image` at the voxels of `grid`."""
    moved = sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, PADDING, sitk.sitkFloat32)
    return np.rint(sitk.GetArrayViewFromImage(moved)).astype(np.int16)


def _check_box(box: tuple[int, ...], shape: tuple[int, ...]) -> None:
    inside = [0 <= first < last <= n for first, last, n in zip(box[::2], box[1::2], shape, strict=False)]
    if len(box) != 6 or not all(inside):
        extents = ", ".join(f"{axis} 0:{n}" for axis, n in zip("zyx", shape, strict=True))
        raise InputError(
            f"box {tuple(box)}: (z0, z1, y0, y1, x0, x1) must lie within {extents}: z from the feet, y from "
            "the front, x from the patient's right, ends excluded"
        )


def _image(array: np.ndarray, spacing: tuple[float, float, float]) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(mm) for mm in reversed(spacing)])
    return image


def _uid() -> str:
    return f"2.25.{uuid.uuid4().int}"  # DICOM PS3.5, B.2


def _write_series(image: sitk.Image, folder: Path, shared: Mapping[str, str]) -> None:
    """A CT series of axial slices, feet to head; `shared` holds the tags that its study's series share."""
    between = f"{image.GetSpacing()[2]:g}"
    tags = {
        "0008|0008": "DERIVED\\SECONDARY\\AXIAL",
        "0008|0016": CT_IMAGE_STORAGE,
        "0008|0060": "CT",
        "0008|103e": PHASE_NAMES[folder.name],
        "0018|0050": between,
        "0018|0088": between,
        "0020|000e": _uid(),
        "0020|0037": "1\\0\\0\\0\\1\\0",
        "0028|1052": str(PADDING),
        "0028|1053": "1",
        "0028|1054": "HU",
    }
    folder.mkdir()
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for z in range(image.GetDepth()):
        picture = image[:, :, z : z + 1]  # of one slice: of a picture in 2D, ITK writes a distance of 1 mm
        position = "\\".join(f"{mm:.10g}" for mm in image.TransformIndexToPhysicalPoint((0, 0, z)))
        own = {"0008|0018": _uid(), "0020|0013": str(z + 1), "0020|0032": position}
        for tag, text in {**tags, **shared, **own}.items():
            picture.SetMetaData(tag, text)
        writer.SetFileName(folder / f"{z + 1:04d}.dcm")
        with _same_locale():
            writer.Execute(picture)


@contextmanager
def _same_locale() -> Iterator[None]:
    """ITK leaves the locale "C" behind when it writes a position; in it Python opens the files of others as ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)
