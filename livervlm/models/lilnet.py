"""LiLNet: which quadrant is missing, and what is the lesion?  (Wei, Yang et al., Nature Communications 2024)

A pretext that is not thrown away.  The last two feature maps of a ResNet are read five times: whole, and without each
of their quadrants.  A class becomes five joint labels, one for each reading: a head has to tell the lesion and what is
missing.  Beside these heads stands a plain classifier, and one of the two teaches the other.  What stands in quotes is
the paper's ("Development of the LiLNet system").  For teaching and research, not for diagnosis.
"""

from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div

from ..base.errors import InputError
from .encoders import build_encoder
from .saved import load_model, save_model
from .settings import LiLNetSettings
from .training import Batch

READINGS = 5  # of a map: whole, without upper left, upper right, lower left, lower right


class Logits(NamedTuple):
    """Of B slices and N classes; K is 5 N with joint labels, N without.  A head that is left out gives None."""

    deep: Tensor | None  # (B, 5, K), from layer4
    shallow: Tensor | None  # (B, 5, K), from layer3
    plain: Tensor  # (B, N), from layer4, whole


def masked_means(maps: Tensor) -> Tensor:
    """The mean of each channel over the whole map, and with each quadrant set to 0: (B, D, h, w) -> (B, 5, D).

    Total less quadrant: no map is copied.  What is left is divided by the size of the whole.  A side is cut at half its
    pixels, rounded down, as in the public code: of 7 rows the upper quadrants have 3 and the lower ones 4.
    """
    h, w = maps.shape[2:]
    rows = maps.split([h // 2, h - h // 2], dim=2)
    quadrants = [
        part.sum(dim=(2, 3), dtype=torch.float32) for row in rows for part in row.split([w // 2, w - w // 2], dim=3)
    ]
    dropped = torch.stack(quadrants, dim=1) / (h * w)  # (B, 4, D)
    whole = dropped.sum(dim=1, keepdim=True)
    return torch.cat([whole, whole - dropped], dim=1)


def joint_labels(label: Tensor) -> Tensor:
    """The label 5 y + i of class y in reading i: (B,) -> (B, 5)."""
    return READINGS * label[:, None] + torch.arange(READINGS, device=label.device)


def aggregate(logits: Tensor, n_classes: int) -> Tensor:
    """Class c is the mean over the readings i of joint label (c, i) in reading i: (B, 5, K) -> (B, N)."""
    if logits.shape[2] > n_classes:  # joint labels
        logits = torch.stack([logits[:, i, i::READINGS] for i in range(READINGS)], dim=1)  # (B, 5, N)
    return logits.mean(dim=1)


class LiLNet(nn.Module):
    """Grey slices, windowed, each phase by itself."""

    def __init__(self, settings: LiLNetSettings, pretrained: bool = False):
        """pretrained: begin with weights from ImageNet, as the paper does; `InputError` when they cannot be had."""
        super().__init__()
        self.settings = settings
        self.encoder = build_encoder(settings.encoder, 1, pretrained)
        if not {"layer3", "layer4"} <= dict(self.encoder.body.named_children()).keys():
            raise InputError(f"LiLNet: encoder {settings.encoder} has no layer3 and layer4; choose a ResNet")
        dim, n = self.encoder.dim, len(settings.classes)
        k = READINGS * n if settings.joint else n
        self.plain = nn.Linear(dim, n)
        # The public code's: two layers without an activation between them on layer4, one on layer3.
        heads = {"deep": nn.Sequential(nn.Linear(dim, dim // 2), nn.Linear(dim // 2, k))}
        heads["shallow"] = nn.Linear(dim // 2, k)
        self.heads = nn.ModuleDict({name: heads[name] for name in settings.heads})

    def logits(self, images: Tensor) -> Logits:
        """What every head says of slices (B, 1, H, W)."""
        layer3, layer4 = self.encoder.stages(images, ("layer3", "layer4"))  # (B, D / 2, 2h, 2w), (B, D, h, w)
        maps = {"deep": layer4, "shallow": layer3}
        said = {name: head(self._readings(maps[name])).float() for name, head in self.heads.items()}
        return Logits(said.get("deep"), said.get("shallow"), self.plain(layer4.mean(dim=(2, 3))).float())

    def _readings(self, maps: Tensor) -> Tensor:
        return masked_means(maps) if self.settings.masks else maps.mean(dim=(2, 3))[:, None].expand(-1, READINGS, -1)

    def aggregate(self, logits: Logits) -> Tensor:
        """The joint heads' answer, (B, N): the mean over readings and depths ("aggregation inference")."""
        said = [one for one in (logits.deep, logits.shallow) if one is not None]
        return torch.stack([aggregate(one, len(self.settings.classes)) for one in said]).mean(dim=0)

    def forward(self, images: Tensor) -> Tensor:
        """The answer, logits (B, N), of slices (B, 1, H, W)."""
        if self.settings.answer == "plain":  # the other heads "could be omitted during inference"
            return self.plain(self.encoder(images)).float()
        return self.aggregate(self.logits(images))

    def losses(self, logits: Logits, label: Tensor) -> dict[str, Tensor]:
        """The terms of the loss by name, weighted; their sum is minimised.  label: (B,)."""
        s, terms = self.settings, {"plain": cross_entropy(logits.plain, label)}
        target = joint_labels(label) if s.joint else label[:, None].expand(-1, READINGS)  # (B, 5)
        for name, weight in (("deep", 1.0), ("shallow", s.beta)):
            if (said := getattr(logits, name)) is not None:
                terms[name] = weight * cross_entropy(said.flatten(0, 1), target.flatten())
        if s.teacher != "none":
            teacher, student = logits.plain, self.aggregate(logits)  # "as teachers", "as instructors"
            if s.teacher == "aggregate":
                teacher, student = student, teacher
            terms["distillation"] = s.temperature**2 * divergence(teacher.detach(), student, s.temperature)
        return terms

    def save_pretrained(self, folder: str | Path, provenance: dict | None = None) -> None:
        """Write `config.json` (readable, with where the weights come from) and `model.safetensors`."""
        save_model(self, asdict(self.settings), folder, provenance)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "LiLNet":
        """Read what `save_pretrained` wrote."""
        return load_model(folder, lambda settings, weights: cls(LiLNetSettings(**settings)))


def divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) of logits (B, N), both softened by a temperature: the mean over B."""
    soft, learned = (logits / temperature for logits in (teacher, student))
    return kl_div(learned.log_softmax(dim=1), soft.log_softmax(dim=1), reduction="batchmean", log_target=True)


def whole_loss(model: LiLNet, batch: Batch, generator: torch.Generator) -> Tensor:
    """The task for `training.fit`: the sum of all terms.  batch: "image" (B, 1, H, W) and "label" (B,)."""
    return sum(model.losses(model.logits(batch["image"]), batch["label"]).values())
