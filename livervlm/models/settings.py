"""What a model is, and how it is trained: `Config` and `Recipe`."""

from dataclasses import dataclass
from typing import Any

from ..base.errors import InputError
from ..scans.conventions import WINDOW

INITS = ("scratch", "imagenet", "phase_shuffle", "simsiam")


@dataclass(frozen=True)
class Config:
    """What a model is.

    head: "text" (a prompt per class through a frozen text encoder), "prototypes" (a learned vector per class,
    no text) or "fc" (a linear layer, Table 8).  class_names: the names that stand for the classes in the prompts;
    None takes their own, and others, such as the same in another order, are a control.  logit_scale: None learns it
    as CLIP does; a number fixes it, and 1 is the raw cosine of the paper's Equation 3.
    """

    classes: tuple[str, ...]
    phases: tuple[str, ...]
    head: str = "text"
    encoder: str = "resnet18"
    template: str = "enriched"
    text_encoder: str = "minilm"
    class_names: tuple[str, ...] | None = None
    joint_dim: int = 512
    logit_scale: float | None = None
    window: tuple[float, float] = WINDOW


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.  The default: from random weights, phases in canonical order.

    init: "scratch"; "imagenet"; or a pretext on the training images, "phase_shuffle" or "simsiam", for as many
    epochs as the profile has.
    probe: a key of `pretext.PROBES`, through which the pretext sees its images.
    unlabelled: phantom patients that the pretext sees as well, at the same number of steps.
    augmentation: a key of `augmentation.AUGMENTATIONS`, or none.
    geometry: a key of `geometry.GEOMETRIES`, for the pretext too; None takes the profile's.
    epochs: times the profile's: 2 gives a start from scratch the steps of a pretext, 6 is "six versions of each image".
    every_order: answer with the mean over all phase orders.
    """

    init: str = "scratch"
    probe: str | None = None
    unlabelled: int = 0
    augmentation: str | None = None
    geometry: str | None = None
    epochs: int = 1
    every_order: bool = False

    def __post_init__(self):
        choose("init", self.init, INITS)


def choose(name: str, value: Any, known) -> Any:
    """`value`, where it is among the known ones; otherwise an `InputError` that names the field of the recipe."""
    if value not in known:
        raise InputError(f"recipe: {name} {value!r} is unknown: choose one of {', '.join(map(str, known))}")
    return value
