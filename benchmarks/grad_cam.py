"""Grad-CAM maps of all classes, spread over the picture, against the package grad-cam."""

import torch
from common import Figure, in_turn

from livervlm.base.compat import import_torchvision
from livervlm.evaluation.grad_cam import class_score, grad_cam, on_pixels
from livervlm.models.liver_vlm import LiverVLM
from livervlm.models.settings import Config

import_torchvision()  # grad-cam imports it, too

from pytorch_grad_cam import GradCAM  # noqa: E402
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # noqa: E402

CLASSES, PHASES = ("CYST", "FNH", "HCC", "HEM"), ("NC", "ART", "PV")
PICTURES, SIZE, BATCH = 40, 224, 20


class Scores(torch.nn.Module):
    """The same network as the package wants it: pictures to scores."""

    def __init__(self, model: LiverVLM):
        super().__init__()
        self.encoder, self.score = model.encoder, class_score(model)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.score(self.encoder(pictures))


def ours(model: LiverVLM, pictures: torch.Tensor) -> torch.Tensor:
    """Raw maps on the pixels, (N, C, S, S)."""
    return torch.cat([on_pixels(grad_cam(model.encoder, class_score(model), p), SIZE) for p in pictures.split(BATCH)])


def theirs(network: Scores, pictures: torch.Tensor) -> torch.Tensor:
    """Their maps, cut off at zero and stretched to 0 and 1 on the pixels, (N, C, S, S)."""
    maps = []
    with GradCAM(network, [network.encoder.body]) as cam:
        for part in pictures.split(BATCH):
            classes = [[ClassifierOutputTarget(c)] * len(part) for c in range(len(CLASSES))]
            maps.append(torch.stack([torch.from_numpy(cam(part, targets)) for targets in classes], dim=1))
    return torch.cat(maps)


def measure() -> list[Figure]:
    found = []
    for name in ("resnet18", "resnet10_narrow"):
        torch.manual_seed(0)
        model = LiverVLM(Config(CLASSES, PHASES, encoder=name)).eval()
        network, pictures = Scores(model), torch.randn(PICTURES, 3, SIZE, SIZE)
        mine, package = in_turn(
            lambda m=model, p=pictures: ours(m, p), lambda n=network, p=pictures: theirs(n, p), repeats=3
        )
        goal = ">= 20"
        found.append(Figure(f"maps of {len(CLASSES)} classes, {name}, {SIZE} px", PICTURES / mine, "pictures a second"))
        found.append(
            Figure(
                f"maps of {len(CLASSES)} classes, {name}, {SIZE} px",
                package / mine,
                "times as fast as",
                "the package grad-cam",
                goal,
            )
        )
    return found
