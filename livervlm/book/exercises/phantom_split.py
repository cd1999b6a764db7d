"""Checkers of the chapter 'A phantom and its split'."""

import numpy as np

from .judge import Wrong, array_of, checker, expect


@checker
def patient_groups(answer):
    """A random group for every slice: no patient in two, equally many patients in each."""
    ids, n_groups = np.array([3, 8, 10, 21, 22, 40, 57, 60, 71, 99]), 5
    patient = np.random.default_rng(0).permutation(np.repeat(ids, np.arange(1, 11)))  # as files lie: in no order
    splits = []
    for seed in (0, 0, 1, 2):
        got = array_of(answer(patient, n_groups, seed), patient.shape)
        splits.append(got)
        if set(np.unique(got)) == set(range(1, n_groups + 1)):
            raise Wrong(f"Your groups run from 1 to {n_groups}; asked for was 0 to {n_groups - 1}.")
        for one in ids:
            mine = np.unique(got[patient == one])
            if len(mine) > 1:
                raise Wrong(
                    f"Patient {one} is in the groups {', '.join(f'{g:g}' for g in mine)}: deal out patients, not "
                    "slices, and give every slice the group of its patient."
                )
        if not np.isin(got, range(n_groups)).all():
            outside = got[~np.isin(got, range(n_groups))][0]
            raise Wrong(f"There is a group {outside:g}; with {n_groups} groups they are 0 to {n_groups - 1}.")
        count = [len(np.unique(patient[got == g])) for g in range(n_groups)]
        if np.ptp(count) > 1:
            raise Wrong(
                f"Your groups hold {', '.join(map(str, count))} patients; asked for were equal numbers. Rolling a die "
                "for each patient does not give that: shuffle the patients, then deal them out like cards."
            )
    if not np.array_equal(splits[0], splits[1]):
        raise Wrong("One seed gave two splits: draw from `np.random.default_rng(seed)` and from nothing else.")
    if all(np.array_equal(splits[0], split) for split in splits):
        raise Wrong("Every seed gives the same split: shuffle the patients with `np.random.default_rng(seed)`.")


@checker
def variance_factor(answer):
    """The design effect: squares of patients' sums of residuals over the squares of slices' residuals."""
    right = np.array([1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0.0])
    patient = np.repeat([7, 3, 9], 4)
    residual = right - right.mean()
    sums = np.array([residual[patient == one].sum() for one in np.unique(patient)])
    expected = (sums**2).sum() / (residual**2).sum()
    got = float(array_of(answer(right, patient), ()))
    if np.isclose(got, np.sqrt(expected)):
        raise Wrong("That is the root of it, by which an interval widens. Asked for was the factor on the variance.")
    if np.isclose(got, 1):
        raise Wrong("You get 1, as if slices were independent: add up the residuals of each patient before you square.")
    raw = np.array([right[patient == one].sum() for one in np.unique(patient)])
    if np.isclose(got, (raw**2).sum() / (right**2).sum()):
        raise Wrong("Subtract the mean first: a residual is how far a slice is from the accuracy of all.")
    if np.isclose(got, ((sums / 4) ** 2).sum() / (residual**2).sum()):
        raise Wrong("You take the mean over each patient's slices; asked for was their sum.")
    expect(got, expected, "three patients with 4, 0 and 3 of 4 slices right")
    copies = float(array_of(answer(np.repeat([1.0, 0, 0, 1], 5), np.repeat(np.arange(4), 5)), ()))
    expect(copies, 5, "four patients with five equal slices each, in which a slice tells a fifth of one")
    alone = float(array_of(answer(np.array([1.0, 0, 1, 1]), np.arange(4)), ()))
    expect(alone, 1, "four patients with one slice each")
