"""How LiLNet is trained and asked ("Training strategy" of its paper): which slices, how many times, how noisy."""

from collections.abc import Callable
from functools import wraps

import numpy as np
import torch
from torch import Tensor

from ..base.device import best_device
from ..scans.conventions import WINDOW
from ..scans.lesions import LesionSet
from ..scans.windowing import images
from .cascade import pooled
from .geometry import moved
from .lilnet import LiLNet, whole_loss
from .settings import LiLNetSettings, choose
from .training import Batch, Task, adam, fit, predict, to_device, windowed

# Of 255 grey levels, of pixels, of pictures: from a line that the public code has commented out; the paper says none.
GAUSSIAN, SALT_AND_PEPPER, NOISY = 10 / 255, 0.2, 0.5


def sgd(model: LiLNet, lr: float) -> torch.optim.Optimizer:
    """The paper's optimiser; the momentum is the public code's."""
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=1e-4)


def thirds(done: float) -> float:
    """A tenth of the learning rate after each third: the paper's 0.01, 0.001 and 0.0001, ten epochs or more each."""
    return 0.1 ** min(int(3 * done + 1e-9), 2)


OPTIMIZERS = {
    "sgd": {"optimizer": sgd, "schedule": thirds, "lr": 0.01, "batch_size": 128},  # the paper's
    "adam": {"optimizer": adam},  # Liver-VLM's, with its learning rate and batch
}


def balanced(label: np.ndarray) -> np.ndarray:
    """Positions that show every class as often as the largest: those of rarer ones repeated in turn.  (n,) -> (m,).

    First all n as they are, then the repetitions.
    """
    classes = [np.flatnonzero(label == c) for c in np.unique(label)]
    most = max(map(len, classes))
    return np.concatenate([np.arange(len(label)), *(np.resize(mine, most)[len(mine) :] for mine in classes)])


def gaussian(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the pictures (N, 1, H, W) with noise added to every pixel; windowed, from -1 to 1."""
    noise = 2 * GAUSSIAN * torch.randn(pictures.shape, generator=generator)
    noise *= torch.rand(len(pictures), 1, 1, 1, generator=generator) < NOISY
    return (pictures + noise.to(pictures.device)).clamp(-1, 1)


def gaussian_salt_and_pepper(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """The same, and then half of the pictures with a fifth of their pixels black or white."""
    draw = torch.rand(pictures.shape, generator=generator)
    clean = torch.rand(len(pictures), 1, 1, 1, generator=generator) >= NOISY
    draw = draw.masked_fill(clean, 0.5).to(pictures.device)
    pictures = gaussian(pictures, generator).masked_fill(draw < SALT_AND_PEPPER / 2, -1)
    return pictures.masked_fill(draw > 1 - SALT_AND_PEPPER / 2, 1)


NOISES: dict[str, Callable[[Tensor, torch.Generator], Tensor] | None] = {
    "none": None,
    "gaussian": gaussian,
    "gaussian, salt and pepper": gaussian_salt_and_pepper,  # the paper's
}


def noisy(task: Task, noise: str) -> Task:
    """A task for `training.fit` that adds noise, anew in every step, to what the batch marks as "repeated", (B,)."""
    add = NOISES[choose("noise", noise, NOISES, "LiLNet")]
    if add is None:
        return task

    @wraps(task)
    def on_noisy(model: LiLNet, batch: Batch, generator: torch.Generator) -> Tensor:
        pictures = batch["image"]
        seen = torch.where(batch["repeated"][:, None, None, None], add(pictures, generator), pictures)
        return task(model, {**batch, "image": seen}, generator)

    return on_noisy


def train_lilnet(
    lesions: LesionSet,
    index: np.ndarray,
    settings: LiLNetSettings,
    epochs: int,
    *,
    optimizer: str = "sgd",
    noise: str = "gaussian, salt and pepper",
    pretrained: bool = False,
    seed: int = 0,
    after_epoch: Callable[[LiLNet, int], None] | None = None,
    progress: bool = True,
) -> tuple[LiLNet, list[float]]:
    """Train a LiLNet on the slices `index`, every phase of each a sample by itself; returns it and its loss by epoch.

    Pictures are flipped and turned by any angle.  Rarer classes are repeated until all are as large as the largest.
    optimizer: a key of `OPTIMIZERS`.  noise: a key of `NOISES`, for the repetitions.  pretrained: as in `LiLNet`.
    """
    how = OPTIMIZERS[choose("optimizer", optimizer, OPTIMIZERS, "LiLNet")]
    task = windowed(moved(noisy(whole_loss, noise), "turns"), WINDOW)
    there = _there(lesions, index)
    label = lesions.label[index].repeat(len(lesions.phases))[there]
    order, n = balanced(label), len(label)
    pictures = torch.from_numpy(lesions.hu[index]).flatten(0, 1)[there][order, None]  # (m, 1, H, W)
    device = best_device()
    data = to_device(pictures, torch.from_numpy(label[order]), device)
    data["repeated"] = torch.arange(len(order), device=device) >= n
    torch.manual_seed(seed)
    model = LiLNet(settings, pretrained).to(device)
    watch = after_epoch and (lambda epoch: after_epoch(model, epoch))
    history = fit(model, data, task, epochs=epochs, seed=seed, after_epoch=watch, progress=progress, **how)
    return model, history


def slice_probabilities(
    model: LiLNet, lesions: LesionSet, index: np.ndarray, averaged: str = "probabilities"
) -> np.ndarray:
    """Class probabilities of some slices, (n, N) float64, over their phases.  averaged: as in `cascade.pooled`."""
    pictures, there = images(lesions, index, WINDOW), _there(lesions, index)  # (n, P, H, W), (m,)
    prob = predict(model, pictures.flatten(0, 1)[there, None]).double().numpy()
    return pooled(prob, there // len(lesions.phases), averaged)


def _there(lesions: LesionSet, index: np.ndarray) -> np.ndarray:
    """The pictures of some slices that there are, of all their phases one after the other, (m,) positions."""
    if lesions.present is None:
        return np.arange(len(lesions.label[index]) * len(lesions.phases))
    return np.flatnonzero(lesions.present[index])
