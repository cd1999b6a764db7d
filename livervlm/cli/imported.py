"""What stands beside an imported set: its report, for people and for programs, and the key back to the table."""

import json
import os
from contextlib import ExitStack
from dataclasses import asdict
from html import escape
from pathlib import Path

from ..base.errors import InputError
from .page import page, picture, table
from .shared import NOT_FOR_DIAGNOSIS, described, refuse_no_set

FORMAT = "livervlm.Import/1"
TITLE = "Import of studies"
KEY = "slice,lesion,patient,row"
# How each begins, so that no other file is written over.
BEGINS = {
    ".report.json": f'{{\n "format": "{FORMAT}"',
    ".report.html": page(TITLE).partition("</title>")[0],
    ".key.csv": KEY,
}


def beside(out: str | Path, ending: str) -> Path:
    """The file that belongs to a set: mine.key.csv to mine.safetensors."""
    out = Path(out)
    return out.with_name(out.name.removesuffix(".safetensors") + ending)


def check_free(out: str | Path) -> None:
    """A set may replace a set, and a report a report; whatever else has such a name, a scan perhaps, stays."""
    refuse_no_set(out)
    parent = next(folder for folder in Path(out).absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):  # better said before hours of reading than after
        raise InputError(f"{out}: {parent} is not a folder that can be written to; name another --out")
    for ending, begins in BEGINS.items():
        refuse_other(beside(out, ending), begins)


def refuse_other(path: Path, begins: str) -> None:
    """Raise `InputError` where `path` is there and does not begin as what is to be written."""
    if not path.exists():
        return
    if path.is_file():
        with open(path, "rb") as file:
            if file.read(len(begins)) == begins.encode():
                return
    raise InputError(f"{path}: already there, and not written by this command; move it, or name another --out")


def write(out: str | Path, lesions, report) -> None:
    """Write a set and what stands beside it: all of it, or nothing."""
    from ..base.paths import written_whole

    parts = {".report.json": _json(lesions, report), ".report.html": _page(lesions, report), ".key.csv": _key(report)}
    with ExitStack() as stack:  # the set comes last: where it is, the others are
        new = stack.enter_context(written_whole(out))
        for ending, text in parts.items():
            stack.enter_context(written_whole(beside(out, ending))).write_text(text, encoding="utf-8")
        lesions.save(new)


def key_rows(data: str | Path, lesions) -> list[int] | None:
    """The row of the table of each slice, where the set has its key beside it."""
    import pandas as pd

    path = beside(data, ".key.csv")
    if not path.is_file():
        return None
    try:
        key = pd.read_csv(path)
        if [*key["lesion"]] == [*lesions.lesion] and [*key["patient"]] == [*lesions.patient]:
            return key["row"].tolist()
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{path}: not the key of this set; import the table again, or move the key away")


def _key(report) -> str:
    lines = [KEY]
    for one in report.lesions:
        lines += [f"{i},{one.lesion},{one.patient},{one.row}" for i in range(one.slices[0], one.slices[1] + 1)]
    return "\n".join(lines) + "\n"


def _json(lesions, report) -> str:
    of_lesions = []
    for one in report.lesions:
        known = asdict(one)
        said, _ = known.pop("said"), known.pop("picture")
        of_lesions.append(known | said)
    made = {
        "format": FORMAT,
        "set": {
            "fingerprint": lesions.fingerprint(),
            "slices": len(lesions),
            "size": lesions.size,
            "classes": lesions.classes,
            "phases": lesions.phases,
            "masks": lesions.masks is not None,
        },
        "rows": report.rows,
        "rows_left_out": report.rows_left_out,
        "scans": report.scans,
        "scans_left_out": report.scans_left_out,
        "faults": [asdict(fault) for fault in report.faults],
        "notes": report.notes,
        "lesions": of_lesions,
    }
    return json.dumps(made, indent=1) + "\n"


def _page(lesions, report) -> str:
    cells = [(str(fault.row), fault.column, fault.message) for fault in report.faults]
    faults = ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells]
    parts = [
        f"<p>{escape(described(lesions))}.</p>\n<p>{summary(report)} Rows are those of the table, its header row 1; "
        f"lesions, patients and slices are numbered as in the set. {NOT_FOR_DIAGNOSIS}</p>"
    ]
    parts += [f"<p>{escape(note)}.</p>" for note in report.notes]
    if faults:
        parts += ["<h2>Left out</h2>", table(("Row", "Column", "Why"), faults)]
    items = "\n".join(_item(lesions, one) for one in report.lesions)
    order = ", ".join(lesions.phases)
    parts.append(
        f"<h2>Lesions</h2>\n<p>The slice that shows most of each lesion, from left to right in {order}; its mask, or "
        "its box, is drawn yellow. Look whether it is there. Where phases were aligned, a second row shows them "
        f'so.</p>\n<ul class="wide">{items}</ul>'
    )
    return page(TITLE, *parts)


def summary(report) -> str:
    """How much of the table came in."""
    if not report.rows_left_out:
        return f"All {report.rows} rows were read, of {report.scans} studies."
    return f"{report.scans_left_out} of {report.scans} studies left out ({report.rows_left_out} of {report.rows} rows)."


def _item(lesions, one) -> str:
    slices = "slices {}-{}".format(*one.slices)
    text = f"row {one.row}: lesion {one.lesion}, patient {one.patient}, {one.label}, group {one.group}, {slices}"
    return picture(one.picture, "jpeg", text, *one.said.read, *one.said.lines())
