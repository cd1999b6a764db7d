"""Teach detectors of liver lesions and write a record of each; or the detector that the book ships."""

import argparse
from dataclasses import asdict

from ...base.errors import InputError
from ...runs.records import run_provenance
from ...runs.runner import run
from .cohorts import ROWS, Cohort

# The shipped detector is not one of those that the records judge.
SHIPPED = Cohort("narrow", use="detection development", studies=90)
TEACH = "python -m livervlm.analyses.detection --model FOLDER"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.analyses.detection", description=__doc__)
    parser.add_argument("--cohorts", type=int, default=1, metavar="N")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument("--out", metavar="FOLDER", help="of the records")
    goal.add_argument("--model", metavar="FOLDER", help="write instead the detector that the book ships")
    options = parser.parse_args()
    try:
        if options.model:
            detector, losses = SHIPPED.detector(SHIPPED.taught_on(options.jobs, progress=True), progress=True)
            told = {"command": TEACH, "taught on": "a phantom, no patient", **asdict(SHIPPED), "losses": losses}
            detector.half().save_pretrained(options.model, {**run_provenance(), **told})
            return
        todo = [Cohort(row, number) for number in range(options.cohorts) for row in ROWS]
        run(todo, options.out, name="detectors", jobs=options.jobs)
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
