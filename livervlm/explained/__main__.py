"""Train the networks whose Grad-CAM maps are explained, and write a record of each and one of the baselines."""

import argparse
import time
from dataclasses import asdict
from pathlib import Path

import torch
from joblib import Parallel, delayed

from ..errors import InputError
from ..model import read_card
from ..progress import bar
from ..records import data_provenance, run_provenance, write_record
from ..training import best_device
from . import networks
from .maps import PLACE, baseline_maps, ceiling_scores, examine, score_maps
from .patients import load_counterfactuals

BASELINES = "baselines"
COHORTS = 3


def record(out: str | Path, arm: str, cohort: int) -> None:
    """Train and examine a network, or score the baselines, on one thread; do nothing where the record exists."""
    path = Path(out) / f"{networks.file_name(arm)}{'' if arm == BASELINES else f'-cohort{cohort}'}.json"
    if path.exists():
        return
    start = time.monotonic()
    torch.set_num_threads(1)
    patients = load_counterfactuals(progress=False)
    if arm == BASELINES:
        shape = (patients.slices.size // PLACE,) * 2
        scores = {name: score_maps(maps, patients) for name, maps in baseline_maps(patients, shape).items()}
        found = {"baselines": {**scores, "ceiling": ceiling_scores(patients, shape)}}
    else:
        model = networks.explained_model(arm, cohort).to(best_device())
        found = {"cohort": cohort, **examine(model, patients, cohort)}
    about = {"arm": arm, "profile": asdict(networks.PROFILE), "data": data_provenance(patients.slices)}
    about["classes"] = [patients.slices.classes[label] for label in patients.slices.label]
    write_record(path, {**run_provenance(), **about, **found, "seconds": round(time.monotonic() - start, 1)})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.explained", description=__doc__)
    parser.add_argument("--cohorts", type=int, default=COHORTS, help="networks of each arm")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="of the records")
    parser.add_argument("--model", metavar="FOLDER", help="also write the first network of model 1, in half precision")
    options = parser.parse_args()
    try:
        load_counterfactuals(jobs=options.jobs)
        arms = *networks.ARMS, *networks.CONTROLS
        todo = [(BASELINES, 0), *((arm, cohort) for cohort in range(options.cohorts) for arm in arms)]
        made = Parallel(options.jobs, return_as="generator_unordered")(
            delayed(record)(options.out, *one) for one in todo
        )
        for _ in bar(made, "networks", total=len(todo)):
            pass
        if options.model:
            first = networks.REFERENCE, 0
            model, card = networks.explained_model(*first), read_card(networks.model_folder(*first))
            model.half().save_pretrained(options.model, card["provenance"])
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
