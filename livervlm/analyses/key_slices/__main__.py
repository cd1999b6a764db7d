"""Teach the selectors of the study on key slices, and write a record of each cohort; or what else is asked."""

import argparse
from dataclasses import asdict

from ...base.errors import InputError
from ...runs.records import run_provenance, write_record
from ...runs.runner import run
from ...scans.seeds import seed_of
from . import end_to_end, places
from .cohorts import ANOTHER_SCANNER, MAIN, Cohort
from .summary import declared

SHIPPED = Cohort(0, use="abdomens development")  # the shipped selector is not one of those that the records judge


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.analyses.key_slices", description=__doc__)
    parser.add_argument("--cohorts", type=int, default=declared()["plan"]["cohorts"], help="of 300 studies each")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument("--out", metavar="FOLDER", help="of the records")
    goal.add_argument("--model", metavar="FOLDER", help="write instead the selector that the book ships")
    goal.add_argument("--end-to-end", metavar="FILE", help="write instead the record of slices that are classified")
    goal.add_argument("--places", metavar="FILE", help="write instead what the places of the liver's segments answer")
    options = parser.parse_args()
    todo = [Cohort(number) for number in range(options.cohorts)]
    try:
        if options.places:
            write_record(options.places, places.record(todo))
            return
        if options.model:
            towers, losses = SHIPPED.towers(MAIN, SHIPPED.taught_on(options.jobs, progress=True))
            towers.half().save_pretrained(options.model, {**run_provenance(), **asdict(SHIPPED), "losses": losses})
            return
        if options.end_to_end:
            seed, studies = seed_of("abdomens pool", 0), Cohort(0).tested
            taught_on = SHIPPED.taught_on(options.jobs, progress=True)
            write_record(options.end_to_end, end_to_end.record(seed, studies, taught_on, jobs=options.jobs))
            return
        for knobs in (None, ANOTHER_SCANNER):
            todo[0].tested_on(knobs, jobs=options.jobs, progress=True)
        run(todo, options.out, name="cohorts", jobs=options.jobs)
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
