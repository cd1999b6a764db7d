"""A tree of DICOM or NIfTI becomes studies: each with its scans, the masks that belong to it, and doubts."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..base.progress import bar
from .found import Mask, Scan, joined, object_masks, series_scan, volume_file
from .names import SESSION, VOLUMES, case_of, is_plain, phase_told, stem, words_of
from .reading import one_line
from .series import Series, Sorted, in_order, sort_files


@dataclass(eq=False)
class Study:
    """One examination of one patient.  Both texts identify: they are for comparing and hashing, never for showing."""

    patient: str
    date: str  # or what a name tells in its place: it sorts a patient's studies
    scans: list[Scan]
    masks: list[Mask] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Tree:
    """What was found.  left_out: kind -> how many, of what is in no study."""

    studies: list[Study]
    left_out: Counter


def read_tree(root: Path, progress: bool = True) -> Tree:
    """Walk a folder and group its scans and masks into studies; of scans only headers are read.

    What cannot be read costs nothing else: it is counted, and a doubt of the study beside which it lies.
    """
    left_out: Counter = Counter()
    damaged: Counter = Counter()
    parts: list[tuple[Path, Series]] = []
    scans: list[Scan] = []  # in files
    masks: list[Mask] = []
    for folder, names in bar(_folders(root, left_out, damaged), "folders", progress):
        for name in [name for name in names if name.lower().endswith(VOLUMES) and not name.startswith(".")]:
            names.remove(name)
            try:
                one = volume_file(folder / name, root)
            except (OSError, ValueError):  # an InputError, too
                damaged[folder, "file that cannot be read"] += 1
                continue
            if isinstance(one, int):
                left_out["label or segment of an organ"] += one
            else:
                (scans if isinstance(one, Scan) else masks).append(one)
        found = Sorted()
        try:
            with one_line(folder):
                sort_files((folder / name for name in names), found)
        except (OSError, ValueError):
            damaged[folder, "folder that cannot be read"] += 1
            continue
        left_out += found.left_out
        parts += [(folder, series) for series in found.series]
        masks += object_masks(found.objects, left_out)
        if found.broken or found.lost:
            damaged[folder, "picture that is not whole"] += found.broken + found.lost
    studies = [*_dicom_studies(_series(parts, root, left_out)), *_file_studies(scans, root)]
    places = _Places(root, studies)
    for mask in masks:
        if study := places.study_of(mask):
            study.masks.append(mask)
        else:
            left_out["mask that belongs to no one study"] += 1
    for (folder, what), n in damaged.items():
        left_out[what] += n
        if len(beside := places.nearest(folder)) == 1:
            beside[0].doubts.append(f"a {what} lies beside it: copy it again, or move it elsewhere")
    return Tree(studies, +left_out)


def _folders(root: Path, left_out: Counter, damaged: Counter) -> list[tuple[Path, list[str]]]:
    """Each folder with its files, by name; what is linked, is no file, or cannot stand in a CSV, is counted."""
    found = []

    def unreadable(error: OSError) -> None:
        damaged[Path(error.filename), "folder that cannot be read"] += 1

    for here, folders, names in os.walk(root, onerror=unreadable):
        for name in [name for name in folders if not _is_text(name) or Path(here, name).is_symlink()]:
            left_out["linked folder" if _is_text(name) else "folder whose name is no plain text"] += 1
            folders.remove(name)
        folders.sort()
        kept = []
        for name in sorted(names):
            file = os.path.join(here, name)
            if not os.path.isfile(file):
                left_out["dangling link" if os.path.islink(file) else "other file"] += 1
            elif not _is_text(name):
                left_out["file whose name is no plain text"] += 1
            else:
                kept.append(name)
        found.append((Path(here), kept))
    return found


def _is_text(name: str) -> bool:
    """Whether a CSV gives a name back: UTF-8, one line, no blank at an end."""
    return name == name.strip() and len(name.splitlines()) == 1 and not any("\ud800" <= c <= "\udfff" for c in name)


def _series(parts: Iterable[tuple[Path, Series]], root: Path, left_out: Counter) -> list[Scan]:
    scans, holds, own = [], defaultdict(list), {}
    for folders, frames in joined(parts):
        if len({None if frame.position is None else tuple(frame.position) for frame in frames}) < 2:
            left_out["series of one slice"] += 1
            continue
        scan = series_scan(Path(os.path.commonpath(folders)), frames, root)
        scans.append(scan)
        own[scan] = (set(folders), Series(frames))
        here = {scan.path} if scan.path.is_file() else {up for folder in folders for up in (folder, *folder.parents)}
        for path in here:
            holds[path].append(scan)
    for scan in scans:
        several = holds[scan.path]
        # Numbered as `the_series` will number them, which sorts whatever lies below a folder together.
        if len(several) > 1 and scan.path.is_dir() and all(own[other][0] == {scan.path} for other in several):
            order = in_order(own[other][1] for other in several)
            scan.place = 1 + [one.frames for one in order].index(own[scan][1].frames)
        elif len(several) > 1:
            scan.alone = False
            what = (
                "a file holds several phases: give each a file",
                "a folder holds several series: give each a folder",
            )
            held = "; ".join(s.described for s in several if s.source.study == scan.source.study)
            scan.doubts.append(f"{what[scan.path.is_dir()]}, and name it in its phase's column ({held})")
    return scans


def _dicom_studies(scans: Iterable[Scan]) -> list[Study]:
    groups = defaultdict(list)
    for scan in scans:
        of = scan.source
        groups[of.patient, of.study or of.date or ("" if of.patient else str(scan.path.parent))].append(scan)
    studies = []
    for (patient, name), group in groups.items():
        whose = f"dicom {patient}" if patient else f"study {name}"
        studies.append(Study(whose, min(scan.source.date for scan in group), group))
        if not patient:
            studies[-1].doubts.append("its header names no patient: taken as one of its own")
    return studies


def _file_studies(scans: Iterable[Scan], root: Path) -> list[Study]:
    """By folders, without those that tell what and not whose, and by what is left of the files' names."""
    homes = defaultdict(list)
    for scan in scans:
        homes[tuple(part for part in scan.path.relative_to(root).parts[:-1] if not is_plain(part))].append(scan)
    studies = []
    for home, of in homes.items():
        phases = [phase_told(words_of(scan.words)) for scan in of]
        together = len(of) > 1 and None not in phases and len({*phases}) == len(phases)
        cases = defaultdict(list)
        for scan in of:
            cases[case_of(words_of(stem(scan.path.name)))].append(scan)
        groups = {(): of} if home and (together or () in cases) else cases
        for case, group in groups.items():
            days = [word for word in case if SESSION.fullmatch(word)] if len(case) > 1 else []
            session = len(home) > 1 and SESSION.fullmatch(home[-1])
            whose = [*(home[:-1] if session else home), *(word for word in case if word not in days)]
            study = Study(f"file {'/'.join(whose)}", " ".join([*(home[-1:] if session else []), *days]), group)
            if len(cases) > 1 and len(groups) == 1:
                study.doubts.append("names differ in more than the phase: are they one patient's?")
            studies.append(study)
    return studies


class _Places:
    """Which study a mask, or what could not be read, belongs to."""

    def __init__(self, root: Path, studies: Sequence[Study]):
        self.root = root
        self.below: dict[Path, dict[Study, None]] = defaultdict(dict)
        self.named: dict[tuple[str, ...], dict[Study, None]] = defaultdict(dict)
        self.by_series: dict[str, list[Study]] = defaultdict(list)
        self.by_frame: dict[str, dict[Study, None]] = defaultdict(dict)
        self.names: dict[Study, set[tuple[str, ...]]] = {}
        for study in studies:
            for scan in study.scans:
                for path in (scan.path, *scan.path.parents):
                    self.below[path][study] = None
                if scan.source.series:
                    self.by_series[scan.source.series].append(study)
                if scan.source.frame_of_reference:
                    self.by_frame[scan.source.frame_of_reference][study] = None
            self.names[study] = {name for scan in study.scans for name in self._names(scan.path)}
            for name in self.names[study]:
                self.named[name][study] = None

    def nearest(self, path: Path) -> list[Study]:
        """The studies of the nearest folder around a path that has any."""
        while path not in self.below and path != self.root:
            path = path.parent
        return [*self.below.get(path, ())]

    def study_of(self, mask: Mask) -> Study | None:
        told = [self.by_series[uid] for uid in mask.series if uid in self.by_series]
        told.append(self.by_frame.get(mask.source.frame_of_reference, ()))
        near = self.nearest(mask.path.parent)
        own = self._names(mask.path)
        fitting = [study for study in near if mask.fitting(study.scans)] if len(near) > 1 else []
        for candidates in (*told, near, self._alike(own, near), fitting):
            if len({*candidates}) == 1:
                return next(iter(candidates))
        return None

    def _names(self, path: Path) -> set[tuple[str, ...]]:
        parts = path.relative_to(self.root).parts
        return {case_of(words_of(stem(part))) for part in parts if not is_plain(part)} - {()}

    def _alike(self, own: set[tuple[str, ...]], near: Sequence[Study]) -> list[Study]:
        """Those of which most names are in a mask's names, or begin one of them."""
        same = [study for name in own for study in self.named.get(name, ()) if len(self.named[name]) == 1]
        if len({*same}) == 1:
            return same
        scores = {
            study: sum(len(name) for name in self.names[study] if any(mine[: len(name)] == name for mine in own))
            for study in near
        }
        best = max(scores.values(), default=0)
        return [study for study, score in scores.items() if best and score == best]
