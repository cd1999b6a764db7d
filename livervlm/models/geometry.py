"""Ordinary augmentation: a training picture that is flipped, turned, scaled and shifted keeps its class.

All phases of a picture move alike, and every picture in every step by a draw of its own.
"""

import math
from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from .settings import choose
from .training import Task


def uniform(generator: torch.Generator, *shape: int) -> Tensor:
    """Draws from -1 to 1, on the CPU, so that every device sees the same."""
    return torch.rand(*shape, generator=generator) * 2 - 1


def warp(images: Tensor, theta: Tensor) -> Tensor:
    """Images (N, P, H, W) seen through affine maps (N, 2, 3) from the new picture's places to the old one's.

    Places run from -1 to 1 along either side, x before y; what lies outside repeats the border.
    """
    grid = affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def flips(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image (N, P, H, W) mirrored left to right, top to bottom, both or neither."""
    across, down = (uniform(generator, len(images), 1, 1, 1).to(images.device) < 0 for _ in range(2))
    images = torch.where(across, images.flip(3), images)
    return torch.where(down, images.flip(2), images)


def turned(n: int, generator: torch.Generator) -> Tensor:
    """n maps (n, 2, 2) that flip and turn by any angle."""
    signs = torch.where(uniform(generator, n, 2) < 0, -1.0, 1.0)
    angle = math.pi * uniform(generator, n)
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([torch.stack([cos, -sin], dim=1), torch.stack([sin, cos], dim=1)], dim=1)
    return turn * signs[:, None]


def turns(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image (N, P, H, W) flipped and turned by any angle: the augmentation of LiLNet."""
    return warp(images, pad(turned(len(images), generator), (0, 1)))


def affine(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image (N, P, H, W) flipped, turned by any angle, scaled by up to 15 %, shifted by up to 5 % of its side."""
    n, linear = len(images), turned(len(images), generator)
    scale = 1 + 0.15 * uniform(generator, n, 1, 1)
    return warp(images, torch.cat([scale * linear, 0.1 * uniform(generator, n, 2, 1)], dim=2))


GEOMETRIES: dict[str, Callable[[Tensor, torch.Generator], Tensor] | None] = {
    "none": None,
    "flips": flips,
    "turns": turns,
    "affine": affine,
}


def moved(task: Task, geometry: str) -> Task:
    """A task for `training.fit` whose pictures are moved anew in every step.  geometry: a key of `GEOMETRIES`."""
    move = GEOMETRIES[choose("geometry", geometry, GEOMETRIES)]
    if move is None:
        return task

    @wraps(task)
    def on_moved(model, batch, generator):
        return task(model, {**batch, "image": move(batch["image"], generator)}, generator)

    return on_moved
