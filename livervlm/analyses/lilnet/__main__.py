"""Teach LiLNet, its parts and its rivals on some cohorts, and write a record of each."""

import argparse
from dataclasses import asdict

from ...base.errors import InputError
from ...runs.records import run_provenance
from ...runs.runner import run
from .cohorts import ROWS, Cohort
from .summary import declared

# The shipped network is not one of those that the records judge.
SHIPPED = Cohort(0, use="centres development", pool="centres development", rows=("LiLNet",))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.analyses.lilnet", description=__doc__)
    parser.add_argument("--cohorts", type=int, default=declared()["plan"]["cohorts"], help="of 400 patients each")
    parser.add_argument("--encoder", default=Cohort.encoder, help="of the book's; default %(default)s")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=tuple(ROWS), metavar="ROW", help="default all")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument("--out", metavar="FOLDER", help="of the records")
    goal.add_argument("--model", metavar="FOLDER", help="write instead the LiLNet that the book ships")
    options = parser.parse_args()
    try:
        if options.model:
            model, losses = SHIPPED.lilnet(jobs=options.jobs, progress=True)
            model.half().save_pretrained(options.model, {**run_provenance(), **asdict(SHIPPED), "losses": losses})
            return
        told = {"encoder": options.encoder, "rows": tuple(options.rows)}
        cohorts = [Cohort(number, **told) for number in range(options.cohorts)]
        run(cohorts, options.out, name="cohorts", jobs=options.jobs)
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
