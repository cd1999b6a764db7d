"""Training by a recipe and cross-validation by patient."""

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from joblib import Parallel, cpu_count, delayed
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from . import pretext
from .augmentation import AUGMENTATIONS
from .encoders import build_encoder
from .errors import InputError
from .lesions import LesionSet, images
from .metrics import accuracy_over_folds, auc_over_folds, class_accuracy_over_folds
from .model import Config, LiverVLM
from .paths import cache_home, written_whole
from .phantom import make_cohort
from .profiles import Profile
from .progress import bar
from .records import data_provenance, read_record, run_provenance, write_record
from .training import best_device, classification, fit, predict, to_device

# joblib replaces a worker whose memory has grown, between two folds: nothing is lost, and a page need not say so.
warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor", UserWarning)

INITS = ("scratch", "imagenet", "phase_shuffle", "simsiam")
POOL_SEED = 3_000_000  # unlabelled patients; far from the seeds of all cohorts
SIMSIAM_LR = 0.05 * 32 / 256  # the paper of SimSiam's, for batches of 32


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.  The default: from random weights, phases in canonical order.

    init: "scratch"; "imagenet"; or a pretext on the training images, "phase_shuffle" or "simsiam", for as many
    epochs as the profile has.
    probe: a key of `pretext.PROBES`, through which the pretext sees its images.
    unlabelled: phantom patients that the pretext sees as well, at the same number of steps.
    augmentation: a key of `augmentation.AUGMENTATIONS`, or none.
    epochs: times the profile's: 2 gives a start from scratch the steps of a pretext, 6 is "six versions of each image".
    every_order: answer with the mean over all phase orders.
    """

    init: str = "scratch"
    probe: str | None = None
    unlabelled: int = 0
    augmentation: str | None = None
    epochs: int = 1
    every_order: bool = False

    def __post_init__(self):
        choices = {"init": INITS, "probe": (None, *pretext.PROBES), "augmentation": (None, *AUGMENTATIONS)}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                shown = ", ".join(map(str, known))
                raise InputError(f"recipe: {name} {getattr(self, name)!r} is unknown: choose one of {shown}")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a model answered for slices it was not trained on."""

    y_true: np.ndarray  # (N,) int64
    prob: np.ndarray  # (N, C) float64
    group: np.ndarray  # (N,)
    patient: np.ndarray  # (N,)
    classes: tuple[str, ...]
    train_loss: dict[int, list[float]]  # group left out -> mean loss by epoch

    @property
    def y_pred(self) -> np.ndarray:
        return self.prob.argmax(axis=1)

    @property
    def accuracy(self) -> tuple[float, float]:
        """Percent, mean and population sd over folds."""
        return accuracy_over_folds(self.y_true, self.y_pred, self.group)

    @property
    def auc(self) -> tuple[float, float]:
        """Macro one-vs-rest, mean and population sd over folds."""
        return auc_over_folds(self.y_true, self.prob, self.group)

    def summary(self) -> dict[str, str]:
        """Mean ± sd over folds of each class's accuracy, of the accuracy and of the AUC, as the paper prints them.

        One fold has no spread, and none is printed.
        """
        several = len(np.unique(self.group)) > 1

        def cell(mean: float, sd: float, digits: int) -> str:
            return f"{mean:.{digits}f} ± {sd:.{digits}f}" if several else f"{mean:.{digits}f}"

        means, sds = class_accuracy_over_folds(self.y_true, self.y_pred, self.group, len(self.classes))
        row = {c: cell(m, s, 1) for c, m, s in zip(self.classes, means, sds, strict=True)}
        row["accuracy, %"] = cell(*self.accuracy, 1)
        row["AUC"] = cell(*self.auc, 2)
        return row


def config_for(lesions: LesionSet, profile: Profile, **choices) -> Config:
    """The model that suits a data set under a profile; `choices` set the config's other fields."""
    return Config(**{"text_encoder": profile.text_encoder, **choices}, classes=lesions.classes, phases=lesions.phases)


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
    """Train a model on the slices `index`; returns it and its loss by epoch."""
    recipe, device = recipe or Recipe(), best_device()
    pictures = images(lesions, index, config.window)
    torch.manual_seed(seed)
    model = LiverVLM(config)
    if recipe.init == "imagenet":
        model.encoder = build_encoder(config.encoder, len(config.phases), pretrained=True)
    elif recipe.init != "scratch":
        pretrained = pretrain(pictures, config.encoder, profile, recipe, seed=seed, progress=progress)
        model.encoder.load_state_dict(pretrained.encoder.state_dict())
    model.to(device)
    history = fit(
        model,
        to_device(pictures, torch.from_numpy(lesions.label[index]), device),
        task=AUGMENTATIONS.get(recipe.augmentation, classification),
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
    which knows it by the images, the settings and the code; another process that wants the same waits for it.
    """
    n_phases = pictures.shape[1]
    torch.manual_seed(seed)
    network = build_encoder(encoder, n_phases)
    if recipe.init == "simsiam":
        model, task = pretext.SimSiam(network), pretext.simsiam
        how = {"lr": SIMSIAM_LR, "optimizer": pretext.sgd, "schedule": pretext.cosine_decay}
    else:
        model, task, how = pretext.PhaseShuffle(network, n_phases), pretext.phase_shuffle, {}
    path = (
        cache_home() / "pretext" / f"{recipe.init}-{_pretext_key(pictures, encoder, profile, recipe, seed)}.safetensors"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            seen, epochs = pictures, profile.epochs
            if recipe.unlabelled:
                seen = torch.cat([pictures, _unlabelled(pictures, recipe.unlabelled, seed)])
                epochs = max(round(epochs * len(pictures) / len(seen)), 1)
            if recipe.probe:
                seen = pretext.PROBES[recipe.probe](seen, torch.Generator().manual_seed(seed))
            device = best_device()
            data = to_device(seen, torch.zeros(len(seen)), device)
            fit(model.to(device), data, task=task, epochs=epochs, seed=seed, progress=progress, **how)
            with written_whole(path) as temporary:
                save_file({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}, temporary)
    try:
        model.cpu().load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise InputError(f"{path}: not the weights of this pretext; delete it and run again") from error
    return model.eval()


def cross_validate(
    lesions: LesionSet,
    config: Config,
    profile: Profile,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    tested: LesionSet | None = None,
    records: str | Path | None = None,
    progress: bool = True,
) -> Outcome:
    """Leave each patient group out once (section 4.1): train on the others, answer for its slices.

    tested: the same slices in other pictures, such as misregistered ones; the group left out is shown from there.
    records: a folder; each fold is a record in it, written when it is done and not run again.
    """
    recipe = recipe or Recipe()
    if tested is not None and (tested.cohort_key(), tested.phases) != (lesions.cohort_key(), lesions.phases):
        raise InputError("tested: not the slices that are trained on; give the same patients, slices and phases")
    folds = {group: (train, test) for group, train, test in lesions.folds()}
    paths = {group: _record_path(records, lesions, config, profile, recipe, seed, group, tested) for group in folds}
    done = {group: read_record(path) for group, path in paths.items() if path and path.exists()}
    # On CPU cores, processes of one thread each are faster than one process of many threads; a GPU is one device.
    jobs = 1 if best_device().type == "cuda" else min(cpu_count(), len(folds))
    todo = [
        delayed(_fold_record)(lesions, config, profile, recipe, seed, group, *folds[group], paths[group], tested)
        for group in folds
        if group not in done
    ]
    ran = Parallel(jobs, return_as="generator_unordered")(todo)
    for record in bar(ran, "folds", progress, total=len(todo)):
        done[record["fold"]] = record
    return outcome_of([done[group] for group in folds], lesions.classes)


def outcome_of(records: Iterable[dict], classes: tuple[str, ...]) -> Outcome:
    """The records of some folds put together."""
    slices = {record["fold"]: record["slices"] for record in records}
    return Outcome(
        y_true=np.concatenate([s["y_true"] for s in slices.values()]),
        prob=np.concatenate([s["prob"] for s in slices.values()]),
        group=np.repeat(list(slices), [len(s["y_true"]) for s in slices.values()]),
        patient=np.concatenate([s["patient"] for s in slices.values()]),
        classes=classes,
        train_loss={record["fold"]: record["train_loss"] for record in records},
    )


def run_fold(
    lesions: LesionSet,
    train: np.ndarray,
    test: np.ndarray,
    config: Config,
    profile: Profile,
    recipe: Recipe,
    seed: int,
    tested: LesionSet | None = None,
) -> dict:
    """Train on some slices, answer for others (as `tested` shows them): what a record holds of it."""
    start = time.monotonic()
    model, loss = train_model(lesions, train, config, profile, recipe, seed=seed, progress=False)
    prob = predict(
        model, images(lesions if tested is None else tested, test, config.window), every_order=recipe.every_order
    )
    found = {"train_loss": loss, "slices": slice_answers(lesions, test, prob.double().numpy())}
    return {**found, "seconds": round(time.monotonic() - start, 1)}


def slice_answers(lesions: LesionSet, test: np.ndarray, prob: np.ndarray) -> dict:
    """Patient, truth and probabilities of the slices `test`, for a record."""
    return {
        "patient": lesions.patient[test].tolist(),
        "y_true": lesions.label[test].tolist(),
        "prob": [[float(f"{p:.6g}") for p in row] for row in prob],  # digits, so that ranks stay
    }


def provenance(lesions: LesionSet, config: Config, profile: Profile, seed: int, recipe: Recipe | None = None) -> dict:
    """What a number of a trained model needs beside it: code, data, settings, versions, device."""
    return {
        **run_provenance(),
        "data": data_provenance(lesions),
        "model": asdict(config),
        "recipe": asdict(recipe or Recipe()),
        "profile": asdict(profile),
        "seed": seed,
        "text_encoder": config.text_encoder if config.head == "text" else None,
    }


def _fold_record(lesions, config, profile, recipe, seed, group, train, test, path, tested) -> dict:
    found = run_fold(lesions, train, test, config, profile, recipe, seed, tested)
    record = {**provenance(lesions, config, profile, seed, recipe), "fold": group, **found}
    if tested is not None:
        record["tested on"] = data_provenance(tested)
    if path:
        write_record(path, record)
    return record


def _record_path(folder, lesions, config, profile, recipe, seed: int, group: int, tested) -> Path | None:
    """Names a fold's record by all that decides its result; absolute, as a process may stand in another folder."""
    if folder is None:
        return None
    settings = [asdict(config), asdict(profile), asdict(recipe), seed, lesions.fingerprint()]
    if tested is not None:
        settings.append(tested.fingerprint())
    cell = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]
    return Path(folder).absolute() / f"{config.head}-{profile.name}-{cell}-fold{group}.json"


def _unlabelled(pictures: Tensor, patients: int, seed: int) -> Tensor:
    """Images of phantom patients who are in no cohort and no test."""
    size = pictures.shape[-1]
    pool = make_cohort(POOL_SEED + seed, size, patients=patients, progress=False)
    if len(pool.phases) != pictures.shape[1]:
        raise InputError(f"an unlabelled pool has {len(pool.phases)} phases, these images {pictures.shape[1]}")
    return images(pool)


def _pretext_key(pictures: Tensor, encoder: str, profile: Profile, recipe: Recipe, seed: int) -> str:
    settings = [encoder, profile.epochs, recipe.init, recipe.probe, recipe.unlabelled, seed, list(pictures.shape)]
    digest = hashlib.sha256(json.dumps(settings).encode())
    digest.update(pictures.numpy())
    for name in ("pretext", "training", "encoders"):  # weights of older code are not those of this one
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]
