"""What the records of the study of detection say, beside what LiLNet's paper prints of its detector.

The plan is `data/results/detection.md`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ...evaluation.detection import IOUS, MEASURES
from .. import planned
from ..lilnet_table import in_words
from .cohorts import ROWS

PRINTED = "YOLOv8x, printed"
OF_LESIONS = "lesions"  # of a record's summary: joined over slices, outside the liver removed


def detector_table(records: Sequence[dict] | None = None) -> pd.DataFrame:
    """Each detector of the study in a column, and the paper's first; shares in percent, false positives a study.

    records: by default the book's own.  Lines: F1, recall and precision at each IoU, by lesion, one to one, and false
    positives, with 95 % intervals by patient; and recall by diameter at the first IoU, with the number of lesions.  The
    paper's figures are of boxes, slice by slice, on other patients.
    """
    records = planned.read_records("detection") if records is None else records
    there = {record["settings"]["row"]: _told(record["summary"]) for record in records}
    columns = {PRINTED: _printed()} | {row: there.get(row, {}) for row in ROWS}
    table = pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in columns.items()})
    order = next(iter(there.values()), columns[PRINTED])
    waits = {row: "waits" for row in ROWS if row not in there}
    return table.reindex(order).fillna(waits).fillna("")


def _printed() -> dict[str, str]:
    words = {iou: in_words(f"detection, IoU {str(iou).lstrip('0')}") for iou in IOUS}
    return {f"{name}, IoU {iou:g}": f"{words[iou][name]:.1f}" for iou in IOUS for name in MEASURES}


def _told(summary: Mapping[str, Any]) -> dict[str, str]:
    """The lines of one record."""
    one, found = summary[OF_LESIONS], {}
    for line in one["measures"]:
        if line["matching"] == "one to one":
            value, low, high = (100 * line[end] for end in ("value", "low", "high"))
            found[f"{line['measure']}, IoU {line['IoU']:g}"] = f"{value:.0f} ({low:.0f} to {high:.0f})"
    for line in one["false positives a study"]:
        ends = f"{line['value']:.2f} ({line['low']:.2f} to {line['high']:.2f})"
        found[f"false positives, {line['index']}"] = ends
    for line in one["by size"][str(IOUS[0])]:
        size = f"{line['from mm']} to {line['below mm']} mm".replace(" to 1000 mm", " mm and more")
        found[f"recall, {size}"] = f"{100 * line['recall']:.0f} of {line['true']}" if line["true"] else "-"
    return found
