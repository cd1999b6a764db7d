"""A folder of DICOM, sorted: which CT series are in it, what is no picture of them, what is not whole."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.uid import UID

from ..base.errors import InputError
from .frames import Frame, frames_of, read_header
from .parts import Series, along, counted, parted, place
from .reading import DAMAGED, Reading

CT = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")  # PS3.4, B.5
SIDE_PICTURES = {"LOCALIZER": "localizer", "SCREEN SAVE": "screen save", "DOSE_INFO": "dose report"}
SLICE_NAMES = (".dcm", ".dicom", ".ima")
POINTERS = (b"version https://git-lfs", b"/annex/objects", b"../.git/annex")
MODALITIES = ("MR", "PT", "NM", "US", "CR", "DX", "MG", "XA", "SEG", "RTSTRUCT", "RTDOSE", "SR", "OT", "SC")
NAME_ONE = "name one, as FOLDER#1 for the first in time"


@dataclass(eq=False)
class Sorted:
    """What a folder holds.

    left_out: kind -> how many.  broken: pictures that are not whole.  lost: files that have the name of a slice and are
    no DICOM.  objects: header of every DICOM file that is no CT picture, by its file.
    """

    series: list[Series] = field(default_factory=list)
    left_out: Counter = field(default_factory=Counter)
    broken: int = 0
    lost: int = 0
    objects: dict[Path, Dataset] = field(default_factory=dict)


def sop_class(header: Dataset) -> str:
    """What kind of object it is; anonymizers empty the tag and leave its twin in the file's preamble."""
    twin = header.file_meta.get("MediaStorageSOPClassUID", "") if "file_meta" in header.__dict__ else ""
    told = str(header.get("SOPClassUID") or twin or "")
    return told or (CT[0] if header.get("Modality") == "CT" and "Rows" in header else "")


def is_dicom(file: Path) -> bool:
    """By content: with the preamble of part 10, or a bare data set that begins with group 2 or 8."""
    with open(file, "rb") as content:
        head = content.read(132)
    return head[128:] == b"DICM" or head[:4] in (
        b"\x08\0\0\0",
        b"\x08\0\5\0",
        b"\x08\0\x08\0",
        b"\x08\0\x16\0",
        b"\2\0\0\0",
    )


def sort_folder(folder: Path) -> Sorted:
    """Walk a folder, folders in it too, and sort the CT pictures by what makes them one volume."""
    found = Sorted()
    return sort_files(_files(folder, found.left_out), found)


def sort_files(files: Iterable[Path], found: Sorted) -> Sorted:
    """The same for some files; they are added to what was found before."""
    frames, others = [], []
    for file in files:
        if not file.stat().st_size or not is_dicom(file):
            others.append(file)
            continue
        try:
            header = read_header(file)
            kind = sop_class(header)
            side = [name for mark, name in SIDE_PICTURES.items() if mark in str(header.get("ImageType") or "").upper()]
            if kind not in CT:
                found.objects[file] = header
                if not kind.startswith("1.2.840.10008.1.3."):  # the medium's own directory
                    found.left_out[kind_name(kind)] += 1
            elif side:
                found.left_out[side[0]] += 1
            elif "Rows" not in header:
                found.broken += 1
            else:
                frames += frames_of(file, header)
                found.objects[file] = header if header.get("Modality") not in (None, "", "CT") else Dataset()
        except DAMAGED:
            found.broken += 1
    shapes = {_shape_of(frame.file) for frame in frames}
    for file in others:
        if _is_lost_slice(file, shapes):
            found.lost += 1
        else:
            found.left_out["other file"] += 1
    found.series = _without_localizers(parted(frames, found.left_out), found.left_out)
    return found


def numbered(path: Path) -> tuple[Path, int | None]:
    """A folder and a number: `study#2` is the second series in `study`, where nothing has that very name."""
    told = re.fullmatch(r"(.+)#([1-9]\d{0,3})", path.name)
    return (path.with_name(told[1]), int(told[2])) if told and not path.exists() else (path, None)


def in_order(series: Iterable[Series]) -> list[Series]:
    """Those of more than one place, as they were acquired; of one moment, by the names of their files."""

    def when(one: Series) -> tuple:
        seconds = [frame.source.seconds for frame in one.frames if frame.source.seconds is not None]
        first = min((str(frame.file), frame.index) for frame in one.frames)
        return one.frames[0].source.date, min(seconds, default=np.inf), first

    return sorted((one for one in series if len(set(map(place, one.frames))) > 1), key=when)


def the_series(folder: Path, reading: Reading, number: int | None = None) -> list[Frame]:
    """The frames of the one CT series in a folder; an error where there is none, several, or part of one.

    number: take this one of several, from 1, `in_order`.
    """
    found = sort_folder(folder)
    n = sum(len(series.frames) for series in found.series)
    if found.broken:
        raise InputError(
            f"{found.broken} DICOM files beside its {n} slices are no whole images; copy "
            "them again, or move what is not a slice elsewhere"
        )
    if found.lost:
        raise InputError(
            f"{found.lost} files with the name of a slice beside its {n} slices are empty or no DICOM "
            "(pointers, error pages?); fetch or copy them again, or move what is not a slice elsewhere"
        )
    if not found.series:
        pictures = [header for header in found.objects.values() if "Rows" in header]
        if pictures:
            raise InputError(f"modality {modality(pictures[0])} is not CT; give a CT series, in Hounsfield units")
        raise InputError("no DICOM image in this folder")
    pictures = [frame for series in found.series for frame in series.frames]
    if number is not None:
        several = in_order(found.series)
        if number > len(several):
            raise InputError(f"series {number} was asked for; the folder has {len(several)}")
        reading.assume(f"series {number} of the {len(several)} in its folder, in the order of time")
        found.series = [several[number - 1]]
    frames = _only(found, reading, f"{NAME_ONE}, or move what is no slice elsewhere")
    _tell_missing(frames, pictures, reading)
    return frames


def the_file(path: Path, header: Dataset, reading: Reading) -> list[Frame]:
    """The frames of the one CT volume in a file of DICOM."""
    found = Sorted()
    found.series = parted(frames_of(path, header), found.left_out)
    frames = _only(found, reading, "give one phase a file")
    _tell_missing(frames, frames, reading)
    return frames


def _only(found: Sorted, reading: Reading, remedy: str) -> list[Frame]:
    if len(found.series) > 1:
        counts = counted(len(series.frames) for series in found.series)
        if len({series.frames[0].tags["series"] for series in found.series}) > 1:
            raise InputError(f"{len(found.series)} DICOM series, of {counts} slices; {NAME_ONE}")
        raise InputError(f"its slices differ in {found.series[0].why}: {counts} slices; {remedy}")
    for kind, count in sorted(found.left_out.items()):
        reading.leave_out(f"{count} x {kind}")
    return found.series[0].frames


def _tell_missing(frames: list[Frame], pictures: Iterable[Frame], reading: Reading) -> None:
    """What the numbers of a series' pictures, and their count in the header, say of pictures that are not here.

    pictures: all that are, of other volumes of the series, too: these may share its numbers.  A line shows no number of
    the header, which may hold anything.
    """
    of_series = [frame for frame in pictures if frame.tags["series"] == frames[0].tags["series"]]
    counts: dict[str, int] = {}  # by the acquisition; some write that of all their acquisitions
    for frame in of_series:
        acquisition = frame.tags["acquisition"]
        counts[acquisition] = max(counts.get(acquisition, 0), frame.counted or 0)
    told = max(counts.values())
    told = told if told >= len(of_series) else sum(counts.values())
    if told > len(of_series):
        reading.doubt(
            f"its header counts more pictures than the {len(of_series)} that are here: was the series cut short or "
            "thinned, or are the others of another reconstruction?"
        )
    known = {frame.number for frame in of_series}
    if None in known or any(frame.position is None or frame.axes is None for frame in frames):
        return
    steps = np.diff([frame.number for frame in along(frames)])
    first, last = min(frame.number for frame in frames), max(frame.number for frame in frames)
    if (steps > 0).all() or (steps < 0).all():  # else they do not count slices
        missing = last - first + 1 - sum(first <= number <= last for number in known)
        if missing:
            reading.doubt(f"the numbers of its {len(frames)} slices leave some out: was the series thinned?")
        if min(known) > 1:
            reading.assume("the numbers of its slices begin above 1: taken as all there are")


def modality(header: Dataset) -> str:
    """A word of the standard, or none: a header may hold anything."""
    told = str(header.get("Modality") or "")
    return told if told in MODALITIES else "of another kind"


def _files(folder: Path, left_out: Counter) -> Iterable[Path]:
    for here, folders, names in os.walk(folder):
        for name in sorted(folders):
            if Path(here, name).is_symlink():
                left_out["linked folder"] += 1
        folders.sort()
        for file in (Path(here, name) for name in sorted(names)):
            if file.is_file():  # a link to a file is one
                yield file
            else:
                left_out["dangling link" if file.is_symlink() else "other file"] += 1


def _shape_of(file: Path) -> str:
    """A name with its numbers taken out: slices of a series have it in common."""
    return re.sub(r"[\d.]*\d", "#", file.name)


def _is_lost_slice(file: Path, shapes: set[str]) -> bool:
    """Whether a file that is no DICOM stands where a slice should be: by its name, or as a pointer to one."""
    with open(file, "rb") as content:
        pointer = any(mark in content.read(200) for mark in POINTERS)
    return (
        pointer
        or file.suffix.lower() in SLICE_NAMES
        or (bool(re.search(r"\d", file.name)) and _shape_of(file) in shapes)
    )


def kind_name(kind: str) -> str:
    name = UID(kind).name
    return "DICOM object of unknown kind" if name == kind else name.removesuffix(" Storage")


def _without_localizers(groups: list[Series], left_out: Counter) -> list[Series]:
    """Series of up to three pictures across the largest one's slices: localizers, whatever they are called."""
    largest = max(groups, key=lambda g: len(g.frames), default=None)
    kept = []
    for group in groups:
        a, b = group.frames[0], largest.frames[0]
        across = a.axes is not None and b.axes is not None and abs(np.cross(*a.axes) @ np.cross(*b.axes)) < 0.5
        if across and len(group.frames) <= 3 < len(largest.frames) and a.tags["series"] != b.tags["series"]:
            left_out["localizer"] += len(group.frames)
        else:
            kept.append(group)
    return kept
