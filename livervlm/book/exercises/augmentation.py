"""Checkers of the chapter 'Phase-shuffle augmentation'."""

import numpy as np

from .judge import Wrong, array_of, as_text, checker, expect


@checker
def put_back(answer):
    """Pictures whose channels show shuffled phases, with phase p back in channel p."""
    phases = np.array([[5.0, 9.0, 2.0], [7.0, 1.0, 4.0], [3.0, 8.0, 6.0], [0.0, 2.0, 1.0]])  # grey of each phase
    expected = np.stack([phases, phases + 10], axis=2)[:, :, None, :]  # (4, 3, 1, 2), two pixels
    shows = np.array([[0, 2, 1], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    pictures = np.take_along_axis(expected, shows[:, :, None, None], axis=1)
    got = array_of(answer(pictures, shows), pictures.shape)
    if np.allclose(got, pictures):
        raise Wrong("You change nothing: the phases are where they were.")
    if np.allclose(got, np.take_along_axis(pictures, shows[:, :, None, None], axis=1)):
        raise Wrong(
            "You shuffle a second time. Swaps come right by that, but a picture that shows 1, 2, 0 does not: ask for "
            "the channel of each phase, not for the phase of each channel."
        )
    if np.allclose(got, pictures[:, shows[0].argsort()]):
        raise Wrong("You treat all pictures as the first one: each has an order of its own.")
    if np.allclose(got, np.sort(pictures, axis=1)):
        raise Wrong("You sort by brightness; `shows` says where the phases are, whatever their brightness.")
    if np.allclose(got, expected[:, ::-1]):
        raise Wrong("Your phases come in falling order: phase 0 belongs in channel 0.")
    expect(got[..., 0, 0], phases, f"the first pixel of each channel, where `shows` is `{as_text(shows)}`")
    two = np.array([[[[4.0]], [[6.0]]]])
    expect(array_of(answer(two, np.array([[1, 0]])), two.shape).ravel(), [6, 4], "two phases, swapped")


@checker
def mean_answer(answer):
    """The mean over the orders of the probabilities of every picture."""
    logits = np.log([[[8.0, 1.0, 1.0], [2.0, 2.0, 6.0]], [[1.0, 2.0, 1.0], [4.0, 1.0, 5.0]]])  # (2 orders, 2, 3)
    expected = np.array([[0.525, 0.3, 0.175], [0.3, 0.15, 0.55]])
    got = array_of(answer(logits), expected.shape)
    powers = np.exp(logits)
    for wrong, words in (
        (logits.mean(axis=0), "You average the logits; asked for was the mean of the probabilities."),
        (
            np.exp(logits.mean(axis=0)) / np.exp(logits.mean(axis=0)).sum(axis=1, keepdims=True),
            "You average the logits before they are probabilities: turn each order's logits into probabilities first.",
        ),
        (powers.mean(axis=0), "Without dividing by their sum, powers are no probabilities."),
        (
            powers.mean(axis=0) / powers.mean(axis=0).sum(axis=1, keepdims=True),
            "You divide after averaging, so the order with the larger logits counts for more: divide in each order.",
        ),
        (
            (powers / powers.sum(axis=0)).mean(axis=0),
            "You divide by the sum over orders; probabilities add up over classes.",
        ),
        (2 * expected, "You add up the orders: divide by their number."),
    ):
        if np.allclose(got, wrong):
            raise Wrong(words)
    expect(
        got,
        expected,
        "two orders, whose probabilities are `[[.8, .1, .1], [.2, .2, .6]]` and `[[.25, .5, .25], [.4, .1, .5]]`",
    )


@checker
def all_prompts_loss(answer):
    """Cross-entropy where the prompts of all orders and classes compete."""
    chances = np.array([[[4.0, 1, 1], [1, 2, 1]], [[1, 1, 3], [2, 5, 8]], [[1, 7, 4], [3, 2, 3]]])  # (3, 2 orders, 3)
    order, label = np.array([1, 0, 1]), np.array([1, 2, 0])
    own = np.array([2 / 10, 3 / 20, 3 / 20])
    expected = -np.log(own).mean()
    got = float(array_of(answer(np.log(chances), order, label), ()))
    in_order = np.array([2 / 4, 3 / 5, 3 / 8])
    in_class = chances[range(3), :, label].sum(axis=1)
    other = np.log(chances).transpose(0, 2, 1).reshape(3, 6)[range(3), order * 3 + label]
    for wrong, words in (
        (
            -np.log(in_order).mean(),
            "Only the prompts of the picture's own order compete here; asked for was all of them.",
        ),
        (
            -np.log(in_class / chances.sum(axis=(1, 2))).mean(),
            "You accept the right class in any order: its order must be right, too.",
        ),
        (-expected, "Your loss is negative: it is minus the logarithm."),
        (3 * expected, "You add up the pictures; asked for was their mean."),
        (own.mean(), "That is a mean probability: take -log of each, then the mean."),
        (-np.log(own.mean()), "You take the mean before the logarithm; take it after."),
        (expected / np.log(2), "Your logarithm is to the base 2."),
        (
            (np.log(chances.sum(axis=(1, 2))) - other).mean(),
            "You count order * C + label in an array that runs class by class: let the order come first.",
        ),
        (
            -np.log(own * chances.sum(axis=(1, 2))).mean(),
            "You leave out the rivals: divide by the sum over all prompts.",
        ),
    ):
        if np.isclose(got, wrong):
            raise Wrong(words)
    expect(np.asarray(got), expected, "three pictures, whose right prompts have probabilities 2/10, 3/20 and 3/20")
