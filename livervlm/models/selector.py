"""Key-slice selection: of the slices of a study, which one does a sentence mean (Bioengineering 2025)?

Slices and sentences meet in one space: a tower for each, and the cosine between them.  The slice with the largest
cosine is the one that is meant.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..base.device import best_device
from ..base.errors import InputError
from .geometry import uniform, warp
from .tiny_clip import contrastive
from .training import Batch, fit

BATCH = 256  # slices that are encoded at once


class Towers(Protocol):
    """What `models.towers` offers, and any other pair of towers may.

    encode_images: windowed slices (B, 1, H, W) -> unit vectors (B, d).  tokens: T sentences -> whatever the text tower
    reads, (T, ...).  encode_tokens: that -> unit vectors (T, d).  To be taught they are a module with a `logit_scale`.
    """

    def encode_images(self, images: Tensor) -> Tensor: ...
    def tokens(self, texts: Sequence[str]) -> Tensor: ...
    def encode_tokens(self, tokens: Tensor) -> Tensor: ...


def jiggled(images: Tensor, generator: torch.Generator) -> Tensor:
    """Slices (N, 1, H, W), each turned by up to 10 degrees, scaled by up to 10 %, shifted by up to 5 % of its side,
    and with a square of a quarter of its side left black (Cutout, which the paper names).

    None is mirrored: in a body, left is not right.
    """
    n, _, h, w = images.shape
    angle, scale = math.radians(10) * uniform(generator, n), 1 + 0.1 * uniform(generator, n)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    turn = torch.stack([torch.stack([cos, -sin], dim=1), torch.stack([sin, cos], dim=1)], dim=1)  # (N, 2, 2)
    images = warp(images, torch.cat([turn, 0.1 * uniform(generator, n, 2, 1)], dim=2))
    middle = (torch.rand(n, 2, generator=generator) * torch.tensor([h, w])).to(images.device)
    y, x = torch.arange(h, device=images.device), torch.arange(w, device=images.device)
    rows, columns = ((c - m[:, None]).abs() < h / 8 for c, m in ((y, middle[:, 0]), (x, middle[:, 1])))
    return images.masked_fill((rows[:, :, None] & columns[:, None])[:, None], -1.0)


def matching(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """The task for `training.fit`: slices, each moved a little, find their sentences, and sentences their slices."""
    return contrastive(model, {**batch, "image": jiggled(batch["image"], generator)}, generator)


def train_selector(
    model: nn.Module, images: Tensor, texts: Sequence[str], *, epochs: int, lr: float = 1e-3, seed: int = 0,
    progress: bool = True,
) -> list[float]:  # fmt: skip
    """Teach `Towers` with pairs of a slice and a sentence that is true of it; returns the loss by epoch.

    images: windowed, (n, 1, H, W).  texts: n sentences.  By the loss of CLIP, in which the other pairs of a batch are
    the wrong answers; two pairs with one sentence are none to each other.  AdamW, as in the paper.
    """
    if len(images) != len(texts) or not len(texts):
        raise InputError(f"{len(images)} slices and {len(texts)} sentences: give each pair one of each")
    different = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    label = torch.tensor([different[text] for text in texts])
    device = best_device()
    data = {"image": images, "tokens": model.tokens([*different])[label], "label": label}
    data = {name: tensor.to(device) for name, tensor in data.items()}
    adamw = partial(torch.optim.AdamW, weight_decay=1e-2)
    return fit(
        model.to(device), data, matching, epochs=epochs, batch_size=64, lr=lr, seed=seed, progress=progress,
        optimizer=lambda towers, rate: adamw(towers.parameters(), lr=rate),
        schedule=lambda done: (1 + math.cos(math.pi * done)) / 2,
    )  # fmt: skip


@torch.inference_mode()
def encode_slices(towers: Towers, images: Tensor) -> Tensor:
    """Unit vectors (S, d) of windowed slices (S, 1, H, W)."""
    if images.ndim != 4 or not len(images) or images.shape[1] != 1:
        raise InputError(f"slices of shape {tuple(images.shape)}: give one slice or more, (S, 1, H, W)")
    if isinstance(towers, nn.Module):
        towers.eval()
        images = images.to(next(towers.parameters()).device)
    return torch.cat([towers.encode_images(part) for part in images.split(BATCH)])


@torch.inference_mode()
def slice_scores(towers: Towers, slices: Tensor, texts: Sequence[str]) -> np.ndarray:
    """How well each slice fits each sentence: the cosine, (T, S).

    slices: as `encode_slices` gives them, (S, d).  Raises `InputError` for a sentence that is empty or too long.
    """
    if blank := [n for n, text in enumerate(texts, start=1) if not any(c.isalnum() for c in text)]:
        raise InputError(f"sentence {blank[0]} is empty: write what is to be found")
    if isinstance(towers, nn.Module):
        towers.eval()
    said = towers.encode_tokens(towers.tokens(texts).to(slices.device))
    return (said @ slices.T).float().cpu().numpy()


def best_slices(scores: np.ndarray, k: int = 5) -> np.ndarray:
    """The k slices of the largest scores, the best first, (k,); fewer where there are fewer.  scores: (S,)."""
    return np.argsort(-np.asarray(scores), kind="stable")[:k]
