"""What can mislead in a data set before a model is trained on it: `audit` asks every check and sorts the answers."""

from collections.abc import Callable

import pandas as pd

from ...scans.lesions import LesionSet
from .balance import folds, labels, sizes
from .duplicates import copies
from .finding import SEVERITIES, Finding
from .metadata import read_metadata as read_metadata
from .metadata import shortcut
from .values import air, blank, clipped, hounsfield, liver, timing

CHECKS: tuple[Callable[[LesionSet], list[Finding]], ...] = (
    *(copies, labels, folds, sizes),
    *(blank, air, clipped, liver, timing, hounsfield),
)


def audit(lesions: LesionSet, metadata: pd.DataFrame | None = None) -> list[Finding]:
    """All findings, errors first, then doubts, then notes.

    metadata: a line a patient, indexed by its number in the set, as `read_metadata` gives it.  Patients in two groups
    need no check: a `LesionSet` refuses them.  A finding names patients and slices by their numbers in the set alone.
    """
    found = [finding for check in CHECKS for finding in check(lesions)] + shortcut(lesions, metadata)
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
