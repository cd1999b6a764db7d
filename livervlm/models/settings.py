"""What a model is, and how it is trained: `Config` and `Recipe` of Liver-VLM, and `LiLNetSettings`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..base.errors import InputError
from ..scans.conventions import WINDOW

FARTHEST = 2**15  # HU: int16 holds no more
INITS = ("scratch", "imagenet", "phase_shuffle", "simsiam", "imagenet_phase_shuffle")


@dataclass(frozen=True)
class Config:
    """What a model is.

    encoder: a key of `encoders.ENCODERS`.  template: a key of `templates`.  text_encoder: a key of
    `text.TEXT_ENCODERS`.  joint_dim: length of the vectors whose cosine counts.  window: HU that become -1 and 1.
    head: "text" (a prompt per class through a frozen text encoder), "prototypes" (a learned vector per class,
    no text) or "fc" (a linear layer, Table 8).  class_names: the names that stand for the classes in the prompts;
    None takes their own, and others, such as the same in another order, are a control.  logit_scale: None learns it
    as CLIP does; a number fixes it, and 1 is the raw cosine of the paper's Equation 3.  incomplete: slices may lack
    phases, and their prompts name those that are there.
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
    incomplete: bool = False

    def __post_init__(self):
        check_names((*self.classes, *self.phases, *(self.class_names or ())), "config")
        low, high = self.window
        if not -FARTHEST <= low < high <= FARTHEST:  # nor is nan
            raise InputError(f"config: window {low} to {high}: give two numbers in HU, the lower one first")


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.  The default: from random weights, phases in canonical order.

    init: "scratch"; "imagenet"; or a pretext on the training images, for as many epochs as the profile has:
    "phase_shuffle" or "simsiam" from random weights, "imagenet_phase_shuffle" from those of ImageNet.
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


@dataclass(frozen=True)
class LiLNetSettings:
    """What a LiLNet is.  The defaults are the paper's; where the public code does otherwise, both have a name.

    encoder: a key of `encoders.ENCODERS` with the stages of a ResNet.
    masks: read the maps whole and without each quadrant; otherwise whole, five times.
    joint: five labels a class, one for each of the five readings; otherwise the class alone.
    depths: "both", heads on layer4 and on layer3, or "deep", on layer4 alone.
    teacher: of the self-distillation: "deep" (paper), the classifier added to the last features teaches the joint
    heads; "aggregate" (code), the joint heads teach that classifier; or "none".
    answer: "plain", the classifier added to the last features, without the joint heads (paper: they "could be omitted
    during inference"), or "aggregate", the joint heads (code; the paper, too, speaks of "aggregation inference").
    temperature: T of the distillation.  beta: weight of the heads on layer3.

    Without masks and joint labels the deep head would learn what the plain one learns, and is left out.  With "deep"
    for depths and "none" for a teacher as well, an ordinary classifier is left.
    """

    classes: tuple[str, ...]
    encoder: str = "resnet50"
    masks: bool = True
    joint: bool = True
    depths: str = "both"
    teacher: str = "deep"
    answer: str = "plain"
    temperature: float = 3.0
    beta: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "classes", tuple(self.classes))
        check_names(self.classes, "LiLNet")
        for name, known in {
            "masks": (True, False),
            "joint": (True, False),
            "depths": ("both", "deep"),
            "teacher": ("deep", "aggregate", "none"),
            "answer": ("plain", "aggregate"),
        }.items():
            choose(name, getattr(self, name), known, "LiLNet")
        if not (self.temperature > 0 and self.beta >= 0):
            raise InputError(f"LiLNet: temperature {self.temperature}, beta {self.beta}: give one above 0, one from 0")
        if not self.heads and (self.teacher, self.answer) != ("none", "plain"):
            raise InputError("LiLNet: no joint head is left; choose teacher none and answer plain")

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads beside the plain one."""
        deep = ("deep",) if self.masks or self.joint else ()
        return deep + (("shallow",) if self.depths == "both" else ())


def check_names(names: Iterable, where: str) -> None:
    """Raise `InputError` where classes or phases are no text, as in a damaged `config.json`."""
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"{where}: classes and phases are given by name")


def choose(name: str, value: Any, known, where: str = "recipe") -> Any:
    """`value`, where it is among the known ones; otherwise an `InputError` that names the field and where it stands."""
    if value not in known:
        raise InputError(f"{where}: {name} {value!r} is unknown: choose one of {', '.join(map(str, known))}")
    return value
