"""The panel that a chapter opens at its own question."""

import os
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ...base.errors import InputError
from ...scans.conventions import CANONICAL, CLASS_NAMES, LILNET_CLASSES, LIVER_VLM_CLASSES, WINDOW
from ...scans.phases import order_names
from ..figures import PALETTE
from ..moving.shared import MovingFigure
from .files import packed_files, read_live
from .moves import HIDDEN, STEP, LiveAnswer, Moves, live_answer
from .network import NETWORKS, TEMPLATES

PARTS = "panel", "controls", "picture", "worker", "engine"  # scripts that `live.js` is given
MOST_STROKES = 100  # of the brush, which all stand in the page's address


def live_panel(question: str = "", *, predict: bool = False, **moves) -> MovingFigure:
    """A network that answers in the page: a patient's slice and sentences to change, and what becomes of the answer.

    question: what the chapter asks, shown above it.  predict: the reader commits to an answer before it is shown.
    moves: what is changed when it opens, fields of `live.moves.Moves`, such as `patient=3, hide=["ART"]`.

    The model and the patients lie in the output.  Where `LIVERVLM_LIVE_URL` is set, as for a built book, the page
    loads them when the reader opens the panel: that is where it finds the script that `python -m livervlm.book.live
    --script` wrote.
    """
    if not isinstance(question, str):
        raise InputError(f"question {question!r}: give a text, and moves by name, such as patient=3")
    state, answer, patients = Moves(**moves), live_answer(**moves), read_live().patients
    url, files = os.environ.get("LIVERVLM_LIVE_URL"), packed_files()
    truth = LIVER_VLM_CLASSES[patients.slices.label[state.patient]]
    spec = {
        "question": question,
        "predict": predict,
        "start": state.departures(),
        "plain": Moves().fields(),
        "window": WINDOW,
        "hidden": HIDDEN,
        "step": STEP,
        "mostStrokes": MOST_STROKES,
        "classes": LIVER_VLM_CLASSES,
        "names": {kind: CLASS_NAMES[kind] for kind in LILNET_CLASSES},
        "phases": CANONICAL,
        "orders": order_names(CANONICAL),
        "networks": NETWORKS,
        "templates": TEMPLATES,
        "colours": PALETTE,
        "megabytes": f"{sum(map(len, files.values())) / 1e6:.1f}",
        **({"url": url} if url else {"files": files}),
    }
    alt = f"A slice of a phantom patient ({truth}) in the phases {', '.join(state.order)}"
    alt += "." if predict else ", and bars: the probability of each class for a small Liver-VLM."
    return MovingFigure("live", spec, still(answer, state, truth, not predict), alt, _script(), beside("live.css"))


def still(answer: LiveAnswer, state: Moves, truth: str, bars: bool) -> Figure:
    """The channels, and the answer unless the reader is to predict it."""
    figure, axes = plt.subplots(1, 3 + bars, figsize=(8 if bars else 6, 2.2), layout="constrained")
    for axis, phase, hu in zip(axes, state.order, answer.hu, strict=False):
        axis.imshow(hu, cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1])
        axis.set(xticks=[], yticks=[], title=phase)
    axes[0].set_ylabel(truth)
    if bars:
        axes[-1].barh(LIVER_VLM_CLASSES, 100 * answer.prob, color=PALETTE[0])
        axes[-1].set(xlim=(0, 100), xlabel="probability, %")
        axes[-1].invert_yaxis()
    return figure


def _script() -> str:
    """The function in `live.js`, called with those that it makes the panel of."""
    parts = ",\n".join(f"{name}:\n{beside(f'{name}.js')}" for name in PARTS)
    return f"(box, spec, tools) => (\n{beside('live.js')}\n)(box, spec, tools, {{\n{parts}\n}})"


def beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8").strip()
