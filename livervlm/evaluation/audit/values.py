"""What the Hounsfield units of a set say about how it was read: blank phases, air, clipping, and the liver's order."""

from itertools import combinations

import numpy as np

from ...scans.lesions import LesionSet
from ...scans.study import PADDING
from .finding import Finding, count

BLANK = 5  # HU between the lowest and the highest value of a picture that shows nothing
AIR = -200.0  # HU; nothing in a liver lies below
MOST_AIR = 0.05  # share of the middle, where the lesion is, or of padding anywhere
# Share of a patient's pixels that lie on its lowest or highest value in a phase.  In the phantom at most .001; a
# picture clipped to a window piles up on its ends.
PILE = 0.02
SOFT = -20.0  # HU; fat and air beside the liver lie below, a liver full of fat hardly ever
LEAST_SOFT = 0.1  # share of the frame; where less of it is soft tissue, nothing is said of the liver
# Where the median of a patient's liver may lie.  The medians of MCT-LTDiag and WAW-TACE are 54 and 46, 72 and 56,
# 104 and 90, 86 and 82 HU (`data/enhancement.csv`); this leaves room for fat, iron, and for vessels in the frame.
LIVER = {"NC": (-10, 95), "ART": (0, 140), "PV": (20, 190), "DL": (10, 170)}
# The phases between which a liver's brightness rises; of PV and DL it is the delayed one that is darker.  SLACK, HU, is
# for noise and an early arterial phase.  Of 1,220 patients of the phantom in 12 cohorts two are named, both scanned
# early, with DL over PV.  Two phases of one patient that are swapped are found in 85 % (NC, ART), 100 % (NC, PV),
# 99 % (ART, PV) and 80 % (PV, DL).
RISING = (("NC", "ART"), ("NC", "PV"), ("NC", "DL"), ("ART", "PV"), ("DL", "PV"))
SLACK = 10


def is_blank(lesions: LesionSet) -> np.ndarray:
    """(N, P): pictures that show nothing."""
    return np.array([[np.ptp(picture.astype(np.int32)) < BLANK for picture in phases] for phases in lesions.hu])


def blank(lesions: LesionSet) -> list[Finding]:
    """Phases without a picture: a phase that was not scanned, or not so far; a note where the set says so itself."""
    found, known = [], np.zeros(lesions.hu.shape[:2], dtype=bool)
    if lesions.present is not None:
        known = ~lesions.present
        for phase, lacking in zip(lesions.phases, known.T, strict=True):
            patients = np.unique(lesions.patient[lacking])
            if len(patients):
                what, remedy = (
                    f"{count(len(patients), 'patient')} have no {phase}",
                    "compare patients that have the same phases",
                )
                found.append(Finding("note", "phases", what, remedy, tuple(patients.tolist())))
    for phase, missing in zip(lesions.phases, (is_blank(lesions) & ~known).T, strict=True):
        if missing.any():
            slices = np.flatnonzero(missing)
            what = f"{phase} shows nothing in {count(len(slices), 'slice')}"
            remedy = "the phase is missing there; leave these lesions out, or use the set with the phases that all have"
            found.append(Finding.of_slices("error", "phases", what, remedy, lesions, slices))
    return found


def air(lesions: LesionSet) -> list[Finding]:
    """Slices with air where the lesion should be, or with padding, in a phase that shows something."""
    quarter = lesions.size // 4
    here = np.zeros(len(lesions), dtype=bool)
    for i, phases in enumerate(lesions.hu):
        middle = phases[:, quarter:-quarter, quarter:-quarter]
        airy = np.mean(middle < AIR, axis=(1, 2)) > MOST_AIR
        padded = np.mean(phases <= PADDING, axis=(1, 2)) > MOST_AIR
        here[i] = ((airy | padded) & (np.ptp(phases.astype(np.int32), axis=(1, 2)) >= BLANK)).any()
    slices = np.flatnonzero(here)
    if not len(slices):
        return []
    what = f"{count(len(slices), 'slice')} with air where the lesion should be, or with padding"
    remedy = "look whether box, mask and phases fit each other; lung beside a lesion at the dome is no fault"
    return [Finding.of_slices("doubt", "air", what, remedy, lesions, slices)]


def clipped(lesions: LesionSet) -> list[Finding]:
    """Patients whose pixels pile up on an end of their range."""
    ends = piles(lesions)
    cut = np.isfinite(ends).any(axis=1)
    if not cut.any():
        return []
    values = ", ".join(f"{v:g}" for v in np.unique(ends[np.isfinite(ends)])[:6])
    what = f"{count(int(cut.sum()), 'patient')} whose values end as if cut off, at {values} HU"
    remedy = "the scan was windowed before it was stored; import the original with all its Hounsfield units"
    return [_of_patients("clipped", what, remedy, lesions, cut)]


def piles(lesions: LesionSet) -> np.ndarray:
    """(patients, 2): the lowest and the highest value where a patient's pixels pile up on it in a phase, else NaN."""
    patients = np.unique(lesions.patient)
    ends = np.full((len(patients), 2), np.nan)
    for row, patient in zip(ends, patients, strict=True):
        for values in np.moveaxis(lesions.hu[lesions.patient == patient], 1, 0):
            low, high = values.min(), values.max()
            if int(high) - int(low) >= BLANK:
                if low > PADDING and np.mean(values == low) > PILE:
                    row[0] = np.fmax(row[0], low)
                if np.mean(values == high) > PILE:
                    row[1] = np.fmin(row[1], high)
    return ends


def around(lesions: LesionSet) -> np.ndarray:
    """(patients, P): median HU of soft tissue in the frame of a patient's ROIs, mostly liver; NaN with next to none."""
    edge = lesions.size // 8
    frame = np.ones((lesions.size, lesions.size), dtype=bool)
    frame[edge:-edge, edge:-edge] = False
    table = np.full((len(np.unique(lesions.patient)), len(lesions.phases)), np.nan)
    for row, patient in zip(table, np.unique(lesions.patient), strict=True):
        for p, values in enumerate(np.moveaxis(lesions.hu[lesions.patient == patient][..., frame], 1, 0)):
            if np.mean(values > SOFT) >= LEAST_SOFT and np.ptp(values.astype(np.int32)) >= BLANK:
                row[p] = np.median(values[values > SOFT])
    return table


def liver(lesions: LesionSet) -> list[Finding]:
    """Phases in which what lies around the lesion is no liver, or the values are no Hounsfield units."""
    found, table = [], around(lesions)
    for phase, values in zip(lesions.phases, table.T, strict=True):
        low, high = LIVER.get(phase, (-np.inf, np.inf))
        strange = (values < low) | (values > high)
        if strange.any():
            medians = " to ".join(dict.fromkeys(f"{f(values[strange]):.0f}" for f in (np.min, np.max)))
            what = (
                f"around the lesion {phase} has a median of {medians} HU in {count(int(strange.sum()), 'patient')}; "
                f"a liver has {low} to {high}"
            )
            remedy = "check that the values are Hounsfield units (slope, intercept, 8-bit pictures) and the phase right"
            found.append(_of_patients("liver HU", what, remedy, lesions, strange))
    return found


def hounsfield(lesions: LesionSet) -> list[Finding]:
    """A note of how bright what is around the lesion, and inside it where that is known, is in each phase."""
    places = {"around": [column[np.isfinite(column)] for column in around(lesions).T]}
    if "lesion" in lesions.mask_names:
        inside = lesions.mask("lesion")
        places["inside"] = [lesions.hu[:, p][inside[:, p]] for p in range(len(lesions.phases))]
    said = [
        f"{place} the lesion "
        + ", ".join(f"{phase} {np.median(v):.0f}" for phase, v in zip(lesions.phases, values, strict=True) if len(v))
        for place, values in places.items()
    ]
    remedy = "compare with other scans: livers have medians of about 54, 72, 104 and 86 HU in NC, ART, PV and DL"
    return [Finding("note", "HU", f"median HU {'; '.join(said)}", remedy)]


def timing(lesions: LesionSet) -> list[Finding]:
    """Phases between which the liver gets darker where contrast can only make it brighter: swapped names, or timing."""
    found, table = [], around(lesions)
    for first, second in combinations(lesions.phases, 2):
        for earlier, later in {(first, second), (second, first)} & set(RISING):
            fall = table[:, lesions.phases.index(earlier)] - table[:, lesions.phases.index(later)]
            if (fall > SLACK).any():
                what = (
                    f"the liver is up to {np.nanmax(fall):.0f} HU brighter in {earlier} than in {later} in "
                    f"{count(int((fall > SLACK).sum()), 'patient')}"
                )
                remedy = (
                    "compare the times of acquisition; two phases are swapped, or one was scanned too early or late"
                )
                found.append(_of_patients("timing", what, remedy, lesions, fall > SLACK))
    return found


def _of_patients(check: str, what: str, remedy: str, lesions: LesionSet, which: np.ndarray) -> Finding:
    """A doubt about all slices of some patients, (patients,) bool."""
    slices = np.flatnonzero(np.isin(lesions.patient, np.unique(lesions.patient)[which]))
    return Finding.of_slices("doubt", check, what, remedy, lesions, slices)
