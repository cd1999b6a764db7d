"""A published vision-language model, asked as it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ...base.errors import InputError
from ...base.profiles import Profile
from ...scans.lesions import LesionSet
from .method import Fitted, Method, Watch


@dataclass(frozen=True)
class ZeroShot(Method):
    """zero_shot: `model`, a key of `zero_shot.BASELINES`, and the arguments of `zero_shot_probabilities`."""

    name: ClassVar[str] = "zero_shot"
    zero_shot: Mapping[str, str] = field(default_factory=lambda: {"model": "clip"})

    def __post_init__(self):
        if "model" not in self.zero_shot:
            raise InputError("zero_shot: name the `model`, as clip")

    @property
    def needs(self) -> str:
        return f"the weights of {self.zero_shot['model']}"

    def reach(self, profile: Profile) -> None:
        from ...models import zero_shot

        zero_shot.load(self.zero_shot["model"])

    def fit(self, lesions: LesionSet, train: np.ndarray, profile: Profile, seed: int, watch: Watch = None) -> Fitted:
        from ...models import zero_shot

        how = dict(self.zero_shot)
        model = zero_shot.load(how.pop("model"))

        def answer(tested: LesionSet, at: np.ndarray) -> np.ndarray:
            return zero_shot.zero_shot_probabilities(tested.subset(at), model, **how, progress=False)

        return Fitted(answer)
