"""Grad-CAM maps, examined and scored: against the true parts, against the falls, and against changes that should show.

Maps are raw and signed, (N, h, w), one of each slice's true class.
"""

from collections.abc import Iterator

import numpy as np
import torch
from scipy import stats
from scipy.ndimage import sobel
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from ...evaluation.grad_cam import PART_SCORES, class_score, grad_cam, on_pixels, phase_effect
from ...models.liver_vlm import LiverVLM
from ...phantom.anatomy import PARTS
from ...scans.windowing import images
from .networks import cascading_randomisation
from .patients import Counterfactuals

SCORE_COLUMNS = "slice", "part", *PART_SCORES, "mass"
PLACE = 32  # pixels: the side of a place of ResNet18's map
SHIFT = PLACE // 2
SANITY_EVERY = 6  # patients: the check that draws weights anew maps each of them once a stage
BATCH = 32


def examine(model: LiverVLM, patients: Counterfactuals, seed: int = 0) -> dict:
    """Everything that is recorded of one network; lists have a number for each slice, in the order of `patients`.

    right: whether the network tells the whole slice right.  parts: the columns of `score_maps`, with the fall of the
    true class's score when the part is gone and whether the answer changes; None for an "edge", which cannot go.
    phases: for each phase, the fall when it is taken from another patient, of another class.  shift: correlation of the
    map with that of the picture moved by `SHIFT`, moved back.  randomised: for each stage of `cascading_randomisation`,
    rank correlation of the map with that of the changed network, for every `SANITY_EVERY`th slice.
    """
    pictures, label = images(patients.slices, bounds=model.config.window), torch.from_numpy(patients.slices.label)
    maps, scores = true_class_maps(model, pictures, label), _class_scores(model, pictures)
    parts = score_maps(maps, patients)
    return {
        "right": (scores.argmax(dim=1) == label).tolist(),
        "parts": {**parts, **_falls(model, patients, scores, parts)},
        "phases": _phase_falls(model, pictures, label),
        "shift": _shift_correlations(model, pictures, label, maps),
        "randomised": _randomised_correlations(model, pictures, label, maps, seed),
    }


def _falls(model: LiverVLM, patients: Counterfactuals, scores: Tensor, parts: dict[str, list]) -> dict[str, list]:
    """Columns beside `parts`: the fall of the true class's score when the part is gone; whether the answer changes."""
    label, falls = torch.from_numpy(patients.slices.label), {}
    for name, (at, without) in patients.without.items():
        gone = _class_scores(model, images(without, bounds=model.config.window))
        fall = (scores[at] - gone).gather(1, label[at, None]).squeeze(1)
        changed = gone.argmax(dim=1) != scores[at].argmax(dim=1)
        falls |= {(i, name): pair for i, *pair in zip(at.tolist(), fall.tolist(), changed.tolist(), strict=True)}
    both = [falls.get(key, (None, None)) for key in zip(parts["slice"], parts["part"], strict=True)]
    return {
        "fall": [fall if fall is None else round(fall, 4) for fall, _ in both],
        "changed": [changed for _, changed in both],
    }


def _phase_falls(model: LiverVLM, pictures: Tensor, label: Tensor) -> dict[str, list]:
    """For each phase, the fall of the true class's score when the phase is that of a slice of another class."""
    other = pictures[_next_of_another_class(label.numpy())]
    effects = [phase_effect(model.encoder, class_score(model), *b).cpu() for b in _batches(model, pictures, other)]
    own = torch.cat(effects)[torch.arange(len(label)), :, label]  # (N, P)
    return {phase: _rounded(own[:, i]) for i, phase in enumerate(model.config.phases)}


def _next_of_another_class(label: np.ndarray) -> np.ndarray:
    """(N,): for each slice the position of the next one of another class; after the last slice comes the first."""
    n = len(label)
    return np.array([next(j % n for j in range(i + 1, i + n) if label[j % n] != label[i]) for i in range(n)])


def _shift_correlations(model: LiverVLM, pictures: Tensor, label: Tensor, maps: Tensor) -> list:
    """Correlation of each map with that of the picture moved right and down by `SHIFT`, where they overlap."""
    size = pictures.shape[-1]
    moved = pad(pictures, (SHIFT, 0, SHIFT, 0), mode="replicate")[..., :-SHIFT, :-SHIFT]
    there = _on_slices(true_class_maps(model, moved, label), size)[:, SHIFT:, SHIFT:]
    here = _on_slices(maps, size)[:, :-SHIFT, :-SHIFT]
    return _rounded([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(here, there, strict=True)])


def _randomised_correlations(
    model: LiverVLM, pictures: Tensor, label: Tensor, maps: Tensor, seed: int
) -> dict[str, list]:
    """For each stage, rank correlation of some maps with those of the network drawn anew down to it."""
    some, found = torch.arange(0, len(label), SANITY_EVERY), {}
    for stage, broken in cascading_randomisation(model, seed):
        anew = true_class_maps(broken, pictures[some], label[some])
        pairs = zip(maps[some].flatten(1), anew.flatten(1), strict=True)
        found[stage] = _rounded([stats.spearmanr(a, b).statistic for a, b in pairs])
    return found


def score_maps(maps: Tensor, patients: Counterfactuals) -> dict[str, list]:
    """Scores of maps (N, h, w) as the columns `SCORE_COLUMNS`, with a line for each part that is scored in each slice.

    The lesion is scored within the picture, and every other part within the lesion.  mass: the map's sum over the part,
    divided by the pixels of the picture; it is what a map claims for the part.  None: the score does not exist, as
    where the map has nothing positive.
    """
    on_slices, lesion = _on_slices(maps, patients.slices.size), patients.part_mask("lesion")
    columns: dict[str, list] = {name: [] for name in SCORE_COLUMNS}
    for name in ("lesion", "edge", *PARTS):
        part = patients.part_mask(name)
        for i in range(len(part)) if name in ("lesion", "edge") else patients.without.get(name, ([],))[0]:
            within = np.ones_like(lesion[i]) if name == "lesion" else lesion[i]
            values = [score(on_slices[i], part[i], within) for score in PART_SCORES.values()]
            values.append((on_slices[i] * part[i]).mean())
            for column, value in zip(columns, (int(i), name, *_rounded(values)), strict=True):
                columns[column].append(value)
    return columns


def baseline_maps(patients: Counterfactuals, shape: tuple[int, int], seed: int = 0) -> dict[str, Tensor]:
    """Maps (N, h, w) that know nothing of a network, each with a mean of 0 like Grad-CAM's; shape: (h, w).

    middle: large near the lesion's centre.  rim: large far from it.  edges: Sobel's filter, summed over the phases.
    noise: random numbers.  A map of the true part is another one for each part, so `ceiling_scores` makes it.
    """
    lesion = patients.part_mask("lesion")
    side = np.arange(lesion.shape[1])
    mass = np.maximum(lesion.sum(axis=(1, 2)), 1)
    y, x = (lesion.sum(axis=axis) @ side / mass for axis in (2, 1))  # (N,) the lesion's centre
    away = np.hypot(side[:, None] - y[:, None, None], side - x[:, None, None])
    pictures = images(patients.slices).numpy()
    edges = sum(np.hypot(sobel(p, axis=1), sobel(p, axis=2)) for p in pictures.swapaxes(0, 1))
    found = {"middle": -away, "rim": away, "edges": edges}
    found = {name: _coarse(values, shape) for name, values in found.items()}
    found["noise"] = torch.randn(len(lesion), *shape, generator=torch.Generator().manual_seed(seed))
    return {name: maps - maps.mean(dim=(1, 2), keepdim=True) for name, maps in found.items()}


def ceiling_scores(patients: Counterfactuals, shape: tuple[int, int]) -> dict[str, list]:
    """`score_maps` of each part's own mask, averaged down to (h, w): about the best that the resolution allows."""
    columns: dict[str, list] = {name: [] for name in SCORE_COLUMNS}
    for name in ("lesion", "edge", *PARTS):
        maps = _coarse(patients.part_mask(name), shape)
        maps = maps - maps.mean(dim=(1, 2), keepdim=True)
        every = score_maps(maps, patients)
        keep = [part == name for part in every["part"]]
        for column, values in every.items():
            columns[column].extend(v for v, k in zip(values, keep, strict=True) if k)
    return columns


def true_class_maps(model: LiverVLM, pictures: Tensor, label: Tensor) -> Tensor:
    """Grad-CAM of each picture's own class, (N, h, w), on the CPU; pictures: (N, P, S, S), label: (N,)."""
    every = [grad_cam(model.encoder, class_score(model), part).cpu() for (part,) in _batches(model, pictures)]
    return torch.cat(every)[torch.arange(len(label)), label]


@torch.no_grad()
def _class_scores(model: LiverVLM, pictures: Tensor) -> Tensor:
    """The explained scores of every class, (N, C), on the CPU."""
    score = class_score(model)
    return torch.cat([score(model.encoder(part)).cpu() for (part,) in _batches(model, pictures)])


def _batches(model: LiverVLM, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Tensors of one length part by part, on the model's device."""
    device = next(model.parameters()).device
    return (tuple(part.to(device) for part in parts) for parts in zip(*(t.split(BATCH) for t in tensors), strict=True))


def _on_slices(maps: Tensor, size: int) -> np.ndarray:
    """Maps (N, h, w) spread over their pictures, (N, size, size)."""
    return on_pixels(maps[:, None], size)[:, 0].numpy()


def _coarse(values: np.ndarray, shape: tuple[int, int]) -> Tensor:
    """(N, S, S) averaged down to the places of a map, (N, h, w)."""
    return adaptive_avg_pool2d(torch.from_numpy(np.asarray(values, np.float32)), shape)


def _rounded(values) -> list:
    """Numbers as a record has them: five digits, None for nan."""
    return [None if np.isnan(v) else float(f"{v:.5g}") for v in map(float, values)]
