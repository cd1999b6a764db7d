"""Checkers of the chapter 'Prompts: what does the text do?'."""

import numpy as np

from .judge import Wrong, array_of, as_text, checker, expect


@checker
def map_to(answer):
    """A matrix that takes every sentence to its target."""
    text = np.array([[2.0, 1.0, 0.0, 0.0], [1.0, 2.0, 1.0, 0.0], [0.0, 1.0, 2.0, 1.0]])
    targets = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    result = answer(text, targets)
    if np.shape(result) == (4, 2):
        raise Wrong(
            "Your answer has shape (4, 2): W takes a sentence of 4 numbers to 2, so it is (2, 4). Transpose it."
        )
    got = array_of(result, (2, 4))
    if np.allclose(got, targets.T @ text):
        raise Wrong(
            "You add up targets times sentences. That is right for sentences at right angles and of length 1; these "
            "share directions, so undo their dot products first, or leave that to least squares."
        )
    if np.allclose(text @ got.T, targets / np.linalg.norm(targets, axis=1, keepdims=True)):
        raise Wrong("You send the sentences to unit vectors; take the targets as they are given.")
    if np.allclose(text @ got.T, targets[::-1]):
        raise Wrong("You send the first sentence to the last target: row c of one belongs to row c of the other.")
    miss = np.abs(text @ got.T - targets).max(axis=1)
    if (miss > 1e-6).any():
        c = int(miss.argmax())
        raise Wrong(
            f"Your W takes sentence {c} to `{as_text(got @ text[c])}`; its target is `{as_text(targets[c])}`, and as "
            "the sentences are independent, all can be reached exactly."
        )


@checker
def step_of_places(answer):
    """How one step of gradient descent on W moves the place of every class."""
    text = np.array([[1.0, 2.0, 0.0, 2.0], [1.0, 2.0, 2.0, 0.0], [0.0, 0.0, 0.0, 3.0]])
    gradient, rate = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]]), 0.5
    gram = text @ text.T
    got = array_of(answer(text, gradient, rate), gradient.shape)
    unit = text / np.linalg.norm(text, axis=1, keepdims=True)
    for wrong, words in (
        (rate * gram @ gradient, "You go uphill: the step goes against the gradient."),
        (-rate * gradient, "Each place moves by its own gradient alone, as a prototype would; here W moves them all."),
        (-gram @ gradient, "You forget the rate."),
        (-rate * unit @ unit.T @ gradient, "You take cosines; dot products count the lengths of the sentences, too."),
        (
            -rate * (text**2).sum(axis=1, keepdims=True) * gradient,
            "Each place hears its own class only. A step of W for one class moves every class whose sentence is alike.",
        ),
        (
            -rate * np.linalg.solve(gram, gradient),
            "You undo the dot products; a step of gradient descent applies them.",
        ),
    ):
        if np.allclose(got, wrong):
            raise Wrong(words)
    expect(got, -rate * gram @ gradient, "three sentences with the dot products `[[9, 5, 6], [5, 9, 0], [6, 0, 9]]`")


@checker
def share_that_follows(answer):
    """The share of answers that went where their name went."""
    named = np.array([1, 2, 0, 3])  # the names went from 0 to 2, from 1 to 0, from 2 to 1
    before = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 3, 3, 3])
    after = np.array([2, 2, 2, 1, 3, 0, 1, 2, 1, 3, 3, 0])  # 7 of 12 follow
    got = float(array_of(answer(before, after, named), ()))
    for wrong, words in (
        (
            np.mean(named[before] == after),
            "You follow the circle backwards: `named[c]` is the name that place c holds now.",
        ),
        (np.mean(before == after), "That is the share of answers that stayed in their places."),
        (
            np.mean(before != after),
            "An answer that changed need not have followed its name, and one whose name stayed may.",
        ),
        (7.0, "You count slices; asked for was their share."),
        (700 / 12, "That is in percent; asked for was a share from 0 to 1."),
        (5 / 12, "That is the share that does not follow."),
    ):
        if np.isclose(got, wrong):
            raise Wrong(words)
    expect(
        np.asarray(got), 7 / 12, f"`before = {as_text(before)}`, `after = {as_text(after)}`, `named = {as_text(named)}`"
    )
