"""Liver-VLM: an image encoder whose features are compared with one vector per class (paper section 3)."""

import math
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..base.errors import InputError
from .encoders import build_encoder
from .saved import load_model, save_model
from .settings import Config
from .text import text_bank


class CosineHead(nn.Module):
    """Scaled cosine between the projected image and each class's vector (Equation 3)."""

    def __init__(self, dim: int, config: Config, text: Tensor | None):
        super().__init__()
        self.fc_i = nn.Linear(dim, config.joint_dim, bias=False)
        if text is None:  # prototypes: the class vectors are learned, and know nothing of the order
            self.prototypes = nn.Parameter(torch.randn(1, len(config.classes), config.joint_dim))
            self.fc_t = None
        else:
            self.register_buffer("text", text)  # (k!, C, d): frozen features of every prompt in every order
            self.fc_t = nn.Linear(text.shape[2], config.joint_dim, bias=False)
        self.fixed_scale = config.logit_scale
        if self.fixed_scale is None:  # a departure from Equation 2, which has no temperature
            self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @property
    def logit_scale(self) -> Tensor | float:
        """The factor on the cosine, at most 100."""
        return self.log_scale.exp().clamp(max=100) if self.fixed_scale is None else self.fixed_scale

    def class_embeddings(self) -> Tensor:
        """A unit vector for every order and class, (k!, C, joint); one order only for prototypes."""
        return normalize(self.prototypes if self.fc_t is None else self.fc_t(self.text), dim=-1)

    def every_cosine(self, features: Tensor) -> Tensor:
        """Each image against every class in the prompts of every order, (B, k!, C)."""
        image = normalize(self.fc_i(features), dim=-1)  # (B, joint)
        return torch.einsum("bd,ocd->boc", image, self.class_embeddings())

    def cosine(self, features: Tensor, order: Tensor) -> Tensor:
        """s_ic of Equation 3, (B, C): image i against class c, in the prompt that names image i's order."""
        every = self.every_cosine(features)
        # Gathered last: picking rows of the class embeddings instead would add up gradients in no fixed order.
        row = order.clamp(max=every.shape[1] - 1).view(-1, 1, 1).expand(-1, 1, every.shape[2])
        return every.gather(1, row).squeeze(1)

    def forward(self, features: Tensor, order: Tensor) -> Tensor:
        return self.logit_scale * self.cosine(features, order)


class FCHead(nn.Linear):
    """The conventional classifier: no text, no cosine (Table 8)."""

    def forward(self, features: Tensor, order: Tensor) -> Tensor:
        return super().forward(features)


class LiverVLM(nn.Module):
    """Image encoder and head.

    text: features of the prompts, (k!, C, d) for the k! orders of the phases, or (1, C, d) where slices have one
    order; without it the bank of the config's prompts is fetched.
    """

    def __init__(self, config: Config, text: Tensor | None = None):
        super().__init__()
        if config.head not in ("text", "prototypes", "fc"):
            raise InputError(f"head {config.head!r} is unknown: choose text, prototypes or fc")
        self.config = config
        self.encoder = build_encoder(config.encoder, len(config.phases))
        if config.head == "fc":
            self.head = FCHead(self.encoder.dim, len(config.classes))
        else:
            if config.head == "text" and text is None:
                names = config.class_names or config.classes
                text = text_bank(config.template, names, config.phases, config.text_encoder, config.incomplete)
            self.head = CosineHead(self.encoder.dim, config, text)

    def forward(self, images: Tensor, order: Tensor | None = None) -> Tensor:
        """Windowed images (B, P, H, W), and the order of each one's phases (B,) or none -> logits (B, C).

        Without `order` the phases are in canonical order, row 0 of `phases.orders`; of slices that lack phases it is
        `phases.prompt_rows`.
        """
        if order is None:
            order = torch.zeros(len(images), dtype=torch.long, device=images.device)
        features = self.encoder(images)  # (B, dim)
        with _full_precision(images.device.type):  # a bfloat16 cosine has two digits
            return self.head(features.float(), order)

    def every_logit(self, images: Tensor) -> Tensor:
        """The same against the prompts of every order, (B, k!, C); for the heads "text" and "prototypes"."""
        features = self.encoder(images)
        with _full_precision(images.device.type):
            return self.head.logit_scale * self.head.every_cosine(features.float())

    def save_pretrained(self, folder: str | Path, provenance: dict | None = None) -> None:
        """Write `config.json` (readable, with where the weights come from) and `model.safetensors`."""
        save_model(self, asdict(self.config), folder, provenance)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "LiverVLM":
        """Read what `save_pretrained` wrote.  The text features are in the file: no text encoder is needed."""
        return load_model(folder, lambda config, weights: cls(Config(**config), weights.get("head.text")))


def _full_precision(device: str):
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
