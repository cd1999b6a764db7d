"""A near-ideal observer: what any model could reach on the phantom, from below and from above.

lower: boosted trees on HU measured inside the true mask of the lesion, slice by slice, in the pictures that a model
    sees, with their noise, partial volume and displacement.  What the trees find there, a model may find too.
upper: the same trees on the patient's latents: the true HU of the lesion's tissues, how much of the lesion each fills
    and how far out it lies, the liver, dose, timing and diameter.  It estimates the Bayes accuracy of an observer who
    sees the lesion's true HU and parts.  It is no proven bound: finite trees fall short of the posterior, shapes and
    mosaic are not told, and a whole lesion is told for each of its slices, although one slice may not show a part.

Patients are drawn in Table 1's proportions of cases and keep all their slices, hence classes come in its proportions
of slices too (in expectation).  Every number is per slice, as in the paper's tables.
"""

import argparse
import platform
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from safetensors.numpy import load_file, save_file
from scipy.ndimage import distance_transform_edt, gaussian_filter

from ..base.cache import made_once
from ..base.errors import InputError
from ..base.paths import written_whole
from ..base.progress import bar
from ..evaluation.metrics import macro_auc
from ..phantom.anatomy import grow
from ..phantom.cohort import MARGIN, phantom_study
from ..phantom.enhancement import COLUMNS
from ..phantom.patients import PHANTOM_VERSION, Patient, draw_patients
from ..runs.records import code_provenance, write_record
from ..scans.conventions import CANONICAL, LIVER_VLM_CLASSES
from ..scans.rois import extract_rois
from ..scans.seeds import seed_of

CHUNK = 100  # patients that are drawn, measured and cached together
N_TISSUES = 4  # of a lesion, the largest first; what else it has is left out
EDGES = {"diameter": (0, 20, 30, 50, np.inf), "displacement": (0, 5, 10, 20, np.inf)}  # mm, of the strata
ALIGNED = {"lower aligned": True, "lower misregistered": False}  # the arms on pictures

STEPS = [f"{b} - {a}" for a, b in pairwise(CANONICAL)]
_MEASURES = ["mean", "sd", "q10", "q50", "q90", "smooth q5", "smooth q95"]
_MEASURES += ["around", "q50 - around", "centre - rim", "rim - around"]
FEATURES = [f"{p} {m}" for p in (*CANONICAL, *STEPS) for m in _MEASURES] + ["disc diameter", "ROI width", "thickness"]
LATENTS = [f"tissue {i} {m}" for i in range(1, N_TISSUES + 1) for m in (*CANONICAL, *STEPS, "share", "out")]
LATENTS += [f"{name} {p}" for name in ("tissue 1 - liver", "liver") for p in CANONICAL] + ["dose", "timing", "diameter"]


def slice_features(hu: np.ndarray, lesion: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """`FEATURES` of one slice, (F,) float32, in HU and mm; nan for a phase that misses the lesion.

    hu: (P, S, S).  lesion: (P, S, S) bool, its true mask in each phase.  spacing: (3,) mm: slices, rows, columns.
    """
    phases = np.stack([_measure(np.float32(h), m, spacing[1:]) for h, m in zip(hu, lesion, strict=True)])
    disc = 2 * np.sqrt(lesion[-1].sum() * spacing[1] * spacing[2] / np.pi)
    return np.float32([*phases.ravel(), *np.diff(phases, axis=0).ravel(), disc, spacing[2] * hu.shape[-1], spacing[0]])


def _measure(hu: np.ndarray, lesion: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    """`_MEASURES` of one picture, (S, S), inside its mask."""
    if lesion.sum() < 10:
        return np.full(len(_MEASURES), np.nan)
    depth, beyond = (distance_transform_edt(where, sampling=pixel) for where in (lesion, ~lesion))
    rim, centre = hu[lesion & (depth < max(2.5, 1.5 * pixel.max()))].mean(), hu[depth > 0.6 * depth.max()].mean()
    ring = hu[(beyond > 1.5) & (beyond < 8)]  # its median looks past vessels
    around = np.median(ring) if len(ring) else np.nan
    inside, smooth = hu[lesion], gaussian_filter(hu, 1.5 / pixel)[lesion]  # over 1.5 mm, noise goes and parts stay
    q10, q50, q90 = np.quantile(inside, (0.1, 0.5, 0.9))
    seen = [inside.mean(), inside.std(), q10, q50, q90, *np.quantile(smooth, (0.05, 0.95))]
    return np.array([*seen, around, q50 - around, centre - rim, rim - around])


def latent_features(patient: Patient) -> np.ndarray:
    """`LATENTS` of a patient, (L,) float32, without the class or the name of a tissue; nan for one that is not there.

    The lesion is grown on a coarse grid.  Its tissues come in the order of the share of it that they fill, so that
    their places tell no names; two that have the same HU in every phase are one.  "out" is 0 for a tissue in the
    middle and near 1 for one at the surface.
    """
    z, plane = np.linspace(-0.95, 0.95, 12, dtype=np.float32), np.linspace(-1.35, 1.35, 40, dtype=np.float32)
    across = plane * patient.diameter / 2
    anatomy = grow(patient, z * patient.height / 2, across, across)
    out = np.sqrt(z[:, None, None] ** 2 + plane[:, None] ** 2 + plane**2)
    columns = [COLUMNS.index(phase) for phase in CANONICAL]
    places: dict[tuple[float, ...], list[float]] = {}
    for code in np.unique(anatomy.code[anatomy.code >= anatomy.first_lesion]):
        level = tuple(patient.hu[anatomy.tissues[code][c]][c] for c in columns)
        places.setdefault(level, []).extend(out[anatomy.code == code])
    total = sum(map(len, places.values()))
    table = np.full((N_TISSUES, len(CANONICAL) + len(STEPS) + 2), np.nan)
    for row, (level, where) in zip(table, sorted(places.items(), key=lambda item: -len(item[1])), strict=False):
        row[:] = *level, *np.diff(level), len(where) / total, np.mean(where)
    liver = np.array(patient.hu["liver"])[columns]
    contrast = table[0, : len(CANONICAL)] - liver
    return np.float32([*table.ravel(), *contrast, *liver, patient.dose, patient.timing, patient.diameter])


def measure_chunk(seed: int, size: int, version: int, path: Path) -> None:
    """Draw one seed's `CHUNK` patients, measure them in ROIs of `size` pixels, and keep the numbers at `path`."""
    rows = {name: [] for name in (*ALIGNED, "latents", "label", "slices", "diameter", "displacement")}
    for patient in draw_patients(seed, CHUNK, version=version):
        study = phantom_study(patient)
        for arm, aligned in ALIGNED.items():
            rois = extract_rois(study, size, phases=CANONICAL, margin=MARGIN, aligned=aligned)
            rows[arm] += map(slice_features, rois.hu, rois.masks["lesion"], rois.spacing)
        moved, followed = (np.array([v[p] for p in CANONICAL[:-1]]) for v in (patient.displacement, patient.recentred))
        rows["displacement"].append([np.linalg.norm(v, axis=1).max() for v in (moved - followed, moved)])
        rows["latents"].append(latent_features(patient))
        rows["label"].append(LIVER_VLM_CLASSES.index(patient.kind))
        rows["slices"].append(patient.n_slices)
        rows["diameter"].append(patient.diameter)
    with written_whole(path) as temporary:
        save_file({name: np.array(values) for name, values in rows.items()}, temporary)


def cached_chunk(seed: int, size: int, version: int = PHANTOM_VERSION) -> Path:
    """The file of a chunk's numbers; measured where it is not in the cache."""
    settings = [version, seed, size, CHUNK, FEATURES, LATENTS]
    return made_once("observer", settings, lambda path: measure_chunk(seed, size, version, path))


def measure_patients(
    patients: int, size: int = 64, jobs: int = 1, progress: bool = True, version: int = PHANTOM_VERSION
) -> dict[str, np.ndarray]:
    """Measure phantom patients chunk by chunk; what is cached is not measured again, so an interrupted run goes on.

    Returns for N slices of M patients: `ALIGNED`'s arms (N, F), latents (M, L), label, slices (their number) and
    diameter (M,), and displacement (M, 2): mm that remain in the worst phase, in each of the arms.
    """
    if patients < 2 * CHUNK or patients % CHUNK:
        raise InputError(f"{patients} patients: give a multiple of {CHUNK} from {2 * CHUNK} up, to train and to test")
    seeds = [seed_of("observer", i) for i in range(patients // CHUNK)]
    made = Parallel(jobs, return_as="generator")(delayed(cached_chunk)(seed, size, version) for seed in seeds)
    paths = list(bar(made, f"{CHUNK} phantom patients each", progress, total=len(seeds)))
    chunks = [load_file(path) for path in paths]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def answer(features: np.ndarray, label: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Train trees on the rows where `train` (N,) is true; their probabilities for the others, (n, C) float64."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import

    # The number of trees is fixed: early stopping would be judged on slices of patients that are trained on.
    choices = dict(learning_rate=0.06, max_iter=150, max_leaf_nodes=12, min_samples_leaf=30, l2_regularization=1.0)
    trees = HistGradientBoostingClassifier(**choices, early_stopping=False, random_state=0)
    return trees.fit(features[train], label[train]).predict_proba(features[~train])


def percent(correct: np.ndarray, patient: np.ndarray) -> dict[str, float]:
    """Percent of slices that are correct, with Wilson's 95 % interval.

    Its number of trials is that of the patients, not of the slices: those of one patient stand or fall nearly together.
    """
    from statsmodels.stats.proportion import proportion_confint  # slow to import

    n = len(np.unique(patient))
    values = correct.mean(), *proportion_confint(correct.mean() * n, n, method="wilson")
    shown = {name: round(100 * float(v), 2) for name, v in zip(("percent", "low", "high"), values, strict=True)}
    return {**shown, "slices": len(correct), "patients": n}


def score(label: np.ndarray, prob: np.ndarray, patient: np.ndarray, **strata: np.ndarray) -> dict:
    """Results over n slices, and by the strata named in `EDGES`, each given as (n,) mm.  Empty strata are left out."""
    correct = prob.argmax(axis=1) == label
    result = {"accuracy": percent(correct, patient), "macro auc": round(macro_auc(label, prob), 4)}
    result["recall"] = {k: percent(correct[label == c], patient[label == c]) for c, k in enumerate(LIVER_VLM_CLASSES)}
    for name, values in strata.items():
        where = {f"{a:g} to {b:g} mm": (values >= a) & (values < b) for a, b in pairwise(EDGES[name])}
        where = {k.replace("to inf mm", "mm and more"): w for k, w in where.items() if w.any()}
        result[f"by {name}"] = {k: percent(correct[w], patient[w]) for k, w in where.items()}
    return result


def observe(
    patients: int, size: int = 64, jobs: int = 1, progress: bool = True, version: int = PHANTOM_VERSION
) -> dict:
    """Train on four fifths of the patients, whole chunks, and test on the others; a record for `write_record`."""
    start = time.monotonic()
    data = measure_patients(patients, size, jobs, progress, version)
    patient = np.repeat(np.arange(patients), data["slices"])
    n_train = CHUNK * int(0.8 * patients / CHUNK)
    train, label = patient < n_train, data["label"][patient]
    test = patient[~train]

    def judged(features: np.ndarray, **strata: np.ndarray) -> dict:
        return score(label[~train], answer(features, label, train), test, diameter=data["diameter"][test], **strata)

    lower = {arm: judged(data[arm], displacement=data["displacement"][test, i]) for i, arm in enumerate(ALIGNED)}
    return {
        **code_provenance("livervlm", "numpy", "scipy", "scikit-learn"),
        "data": {"source": {"kind": "phantom", "version": str(version), "patients": "Table 1's proportions"}},
        "size": size,
        "seeds": [seed_of("observer", i) for i in (0, patients // CHUNK - 1)],
        "device": {"type": "cpu", "name": platform.processor() or platform.machine()},
        "train": {"patients": n_train, "slices": int(train.sum())},
        "test": {"patients": patients - n_train, "slices": len(test)},
        "arms": {**lower, "upper": judged(data["latents"][patient])},
        "seconds": round(time.monotonic() - start, 1),  # less where chunks were cached
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.analyses.observer", description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=20000, help=f"a multiple of {CHUNK}; a fifth is for testing")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--version", type=int, default=PHANTOM_VERSION, help="of the phantom's tables")
    parser.add_argument("--out", required=True, metavar="FILE", help="the record")
    options = parser.parse_args()
    try:
        write_record(options.out, observe(options.patients, jobs=options.jobs, version=options.version))
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
