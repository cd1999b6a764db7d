"""One patient through everything: `livervlm demo`."""

import argparse
import sys
import textwrap

from ..base.errors import InputError
from .detect import boxes_in
from .find import similarity
from .shared import NOT_FOR_DIAGNOSIS, picture_format

PATIENT = 30_000, 1  # seed and number of a phantom patient with one lesion, whom no network was taught on
PIXELS = 256  # a side of the phantom's slices
SIZE = 64  # of slices as the shipped selector reads them


def demo(arguments: argparse.Namespace) -> None:
    from ..base.paths import data_file, written_whole
    from ..models.towers import SliceTowers

    form, sentence, truth = picture_format(arguments.out), arguments.sentence, ()
    if arguments.study is None:
        if arguments.liver:
            raise InputError(f"{arguments.liver}: a mask of whose liver? Name the study, too")
        slices, report, truth = _phantom()
        sentence = report if sentence is None else sentence
    else:
        slices = _study(arguments.study, arguments.liver)
    cosine, meant = None, None
    if sentence is not None:
        cosine = similarity(SliceTowers.from_pretrained(data_file("selector")), slices, sentence)
        meant = int(cosine.max(axis=1).argmax())
    lesion = _lesion(slices, meant)
    pictures, answers = _answers(slices, lesion) if lesion else ({}, {})
    with written_whole(arguments.out) as temporary:
        _picture(slices, sentence, cosine, lesion, pictures, answers).savefig(temporary, format=form, dpi=150)

    numbers = slices.numbers
    if sentence is not None:
        print(f"1. The report says: {sentence}\n   Of {len(numbers)} slices, slice {numbers[meant]} fits best.")
    if lesion is None:
        print("2. The detector found no lesion. Nothing is left to name.")
    else:
        first, last = numbers[lesion.slices[-1]], numbers[lesion.slices[0]]
        where = f"slice {first}" if first == last else f"slices {first} to {last}"
        apart = "" if meant is None or meant in lesion.slices else f" It found none in slice {numbers[meant]}."
        print(f"2. The detector found a lesion in {where}, with a score of {lesion.score:.2f}.{apart}")
        if not answers:
            print("3. It lies at the edge of the scan, or lung is there: nothing can be cut out.")
        for step, (name, (words, prob)) in enumerate(answers.items(), start=3):
            shares = ", ".join(f"{kind} {100 * p:.0f} %" for kind, p in sorted(prob.items(), key=lambda one: -one[1]))
            print(f"{step}. {name} ({words}): {shares}")
    if truth:
        print(f"The truth of this phantom patient: {', '.join(truth)}.")
    print("Slices are counted from the feet, from 1.")
    print("All networks were taught on a phantom alone; a probability here is not one of disease.")
    print(f"{arguments.out}: the whole way in one picture. {NOT_FOR_DIAGNOSIS}")


def _phantom():
    """The phantom patient's `AxialSlices`, the first finding of the report, and the classes of the lesions."""
    import numpy as np

    from ..phantom.abdomen import abdomen_study
    from ..phantom.abdomen_patients import draw_abdomens
    from ..phantom.sentences import write_report
    from ..studies.slices import AxialSlices

    seed, number = PATIENT
    study = abdomen_study(draw_abdomens(seed, 1, first=number)[0], size=PIXELS)
    report = write_report(study.findings, ["liver"], np.random.default_rng(PATIENT), "seen")
    below = np.arange(len(study.organs), 0, -1)
    slices = AxialSlices.of(
        study.volumes,
        SIZE,
        mask=study.organ("liver"),
        numbers=below,
        positions=below * study.spacing[0],
        spacing=study.spacing,
        corner=(0.0, 0.0),
        side=study.spacing[1] * PIXELS,
    )
    truth = [one.kind for one in study.findings[: len(study.patient.lesions)]]
    return slices, next(one.text for one in report if one.finding == 0), truth


def _study(path: str, liver: str | None):
    from ..studies.reading import Reading
    from ..studies.slices import read_slices

    reading = Reading()
    slices = read_slices(path, SIZE, liver, reading)
    for line in reading.lines():
        print(line, file=sys.stderr)  # beside the answer, not in it
    return slices


def _lesion(slices, meant: int | None):
    """The lesion that was found in the slice that is meant, or else the surest one; None where nothing was found."""
    from ..analyses.scan_to_answer import Found
    from ..base.paths import data_file
    from ..models.detector import Detector

    detector = Detector.from_pretrained(data_file("detector"))
    _, boxes = boxes_in(detector, slices.resized(detector.size))
    found = sorted((Found.of(mine) for _, mine in boxes.groupby("lesion")), key=lambda one: -one.score)
    there = [one for one in found if meant in one.slices]
    return next(iter(there or found), None)


def _answers(slices, lesion):
    """ROIs, phase -> picture of the middle slice; and of each network that the phases allow, what it reads and says.

    Both empty where no ROI can be cut.
    """
    import numpy as np

    from ..analyses.scan_to_answer import as_lesions, rois, study_of
    from ..base.paths import data_file
    from ..models.lilnet import LiLNet
    from ..models.lilnet_training import slice_probabilities
    from ..models.liver_vlm import LiverVLM
    from ..models.training import predict
    from ..scans.windowing import images

    phases = slices.phases
    cut = rois(study_of(slices.full, slices.spacing, lesion), lesion.slices, phases, aligned=False)
    if cut is None:
        return {}, {}

    def shown(wanted, classes):
        return as_lesions(cut[:, [phases.index(phase) for phase in wanted]], classes, wanted)

    said, every = {}, np.arange(len(cut))
    liver_vlm, lilnet = LiverVLM.from_pretrained(data_file("explained")), LiLNet.from_pretrained(data_file("lilnet"))
    wanted, classes = liver_vlm.config.phases, liver_vlm.config.classes
    if set(wanted) <= set(phases):
        prob = predict(liver_vlm, images(shown(wanted, classes), every, liver_vlm.config.window)).mean(dim=0).tolist()
        said["Liver-VLM"] = f"{', '.join(wanted)} as channels", dict(zip(classes, prob, strict=True))
    wanted, classes = [p for p in ("ART", "PV") if p in phases] or [phases[-1]], lilnet.settings.classes
    prob = slice_probabilities(lilnet, shown(wanted, classes), every).mean(axis=0).tolist()
    words = ", ".join(filter(None, wanted)) or "the one phase"
    said["LiLNet"] = f"{words}, one by one", dict(zip(classes, prob, strict=True))
    return dict(zip(phases, cut[len(cut) // 2], strict=True)), said


def _picture(slices, sentence: str | None, cosine, lesion, pictures, answers):
    """From left to right: where the sentence leads, the slice with the box, the ROI, the answers."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    from ..book.figures import PALETTE
    from ..scans.conventions import WINDOW

    figure = Figure(figsize=(13, 3.9), layout="constrained")
    along, whole, cut, said = figure.subplots(1, 4, width_ratios=(1.2, 2, 1, 1.6))
    shown = len(slices.hu) // 2 if lesion is None else lesion.slices[len(lesion.slices) // 2]
    if cosine is None:
        along.set_axis_off()
    else:
        meant = int(cosine.max(axis=1).argmax())
        shown = meant if lesion is None or meant in lesion.slices else shown
        figure.suptitle(textwrap.fill(sentence, 110), fontsize="medium", parse_math=False)
        for values, phase, colour in zip(cosine.T, slices.phases, PALETTE[2:], strict=False):
            along.plot(values, slices.numbers, color=colour, linewidth=1, label=phase)
        along.axhline(slices.numbers[meant], color=PALETTE[1], linestyle="--")
        along.set(xlabel="cosine, no probability", ylabel="slice, from the feet", title="1. which slice?")
        along.legend(frameon=False, fontsize="small")
    phase = slices.phases[-1]
    _, dy, dx = slices.spacing
    picture = slices.full[phase][shown]
    extent = (0, picture.shape[1] * dx, picture.shape[0] * dy, 0)
    whole.imshow(picture, cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1], extent=extent)
    whole.set_title(f"2. where? slice {slices.numbers[shown]}, {phase}".rstrip(", "))
    for x0, y0, x1, y1 in lesion.in_slice(shown) if lesion else ():
        whole.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=PALETTE[1], linewidth=1.5))
    whole.set_axis_off()
    cut.set_axis_off()
    cut.set_title("3. the lesion")
    for place, (name, roi) in enumerate(pictures.items()):
        inset = cut.inset_axes((0.05, 1 - (place + 1) / len(pictures), 0.9, 0.94 / len(pictures)))
        inset.imshow(roi, cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1])
        inset.set(xticks=[], yticks=[], ylabel=name)
    said.set_title("4. what is it?")
    bars = [(f"{name}: {kind}", p, colour) for (name, (_, prob)), colour in zip(answers.items(), PALETTE, strict=False)
            for kind, p in prob.items()]  # fmt: skip
    said.barh([words for words, _, _ in bars], [100 * p for _, p, _ in bars], color=[c for _, _, c in bars])
    said.set(xlim=(0, 100), xlabel="%")
    said.invert_yaxis()
    figure.supxlabel(f"Networks taught on a phantom alone. {NOT_FOR_DIAGNOSIS}", fontsize="small")
    return figure
