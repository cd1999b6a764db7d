"""What can mislead in a data set: `livervlm audit`, on the screen, as one HTML page and as JSON."""

import argparse
import json
import textwrap
from collections import Counter
from dataclasses import asdict
from html import escape
from io import BytesIO
from pathlib import Path

from ..base.errors import InputError
from .page import page, picture, table
from .shared import NOT_FOR_DIAGNOSIS, described

WIDTH = 100
SHOWN = 20  # numbers of patients or slices in a line
PICTURES, MOST_PICTURES = 8, 160  # of a finding, of a page
STATUS = {"error": 2, "doubt": 1, "note": 0}
CLEAN = "Nothing else was found; what these checks do not look for may still be there."


def audit(arguments: argparse.Namespace) -> int:
    """Print what was found; the exit status is 0 where there are notes at most, 1 with doubts, 2 with errors."""
    from ..base.paths import written_whole
    from ..evaluation.audit import audit as find_all
    from ..evaluation.audit import read_metadata
    from ..scans.lesions import LesionSet

    for path, ending in ((arguments.html, ".html"), (arguments.json, ".json")):
        if path and Path(path).suffix.lower() != ending:  # so that no data set is written over
            raise InputError(f"{path}: name a file that ends in {ending}")
    lesions = LesionSet.load(arguments.data)
    found = find_all(lesions, read_metadata(arguments.metadata, lesions) if arguments.metadata else None)

    print(_wrapped(described(lesions)))
    for finding in found:
        print(_wrapped(f"\n{finding.severity}: {finding.check}: {finding.what}.{_whom(finding)}"))
        print(_wrapped(_sentence(finding.remedy), "  "))
    print("\n" + _wrapped(f"{_counted(found)} {CLEAN} {NOT_FOR_DIAGNOSIS}"))
    if arguments.json:
        with written_whole(arguments.json) as temporary:
            temporary.write_text(json.dumps([asdict(finding) for finding in found], indent=1) + "\n", encoding="utf-8")
    if arguments.html:
        with written_whole(arguments.html) as temporary:
            temporary.write_text(_page(lesions, found), encoding="utf-8")
    return max((STATUS[finding.severity] for finding in found), default=0)


def _counted(found) -> str:
    severities = [finding.severity for finding in found]
    numbers = {one: severities.count(one) for one in STATUS}
    return ", ".join(f"{n} {one}{'' if n == 1 else 's'}" for one, n in numbers.items()) + "."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _whom(finding) -> str:
    """The patients and slices of a finding, by their numbers."""
    told = (("Patient", finding.patients), ("Slice", finding.slices))
    return "".join(f" {name}{'s' * (len(numbers) > 1)} {_listed(numbers)}." for name, numbers in told if numbers)


def _listed(numbers) -> str:
    more = len(numbers) - SHOWN
    return ", ".join(map(str, numbers[:SHOWN])) + (f" and {more} more" if more > 0 else "")


def _wrapped(text: str, indent: str = "") -> str:
    before = "\n" * (len(text) - len(text.lstrip("\n")))
    return before + textwrap.fill(text.strip(), WIDTH, initial_indent=indent, subsequent_indent=indent)


def _page(lesions, found) -> str:
    """One page that needs nothing beside it: a table, and the slices that each finding is about."""
    rows, pictures, left = [], [], MOST_PICTURES
    for number, finding in enumerate(found, start=1):
        what, whom, remedy = map(escape, (_sentence(finding.what), _whom(finding), _sentence(finding.remedy)))
        severity = f'<td class="{finding.severity}">{finding.severity}</td>'
        slices = _in_turn(lesions, finding.slices)[: min(PICTURES, left)]
        left -= len(slices)
        link = f' <a href="#f{number}">Pictures</a>' if slices else ""
        rows.append(f"<tr>{severity}<td>{escape(finding.check)}</td><td>{what}{whom}{link}</td><td>{remedy}</td></tr>")
        if slices:
            head = f'<h2 id="f{number}">{what}</h2>'
            shown = f"<p>{len(slices)} of {len(finding.slices)} slices.</p>"
            items = "\n".join(_item(lesions, i) for i in slices)
            pictures.append(f"{head}{shown}<ul>{items}</ul>")
    intro = (
        f"<p>{escape(described(lesions))}.</p>\n<p>{_counted(found)} {CLEAN} A slice's number is its place in the set, "
        f"as <code>livervlm predict</code> counts. {NOT_FOR_DIAGNOSIS}</p>"
    )
    return page("Audit of a data set", intro, table(("Severity", "Subject", "What", "Remedy"), rows), *pictures)


def _in_turn(lesions, slices) -> list[int]:
    """The first slice of each patient, then the second of each, and so on."""
    seen, turns = Counter(), []
    for i in slices:
        turns.append(seen[lesions.patient[i]])
        seen[lesions.patient[i]] += 1
    return [i for _, i in sorted(zip(turns, slices, strict=True), key=lambda pair: pair[0])]


def _item(lesions, i: int) -> str:
    """A slice in all its phases, side by side, in the window of the book."""
    import numpy as np
    from matplotlib import image

    from ..scans.conventions import WINDOW

    file = BytesIO()
    image.imsave(file, np.concatenate(list(lesions.hu[i]), axis=1), cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1],
                 format="png", metadata={"Software": None})  # fmt: skip
    text = f"slice {i}, patient {lesions.patient[i]}, {lesions.classes[lesions.label[i]]}: {', '.join(lesions.phases)}"
    return picture(file.getvalue(), "png", text)
