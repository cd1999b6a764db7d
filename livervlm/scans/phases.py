"""Phases of a contrast CT, the one table of their orders, shuffle and inverse (paper sections 3.2 and 3.4)."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..base.errors import InputError


def orders(k: int) -> Tensor:
    """All k! orders of k phases, (k!, k) int64, lexicographic; row 0 is the canonical order.

    Row o says which phase each channel shows: channel j shows phase `orders(k)[o, j]`.  The paper prints two
    lists of the six orders that disagree with each other; this table is the only one used here.
    """
    if k < 1:
        raise InputError(f"{k} phases have no orders: give at least one phase")
    return torch.tensor(list(itertools.permutations(range(k))), device="cpu")  # a new one for each caller


def inverses(k: int) -> Tensor:
    """For each order its inverse's number, (k!,): `shuffle(shuffle(x, o), inverses(k)[o])` is x."""
    table = orders(k)
    undone = table.argsort(dim=1)  # (k!, k): the inverse permutations
    return (undone[:, None] == table[None]).all(dim=2).int().argmax(dim=1)


def random_orders(images: Tensor, generator: torch.Generator) -> Tensor:
    """A random order for each image of (B, P, H, W): (B,) int64, drawn on the CPU, so alike on every device."""
    draws = torch.randint(math.factorial(images.shape[1]), (len(images),), generator=generator)
    return draws.to(images.device)


def order_names(phases: Sequence[str]) -> list[tuple[str, ...]]:
    """The phase names channel by channel for every order, in the order of the table."""
    return [tuple(phases[i] for i in row) for row in orders(len(phases)).tolist()]


def some_of(phases: Sequence[str]) -> list[tuple[str, ...]]:
    """What a slice that lacks phases may have: two or more of them, in their order; the larger selections first."""
    return [some for n in range(len(phases) - 1, 1, -1) for some in itertools.combinations(phases, n)]


def prompt_rows(present: np.ndarray | None, index: np.ndarray | slice = slice(None)) -> Tensor | None:
    """Which prompts speak of some slices, (n,) int64: of one with all k phases 0, else k! and its place in `some_of`.

    present: of a `LesionSet`; None, as every slice has every phase, gives None.
    """
    if present is None:
        return None
    k = present.shape[1]
    rows = {some: math.factorial(k) + place for place, some in enumerate(some_of(range(k)))} | {tuple(range(k)): 0}
    return torch.tensor([rows[tuple(np.flatnonzero(phases))] for phases in present[index]])


def shuffle(images: Tensor, order: Tensor) -> Tensor:
    """Reorder the phases of each image, on the images' own device.

    images: (B, P, H, W).  order: (B,) int64, a row of `orders(P)` per image.  Returns (B, P, H, W).
    """
    source = orders(images.shape[1]).to(order.device).index_select(0, order)  # (B, P)
    return images.gather(1, source.view(*source.shape, 1, 1).expand_as(images))
