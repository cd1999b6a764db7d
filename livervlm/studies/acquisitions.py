"""Whether the phases of a study, and its masks, can be those of one patient in one examination, each in its place."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from ..scans.conventions import PHASE_NAMES
from .names import phase_of_name
from .reading import Reading, Source
from .which_phase import Clue, doubts_about

SAME = 0.5  # share of tissue within 1 HU: of two scans with a noise of 10 HU it is below a tenth
TISSUE = (-150, 300)  # HU


def doubt_phases(
    sources: Mapping[str, Source],
    volumes: Mapping[str, np.ndarray],
    spacing: tuple[float, float, float],
    centred: set[str],
    reading: Reading,
) -> None:
    """Doubts about phases: whether they belong together, and whether each is the one as which it is given.

    volumes: phase -> (Z, Y, X) HU on one grid.  spacing: its mm along Z, Y, X.  centred: phases with a mask of their
    own, which need not share positions with each other.
    """
    for p, q in combinations(volumes, 2):
        one, two = sources[p], sources[q]
        if _differ(one.patient, two.patient):
            reading.doubt(f"{p} and {q} are of different patients")
        elif _differ(one.study, two.study):
            reading.doubt(f"{p} and {q} are of different examinations")
        elif _differ(one.date, two.date):
            reading.doubt(f"{p} and {q} were acquired on different days")
        if _differ(one.frame_of_reference, two.frame_of_reference):
            line = f"{p} and {q} have different frames of reference: positions in one say nothing about the other"
            if {p, q} <= centred:
                reading.assume(f"{line}; each has its own mask")
            else:
                reading.doubt(f"{line}; register one onto the other, or give each its own mask")
        if same_picture(volumes[p], volumes[q]):
            reading.doubt(f"{p} and {q} show the same acquisition")
    _doubt_columns(sources, {p: v for p, v in volumes.items() if p in PHASE_NAMES}, spacing, reading)


def _doubt_columns(
    sources: Mapping[str, Source],
    volumes: Mapping[str, np.ndarray],
    spacing: tuple[float, float, float],
    reading: Reading,
) -> None:
    """Doubts about single phases.  Their text is `which_phase`'s, with no word of a header or of a file's name."""
    clues = [
        Clue(sources[p].words, sources[p].seconds or None, sources[p].contrast, volume, spacing)
        for p, volume in volumes.items()  # of the seconds: midnight is what anonymizers write
    ]
    names = {p: phase_of_name(sources[p].name) for p in volumes}
    for p, lines in zip(volumes, doubts_about([*volumes], clues), strict=True):
        told = names[p]
        if told not in (None, p) and set(names.values()) != {told}:  # in all of them it is a part of the case's name
            lines = (f"the name of its file or folder says {told}", *lines)
        for line in lines:
            reading.doubt(f"{p}: {line}; is it in the right column?")
    if len(clues) > 1 and all(clue.contrast for clue in clues) and "NC" in volumes:
        reading.assume("the headers of all phases name a contrast agent, also of NC: taken to tell nothing")


def doubt_mask(mask: Source, sources: Mapping[str, Source], phase: str, reading: Reading) -> None:
    """Doubts about a mask whose header names a patient, a frame of reference or pictures, set against its phase.

    sources: of all phases.
    """
    volume = sources[phase]
    others = [p for p, other in sources.items() if _drawn_on(mask, other)]
    if _differ(mask.patient, volume.patient):
        reading.doubt(f"the mask is of another patient than {phase}")
    elif _differ(mask.frame_of_reference, volume.frame_of_reference):
        reading.doubt(f"the mask was drawn in another frame of reference than {phase}")
    elif _drawn_on(mask, volume) is False:
        where = f"{others[0]}: is it a mask_{others[0]}?" if others else "another scan"
        reading.doubt(f"by its header the mask was drawn not on {phase} but on {where}")


def _drawn_on(mask: Source, volume: Source) -> bool | None:
    """Whether the header of a mask says that it was drawn on a volume; None where it does not say on what."""
    if mask.pictures and volume.pictures:
        return not mask.pictures.isdisjoint(volume.pictures)
    return mask.series == volume.series if mask.series and volume.series else None


def same_picture(one: np.ndarray, two: np.ndarray) -> bool:
    """By what they show: noise never comes twice."""
    tissue = (one > TISSUE[0]) & (one < TISSUE[1])
    if not tissue.any():
        return False
    return float(np.mean(np.abs(one[tissue].astype(np.int32) - two[tissue]) <= 1)) > SAME


def _differ(one: str, two: str) -> bool:
    return bool(one and two and one != two)
