"""Pairs of towers for key-slice selection: one reads a slice, one a sentence, into one space.

A slice is one grey picture, of one phase.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..base.errors import InputError
from .encoders import build_encoder
from .saved import load_model, save_model
from .text import encode_text
from .tiny_clip import TinyCLIP
from .zero_shot import ZeroShotModel

WIDTH = 128  # of the joint space of `SliceTowers`
LONGEST = 100  # words of a sentence: MiniLM was made for sentences and reads 256 tokens


class SliceTowers(nn.Module):
    """The book's own: a small ResNet reads a slice, and a linear layer the features of a frozen text encoder."""

    def __init__(self, encoder: str = "resnet10_narrow", text_encoder: str = "minilm", text_width: int = 384):
        super().__init__()
        self.settings = {"encoder": encoder, "text_encoder": text_encoder, "text_width": text_width}
        self.encoder, self.text_encoder = build_encoder(encoder, 1), text_encoder
        self.from_slice, self.from_text = nn.Linear(self.encoder.dim, WIDTH), nn.Linear(text_width, WIDTH)
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())  # CLIP's start

    @property
    def logit_scale(self) -> Tensor:
        """The factor on the cosine, learned, at most 100."""
        return self.log_scale.exp().clamp(max=100)

    def encode_images(self, images: Tensor) -> Tensor:
        """Unit vectors (B, WIDTH) of windowed slices (B, 1, H, W)."""
        return normalize(self.from_slice(self.encoder(images)).float(), dim=-1)

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """What the text tower reads: the frozen features of sentences, (T, D)."""
        for text in texts:
            if (words := len(text.split())) > LONGEST:
                raise InputError(f"sentence of {words} words: give one finding, in at most {LONGEST}")
        return encode_text(texts, self.text_encoder)

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Unit vectors (T, WIDTH) of what `tokens` gives."""
        return normalize(self.from_text(tokens).float(), dim=-1)

    def save_pretrained(self, folder: str | Path, provenance: dict | None = None) -> None:
        """Write `config.json` (readable, with where the weights come from) and `model.safetensors`."""
        save_model(self, self.settings, folder, provenance)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "SliceTowers":
        """Read what `save_pretrained` wrote.  Sentences that are neither shipped nor cached need the text encoder."""
        return load_model(folder, lambda settings, weights: cls(**settings))


class PictureTowers(nn.Module):
    """Towers that were made for coloured pictures, the toy CLIP or a published one, which see a slice in grey."""

    def __init__(self, clip: TinyCLIP | ZeroShotModel):
        super().__init__()
        self.clip = clip
        if not isinstance(clip, nn.Module):
            self.network = clip.network  # so that its weights are found, and learn
        self.log_scale = nn.Parameter(torch.as_tensor(clip.logit_scale).detach().clone().float().log())

    @property
    def logit_scale(self) -> Tensor:
        """The factor on the cosine, learned from where it stood, at most 100."""
        return self.log_scale.exp().clamp(max=100)

    def encode_images(self, images: Tensor) -> Tensor:
        """Unit vectors (B, d) of windowed slices (B, 1, H, W)."""
        return self.clip.encode_images(((images + 1) / 2).clamp(0, 1).expand(-1, 3, -1, -1))

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """What the text tower reads of sentences, (T, ...).  Raises `InputError` where one fills the tower."""
        for text in dict.fromkeys(texts):
            # A sentence that is too long is cut: adding a word then changes nothing.
            if torch.equal(self.clip.tokens([text]), self.clip.tokens([f"{text} end"])):
                raise InputError(f"sentence of {len(text.split())} words: too long for these towers, make it shorter")
        return self.clip.tokens(texts)

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Unit vectors (T, d) of what `tokens` gives."""
        return self.clip.encode_tokens(tokens)
