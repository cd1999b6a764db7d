"""How what ships is made: two networks trained by the book's recipe, and patients drawn and scanned.

A chapter that opens the panel reaches none of this, so that new records are no reason to execute it again.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from ...analyses.explained import slices_without
from ...base.cache import changed
from ...base.profiles import get_profile
from ...base.progress import bar
from ...models.liver_vlm import LiverVLM
from ...models.settings import Recipe
from ...models.trainer import config_for, train_model
from ...models.training import predict
from ...phantom.enhancement import PHANTOM_VERSION, read_table
from ...phantom.patients import Knobs, Patient, draw_patients
from ...runs.cells import Cell, one_thread, patient_answers
from ...runs.cohorts import cohort_of, pool_of
from ...runs.records import data_provenance, run_provenance
from ...runs.rows import all_rows
from ...scans.lesions import LesionSet
from ...scans.seeds import seed_of
from ...scans.windowing import images
from .files import write_live
from .network import CANONICAL_ROWS, ENCODER, NETWORKS, folded, in_bytes, network, out_of_bytes
from .patients import LivePatients

PROFILE = replace(get_profile("recorded"), name="live", encoder=ENCODER, geometry="affine")
RECIPES = dict(zip(NETWORKS, (Recipe(), Recipe(augmentation="matched")), strict=True))
TEST_PATIENTS = 500  # of the development pool, as in data/results/small_network.md
SEED = seed_of("chapters", 1)  # no network was trained on them
PATIENTS = {"CYST": 12, "FNH": 18, "HCC": 18, "HEM": 14}
KNOBS = Knobs(atypical=1.25)  # a little more than a cohort has, so that every pattern is there


def export(out: str | Path, jobs: int = 1) -> None:
    """Make it all and write it; minutes of a core."""
    pool, networks = pool_of(training_cell(), "standard", jobs, progress=True), {}
    card = {"about": "For teaching and research, not for diagnosis.", **run_provenance(), "profile": changed(PROFILE)}
    card |= {"pool": data_provenance(pool), "networks": {}}
    for name in RECIPES:
        model, lesions = trained(name)
        networks[name] = folded(model)
        rounded = network(out_of_bytes(in_bytes(networks[name])), CANONICAL_ROWS)
        found = {"as trained": _accuracy(model, pool), "in bytes": _accuracy(rounded, pool)}
        card["data"], card["networks"][name] = data_provenance(lesions), {"accuracy": found, **changed(RECIPES[name])}
        print(name, found, flush=True)
    patients = make_patients(jobs)
    card["patients"] = data_provenance(patients.slices)
    write_live(out, networks, patients, card)


def _accuracy(model: LiverVLM, pool: LesionSet) -> float:
    """Mean over the pool's patients of the share of slices that is answered right, in percent."""
    return patient_answers(predict(model, images(pool)).double().numpy(), pool)["accuracy"]


def training_cell() -> Cell:
    """The first development cohort, whose patients are in no comparison, and the pool that all of them share."""
    return Cell(all_rows()["scratch"], "development", 0, None, PROFILE, TEST_PATIENTS)


def trained(name: str) -> tuple[LiverVLM, LesionSet]:
    """A network of `RECIPES`, trained, and the patients it has learned from."""
    with one_thread():
        lesions = cohort_of(training_cell())
        config, everything = config_for(lesions, PROFILE), np.arange(len(lesions))
        return train_model(lesions, everything, config, PROFILE, RECIPES[name])[0].eval(), lesions


def make_patients(jobs: int = 1) -> LivePatients:
    """Draw and scan them; minutes of a core."""
    drawn = draw_patients(SEED, PATIENTS, KNOBS)
    made = Parallel(jobs, return_as="generator")(delayed(slices_without)(p, PROFILE.size, centred=True) for p in drawn)
    whole, owner, part, less = [], [], [], []
    for i, (names, slices) in enumerate(bar(made, "phantom patients", total=len(drawn))):
        whole.append(replace(slices.subset([0]), patient=np.array([i])))
        owner += [i] * (len(names) - 1)
        part += names[1:]
        less += [slices.hu[0] - one for one in slices.hu[1:]]
    source = {"kind": "phantom, live", "version": str(PHANTOM_VERSION), "seed": str(SEED), "knobs": str(KNOBS)}
    return LivePatients(
        replace(LesionSet.concatenate(whole), source=source),
        [_words(patient) for patient in drawn],
        np.array(owner),
        part,
        np.stack(less),
        np.int16(np.rint(1000 * np.random.default_rng(SEED).standard_normal(whole[0].hu.shape[1:]))),
    )


def _words(patient: Patient) -> str:
    """The patterns that belong to a patient's class, whether one is atypical, and the diameter."""
    rates = read_table("pattern_rates").set_index("pattern").atypical
    own = [pattern for pattern in patient.patterns if pattern.startswith(patient.kind)]
    said = [pattern.removeprefix(f"{patient.kind} ") for pattern in own]
    said += ["atypical" if any(rates[own] == "yes") else "typical"]
    return f"{', '.join(said)}; {patient.diameter:.0f} mm"
