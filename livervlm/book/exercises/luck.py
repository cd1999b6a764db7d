"""Checkers of the chapter 'Was it luck?'."""

import numpy as np

from .judge import Wrong, array_of, as_text, checker, expect


@checker
def false_alarms(answer):
    """How often a test rejects a true null, where the variance is larger than it believes."""
    for effect, alpha, right, one_sided, unrooted, backwards in (
        (1, 0.05, 0.05, 0.1, 0.05, 0.05),
        (4, 0.05, 0.3271, 0.4108, 0.6241, 0.0001),
        (2.25, 0.01, 0.0859, 0.1209, 0.2523, 0.0001),
    ):
        got = float(array_of(answer(effect, alpha), ()))
        if np.isclose(got, right, atol=5e-4):
            continue
        example = f"With a design effect of {effect:g} and a level of {alpha:.0%} you answer {got:.4f}"
        for wrong, words in (
            (right / 2, "That is one side: a difference can be found falsely in either direction."),
            (one_sided, "Your limit is that of a one-sided test: leave alpha / 2 above it."),
            (1 - right, "That is how often the test stays silent; asked for was how often it does not."),
            (effect * alpha, "The design effect does not multiply the level; it brings the limit nearer."),
            (unrooted, "The design effect is one of variances, and z counts standard errors."),
            (backwards, "A test that is too sure rejects more often, not less: divide the limit, do not multiply it."),
        ):
            if np.isclose(got, wrong, atol=5e-4):
                raise Wrong(f"{example}. {words}")
        raise Wrong(f"{example}; expected {right:.4f}.")


@checker
def resample_patients(answer):
    """The slices of one bootstrap sample, in which patients are drawn."""
    ids = np.array([3, 8, 10, 21, 22, 40, 57, 60, 71, 99])
    patient = np.random.default_rng(0).permutation(np.repeat(ids, np.arange(1, 11)))  # as files lie: in no order
    n, n_samples = len(ids), 300
    samples = []
    for seed in (0, *range(n_samples)):
        result = answer(patient, seed)
        rows = array_of(result, (np.size(result),))
        if not np.isin(rows, range(len(patient))).all():
            raise Wrong(
                f"Of {len(patient)} slices you return number {rows.max():g}: give places in `patient`, from 0, and "
                "not the numbers of patients."
            )
        times = np.bincount(rows.astype(int), minlength=len(patient))
        for one in ids:
            mine = np.unique(times[patient == one])
            if len(mine) > 1:
                raise Wrong(
                    f"Patient {one} comes with some slices {mine[-1]} times and others {mine[0]} times: draw patients, "
                    "not slices, and take all slices of each."
                )
        per_patient = np.array([times[patient == one][0] for one in ids])
        samples.append(per_patient)
        if per_patient.sum() != n:
            twice = "" if per_patient.max() > 1 else ": a patient drawn twice must bring all slices twice"
            raise Wrong(f"You draw {per_patient.sum()} patients; asked for was {n}, as many as there are{twice}.")
    if all((sample == 1).all() for sample in samples):
        raise Wrong("Every patient comes exactly once: draw with replacement, or nothing varies.")
    if not np.array_equal(samples[0], samples[1]):
        raise Wrong("One seed gave two samples: draw from `np.random.default_rng(seed)` and from nothing else.")
    if all(np.array_equal(samples[0], sample) for sample in samples):
        raise Wrong("Every seed gives the same sample: draw with `np.random.default_rng(seed)`.")
    drawn_last = sum(sample[-1] for sample in samples[1:])
    if abs(drawn_last - n_samples) > 0.3 * n_samples:  # five standard deviations of a fair draw
        raise Wrong(
            f"In {n_samples} samples the patient with most slices comes {drawn_last} times: who has more slices must "
            "not be drawn more often. Draw from the patients, each named once."
        )


@checker
def holm_adjusted(answer):
    """Holm's adjusted p of a family."""
    p = np.array([0.01, 0.04, 0.03, 0.005])
    got = array_of(answer(p), p.shape)
    for wrong, words in (
        (p, "These are the p that were given: multiply the smallest by 4, the next by 3, and so on."),
        (4 * p, "That is Bonferroni's correction: only the smallest p is multiplied by 4, the next by 3, and so on."),
        ([0.02, 0.03, 0.06, 0.06], "These are the right numbers in rising order: give them in the order of `p`."),
        (
            [0.03, 0.04, 0.06, 0.02],
            "Now 0.03 has a larger adjusted p than 0.04: none may be below that of a smaller p. Take the running "
            "maximum, from the smallest on.",
        ),
        ([0.03, 0.04, 0.04, 0.02], "You take the running minimum from the largest p, as Hochberg does; Holm goes up."),
        ([0.02, 0.04, 0.04, 0.02], "That is Benjamini and Hochberg's correction, which is for another kind of error."),
        ([0.02, 0.16, 0.09, 0.005], "You multiply the largest p by 4; begin with the smallest."),
    ):
        if np.allclose(got, wrong):
            raise Wrong(words)
    expect(got, [0.03, 0.06, 0.06, 0.02], f"`{as_text(p)}`")
    p = np.array([0.9, 0.8, 0.3])
    got = array_of(answer(p), p.shape)
    if got.max() > 1:
        raise Wrong(f"One of your adjusted p is {got.max():g}: a p is never above 1.")
    expect(got, [1, 1, 0.9], f"`{as_text(p)}`")
