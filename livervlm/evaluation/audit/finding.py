"""What a check found."""

from dataclasses import dataclass

import numpy as np

from ...scans.lesions import LesionSet

SEVERITIES = ("error", "doubt", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that a reader of the set's results has to know.

    severity: "error", a result would be wrong; "doubt", someone has to look; "note", so it is.  check: its subject in a
    word.  what: a sentence, without a patient's number.  patients, slices: whom it concerns; a slice is its place in
    the set, as `livervlm predict` counts.  Both are empty where it concerns the set as a whole.
    """

    severity: str
    check: str
    what: str
    remedy: str
    patients: tuple[int, ...] = ()
    slices: tuple[int, ...] = ()

    @classmethod
    def of_slices(cls, severity: str, check: str, what: str, remedy: str, lesions: LesionSet, slices: np.ndarray):
        """A finding about some slices, positions in the order in which they are to be shown."""
        patients = np.unique(lesions.patient[slices]).tolist()
        return cls(severity, check, what, remedy, tuple(patients), tuple(np.asarray(slices).tolist()))


def count(n: int, noun: str) -> str:
    """ "1 slice", "2 slices"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"
