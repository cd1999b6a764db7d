"""Training by a recipe: a model for a data set, from random weights or from a pretext."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..base.cache import made_once
from ..base.code import code_key
from ..base.device import autocast_dtype, best_device
from ..base.errors import InputError
from ..base.paths import written_whole
from ..base.profiles import Profile
from ..phantom.cohort import make_cohort
from ..scans.lesions import LesionSet
from ..scans.phases import prompt_rows
from ..scans.seeds import seed_of
from ..scans.windowing import images
from . import pretext
from .augmentation import AUGMENTATIONS
from .encoders import build_encoder
from .geometry import moved
from .liver_vlm import LiverVLM
from .settings import Config, Recipe, choose
from .training import classification, fit, to_device, windowed

SIMSIAM_LR = 0.05 * 32 / 256  # the paper of SimSiam's, for batches of 32


def config_for(lesions: LesionSet, profile: Profile, **choices) -> Config:
    """The model that suits a data set under a profile; `choices` set the config's other fields."""
    ours = {"text_encoder": profile.text_encoder, "encoder": profile.encoder, **choices}
    incomplete = lesions.present is not None
    return Config(**ours, classes=lesions.classes, phases=lesions.phases, incomplete=incomplete)


def train_model(
    lesions: LesionSet,
    index: np.ndarray,
    config: Config,
    profile: Profile,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    after_epoch: Callable[[LiverVLM, int], None] | None = None,
    progress: bool = True,
) -> tuple[LiverVLM, list[float]]:
    """Train a model on the slices `index`; returns it and its loss by epoch.

    Raises `InputError` where some slices lack a phase, and the recipe shuffles phases or the config says otherwise.
    """
    recipe, device = recipe or Recipe(), best_device()
    if recipe.init.endswith("phase_shuffle") or recipe.augmentation or recipe.every_order:
        lesions.require_every_phase("a recipe that reorders phases")
    if config.incomplete != (lesions.present is not None):
        raise InputError("config: incomplete is to be True where slices lack phases, and only there: use `config_for`")
    tasks = {None: classification, **AUGMENTATIONS}
    task = tasks[choose("augmentation", recipe.augmentation, tasks)]
    task = windowed(moved(task, recipe.geometry or profile.geometry), config.window)
    torch.manual_seed(seed)
    model = LiverVLM(config)
    if recipe.init == "imagenet":
        model.encoder = build_encoder(config.encoder, len(config.phases), pretrained=True)
    elif recipe.init != "scratch":
        pictures = images(lesions, index, config.window)
        pretrained = pretrain(pictures, config.encoder, profile, recipe, seed=seed, progress=progress)
        model.encoder.load_state_dict(pretrained.encoder.state_dict())
    model.to(device)
    data = to_device(torch.from_numpy(lesions.hu[index]), torch.from_numpy(lesions.label[index]), device)
    if config.incomplete:
        data["row"] = prompt_rows(lesions.present, index).to(device)
    history = fit(
        model,
        data,
        task=task,
        epochs=recipe.epochs * profile.epochs,
        seed=seed,
        checkpoint=checkpoint,
        after_epoch=after_epoch and (lambda epoch: after_epoch(model, epoch)),
        progress=progress,
    )
    return model, history


def pretrain(
    pictures: Tensor, encoder: str, profile: Profile, recipe: Recipe, *, seed: int = 0, progress: bool = True
) -> nn.Module:
    """The pretext of a recipe, run on windowed images (N, P, H, W): the whole `PhaseShuffle` or `SimSiam`, on the CPU.

    The labels have no part in it, nor has any image that is not given.  It is run once and then read from the cache,
    which knows it by the images, the settings and the code.
    """
    probes = {None: lambda images, generator: images, **pretext.PROBES}
    probe = probes[choose("probe", recipe.probe, probes)]
    geometry = recipe.geometry or profile.geometry
    torch.manual_seed(seed)
    network = build_encoder(encoder, pictures.shape[1], pretrained=recipe.init == "imagenet_phase_shuffle")
    if recipe.init == "simsiam":
        model, task = pretext.SimSiam(network), pretext.simsiam
        how = {"lr": SIMSIAM_LR, "optimizer": pretext.sgd, "schedule": pretext.cosine_decay}
    else:
        model, task, how = pretext.PhaseShuffle(network, pictures.shape[1]), pretext.phase_shuffle, {}
    task = moved(task, geometry)

    def run(path: Path) -> None:
        seen, epochs = pictures, profile.epochs
        if recipe.unlabelled:
            seen = torch.cat([pictures, unlabelled_images(pictures, recipe.unlabelled, seed)])
            epochs = max(round(epochs * len(pictures) / len(seen)), 1)
        seen, device = probe(seen, torch.Generator().manual_seed(seed)), best_device()
        data = to_device(seen, torch.zeros(len(seen)), device)
        fit(model.to(device), data, task=task, epochs=epochs, seed=seed, progress=progress, **how)
        with written_whole(path) as temporary:
            save_file({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}, temporary)

    settings = [encoder, geometry, profile.epochs, seed, list(pictures.shape)]
    settings += [recipe.init, recipe.probe, recipe.unlabelled]
    # Other code, another library, device or precision train other weights.
    where = best_device()
    settings += [torch.__version__, where.type, str(autocast_dtype(where))]
    settings += [hashlib.sha256(pictures.numpy()).hexdigest(), code_key(__name__)]
    path = made_once("pretext", settings, run)
    try:
        model.cpu().load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise InputError(f"{path}: not the weights of this pretext; delete it and run again") from error
    return model.eval()


def unlabelled_images(pictures: Tensor, patients: int, seed: int) -> Tensor:
    """Images, as many phases and pixels, of phantom patients who are in no cohort and no test."""
    pool = make_cohort(seed_of("unlabelled", seed), pictures.shape[-1], patients=patients, progress=False)
    if len(pool.phases) != pictures.shape[1]:
        raise InputError(f"an unlabelled pool has {len(pool.phases)} phases, these images {pictures.shape[1]}")
    return images(pool)
