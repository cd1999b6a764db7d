"""What a reader can do to a patient's slice and to the sentences, and what the network then answers.

`engine.js` does the same in the page; the tests hold the two together.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from ...base.errors import InputError
from ...evaluation.grad_cam import class_score, grad_cam
from ...scans.conventions import CANONICAL, LILNET_CLASSES, LIVER_VLM_CLASSES, WINDOW
from ...scans.phases import order_names
from ...scans.windowing import window
from .files import Live, read_live
from .network import NETWORKS, TEMPLATES, network

HIDDEN = sum(WINDOW) / 2  # HU; the middle of the window, which a network sees as 0
EVERY = "all"  # phases, under the brush
STEP = 97  # pixels by which the noise of a patient begins later than that of the one before


@dataclass(frozen=True, kw_only=True)
class Moves:
    """A state of the live panel.  What is done to the picture is done in the order of these fields.

    without: a part that is really left out of the patient.  paint: strokes (phase or "all", row, column, radius in
    pixels, HU).  shift: phase -> pixels (down, right).  blur: phase -> sd in pixels.  noise: phase -> sd in HU.  hide:
    phases shown as even grey.  order: of the channels.  template: of the sentences; named: the order that they name,
    None for that of the channels; says: the class that the sentence of each class names.  scale: of the cosine, None
    for the one that was learned.
    """

    patient: int = 0
    network: str = NETWORKS[0]
    without: str | None = None
    paint: Sequence[tuple[str, int, int, int, int]] = ()
    shift: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    blur: Mapping[str, float] = field(default_factory=dict)
    noise: Mapping[str, float] = field(default_factory=dict)
    hide: Sequence[str] = ()
    order: Sequence[str] = CANONICAL
    template: str = "enriched"
    named: Sequence[str] | None = None
    says: Sequence[str] = LIVER_VLM_CLASSES
    scale: float | None = None

    def __post_init__(self):
        known = order_names(CANONICAL)
        _choose("network", self.network, NETWORKS)
        _choose("template", self.template, TEMPLATES)
        for name in ("order", "named"):
            if getattr(self, name) is not None:
                _choose(name, tuple(getattr(self, name)), known)
        for name in ("shift", "blur", "noise", "hide"):
            for phase in getattr(self, name):
                _choose(name, phase, CANONICAL)
        for way in self.shift.values():
            if len(way) != 2:
                raise InputError(f"shift {dict(self.shift)}: give pixels down and right for each phase")
        for stroke in self.paint:
            if len(stroke) != 5:
                raise InputError(f"paint {stroke}: a stroke is phase, row, column, radius, HU")
            _choose("paint", stroke[0], (EVERY, *CANONICAL))
        for kind in self.says:
            _choose("says", kind, LILNET_CLASSES)
        if len(self.says) != len(LIVER_VLM_CLASSES):
            raise InputError(f"says {list(self.says)}: give one class for each of {', '.join(LIVER_VLM_CLASSES)}")
        if self.scale is not None and not 0 < self.scale <= 1000:
            raise InputError(f"scale {self.scale}: give one above 0 and at most 1000")
        for name in ("blur", "noise"):
            if not all(0 <= sd <= 1000 for sd in getattr(self, name).values()):
                raise InputError(f"{name} {dict(getattr(self, name))}: give sds from 0 to 1000")

    def fields(self) -> dict[str, Any]:
        """All of them, as JSON knows them."""
        return json.loads(json.dumps(asdict(self)))

    def departures(self) -> dict[str, Any]:
        """Those that are not as the panel has them by itself."""
        plain = Moves().fields()
        return {name: value for name, value in self.fields().items() if value != plain[name]}


class LiveAnswer(NamedTuple):
    """What is seen and said after some moves, class by class in the order of `LIVER_VLM_CLASSES`.

    hu: (P, S, S) float32, the channels.  cosine, prob: (C,).  maps: (C, 2, 2), Grad-CAM of each cosine, raw and signed.
    """

    hu: np.ndarray
    cosine: np.ndarray
    prob: np.ndarray
    maps: np.ndarray


def live_answer(**moves) -> LiveAnswer:
    """The answer of the live panel of the book, computed here by PyTorch.  moves: fields of `Moves`."""
    state, live = Moves(**moves), read_live()
    hu = moved(live, state)
    model = network(live.networks[state.network], sentence_rows(live, state), state.scale)
    image = window(torch.from_numpy(hu))[None]
    with torch.no_grad():
        cosine = class_score(model)(model.encoder(image))[0]
    maps = grad_cam(model.encoder, class_score(model), image)[0]
    return LiveAnswer(hu, cosine.numpy(), (cosine * model.head.logit_scale).softmax(dim=0).numpy(), maps.numpy())


def sentence_rows(live: Live, state: Moves) -> list[int]:
    """The vector of each class: that of the sentence which stands for it."""
    order = order_names(CANONICAL).index(tuple(state.named or state.order))
    return [live.sentences.get((state.template, order, c), live.sentences[state.template, 0, c]) for c in state.says]


def moved(live: Live, state: Moves) -> np.ndarray:
    """(P, S, S) float32 HU: a patient's slice after the moves, channel by channel."""
    if not 0 <= state.patient < len(live.patients.slices):
        raise InputError(f"patient {state.patient}: there are 0 to {len(live.patients.slices) - 1}")
    if state.without is not None:
        _choose(f"without, patient {state.patient}", state.without, live.patients.parts_of(state.patient))
    hu = live.patients.hu(state.patient, state.without).astype(np.float32)
    at = np.arange(hu.shape[-1])
    for phase, row, column, radius, value in state.paint:
        disc = (at[:, None] - row) ** 2 + (at - column) ** 2 <= radius**2
        hu[slice(None) if phase == EVERY else CANONICAL.index(phase), disc] = value
    for p, phase in enumerate(CANONICAL):
        down, right = state.shift.get(phase, (0, 0))
        picture = hu[p][np.clip(at - down, 0, at[-1])][:, np.clip(at - right, 0, at[-1])]
        if state.blur.get(phase):
            picture = _blurred(_blurred(picture, state.blur[phase]).T, state.blur[phase]).T
        if state.noise.get(phase):
            drawn = np.roll(live.patients.noise[p].ravel(), -STEP * state.patient).reshape(picture.shape)
            picture = picture + state.noise[phase] * (drawn / 1000)
        hu[p] = HIDDEN if phase in state.hide else picture
    return hu[[CANONICAL.index(phase) for phase in state.order]]


def _blurred(picture: np.ndarray, sd: float) -> np.ndarray:
    """Each column with a Gaussian over its rows, which repeat at the ends."""
    reach = np.arange(-int(np.ceil(3 * sd)), int(np.ceil(3 * sd)) + 1)
    weights = np.exp(-(reach**2) / (2 * sd**2))
    at = np.clip(np.arange(len(picture))[:, None] + reach, 0, len(picture) - 1)
    return np.einsum("yk,ykx->yx", np.tile(weights / weights.sum(), (len(picture), 1)), picture[at].astype(float))


def _choose(name: str, value, known) -> None:
    if value not in known:
        said = [" ".join(one) if isinstance(one, tuple) else one for one in known]
        raise InputError(f"{name} {value!r} is unknown: choose one of {', '.join(said) or 'none'}")
