"""What every method has in common."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any, ClassVar

import numpy as np

from ...base.cache import changed
from ...base.errors import InputError
from ...base.profiles import Profile
from ...scans.lesions import LesionSet

# Slices of a set, by position, -> their class probabilities, (n, C) float64.
Answer = Callable[[LesionSet, np.ndarray], np.ndarray]
Watch = Callable[[Answer, int], None] | None  # called after an epoch with what would answer now, and the epochs done


@dataclass(frozen=True)
class Fitted:
    """What `fit` returns.  answer: see `Answer`.  found: what the record keeps of the fitting, ready for JSON."""

    answer: Answer
    found: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A way to answer for lesion slices.  The fields of a method are the keys that a row of `rows.json` may have.

    name: of the method in `rows.json`.  measures: True where `answer` gives no probabilities but a dictionary of
    measures, which the record keeps.
    """

    name: ClassVar[str]
    measures: ClassVar[bool] = False

    @property
    def settings(self) -> dict[str, Any]:
        """What sets it apart, by field, without what is at its default: it names its records."""
        parts = {name: getattr(self, name) for name in changed(self)}
        parts = {name: changed(value) if is_dataclass(value) else value for name, value in parts.items()}
        return {name: part for name, part in parts.items() if part != {}}

    @property
    def needs(self) -> str:
        """What it takes to run, in words."""
        return "nothing that is not here"

    def why_not(self, profile: Profile) -> str | None:
        """Why it cannot run here, in one line: which weights are out of reach.  Nothing is put in their place."""
        try:
            self.reach(profile)
        except InputError as error:
            return str(error)
        return None

    def reach(self, profile: Profile) -> None:
        """Look up what it needs; an `InputError` where that cannot be had."""

    def about(self, lesions: LesionSet, profile: Profile) -> dict[str, Any]:
        """What the record says of the method, beside what `fit` has found."""
        return {"method": self.name, **asdict(self)}

    def fit(self, lesions: LesionSet, train: np.ndarray, profile: Profile, seed: int, watch: Watch = None) -> Fitted:
        """Learn from the slices at the positions `train`.  watch: for learning curves, where there are epochs."""
        raise NotImplementedError
