"""From stages, slices and phases to one answer: benign or malignant first, then which, as LiLNet does.

For teaching and research, not for diagnosis.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import softmax

from ..base.errors import InputError
from ..scans.conventions import MALIGNANT
from ..scans.lesions import LesionSet

STAGES = ("benign", "malignant")  # the classes of the first stage, in this order


def branches(classes: Sequence[str]) -> tuple[list[int], list[int]]:
    """The places in `classes` of the benign ones, and of the malignant ones."""
    malignant = [place for place, name in enumerate(classes) if name in MALIGNANT]
    benign = [place for place, name in enumerate(classes) if name not in MALIGNANT]
    if not (benign and malignant):
        raise InputError(f"a cascade needs benign and malignant classes; the data have only {', '.join(classes)}")
    return benign, malignant


def stage_sets(lesions: LesionSet, index: np.ndarray) -> list[LesionSet]:
    """What the three networks of a cascade learn from: the slices `index` by side, the benign, the malignant ones."""
    sides, label = branches(lesions.classes), lesions.label[index]
    parts = [replace(lesions.subset(index), label=np.isin(label, sides[1]).astype(np.int64), classes=STAGES)]
    for places in sides:
        mine = np.isin(label, places)
        within, names = np.searchsorted(places, label[mine]), tuple(lesions.classes[place] for place in places)
        parts.append(replace(lesions.subset(index[mine]), label=within, classes=names))
    return parts


def multiplied(first: np.ndarray, benign: np.ndarray, malignant: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """A probability for every class, (n, N): of its side, times of the class within that side.

    first: (n, 2), benign and malignant.  benign, malignant: (n, classes of that side), in the order of `classes`.
    The paper never prints this answer: it judges each stage by itself, the second as if the first were always right.
    """
    prob = np.empty((len(first), len(classes)))
    for side, (places, within) in enumerate(zip(branches(classes), (benign, malignant), strict=True)):
        prob[:, places] = first[:, side, None] * within
    return prob


def stepwise(
    first: np.ndarray, benign: np.ndarray, malignant: np.ndarray, classes: Sequence[str], threshold: float = 0.5
) -> np.ndarray:
    """One class for each case, (n,): the most probable one of the side that the first stage names, as in the clinic.

    As in `multiplied`.  threshold: malignant from this probability on; the paper's is 0.5.
    """
    sides = zip(branches(classes), (benign, malignant), strict=True)
    if_benign, if_malignant = (np.take(places, within.argmax(axis=1)) for places, within in sides)
    return np.where(first[:, 1] >= threshold, if_malignant, if_benign)


def pooled(prob: np.ndarray, owner: np.ndarray, averaged: str = "probabilities") -> np.ndarray:
    """One answer for everything that belongs together, (M, N), in the order of the owners.

    prob: (n, N), such as of every slice in every phase.  owner: (n,), such as its patient.  averaged: "probabilities"
    (the paper's Equation 1) or "logits" (the public code).  Logits are known from probabilities but for a number for
    each row, which a softmax takes away again: their mean is that of the logarithms.
    """
    if averaged not in ("probabilities", "logits"):
        raise InputError(f"averaged {averaged!r}: choose probabilities or logits")
    _, owner, counts = np.unique(owner, return_inverse=True, return_counts=True)
    values = prob if averaged == "probabilities" else np.log(np.clip(prob, np.finfo(np.float32).tiny, None))
    total = np.stack([np.bincount(owner, column) for column in values.T], axis=1) / counts[:, None]
    return total if averaged == "probabilities" else softmax(total, axis=1)
