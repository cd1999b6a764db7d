"""Whether the numbers of a set bear a question: patients a class and group, slices and pixels a lesion, labels."""

import numpy as np

from ...scans.lesions import LesionSet
from .finding import Finding, count

FEWEST_SLICES, FEWEST_PIXELS = 3, 5
FEWEST_PATIENTS = 2  # of a class in a group: with one, a fold's recall is 0 or 100 % of that patient


def labels(lesions: LesionSet) -> list[Finding]:
    """Patients with slices of two classes.  Whether they are of one lesion, a set does not tell."""
    pairs = np.unique(np.stack([lesions.patient, lesions.label]), axis=1)
    patients, kinds = np.unique(pairs[0], return_counts=True)
    slices = np.flatnonzero(np.isin(lesions.patient, patients[kinds > 1]))
    if not len(slices):
        return []
    slices = slices[np.lexsort((lesions.label[slices], lesions.patient[slices]))]
    what = f"{count(int((kinds > 1).sum()), 'patient')} with slices of two classes"
    remedy = "look whether they are two lesions; one lesion has one label. Answers by patient need one class a patient"
    return [Finding.of_slices("doubt", "labels", what, remedy, lesions, slices)]


def folds(lesions: LesionSet) -> list[Finding]:
    """Groups that cannot be left out in turn, or with too few patients of a class to say anything about it."""
    groups = np.unique(lesions.group)
    if len(groups) < 2:
        remedy = "it can test a model of other patients; to cross-validate, deal the patients into more groups"
        return [Finding("doubt", "folds", "all patients are in one group", remedy)]
    found = []
    for c, name in enumerate(lesions.classes):
        mine = lesions.label == c
        n = np.array([len(np.unique(lesions.patient[mine & (lesions.group == g)])) for g in groups])
        few = groups[n < FEWEST_PATIENTS]
        slices = np.flatnonzero(mine & np.isin(lesions.group, few))
        if np.count_nonzero(n) < 2:
            what = f"{name} is in {'one group alone' if n.any() else 'none'}: no model is taught and asked about it"
            remedy = "deal the groups anew with classes balanced, or leave the class out"
            found.append(Finding.of_slices("error", "folds", what, remedy, lesions, np.flatnonzero(mine)))
        elif len(few):
            what = f"{name} has {' or '.join(map(str, np.unique(n[n < FEWEST_PATIENTS])))} patients in "
            what += f"{count(len(few), 'group')} of {len(groups)}"
            remedy = "ask for fewer groups, or score all folds together and give an interval by patient"
            found.append(Finding.of_slices("doubt", "folds", what, remedy, lesions, slices))
    return found


def sizes(lesions: LesionSet) -> list[Finding]:
    """Lesions with few slices, and slices with next to nothing of the lesion in a phase that is there.

    A set without numbers of lesions is taken to have one of each class in a patient.
    """
    found = []
    one = [lesions.patient, lesions.label] if lesions.lesion is None else [lesions.lesion]
    _, place, n = np.unique(np.stack(one), axis=1, return_inverse=True, return_counts=True)
    slices = np.flatnonzero(n[place.ravel()] < FEWEST_SLICES)
    if len(slices):
        few = count(int((n < FEWEST_SLICES).sum()), "lesion")
        patients = count(len(np.unique(lesions.patient[slices])), "patient")
        what = f"{few} of {patients} with under {FEWEST_SLICES} slices"
        remedy = "so small a lesion is mostly edge; say how many there are, and score them by themselves"
        found.append(Finding.of_slices("note", "size", what, remedy, lesions, slices))
    if lesions.masks is not None and "lesion" in lesions.mask_names:
        few = lesions.mask("lesion").sum(axis=(2, 3)) < FEWEST_PIXELS
        slices = np.flatnonzero((few if lesions.present is None else few & lesions.present).any(axis=1))
        if len(slices):
            what = f"{count(len(slices), 'slice')} with under {FEWEST_PIXELS} pixels of the lesion in a phase"
            remedy = "look whether mask and phase fit each other; leave out slices that only touch the lesion"
            found.append(Finding.of_slices("doubt", "size", what, remedy, lesions, slices))
    return found
