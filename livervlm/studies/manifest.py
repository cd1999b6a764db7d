"""A table of lesions on disk becomes a `LesionSet` without a name in it; what cannot be read costs itself alone."""

import signal
import warnings
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from joblib import Parallel, cpu_count, delayed

from ..base.errors import InputError
from ..base.progress import bar
from ..scans.conventions import LIVER_VLM_CLASSES
from ..scans.lesions import LesionSet, assign_groups
from .cutting import ALIGNED, Cut, Said, column_of, cut_lesions, keep, kept, kept_path
from .identities import cache_salt, compare
from .series import numbered
from .table import Fault, ListedLesion, listed, read_table, shortened

WORTH = 8  # scans for which another process is worth its start, of two seconds


@dataclass(frozen=True, eq=False)
class ImportedLesion:
    """A lesion of the set: where it comes from, and how it was read."""

    lesion: int  # its number in the set
    row: int  # of the table
    patient: int
    label: str
    group: int
    slices: tuple[int, int]  # of the set, the first and the last
    said: Said
    picture: bytes  # JPEG: a slice in every phase, with the lesion's contour


@dataclass(eq=False)
class ImportReport:
    """What an import did, in words that hold no path and no text of the table."""

    rows: int = 0  # of the table
    rows_left_out: int = 0
    scans: int = 0  # that they name
    scans_left_out: int = 0
    faults: list[Fault] = field(default_factory=list)  # rows that were left out, and why
    notes: list[str] = field(default_factory=list)  # on the whole
    lesions: list[ImportedLesion] = field(default_factory=list)


def import_studies(
    manifest: str | Path,
    size: int,
    n_groups: int = 5,
    progress: bool = True,
    seed: int = 0,
    classes: Sequence[str] = LIVER_VLM_CLASSES,
    phases: Sequence[str] | None = None,
    incomplete: bool = False,
    accept_doubts: bool = False,
    aligned: str | None = None,
    jobs: int | None = None,
    report: ImportReport | None = None,
) -> LesionSet:
    """Read every lesion that a CSV names and cut its ROIs, `size` pixels square.

    Columns: `patient`, any text, replaced by running numbers from 1; `label`, one of `classes`; at least two
    of NC, ART, PV, DL, a file or folder each (see `read_volume`); where the lesion is: `mask`, or `mask_NC` ... on each
    of several phases, or `box` as "z0:z1,y0:y1,x0:x1" (see `read_study`); `reference`, the phase on which box or mask
    lie, by default the last.  Of a mask with several labels `mask_value` is the lesion's, a number or the name of a
    DICOM segment; of a soft map `mask_threshold` the least; of several pieces that do not touch `piece` is one (1 the
    largest), 0 all as one lesion, or "each" a lesion for each.  Paths are relative to the CSV.  `group`, the patient's
    number in cross-validation, is optional: without it `assign_groups` makes `n_groups`, lesions balanced by class.

    phases: of the set; by default all in the table.  incomplete: keep rows that have two of them.  aligned: bring
    phases onto the reference, "rigid" or "bspline", as `align` does; a phase that it leaves as it was is a doubt.
    accept_doubts: keep rows whose files contradict themselves, each other, their columns or other rows.  jobs:
    processes, by default one a core where there is work for them.  report: gets what was read, assumed and left out,
    and pictures; without it a row that is left out is a Python warning.

    Each scan is read once.  What was cut out of it is kept in `cache_home()`, with salted hashes by which rows are
    compared, so that the same call goes on where it stopped.  The set holds no path and no text of the patient column;
    lesion masks are in it when every row has one.

    Raises `InputError` for what is wrong with the table, all of it at once, or where no lesion is left.
    """
    table = read_table(manifest, classes, phases, incomplete)
    told, report = report is not None, report or ImportReport()
    report.faults, report.notes = [*table.left_out], [*table.notes]
    lesions = _without(report.faults, table.lesions)
    groups = _groups(manifest, lesions, n_groups, seed)
    if aligned not in (None, *ALIGNED):
        raise InputError(f"aligned {aligned!r}: choose {' or '.join(ALIGNED)}, or none")
    found = _read(lesions, table.phases, size, aligned, jobs, progress, report.faults)
    for lesion, cut in found:
        cut.said.doubts.extend(doubt.message for doubt in table.doubts if doubt.row == lesion.row)
    compared = [(lesion, cut.identity, cut.said.doubts) for lesion, cut in found]
    report.faults += compare(compared, classes, report.notes)
    if not accept_doubts:
        hint = "(--accept-doubts takes it as it is)"
        doubts = dict.fromkeys((lesion.row, doubt) for lesion, cut in found for doubt in cut.said.doubts)
        report.faults += [Fault(row, column_of(doubt), f"{doubt} {hint}") for row, doubt in doubts]
    report.faults.sort(key=lambda fault: fault.row)
    kept_rows = {lesion.row for lesion in _without(report.faults, lesions)}
    found = [(lesion, cut) for lesion, cut in found if lesion.row in kept_rows]
    if not found:
        raise InputError(f"{manifest}: no lesion is left: {listed(report.faults)}")

    present = np.array([[phase in lesion.phases for phase in table.phases] for lesion, _ in found])
    masks = sorted({lesion.row for lesion, cut in found if cut.mask is not None})
    boxes = sorted({lesion.row for lesion, cut in found if cut.mask is None})
    if boxes and masks:
        report.notes.append(f"the set has no masks: {shortened(masks)} gave one, but {shortened(boxes)} a box")
    _count(report, table.lesions, kept_rows)
    slices = np.array([len(cut.hu) for _, cut in found])
    last = slices.cumsum() - 1
    report.lesions = [
        ImportedLesion(i + 1, lesion.row, lesion.patient, classes[lesion.label], groups[lesion.patient],
                       (int(last[i] - slices[i] + 1), int(last[i])), cut.said, cut.picture.tobytes())
        for i, (lesion, cut) in enumerate(found)
    ]  # fmt: skip
    if not told and (report.faults or report.notes):
        warnings.warn("; ".join([*report.notes, listed(report.faults)]), stacklevel=2)
    return LesionSet(
        hu=np.concatenate([cut.hu for _, cut in found]),
        label=np.repeat([lesion.label for lesion, _ in found], slices),
        patient=np.repeat([lesion.patient for lesion, _ in found], slices),
        group=np.repeat([groups[lesion.patient] for lesion, _ in found], slices),
        spacing=np.concatenate([cut.spacing for _, cut in found]),
        classes=tuple(classes),
        phases=table.phases,
        masks=None if boxes else np.concatenate([cut.mask for _, cut in found]),
        mask_names=() if boxes else ("lesion",),
        source={"kind": "import", "rows": str(len(kept_rows)), "seed": str(seed)},
        lesion=np.repeat([one.lesion for one in report.lesions], slices),
        present=None if present.all() else np.repeat(present, slices, axis=0),
    )


def _without(faults: Sequence[Fault], lesions: Sequence[ListedLesion]) -> list[ListedLesion]:
    out = {fault.row for fault in faults}
    return [lesion for lesion in lesions if lesion.row not in out]


def _count(report: ImportReport, lesions: Sequence[ListedLesion], kept_rows: set[int]) -> None:
    """How much of the table there is, and how much came in."""
    scans = {lesion.scan() for lesion in lesions}
    report.rows, report.rows_left_out = len(lesions), len(lesions) - len(kept_rows)
    report.scans = len(scans)
    report.scans_left_out = len(scans - {lesion.scan() for lesion in lesions if lesion.row in kept_rows})


def _groups(manifest: str | Path, lesions: Sequence[ListedLesion], n_groups: int, seed: int) -> dict[int, int]:
    """The group of each patient: dealt before a scan is read, so that one which cannot be read moves no other."""
    if not lesions or lesions[0].group is not None:
        return {lesion.patient: lesion.group for lesion in lesions}
    patient = np.array([lesion.patient for lesion in lesions])
    try:
        group = assign_groups(np.array([lesion.label for lesion in lesions]), patient, n_groups, seed)
    except InputError as error:
        raise InputError(f"{manifest}: {error}") from None
    return dict(zip(patient.tolist(), group.tolist(), strict=True))


def _read(
    lesions: Sequence[ListedLesion],
    phases: Sequence[str],
    size: int,
    aligned: str | None,
    jobs: int | None,
    progress: bool,
    faults: list[Fault],
) -> list[tuple[ListedLesion, Cut]]:
    """What was cut out of every scan, in the order of the table; what went wrong is added to `faults`."""
    faults += [fault for lesion in lesions for fault in _absent(lesion, phases)]
    scans: dict[tuple, list[ListedLesion]] = {}
    for lesion in _without(faults, lesions):
        scans.setdefault(lesion.scan(), []).append(lesion)
    salt = cache_salt()
    work = [(rows, phases, size, aligned, salt) for rows in scans.values()]
    work = [(kept_path(*one), *one) for one in work]
    done = [(rows, kept(path), []) for path, rows, *_ in work]
    todo = [one for one, (_, cuts, _) in zip(work, done, strict=True) if cuts is None]
    done = [one for one in done if one[1] is not None]
    jobs = jobs or max(min(cpu_count(), len(todo) // WORTH), 1)
    # The terminal's Ctrl-C reaches every process: the one that waits for the others obeys, and ends them.
    deaf = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}
    run = Parallel(jobs, return_as="generator_unordered", **deaf)(delayed(_cut)(*one) for one in todo)
    try:
        done += bar(run, "scans", progress, total=len(work), initial=len(done))
    except BrokenProcessPool:
        raise InputError("a process was killed, perhaps for want of memory: ask for fewer --jobs") from None
    faults += [fault for *_, of_scan in done for fault in of_scan]
    found = [(rows[cut.place], cut) for rows, cuts, _ in done for cut in cuts]
    return sorted(found, key=lambda pair: pair[0].row)  # pieces of one row stay in their order


def _cut(
    path: Path, rows: Sequence[ListedLesion], phases: Sequence[str], size: int, aligned: str | None, salt: bytes
) -> tuple[Sequence[ListedLesion], list[Cut], list[Fault]]:
    """The lesions of one scan.  What failed is tried again next time: perhaps a disk was away."""
    cuts, faults = cut_lesions(rows, phases, size, aligned, salt)
    if not faults:
        keep(path, cuts)
    return rows, cuts, faults


def _absent(lesion: ListedLesion, phases: Sequence[str]) -> list[Fault]:
    """The files that a row names and that are not there."""
    scans = {phase: lesion.phases[phase] for phase in lesion.phases if phase in (*phases, lesion.reference)}
    masks = {f"mask_{phase}": path for phase, path in lesion.masks.items()}
    hint = "no such file or folder; paths are relative to the folder of the CSV"
    files = (scans | masks).items()
    return [Fault(lesion.row, column, f"{lesion.column(path)}: {hint}") for column, path in files if not _exists(path)]


def _exists(file: Path) -> bool:
    try:
        return numbered(file)[0].exists()
    except (OSError, ValueError):  # too long for a path, not permitted: the error quotes it
        return False
