"""Every row of the paper's tables and every control, run from one declared list, `data/rows.json`.

Work is cut into cells (row, cohort, fold).  A cell leaves one record; one that has its record is not run again, a kill
loses at most the cells in flight, and no two processes work on the same cell.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from joblib import Parallel, cpu_count, delayed, parallel_config
from torch.nn.functional import normalize

from . import pretext, radiomics, zero_shot
from .datasets import load_dataset
from .encoders import build_encoder
from .errors import InputError
from .experiments import config_for, pretrain, slice_answers, train_model
from .lesions import LesionSet, images
from .metrics import calibration, confusion, macro_auc
from .model import LiverVLM
from .paths import cache_home
from .phantom import PHANTOM_VERSION, Knobs, make_cohort
from .phases import CANONICAL
from .profiles import Profile
from .progress import bar
from .records import data_provenance, run_provenance, write_record
from .rows import Row, declared
from .text import TEXT_ENCODERS, find_weights
from .training import best_device, predict

CHUNK = 100  # patients of a test pool that share one draw of the phantom's uncertain tables
SLICES = 2  # of each patient in a test pool
CURVE = 5  # epochs between two points of a learning curve


@dataclass(frozen=True)
class Protocol:
    """How cohorts are drawn and tested.

    cohort_seed, pool_seed: where the seeds of its cohorts and of its test patients begin.  Without a pool every cohort
    is cross-validated over its own groups; with one it is trained on whole, and its phantom is drawn anew.
    """

    cohort_seed: int
    pool_seed: int | None = None
    curves: bool = False


PROTOCOLS = {
    "paper": Protocol(0),  # cohort 0 is the book's
    "population": Protocol(10_000, 4_000_000),
    "development": Protocol(20_000, 5_000_000, curves=True),  # what settings are chosen on; never compared
}


@dataclass(frozen=True)
class Cell:
    """The unit of work: a row on a cohort, and in the paper's protocol the group that is left out."""

    row: Row
    protocol: str
    cohort: int
    fold: int | None
    profile: Profile
    test_patients: int

    @property
    def pools(self) -> tuple[str, ...]:
        """What it is tested on beside its own folds; in development the first alone, as nothing is compared there."""
        if self.fold is not None:
            return ()
        return self.row.pools[:1] if PROTOCOLS[self.protocol].curves else self.row.pools

    def path(self, out: str | Path) -> Path:
        """Its record, named by all that decides its result; absolute, as a process may stand in another folder."""
        pools = {name: declared()["pools"][name] for name in self.pools}
        settings = [self.row.departures, pools, asdict(self.profile), PHANTOM_VERSION]
        if self.fold is None:
            settings.append(self.test_patients)
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        fold = "" if self.fold is None else f"-fold{self.fold}"
        slug = "".join(c if c.isalnum() else "-" for c in self.row.name.lower()).replace("--", "-")
        name = f"{self.profile.name}-{key}-cohort{self.cohort:03d}{fold}.json"
        return Path(out).absolute() / self.protocol / slug / name


def cells(
    chosen: Iterable[Row], protocol: str, cohorts: int, profile: Profile, test_patients: int = 2000
) -> list[Cell]:
    """The cells of some rows on the cohorts 0 to `cohorts` - 1, cohort by cohort."""
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol {protocol!r} is unknown: choose one of {', '.join(PROTOCOLS)}")
    folds = [None] if PROTOCOLS[protocol].pool_seed is not None else range(1, 6)
    return [
        Cell(row, protocol, cohort, fold, profile, test_patients)
        for cohort in range(cohorts)
        for row in chosen
        for fold in folds
    ]


def unreachable(row: Row, profile: Profile) -> str | None:
    """Why a row cannot run here: which weights are out of reach.  Nothing is put in their place."""
    try:
        if row.method == "zero_shot":
            zero_shot.load(row.zero_shot["model"])
        if row.recipe.init == "imagenet":
            build_encoder(row.config.get("encoder", "resnet18"), 3, pretrained=True)
        encoder = row.config.get("text_encoder", profile.text_encoder)
        reads_text = row.method == "train" and row.config.get("head", "text") == "text"
        if reads_text and encoder in TEXT_ENCODERS and encoder != "minilm":  # whose features are shipped
            find_weights(TEXT_ENCODERS[encoder])
    except InputError as error:
        return str(error)
    return None


def run(
    todo: Sequence[Cell], out: str | Path, *, jobs: int | None = None, dask: str | None = None, progress: bool = True
) -> dict[str, int]:
    """Run the cells that have no record yet; returns how many were done before, done now, and left to other processes.

    jobs: local processes of one thread each, by default one a core (one on a GPU).  dask: instead the address of a Dask
    scheduler, whose workers see the same folders.
    """
    missing = [cell for cell in todo if not cell.path(out).exists()]
    counts = {"before": len(todo) - len(missing), "now": 0, "elsewhere": 0}
    jobs = jobs or (1 if best_device().type == "cuda" else cpu_count())
    with ExitStack() as stack:
        if dask:
            from distributed import Client

            stack.enter_context(Client(dask, set_as_default=True))
            stack.enter_context(parallel_config("dask"))
        else:
            _make_pools(missing, jobs, progress)
        ran = Parallel(None if dask else jobs, return_as="generator_unordered", pre_dispatch="2*n_jobs")(
            delayed(run_cell)(cell, Path(out).absolute()) for cell in missing
        )
        for done in bar(ran, "cells", progress, total=len(todo), initial=counts["before"]):
            counts["now" if done else "elsewhere"] += 1
    return counts


def run_cell(cell: Cell, out: str | Path) -> bool:
    """Run one cell and write its record; False where another process is at it."""
    path = cell.path(out)
    lock = Path(out).absolute() / ".locks" / f"{cell.protocol}-{path.parent.name}-{path.stem}"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):  # the system lets go of it when its process dies
            if not path.exists():
                write_record(path, _answer(cell))
            lock.unlink(missing_ok=True)
    except Timeout:
        return False
    return True


# -- One cell ----------------------------------------------------------------------------------------------------


def cohort_of(cell: Cell) -> LesionSet:
    """The patients that a cell is trained on, and in the paper's protocol tested on."""
    protocol = PROTOCOLS[cell.protocol]
    arguments = {"seed": protocol.cohort_seed + cell.cohort, "size": cell.profile.size, **cell.row.cohort}
    if protocol.pool_seed is not None:
        arguments["knobs"] = Knobs(uncertain=True)
    return load_dataset("phantom", progress=False, **arguments)


def pool_of(cell: Cell, name: str, jobs: int = 1, progress: bool = False) -> LesionSet:
    """Fresh patients that every cohort is tested on, two slices of each; made once, then read from the cache.

    Every hundred have a phantom of their own, drawn from what is known of it.
    """
    changed = {**declared()["pools"][name]}
    knobs = Knobs(uncertain=True, **changed.pop("knobs", {}))
    phases = tuple(cell.row.cohort.get("phases", CANONICAL))
    first = PROTOCOLS[cell.protocol].pool_seed
    key = json.dumps([PHANTOM_VERSION, first, cell.test_patients, cell.profile.size, phases, changed, asdict(knobs)])
    path = cache_home() / "pools" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            sizes = np.diff([*range(0, cell.test_patients, CHUNK), cell.test_patients])
            make = delayed(_pool_chunk)
            made = Parallel(jobs, return_as="generator")(
                make(first + i, int(n), cell.profile.size, phases, knobs, changed) for i, n in enumerate(sizes)
            )
            parts = list(bar(made, f"test pool: {name}", progress, total=len(sizes)))
            for i, part in enumerate(parts):
                parts[i] = replace(part, patient=part.patient + i * CHUNK)
            arrays = ("hu", "label", "patient", "group", "spacing")
            joined = {n: np.concatenate([getattr(part, n) for part in parts]) for n in arrays}
            source = {"kind": "phantom pool", "version": str(PHANTOM_VERSION), "seed": str(first), "pool": name}
            LesionSet(**joined, classes=parts[0].classes, phases=phases, source=source).save(path)
    return LesionSet.load(path)


def _pool_chunk(seed: int, patients: int, size: int, phases, knobs: Knobs, changed: Mapping) -> LesionSet:
    lesions = make_cohort(seed, size, phases, patients=patients, knobs=knobs, progress=False, **changed)
    rng = np.random.default_rng(seed)
    slices = [np.flatnonzero(lesions.patient == patient) for patient in np.unique(lesions.patient)]
    kept = np.concatenate([np.sort(rng.permutation(mine)[:SLICES]) for mine in slices])
    return replace(lesions, masks=None, mask_names=()).subset(kept)


def _make_pools(todo: Iterable[Cell], jobs: int, progress: bool) -> None:
    """Make the test pools with all processes, before each works on a cell of its own."""
    wanted = {(name, str(cell.row.cohort.get("phases"))): cell for cell in todo for name in cell.pools}
    for (name, _), cell in wanted.items():
        pool_of(cell, name, jobs, progress)


def _answer(cell: Cell) -> dict:
    """The record of a cell."""
    start, threads = time.monotonic(), torch.get_num_threads()
    if best_device().type == "cpu":
        torch.set_num_threads(1)  # two processes of one thread are faster than one of two
    try:
        lesions = cohort_of(cell)
        train = np.flatnonzero(lesions.group != cell.fold)
        answer, found = _METHODS[cell.row.method](cell, lesions, train)
        if cell.fold is None:
            pools = {name: pool_of(cell, name) for name in cell.pools}
            tests = {name: (pool, np.arange(len(pool))) for name, pool in pools.items()}
        else:
            tests = {"standard": (lesions, np.flatnonzero(lesions.group == cell.fold))}
        if cell.row.method == "pretext":
            found["tests"] = {name: answer(*test) for name, test in tests.items()}
        elif cell.fold is None:
            found["tests"] = {name: _patient_counts(pool, answer(pool, at)) for name, (pool, at) in tests.items()}
        else:
            found["slices"] = slice_answers(*tests["standard"], answer(*tests["standard"]))
    finally:
        torch.set_num_threads(threads)
    return {
        **run_provenance(),
        "row": {key: value for key, value in asdict(cell.row).items() if key != "printed"},
        "protocol": cell.protocol,
        "cohort": cell.cohort,
        "fold": cell.fold,
        "profile": asdict(cell.profile),
        "text_encoder": _config(cell, lesions).text_encoder if cell.row.method == "train" else None,
        "seed": cell.cohort,
        "data": data_provenance(lesions),
        **found,
        "seconds": round(time.monotonic() - start, 1),
    }


Answer = Callable[[LesionSet, np.ndarray], np.ndarray]  # slices of a set -> their probabilities (n, C)


def _config(cell: Cell, lesions: LesionSet):
    return config_for(lesions, cell.profile, **cell.row.config)


def _train(cell: Cell, lesions: LesionSet, train: np.ndarray) -> tuple[Answer, dict]:
    config, recipe, found = _config(cell, lesions), cell.row.recipe, {}

    def answer(tested: LesionSet, at: np.ndarray) -> np.ndarray:
        prob = predict(model, images(tested, at, config.window), every_order=recipe.every_order)
        return prob.double().numpy()

    def curve(trained: LiverVLM, epoch: int) -> None:
        nonlocal model
        if epoch % CURVE == 0:
            model, pool = trained, pool_of(cell, "standard")
            right = answer(pool, np.arange(len(pool))).argmax(axis=1) == pool.label
            found.setdefault("curve", {})[str(epoch)] = round(100 * right.mean(), 2)

    model = None
    after = curve if PROTOCOLS[cell.protocol].curves else None
    model, found["train_loss"] = train_model(
        lesions, train, config, cell.profile, recipe, seed=cell.cohort, after_epoch=after, progress=False
    )
    if config.head == "text":
        with torch.inference_mode():
            vectors = {
                "before FC_T": normalize(model.head.text[0], dim=1),
                "after FC_T": model.head.class_embeddings()[0],
            }
        found["class cosines"] = {
            name: (v @ v.T).cpu().double().numpy().round(4).tolist() for name, v in vectors.items()
        }
    return answer, found


def _pretext(cell: Cell, lesions: LesionSet, train: np.ndarray) -> tuple[Callable, dict]:
    """Measures of the pretext itself, on slices that it has not seen."""
    config, seed = _config(cell, lesions), cell.cohort
    model = pretrain(
        images(lesions, train, config.window), config.encoder, cell.profile, cell.row.recipe, seed=seed, progress=False
    )
    model.to(best_device())

    def answer(tested: LesionSet, at: np.ndarray) -> dict:
        pictures = images(tested, at[:: max(len(at) // 500, 1)], config.window)
        if cell.row.recipe.init == "simsiam":
            return {"slices": len(pictures), "output spread": round(pretext.output_spread(model, pictures), 4)}
        generator = torch.Generator().manual_seed(seed)
        probed = {"all": pictures} | {name: probe(pictures, generator) for name, probe in pretext.PROBES.items()}
        accuracy = {name: round(100 * pretext.order_accuracy(model, p), 2) for name, p in probed.items()}
        sorted_right = (pretext.order_by_border(pictures) == 0).double().mean().item()  # they are in canonical order
        return {"slices": len(pictures), "order accuracy": accuracy, "borders sorted": round(100 * sorted_right, 2)}

    return answer, {}


def _radiomics(cell: Cell, lesions: LesionSet, train: np.ndarray) -> tuple[Answer, dict]:
    return radiomics.fit(lesions, train, seed=cell.cohort), {}


def _zero_shot(cell: Cell, lesions: LesionSet, train: np.ndarray) -> tuple[Answer, dict]:
    how = dict(cell.row.zero_shot)
    model = zero_shot.load(how.pop("model"))
    return lambda tested, at: zero_shot.zero_shot_probabilities(tested.subset(at), model, **how, progress=False), {}


_METHODS = {"train": _train, "pretext": _pretext, "radiomics": _radiomics, "zero_shot": _zero_shot}


def _patient_counts(pool: LesionSet, prob: np.ndarray) -> dict:
    """How each patient of a pool was answered, a digit each, and what a mean over slices hides or shows."""
    right = prob.argmax(axis=1) == pool.label
    slices, correct = np.bincount(pool.patient), np.bincount(pool.patient, right).astype(int)
    own = np.clip(prob[np.arange(len(prob)), pool.label], 1e-12, None)
    return {
        "fingerprint": pool.fingerprint(),
        "slices": "".join(map(str, slices)),
        "correct": "".join(map(str, correct)),
        "accuracy": round(100 * float(np.mean(correct / slices)), 3),
        "confusion": confusion(pool.label, prob.argmax(axis=1), prob.shape[1]).tolist(),
        "AUC": round(macro_auc(pool.label, prob), 4),
        "ECE": round(calibration(pool.label, prob)[1], 4),
        "loss": round(float(-np.log(own).mean()), 4),
    }
