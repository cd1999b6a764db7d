"""Key-slice selection: of the slices of a study, which one does a sentence mean (Bioengineering 2025)?

Slices and sentences meet in one space: a tower for each, and the cosine between them.  The slice with the largest
cosine is the one that is meant.  Any pair of towers will do that answers the calls of `SliceTowers`: the toy CLIP, or
a published model through `zero_shot`.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..base.device import best_device
from ..base.errors import InputError
from .encoders import build_encoder
from .text import encode_text
from .tiny_clip import contrastive
from .training import fit

WIDTH = 128  # of the joint space
BATCH = 256  # slices that are encoded at once


class Towers(Protocol):
    """encode_images: slices (B, P, H, W), windowed -> unit vectors (B, d).  encode_texts: sentences -> (T, d)."""

    def encode_images(self, images: Tensor) -> Tensor: ...
    def encode_texts(self, texts: Sequence[str]) -> Tensor: ...


class SliceTowers(nn.Module):
    """The book's own towers: a small ResNet reads a slice, and a linear layer the features of a frozen text encoder."""

    def __init__(
        self, n_phases: int, encoder: str = "resnet10_narrow", text_encoder: str = "minilm", text_width: int = 384
    ):
        super().__init__()
        self.encoder, self.text_encoder = build_encoder(encoder, n_phases), text_encoder
        self.from_slice, self.from_text = nn.Linear(self.encoder.dim, WIDTH), nn.Linear(text_width, WIDTH)
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())  # CLIP's start

    @property
    def logit_scale(self) -> Tensor:
        """The factor on the cosine, learned, at most 100."""
        return self.log_scale.exp().clamp(max=100)

    def encode_images(self, images: Tensor) -> Tensor:
        """Unit vectors (B, WIDTH) of slices (B, P, H, W)."""
        return normalize(self.from_slice(self.encoder(images)).float(), dim=-1)

    def encode_tokens(self, features: Tensor) -> Tensor:
        """Unit vectors (T, WIDTH) of sentences, given by their frozen features (T, D)."""
        return normalize(self.from_text(features).float(), dim=-1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (T, WIDTH) of sentences."""
        features = encode_text(texts, self.text_encoder)
        return self.encode_tokens(features.to(self.from_text.weight.device))


def train_selector(
    model: SliceTowers, images: Tensor, slices: np.ndarray, texts: Sequence[str], *, epochs: int, seed: int = 0,
    progress: bool = True,
) -> list[float]:  # fmt: skip
    """Teach towers with pairs of a slice and a sentence that is true of it; returns the loss by epoch.

    images: windowed, (N, P, H, W).  slices: (n,), the slice of each pair, a place in `images`.  texts: n sentences.
    By the loss of CLIP, in which the other pairs of a batch are the wrong answers; two pairs with one sentence are none
    to each other.
    """
    if len(slices) != len(texts) or not len(texts):
        raise InputError(f"{len(slices)} slices and {len(texts)} sentences: give each pair one of each")
    different = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    label = torch.tensor([different[text] for text in texts])
    features = encode_text([*different], model.text_encoder)[label]
    device = best_device()
    data = {"image": images[torch.as_tensor(slices)], "tokens": features, "label": label}
    data = {name: tensor.to(device) for name, tensor in data.items()}
    data["image"] = data["image"].contiguous(memory_format=torch.channels_last)
    return fit(model.to(device), data, task=contrastive, epochs=epochs, seed=seed, progress=progress)


@torch.inference_mode()
def slice_scores(towers: Towers, images: Tensor, texts: Sequence[str]) -> np.ndarray:
    """How well each slice fits each sentence: the cosine, (T, S).

    images: the slices of one series, windowed, (S, P, H, W).  Raises `InputError` for a series without slices and for a
    sentence without a word.
    """
    if images.ndim != 4 or not len(images):
        raise InputError(f"slices of shape {tuple(images.shape)}: give a series of one slice or more, (S, P, H, W)")
    if blank := [n for n, text in enumerate(texts, start=1) if not any(c.isalnum() for c in text)]:
        raise InputError(f"sentence {blank[0]} is empty: write what is to be found")
    if isinstance(towers, nn.Module):
        towers.eval()
        images = images.to(next(towers.parameters()).device)
    seen = torch.cat([towers.encode_images(part) for part in images.split(BATCH)])
    return (towers.encode_texts(texts) @ seen.T).float().cpu().numpy()


def best_slices(scores: np.ndarray, k: int = 5) -> np.ndarray:
    """The k slices of the largest scores, the best first, (k,); fewer where the series is shorter.  scores: (S,)."""
    return np.argsort(-np.asarray(scores), kind="stable")[:k]
