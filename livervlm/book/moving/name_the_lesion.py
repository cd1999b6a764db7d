"""A game: name lesions by what they do in each phase."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt

from ...base.errors import InputError
from ...scans.conventions import WINDOW
from ...scans.lesions import LesionSet
from .shared import MovingFigure, checked_rows, packed


def name_the_lesion(
    lesions: LesionSet, rows: Sequence[int], names: Mapping[str, str], reasons: Mapping[str, str]
) -> MovingFigure:
    """Some slices in all their phases, for a reader to name; the first answer to each counts.

    names: of each class, as a button says it.  reasons: of each class, a sentence that is told with the answer.
    """
    rows = checked_rows(lesions, rows)
    for what, told in (("names", names), ("reasons", reasons)):
        if missing := [kind for kind in lesions.classes if kind not in told]:
            raise InputError(f"{what}: none for {', '.join(missing)}; give one for each class of the set")
    spec = {
        "hu": packed(np.ascontiguousarray(lesions.hu[rows])),
        "side": lesions.size,
        "window": WINDOW,
        "phases": lesions.phases,
        "names": [names[kind] for kind in lesions.classes],
        "reasons": [reasons[kind] for kind in lesions.classes],
        "labels": lesions.label[rows].tolist(),
    }
    figure, axes = plt.subplots(1, len(lesions.phases), figsize=(2 * len(lesions.phases), 2.3), layout="constrained")
    for axis, phase, picture in zip(np.atleast_1d(axes), lesions.phases, lesions.hu[rows[0]], strict=True):
        axis.imshow(picture, cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1])
        axis.set(xticks=[], yticks=[], title=phase)
    alt = f"A lesion to name, in the phases {', '.join(lesions.phases)}. The game needs a browser that runs scripts."
    return MovingFigure("name_the_lesion", spec, figure, alt)
