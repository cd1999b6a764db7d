"""Cross-validation by patient, and the record that every run leaves."""

import hashlib
import json
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, cpu_count, delayed

from .errors import InputError
from .lesions import LesionSet, images
from .metrics import accuracy_over_folds, auc_over_folds, class_accuracy_over_folds
from .model import Config, LiverVLM
from .paths import written_whole
from .profiles import Profile
from .progress import bar
from .training import autocast_dtype, best_device, fit, predict, to_device

SCHEMA = "livervlm.record/1"


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
    *,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> tuple[LiverVLM, list[float]]:
    """Train a model from random weights on the slices `index`; returns it and its loss by epoch."""
    device = best_device()
    torch.manual_seed(seed)
    model = LiverVLM(config).to(device)
    data = to_device(images(lesions, index, config.window), torch.from_numpy(lesions.label[index]), device)
    return model, fit(model, data, epochs=profile.epochs, seed=seed, checkpoint=checkpoint, progress=progress)


def cross_validate(
    lesions: LesionSet,
    config: Config,
    profile: Profile,
    *,
    seed: int = 0,
    records: str | Path | None = None,
    progress: bool = True,
) -> Outcome:
    """Leave each patient group out once (section 4.1): train on the others, answer for its slices.

    records: a folder; each fold is a record in it, written when it is done and not run again.
    """
    folds = {group: (train, test) for group, train, test in lesions.folds()}
    paths = {group: _record_path(records, lesions, config, profile, seed, group) for group in folds}
    done = {group: read_record(path) for group, path in paths.items() if path and path.exists()}
    # On CPU cores, processes of one thread each are faster than one process of many threads; a GPU is one device.
    jobs = 1 if best_device().type == "cuda" else min(cpu_count(), len(folds))
    todo = [
        delayed(_run_fold)(lesions, config, profile, seed, group, *folds[group], paths[group])
        for group in folds
        if group not in done
    ]
    ran = Parallel(jobs, return_as="generator_unordered")(todo)
    for record in bar(ran, "folds", progress, total=len(todo)):
        done[record["fold"]] = record
    slices = [done[group]["slices"] for group in folds]
    return Outcome(
        y_true=np.concatenate([s["y_true"] for s in slices]),
        prob=np.concatenate([s["prob"] for s in slices]),
        group=np.repeat(list(folds), [len(s["y_true"]) for s in slices]),
        patient=np.concatenate([s["patient"] for s in slices]),
        classes=lesions.classes,
        train_loss={group: done[group]["train_loss"] for group in folds},
    )


def _run_fold(lesions, config, profile, seed, group, train, test, path) -> dict:
    """Train without one group, answer for it, and leave the record."""
    start = time.monotonic()
    model, loss = train_model(lesions, train, config, profile, seed=seed, progress=False)
    prob = predict(model, images(lesions, test, config.window)).double().numpy()
    record = {
        **provenance(lesions, config, profile, seed),
        "fold": group,
        "seconds": round(time.monotonic() - start, 1),
        "train_loss": loss,
        "slices": {
            "patient": lesions.patient[test].tolist(),
            "y_true": lesions.label[test].tolist(),
            "prob": [[float(f"{p:.6g}") for p in row] for row in prob],  # digits, so that ranks stay
        },
    }
    if path:
        write_record(path, record)
    return record


def provenance(lesions: LesionSet, config: Config, profile: Profile, seed: int) -> dict:
    """What a number needs beside it: code, data, settings, versions, device."""
    device = best_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        **code_provenance("livervlm", "torch", "torchvision", "numpy", "transformers"),
        "data": {
            "source": lesions.source,
            "fingerprint": lesions.fingerprint(),
            "cohort_key": lesions.cohort_key(),
        },
        "model": asdict(config),
        "profile": asdict(profile),
        "seed": seed,
        "text_encoder": config.text_encoder if config.head == "text" else None,
        "device": {"type": device.type, "name": name, "autocast": str(autocast_dtype(device))},
    }


def code_provenance(*packages: str) -> dict:
    """The part of it that any run has, also one that trains no model: schema, commit and versions."""
    return {"schema": SCHEMA, "commit": _commit(), "versions": {p: _version(p) for p in packages}}


def write_record(path: str | Path, record: dict) -> None:
    """Write a record as JSON with a checksum over its content, whole or not at all."""
    record = json.loads(json.dumps(record))  # what a reader will see: lists for tuples
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps({**record, "checksum": _checksum(record)}, indent=1) + "\n")


def read_record(path: str | Path) -> dict:
    """Read a record and check that it is whole and unchanged."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        whole = record.pop("checksum") == _checksum(record)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: not a record; delete it and run again") from error
    if not whole or record.get("schema") != SCHEMA:
        raise InputError(f"{path}: changed since it was written, or of another schema; delete it and run again")
    return record


def _checksum(record: dict) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _record_path(folder, lesions: LesionSet, config: Config, profile: Profile, seed: int, group: int) -> Path | None:
    """Names a fold's record by all that decides its result; absolute, as a process may stand in another folder."""
    if folder is None:
        return None
    text = json.dumps([asdict(config), asdict(profile), seed, lesions.fingerprint()], sort_keys=True)
    cell = hashlib.sha256(text.encode()).hexdigest()[:10]
    return Path(folder).absolute() / f"{config.head}-{profile.name}-{cell}-fold{group}.json"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The checkout's commit, marked where files differ from it; None outside a checkout."""
    git = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--abbrev=40",
        "--dirty",
        "--exclude=*",
    ]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
