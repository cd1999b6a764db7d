"""Detection of liver lesions: `livervlm detect`."""

import argparse
import sys

from ..base.errors import InputError
from .shared import NOT_FOR_DIAGNOSIS, picture_format

SHOWN = 6  # lesions in the picture


def detect(arguments: argparse.Namespace) -> None:
    from ..base.paths import data_file, written_whole
    from ..models.detector import Detector
    from ..studies.reading import Reading
    from ..studies.slices import read_slices

    form = picture_format(arguments.out)
    shipped = data_file("detector")
    if arguments.model is None and not shipped.exists():
        raise InputError(f"{shipped}: no detector is shipped with this version; name the folder of one with --model")
    detector = Detector.from_pretrained(arguments.model or shipped)
    reading = Reading()
    slices = read_slices(arguments.study, detector.size, arguments.liver, reading)
    every, boxes = boxes_in(detector, slices)
    best = boxes.groupby("lesion")["score"].max().sort_values(ascending=False).index
    lesions = [boxes[boxes["lesion"] == number] for number in best]
    with written_whole(arguments.out) as temporary:
        _picture(slices, shown_as(detector, slices)[-1], lesions).savefig(temporary, format=form, dpi=150)

    if missing := [phase for phase in detector.phases if phase not in slices.phases]:
        given = slices.phases[-1] or "the one picture of the study"
        print(f"The study does not tell {' and '.join(missing)}: the detector is shown {given} in that place.")
    print(f"{len(lesions)} found in {len(slices.hu)} slices.")
    if lesions:
        print("slices     x, mm           y, mm           score  liver")
    for one in lesions:
        first, last = (slices.numbers[one["slice"].agg(end)] for end in ("max", "min"))
        ends = [f"{one[a].min():.0f} to {one[b].max():.0f}" for a, b in (("x0", "x1"), ("y0", "y1"))]
        where = "no liver mask given" if slices.liver is None else "inside"
        print(f"{f'{first} to {last}':10} {ends[0]:15} {ends[1]:15} {one['score'].max():5.2f}  {where}")
    if slices.liver is not None:
        print(f"{len(every) - len(boxes)} boxes outside the liver were left out.")
    print("Slices are counted from the feet, from 1; x runs from the left edge of the picture, y from its upper edge.")
    print("The detector was taught on a phantom alone, no patient; a score is no probability of disease.")
    for line in reading.lines():
        print(line, file=sys.stderr)  # beside the answer, not in it
    print(f"{arguments.out}: the slice of each lesion's highest score. {NOT_FOR_DIAGNOSIS}")


def shown_as(detector, slices) -> list[str]:
    """The phase that the detector is shown in the place of each of its own: the same, or else the study's last."""
    return [phase if phase in slices.phases else slices.phases[-1] for phase in detector.phases]


def boxes_in(detector, slices):
    """All boxes that are sure enough, and those of them in the liver, joined to lesions; mm from the picture's corner.

    slices: `AxialSlices` of the detector's size; without a mask of the liver none is left out.
    """
    from ..analyses.detection.cohorts import found_boxes
    from ..evaluation.detection import in_liver, joined
    from ..models.detector import CONFIDENCE

    channels = [slices.phases.index(phase) for phase in shown_as(detector, slices)]
    found = found_boxes(detector, slices.hu[:, channels], slices.side / detector.size, slices.liver)
    every = found[found["score"] >= CONFIDENCE]
    boxes = joined(every if slices.liver is None else in_liver(every))
    boxes[["y0", "y1"]] += slices.corner[0]
    boxes[["x0", "x1"]] += slices.corner[1]
    return every, boxes


def _picture(slices, phase: str, lesions):
    """A panel for each of the first lesions, its slice of the highest score; without any the middle slice."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    from ..book.figures import PALETTE
    from ..scans.conventions import WINDOW

    shown = [one.loc[one["score"].idxmax()] for one in lesions[:SHOWN]] or [None]
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(max(4 * columns, 6), 3.6 * rows + 0.4), layout="constrained")
    _, dy, dx = slices.spacing
    for ax, box in zip(figure.subplots(rows, columns, squeeze=False).flat, shown, strict=False):
        s = len(slices.hu) // 2 if box is None else int(box["slice"])
        picture = slices.full[phase][s]
        extent = (0, picture.shape[1] * dx, picture.shape[0] * dy, 0)
        ax.imshow(picture, cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1], extent=extent)
        title = f"slice {slices.numbers[s]}, {f'{phase}, ' if phase else ''}"
        ax.set_title(title + ("nothing found" if box is None else f"score {box['score']:.2f}"), fontsize="medium")
        if box is not None:
            side = box["x1"] - box["x0"], box["y1"] - box["y0"]
            ax.add_patch(Rectangle((box["x0"], box["y0"]), *side, fill=False, edgecolor=PALETTE[1], linewidth=1.5))
    for ax in figure.axes:
        ax.set_axis_off()
    figure.supxlabel(f"patient's right is on the left. {NOT_FOR_DIAGNOSIS}", fontsize="small")
    return figure
