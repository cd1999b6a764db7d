"""Does a Grad-CAM map show what its network used?  Scored on phantom patients, whose causal parts are known.

A patient gives one slice, cut off its middle so that "the centre" is no answer, and the same slice again for every part
that is seen in it, scanned with that part really gone.  Two questions are put to a map of the true class:

where: does it single out the part, within the lesion?  Average precision over the part's share of the lesion, and the
    share of the map's positive energy that falls on it over the same: 1 is what a map gets that knows nothing.
how much: does a larger claim for a part go with a larger fall of the score when the part is gone?  Rank correlation
    over patients, of the map's sum over the part and of that very network's measured fall.

`python -m livervlm.explanations` trains the networks and leaves a record of each, and one of the baselines.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from joblib import Parallel, delayed
from pandas.api.typing import SeriesGroupBy
from scipy import stats
from scipy.ndimage import distance_transform_edt, sobel
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from .cells import Cell, cohort_of
from .conventions import CANONICAL
from .device import best_device
from .errors import InputError
from .grad_cam import class_score, energy_over_area, grad_cam, on_pixels, phase_effect, precision_over_prevalence
from .lesions import LesionSet, images
from .model import LiverVLM, read_card
from .paths import cache_home, data_file, folder_written_whole
from .phantom.anatomy import PARTS
from .phantom.cohort import MARGIN, MASK_NAMES, phantom_study
from .phantom.patients import PHANTOM_VERSION, Knobs, Patient, draw_patients
from .profiles import get_profile
from .progress import bar
from .records import data_provenance, read_record, run_provenance, write_record
from .rois import extract_rois
from .rows import Row, all_rows
from .scan import Study
from .trainer import config_for, train_model

ARMS = "scratch", "model 1", "model 2", "FC, phase shuffle"  # rows of rows.json
# Model 1 once more: never trained, and trained on labels that belong to other patients.
REFERENCE = "model 1"
CONTROLS = UNTRAINED, PERMUTED = "untrained", "labels permuted"
BASELINES = "baselines"
# ResNet18's last map has 2 x 2 places at the size of the other records, and 7 x 7 at the paper's.
PROFILE = replace(get_profile("recorded"), name="explained", size=224)
COHORTS = 3
FIRST_SEED = 6_000_000  # of the patients whose maps are scored; far from those of all cohorts and pools
CHUNKS, CHUNK = 6, {"CYST": 10, "FNH": 50, "HCC": 25, "HEM": 20}  # patients that share a draw of the uncertain tables
OFF_CENTRE = 0.1  # of the ROI's side, the most that its middle lies off the lesion's
SEEN = 0.02, 0.9  # share of the lesion in its slice that a part must have to be scored
SHIFT = 16  # pixels: half a place of the map
EDGE = 0.15  # of the lesion's diameter: how deep its "edge" goes, a place that is drawn and not caused
SANITY_EVERY = 6  # patients, for the checks that need many networks
COLUMNS = "slice", "part", "precision", "energy", "mass"
BATCH = 32
# Of a ResNet, from the end: what is drawn anew step by step.
STAGES = {"head": ("head",)} | {f"stage {i}": (f"encoder.body.layer{i}",) for i in (4, 3, 2, 1)}
STAGES["stem"] = ("encoder.body.conv1", "encoder.body.bn1")


# -- Patients whose causal parts are known ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Tested:
    """One slice of each of N patients, and the same slice of those that have a part, without it.

    gone: part -> (positions (n,) in `slices`, their pictures without it).  "lesion" is one of them, for everybody.
    """

    slices: LesionSet
    gone: Mapping[str, tuple[np.ndarray, LesionSet]]

    def part(self, name: str) -> np.ndarray:
        """(N, S, S) bool: where a part is, in any phase.  "edge": the outer `EDGE` of the lesion."""
        if name != "edge":
            return self.slices.mask(name).any(axis=1)
        lesion = self.slices.mask("lesion").any(axis=1)
        depth = np.stack([distance_transform_edt(one) for one in lesion])
        diameter = 2 * np.sqrt(lesion.sum(axis=(1, 2), keepdims=True) / np.pi)
        return lesion & (depth < EDGE * diameter)


def scored_patients(jobs: int = 1, progress: bool = True) -> Tested:
    """The patients whose maps are scored, made once and then read from the cache."""
    size, seeds = PROFILE.size, range(FIRST_SEED, FIRST_SEED + CHUNKS)
    key = json.dumps([PHANTOM_VERSION, CHUNK, OFF_CENTRE, SEEN, size])
    folder = cache_home().absolute() / "explained" / f"patients-{hashlib.sha256(key.encode()).hexdigest()[:10]}"
    todo = [seed for seed in seeds if not (folder / str(seed)).exists()]
    made = Parallel(jobs, return_as="generator_unordered")(delayed(_make_chunk)(s, size, folder) for s in todo)
    for _ in bar(made, f"{sum(CHUNK.values())} phantom patients each", progress, total=len(todo)):
        pass
    found: dict[str, list[LesionSet]] = {}
    for i, seed in enumerate(seeds):
        for file in sorted((folder / str(seed)).iterdir()):
            part = LesionSet.load(file)
            found.setdefault(file.stem, []).append(replace(part, patient=part.patient + i * sum(CHUNK.values())))
    joined = {name: _joined(parts) for name, parts in found.items()}
    slices = joined.pop("whole")
    at = {patient: i for i, patient in enumerate(slices.patient.tolist())}
    return Tested(slices, {n: (np.array([at[p] for p in s.patient.tolist()]), s) for n, s in joined.items()})


def _joined(parts: list[LesionSet]) -> LesionSet:
    names = ("hu", "label", "patient", "group", "spacing", *(["masks"] if parts[0].masks is not None else []))
    return replace(parts[0], **{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


def _make_chunk(seed: int, size: int, folder: Path) -> None:
    """Draw one seed's patients and keep a set of whole slices, and one for each part that some of them have not."""
    made: dict[str, list[LesionSet]] = {}
    for number, patient in enumerate(draw_patients(seed, CHUNK, Knobs(uncertain=True))):
        names, slices = slices_without(patient, size)
        for i, name in enumerate(names):
            made.setdefault(name, []).append(replace(slices.subset([i]), patient=np.array([number])))
    with folder_written_whole(folder / str(seed)) as new:
        for name, parts in made.items():
            source = {"kind": "phantom, explained", "version": str(PHANTOM_VERSION), "seed": str(seed), "without": name}
            masks = {} if name == "whole" else {"masks": None, "mask_names": ()}
            replace(_joined(parts), source=source, **masks).save(new / f"{name}.safetensors")


def slices_without(patient: Patient, size: int) -> tuple[list[str], LesionSet]:
    """The slice with most of a patient's parts: "whole", without the "lesion", and without each part that it shows.

    Returns these names and as many slices, all with the masks of the whole one.
    """
    study = _off_centre(patient, phantom_study(patient))
    whole = extract_rois(study, size, phases=CANONICAL, margin=MARGIN)
    area = {name: mask.any(axis=1).sum(axis=(1, 2)) for name, mask in whole.masks.items()}  # (slices,) pixels
    parts = {name: pixels for name, pixels in area.items() if name != "lesion"}
    best = int(np.argmax(sum(parts.values()) if parts else area["lesion"]))
    seen = [n for n, pixels in parts.items() if SEEN[0] <= pixels[best] / area["lesion"][best] <= SEEN[1]]
    names, hu = ["whole", "lesion", *seen], [whole.hu[best]]
    for name in names[1:]:
        gone = replace(phantom_study(patient, without=name), box=study.box, centres=study.centres, masks={})
        hu.append(extract_rois(gone, size, phases=CANONICAL, margin=MARGIN).hu[best])
    bits = sum(mask[best].astype(np.uint8) << MASK_NAMES.index(name) for name, mask in whole.masks.items())
    n = len(names)
    return names, LesionSet(
        np.stack(hu),
        label=np.full(n, list(CHUNK).index(patient.kind)),
        patient=np.zeros(n),
        group=np.ones(n),
        spacing=np.tile(whole.spacing[best], (n, 1)),
        classes=tuple(CHUNK),
        masks=np.tile(bits, (n, 1, 1, 1)),
        mask_names=MASK_NAMES,
    )


def _off_centre(patient: Patient, study: Study) -> Study:
    """The same study, to be cut with the lesion off the middle."""
    z0, z1, y0, y1, x0, x1 = study.box
    side = MARGIN * max(y1 - y0, x1 - x0)
    dy, dx = np.rint(patient.rng("off centre").uniform(-OFF_CENTRE, OFF_CENTRE, 2) * side).astype(int).tolist()
    centres = {phase: (z, y + dy, x + dx) for phase, (z, y, x) in study.centres.items()}
    return replace(study, box=(z0, z1, y0 + dy, y1 + dy, x0 + dx, x1 + dx), centres=centres)


# -- The networks that are explained ---------------------------------------------------------------------------


def explained_model(arm: str, cohort: int) -> LiverVLM:
    """The network of an arm, trained on a cohort of the population protocol; trained once, then read from the cache."""
    row, folder = _row(arm), _folder(arm, cohort)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            lesions = cohort_of(Cell(row, "population", cohort, None, PROFILE, 0))
            if arm == PERMUTED:
                lesions = replace(lesions, label=_permuted(lesions, cohort))
            config, everything = config_for(lesions, PROFILE, **row.config), np.arange(len(lesions))
            choices = {"seed": cohort, "checkpoint": f"{folder}.checkpoint", "progress": False}
            if arm == UNTRAINED:
                torch.manual_seed(cohort)
                model, loss = LiverVLM(config), []
            else:
                model, loss = train_model(lesions, everything, config, PROFILE, row.recipe, **choices)
            where = {"arm": arm, "cohort": cohort, "profile": asdict(PROFILE), "train_loss": loss}
            model.save_pretrained(folder, {**run_provenance(), **where, "data": data_provenance(lesions)})
            Path(choices["checkpoint"]).unlink(missing_ok=True)
    return LiverVLM.from_pretrained(folder)


def _row(arm: str) -> Row:
    return all_rows()[arm if arm in ARMS else REFERENCE]


def _folder(arm: str, cohort: int) -> Path:
    settings = [arm, _row(arm).departures, asdict(PROFILE), PHANTOM_VERSION]
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:10]
    return cache_home().absolute() / "explained" / f"{_slug(arm)}-{key}-cohort{cohort}"


def _slug(arm: str) -> str:
    return arm.replace(",", "").replace(" ", "-")


def _permuted(lesions: LesionSet, seed: int) -> np.ndarray:
    """Every patient gets the label of another, so that there is nothing to learn but the patients."""
    _, first, at = np.unique(lesions.patient, return_index=True, return_inverse=True)
    return np.random.default_rng(seed).permutation(lesions.label[first])[at]


# -- What is asked of a map ------------------------------------------------------------------------------------


def examine(model: LiverVLM, tested: Tested, seed: int = 0) -> dict:
    """Everything that is recorded of one network; numbers patient by patient, in the order of `tested`.

    right: whether the whole slice is told.  parts: of `scored`, with the fall of the true class's score when the part
    is gone, and whether the answer changes.  phases: the fall when a phase is another patient's, of another class.
    shift: correlation of the map with that of the picture moved by `SHIFT`, moved back.  randomised: rank correlation
    of the map with that of the network whose weights are drawn anew from the last stage down to the named one.
    """
    pictures, label = images(tested.slices, bounds=model.config.window), torch.from_numpy(tested.slices.label)
    score, maps = class_score(model), true_class_maps(model, pictures, label)
    whole = _scores(model, pictures)
    found = {"right": (whole.argmax(dim=1) == label).tolist(), "parts": scored(maps, tested)}
    falls = {}
    for name, (at, without) in tested.gone.items():
        gone = _scores(model, images(without, bounds=model.config.window))
        fall = (whole[at] - gone).gather(1, label[at, None]).squeeze(1)
        changed = gone.argmax(dim=1) != whole[at].argmax(dim=1)
        falls |= {(i, name): pair for i, *pair in zip(at.tolist(), fall.tolist(), changed.tolist(), strict=True)}
    columns = found["parts"]
    both = [falls.get(key, (None, None)) for key in zip(columns["slice"], columns["part"], strict=True)]
    columns["fall"] = [fall if fall is None else round(fall, 4) for fall, _ in both]
    columns["changed"] = [changed for _, changed in both]

    other = pictures[_of_another_class(tested.slices.label)]
    effects = [phase_effect(model.encoder, score, *part).cpu() for part in _batches(model, pictures, other)]
    effects = torch.cat(effects)[torch.arange(len(label)), :, label]  # (N, P)
    found["phases"] = {p: _rounded(effects[:, i]) for i, p in enumerate(model.config.phases)}

    moved = pad(pictures, (SHIFT, 0, SHIFT, 0), mode="replicate")[..., :-SHIFT, :-SHIFT]
    there = _on_slices(true_class_maps(model, moved, label), tested)[:, SHIFT:, SHIFT:]
    here = _on_slices(maps, tested)[:, :-SHIFT, :-SHIFT]
    found["shift"] = _rounded([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(here, there, strict=True)])

    some = torch.arange(0, len(label), SANITY_EVERY)
    found["randomised"] = {}
    for stage, broken in _randomised(model, seed):
        anew = true_class_maps(broken, pictures[some], label[some])
        pairs = zip(maps[some].flatten(1), anew.flatten(1), strict=True)
        found["randomised"][stage] = _rounded([stats.spearmanr(a, b).statistic for a, b in pairs])
    return found


def scored(maps: Tensor, tested: Tested) -> dict[str, list]:
    """The scores of maps (N, h, w), a line for each slice and each part that is scored in it.

    The lesion is scored within the picture, all else within the lesion.  mass: the map's sum over the part, in shares
    of the picture.  None: the map has nothing positive there.
    """
    on_slices, lesion = _on_slices(maps, tested), tested.part("lesion")
    lines: dict[str, list] = {name: [] for name in COLUMNS}
    for name in ("lesion", "edge", *PARTS):
        part = tested.part(name)
        for i in range(len(part)) if name in ("lesion", "edge") else tested.gone.get(name, ([],))[0]:
            within = np.ones_like(lesion[i]) if name == "lesion" else lesion[i]
            values = [score(on_slices[i], part[i], within) for score in (precision_over_prevalence, energy_over_area)]
            values.append((on_slices[i] * part[i]).mean())
            for column, value in zip(lines, (int(i), name, *_rounded(values)), strict=True):
                lines[column].append(value)
    return lines


def baselines(tested: Tested, shape: tuple[int, int], seed: int = 0) -> dict[str, Tensor]:
    """What knows nothing of a network, as maps (N, h, w) of the same resolution, each with a mean of 0 like Grad-CAM's.

    middle, rim: near to the lesion's centre, or far from it.  edges: Sobel's filter, summed over the phases.  noise.
    The true part itself is another map for each part: `ceiling`.
    """
    lesion = tested.part("lesion")
    side = np.arange(lesion.shape[1])
    mass = np.maximum(lesion.sum(axis=(1, 2)), 1)
    y, x = (lesion.sum(axis=axis) @ side / mass for axis in (2, 1))  # (N,) the lesion's centre
    away = np.hypot(side[:, None] - y[:, None, None], side - x[:, None, None])
    pictures = images(tested.slices).numpy()
    edges = sum(np.hypot(sobel(p, axis=1), sobel(p, axis=2)) for p in pictures.swapaxes(0, 1))
    found = {"middle": -away, "rim": away, "edges": edges}
    found = {name: _coarse(values, shape) for name, values in found.items()}
    found["noise"] = torch.randn(len(lesion), *shape, generator=torch.Generator().manual_seed(seed))
    return {name: maps - maps.mean(dim=(1, 2), keepdim=True) for name, maps in found.items()}


def ceiling(tested: Tested, shape: tuple[int, int]) -> dict[str, list]:
    """The scores of each part's own mask, averaged down to the map's places: about what the resolution allows."""
    lines: dict[str, list] = {}
    for name in ("lesion", "edge", *PARTS):
        maps = _coarse(tested.part(name), shape)
        maps = maps - maps.mean(dim=(1, 2), keepdim=True)
        every = scored(maps, tested)
        keep = [part == name for part in every["part"]]
        for column, values in every.items():
            lines.setdefault(column, []).extend(v for v, k in zip(values, keep, strict=True) if k)
    return lines


def true_class_maps(model: LiverVLM, pictures: Tensor, label: Tensor) -> Tensor:
    """Grad-CAM of each picture's own class, (N, h, w), on the CPU."""
    every = [grad_cam(model.encoder, class_score(model), part).cpu() for (part,) in _batches(model, pictures)]
    return torch.cat(every)[torch.arange(len(label)), label]


@torch.no_grad()
def _scores(model: LiverVLM, pictures: Tensor) -> Tensor:
    """The explained scores of every class, (N, C), on the CPU."""
    score = class_score(model)
    return torch.cat([score(model.encoder(part)).cpu() for (part,) in _batches(model, pictures)])


def _batches(model: LiverVLM, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Tensors of one length part by part, on the model's device."""
    device = next(model.parameters()).device
    return (tuple(part.to(device) for part in parts) for parts in zip(*(t.split(BATCH) for t in tensors), strict=True))


def _randomised(model: LiverVLM, seed: int) -> Iterator[tuple[str, LiverVLM]]:
    """The network with its weights drawn anew, from the head down: after each step its name, and the network."""
    torch.manual_seed(1000 + seed)  # not the weights that an untrained network began with
    broken, fresh = deepcopy(model), LiverVLM(model.config, getattr(model.head, "text", None))
    for stage, modules in STAGES.items():
        for name in modules:
            broken.get_submodule(name).load_state_dict(fresh.get_submodule(name).state_dict())
        yield stage, broken.eval()


def _of_another_class(label: np.ndarray) -> np.ndarray:
    """For each slice the next one of another class, round the end."""
    n = len(label)
    return np.array([next(j % n for j in range(i + 1, i + n) if label[j % n] != label[i]) for i in range(n)])


def _on_slices(maps: Tensor, tested: Tested) -> np.ndarray:
    return on_pixels(maps[:, None], tested.slices.size)[:, 0].numpy()


def _coarse(values: np.ndarray, shape: tuple[int, int]) -> Tensor:
    """(N, S, S) averaged down to the places of a map."""
    return adaptive_avg_pool2d(torch.from_numpy(np.asarray(values, np.float32)), shape)


def _rounded(values) -> list:
    """For a record: five digits, None for nan."""
    return [None if np.isnan(v) else float(f"{v:.5g}") for v in map(float, values)]


# -- The records -----------------------------------------------------------------------------------------------


def record(out: str | Path, arm: str, cohort: int) -> None:
    """Train and examine a network, or judge the baselines, on one thread; nothing where the record lies there."""
    path = Path(out) / f"{_slug(arm)}{'' if arm == BASELINES else f'-cohort{cohort}'}.json"
    if path.exists():
        return
    start = time.monotonic()
    torch.set_num_threads(1)
    tested = scored_patients(progress=False)
    if arm == BASELINES:
        shape = (PROFILE.size // 32,) * 2
        found = {name: scored(maps, tested) for name, maps in baselines(tested, shape).items()}
        found = {"baselines": {**found, "ceiling": ceiling(tested, shape)}}
    else:
        found = {"cohort": cohort, **examine(explained_model(arm, cohort).to(best_device()), tested, cohort)}
    about = {"arm": arm, "profile": asdict(PROFILE), "data": data_provenance(tested.slices)}
    about["classes"] = [tested.slices.classes[label] for label in tested.slices.label]
    write_record(path, {**run_provenance(), **about, **found, "seconds": round(time.monotonic() - start, 1)})


def read(out: str | Path | None = None) -> list[dict]:
    """All records of explained networks and of the baselines; `InputError` where they are not of the same patients."""
    folder = Path(out or data_file("results/grad_cam"))
    records = [read_record(path) for path in sorted(folder.glob("*.json"))]
    if len({json.dumps([one["data"]["fingerprint"], one["profile"]]) for one in records}) > 1:
        raise InputError(f"{folder}: records of other patients or another profile are among them; give each a folder")
    return records


def lines(records: Iterable[dict]) -> pd.DataFrame:
    """A line for each network or baseline, slice and part: class, precision, energy, mass, fall, changed, right."""
    tables = [pd.DataFrame(columns=[*COLUMNS, "fall", "changed", "arm", "cohort", "class", "right"])]
    for one in records:
        for name, columns in one.get("baselines", {one["arm"]: one.get("parts")}).items():
            table = pd.DataFrame(columns).assign(arm=name, cohort=one.get("cohort", -1))
            table["class"], right = np.array(one["classes"])[table["slice"]], one.get("right")
            tables.append(table.assign(right=np.array(right)[table["slice"]] if right else None))
    table = pd.concat(tables, ignore_index=True)
    numbers = ["precision", "energy", "mass", "fall", "changed"]
    return table.assign(**{name: table[name].astype(float) for name in numbers})


def where(table: pd.DataFrame, measure: str = "precision") -> pd.DataFrame:
    """Does a map single out the part?  Mean of a measure with its 95 % interval over patients, by arm, class and part.

    A patient counts with the mean over the networks of an arm, so that the interval is for these networks and for new
    patients.  networks, patients: how many.
    """
    keys = ["arm", "class", "part"]
    each = table.dropna(subset=[measure]).groupby([*keys, "slice"])[measure].mean().groupby(keys)
    return _with_interval(each).assign(networks=table.groupby(keys)["cohort"].nunique())


def how_much(table: pd.DataFrame) -> pd.DataFrame:
    """Is a larger claim followed by a larger fall?  Spearman's rank correlation of mass and fall, by arm, class, part.

    The mean over an arm's networks, with a 95 % interval for one network by Fisher's z: the same patients are shown
    to all, so that more networks do not narrow it.  A baseline's claim is held against the falls of model 1.
    """
    keys = ["arm", "class", "part"]
    every = {}
    for key, mine in _claims_and_falls(table).groupby(keys):
        each = [one for _, one in mine.groupby("cohort") if len(one) > 10]
        if each:
            z = np.arctanh(np.mean([stats.spearmanr(one["mass"], one["fall"]).statistic for one in each]))
            n = min(map(len, each))
            half = 1.96 * 1.03 / np.sqrt(n - 3)  # of a rank correlation, a little wider than Pearson's
            every[key] = (*np.tanh([z, z - half, z + half]), n, len(each))
    index = pd.MultiIndex.from_tuples(every, names=keys)
    return pd.DataFrame(every.values(), index, ["mean", "low", "high", "patients", "networks"])


def within_patients(table: pd.DataFrame) -> pd.DataFrame:
    """Of two parts of one patient, does the larger claim belong to the larger fall?  Kendall's tau, by arm.

    1: always, -1: never, 0: as by chance.  Over the patients that show two parts or more, each with the mean over an
    arm's networks; with a 95 % interval over patients.  Baselines as in `how_much`.
    """
    both = _claims_and_falls(table[table["part"].isin(PARTS)]).groupby(["arm", "cohort", "slice"])
    both = both.filter(lambda one: len(one) > 1).groupby(["arm", "cohort", "slice"])[["mass", "fall"]]
    tau = both.apply(lambda one: stats.kendalltau(one["mass"], one["fall"]).statistic)
    each = tau.dropna().groupby(["arm", "slice"]).mean().groupby("arm")
    return _with_interval(each)


def _claims_and_falls(table: pd.DataFrame) -> pd.DataFrame:
    """The lines that have both; a baseline has no falls of its own, and gets those of each network of model 1."""
    networks = table["arm"].isin((*ARMS, *CONTROLS))
    reference = table.loc[table["arm"] == REFERENCE, ["cohort", "slice", "part", "fall"]]
    others = table[~networks].drop(columns=["cohort", "fall"]).merge(reference, on=["slice", "part"])
    return pd.concat([table[networks], others]).dropna(subset=["mass", "fall"])


def _with_interval(each: SeriesGroupBy) -> pd.DataFrame:
    """Mean, sd and 95 % interval by t of groups with one number a patient."""
    found = pd.DataFrame({"mean": each.mean(), "sd": each.std(), "patients": each.size()})
    half = found["sd"] / np.sqrt(found["patients"]) * stats.t.ppf(0.975, found["patients"] - 1)
    return found.assign(low=found["mean"] - half, high=found["mean"] + half)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.explanations", description=__doc__.splitlines()[0])
    parser.add_argument("--cohorts", type=int, default=COHORTS, help="networks of each arm")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="of the records")
    parser.add_argument("--model", metavar="FOLDER", help="also write the first network of model 1, in half precision")
    options = parser.parse_args()
    try:
        scored_patients(jobs=options.jobs)
        todo = [(BASELINES, 0), *((arm, c) for c in range(options.cohorts) for arm in (*ARMS, *CONTROLS))]
        made = Parallel(options.jobs, return_as="generator_unordered")(
            delayed(record)(options.out, *one) for one in todo
        )
        for _ in bar(made, "networks", total=len(todo)):
            pass
        if options.model:
            model, card = explained_model(REFERENCE, 0), read_card(_folder(REFERENCE, 0))
            model.half().save_pretrained(options.model, card["provenance"])
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
