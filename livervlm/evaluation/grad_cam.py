"""Grad-CAM: which places of a picture a score rests on (Selvaraju et al. 2017; paper section 4.2.1), and its checks.

Maps here are raw and signed: nothing is cut off at zero and nothing is rescaled, so that maps of several classes can be
shown on one colour scale.  A positive place speaks for the score, a negative one against it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..base.errors import InputError
from ..models.encoders import ImageEncoder
from ..models.liver_vlm import LiverVLM

Score = Callable[[Tensor], Tensor]  # pooled features (B, dim) -> the scores (B, K) to be explained


def class_score(model: LiverVLM) -> Score:
    """The scores of a model's classes: the cosine with each class's text or prototype (Equation 3), or the FC logit.

    The cosine without its scale, so that maps of models with another temperature can be compared, for pictures whose
    phases are in canonical order.
    """

    def score(features: Tensor) -> Tensor:
        canonical = torch.zeros(len(features), dtype=torch.long, device=features.device)
        return (model.head if model.config.head == "fc" else model.head.cosine)(features, canonical)

    return score


def grad_cam(encoder: ImageEncoder, score: Score, images: Tensor) -> Tensor:
    """Raw maps of all K scores on the encoder's last feature map, (B, K, h, w), without a pass back through the body.

    images: (B, P, H, W), windowed, on the encoder's device.  With the mean over space between map A and features, the
    gradient of a score at every place of A is the same, 1 / (h w) of that at the mean: the weights of Grad-CAM are one
    small Jacobian.  Equal to `grad_cam_at` on the body's last layer.
    """
    encoder.eval()
    with torch.no_grad():
        features = encoder.forward_features(images.contiguous(memory_format=torch.channels_last))  # (B, D, h, w)
    pooled = features.mean(dim=(2, 3)).requires_grad_()
    scores = score(encoder.norm(pooled[..., None, None]).flatten(1))  # (B, K)
    weights = [torch.autograd.grad(s.sum(), pooled, retain_graph=True)[0] for s in scores.unbind(dim=1)]
    places = features.shape[2] * features.shape[3]
    return torch.einsum("bkd,bdhw->bkhw", torch.stack(weights, dim=1), features) / places


def grad_cam_at(encoder: ImageEncoder, score: Score, images: Tensor, layer: nn.Module) -> Tensor:
    """Raw maps of all K scores on the output of any layer of the encoder, (B, K, h, w).

    Raises `InputError` for a layer that is not in the encoder, or whose output is no grid (B, D, h, w).
    """
    name = next((name for name, module in encoder.named_modules() if module is layer), None)
    if name is None:
        raise InputError(f"layer {type(layer).__name__}: not a part of this encoder; choose from `named_modules()`")
    encoder.eval()
    with _output_of(layer) as seen, torch.enable_grad():
        scores = score(encoder(images.detach().requires_grad_()))  # (B, K)
    if not seen or seen[-1].ndim != 4 or len(seen[-1]) != len(images) or seen[-1].shape[2:].numel() == 1:
        shape = tuple(seen[-1].shape) if seen else "nothing"
        raise InputError(f"layer {name}: gives {shape} and no map (B, D, h, w) of several places; choose another")
    features = seen[-1]
    gradients = [torch.autograd.grad(s.sum(), features, retain_graph=True)[0] for s in scores.unbind(dim=1)]
    weights = torch.stack(gradients, dim=1).mean(dim=(3, 4))  # (B, K, D)
    return torch.einsum("bkd,bdhw->bkhw", weights, features).detach()


def on_pixels(maps: Tensor, size: int) -> Tensor:
    """Maps (B, K, h, w) spread over the picture, (B, K, size, size), bilinear."""
    return interpolate(maps, size=(size, size), mode="bilinear", align_corners=False)


def precision_over_prevalence(values: np.ndarray, part: np.ndarray, within: np.ndarray) -> float:
    """Average precision with which values (S, S) find a part, over the part's share: 1 where they know nothing.

    part, within: (S, S) bool; only pixels of `within` are ranked.  nan where none of them is in the part, or all are.
    """
    found = part[within]
    if found.all() or not found.any():
        return float("nan")
    return average_precision_score(found, values[within]) / found.mean()


def energy_over_area(values: np.ndarray, part: np.ndarray, within: np.ndarray) -> float:
    """The part's share of all that is positive within `within`, over its share of the area: 1 where values are even.

    The first share alone is the relevance mass accuracy of Arras et al. (2022).  nan where nothing is positive.
    """
    positive, area = values[within].clip(min=0), part[within].mean()
    if not area or not positive.any():
        return float("nan")
    return positive[part[within]].sum() / positive.sum() / area


PART_SCORES = {"precision": precision_over_prevalence, "energy": energy_over_area}


@torch.no_grad()
def phase_effect(encoder: ImageEncoder, score: Score, images: Tensor, other: Tensor) -> Tensor:
    """How much every score falls when one phase is taken from other pictures, (B, P, K).

    other: (B, P, H, W), such as the same pictures in another order of patients, or with a phase painted out.
    """
    encoder.eval()
    before, effects = score(encoder(images)), []
    for phase in range(images.shape[1]):
        changed = images.clone()
        changed[:, phase] = other[:, phase]
        effects.append(before - score(encoder(changed)))
    return torch.stack(effects, dim=1)


@contextmanager
def _output_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """What a layer gives while this is open; its hook is removed whatever happens."""
    seen: list[Tensor] = []

    def see(module: nn.Module, given: tuple, output: Tensor) -> Tensor:
        seen.append(output)
        return output.clone()  # an in-place ReLU after the layer would change the map that was kept

    hook = layer.register_forward_hook(see)
    try:
        yield seen
    finally:
        hook.remove()
