"""Which narrow network, how many epochs and which ordinary augmentation: measured on development cohorts.

    python benchmarks/small_network.py --out data/results/development/small-network --jobs 2

The plan is `data/results/small_network.md`.  Each trial leaves a record; the same command goes on where it stopped.
"""

import argparse
import sys
import time
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from livervlm.base.device import best_device
from livervlm.base.profiles import get_profile
from livervlm.evaluation.comparisons import mean_t
from livervlm.models.encoders import narrow_resnet
from livervlm.models.geometry import moved
from livervlm.models.liver_vlm import LiverVLM
from livervlm.models.settings import Config
from livervlm.models.training import classification, fit, predict, to_device
from livervlm.runs.cells import Cell, one_thread, patient_answers
from livervlm.runs.cohorts import cohort_of, pool_of
from livervlm.runs.records import data_provenance, read_record, run_provenance
from livervlm.runs.rows import all_rows
from livervlm.runs.runner import run
from livervlm.scans.windowing import images

COHORTS, TEST_PATIENTS = 12, 500
RESNET18 = (64, 2)  # channels of the stem, blocks a stage
NETWORKS = ((16, 1), (16, 2), (32, 1), (32, 2), RESNET18)
SETTINGS = [(48, 4), (48, 8), (48, 20), (64, 20)]  # pixels, epochs
SETTINGS_224 = [(224, 20)]


@dataclass(frozen=True)
class Trial:
    """A network trained on a development cohort and tested on the patients that all of them share."""

    cohort: int
    size: int
    epochs: int
    width: int
    blocks: int
    augmented: bool

    def path(self, out: str | Path) -> Path:
        kind = "-geometric" if self.augmented else ""
        name = f"{self.size}px-{self.epochs}epochs-width{self.width}x{self.blocks}{kind}-cohort{self.cohort:03d}.json"
        return Path(out).absolute() / name

    def record(self) -> dict[str, Any]:
        profile = replace(get_profile("recorded"), size=self.size, epochs=self.epochs)
        cell = Cell(all_rows()["scratch"], "development", self.cohort, None, profile, TEST_PATIENTS)
        with one_thread():
            lesions, pool = cohort_of(cell), pool_of(cell, "standard")
            torch.manual_seed(self.cohort)
            model = LiverVLM(Config(lesions.classes, lesions.phases))
            if (self.width, self.blocks) != RESNET18:
                model.encoder = narrow_resnet(self.width, self.blocks, len(lesions.phases))
                model.head.fc_i = nn.Linear(model.encoder.dim, model.config.joint_dim, bias=False)
            model.to(best_device())
            data = to_device(images(lesions), torch.from_numpy(lesions.label), best_device())
            start, clock = time.process_time(), time.monotonic()
            task = moved(classification, "affine" if self.augmented else "none")
            loss = fit(model, data, task=task, epochs=self.epochs, seed=self.cohort, progress=False)
            seconds = {"cpu": time.process_time() - start, "wall": time.monotonic() - clock}
            prob = predict(model, images(pool)).double().numpy()
        return {
            **run_provenance(),
            "trial": asdict(self),
            "parameters": sum(p.numel() for p in model.encoder.parameters()),
            "data": data_provenance(lesions),
            "train_loss": loss,
            "tests": {"standard": patient_answers(prob, pool)},
            "training seconds": {name: round(value, 2) for name, value in seconds.items()},
        }


def trials(settings: list[tuple[int, int]], cohorts: int) -> list[Trial]:
    return [
        Trial(cohort, size, epochs, width, blocks, augmented)
        for cohort in range(cohorts)
        for size, epochs in settings
        for width, blocks in NETWORKS
        for augmented in (False, True)
    ]


def table(folder: str | Path, cohorts: int) -> str:
    """The records as a table in Markdown: mean accuracy, half of its 95 % interval, processor seconds."""
    names = [f"{w} channels, {b} block{'s' * (b > 1)}" if (w, b) != RESNET18 else "ResNet18" for w, b in NETWORKS]
    lines = ["| pixels, epochs, augmentation | " + " | ".join(names) + " |", "|" + " --- |" * (len(NETWORKS) + 1)]
    for (size, epochs), augmented in product(SETTINGS, (False, True)):
        line = f"| {size}, {epochs}, {'geometric' if augmented else 'none'} |"
        for width, blocks in NETWORKS:
            mine = [Trial(c, size, epochs, width, blocks, augmented) for c in range(cohorts)]
            records = [read_record(trial.path(folder)) for trial in mine]
            found = mean_t(np.array([record["tests"]["standard"]["accuracy"] for record in records]))
            seconds = np.mean([record["training seconds"]["cpu"] for record in records])
            line += f" {found.difference:.1f} ± {found.interval()[1] - found.difference:.1f}; {seconds:.2f} s |"
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    import small_network  # by its name, so that other processes can import what they are sent

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, metavar="FOLDER")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cohorts", type=int, default=COHORTS)
    parser.add_argument("--large", action="store_true", help="the trials at 224 pixels")
    parser.add_argument("--table", action="store_true", help="run none, and print what the records say")
    options = parser.parse_args()
    if options.table:
        sys.exit(print(table(options.out, options.cohorts)))
    todo = small_network.trials(SETTINGS_224 if options.large else SETTINGS, options.cohorts)
    print(run(todo, options.out, name="trials", jobs=options.jobs))
