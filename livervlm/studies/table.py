"""A table of lesions, one a row, as any spreadsheet writes it: read and checked as a whole before a scan is opened."""

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ..base.errors import InputError
from ..scans.conventions import CLASS_NAMES, PHASE_NAMES

REQUIRED = ("patient", "label")
OPTIONAL = ("mask", "mask_value", "mask_threshold", "piece", "box", "reference", "group")
EACH = -1  # piece "each": a lesion for every piece of the mask
PLAIN = (".nii", ".gz", ".nrrd", ".nhdr", ".mha", ".mhd")  # masks whose labels have no names
LARGEST = 2**31  # of a number in a cell
BOX = 'write z0:z1,y0:y1,x0:x1, each rising, such as "12:18,200:240,150:190"'


@dataclass(frozen=True)
class Fault:
    """What is wrong with a row, in words that quote no cell: with a comma too few it holds another column's text."""

    row: int  # as a spreadsheet counts: the header is row 1
    column: str  # "" where it is the row as a whole
    message: str


@dataclass(frozen=True)
class ListedLesion:
    """One row, checked as far as it can be without opening a file."""

    row: int
    patient: int  # from 1, in the order of the table; the text goes no further
    label: int
    group: int | None
    phases: dict[str, Path]  # those that it has
    reference: str  # the phase on which its box or mask lies
    masks: dict[str, Path]  # by phase
    mask_value: int | str | None
    threshold: float | None
    piece: int | None
    box: tuple[int, int, int, int, int, int] | None

    def column(self, path: Path) -> str:
        """What a message calls one of its paths, which may hold the patient's name."""
        of = {mask: f"mask of {phase}" for phase, mask in self.masks.items()}
        return (of | {scan: phase for phase, scan in self.phases.items()})[path]

    def scan(self) -> tuple[tuple[str, str], ...]:
        """What lesions of one scan have in common: the files of its phases."""
        return tuple((phase, str(path)) for phase, path in self.phases.items())

    def where(self) -> tuple:
        """What makes it this lesion of its patient and no other."""
        mask = self.masks.get(self.reference)
        files = [_same(path) for path in (self.phases.get(self.reference), mask) if path]
        return (*files, self.mask_value, self.threshold, self.piece, self.box)


@dataclass(frozen=True)
class Table:
    """The rows, those of them that lack a phase or are doubtful, and what is to say of the table as a whole."""

    phases: tuple[str, ...]  # of the set
    lesions: list[ListedLesion]
    left_out: list[Fault]
    doubts: list[Fault]  # their messages begin with the column
    notes: list[str]


def read_table(
    table: str | Path, classes: Sequence[str], phases: Sequence[str] | None = None, incomplete: bool = False
) -> Table:
    """Read a CSV as `import_studies` describes it; commas, semicolons or tabs between cells, and columns of your own.

    phases: those of the set; by default all that have a column with a scan in it.  A row that lacks one is left out,
    unless `incomplete`, when two of them are enough.

    Raises one `InputError` that lists every other fault: what cannot be understood, one scan as two patients, one
    lesion twice or with two labels, one patient in two groups.
    """
    table = Path(table)
    records = _records(table)
    columns, notes = _header(table, records[0] if records else [])
    faults: list[Fault] = []
    rows = {}
    for number, record in enumerate(records[1:], start=2):
        if any(record):
            rows[number] = {name: record[i] if i < len(record) else "" for name, i in columns.items()}
            rows[number]["patient"] = re.sub(r"^(\d+)[.,]0+$", r"\1", rows[number]["patient"])  # 1.0, as of pandas
            if any(record[len(records[0]) :]):
                faults.append(Fault(number, "", "more cells than columns: put a cell with commas, a box, in quotes"))
    if not rows:
        raise InputError(f"{table}: no rows; write one for each lesion")
    used = [name for name in columns if name in REQUIRED or any(cells[name] for cells in rows.values())]
    there = tuple(phase for phase in PHASE_NAMES if phase in used)
    chosen = tuple(phase for phase in PHASE_NAMES if phase in (phases or there))
    if lacking := [phase for phase in phases or () if phase not in there]:
        raise InputError(f"{table}: phase {lacking[0]} was asked for; the table has {', '.join(there) or 'none'}")
    if len(chosen) < 2:
        raise InputError(f"{table}: scans of {len(there)} phase; give at least two of {', '.join(PHASE_NAMES)}")
    numbers = {text: i for i, text in enumerate(dict.fromkeys(cells["patient"] for cells in rows.values()), start=1)}
    lesions, left_out = [], []
    for number, cells in rows.items():
        lesion = _parse({name: cells[name] for name in used}, number, numbers, table.resolve().parent, classes, faults)
        if lesion is not None:
            lesions.append(lesion)
    faults += _contradictions(lesions, classes)
    if faults:
        raise InputError(f"{table}: {listed(sorted(faults, key=lambda fault: fault.row))}")
    for lesion in lesions:
        rest = [p for p in chosen if p in lesion.phases]
        enough = incomplete and len(rest) > 1
        for phase in dict.fromkeys((*(() if enough else chosen), lesion.reference)):
            if phase not in lesion.phases:
                hint = f"; it could be read with phases {','.join(rest)}" if len(rest) > 1 else ""
                left_out.append(Fault(lesion.row, phase, f"phase {phase} is missing, so the row is left out{hint}"))
    return Table(chosen, lesions, left_out, [*_alike(rows), *_unplaced(rows)], notes)


def _alike(rows: Mapping[int, Mapping[str, str]]) -> Iterator[Fault]:
    """Patients whose texts differ as one text does that two programs wrote."""
    first: dict[str, tuple[str, int]] = {}
    for row, cells in rows.items():
        text = re.sub(r"(?<!\d)0+(?=\d)|\s", "", cells["patient"]).casefold()
        other, its = first.setdefault(text, (cells["patient"], row))
        if other != cells["patient"]:
            told = f"patient: other than in row {its} only by blanks, capitals or zeros before a number"
            yield Fault(row, "patient", f"{told}: write both alike where it is one patient")


def _unplaced(rows: Mapping[int, Mapping[str, str]]) -> Iterator[Fault]:
    """Masks of which the row does not say whether they lie on PV or on DL: both are usual."""
    for row, cells in rows.items():
        if cells.get("mask") and cells.get("PV") and cells.get("DL") and not cells.get("reference"):
            message = "reference: the mask may lie on PV or on DL, and DL is taken: say which in a column of this name"
            yield Fault(row, "reference", message)


def parse_box(text: str) -> tuple[int, int, int, int, int, int]:
    """Read "z0:z1,y0:y1,x0:x1", ends excluded, with or without blanks."""
    ends = re.fullmatch(r"(\d+):(\d+),(\d+):(\d+),(\d+):(\d+)", re.sub(r"\s", "", text), re.ASCII)
    box = tuple(map(int, ends.groups())) if ends else ()
    if not box or any(first >= last for first, last in zip(box[::2], box[1::2], strict=True)):
        raise InputError(f"box: {BOX}")
    return box


def listed(faults: Sequence[Fault]) -> str:
    """All of them in one line; the rows of those that read alike stand together."""
    rows: dict[str, list[int]] = {}
    for fault in faults:
        rows.setdefault(fault.message, []).append(fault.row)
    return "; ".join(f"{shortened(of)}: {message}" for message, of in rows.items())


def shortened(rows: list[int]) -> str:
    """Rows of a table as a person writes them: row 4, rows 2-9, rows 2, 5, 7, 8 and 12 more."""
    if len(rows) == 1:
        return f"row {rows[0]}"
    if rows == list(range(rows[0], rows[-1] + 1)):
        return f"rows {rows[0]}-{rows[-1]}"
    more = f" and {len(rows) - 4} more" if len(rows) > 4 else ""
    return f"rows {', '.join(map(str, rows[:4]))}{more}"


def _records(table: Path) -> list[list[str]]:
    """The cells of every row, blank rows too, so that rows count as in a spreadsheet."""
    if not table.is_file():
        raise InputError(f"{table}: no such file")
    try:
        text = table.read_text(encoding="utf-8-sig")  # Excel signs its UTF-8
    except UnicodeDecodeError:
        raise InputError(f"{table}: not UTF-8 text; save it as CSV UTF-8") from None
    first = text.partition("\n")[0]
    known = {*REQUIRED, *PHASE_NAMES}
    mark = max(",;\t", key=lambda mark: len(known.intersection(cell.strip(' "') for cell in first.split(mark))))
    records: list[list[str]] = []
    try:
        for record in csv.reader(io.StringIO(text), delimiter=mark, skipinitialspace=True):
            records.append([cell.strip() for cell in record])
    except csv.Error:
        most = f"{csv.field_size_limit():,}"
        raise InputError(
            f"{table} row {len(records) + 1}: a cell of over {most} characters; is a quote open?"
        ) from None
    return records


def _header(table: Path, header: list[str]) -> tuple[dict[str, int], list[str]]:
    """Where each known column stands, and a note on those that are not used."""
    # Without these the first row is no header and may hold a patient's name: it is not shown.
    phases = [phase for phase in PHASE_NAMES if phase in header]
    if not set(REQUIRED) <= set(header) or len(phases) < 2:
        raise InputError(
            f"{table} row 1: no header; name the columns {', '.join(REQUIRED)} and at least two phases of "
            f"{', '.join(PHASE_NAMES)}, with commas between"
        )
    known = (*REQUIRED, *phases, *(f"mask_{phase}" for phase in phases), *OPTIONAL)
    if twice := [name for name in known if header.count(name) > 1]:
        raise InputError(f"{table} row 1: column {twice[0]} stands there twice; use each once")
    others = [i for i, name in enumerate(header) if name and name not in known]
    near = [get_close_matches(header[i], [name for name in known if name not in header], 1, 0.8) for i in others]
    told = [f"{i + 1}{f' (is it {like[0]}?)' if like else ''}" for i, like in zip(others, near, strict=True)]
    notes = [f"columns that are not used: {', '.join(told)}"] if told else []
    return {name: header.index(name) for name in known if name in header}, notes


def _parse(
    cells: dict[str, str],
    row: int,
    patients: dict[str, int],
    folder: Path,
    classes: Sequence[str],
    faults: list[Fault],
) -> ListedLesion | None:
    """A row, or None with what is wrong with it added to `faults`."""
    before = len(faults)

    def wrong(column: str, message: str) -> None:
        faults.append(Fault(row, column, message))

    def read(column: str, reader: Callable, *more):
        try:
            return reader(cells[column], *more) if cells.get(column) else None
        except InputError as error:
            return wrong(column, str(error))

    if not cells["patient"]:
        wrong("patient", "patient is empty; give any text, the same for all lesions of a patient")
    if cells["label"] not in classes:
        known = f" {cells['label']}" if cells["label"] in CLASS_NAMES else ""
        near = get_close_matches(cells["label"].upper(), [name.upper() for name in classes], 1, 0.7)
        like = next((f"; is it {name}?" for name in classes if [name.upper()] == near), "")
        wrong("label", f"label{known} is not in the classes {', '.join(classes)}{like}")
    if "group" in cells and not cells["group"]:
        wrong("group", "group is empty; give each patient one, or none")
    phases = {phase: folder / cells[phase] for phase in PHASE_NAMES if cells.get(phase)}
    named = [column for column in ("mask", *(f"mask_{phase}" for phase in PHASE_NAMES)) if cells.get(column)]
    masks = {column: folder / cells[column] for column in named}
    reference = _reference(cells, phases, masks, wrong)
    value = read("mask_value", _mask_value, masks.values())
    lesion = ListedLesion(
        row=row,
        patient=patients[cells["patient"]],
        label=classes.index(cells["label"]) if cells["label"] in classes else -1,
        group=read("group", _whole, "group"),
        phases=phases,
        reference=reference,
        masks={reference if name == "mask" else name.removeprefix("mask_"): path for name, path in masks.items()},
        mask_value=value,
        threshold=read("mask_threshold", _number, "mask_threshold"),
        piece=read("piece", _piece),
        box=read("box", parse_box),
    )
    return lesion if len(faults) == before else None


def _reference(cells: dict[str, str], phases: dict[str, Path], masks: dict[str, Path], wrong: Callable) -> str:
    """The phase on which the box or the mask lies: as `reference` says, else the last one with a mask of its own, else
    the last one that is there.  A box where PV and DL both are must say it: both are usual."""
    own = [phase for phase in PHASE_NAMES if f"mask_{phase}" in masks]
    said, last = cells.get("reference", ""), next(reversed(phases), "")
    if not phases:
        wrong("", "no phase has a scan; give at least two")
    elif said and said not in PHASE_NAMES:
        wrong("reference", f"reference: name the phase on which the box or mask lies, of {', '.join(PHASE_NAMES)}")
    elif said and own and said not in own:
        wrong("reference", f"reference is {said}, but mask_{said} is empty")
    elif bool(masks) == bool(cells.get("box")) or ("mask" in masks and (own or len(masks) > 1)):
        wrong("", "give a mask or a box, one of the two; a mask on one phase, or mask_NC ... on each of several")
    elif cells.get("box") and not said and {"PV", "DL"} <= phases.keys():
        wrong("box", "the box may lie on PV or on DL: say which in a column named reference")
    return said or (own[-1] if own else last)


def _contradictions(lesions: Sequence[ListedLesion], classes: Sequence[str]) -> list[Fault]:
    """What no two rows may say together."""
    faults = []
    patients: dict[int, ListedLesion] = {}
    scans: dict[str, ListedLesion] = {}
    places: dict[tuple, ListedLesion] = {}
    for lesion in lesions:
        first = patients.setdefault(lesion.patient, lesion)
        if first.group != lesion.group:
            of = f"but {first.group} in row {first.row}, same patient"
            faults.append(Fault(lesion.row, "group", f"group {lesion.group}, {of}"))
        shared = [(phase, scans.setdefault(_same(path), lesion)) for phase, path in lesion.phases.items()]
        shared = [(phase, first) for phase, first in shared if first.patient != lesion.patient]
        if shared:
            phase, first = shared[0]
            faults.append(Fault(lesion.row, phase, f"{phase} is a scan of row {first.row}, which is another patient's"))
            continue
        first = places.setdefault(lesion.where(), lesion)
        if first is not lesion and first.label == lesion.label:
            faults.append(Fault(lesion.row, "", f"the lesion of row {first.row} again: the same scan and place"))
        elif first is not lesion:
            one, other = classes[lesion.label], classes[first.label]
            of = f"but {other} in row {first.row}, the same scan and place"
            faults.append(Fault(lesion.row, "label", f"label {one}, {of}: a mask of several lesions needs mask_value"))
    return faults


def _same(path: Path) -> str:
    """One name for a file, by whatever link or way round it is reached."""
    try:
        return os.path.realpath(path)
    except ValueError:  # no path at all: it holds a NUL
        return str(path)


def _mask_value(text: str, masks: Sequence[Path]) -> int | str:
    """A label by its number, or by its name where the file can have names."""
    if text.replace(".", "", 1).isdecimal() or any(mask.suffix.lower() in PLAIN for mask in masks):
        return _whole(text, "mask_value")
    return text


def _piece(text: str) -> int:
    piece = EACH if text == "each" else _whole(text, "piece")
    if piece < 0 and text != "each":
        raise InputError("piece: write 1 for the largest, 2 for the next ..., 0 for all as one lesion, or each")
    return piece


def _number(text: str, column: str) -> float:
    """As spreadsheets write it, in some countries with a comma."""
    try:
        number = float(text.replace(",", "."))
        if abs(number) < LARGEST:
            return number
    except ValueError:
        pass
    raise InputError(f"{column} is not a number")


def _whole(text: str, column: str) -> int:
    """A whole number, also as spreadsheets and pandas write it: 2.0."""
    try:
        number = _number(text, column)
        if number.is_integer():
            return int(number)
    except InputError:
        pass
    raise InputError(f"{column} is not a whole number")
