"""A slice whose feature maps lose a quadrant, the joint labels that LiLNet answers, and their aggregate."""

from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt

from ...base.errors import InputError
from ...scans.conventions import WINDOW
from ...scans.lesions import LesionSet
from ..figures import PALETTE
from .shared import MovingFigure, checked_rows, packed

TRANSFORMS = ("whole", "no upper left", "no upper right", "no lower left", "no lower right")
DEPTHS = ("deep", "shallow")


def quadrants(lesions: LesionSet, rows: Sequence[int], phase: str, joint: np.ndarray) -> MovingFigure:
    """Some slices of one phase, of whose feature maps a reader takes quadrants away.

    joint: logits of the joint labels, (rows, 2, 5, 5 C): of the deep and the shallow head, for each of `TRANSFORMS`.
    Joint label 5 c + i is class c with transform i.
    """
    rows = checked_rows(lesions, rows)
    if phase not in lesions.phases:
        raise InputError(f"phase {phase!r}: this set has {', '.join(lesions.phases)}")
    joint, n = np.asarray(joint, np.float32), len(lesions.classes)
    shape = len(rows), len(DEPTHS), len(TRANSFORMS), len(TRANSFORMS) * n
    if joint.shape != shape:
        raise InputError(f"joint logits: shape {joint.shape}; expected {shape}, rows x depths x transforms x labels")
    if not np.isfinite(joint).all():
        raise InputError("joint logits: some are not finite; train the network again")
    pictures = lesions.hu[rows, lesions.phases.index(phase)]
    spec = {
        "hu": packed(pictures),
        "side": lesions.size,
        "window": WINDOW,
        "classes": lesions.classes,
        "labels": lesions.label[rows].tolist(),
        "transforms": TRANSFORMS,
        "depths": DEPTHS,
        "joint": packed(joint),
    }
    own = np.stack([joint[0, :, i, i :: len(TRANSFORMS)] for i in range(len(TRANSFORMS))])
    mean = own.mean(axis=(0, 1))
    figure, (left, right) = plt.subplots(1, 2, figsize=(6, 2.4), layout="constrained")
    left.imshow(pictures[0], cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1])
    left.set_axis_off()
    right.barh(lesions.classes, mean, color=PALETTE[0])
    right.set(xlabel="aggregated logit")
    right.invert_yaxis()
    truth = lesions.classes[lesions.label[rows[0]]]
    alt = f"A lesion ({truth}) in the phase {phase}, and bars: the logit of each class, aggregated over five."
    return MovingFigure("quadrants", spec, figure, alt)
