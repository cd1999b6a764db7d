"""The table that a person edits and `import_studies` reads: a row for each lesion mask of each study that was found."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ..base.errors import InputError
from ..base.progress import bar
from ..scans.conventions import CANONICAL, PHASE_NAMES
from .found import Mask, Scan
from .names import PHASE_OF, phase_told, words_of
from .reading import Reading, quiet, sitk
from .tree import Study, read_tree
from .volumes import read_volume
from .which_phase import APART, Clue, which_phases

THICK = (1.0, 5.0)  # mm: of a reconstruction that shows lesions with little noise


@dataclass(frozen=True, eq=False)
class Table:
    """rows: cells by column, in the order of the CSV.  doubts: of each row.  left_out: kind -> how many."""

    columns: list[str]
    rows: list[dict[str, str]]
    doubts: list[list[str]]
    left_out: Counter
    patients: int
    studies: int


def propose_studies(folder: str | Path, home: Path, salt: bytes, look: bool = False, progress: bool = True) -> Table:
    """Find the studies in a folder and propose what shows which phase, and which mask is on which.

    home: the folder to which paths are relative.  salt: makes patients' keys; the same one gives the same keys.
    look: read the volumes, too, so that enhancement is used.

    Columns: `patient`, a key; `study`, its number by date; `label`, empty; phases; masks; `mask_value`; `unplaced`, the
    paths of scans that are in no phase's column; `doubts`.  Only what is in `unplaced` or a phase's or mask's column is
    a path.  Raises `InputError` where there is no folder or no CT in it.
    """
    root = Path(folder).resolve()
    if not root.is_dir():
        raise InputError(f"{folder}: no such folder")
    with quiet():
        tree = read_tree(root, progress)
    if not tree.studies:
        n = sum(tree.left_out.values())
        raise InputError(
            f"{folder}: no CT volume in this folder ({n} other things); give one with DICOM, NIfTI, NRRD or MHA files"
        )
    patients = defaultdict(list)
    for study in sorted(tree.studies, key=lambda study: (study.date, str(study.scans[0].path))):
        patients[study.patient].append(study)
    keyed = {_key(patient, salt): studies for patient, studies in patients.items()}
    numbered = [(key, n, study) for key in sorted(keyed) for n, study in enumerate(keyed[key], start=1)]
    rows, doubts = [], []
    for key, number, study in bar(numbered, "studies", progress and look):
        phases, unplaced = _phases(study, look)
        for masks, value, own in _lesions(study, phases, unplaced):
            paths = {**{phase: scan.cell for phase, scan in phases.items()}, **masks}
            cells = {column: relative(path, home) for column, path in paths.items()}
            cells["unplaced"] = " | ".join(relative(path, home) for path in dict.fromkeys(s.cell for s in unplaced))
            rows.append(
                {"patient": key, "study": str(number), "mask_value": "" if value is None else str(value), **cells}
            )
            doubts.append([*study.doubts, *own])
    shown = [phase for phase in PHASE_NAMES if any(phase in row for row in rows)]
    shown = shown if len(shown) > 1 else list(CANONICAL)
    for row, own in zip(rows, doubts, strict=True):
        there = [phase for phase in shown if phase in row]
        own += [f"no scan for {phase}" for phase in shown if phase not in row and len(there) > 1]
        row["doubts"] = "; ".join(own)
    masks = [name for name in ("mask", *(f"mask_{phase}" for phase in shown)) if any(name in row for row in rows)]
    more = [name for name in ("mask_value", "unplaced") if any(row[name] for row in rows)]
    columns = ["patient", "study", "label", *shown, *(masks or ["mask"]), *more, "doubts"]
    return Table(columns, rows, doubts, tree.left_out, len(keyed), len(numbered))


def _key(patient: str, salt: bytes) -> str:
    """What stands for a patient; the letter keeps spreadsheets from reading a number."""
    return "p" + hashlib.blake2b(patient.encode("utf-8", "surrogateescape"), key=salt, digest_size=5).hexdigest()


def relative(path: Path, home: Path) -> str:
    """A path as a cell of a table in the folder `home` names it."""
    return Path(os.path.relpath(path, home)).as_posix() if path.drive == home.drive else path.as_posix()


def _phases(study: Study, look: bool) -> tuple[dict[str, Scan], list[Scan]]:
    """Phase -> the scan that is proposed for it, and the others, of which the study gets a doubt each."""
    drawn = frozenset(chain.from_iterable(mask.series for mask in study.masks))
    chosen, others = [], []
    for acquisition in _acquisitions([scan for scan in study.scans if scan.alone]):
        best, *rest = sorted(acquisition, key=lambda scan: _rank(scan, drawn))
        chosen.append(best)
        others += [(scan, "another reconstruction of {}", best) for scan in rest]
    guesses = which_phases([_clue(scan, study, look) for scan in chosen])
    by_phase, found = defaultdict(list), {}
    for scan, guess in zip(chosen, guesses, strict=True):
        by_phase[guess.phase].append(scan)
        found[scan] = guess.phase
        if guess.phase:
            study.doubts += [f"{guess.phase}: {line}" for line in guess.doubts]
        else:
            others.append((scan, "which phase a scan shows is not told", None, *guess.doubts))
    phases = {}
    for phase in [phase for phase in PHASE_NAMES if phase in by_phase]:
        best, *rest = sorted(by_phase[phase], key=lambda scan: _rank(scan, drawn))
        phases[phase] = best
        others += [(scan, "another scan that looks like {}", best) for scan in rest]
    unplaced = [scan for scan, *_ in others] + [scan for scan in study.scans if not scan.alone]
    numbers = {path: n for n, path in enumerate(dict.fromkeys(scan.cell for scan in unplaced), start=1)}
    for scan, what, best, *more in others:
        what = what.format(found.get(best) or "a scan")
        study.doubts.append(f"{what} (unplaced {numbers[scan.cell]}: {'; '.join([scan.described, *more])})")
    for scan in study.scans:
        study.doubts += [line for line in scan.doubts if line not in study.doubts]
    if len(phases) < 2:
        study.doubts.append("fewer than two phases: fill in the others, or delete the row")
    return phases, unplaced


def _acquisitions(scans: Sequence[Scan]) -> list[list[Scan]]:
    """Scans together that are reconstructions of one acquisition."""
    groups: list[list[Scan]] = []
    for scan in sorted(scans, key=lambda scan: (scan.source.seconds is None, scan.source.seconds)):
        group = next((group for group in groups if _same(scan, group[0])), None)
        if group is None:
            groups.append([scan])
        else:
            group.append(scan)
    return groups


def _same(one: Scan, two: Scan) -> bool:
    a, b = one.source, two.source
    if a.seconds is None or b.seconds is None or abs(a.seconds - b.seconds) > APART:
        return False
    told = [phase_told(words_of(scan.words)) for scan in (one, two)]
    pairs = ((a.acquisition, b.acquisition), (a.frame_of_reference, b.frame_of_reference), told)
    return all(not p or not q or p == q for p, q in pairs)


def _rank(scan: Scan, drawn: frozenset[str]) -> tuple:
    """The smaller, the better: drawn on, axial, of a soft kernel, 1 to 5 mm or near it, more slices, first."""
    thick = THICK[0] if scan.thickness is None else scan.thickness
    off = max(THICK[0] - thick, thick - THICK[1], 0)
    return scan.source.series not in drawn, *scan.poor, off, -scan.slices, scan.number or 0


def _clue(scan: Scan, study: Study, look: bool) -> Clue:
    volume, spacing, reading = None, None, Reading()
    if look:
        try:
            image = read_volume(scan.cell, reading=reading)
            volume, spacing = sitk.GetArrayFromImage(image), image.GetSpacing()[::-1]
        except InputError as error:
            reading.doubt(f"it cannot be imported: {str(error).removeprefix(f'{scan.cell}: ')}")
        study.doubts += [f"{scan.described}: {line}" for line in reading.doubts]
    return Clue(scan.words, scan.source.seconds, scan.contrast, volume, spacing)


def _lesions(
    study: Study, phases: dict[str, Scan], unplaced: Sequence[Scan]
) -> list[tuple[dict[str, Path], int | None, list[str]]]:
    """For each lesion mask: its files by column, which of its parts, and doubts.

    Files whose names differ in the phase alone are masks of one lesion in several phases.
    """
    lesions: dict[tuple, tuple[dict[str, Path], list[str]]] = {}
    for n, mask in enumerate(study.masks):
        phase, doubts = _drawn_on(mask, phases, unplaced)
        column = f"mask_{phase}" if phase else "mask"
        words = tuple(word for word in mask.words if word not in PHASE_OF)
        for part in mask.parts:
            key = (words, part) if mask.words and phase else (n, part)
            if column in lesions.get(key, ({}, []))[0]:
                key = (n, part)
            files, told = lesions.setdefault(key, ({}, []))
            files[column] = mask.path
            told += [line for line in doubts if line not in told]
    if not lesions:
        return [({}, None, ["no mask of a lesion: give one, or a box"])]
    if len({frozenset(files) for files, _ in lesions.values()}) > 1:
        for _, told in lesions.values():
            told.append("masks of this study lie on different phases: where two are one lesion, make them one row")
    return [(files, part, told) for (_, part), (files, told) in lesions.items()]


def _drawn_on(mask: Mask, phases: dict[str, Scan], unplaced: Sequence[Scan]) -> tuple[str | None, list[str]]:
    """The phase of a mask: by the series it names, by its name, by its grid; None is the last one."""
    told = phase_told(mask.words)
    if told in phases:
        return told, mask.doubts
    fitting = mask.fitting(phases.values())
    if len(fitting) == 1:
        return next(phase for phase, scan in phases.items() if scan is fitting[0]), mask.doubts
    others = mask.fitting(unplaced)
    numbers = list(dict.fromkeys(scan.cell for scan in unplaced))
    place = f"unplaced {numbers.index(others[0].cell) + 1}" if others else "no scan"
    what = "several phases" if fitting else place
    return None, [*mask.doubts, f"which phase a mask was drawn on is not told (it fits {what}): taken as the last"]
