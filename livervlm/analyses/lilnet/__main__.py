"""Teach LiLNet, its parts and its rivals on some cohorts, and write a record of each."""

import argparse

from ...base.errors import InputError
from ...runs.runner import run
from .cohorts import Cohort
from .summary import declared


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.analyses.lilnet", description=__doc__)
    parser.add_argument("--cohorts", type=int, default=declared()["plan"]["cohorts"], help="of 400 patients each")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="of the records")
    options = parser.parse_args()
    try:
        run([Cohort(number) for number in range(options.cohorts)], options.out, name="cohorts", jobs=options.jobs)
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
