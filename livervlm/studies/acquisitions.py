"""Whether the phases of a study, and its masks, can be those of one patient in one examination."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from .reading import Reading, Source

DAY = 24 * 3600
SAME = 0.5  # share of tissue within 1 HU: of two scans with a noise of 10 HU it is below a tenth
TISSUE = (-150, 300)  # HU


def doubt_phases(
    sources: Mapping[str, Source], volumes: Mapping[str, np.ndarray], centred: set[str], reading: Reading
) -> None:
    """Doubts about phases, in the order in which they should have been acquired.

    volumes: phase -> (Z, Y, X) HU on one grid.  centred: phases with a mask of their own, which need not share
    positions with each other.
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
        if same_acquisition(one, two) or same_picture(volumes[p], volumes[q]):
            reading.doubt(f"{p} and {q} show the same acquisition")
        elif one.seconds is not None and two.seconds is not None and 0 < one.seconds - two.seconds < DAY / 2:
            reading.doubt(f"{q} was acquired {one.seconds - two.seconds:.0f} s before {p}: are they swapped?")


def doubt_mask(mask: Source, volume: Source, phase: str, reading: Reading) -> None:
    """Doubts about a mask that names a patient or a frame of reference, set against its phase."""
    if _differ(mask.patient, volume.patient):
        reading.doubt(f"the mask is of another patient than {phase}")
    elif _differ(mask.frame_of_reference, volume.frame_of_reference):
        reading.doubt(f"the mask was drawn in another frame of reference than {phase}")


def same_acquisition(one: Source, two: Source) -> bool:
    """By the header: two reconstructions of one scan, or one series twice."""
    scans = [(of.study, of.date, of.acquisition, of.seconds) for of in (one, two)]
    return bool(one.study) and one.seconds is not None and scans[0] == scans[1]


def same_picture(one: np.ndarray, two: np.ndarray) -> bool:
    """By what they show: noise never comes twice."""
    tissue = (one > TISSUE[0]) & (one < TISSUE[1])
    if not tissue.any():
        return False
    return float(np.mean(np.abs(one[tissue].astype(np.int32) - two[tissue]) <= 1)) > SAME


def _differ(one: str, two: str) -> bool:
    return bool(one and two and one != two)
