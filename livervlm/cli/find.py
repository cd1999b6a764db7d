"""Key-slice selection: `livervlm find`."""

import argparse
import sys
import textwrap

from ..base.errors import InputError
from .shared import NOT_FOR_DIAGNOSIS, picture_format

BEST = 5  # slices that are printed


def find(arguments: argparse.Namespace) -> None:
    import numpy as np

    from ..base.paths import data_file, written_whole
    from ..models.saved import read_card
    from ..models.selector import best_slices
    from ..models.towers import SliceTowers
    from ..studies.reading import Reading
    from ..studies.slices import read_slices

    form = picture_format(arguments.out)
    shipped = data_file("selector")
    if arguments.selector is None and not shipped.exists():
        raise InputError(f"{shipped}: no selector is shipped with this version; name the folder of one with --selector")
    folder = arguments.selector or shipped
    towers, size = SliceTowers.from_pretrained(folder), read_card(folder)["provenance"].get("size", 64)
    reading = Reading()
    slices = read_slices(arguments.study, size, reading=reading)
    cosine = similarity(towers, slices, arguments.sentence)
    best, phase = cosine.max(axis=1), cosine.argmax(axis=1)
    hits = [s for s in best_slices(best, BEST) if np.isfinite(best[s])]
    with written_whole(arguments.out) as temporary:
        _picture(slices, arguments.sentence, cosine, hits).savefig(temporary, format=form, dpi=150)

    several = len(slices.phases) > 1
    if len(slices.hu) == 1:
        print("The study has one slice only: there is only one to choose.")
    print("slice  position, mm  cosine" + several * "  phase")
    for s in hits:
        line = f"{slices.numbers[s]:5}  {slices.positions[s]:12.1f}  {best[s]:6.3f}"
        print(line + several * f"  {slices.phases[phase[s]]}")
    print("Slices are counted from the feet, from 1; positions are the study's own, larger towards the head.")
    print("The score is a cosine, from -1 to 1, and no probability: some slice is best whether or not it shows this.")
    for line in reading.lines():
        print(line, file=sys.stderr)  # beside the answer, not in it
    print(f"{arguments.out}: similarity along {len(slices.hu)} slices, and the best one. {NOT_FOR_DIAGNOSIS}")


def similarity(towers, slices, sentence: str):
    """The cosine of each slice in each phase to a sentence, (S, P); where a phase was not scanned -inf.

    slices: `AxialSlices` of the size that the towers read.
    """
    import numpy as np

    from ..analyses.key_slices.questions import windowed
    from ..models.selector import encode_slices, slice_scores
    from ..scans.study import PADDING

    scores = slice_scores(towers, encode_slices(towers, windowed(slices.hu)), [sentence])
    # Where a phase was not scanned there is air, and nothing to find.
    return np.where(slices.hu.max(axis=(2, 3)) > PADDING, scores.reshape(slices.hu.shape[:2]), -np.inf)


def _picture(slices, sentence: str, cosine, hits):
    """Left the similarity along the body, head at the top, right the best slice; cosine: (S, P), hits: best first."""
    from matplotlib.figure import Figure

    from ..book.figures import PALETTE
    from ..scans.conventions import WINDOW

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    figure.suptitle(textwrap.fill(sentence, 90), parse_math=False)
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    for of_phase, name, colour in zip(cosine.T, slices.phases, PALETTE[2:], strict=False):
        left.plot(of_phase, slices.positions, ".-", color=colour, markersize=2, linewidth=1, label=name)
    best = cosine[hits].max(axis=1)
    left.scatter(best, slices.positions[hits], color=PALETTE[0], zorder=3, label=f"best {len(hits)}")
    left.scatter(best[:1], slices.positions[hits[:1]], color=PALETTE[1], zorder=3, label="best, shown")
    left.set(xlabel="cosine, no probability", ylabel="position, mm (up: towards the head)")
    left.legend(frameon=False, fontsize="small")
    s, phase = hits[0], slices.phases[cosine[hits[0]].argmax()]
    _, dy, dx = slices.spacing
    right.imshow(slices.full[phase][s], cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1], aspect=dy / dx)
    right.set(xticks=[], yticks=[], xlabel="patient's right is on the left")
    right.set_title(f"slice {slices.numbers[s]}, {f'{phase}, ' if phase else ''}{slices.positions[s]:.1f} mm")
    figure.supxlabel(NOT_FOR_DIAGNOSIS, fontsize="small")
    return figure
