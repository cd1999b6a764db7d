"""A pretext by itself, measured on slices that it has not seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ...base.profiles import Profile
from ...models.settings import Recipe
from ...scans.lesions import LesionSet
from .method import Fitted, Method, Watch

MOST = 500  # slices of a pool that are measured, evenly picked


@dataclass(frozen=True)
class Pretext(Method):
    """config: fields of `Config`, of which the encoder counts.  recipe: its `init` is the pretext."""

    name: ClassVar[str] = "pretext"
    measures: ClassVar[bool] = True
    config: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=lambda: Recipe("phase_shuffle"))

    def fit(self, lesions: LesionSet, train: np.ndarray, profile: Profile, seed: int, watch: Watch = None) -> Fitted:
        import torch

        from ...base.device import best_device
        from ...models import pretext
        from ...models.trainer import config_for, pretrain
        from ...scans.windowing import images

        if self.recipe.init.endswith("phase_shuffle"):
            lesions.require_every_phase("phase shuffle")
        config = config_for(lesions, profile, **self.config)
        learned = images(lesions, train, config.window)
        model = pretrain(learned, config.encoder, profile, self.recipe, seed=seed, progress=False).to(best_device())

        def measure(tested: LesionSet, at: np.ndarray) -> dict[str, Any]:
            pictures = images(tested, at[:: max(len(at) // MOST, 1)], config.window)
            if self.recipe.init == "simsiam":
                return {"slices": len(pictures), "output spread": round(pretext.output_spread(model, pictures), 4)}
            generator = torch.Generator().manual_seed(seed)
            probed = {"all": pictures} | {name: probe(pictures, generator) for name, probe in pretext.PROBES.items()}
            told = {name: round(100 * pretext.order_accuracy(model, p), 2) for name, p in probed.items()}
            by_border = (pretext.order_by_border(pictures) == 0).double().mean().item()  # they are in canonical order
            return {"slices": len(pictures), "order accuracy": told, "borders sorted": round(100 * by_border, 2)}

        return Fitted(measure)
