"""Checkers of the chapter 'Phase-shuffle pretraining'."""

import numpy as np

from .judge import Wrong, array_of, as_text, checker, expect


@checker
def sorted_order(answer):
    """The phase that each channel shows, told from the brightness of its border."""
    levels = np.array([[50.0, 70.0, 100.0], [70.0, 100.0, 50.0], [100.0, 50.0, 70.0], [100.0, 70.0, 50.0]])
    expected = np.array([[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    got = array_of(answer(levels), levels.shape)
    if np.allclose(got, levels.argsort(axis=1)):
        raise Wrong(
            "You say which channel is darkest, which next, and so on. Asked for is the reverse: for each channel, "
            "how many are darker. One more `argsort` turns the question round."
        )
    if np.allclose(got, 2 - expected):
        raise Wrong("You count how many channels are brighter: the darkest shows phase 0, the brightest the last.")
    if np.allclose(got, expected + 1):
        raise Wrong("You count from 1: the darkest channel shows phase 0.")
    if np.allclose(got, levels.argsort(axis=0).argsort(axis=0)):
        raise Wrong("You compare pictures with each other: compare the channels of one picture, along axis 1.")
    if np.allclose(got, np.sort(levels, axis=1)):
        raise Wrong("These are the levels, sorted: asked for are numbers of phases, channel by channel.")
    expect(got, expected, "`levels = [[50, 70, 100], [70, 100, 50], [100, 50, 70], [100, 70, 50]]`")


@checker
def spread_of(answer):
    """How far the outputs of a network are from having collapsed: near 1 all around, 0 at one point."""
    outputs = np.array([[3.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0], [0.0, 0.0, 0.0, 2.0]])
    expected = 2 * np.sqrt(3) / 4  # each coordinate of a unit vector: once 1, three times 0
    got = array_of(answer(outputs), ())
    if np.allclose(got, 2 * outputs.std(axis=0).mean()):
        raise Wrong("You take the outputs as they are: make each a unit vector first, or long outputs count for more.")
    if np.allclose(got, expected / 2):
        raise Wrong("The root of the number of coordinates is missing, so wide outputs would seem to have collapsed.")
    if np.allclose(got, 2 * expected):
        raise Wrong("You multiply by the number of coordinates: take its root.")
    unit = outputs / np.linalg.norm(outputs, axis=0)
    if np.allclose(got, 2 * unit.std(axis=0).mean()) and not np.allclose(got, expected):
        raise Wrong("You make columns unit vectors: an output is a row.")
    many = np.array([[1.0, 2.0, 2.0], [2.0, 4.0, 4.0], [0.5, 1.0, 1.0]])
    same = array_of(answer(many), ())
    if not np.allclose(same, 0, atol=1e-6):
        raise Wrong(f"Three outputs that differ in length alone have a spread of `{as_text(same)}`: it should be 0.")
    expect(got, expected, "four outputs along the four axes")
