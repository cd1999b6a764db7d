"""Found boxes against true ones: F1, recall and precision at an IoU, false positives a study, FROC.

A table of boxes has a line for each box: patient, slice, x0, y0, x1, y1 (mm, or any unit where no size is asked for),
found ones also a score.  The column `lesion` tells, within a patient, which boxes belong together, at most one in a
slice: the lesions in 3D.  `each_box` makes every box a lesion of its own, which is LiLNet's count, slice by slice
(Nature Communications 2024).

IoU of two lesions: the area that their boxes have in common over that of both together, each summed over slices.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from ..base.errors import InputError
from .comparisons import cluster_bootstrap
from .patients import LINE

IOUS = (0.1, 0.3, 0.5)  # LiLNet's
SIZES = (0, 10, 20, 30, 50, 1000)  # mm
SIDES = ["x0", "y0", "x1", "y1"]
CONFIDENCES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)

MATCHINGS = {"one to one": 0, "not one to one": 1}  # which column of `counts` holds the hits
MEASURES = {
    "F1": lambda right, found, true: 2 * right / max(found + true, 1),
    "recall": lambda right, found, true: right / max(true, 1),
    "precision": lambda right, found, true: right / max(found, 1),
}


# ---- boxes


def intersections(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The area that each of N boxes has in common with each of M, (N, M).  a: (N, 4).  b: (M, 4)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return (high - low).clip(0).prod(axis=2)


def areas(boxes: np.ndarray) -> np.ndarray:
    """(N,) of boxes (N, 4)."""
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def liver_share(box: np.ndarray, at: np.ndarray, liver: np.ndarray) -> np.ndarray:
    """The share of each box's pixels that are liver, (N,).

    box: (N, 4) in pixels.  at: (N,) the slice of each.  liver: (S, H, W) bool, lesions included.
    """
    h, w = liver.shape[1:]
    pixels = [(s, _span(y0, y1, h), _span(x0, x1, w)) for (x0, y0, x1, y1), s in zip(box, at, strict=True)]
    return np.array([liver[place].mean() for place in pixels], dtype=float)


def _span(start: float, end: float, n: int) -> slice:
    """The pixels of n that a side touches, one or more."""
    first = int(np.floor(start).clip(0, n - 1))
    return slice(first, max(int(np.ceil(end)), first + 1))


def in_liver(boxes: pd.DataFrame) -> pd.DataFrame:
    """Without the boxes of which less than half is liver, by their column `liver`, as LiLNet removes them."""
    return boxes[boxes["liver"] >= 0.5]


# ---- lesions


def joined(boxes: pd.DataFrame) -> pd.DataFrame:
    """Boxes with the column `lesion`, from 0 in each patient, counted from the first slice on.

    A box goes on with the lesion of a box in the slice before that it overlaps in the plane, each with at most one: of
    all pairings the one with the largest sum of IoU.  A slice without a box ends a lesion.
    """
    lesion = pd.Series(-1, index=boxes.index, dtype=int)
    for _, mine in boxes.groupby("patient"):
        count, before, last = 0, None, None
        for at, here in mine.groupby("slice"):
            number = np.full(len(here), -1)
            if last == at - 1:
                a, b = before[SIDES].to_numpy(dtype=float), here[SIDES].to_numpy(dtype=float)
                iou = _share(intersections(a, b), areas(a), areas(b))
                for i, j in zip(*linear_sum_assignment(-iou), strict=True):
                    if iou[i, j] > 0:
                        number[j] = lesion[before.index[i]]
            new = number < 0
            number[new] = np.arange(count, count + new.sum())
            count += int(new.sum())
            lesion[here.index] = number
            before, last = here, at
    return boxes.assign(lesion=lesion)


def each_box(boxes: pd.DataFrame) -> pd.DataFrame:
    """Boxes with a column `lesion` that makes each one a lesion of its own."""
    return boxes.assign(lesion=np.arange(len(boxes)))


def lesion_iou(found: pd.DataFrame, true: pd.DataFrame) -> np.ndarray:
    """IoU of one patient's lesions, (found, true), each in the order of their numbers."""
    a, b = found[SIDES].to_numpy(dtype=float), true[SIDES].to_numpy(dtype=float)
    common = intersections(a, b) * (found["slice"].to_numpy()[:, None] == true["slice"].to_numpy())
    of_a, of_b = (np.unique(t["lesion"], return_inverse=True)[1] for t in (found, true))
    one, other = (np.eye(of.max(initial=-1) + 1)[of].T for of in (of_a, of_b))  # (lesions, boxes)
    return _share(one @ common @ other.T, one @ areas(a), other @ areas(b))


def _share(common: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU from areas, (N, M), (N,) and (M,); 0 of two without area."""
    return common / np.maximum(a[:, None] + b - common, np.finfo(float).tiny)


# ---- matching


def matched(iou: np.ndarray, score: np.ndarray, threshold: float) -> np.ndarray:
    """One to one: the true lesion that each found one takes, (N,), -1 where it takes none.

    From the highest score down, each found lesion takes, of the true ones that are still free and whose IoU reaches
    the threshold, that of the highest (as Pascal VOC and COCO do).  iou: (N, M).  score: (N,).
    """
    took, free = np.full(len(score), -1), np.ones(iou.shape[1], dtype=bool)
    for i in np.argsort(-np.asarray(score), kind="stable"):
        possible = np.where(free & (iou[i] >= threshold), iou[i], -1)
        if possible.max(initial=-1) >= 0:
            took[i] = possible.argmax()
            free[took[i]] = False
    return took


def assess(found: pd.DataFrame, true: pd.DataFrame, threshold: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables of lesions, found and true.

    Found: patient, score (the highest of its boxes), `right`, whether it took a true one, and size: the longest side of
    any of its boxes, or of those of the true one that it took.  True: patient, size, `hit`, whether one took it, and
    `covered`, whether any found lesion's IoU reaches the threshold, which LiLNet's public code counts: there one found
    box may stand for several true ones.
    """
    said, real = _lesions(found).assign(right=False), _lesions(true).assign(hit=False, covered=False)
    boxes = dict(iter(true.groupby("patient")))
    for patient, mine in found.groupby("patient"):
        if patient not in boxes:
            continue
        iou = lesion_iou(mine, boxes[patient])
        a, b = (t.index[t["patient"] == patient] for t in (said, real))
        took = matched(iou, said.loc[a, "score"].to_numpy(), threshold)
        right = took >= 0
        said.loc[a, "right"] = right
        said.loc[a[right], "size"] = real.loc[b[took[right]], "size"].to_numpy()
        real.loc[b[took[right]], "hit"] = True
        real.loc[b, "covered"] = (iou >= threshold).any(axis=0)
    return said, real


def _lesions(boxes: pd.DataFrame) -> pd.DataFrame:
    """A line for each lesion of a table of boxes, by patient and number; size: its `diameter`, or its box's side."""
    sides = np.maximum(boxes["x1"] - boxes["x0"], boxes["y1"] - boxes["y0"])
    table = boxes[["patient", "lesion"]].assign(size=boxes.get("diameter", sides), score=boxes.get("score", 0.0))
    return table.groupby(["patient", "lesion"], as_index=False).max()


# ---- measures


def counts(said: pd.DataFrame, real: pd.DataFrame, patients: Sequence[int]) -> np.ndarray:
    """(patients, 4): lesions that are hit, that are covered, that were found, that are there; tables as of `assess`."""
    columns = (real[real["hit"]], real[real["covered"]], said, real)
    return np.stack([t["patient"].value_counts().reindex(patients, fill_value=0) for t in columns], axis=1)


def measured(
    found: pd.DataFrame, true: pd.DataFrame, patients: Sequence[int], ious: Iterable[float] = IOUS, n_boot: int = 2000
) -> pd.DataFrame:
    """F1, recall and precision at each IoU, one to one and as LiLNet's public code matches; from 0 to 1.

    patients: all that were looked at, also those without a box.  Columns as `LINE`: intervals by patient.  Where
    nothing was found or nothing is there, a share is 0.
    """
    lines = {}
    for threshold in ious:
        n = counts(*assess(found, true, threshold), _known(patients, found, true))
        for matching, column in MATCHINGS.items():
            for name, share in MEASURES.items():
                line = cluster_bootstrap(_of_sums(share), patients, n[:, [column, 2, 3]], n_boot=n_boot)
                lines[threshold, matching, name] = (*line, len(n))
    index = pd.MultiIndex.from_tuples(lines, names=["IoU", "matching", "measure"])
    return pd.DataFrame([*lines.values()], index=index, columns=LINE)


def _of_sums(share: Callable[..., float]) -> Callable[[np.ndarray], float]:
    return lambda n: share(*n.sum(axis=0))


def by_size(found: pd.DataFrame, true: pd.DataFrame, threshold: float, sizes: Sequence[float] = SIZES) -> pd.DataFrame:
    """F1, recall and precision, one to one, by size in mm; a line for each range, its lower end included.

    As COCO does it, a right answer is of the true lesion's size, a false one of its own.
    """
    said, real = assess(found, true, threshold)
    lines = {}
    for low, high in pairwise(sizes):
        mine, there = (t[(t["size"] >= low) & (t["size"] < high)] for t in (said, real))
        n = int(there["hit"].sum()), len(mine), len(there)
        lines[low, high] = {"found": n[1], "true": n[2], **{name: share(*n) for name, share in MEASURES.items()}}
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis(["from mm", "below mm"])


def false_positives(
    found: pd.DataFrame, true: pd.DataFrame, patients: Sequence[int], threshold: float = IOUS[0], n_boot: int = 2000
) -> pd.DataFrame:
    """False positives a study, in all and where the liver is healthy and where it is not, with intervals by patient."""
    n = counts(*assess(found, true, threshold), _known(patients, found, true))
    false, ill = n[:, 2] - n[:, 0], n[:, 3] > 0
    lines = {}
    for name, which in (("all", ill | ~ill), ("healthy", ~ill), ("with lesions", ill)):
        if which.sum() > 1:
            value = cluster_bootstrap(np.mean, np.arange(which.sum()), false[which], n_boot=n_boot)
            lines[name] = (*value, int(which.sum()))
    return pd.DataFrame.from_dict(lines, orient="index", columns=LINE)


def froc(
    found: pd.DataFrame,
    true: pd.DataFrame,
    patients: Sequence[int],
    threshold: float = IOUS[0],
    confidences: Iterable[float] = CONFIDENCES,
) -> pd.DataFrame:
    """Recall of lesions in 3D against false positives a study; a line for each confidence from which boxes count.

    found: boxes without `lesion`, which are joined anew at each confidence.
    """
    lines = {}
    for least in confidences:
        said, real = assess(joined(found[found["score"] >= least]), true, threshold)
        n = counts(said, real, _known(patients, found, true)).sum(axis=0)
        lines[least] = ((n[2] - n[0]) / len(patients), MEASURES["recall"](n[0], n[2], n[3]))
    return pd.DataFrame.from_dict(lines, orient="index", columns=["false positives a study", "recall"])


def _known(patients: Sequence[int], *tables: pd.DataFrame) -> np.ndarray:
    patients = np.asarray(patients)
    strange = set(np.concatenate([t["patient"] for t in tables])) - set(patients.tolist())
    if strange or len(set(patients.tolist())) < len(patients):
        raise InputError(f"{len(patients)} patients: name each once, also patient {min(strange, default='(none)')}")
    return patients
