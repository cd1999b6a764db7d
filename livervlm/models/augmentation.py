"""Phase-shuffle augmentation (section 3.4): shuffle the phases of a training image, and let the prompt say so.

The paper leaves open how often and against which prompts.  The default here is one random order for each image in
each step, against the prompts that name that order; the others are variants.  Each is a task for `training.fit`.
"Six versions of every image" are six times the epochs of `matched`.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..base.errors import InputError
from ..scans.phases import random_orders, shuffle
from .liver_vlm import LiverVLM

Batch = dict[str, Tensor]


def matched(model: LiverVLM, batch: Batch, generator: torch.Generator) -> Tensor:
    """A random order, and the prompts that name it."""
    order = random_orders(batch["image"], generator)
    return cross_entropy(model(shuffle(batch["image"], order), order), batch["label"])


def mismatched(model: LiverVLM, batch: Batch, generator: torch.Generator) -> Tensor:
    """A random order, and prompts that name any other one: does it matter what the prompt says?"""
    order, n_orders = random_orders(batch["image"], generator), math.factorial(batch["image"].shape[1])
    other = torch.randint(1, n_orders, order.shape, generator=generator).to(order.device)
    return cross_entropy(model(shuffle(batch["image"], order), (order + other) % n_orders), batch["label"])


def all_prompts(model: LiverVLM, batch: Batch, generator: torch.Generator) -> Tensor:
    """A random order, and the prompts of all orders compete: the right class in the right order must win."""
    if model.config.head != "text":
        raise InputError(f"prompts of all orders compete only with the head text, not with {model.config.head}")
    order = random_orders(batch["image"], generator)
    logits = model.every_logit(shuffle(batch["image"], order))  # (B, k!, C)
    return cross_entropy(logits.flatten(1), order * logits.shape[2] + batch["label"])


AUGMENTATIONS: dict[str, Callable] = {"matched": matched, "mismatched": mismatched, "all prompts": all_prompts}
