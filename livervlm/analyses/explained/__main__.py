"""Train the networks whose Grad-CAM maps are explained, and write a record of each and one of the baselines."""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.cache import changed
from ...base.device import best_device
from ...base.errors import InputError
from ...models.saved import read_card
from ...runs.cells import one_thread
from ...runs.records import data_provenance, run_provenance
from ...runs.runner import run
from . import networks
from .maps import PLACE, baseline_maps, ceiling_scores, examine, score_maps
from .patients import load_counterfactuals

BASELINES = "baselines"
COHORTS = 3


@dataclass(frozen=True)
class Examination:
    """A network of an arm trained on a cohort and examined, or the baselines scored.  Work for `runner.run`."""

    arm: str
    cohort: int = 0

    def path(self, out: str | Path) -> Path:
        cohort = "" if self.arm == BASELINES else f"-cohort{self.cohort}"
        return Path(out).absolute() / f"{self.arm.replace(',', '').replace(' ', '-')}{cohort}.json"

    def record(self) -> dict[str, Any]:
        start = time.monotonic()
        with one_thread():
            patients = load_counterfactuals(progress=False)
            if self.arm == BASELINES:
                shape = (patients.slices.size // PLACE,) * 2
                scores = {name: score_maps(maps, patients) for name, maps in baseline_maps(patients, shape).items()}
                found = {"baselines": {**scores, "ceiling": ceiling_scores(patients, shape)}}
            else:
                model = networks.explained_model(self.arm, self.cohort).to(best_device())
                found = {"cohort": self.cohort, **examine(model, patients, self.cohort)}
        about = {"arm": self.arm, "profile": changed(networks.PROFILE), "data": data_provenance(patients.slices)}
        about["classes"] = [patients.slices.classes[label] for label in patients.slices.label]
        return {**run_provenance(), **about, **found, "seconds": round(time.monotonic() - start, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.analyses.explained", description=__doc__)
    parser.add_argument("--cohorts", type=int, default=COHORTS, help="networks of each arm")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="of the records")
    parser.add_argument("--model", metavar="FOLDER", help="also write the chapter's network, in half precision")
    options = parser.parse_args()
    try:
        load_counterfactuals(jobs=options.jobs)
        arms = *networks.ARMS, *networks.CONTROLS
        todo = [Examination(BASELINES)]
        todo += [Examination(arm, cohort) for cohort in range(options.cohorts) for arm in arms]
        run(todo, options.out, name="networks", jobs=options.jobs)
        narrow = [Examination(networks.NARROW, cohort) for cohort in range(options.cohorts)]
        run(narrow, Path(options.out) / "narrow", name="narrow networks", jobs=options.jobs)
        if options.model:
            first = networks.NARROW, 0
            model, card = networks.explained_model(*first), read_card(networks.model_folder(*first))
            model.half().save_pretrained(options.model, card["provenance"])
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
