"""Detection of liver lesions in axial slices: a small FCOS, torchvision's, where LiLNet has YOLOv8x (2024).

The phases of a slice are its channels.  The detector sees one slice at a time; `evaluation.detection` joins the boxes
of neighbouring slices.  A score is the probability times how central the place is in its box (torchvision has the root
of that, on whose scale the usual confidence of .25 would be one of .06).
Its trunk is the narrow ResNet from random weights, or EfficientNet-Lite0, which may have seen ImageNet.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..base.compat import import_torchvision
from ..base.device import best_device
from ..base.errors import InputError
from ..scans.conventions import WINDOW
from .encoders import build_encoder
from .saved import load_model, save_model
from .settings import check_names, choose
from .training import Batch, fit, windowed

import_torchvision()
from torchvision.models._utils import IntermediateLayerGetter  # noqa: E402  after the workaround
from torchvision.models.detection import FCOS  # noqa: E402
from torchvision.models.detection.anchor_utils import AnchorGenerator  # noqa: E402
from torchvision.models.detection.fcos import FCOSClassificationHead, FCOSHead, FCOSRegressionHead  # noqa: E402
from torchvision.ops import FeaturePyramidNetwork  # noqa: E402

CONFIDENCE, NMS = 0.25, 0.5  # LiLNet's public code
LEAST = 0.01  # score below which no box is told at all
WIDTH = 32  # channels of the pyramid
# Parts of an encoder whose maps lie 4, 8, 16 and 32 pixels apart, with their channels.
TRUNKS = {
    "resnet10_narrow": {"layer1": 16, "layer2": 32, "layer3": 64, "layer4": 128},
    "efficientnet_lite0": {"stage2": 24, "stage3": 40, "stage5": 112, "stage7": 320},
}
LARGEST = 2048  # px, the side of a slice
STRIDE = 4  # px between the places at which a box may begin, about 11 mm
REFERENCE_ONLY = 0.25  # share of pictures that are taught as a study of one phase
CROP, LEAST_CROP = 0.6, 96  # share of a side that is seen in a step of teaching, and how many px it has at least
COARSEST = 32  # px between the places of the coarsest map
BATCH = 64  # slices that are looked at at once


class Pyramid(nn.Module):
    """Four maps of a trunk, from the coarsest up added to the finest: (B, P, H, W) -> a map at `STRIDE`.

    What is around a place comes from the coarse stages.  Only the finest map has boxes: in pixels, lesions are small.
    """

    out_channels = WIDTH

    def __init__(self, n_phases: int, trunk: str, pretrained: bool):
        super().__init__()
        parts = TRUNKS[choose("trunk", trunk, TRUNKS, "detector")]
        body = build_encoder(trunk, n_phases, pretrained).body
        self.body = IntermediateLayerGetter(body, {name: str(i) for i, name in enumerate(parts, start=1)})
        self.pyramid = FeaturePyramidNetwork([*parts.values()], WIDTH)

    def forward(self, images: Tensor) -> Tensor:
        return self.pyramid(self.body(images))["1"]  # (B, WIDTH, H / 4, W / 4)


class Detector(nn.Module):
    """Boxes around what looks like a lesion."""

    def __init__(self, phases: Sequence[str], size: int, trunk: str = "resnet10_narrow", pretrained: bool = False):
        """phases: of the slices, the last the one on which boxes lie.  size: px.  trunk: a key of `TRUNKS`.

        pretrained: the trunk begins with weights from ImageNet; `InputError` when they cannot be had.
        """
        super().__init__()
        check_names(phases, "detector")
        if not isinstance(size, int) or not STRIDE <= size <= LARGEST:
            raise InputError(f"detector: slices of {size} pixels: give a whole number from {STRIDE} to {LARGEST}")
        self.phases, self.size, self.trunk = tuple(phases), size, trunk
        n = len(self.phases)
        head = FCOSHead(WIDTH, 1, 1)  # its norm is of a whole picture, which is another one where a part of it is seen
        told = {"num_convs": 2, "norm_layer": nn.BatchNorm2d}
        head.classification_head = FCOSClassificationHead(WIDTH, 1, 1, **told)
        head.regression_head = FCOSRegressionHead(WIDTH, 1, **told)
        # A side that starts at 0 is behind a ReLU that may never open; so each starts a stride away.
        nn.init.constant_(head.regression_head.bbox_reg.bias, 1.0)
        self.net = FCOS(
            Pyramid(n, trunk, pretrained), 1, min_size=size, max_size=size, image_mean=[0.0] * n, image_std=[1.0] * n,
            anchor_generator=AnchorGenerator(((STRIDE,),), ((1.0,),)), head=head,
            score_thresh=LEAST**0.5, nms_thresh=NMS, detections_per_img=20, _skip_resize=True,
        )  # fmt: skip

    def loss(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Focal loss of the class, GIoU of the boxes and cross-entropy of centredness (Tian et al. 2019), summed.

        images: windowed, (B, P, H, W).  boxes: (B, K, 4) x0, y0, x1, y1 in pixels; rows of -1 are none.
        """
        real = [one[one[:, 2] > 0] for one in boxes]  # (n_i, 4) each
        targets = [{"boxes": b, "labels": torch.zeros(len(b), dtype=torch.long, device=b.device)} for b in real]
        return sum(self.net(list(images), targets).values())

    @torch.inference_mode()
    def find(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Of each windowed slice (S, P, H, W) its boxes (n, 4) in pixels and their scores (n,), the best first."""
        if images.shape[1:] != (len(self.phases), self.size, self.size):
            wanted = f"{len(self.phases)} phases ({', '.join(self.phases)}) of {self.size} x {self.size} pixels"
            raise InputError(f"slices of shape {tuple(images.shape)}: this detector reads {wanted}")
        self.eval()
        device = next(self.parameters()).device
        found = [one for part in images.split(BATCH) for one in self.net(list(part.to(device)))]
        return [(one["boxes"].cpu(), one["scores"].cpu() ** 2) for one in found]

    def save_pretrained(self, folder: str | Path, provenance: dict | None = None) -> None:
        """Write `config.json` (readable, with where the weights come from) and `model.safetensors`."""
        settings = {"phases": self.phases, "size": self.size, "trunk": self.trunk}
        save_model(self, settings, folder, provenance)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "Detector":
        """Read what `save_pretrained` wrote."""
        return load_model(folder, lambda settings, weights: cls(**settings))


def mirrored(images: Tensor, boxes: Tensor, across: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures (B, P, H, W) and their boxes (B, K, 4), left to right where `across`, top to bottom where `down`, (B,).

    Rows of -1 stay.
    """
    h, w = images.shape[2:]
    images = torch.where(across[:, None, None, None], images.flip(3), images)
    images = torch.where(down[:, None, None, None], images.flip(2), images)
    x0, y0, x1, y1 = boxes.unbind(dim=2)
    x0, x1 = (torch.where(across[:, None], w - end, start) for start, end in ((x0, x1), (x1, x0)))
    y0, y1 = (torch.where(down[:, None], h - end, start) for start, end in ((y0, y1), (y1, y0)))
    return images, torch.where(boxes[:, :, 2:3] > 0, torch.stack([x0, y0, x1, y1], dim=2), boxes)


def cropped(images: Tensor, boxes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A square, `CROP` of a side, somewhere in pictures (B, P, H, W), and what is left of the boxes (B, K, 4) in it.

    A box whose middle is outside becomes a row of -1.  The network is one of convolutions and sees whole slices later.
    """
    h, w = images.shape[2:]
    side = min(h, w, max(COARSEST * round(CROP * min(h, w) / COARSEST), LEAST_CROP))
    y, x = (torch.randint(length - side + 1, (len(images),), generator=generator) for length in (h, w))
    places = zip(images, y.tolist(), x.tolist(), strict=True)
    images = torch.stack([one[:, j : j + side, i : i + side] for one, j, i in places])
    moved = boxes - torch.stack([x, y, x, y], dim=1)[:, None].to(boxes)
    middle = (moved[..., :2] + moved[..., 2:]) / 2
    there = (boxes[..., 2] > 0) & ((middle > 0) & (middle < side)).all(dim=2)
    return images, torch.where(there[..., None], moved.clamp(0, side), -1.0)


def lesions_in_slices(model: Detector, batch: Batch, generator: torch.Generator) -> Tensor:
    """The task for `training.fit`: parts of slices, flipped by chance; some show the last phase in every channel."""
    images, boxes = cropped(batch["image"], batch["boxes"], generator)
    chances = torch.tensor([[0.5], [0.5], [REFERENCE_ONLY]])
    across, down, alone = (torch.rand(3, len(images), generator=generator) < chances).to(images.device)
    images = torch.where(alone[:, None, None, None], images[:, -1:], images)
    return model.loss(*mirrored(images, boxes, across, down))


def train_detector(
    model: Detector, hu: Tensor, boxes: Tensor, *, epochs: int, lr: float = 1e-3, seed: int = 0, progress: bool = True
) -> list[float]:
    """Teach a detector; returns the loss by epoch.

    hu: slices (n, P, H, W) int16.  boxes: (n, K, 4) x0, y0, x1, y1 in pixels, ends excluded; rows of -1 are none.
    """
    n, size = len(model.phases), model.size
    if hu.shape[1:] != (n, size, size) or boxes.shape[::2] != (len(hu), 4):
        shapes = f"{tuple(hu.shape)} and boxes {tuple(boxes.shape)}"
        raise InputError(f"slices {shapes}: give slices (n, {n}, {size}, {size}) and boxes (n, K, 4)")
    device = best_device()
    data = {"image": hu.to(device), "boxes": boxes.float().to(device)}
    return fit(
        model.to(device), data, windowed(lesions_in_slices, WINDOW), epochs=epochs, batch_size=8, lr=lr, seed=seed,
        schedule=lambda done: (1 + math.cos(math.pi * done)) / 2, full_precision=True, progress=progress,
    )  # fmt: skip
