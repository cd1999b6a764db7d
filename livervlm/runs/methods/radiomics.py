"""Measures of rings and texture, and trees: the baseline without a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...base.profiles import Profile
from .method import Fitted, Method, Watch

if TYPE_CHECKING:
    import numpy as np

    from ...scans.lesions import LesionSet


@dataclass(frozen=True)
class Radiomics(Method):
    """`radiomics.fit`; it has no settings."""

    name: ClassVar[str] = "radiomics"

    def fit(self, lesions: LesionSet, train: np.ndarray, profile: Profile, seed: int, watch: Watch = None) -> Fitted:
        from ...models import radiomics

        return Fitted(radiomics.fit(lesions, train, seed))
