"""Liver-VLM, trained by a recipe; with another head, the networks that it is compared with."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from ...base.profiles import Profile
from ...models.settings import Config, Recipe
from ...scans.lesions import LesionSet
from .method import Answer, Fitted, Method, Watch


@dataclass(frozen=True)
class Trained(Method):
    """config: fields of `Config` other than classes and phases.  recipe: how it is trained."""

    name: ClassVar[str] = "train"
    config: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)

    @property
    def needs(self) -> str:
        if self.recipe.init.startswith("imagenet"):
            return "ImageNet weights"
        return "the profile's text encoder" if self._reads_text() else "nothing that is not here"

    def _reads_text(self) -> bool:
        return self.config.get("head", Config.head) == "text"

    def reach(self, profile: Profile) -> None:
        from ...models.encoders import build_encoder
        from ...models.text import TEXT_ENCODERS, find_weights

        if self.recipe.init.startswith("imagenet"):
            build_encoder(self.config.get("encoder", profile.encoder), 3, pretrained=True)
        encoder = self.config.get("text_encoder", profile.text_encoder)
        if self._reads_text() and encoder in TEXT_ENCODERS and encoder != "minilm":  # whose features are shipped
            find_weights(TEXT_ENCODERS[encoder])

    def about(self, lesions: LesionSet, profile: Profile) -> dict[str, Any]:
        from ...models.trainer import config_for

        config = config_for(lesions, profile, **self.config)
        encoder = config.text_encoder if config.head == "text" else None
        return {**super().about(lesions, profile), "model": asdict(config), "text_encoder": encoder}

    def fit(self, lesions: LesionSet, train: np.ndarray, profile: Profile, seed: int, watch: Watch = None) -> Fitted:
        from ...models.trainer import config_for, train_model
        from ...models.training import predict
        from ...scans.phases import prompt_rows
        from ...scans.windowing import images

        config = config_for(lesions, profile, **self.config)

        def answering(model) -> Answer:
            def answer(tested: LesionSet, at: np.ndarray) -> np.ndarray:
                if not config.incomplete:
                    tested.require_every_phase("a model that was trained on whole slices")
                pictures, rows = images(tested, at, config.window), prompt_rows(tested.present, at)
                prob = predict(model, pictures, rows=rows, every_order=self.recipe.every_order)
                return prob.double().numpy()

            return answer

        after_epoch = watch and (lambda model, epoch: watch(answering(model), epoch))
        model, loss = train_model(
            lesions, train, config, profile, self.recipe, seed=seed, after_epoch=after_epoch, progress=False
        )
        cosines = {"class cosines": _class_cosines(model)} if config.head == "text" else {}
        return Fitted(answering(model), {"train_loss": loss, **cosines})


def _class_cosines(model) -> dict[str, list]:
    """Between the classes' vectors, (C, C), as the text encoder and as FC_T make them."""
    import torch
    from torch.nn.functional import normalize

    with torch.inference_mode():
        vectors = {"before FC_T": normalize(model.head.text[0], dim=1), "after FC_T": model.head.class_embeddings()[0]}
        return {name: (v @ v.T).cpu().double().numpy().round(4).tolist() for name, v in vectors.items()}
