"""Checkers of the chapters 'LiLNet' and 'From scan to answer'."""

import numpy as np

from .judge import Wrong, array_of, as_text, checker, expect


@checker
def five_means(answer):
    """Means of a feature map, whole and without each quadrant."""
    features = np.array([[[4.0, 0.0], [0.0, 8.0]], [[1.0, 2.0], [3.0, 4.0]]])  # (2, 2, 2)
    right = np.array([[3.0, 2.5], [2.0, 2.25], [3.0, 2.0], [3.0, 1.75], [1.0, 1.5]])
    got = array_of(answer(features), (5, 2))
    example = f"the maps `{as_text(features)}`"
    kept = right * np.array([1, 4 / 3, 4 / 3, 4 / 3, 4 / 3])[:, None]
    for wrong, words in (
        (kept, "You divide by the pixels that are left. The mask sets the others to 0, and the mean is over all."),
        (right[[0, 1, 3, 2, 4]], "Upper right and lower left have changed places: rows are up and down."),
        (right[[1, 2, 3, 4, 0]], "The whole map comes first."),
        (4 * right, "Those are sums: divide by the number of pixels."),
    ):
        if np.allclose(got, wrong):
            raise Wrong(f"For {example}: {words}")
    expect(got, right, example)


@checker
def aggregated(answer):
    """One logit a class, from the joint logits of all readings."""
    joint = np.arange(50.0).reshape(5, 10)  # of two classes
    joint[2, 7] = 100
    right = np.array([np.mean([joint[i, i] for i in range(5)]), np.mean([joint[i, 5 + i] for i in range(5)])])
    got = array_of(answer(joint), (2,))
    example = "joint logits of two classes, five rows of ten"
    for wrong, words in (
        (joint.reshape(5, 2, 5).mean(axis=(0, 2)), "You average every joint label of a class. Of row i, only label i."),
        (joint.reshape(5, 5, 2).mean(axis=(0, 1)), "You average every label, and a class's labels lie 5 c to 5 c + 4."),
        (
            np.array([joint[i, 2 * i : 2 * i + 2] for i in range(5)]).mean(axis=0),
            "Label 5 c + i: the class comes first.",
        ),
        (5 * right, "That is the sum over readings: asked for is the mean."),
        (joint[0, [0, 5]], "That is the whole map alone: take the mean over all five readings."),
    ):
        if np.allclose(got, wrong):
            raise Wrong(f"For {example}: {words}")
    expect(got, right, example)


@checker
def in_a_row(answer):
    """Six probabilities of two stages."""
    malignant, kinds, others = 0.8, np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.1, 0.8])
    right = np.concatenate([malignant * kinds, (1 - malignant) * others])
    got = array_of(answer(malignant, kinds, others), (6,))
    example = f"malignant with 0.8, then `{as_text(kinds)}` or `{as_text(others)}`"
    for wrong, words in (
        (np.concatenate([kinds, others]), "These sum to 2: the first stage has no part in them."),
        (np.concatenate([malignant * kinds, malignant * others]), "A benign class needs the chance of being benign."),
        (np.concatenate([malignant * kinds, 0 * others]), "The branch that is not likelier has a chance, too."),
        (np.concatenate([kinds, others]) / 2, "The first stage has no part in these."),
    ):
        if np.allclose(got, wrong):
            raise Wrong(f"For {example}: {words}")
    expect(got, right, example)


@checker
def kappa(answer):
    """Fleiss' kappa from counts."""
    for counts, right in (
        (np.array([[3, 0], [3, 0], [0, 3], [0, 3]]), 1.0),
        (np.array([[2, 1], [3, 0], [1, 2], [0, 3]]), 1 / 3),
        (np.array([[2, 2, 0], [4, 0, 0], [1, 0, 3], [0, 4, 0], [1, 1, 2]]), 51 / 131),
    ):
        readers = counts[0].sum()
        shares = counts.sum(axis=0) / counts.sum()
        agreed = ((counts**2).sum(axis=1) - readers) / (readers * (readers - 1))
        got = float(array_of(answer(counts), ()))
        if np.isclose(got, right):
            continue
        chance = (shares**2).sum()
        with_itself = (counts**2).sum(axis=1) / readers**2
        example = f"For the counts `{as_text(counts)}` you answer {got:.3f}"
        for wrong, words in (
            (agreed.mean(), "That is the share of agreeing pairs: take away what chance gives."),
            (agreed.mean() - chance, "Divide by what chance leaves to be had, one less the agreement by chance."),
            ((with_itself.mean() - chance) / (1 - chance), "A reader is no pair with himself: n (n - 1) pairs."),
            (
                (agreed.mean() - 1 / counts.shape[1]) / (1 - 1 / counts.shape[1]),
                "Chance follows how often each answer is given.",
            ),
        ):
            if np.isclose(got, wrong):
                raise Wrong(f"{example}. {words}")
        raise Wrong(f"{example}; expected {right:.3f}.")
