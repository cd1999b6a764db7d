"""Teach the selectors of the study on key slices, cohort by cohort, and write a record of each."""

import argparse

from ...base.errors import InputError
from ...runs.runner import run
from .cohorts import ANOTHER_SCANNER, Cohort

COHORTS = 12


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.analyses.key_slices", description=__doc__)
    parser.add_argument("--cohorts", type=int, default=COHORTS, help="each of 300 studies")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="of the records")
    options = parser.parse_args()
    try:
        todo = [Cohort(number) for number in range(options.cohorts)]
        for knobs in (None, ANOTHER_SCANNER):
            todo[0].tested_on(knobs, jobs=options.jobs, progress=True)
        run(todo, options.out, name="cohorts", jobs=options.jobs)
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
