"""Checkers of the chapter 'Encoders, and more patients'."""

import numpy as np

from .judge import Wrong, array_of, checker, expect


@checker
def inflated(answer):
    """A stem for photographs made into one for any number of phases."""
    filters = np.random.default_rng(0).normal(size=(4, 3, 2, 2))
    mean = filters.mean(axis=1, keepdims=True)
    for n in (2, 5):
        got = array_of(answer(filters, n), (4, n, 2, 2))
        if n == 2 and np.allclose(got, filters[:, :2]):
            raise Wrong("You drop the filter for blue: every phase gets the mean of all three.")
        for wrong, words in (
            (mean, "What leaves the stem is {:.2f} times what it was: scale by 3 over the number of phases."),
            (
                3 * mean,
                "What leaves the stem is {:.2f} times what it was: the sum goes to each phase, so share it out.",
            ),
            (mean / n, "What leaves the stem is {:.2f} times what it was: three filters were averaged, so times 3."),
            (mean * n / 3, "What leaves the stem is {:.2f} times what it was: turn the factor over."),
        ):
            if np.allclose(got, np.broadcast_to(wrong, got.shape)):
                ratio = wrong.flat[0] * n / filters[0, :, 0, 0].sum()
                start = f"A picture that is the same in all {n} phases should pass as a grey photograph does."
                raise Wrong(f"{start} {words.format(ratio)}")
        expect(got[0, :, 0, 0], np.full(n, 3 / n * mean[0, 0, 0, 0]), f"{n} phases, one output, one place")
        expect(got, np.broadcast_to(3 / n * mean, got.shape), f"{n} phases")


@checker
def epochs_alike(answer):
    """Epochs for more slices at as many steps."""
    for slices, epochs, more, right in ((33, 30, 65, 20), (100, 20, 330, 7)):
        got = float(array_of(answer(slices, epochs, more, 32), ()))
        if got == right:
            continue
        asked = f"{slices} slices for {epochs} epochs, then {more} slices, in batches of 32: you answer {got:g}"
        steps = -(-slices // 32) * epochs
        for wrong, words in (
            (steps, "That is the number of steps; asked for are the epochs that take as many."),
            (steps / -(-more // 32), "Epochs are whole: round to the nearest."),
            (round(epochs * more / slices), "More slices take fewer epochs: turn the ratio over."),
            (round(epochs * slices / more), "The last batch of an epoch is smaller, and a step too: count it."),
            (
                round(slices // 32 * epochs / (more // 32)),
                "The last batch of an epoch is smaller, and a step too: count it.",
            ),
        ):
            if np.isclose(got, wrong):
                raise Wrong(f"{asked}. {words}")
        raise Wrong(f"{asked}; expected {right}.")
