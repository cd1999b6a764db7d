"""Maps of all classes against the package grad-cam, as a ratio: `python benchmarks/grad_cam.py [images] [pixels]`."""

import sys
import time
from statistics import median

import torch

from livervlm.base.compat import import_torchvision
from livervlm.evaluation.grad_cam import class_score, grad_cam, on_pixels
from livervlm.models.liver_vlm import LiverVLM
from livervlm.models.settings import Config

import_torchvision()  # grad-cam imports it, too

from pytorch_grad_cam import GradCAM  # noqa: E402
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # noqa: E402

CLASSES, PHASES = ("CYST", "FNH", "HCC", "HEM"), ("NC", "ART", "PV")
REPEATS, BATCH = 3, 20


class Scores(torch.nn.Module):
    """The same network as the package wants it: pictures to scores."""

    def __init__(self, model: LiverVLM):
        super().__init__()
        self.encoder, self.score = model.encoder, class_score(model)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.score(self.encoder(pictures))


def ours(model: LiverVLM, pictures: torch.Tensor) -> torch.Tensor:
    """Raw maps, (N, C, h, w)."""
    return torch.cat([grad_cam(model.encoder, class_score(model), p) for p in pictures.split(BATCH)])


def theirs(network: Scores, pictures: torch.Tensor) -> torch.Tensor:
    """Their maps, cut off at zero and stretched to 0 and 1 on the pixels, (N, C, S, S)."""
    maps = []
    with GradCAM(network, [network.encoder.body]) as cam:
        for part in pictures.split(BATCH):
            classes = [[ClassifierOutputTarget(c)] * len(part) for c in range(len(CLASSES))]
            maps.append(torch.stack([torch.from_numpy(cam(part, targets)) for targets in classes], dim=1))
    return torch.cat(maps)


def stretched(maps: torch.Tensor) -> torch.Tensor:
    """Each map from 0 to 1, with the package's guard against a map of zeros."""
    above = maps - maps.amin(dim=(2, 3), keepdim=True)
    return above / (1e-7 + above.amax(dim=(2, 3), keepdim=True))


def seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    n, size = [*map(int, sys.argv[1:]), *(100, 224)[len(sys.argv) - 1 :]]
    torch.manual_seed(0)
    model = LiverVLM(Config(CLASSES, PHASES)).eval()
    network, pictures = Scores(model), torch.randn(n, 3, size, size)
    few = pictures[:BATCH]  # a first, untimed batch; and what the package does to its maps, done to ours
    cut = stretched(on_pixels(stretched(ours(model, few).clamp(min=0)), size))
    difference = (cut - theirs(network, few)).abs().max()
    pairs = [
        (seconds(lambda: theirs(network, pictures)), seconds(lambda: ours(model, pictures))) for _ in range(REPEATS)
    ]
    package, closed = (median(times) for times in zip(*pairs, strict=True))
    print(f"{n} pictures of {size} px, {len(CLASSES)} classes, {torch.get_num_threads()} threads; medians of {REPEATS}")
    print(f"grad-cam {package:.2f} s, closed form {closed:.2f} s: {package / closed:.1f} times as fast")
    print(f"the two sets of maps, from 0 to 1, differ by {difference:.1e} at most")
