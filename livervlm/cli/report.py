"""The verdicts: `livervlm report`."""

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ..base.errors import InputError
from .shared import NOT_FOR_DIAGNOSIS, chosen_profile

WIDTH = 100
COLUMNS = {"claim": 32, "printed": 7, "five folds": 17, "population": 22, "verdict": 14}  # with two blanks between
LEGEND = (
    "printed: difference of the paper's two means, in points. five folds: ours in the paper's protocol. population: "
    "ours with its 95 % interval, on which the verdict rests. A verdict says what a method does on this phantom; it "
    f"neither confirms nor refutes the paper on its patients. {NOT_FOR_DIAGNOSIS}"
)


def report(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from ..base.paths import data_file
    from ..runs.results import Runs, claims, settings
    from ..runs.rows import declared

    out = Path(arguments.out) if arguments.out else data_file("results")
    if not out.is_dir():
        raise InputError(f"{out}: no such folder; `livervlm reproduce --out {out}` leaves its records there")
    profile = chosen_profile(arguments) if arguments.out or arguments.profile else Runs.profile
    population, paper = (Runs(protocol, out, profile, arguments.test_patients) for protocol in ("population", "paper"))
    records = cache(population.read)
    judged, lines = claims(population, paper, progress=True), []
    for (claim, line), contrast in zip(judged.iterrows(), declared()["contrasts"]["claims"], strict=True):
        better, worse = (records(contrast[side]) for side in ("better", "worse"))
        lines.append({"claim": claim, **line, **settings([*better, *worse]), **_cohorts(contrast, better, worse)})
    if arguments.form == "json":
        print(json.dumps(lines, indent=1, ensure_ascii=False))
    elif arguments.form == "csv":
        pd.DataFrame(lines).to_csv(sys.stdout, index=False)
    else:
        _print_table(lines)


def _cohorts(contrast: dict, better: Sequence[dict], worse: Sequence[dict]) -> dict[str, int]:
    """How many cohorts both sides of a claim have, and how many are planned."""
    from ..runs.rows import all_rows, declared

    there = {record["cohort"] for record in better} & {record["cohort"] for record in worse}
    planned = declared()["plan"]["cohorts"]
    wanted = min(planned[all_rows()[contrast[side]].set] for side in ("better", "worse"))
    return {"cohorts": len(there), "planned cohorts": wanted}


def _print_table(lines: list[dict]) -> None:
    from ..runs.results import SETTINGS

    print(_row({name: name for name in COLUMNS}))
    for line in lines:
        print("\n" + _row(line))
        table = "control" if line["table"] == "-" else f"Table {line['table']}"
        about = [f"{table}, {line['in the paper']}: {line['cohorts']} of {line['planned cohorts']} cohorts"]
        if line["protocol"] != "-":
            about += [f"{line['protocol']} protocol", f"{line['pixels']} px", f"{line['epochs']} epochs"]
            about += [f"{name} {line[name]}" for name in SETTINGS[3:]]
        print(_wrapped(", ".join(about), "    "))
    verdicts = [line["verdict"] for line in lines]
    counts = ", ".join(f"{verdicts.count(one)} {one}" for one in dict.fromkeys(verdicts))
    print("\n" + _wrapped(f"{len(lines)} claims: {counts}."))
    print(_wrapped(LEGEND))


def _row(line: dict) -> str:
    """A line of the table, its cells wrapped within their columns."""
    cells = [textwrap.wrap(str(line[name]), width) for name, width in COLUMNS.items()]
    height = max(map(len, cells))
    filled = [
        [text.ljust(width) for text in cell + [""] * (height - len(cell))]
        for cell, width in zip(cells, COLUMNS.values(), strict=True)
    ]
    return "\n".join("  ".join(row).rstrip() for row in zip(*filled, strict=True))


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent)
