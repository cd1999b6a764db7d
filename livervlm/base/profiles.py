"""Profiles: how large a run is."""

import os
from dataclasses import dataclass

from .errors import InputError


@dataclass(frozen=True)
class Profile:
    """One size of run.

    size: side of the square ROI in pixels.  epochs: passes over the training groups.
    text_encoder: a key of `text.TEXT_ENCODERS`.  encoder: a key of `encoders.ENCODERS`, for models that name none.
    geometry: a key of `geometry.GEOMETRIES`, for recipes that name none.
    """

    name: str
    size: int
    epochs: int
    text_encoder: str
    encoder: str = "resnet18"
    geometry: str = "none"

    def __str__(self) -> str:
        moved = "" if self.geometry == "none" else f", pictures moved ({self.geometry})"
        text = f"text encoder {self.text_encoder}"
        return f"{self.encoder}, {self.size} pixels, {self.epochs} epochs{moved}, {text} (profile {self.name})"


PROFILES = {
    profile.name: profile
    for profile in (
        # The network and the augmentation that data/results/small_network.md chose for two cores.
        Profile("smoke", size=48, epochs=8, text_encoder="minilm", encoder="resnet10_narrow", geometry="affine"),
        Profile("workshop", size=96, epochs=30, text_encoder="minilm"),
        Profile("recorded", size=64, epochs=20, text_encoder="minilm"),
        Profile("recorded-128", size=128, epochs=20, text_encoder="minilm"),  # data/results/imagenet.md
        Profile("recorded-224", size=224, epochs=20, text_encoder="minilm"),  # data/results/scale.md
        Profile("paper", size=224, epochs=200, text_encoder="bert"),  # sections 4.1 and 3.3
    )
}


def current_profile() -> Profile:
    """The profile named by `LIVERVLM_PROFILE`; `smoke` when that is not set."""
    return get_profile(os.environ.get("LIVERVLM_PROFILE") or "smoke")


def get_profile(name: str) -> Profile:
    """The profile called `name`."""
    if name not in PROFILES:
        raise InputError(f"profile {name!r} is unknown: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
