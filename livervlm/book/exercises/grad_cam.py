"""Checkers of the chapter 'Grad-CAM'."""

import numpy as np

from .judge import Wrong, array_of, checker, expect


@checker
def cam(answer):
    """A Grad-CAM map from features and gradients."""
    features = np.zeros((2, 2, 3))
    features[0, 0, 0], features[1, 0, 0], features[1, 1, 2] = 4, 1, 3
    gradients = np.zeros((2, 2, 3))
    gradients[0], gradients[1, 0, 0] = 0.5, -6  # means .5 and -1
    expected = 0.5 * features[0] - features[1]
    got = array_of(answer(features, gradients), (2, 3))
    for wrong, words in (
        (expected.clip(min=0), "Keep what is negative: this map is not cut off at zero."),
        ((features * gradients).sum(axis=0), "The weight of a channel is the mean of its gradient over all places."),
        (6 * expected, "Take the mean of the gradient, not its sum."),
        (expected / 2, "Add the channels up; do not average them."),
    ):
        if np.allclose(got, wrong):
            raise Wrong(words)
    expect(got, expected, "two channels, 2 x 3 places")
    rng = np.random.default_rng(0)
    features, gradients = rng.normal(size=(2, 5, 4, 4))
    expect(
        array_of(answer(features, gradients), (4, 4)),
        np.einsum("d,dhw->hw", gradients.mean(axis=(1, 2)), features),
        "five channels",
    )


@checker
def energy(answer):
    """The share of a map's positive energy that falls on a part, over the part's share of the area."""
    values = np.array([[4.0, 1], [-3, 3]])
    part, lesion = np.array([[True, False], [False, False]]), np.array([[True, True], [True, True]])
    got = array_of(answer(values, part, lesion), ())
    for wrong, words in (
        (4 / 5 / 0.25, "What is negative is no energy: cut the map off at zero first."),
        (4 / 11 / 0.25, "What is negative is no energy: cut it off, do not turn it over."),
        (0.5, "That is the part's share of the energy; divide it by its share of the area."),
    ):
        if np.isclose(got, wrong):
            raise Wrong(words)
    expect(got, 2.0, "half of the energy on a quarter of the area")
    smaller = np.array([[True, True], [True, False]])
    got = array_of(answer(values, part, smaller), ())
    if np.isclose(got, 2):
        raise Wrong("Only pixels of the lesion count, for the energy and for the area.")
    expect(got, 4 / 5 * 3, "a lesion of three pixels")


@checker
def fall_shares(answer):
    """How much a score falls without each part, in shares of the fall without the lesion."""
    whole, no_lesion, no_part = 3.0, 1.0, np.array([2.5, 3.2, 1.0])
    got = array_of(answer(whole, no_lesion, no_part), (3,))
    for wrong, words in (
        (
            (no_part - whole) / (whole - no_lesion),
            "A fall is what the whole has more than the rest: turn the sign round.",
        ),
        (whole - no_part, "Divide by the fall without the lesion, which is 2 here."),
        ((whole - no_part) / whole, "Divide by the fall without the lesion, not by the score: a score has no zero."),
        (
            ((whole - no_part) / (whole - no_lesion)).clip(min=0),
            "Keep what is negative: without the second part the score is higher.",
        ),
    ):
        if np.allclose(got, wrong):
            raise Wrong(words)
    expect(got, np.array([0.25, -0.1, 1.0]), "a score of 3, 1 without the lesion, and three parts")
