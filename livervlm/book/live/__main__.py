"""Train the networks of the live page, draw its patients, and write both with a card; or the script that a page adds.

python -m livervlm.book.live --out data/live
python -m livervlm.book.live --script _build/html/_static/live.js
"""

import argparse

from ...base.errors import InputError
from .export import export
from .files import write_script


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.book.live", description=__doc__.splitlines()[0])
    parser.add_argument("--out", metavar="FOLDER", help="of the networks, the patients and their card")
    parser.add_argument("--script", metavar="FILE", help="the shipped ones as a script that a page adds")
    parser.add_argument("--jobs", type=int, default=1, help="processes that scan phantom patients")
    options = parser.parse_args()
    if not (options.out or options.script):
        parser.error("nothing to write: give --out or --script")
    try:
        if options.out:
            export(options.out, options.jobs)
        if options.script:
            write_script(options.script)
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
