"""A table of lesions on disk, one CSV row each, becomes a `LesionSet` without a name in it."""

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from ..base.errors import InputError
from ..base.progress import bar
from ..scans.conventions import CLASS_NAMES, LIVER_VLM_CLASSES, PHASE_NAMES
from ..scans.lesions import LesionSet, assign_groups
from ..scans.rois import extract_rois
from .files import lesions_apart, read_study
from .reading import Reading

REQUIRED = ("patient", "label")
OPTIONAL = ("mask", "mask_value", "mask_threshold", "piece", "box", "group")
EACH = -1  # piece "each": a lesion for every piece of the mask
PLAIN = (".nii", ".gz", ".nrrd", ".nhdr", ".mha", ".mhd")  # masks whose labels have no names


@dataclass(frozen=True)
class ListedLesion:
    """One lesion of the manifest, checked as far as it can be without reading a volume."""

    number: int  # as a spreadsheet counts: the header is row 1
    patient: str  # the text of the file; it goes no further
    label: int
    group: int | None
    phases: dict[str, Path]
    masks: dict[str, Path]  # by phase
    mask_value: int | str | None
    threshold: float | None
    piece: int | None
    box: tuple[int, int, int, int, int, int] | None


def import_studies(
    manifest: str | Path,
    size: int,
    n_groups: int = 5,
    progress: bool = True,
    seed: int = 0,
    classes: Sequence[str] = LIVER_VLM_CLASSES,
    readings: dict[int, Reading] | None = None,
    accept_doubts: bool = False,
) -> LesionSet:
    """Read every lesion that a CSV names and cut its ROIs, `size` pixels square.

    Columns: `patient`, any text, replaced by running numbers from 1; `label`, one of `classes`; at least two
    of NC, ART, PV, DL, a file or folder each (see `read_volume`); where the lesion is: `mask` on the last one
    or `mask_NC` ... on each of several, or `box` as "z0:z1,y0:y1,x0:x1" (see `read_study`).  Of a mask with several
    labels `mask_value` is the lesion's, a number or the name of a DICOM segment; of a soft map `mask_threshold` the
    least; of several pieces that do not touch `piece` is one (1 the largest), 0 all as one lesion, or "each" a lesion
    for each.  Paths are relative to the CSV.  `group`, the patient's number in
    cross-validation, is optional: without it `assign_groups` makes `n_groups`, lesions balanced by class.

    readings: gets the report of each row by its number.  accept_doubts: keep rows whose files contradict themselves or
    each other, which are errors otherwise.

    The set holds no path and no text of the patient column; lesion masks are in it when every row has one.
    Raises `InputError` that names the CSV, the row and the column; all rows are checked before any is read.
    """
    phases, rows = _read_manifest(Path(manifest), classes)
    label = np.array([row.label for row in rows])
    numbers = {text: i for i, text in enumerate(dict.fromkeys(row.patient for row in rows), start=1)}
    patient = np.array([numbers[row.patient] for row in rows])
    group = np.array([row.group for row in rows])
    if rows[0].group is None:
        with _named(manifest):
            group = assign_groups(label, patient, n_groups, seed)
    rois, slices = [], []
    for row in bar(rows, "lesions", progress):
        with _named(f"{manifest} row {row.number}", row):
            reading = Reading()
            piece = 0 if row.piece == EACH else row.piece
            study = read_study(row.phases, row.masks, row.box, row.mask_value, row.threshold, piece, reading)
            if reading.doubts and not accept_doubts:
                raise InputError(f"{reading.doubts[0]} (--accept-doubts takes it as it is)")
            found = lesions_apart(study) if row.piece == EACH else [study]
            cut = [extract_rois(one, size, phases=phases) for one in found]
            slices.append(sum(len(r.hu) for r in cut))
            rois += cut
            if readings is not None:
                readings[row.number] = reading
    masked = all(r.masks for r in rois)
    if not masked and readings is not None:
        for row in rows:
            if row.masks:
                readings[row.number].leave_out("its mask, as other rows have a box: the set has no masks")
    return LesionSet(
        hu=np.concatenate([r.hu for r in rois]),
        label=np.repeat(label, slices),
        patient=np.repeat(patient, slices),
        group=np.repeat(group, slices),
        spacing=np.concatenate([r.spacing for r in rois]),
        classes=tuple(classes),
        phases=phases,
        masks=np.concatenate([r.masks["lesion"] for r in rois]).astype(np.uint8) if masked else None,
        mask_names=("lesion",) if masked else (),
        source={"kind": "import", "rows": str(len(rows)), "seed": str(seed)},
    )


def parse_box(text: str) -> tuple[int, int, int, int, int, int]:
    """Read "z0:z1,y0:y1,x0:x1", ends excluded, with or without blanks."""
    ends = re.fullmatch(r"(\d+):(\d+),(\d+):(\d+),(\d+):(\d+)", re.sub(r"\s", "", text), re.ASCII)
    box = tuple(map(int, ends.groups())) if ends else ()
    if not box or any(first >= last for first, last in zip(box[::2], box[1::2], strict=True)):
        raise InputError(f'box {text!r}: write z0:z1,y0:y1,x0:x1, each rising, such as "12:18,200:240,150:190"')
    return box


@contextmanager
def _named(where: str | Path, row: ListedLesion | None = None) -> Iterator[None]:
    """Say in which table and row an error is, and with which column in place of its path.

    A path often holds the patient's name; for the same reason the original error is not chained.
    """
    try:
        yield
    except InputError as error:
        message = str(error)
        if row:
            columns = {str(path): f"mask of {phase}" for phase, path in row.masks.items()}
            columns |= {str(path): phase for phase, path in row.phases.items()}
            for path in sorted(columns, key=len, reverse=True):  # one may begin another
                message = message.replace(path, columns[path])
        raise InputError(f"{where}: {message}") from None


def _read_manifest(manifest: Path, classes: Sequence[str]) -> tuple[tuple[str, ...], list[ListedLesion]]:
    """The phases that have a column, in canonical order, and the rows."""
    if not manifest.is_file():
        raise InputError(f"{manifest}: no such file")
    try:
        lines = manifest.read_text(encoding="utf-8-sig").splitlines()  # Excel signs its UTF-8
    except UnicodeDecodeError:
        raise InputError(f"{manifest}: not UTF-8 text; save it as CSV UTF-8") from None
    reader = csv.DictReader(lines, skipinitialspace=True)
    reader.fieldnames = columns = [column.strip() for column in reader.fieldnames or ()]
    phases = tuple(phase for phase in PHASE_NAMES if phase in columns)
    known = (*REQUIRED, *phases, *(f"mask_{phase}" for phase in phases), *OPTIONAL)
    # Without these the first row is no header and may hold a patient's name: it is not shown.
    if not set(REQUIRED) <= set(columns) or len(phases) < 2:
        raise InputError(
            f"{manifest} row 1: no header; name the columns {', '.join(REQUIRED)} and at least two phases of "
            f"{', '.join(PHASE_NAMES)}, with commas between"
        )
    misfit = [column for column in columns if column not in known or columns.count(column) > 1]
    if misfit:
        raise InputError(f"{manifest} row 1: column {misfit[0]!r}; use each once of {', '.join(known)}")
    rows: list[ListedLesion] = []
    for cells in reader:
        with _named(f"{manifest} row {reader.line_num}"):
            if None in cells:
                raise InputError("more cells than columns; a box has commas, so put it in double quotes")
            cells = {column: (cell or "").strip() for column, cell in cells.items()}
            if any(cells.values()):
                rows.append(_parse(cells, reader.line_num, manifest.resolve().parent, phases, classes))
                twin = next(row for row in rows if row.patient == rows[-1].patient)
                if twin.group != rows[-1].group:
                    raise InputError(f"group {rows[-1].group}, but {twin.group} in row {twin.number}, same patient")
    if not rows:
        raise InputError(f"{manifest}: no rows; write one for each lesion")
    return phases, rows


def _parse(
    cells: dict[str, str], number: int, folder: Path, phases: Sequence[str], classes: Sequence[str]
) -> ListedLesion:
    if not cells["patient"]:
        raise InputError("patient is empty; give any text, the same for all lesions of a patient")
    if cells["label"] not in classes:
        near = get_close_matches(cells["label"].upper(), [c.upper() for c in (*classes, *CLASS_NAMES)], cutoff=0.7)
        slip = f" {cells['label']!r}" if near else ""  # else it may be another column's text, a name
        raise InputError(f"label{slip} is not in the classes {', '.join(classes)}")
    for phase in phases:
        if not cells[phase]:
            raise InputError(f"phase {phase} is missing; every lesion needs {', '.join(phases)}")
    masks = [column for column in ("mask", *(f"mask_{phase}" for phase in phases)) if cells.get(column)]
    if bool(masks) == bool(cells.get("box")) or {"mask", f"mask_{phases[-1]}"} <= set(masks):
        raise InputError(f"give a mask or a box, one of the two, and one mask for phase {phases[-1]}")
    files = {column: folder / cells[column] for column in (*phases, *masks)}
    for column, file in files.items():
        if not _exists(file):
            raise InputError(f"{column}: no such file or folder; paths are relative to the folder of the CSV")
    return ListedLesion(
        number=number,
        patient=cells["patient"],
        label=classes.index(cells["label"]),
        group=_whole("group", cells["group"]) if "group" in cells else None,
        phases={phase: files[phase] for phase in phases},
        masks={phases[-1] if m == "mask" else m.removeprefix("mask_"): files[m] for m in masks},
        mask_value=_mask_value(cells["mask_value"], [files[m] for m in masks]) if cells.get("mask_value") else None,
        threshold=_number("mask_threshold", cells["mask_threshold"]) if cells.get("mask_threshold") else None,
        piece=_piece(cells["piece"]) if cells.get("piece") else None,
        box=_box(cells["box"]) if cells.get("box") else None,
    )


def _mask_value(text: str, masks: Sequence[Path]) -> int | str:
    """A label by its number, or by its name where the file can have names."""
    if text.replace(".", "", 1).isdecimal() or any(mask.suffix.lower() in PLAIN for mask in masks):
        return _whole("mask_value", text)
    return text


def _piece(text: str) -> int:
    piece = EACH if text == "each" else _whole("piece", text)
    if piece < 0 and text != "each":
        raise InputError("piece: write 1 for the largest, 2 for the next ..., 0 for all as one lesion, or each")
    return piece


def _box(text: str) -> tuple[int, int, int, int, int, int]:
    try:
        return parse_box(text)
    except InputError:
        raise InputError('box: write z0:z1,y0:y1,x0:x1, each rising, such as "12:18,200:240,150:190"') from None


def _number(column: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{column} is not a number") from None


def _whole(column: str, text: str) -> int:
    """A whole number, also as spreadsheets and pandas write it: 2.0."""
    try:
        number = float(text)
        if number.is_integer():
            return int(number)
    except ValueError:
        pass
    raise InputError(f"{column}{_shown(text)} is not a whole number")


def _shown(text: str) -> str:
    """What a cell holds, where it cannot be a patient's: with a comma too few another column's text stands in it."""
    return f" {text!r}" if re.fullmatch(r"[a-z]{0,8}", text) else ""


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except (OSError, ValueError):  # too long for a path, not permitted: the error quotes it
        return False
