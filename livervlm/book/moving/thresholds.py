"""Two thresholds in a row, of a detector and of a classifier: cancers that are missed, and false alarms."""

from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt

from ...base.errors import InputError
from ..figures import PALETTE
from .shared import MovingFigure, packed

STEPS = np.linspace(0, 1, 101, dtype=np.float32)
PRESETS = {"as in the paper": (0.25, 0.5), "wary": (0.1, 0.2), "sure": (0.5, 0.8)}  # of a box, of malignancy


def thresholds(
    found: Sequence[float],
    malignant: Sequence[float],
    cancer: Sequence[bool],
    false_found: Sequence[float],
    false_malignant: Sequence[float],
    studies: int,
) -> MovingFigure:
    """What two thresholds, which a reader moves, do to the lesions of some studies.

    found, malignant: of each true lesion the detector's score, 0 where no box met it, and the probability of malignancy
    in the box.  cancer: whether it is malignant.  false_found, false_malignant: the same of each box without a lesion.
    """
    given = {"found": found, "malignant": malignant, "false_found": false_found, "false_malignant": false_malignant}
    arrays = {name: np.asarray(values, np.float32) for name, values in given.items()}
    cancer = np.asarray(cancer, dtype=np.uint8)
    for name, values in arrays.items():
        if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
            raise InputError(f"{name}: give a number from 0 to 1 for each")
    if not len(arrays["found"]) == len(arrays["malignant"]) == len(cancer):
        raise InputError("found, malignant, cancer: give one of each for every lesion")
    if len(arrays["false_found"]) != len(arrays["false_malignant"]):
        raise InputError("false_found, false_malignant: give one of each for every box without a lesion")
    if not 0 < cancer.sum() < len(cancer) or studies < 1:
        raise InputError("give lesions of both kinds, malignant and benign, and how many studies they are from")
    at = PRESETS["as in the paper"][0]
    seen = arrays["found"] >= at
    hit = [((arrays["malignant"] >= t) & seen)[cancer == 1].mean() for t in STEPS]
    alarms = [
        ((arrays["malignant"] >= t) & seen)[cancer == 0].sum()
        + ((arrays["false_malignant"] >= t) & (arrays["false_found"] >= at)).sum()
        for t in STEPS
    ]
    figure, axis = plt.subplots(figsize=(4, 3), layout="constrained")
    axis.plot(np.divide(alarms, studies), 100 * np.array(hit), color=PALETTE[0])
    axis.set(xlabel="false alarms a study", ylabel="cancers found and called malignant, %", ylim=(0, 101))
    spec = {name: packed(values) for name, values in arrays.items()}
    spec |= {"cancer": packed(cancer), "studies": studies, "presets": list(PRESETS.items())}
    alt = "Cancers that are found and called malignant against false alarms a study, as the second threshold moves."
    return MovingFigure("thresholds", spec, figure, alt)
