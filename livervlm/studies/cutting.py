"""The lesions of one scan, cut out of it: its files are read once, and the result is kept for the next import."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..base.cache import short_hash
from ..base.code import code_key
from ..base.errors import InputError
from ..base.paths import cache_home, written_whole
from ..scans.conventions import ABSENT, PHASE_NAMES
from ..scans.rois import extract_rois
from ..scans.study import Study
from .alignment import Alignment, align
from .files import Scan, doubt_extent, lesions_apart
from .identities import Identity, identity_of
from .lesion_picture import lesion_picture
from .reading import Reading, pydicom, sitk
from .series import numbered
from .table import EACH, Fault, ListedLesion
from .volumes import read_volume

ALIGNED = ("rigid", "bspline")
DETACHED = (".nhdr", ".mhd", ".hdr", ".img")  # volumes whose header and voxels are two files of one name


@dataclass(frozen=True)
class Said:
    """What is known of the reading of one lesion: lines without a path or a text of a header."""

    reference: str
    read: list[str]
    assumed: list[str]
    left_out: list[str]
    doubts: list[str]

    def lines(self) -> list[str]:
        """All but what was read, as text."""
        parts = (("doubt", self.doubts), ("assumed", self.assumed), ("left out", self.left_out))
        return [f"{name}: {line}" for name, of in parts for line in of]


@dataclass(frozen=True, eq=False)
class Cut:
    """What the import keeps of one lesion of n slices in P phases."""

    place: int  # among the lesions that were asked for
    hu: np.ndarray  # (n, P, S, S) int16, ABSENT in a phase that the lesion lacks
    spacing: np.ndarray  # (n, 3) float32, mm
    mask: np.ndarray | None  # (n, P, S, S) uint8, 0 or 1
    picture: np.ndarray  # bytes of a JPEG
    said: Said
    identity: Identity


def cut_lesions(
    lesions: Sequence[ListedLesion], phases: Sequence[str], size: int, aligned: str | None, salt: bytes
) -> tuple[list[Cut], list[Fault]]:
    """Read the scan that these rows share, and cut each lesion out of it; what fails is a fault of its row alone.

    aligned: one of `ALIGNED`, how phases are brought onto the reference before.  salt: of what is kept to compare rows.
    """
    needed = [p for p in lesions[0].phases if p in {*phases, *(one.reference for one in lesions)}]
    images, readings, faults = {}, {phase: Reading() for phase in needed}, []
    for phase in needed:
        try:
            images[phase] = read_volume(lesions[0].phases[phase], reading=readings[phase])
        except Exception as error:
            faults += [Fault(one.row, phase, _message(error, one)) for one in lesions]
    if faults:
        return [], faults
    scan, identity, cuts = Scan(images, readings), identity_of(images, readings, salt), []
    for place, lesion in enumerate(lesions):
        reading = Reading()
        try:
            cuts += _cut(scan, identity, lesion, place, phases, size, aligned, reading)
        except Exception as error:
            messages = [_message(error, lesion), *reading.doubts]
            faults += [Fault(lesion.row, column_of(message), message) for message in messages]
    return cuts, faults


def column_of(message: str) -> str:
    """The column that a message about a row names: mask_PV of "mask of PV: the mask is empty"; "" where it names none.

    A mask in the column `mask` is named after its phase, too.
    """
    if message.startswith("box "):
        return "box"
    if told := re.match(r"(patient|label|reference): ", message):
        return told[1]
    told = re.match(rf"(mask of )?({'|'.join(PHASE_NAMES)}): ", message)
    return "" if told is None else f"mask_{told[2]}" if told[1] else told[2]


def kept_path(
    lesions: Sequence[ListedLesion], phases: Sequence[str], size: int, aligned: str | None, salt: bytes
) -> Path:
    """Where the cuts of a scan are kept: named by a hash of all that they depend on, its files' times and sizes too."""
    asked = [
        [one.reference, {p: str(m) for p, m in one.masks.items()}, one.mask_value, one.threshold, one.piece, one.box]
        for one in lesions
    ]
    paths = [*lesions[0].phases.values(), *(mask for one in lesions for mask in one.masks.values())]
    files = {str(path): _state(path) for path in paths}
    made_by = [code_key(__name__), sitk.Version.VersionString(), pydicom.__version__, torch.__version__]
    name = short_hash([made_by, salt.hex(), size, aligned, list(phases), [str(p) for p in paths], asked, files], 32)
    return cache_home().absolute() / "studies" / f"{name}.safetensors"


def keep(path: Path, cuts: Sequence[Cut]) -> None:
    """Write cuts, whole or not at all."""
    arrays = {f"{name}.{i}": array for i, cut in enumerate(cuts) for name, array in _arrays(cut).items()}
    said = json.dumps([[cut.place, asdict(cut.said), asdict(cut.identity)] for cut in cuts])
    with written_whole(path) as temporary:
        save_file(arrays, temporary, {"cuts": said})


def kept(path: Path) -> list[Cut] | None:
    """Read what `keep` wrote; None where it wrote nothing yet."""
    try:
        with safe_open(path, framework="np") as file:
            told, arrays = (
                json.loads(file.metadata()["cuts"]),
                {name: file.get_tensor(name) for name in file.offset_keys()},
            )
    except (FileNotFoundError, SafetensorError):
        return None
    names = ("hu", "spacing", "mask", "picture")
    return [
        Cut(place, *(arrays.get(f"{name}.{i}") for name in names), Said(**said), Identity(**identity))
        for i, (place, said, identity) in enumerate(told)
    ]


def _cut(
    scan: Scan,
    identity: Identity,
    lesion: ListedLesion,
    place: int,
    phases: Sequence[str],
    size: int,
    aligned: str | None,
    reading: Reading,
) -> list[Cut]:
    masks = {phase: mask for phase, mask in lesion.masks.items() if phase in scan.images}
    for phase in phases:
        if phase not in scan.images:
            reading.assume(f"{phase} is missing; its channel is empty and its prompts do not name it")
    piece = 0 if lesion.piece == EACH else lesion.piece
    study = scan.lesion(
        masks, lesion.box, lesion.mask_value, lesion.threshold, piece, reading, reference=lesion.reference
    )
    cuts = []
    for one in lesions_apart(study) if lesion.piece == EACH else [study]:
        shown, own = [one], replace(reading, assumed=[*reading.assumed], doubts=[*reading.doubts])
        doubt_extent(one, own)
        if aligned:
            one, found = align(one, deform=aligned == "bspline")
            shown.append(one)
            for phase, how in found.items():
                _tell(phase, how, lesion.reference, own)
        there = [phase for phase in phases if phase in one.volumes]
        rois = extract_rois(one, size, phases=there)
        hu = _spread(rois.hu, there, phases, ABSENT)
        mask = _spread(rois.masks["lesion"].astype(np.uint8), there, phases, 0) if rois.masks else None
        picture = np.frombuffer(lesion_picture(shown, there), dtype=np.uint8)
        said = Said(lesion.reference, _read(scan, one), own.assumed, own.left_out, own.doubts)
        cuts.append(Cut(place, hu, rois.spacing, mask, picture, said, replace(identity, box=shown[0].box)))
    return cuts


def _spread(array: np.ndarray, there: Sequence[str], phases: Sequence[str], fill: int) -> np.ndarray:
    """(n, phases that are there, S, S) -> (n, P, S, S), the others filled."""
    whole = np.full((len(array), len(phases), *array.shape[2:]), fill, dtype=array.dtype)
    whole[:, [phases.index(phase) for phase in there]] = array
    return whole


def _tell(phase: str, how: Alignment, reference: str, reading: Reading) -> None:
    """What aligning a phase did, or why it did not."""
    if how.doubt:
        reading.doubt(f"{phase}: {how.doubt}; left as it was")
    elif not any(how.displacement):
        reading.assume(f"{phase}: the lesion lies where {reference} has it; likeness {how.after:.2f}")
    else:
        by = " / ".join(f"{mm:+.1f}" for mm in how.displacement)
        alike = f"likeness {how.before:.2f} before, {how.after:.2f} after"
        reading.assume(f"{phase}: the lesion lies {by} mm (z / y / x) from {reference}, and was brought there; {alike}")


def _read(scan: Scan, study: Study) -> list[str]:
    """The phases and the lesion in numbers."""
    lines = []
    for phase, image in scan.images.items():
        size, mm = image.GetSize()[::-1], image.GetSpacing()[::-1]
        voxel = " x ".join(f"{one:.3g}" for one in mm)
        lines.append(f"{phase}: {size[0]} slices of {size[1]} x {size[2]}, voxels of {voxel} mm")
    z0, z1, y0, y1, x0, x1 = study.box
    dz, dy, dx = study.spacing
    plane = f"{z1 - z0} slices, {(y1 - y0) * dy:.0f} x {(x1 - x0) * dx:.0f} mm"
    inside = study.masks["lesion"][study.reference] if study.masks else None
    volume = "" if inside is None else f", {np.count_nonzero(inside) * dz * dy * dx / 1000:.2g} ml"
    return [*lines, f"lesion on {study.reference}: {plane}{volume}"]


def _message(error: Exception, lesion: ListedLesion) -> str:
    """One line, in which columns stand for paths: these often hold the patient's name."""
    if isinstance(error, MemoryError):
        return "does not fit into memory: ask for fewer --jobs, or crop the scan to the abdomen"
    if not isinstance(error, InputError):  # its text may quote a file
        return f"reading failed with {type(error).__name__}"
    message = str(error)
    for path in sorted((*lesion.phases.values(), *lesion.masks.values()), key=lambda p: -len(str(p))):
        message = message.replace(str(path), lesion.column(path))
    return message


def _state(path: Path) -> list:
    """Name, size and time of a file, or of all files in a folder; one that may not be looked at counts as empty."""
    path, _ = numbered(path)
    try:
        files = [path]
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
        elif path.suffix.lower() in DETACHED:
            files = sorted(file for file in path.parent.iterdir() if file.stem == path.stem)
        return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    except OSError:
        return []


def _arrays(cut: Cut) -> Mapping[str, np.ndarray]:
    arrays = {"hu": cut.hu, "spacing": cut.spacing, "mask": cut.mask, "picture": cut.picture}
    return {name: np.ascontiguousarray(array) for name, array in arrays.items() if array is not None}
