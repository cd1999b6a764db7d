"""The same picture more than once: one scan as two patients, a row that was listed twice, a phase given for another."""

import hashlib
from itertools import combinations

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch.nn.functional import adaptive_avg_pool2d

from ...scans.lesions import LesionSet
from ...scans.windowing import images
from .finding import Finding, count
from .values import is_blank

SIDE = 16  # cells along the side of a hash
# Share of a hash's bits that differ.  Between slices of different patients of 12 phantom cohorts, of 48 and 64 pixels
# and 3 or 4 phases, it is at least .33, where one is turned by half .27 (2.5 million pairs).  Between a slice and its
# copy it is at most .13 with noise of 2 HU, .15 resampled to 40 pixels and back, .12 clipped to -50 to 150 HU, .04 in
# 256 grey levels; shifted by a pixel .15 to .19 in the median, .25 at most.
NEAR = 0.2
_FLAT = 0.25  # a picture with more equal neighbours than this share has no hash to speak of
_CHUNK = 1024  # rows of the table of distances, for memory


def copies(lesions: LesionSet) -> list[Finding]:
    """Pictures that are there twice: of two patients, within a patient, or in two phases of a slice."""
    digest = _digests(lesions)
    exact, near = _equal(digest), near_pairs(lesions)
    pairs = np.concatenate([exact, near])
    is_exact = np.arange(len(pairs)) < len(exact)
    across = lesions.patient[pairs[:, 0]] != lesions.patient[pairs[:, 1]]
    return [
        *_phases(lesions, digest),
        *_two_patients(lesions, pairs[across], is_exact[across]),
        *_one_patient(lesions, pairs[~across]),
    ]


def near_pairs(lesions: LesionSet) -> np.ndarray:
    """Slices of different patients that look the same, also where one is mirrored or turned by half: (n, 2), i < j."""
    chunks = [slice(start, start + _CHUNK) for start in range(0, len(lesions), _CHUNK)]
    coarse = torch.cat([adaptive_avg_pool2d(images(lesions, rows), (SIDE, SIDE + 1)) for rows in chunks])
    hashes, known = difference_hash(coarse)
    patient, pairs = torch.tensor(lesions.patient), [np.empty((0, 2), dtype=np.int64)]
    for axes in ((), (3,), (2,), (2, 3)):
        turned, _ = difference_hash(coarse.flip(axes))
        for rows in chunks:
            distance = (1 - hashes[rows] @ turned.T / hashes.shape[1]) / 2
            same = (distance < NEAR) & known[rows, None] & known & (patient[rows, None] != patient)
            pairs.append(np.add(torch.nonzero(same).numpy(), (rows.start, 0)))
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)


def difference_hash(coarse: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether each cell of a coarse picture is brighter than its left neighbour, in all phases (a "dHash").

    coarse: (N, P, SIDE, SIDE + 1).  Returns signs, (N, P * SIDE^2) float32 of -1 and 1, and (N,) bool, whether the
    picture has a hash at all: one that is mostly flat, as beyond the window, has none.
    """
    step = coarse.diff(dim=-1).flatten(1)
    return torch.where(step > 0, 1.0, -1.0), (step == 0).float().mean(dim=1) <= _FLAT


def _digests(lesions: LesionSet) -> np.ndarray:
    """(N, P) a number for each picture's bytes; blank ones, which are alike by nature, have numbers of their own."""
    shape = lesions.hu.shape[:2]
    digest = np.array([[_number(picture) for picture in phases] for phases in lesions.hu], dtype=np.uint64)
    blank = is_blank(lesions)
    return np.where(blank, np.arange(np.prod(shape), dtype=np.uint64).reshape(shape), digest)


def _number(picture: np.ndarray) -> int:
    return int.from_bytes(hashlib.blake2b(np.ascontiguousarray(picture), digest_size=8).digest(), "little")


def _equal(digest: np.ndarray) -> np.ndarray:
    """Slices with a picture in common, whatever its phase: (n, 2), i < j; of k copies k - 1 pairs, that chain them."""
    n, p = digest.shape
    order = np.argsort(digest, axis=None, kind="stable")
    owner, value = np.repeat(np.arange(n), p)[order], digest.ravel()[order]
    same = (value[1:] == value[:-1]) & (owner[1:] != owner[:-1])
    pairs = np.stack([owner[:-1][same], owner[1:][same]], axis=1)
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _phases(lesions: LesionSet, digest: np.ndarray) -> list[Finding]:
    found = []
    for (p, first), (q, second) in combinations(enumerate(lesions.phases), 2):
        slices = np.flatnonzero(digest[:, p] == digest[:, q])
        if len(slices):
            what = f"{first} and {second} are the same picture, byte for byte, in {count(len(slices), 'slice')}"
            remedy = "one scan was given as two phases; name the right series in the table and import again"
            found.append(Finding.of_slices("error", "phases", what, remedy, lesions, slices))
    return found


def _two_patients(lesions: LesionSet, pairs: np.ndarray, is_exact: np.ndarray) -> list[Finding]:
    """A finding for each lot of patients that share pictures."""
    found = []
    numbers, place = np.unique(lesions.patient, return_inverse=True)
    lot, alike = _lots(place[pairs], len(numbers))[place[pairs[:, 0]]], _lots(pairs, len(lesions))
    for number in np.unique(lot):
        mine = pairs[lot == number]
        slices = np.unique(mine)
        slices = slices[np.lexsort((slices, alike[slices]))]  # copies stand side by side
        patients, groups = (len(np.unique(of[slices])) for of in (lesions.patient, lesions.group))
        exact = is_exact[lot == number].any()
        two_labels = (lesions.label[mine[:, 0]] != lesions.label[mine[:, 1]]).any()
        how = "byte for byte" if exact else "but for noise, grey levels or resampling, or turned"
        what = f"{count(patients, 'patient')} have pictures that are the same {how}: {count(len(slices), 'slice')}"
        what += f"; they are in {count(groups, 'group')}" if groups > 1 else ""
        what += "; they have two labels" if two_labels else ""
        remedy = "give both one patient (and one label), or leave one out, and deal the groups again"
        severity = "error" if exact or two_labels else "doubt"
        found.append(Finding.of_slices(severity, "copies", what, remedy, lesions, slices))
    return found


def _one_patient(lesions: LesionSet, pairs: np.ndarray) -> list[Finding]:
    """Copies within a patient: of two labels, or counted twice."""
    found, two = [], lesions.label[pairs[:, 0]] != lesions.label[pairs[:, 1]]
    said = ((two, "error", "labels", " and with two labels"), (~two, "doubt", "copies", ""))
    for chosen, severity, check, more in said:
        slices = np.unique(pairs[chosen])
        if len(slices):
            what = f"{count(len(slices), 'slice')} stand there twice in one patient{more}"
            remedy = "a lesion was listed in two rows; keep the right one"
            found.append(Finding.of_slices(severity, check, what, remedy, lesions, slices))
    return found


def _lots(pairs: np.ndarray, n: int) -> np.ndarray:
    """(n,) the number of the lot to which each of n things belongs, of which pairs are joined."""
    return connected_components(coo_array((np.ones(len(pairs)), pairs.T), (n, n)), directed=False)[1]
