"""The phantom patients of the page: a slice of each, and the same slice with a part of the lesion really left out."""

from dataclasses import dataclass

import numpy as np

from ...scans.lesions import LesionSet


@dataclass(frozen=True, eq=False)
class LivePatients:
    """What a page shows of N patients.

    slices: one of each, with masks.  words: what is said of each, such as "necrosis, atypical; 31 mm".
    less: (M, P, S, S) int16, a slice as it is less the one without a part: zero but for where the part was.  owner:
    (M,), whose slice that is; part: which part.  noise: (P, S, S) int16, white, of sd 1000, for readers who want some.
    """

    slices: LesionSet
    words: list[str]
    owner: np.ndarray
    part: list[str]
    less: np.ndarray
    noise: np.ndarray

    def parts_of(self, patient: int) -> list[str]:
        """What can be taken away from a patient."""
        return [part for part, owner in zip(self.part, self.owner.tolist(), strict=True) if owner == patient]

    def hu(self, patient: int, without: str | None = None) -> np.ndarray:
        """(P, S, S) int16: a patient's slice, without one of its parts."""
        whole = self.slices.hu[patient]
        if without is None:
            return whole
        return whole - self.less[np.flatnonzero(self.owner == patient)[self.parts_of(patient).index(without)]]
