"""What an image encoder can learn before it sees a label: phase shuffle (section 3.2), and SimSiam, its control.

A pretext is a network around an encoder and a task for `training.fit`; afterwards the encoder is kept, the rest is
thrown away.  In the paper neither starts from ImageNet.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy, normalize

from ..scans.phases import orders, random_orders, shuffle
from .encoders import ImageEncoder
from .geometry import uniform, warp


class PhaseShuffle(nn.Module):
    """Which of the k! orders of its phases does an image show?  A linear layer on the encoder answers."""

    def __init__(self, encoder: ImageEncoder, n_phases: int):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.dim, math.factorial(n_phases))  # six outputs for three phases

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encoder(images))  # (B, k!)


def phase_shuffle(model: PhaseShuffle, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
    """Cross-entropy of the order, drawn anew for every image in every step."""
    order = random_orders(batch["image"], generator)  # (B,)
    return cross_entropy(model(shuffle(batch["image"], order)), order)


@torch.inference_mode()
def order_accuracy(model: PhaseShuffle, images: Tensor, batch_size: int = 256) -> float:
    """How often the order is told, over all k! orders of every image (N, P, H, W).  1 / k! is chance."""
    device = next(model.parameters()).device
    model.eval()
    right = 0
    for part in images.split(batch_size):
        for number in range(math.factorial(images.shape[1])):
            order = torch.full((len(part),), number, device=device)
            right += (model(shuffle(part.to(device), order)).argmax(dim=1) == order).sum().item()
    return right / (len(images) * math.factorial(images.shape[1]))


# -- What the task can be solved by: probes, each a change of windowed images (N, P, H, W) before they are shuffled --


def border(size: int) -> Tensor:
    """(size, size) bool: a frame, 5 pixels wide at 64, that the lesion seldom reaches."""
    frame = torch.ones(size, size, dtype=torch.bool)
    width = max(size // 12, 1)
    frame[width:-width, width:-width] = False
    return frame


def border_level(images: Tensor) -> Tensor:
    """The median of each phase in the border, (N, P): the liver's brightness, without the lesion."""
    return images[:, :, border(images.shape[-1]).to(images.device)].median(dim=2).values


def order_by_border(images: Tensor) -> Tensor:
    """The order told without any network, (N,): the liver is darkest in NC and brightest in PV, so sort the borders.

    Right only for phases whose canonical order is that of the liver's brightness, as NC, ART, PV.
    """
    rank = border_level(images).argsort(dim=1).argsort(dim=1)  # (N, P): the phase that each channel seems to show
    table = orders(images.shape[1]).to(images.device)
    return (rank[:, None] == table).all(dim=2).int().argmax(dim=1)


def _keep(images: Tensor, where: Tensor) -> Tensor:
    return images * where.to(images.device, images.dtype)  # 0 is the middle of the window


def _centre(size: int) -> Tensor:
    axis = torch.arange(size) - (size - 1) / 2
    return axis[:, None] ** 2 + axis**2 <= (size / 3) ** 2  # a ROI is 1.5 times as wide as its lesion


PROBES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "border only": lambda images, generator: _keep(images, border(images.shape[-1])),
    "lesion only": lambda images, generator: _keep(images, _centre(images.shape[-1])),
    "level removed": lambda images, generator: images - border_level(images)[:, :, None, None],
    # By up to a quarter of the window up or down, which is 100 HU in the default one.
    "phases jittered": lambda images, generator: (
        images + (torch.rand(*images.shape[:2], 1, 1, generator=generator) - 0.5).to(images.device)
    ),
}


# -- SimSiam (Chen and He 2020), the control of Table 4 ---------------------------------------------------------------


class SimSiam(nn.Module):
    """Two views of an image should be predictable from each other; nothing is ever pushed apart."""

    def __init__(self, encoder: ImageEncoder, dim: int = 512, bottleneck: int = 128):
        super().__init__()
        self.encoder = encoder
        self.projector = nn.Sequential(
            *[nn.Linear(encoder.dim, dim, bias=False), nn.BatchNorm1d(dim), nn.ReLU()],
            *[nn.Linear(dim, dim, bias=False), nn.BatchNorm1d(dim), nn.ReLU()],
            *[nn.Linear(dim, dim, bias=False), nn.BatchNorm1d(dim, affine=False)],
        )
        self.predictor = nn.Sequential(
            *[nn.Linear(dim, bottleneck, bias=False), nn.BatchNorm1d(bottleneck), nn.ReLU()], nn.Linear(bottleneck, dim)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        z = self.projector(self.encoder(images))  # (B, dim)
        return z, self.predictor(z)


def simsiam(model: SimSiam, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
    """Negative cosine between the prediction from one view and the other view, which passes no gradient."""
    (z1, p1), (z2, p2) = (model(random_view(batch["image"], generator)) for _ in range(2))
    return negative_cosine(p1, z2) / 2 + negative_cosine(p2, z1) / 2


def negative_cosine(p: Tensor, z: Tensor) -> Tensor:
    """D(p, z) of the paper's Equation 1, with the stop-gradient of its Equation 3."""
    return -cosine_similarity(p.float(), z.detach().float(), dim=1).mean()


def random_view(images: Tensor, generator: torch.Generator) -> Tensor:
    """A crop of half to all of each image (B, P, H, W), flipped at random, each phase brighter or darker by itself.

    The intensity of a phase moves by up to 20 HU and its contrast by up to a tenth: enough to make two views, too
    little to hide when a lesion brightens.  Jitter of colour, as for photographs, would mix the phases.
    """
    n, n_phases = images.shape[:2]

    draw = partial(uniform, generator)
    side = (0.75 + 0.25 * draw(n)).sqrt()  # the root of the share that is kept
    flip_x, flip_y = (torch.where(draw(n) < 0, -1.0, 1.0) for _ in range(2))
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = side * flip_x, side * flip_y
    theta[:, :, 2] = (1 - side[:, None]) * draw(n, 2)
    views = warp(images, theta)
    contrast, level = (1 + 0.1 * draw(n, n_phases, 1, 1)), 0.1 * draw(n, n_phases, 1, 1)
    return views * contrast.to(images.device) + level.to(images.device)


def sgd(model: SimSiam, lr: float) -> torch.optim.Optimizer:
    """The optimiser of SimSiam: the predictor's learning rate stays constant."""
    rest = [*model.encoder.parameters(), *model.projector.parameters()]
    groups = [{"params": rest}, {"params": model.predictor.parameters(), "constant": True}]
    return torch.optim.SGD(groups, lr=lr, momentum=0.9, weight_decay=1e-4)


def cosine_decay(done: float) -> float:
    """From 1 to 0 along half a cosine."""
    return (1 + math.cos(math.pi * done)) / 2


@torch.inference_mode()
def output_spread(model: SimSiam, images: Tensor) -> float:
    """Collapse, measured: the sd over images of each unit-length output, times the root of its width.

    1 where the outputs lie all around, 0 where they have collapsed to one point (section 4.1 of SimSiam).
    """
    model.eval()
    z = torch.cat([model(part.to(next(model.parameters()).device))[0].float() for part in images.split(256)])
    return (normalize(z, dim=1).std(dim=0).mean() * z.shape[1] ** 0.5).item()
