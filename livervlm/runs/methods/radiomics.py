"""Measures of rings and texture, and trees: the baseline without a network."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...base.profiles import Profile
from ...scans.lesions import LesionSet
from .method import Fitted, Method, Watch


@dataclass(frozen=True)
class Radiomics(Method):
    """`radiomics.fit`; it has no settings."""

    name: ClassVar[str] = "radiomics"

    def fit(self, lesions: LesionSet, train: np.ndarray, profile: Profile, seed: int, watch: Watch = None) -> Fitted:
        from ...models import radiomics

        return Fitted(radiomics.fit(lesions, train, seed))
