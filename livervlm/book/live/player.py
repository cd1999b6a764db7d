"""One lesion whose contrast agent arrives, and what the network says while a phase is covered: the book's front page.

There are few phases to cover, so the answers are computed here, by PyTorch, and the page loads no model.
"""

from itertools import combinations

import numpy as np

from ...scans.conventions import CANONICAL, CLASS_NAMES, LIVER_VLM_CLASSES, MALIGNANT, WINDOW
from ..moving.shared import MovingFigure, packed
from .files import read_live
from .moves import HIDDEN, Moves, live_answer
from .panel import beside, still


def lesion_player(patient: int = 0) -> MovingFigure:
    """The phases of a patient one after the other, buttons that cover one, and four bars: the network's answer."""
    whole, truth = live_answer(patient=patient), LIVER_VLM_CLASSES[read_live().patients.slices.label[patient]]
    covers = [c for n in range(len(CANONICAL) + 1) for c in combinations(CANONICAL, n)]
    spec = {
        "phases": CANONICAL,
        "pictures": packed(in_grey(whole.hu)),
        "grey": int(in_grey(np.array(HIDDEN))),
        "classes": LIVER_VLM_CLASSES,
        "names": [CLASS_NAMES[kind] for kind in LIVER_VLM_CLASSES],
        "cancer": [kind in MALIGNANT for kind in LIVER_VLM_CLASSES],
        "truth": LIVER_VLM_CLASSES.index(truth),
        "answers": {" ".join(c): live_answer(patient=patient, hide=c).prob.round(4).tolist() for c in covers},
    }
    alt = f"A lesion of a phantom patient ({truth}) in the phases {', '.join(CANONICAL)}, and bars: the probability "
    alt += "of each class for a small Liver-VLM."
    figure = still(whole, Moves(patient=patient), truth, True)
    return MovingFigure("player", spec, figure, alt, beside("player.js"), beside("player.css"))


def in_grey(hu: np.ndarray) -> np.ndarray:
    """HU as greys of the book's window, uint8."""
    low, high = WINDOW
    return np.uint8(np.rint((np.clip(hu, low, high) - low) * 255 / (high - low)))
