"""LiLNet, whole or with parts taken away: one network for all classes, or a cascade of three."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from ...base.profiles import Profile
from ...models.settings import LiLNetSettings
from ...scans.lesions import LesionSet
from .method import Answer, Fitted, Method, Watch


@dataclass(frozen=True)
class TrainedLiLNet(Method):
    """lilnet: fields of `LiLNetSettings` other than classes.  cascade: benign against malignant, then which, by three
    networks.  optimizer, noise: as in `train_lilnet`.  pretrained: begin with weights from ImageNet.  averaged:
    over what belongs together, "probabilities" (paper) or "logits" (code).  A cascade has no learning curve.
    """

    name: ClassVar[str] = "lilnet"
    lilnet: Mapping[str, Any] = field(default_factory=dict)
    cascade: bool = False
    optimizer: str = "sgd"
    noise: str = "gaussian, salt and pepper"
    pretrained: bool = False
    averaged: str = "probabilities"

    def __post_init__(self):
        LiLNetSettings(("one", "other"), **self.lilnet)  # refuses what it does not know

    @property
    def needs(self) -> str:
        return "ImageNet weights" if self.pretrained else "nothing that is not here"

    def reach(self, profile: Profile) -> None:
        from ...models.encoders import build_encoder

        if self.pretrained:
            build_encoder(self.settings_for(("one", "other"), profile).encoder, 1, pretrained=True)

    def settings_for(self, classes: tuple[str, ...], profile: Profile) -> LiLNetSettings:
        """What a network for these classes is."""
        return LiLNetSettings(classes, **{"encoder": profile.encoder, **self.lilnet})

    def about(self, lesions: LesionSet, profile: Profile) -> dict[str, Any]:
        return {**super().about(lesions, profile), "model": asdict(self.settings_for(lesions.classes, profile))}

    def fit(self, lesions: LesionSet, train: np.ndarray, profile: Profile, seed: int, watch: Watch = None) -> Fitted:
        from ...models.cascade import multiplied, stage_sets
        from ...models.lilnet_training import slice_probabilities, train_lilnet

        def learn(part: LesionSet, index: np.ndarray, after_epoch=None):
            how = {"optimizer": self.optimizer, "noise": self.noise, "pretrained": self.pretrained, "seed": seed}
            settings = self.settings_for(part.classes, profile)
            return train_lilnet(part, index, settings, profile.epochs, **how, after_epoch=after_epoch, progress=False)

        def answering(model) -> Answer:
            return lambda tested, at: slice_probabilities(model, tested, at, self.averaged)

        if not self.cascade:
            model, loss = learn(lesions, train, watch and (lambda model, epoch: watch(answering(model), epoch)))
            return Fitted(answering(model), {"train_loss": loss})

        learned = [learn(part, np.arange(len(part))) for part in stage_sets(lesions, train)]

        def answer(tested: LesionSet, at: np.ndarray) -> np.ndarray:
            return multiplied(*(answering(model)(tested, at) for model, _ in learned), lesions.classes)

        return Fitted(answer, {"train_loss_by_stage": [loss for _, loss in learned]})
