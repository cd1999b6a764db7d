"""One patient through everything: `livervlm demo`."""

import argparse
import sys
import textwrap
from typing import NamedTuple

from .shared import NOT_FOR_DIAGNOSIS, picture_format

PATIENT = 30_000, 1  # seed and number of a phantom patient with one lesion, whom no network was taught on
PIXELS = 256  # a side of the phantom's slices


class Asked(NamedTuple):
    """A study on its way.  volumes: phase -> (Z, Y, X) HU, from the head down.  truth: the classes, of a phantom."""

    volumes: dict
    spacing: tuple[float, float, float]
    corner: tuple[float, float]
    side: float
    liver: object
    sentence: str | None
    truth: tuple[str, ...]


def demo(arguments: argparse.Namespace) -> None:
    form = picture_format(arguments.out)
    asked = _phantom(arguments.sentence) if arguments.study is None else _study(arguments.study, arguments.sentence)
    slice_, cosine = _slice_that_is_meant(asked) if asked.sentence else (None, None)
    lesion = _lesion(asked, slice_)
    pictures, answers = _answers(asked, lesion) if lesion else ({}, {})
    from ..base.paths import written_whole

    with written_whole(arguments.out) as temporary:
        _picture(asked, slice_, cosine, lesion, pictures, answers).savefig(temporary, format=form, dpi=150)
    n = len(next(iter(asked.volumes.values())))
    if asked.sentence:
        print(f"1. The report says: {asked.sentence}\n   Of {n} slices, slice {slice_ + 1} from the head fits best.")
    if lesion is None:
        print("2. The detector found no lesion. Nothing is left to name.")
    else:
        first, last = lesion.slices[0] + 1, lesion.slices[-1] + 1
        print(f"2. The detector found a lesion in slices {first} to {last}, with a score of {lesion.score:.2f}.")
        if not answers:
            print("3. It lies at the edge of the scan, or lung is there: nothing can be cut out.")
        for step, (name, (words, prob)) in enumerate(answers.items(), start=3):
            shares = ", ".join(f"{kind} {100 * p:.0f} %" for kind, p in sorted(prob.items(), key=lambda one: -one[1]))
            print(f"{step}. {name} ({words}): {shares}")
    if asked.truth:
        print(f"The truth of this phantom patient: {', '.join(asked.truth)}.")
    print("All networks were taught on a phantom alone; a probability here is not one of disease.")
    print(f"{arguments.out}: the whole way in one picture. {NOT_FOR_DIAGNOSIS}")


def _phantom(sentence: str | None) -> Asked:
    import numpy as np

    from ..phantom.abdomen import abdomen_study
    from ..phantom.abdomen_patients import draw_abdomens
    from ..phantom.sentences import write_report

    seed, number = PATIENT
    study = abdomen_study(draw_abdomens(seed, 1, first=number)[0], size=PIXELS)
    report = write_report(study.findings, ["liver"], np.random.default_rng(PATIENT), "seen")
    sentence = sentence or next(one.text for one in report if one.finding == 0)
    side = study.spacing[1] * PIXELS
    truth = tuple(one.kind for one in study.findings[: len(study.patient.lesions)])
    return Asked(dict(study.volumes), study.spacing, (0.0, 0.0), side, study.organ("liver"), sentence, truth)


def _study(path: str, sentence: str | None) -> Asked:
    from ..studies.reading import Reading
    from ..studies.slices import read_slices

    reading = Reading()
    slices = read_slices(path, reading=reading)
    for line in reading.lines():
        print(line, file=sys.stderr)  # beside the answer, not in it
    return Asked(dict(slices.full), slices.spacing, slices.corner, slices.side, None, sentence, ())


def _seen(asked: Asked, size: int):
    """(S, P, size, size) int16: the slices as a network of this size reads them."""
    import numpy as np

    from ..studies.slices import area_means

    square = [
        area_means(one, asked.spacing, asked.corner, asked.side / size, (size, size)) for one in asked.volumes.values()
    ]
    return np.rint(np.stack(square, axis=1)).astype(np.int16)


def _slice_that_is_meant(asked: Asked):
    from ..analyses.key_slices.questions import windowed
    from ..base.paths import data_file
    from ..models.selector import encode_slices, slice_scores
    from ..models.towers import SliceTowers

    towers, hu = SliceTowers.from_pretrained(data_file("selector")), _seen(asked, 64)
    cosine = slice_scores(towers, encode_slices(towers, windowed(hu)), [asked.sentence]).reshape(hu.shape[:2])
    return int(cosine.max(axis=1).argmax()), cosine


def _lesion(asked: Asked, slice_: int | None):
    """The lesion that was found in the slice, or else the surest one; None where nothing was found."""
    from ..analyses.detection.cohorts import found_boxes
    from ..analyses.scan_to_answer import Found
    from ..base.paths import data_file
    from ..evaluation.detection import in_liver, joined
    from ..models.detector import CONFIDENCE, Detector
    from ..studies.slices import area_means

    detector, names = Detector.from_pretrained(data_file("detector")), [*asked.volumes]
    hu, pixel, liver = _seen(asked, detector.size), asked.side / detector.size, None
    if asked.liver is not None:
        liver = area_means(asked.liver, asked.spacing, asked.corner, pixel, (detector.size,) * 2) >= 0.5
    channels = [names.index(phase) if phase in names else len(names) - 1 for phase in detector.phases]
    boxes = found_boxes(detector, hu[:, channels], pixel, liver)
    boxes = boxes[boxes["score"] >= CONFIDENCE]
    boxes = joined(boxes if liver is None else in_liver(boxes))
    boxes[["y0", "y1"]] += asked.corner[0]
    boxes[["x0", "x1"]] += asked.corner[1]
    found = sorted((Found.of(mine) for _, mine in boxes.groupby("lesion")), key=lambda one: -one.score)
    there = [one for one in found if slice_ in one.slices]
    return next(iter(there or found), None)


def _answers(asked: Asked, lesion):
    """ROIs, phase -> picture of the middle slice; and of each network that the phases allow, what it reads and says.

    Both empty where no ROI can be cut.
    """
    import numpy as np

    from ..analyses.scan_to_answer import rois, study_of
    from ..base.paths import data_file
    from ..models.lilnet import LiLNet
    from ..models.lilnet_training import slice_probabilities
    from ..models.liver_vlm import LiverVLM
    from ..models.training import predict
    from ..scans.lesions import LesionSet
    from ..scans.study import Study
    from ..scans.windowing import images

    phases = tuple(asked.volumes)
    cut = rois(
        study_of(Study(asked.volumes, asked.spacing, phases[-1], (0, 1, 0, 1, 0, 1)), lesion),
        lesion.slices,
        phases,
        False,
    )
    if cut is None:
        return {}, {}
    n = len(cut)
    zeros = np.zeros(n, dtype=np.int64)
    answers = {}
    liver_vlm, lilnet = LiverVLM.from_pretrained(data_file("explained")), LiLNet.from_pretrained(data_file("lilnet"))
    wanted = liver_vlm.config.phases
    if set(wanted) <= set(phases):
        hu = cut[:, [phases.index(phase) for phase in wanted]]
        lesions = LesionSet(hu, zeros, zeros, zeros, np.ones((n, 3)), liver_vlm.config.classes, wanted)
        prob = predict(liver_vlm, images(lesions, np.arange(n), liver_vlm.config.window)).mean(dim=0).tolist()
        answers["Liver-VLM"] = f"{', '.join(wanted)} as channels", dict(zip(lesions.classes, prob, strict=True))
    mine = [phase for phase in ("ART", "PV") if phase in phases] or [phases[-1]]
    classes = lilnet.settings.classes
    hu = cut[:, [phases.index(phase) for phase in mine]]
    lesions = LesionSet(hu, zeros, zeros, zeros, np.ones((n, 3)), classes, tuple(mine))
    prob = slice_probabilities(lilnet, lesions, np.arange(n)).mean(axis=0).tolist()
    answers["LiLNet"] = (
        f"{', '.join(filter(None, mine)) or 'the one phase'}, one by one",
        dict(zip(classes, prob, strict=True)),
    )
    return dict(zip(phases, cut[n // 2], strict=True)), answers


def _picture(asked: Asked, slice_, cosine, lesion, pictures, answers):
    """From left to right: where the sentence leads, the slice with the box, the ROI, the answers."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    from ..book.figures import PALETTE
    from ..scans.conventions import WINDOW

    figure = Figure(figsize=(13, 3.9), layout="constrained")
    along, whole, cut, said = figure.subplots(1, 4, width_ratios=(1.2, 2, 1, 1.6))
    if cosine is None:
        along.set_axis_off()
    else:
        figure.suptitle(textwrap.fill(asked.sentence, 110), fontsize="medium", parse_math=False)
        for values, phase, colour in zip(cosine.T, asked.volumes, PALETTE[2:], strict=False):
            along.plot(values, range(1, len(values) + 1), color=colour, linewidth=1, label=phase)
        along.axhline(slice_ + 1, color=PALETTE[1], linestyle="--")
        along.set(xlabel="cosine", ylabel="slice, from the head", title="1. which slice?")
        along.invert_yaxis()
        along.legend(frameon=False, fontsize="small")
    phase = [*asked.volumes][-1]
    best = slice_ if lesion is None or slice_ in lesion.slices else lesion.slices[len(lesion.slices) // 2]
    best = len(asked.volumes[phase]) // 2 if best is None else best
    _, dy, dx = asked.spacing
    picture = asked.volumes[phase][best]
    extent = (0, picture.shape[1] * dx, picture.shape[0] * dy, 0)
    whole.imshow(picture, cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1], extent=extent)
    whole.set_title(f"2. where? slice {best + 1}, {phase}".rstrip(", "))
    for x0, y0, x1, y1 in lesion.in_slice(best) if lesion else ():
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
