"""Frames of DICOM, parted into volumes: by what slices of one have in common, and by what tells two of them apart.

One series, one file or one even stack may hold several: phases, reconstructions, two patients under one number.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .frames import Frame, forget, kept_values

APART = 8.0  # seconds of pause between acquisitions that are not steps of one scan
TURN = 1.0  # seconds: time that runs back by more along the body is no rounding
MANY = 6  # parts of which a line tells the size
DAY = 24 * 3600.0
# What slices of one volume have in common, whatever the header says else.
COMMON: dict[str, Callable[[Frame], object]] = {
    "patient": lambda f: f.source.patient,
    "examination": lambda f: f.source.study,
    "frame of reference": lambda f: f.tags["frame of reference"],
    "orientation": lambda f: None if f.axes is None else tuple(np.rint(f.axes.ravel() * 500)),
    "matrix": lambda f: f.shape,
    "pixel spacing": lambda f: None if f.spacing is None else tuple(np.rint(f.spacing * 2000)),
}
# What is the same for all slices of a scan and its reconstruction, but for a scan in steps.
STEPS = ("acquisition", "acquisition time")
SETTINGS = (
    *("temporal position", "cardiac phase", "reconstruction kernel", "image type", "slice thickness"),
    *("tube voltage", "contrast agent", "description", "acquisition date"),
)


@dataclass(eq=False)
class Series:
    """Frames that belong to one volume, in no order yet."""

    frames: list[Frame]
    why: str = ""  # what sets it apart from the rest of its series, where the series has several


def parted(frames: list[Frame], left_out: Counter) -> list[Series]:
    """The volumes that some frames make up; identical copies are counted in `left_out`."""
    groups = [Series(of) for of in _by(frames, lambda f: f.tags["series"])]
    for name, common in COMMON.items():
        groups = [part for group in groups for part in _parts(group, _by(group.frames, common), name)]
    whole = []
    try:
        for group in groups:
            group.frames = _without_copies(group.frames, left_out)
            whole += _apart(group)
    finally:
        forget()
    return whole


def counted(counts: Iterable[int]) -> str:
    """Sizes of parts in words, of many the first."""
    shown = [str(n) for n in counts]
    return " and ".join([*shown[:MANY], *(["others"] if len(shown) > MANY else [])])


def place(frame: Frame) -> tuple | None:
    """Where a frame lies, to 0.01 mm."""
    return None if frame.position is None else tuple(np.rint(frame.position * 100))


def along(frames: list[Frame]) -> list[Frame]:
    """Frames of one orientation in the order of their places along its normal."""
    normal = np.cross(*frames[0].axes)
    return sorted(frames, key=lambda frame: float(frame.position @ normal))


def _by(frames: list[Frame], key: Callable[[Frame], object]) -> list[list[Frame]]:
    groups: dict = {}
    for frame in frames:
        groups.setdefault(key(frame), []).append(frame)
    return list(groups.values())


def _parts(group: Series, parts: list[list[Frame]], why: str) -> list[Series]:
    return [group] if len(parts) < 2 else [Series(part, group.why or why) for part in parts]


def _without_copies(frames: list[Frame], left_out: Counter) -> list[Frame]:
    """Of pictures at one place with the same pixels and rescale, the first."""
    kept: list[Frame] = []
    for same in _by(frames, place):
        pictures = set()
        for frame in same:
            if len(same) > 1 and frame.position is not None:
                picture = (kept_values(frame.file)[1][frame.index].tobytes(), frame.rescale)
                if picture in pictures:
                    left_out["identical copy"] += 1
                    continue
                pictures.add(picture)
            kept.append(frame)
    return kept


def _apart(group: Series) -> list[Series]:
    """Several volumes of one series: at the same places, between each other's slices, or one after the other."""
    if group.frames[0].axes is None or any(frame.position is None for frame in group.frames):
        return [group]
    for name, parts in _ways(group.frames):
        if len(parts) > 1:
            return [whole for part in _parts(group, parts, name) for whole in _apart(part)]
    return [group]


def _ways(frames: list[Frame]) -> Iterator[tuple[str, list[list[Frame]]]]:
    """Ways to part frames, the plainest first: what tells the parts apart, and the parts."""
    doubled = max(Counter(map(place, frames)).values()) > 1
    ordered = along(frames)
    for name in (STEPS[0], *SETTINGS, *(STEPS[1:] if doubled else ())):
        parts = _by(ordered, lambda frame, name=name: frame.tags[name])
        if 1 < len(parts) <= len(frames) // 2:
            runs = 1 + sum(one.tags[name] != two.tags[name] for one, two in pairwise(ordered))
            alone = all(max(Counter(map(place, part)).values()) == 1 for part in parts)
            if alone if doubled else runs > len(parts):  # one setting comes back after another
                yield name, parts
    yield STEPS[1], _sweeps(ordered)
    if not doubled and any(frame.source.seconds is None for frame in frames):
        yield STEPS[0], _by(frames, lambda frame: frame.tags[STEPS[0]])


def _sweeps(ordered: list[Frame]) -> list[list[Frame]]:
    """Frames along the body, parted at pauses of the scanner; where time runs to and fro, at the longest one."""
    times = [frame.source.seconds for frame in ordered]
    if None in times or len(times) < 2:
        return [ordered]
    seconds = np.array(times, dtype=float)
    if np.ptp(seconds) > DAY / 2:  # over midnight
        seconds[seconds < DAY / 2] += DAY
    steps, moments = np.diff(seconds), np.sort(seconds)
    gaps = np.diff(moments)
    to_and_fro = steps.max() > TURN and steps.min() < -TURN
    pauses = gaps >= min(APART, gaps.max()) if to_and_fro else gaps > APART
    number = np.searchsorted(moments[1:][pauses], seconds, side="right")
    return [[frame for frame, n in zip(ordered, number, strict=True) if n == one] for one in np.unique(number)]
