"""Profiles: how large a run is.  Resolution, epochs and the default text encoder; nothing else."""

import os
from dataclasses import dataclass

from .errors import InputError


@dataclass(frozen=True)
class Profile:
    """One size of run.

    size: side of the square ROI in pixels.  epochs: passes over the training groups.
    text_encoder: a key of `text.TEXT_ENCODERS`.
    """

    name: str
    size: int
    epochs: int
    text_encoder: str


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("smoke", size=48, epochs=4, text_encoder="minilm"),
        Profile("workshop", size=96, epochs=30, text_encoder="minilm"),
        Profile("recorded", size=64, epochs=20, text_encoder="minilm"),
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
