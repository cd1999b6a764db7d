"""`Study`: what the phantom and real scans have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..base.errors import InputError

PADDING = -1024  # HU of air; scanners fill what they did not scan with lower values still


@dataclass(frozen=True, eq=False)
class Study:
    """One lesion of one patient: a volume per phase, all on one voxel grid, and where the lesion is.

    volumes: phase -> (Z, Y, X) HU.  spacing: mm along Z, Y, X.
    reference: the phase on which the box lies.
    box: (z0, z1, y0, y1, x0, x1) voxels, ends excluded, of the lesion in the reference phase.
    centres: phase -> lesion centre (z, y, x) in voxels where it is known phase by phase; phases breathe apart.
    masks: name -> phase -> (Z, Y, X) bool, for "lesion" and its causal parts, where they are known, in every phase.

    Raises `InputError` where there is no volume of the reference phase.
    """

    volumes: Mapping[str, np.ndarray]
    spacing: tuple[float, float, float]
    reference: str
    box: tuple[int, int, int, int, int, int]
    centres: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    masks: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self):
        if self.reference not in self.volumes:
            raise InputError(f"reference phase {self.reference}: the study has only {', '.join(self.volumes)}")
