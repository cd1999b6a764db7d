"""The networks whose maps are explained: the arms of the comparison, two controls, and weights drawn anew by stages."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ...base.cache import changed, made_once
from ...base.paths import data_file
from ...base.profiles import current_profile, get_profile
from ...models.liver_vlm import LiverVLM
from ...models.trainer import config_for, train_model
from ...phantom.patients import PHANTOM_VERSION
from ...runs.cells import Cell
from ...runs.cohorts import cohort_of
from ...runs.records import data_provenance, run_provenance
from ...runs.rows import Row, all_rows
from ...scans.lesions import LesionSet
from .patients import SIZE

ARMS = "scratch", "model 1", "model 2", "FC, phase shuffle"  # rows of rows.json
REFERENCE = "model 1"  # the arm whose settings the controls have, and whose falls the baselines are compared with
# The reference never trained, and the reference trained on labels that belong to other patients.
CONTROLS = UNTRAINED, PERMUTED = "untrained", "labels permuted"
# The reference with a small encoder, whose weights have room in the book; recorded, so that it can be compared.
NARROW = "model 1, narrow ResNet10"
PROFILE = replace(get_profile("recorded"), name="explained", size=SIZE)
# The modules of a network with a ResNet in the order in which their weights are drawn anew, from the last one down.
STAGES = {"head": ("head",)} | {f"stage {i}": (f"encoder.body.layer{i}",) for i in (4, 3, 2, 1)}
STAGES["stem"] = ("encoder.body.conv1", "encoder.body.bn1")


def explained_model(arm: str, cohort: int) -> LiverVLM:
    """The network of an arm, trained on a cohort of the population protocol; trained once, then read from the cache."""
    return LiverVLM.from_pretrained(model_folder(arm, cohort))


def model_folder(arm: str, cohort: int) -> Path:
    """Where the cache keeps that network."""
    settings = [arm, cohort, _row(arm).departures, changed(PROFILE), PHANTOM_VERSION]
    return made_once("explained networks", settings, lambda folder: _train(arm, cohort, folder), suffix="")


def _train(arm: str, cohort: int, folder: Path) -> None:
    row = _row(arm)
    lesions = cohort_of(Cell(row, "population", cohort, None, PROFILE, 0))
    if arm == PERMUTED:
        lesions = replace(lesions, label=permuted_labels(lesions, cohort))
    config, everything = config_for(lesions, PROFILE, **row.method.config), np.arange(len(lesions))
    checkpoint = folder.with_suffix(".checkpoint")
    if arm == UNTRAINED:
        torch.manual_seed(cohort)
        model, loss = LiverVLM(config), []
    else:
        choices = {"seed": cohort, "checkpoint": checkpoint, "progress": False}
        model, loss = train_model(lesions, everything, config, PROFILE, row.method.recipe, **choices)
    about = {"arm": arm, "cohort": cohort, "profile": changed(PROFILE), "train_loss": loss}
    model.save_pretrained(folder, {**run_provenance(), **about, "data": data_provenance(lesions)})
    checkpoint.unlink(missing_ok=True)


def _row(arm: str) -> Row:
    row = all_rows()[arm if arm in ARMS else REFERENCE]
    if arm != NARROW:
        return row
    return replace(row, method=replace(row.method, config={**row.method.config, "encoder": "resnet10_narrow"}))


def shipped_network() -> LiverVLM:
    """A trained Liver-VLM of the phantom, four classes, NC, ART and PV: the Grad-CAM chapter's, in half precision."""
    return LiverVLM.from_pretrained(data_file("explained"))


def network_for(lesions: LesionSet) -> LiverVLM:
    """The shipped network where it reads these classes and phases; else one that is trained on them now."""
    model, profile = shipped_network(), current_profile()
    if (lesions.classes, lesions.phases) != (model.config.classes, model.config.phases):
        every = np.arange(len(lesions))
        model, _ = train_model(lesions, every, config_for(lesions, profile), profile, progress=False)
    return model.cpu()


def permuted_labels(lesions: LesionSet, seed: int) -> np.ndarray:
    """(N,): every patient gets the label of another, so that there is nothing to learn but the patients."""
    _, first, at = np.unique(lesions.patient, return_index=True, return_inverse=True)
    return np.random.default_rng(seed).permutation(lesions.label[first])[at]


def cascading_randomisation(model: LiverVLM, seed: int) -> Iterator[tuple[str, LiverVLM]]:
    """Draw a network's weights anew, stage by stage from the head down (Adebayo et al. 2018).

    Yields each stage's name and one network, a copy that is changed in place: use it before the next stage.
    """
    torch.manual_seed(1000 + seed)  # not the weights that an untrained network began with
    broken, fresh = deepcopy(model), LiverVLM(model.config, getattr(model.head, "text", None))
    for stage, modules in STAGES.items():
        for name in modules:
            broken.get_submodule(name).load_state_dict(fresh.get_submodule(name).state_dict())
        yield stage, broken.eval()
