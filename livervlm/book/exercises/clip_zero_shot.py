"""Checkers of the chapter 'CLIP and zero-shot baselines'."""

import numpy as np

from .judge import Wrong, array_of, as_text, checker, expect


@checker
def contrastive_loss(answer):
    """Symmetric InfoNCE of a square of logits, pictures by sentences, the pairs on the diagonal."""
    parts = np.array([[2.0, 1.0, 1.0], [3.0, 4.0, 1.0], [1.0, 1.0, 8.0]])
    rows, columns = (-np.log(parts.diagonal() / parts.sum(axis=axis)) for axis in (1, 0))
    got = array_of(answer(np.log(parts)), ())
    mistakes = {
        rows.mean(): "Yours asks only which sentence belongs to each picture (rows); ask the columns, too.",
        columns.mean(): "Yours asks only which picture belongs to each sentence (columns); ask the rows, too.",
        rows.mean() + columns.mean(): "You add the two directions; take their mean.",
        rows.sum() + columns.sum(): "You add all terms up; take the mean over the batch and over the two directions.",
        (rows.sum() + columns.sum()) / 2: "You add over the batch; take its mean, or the loss grows with the batch.",
        -(rows.mean() + columns.mean()) / 2: "Your loss is negative: put a minus before the logarithm.",
    }
    for value, words in mistakes.items():
        if np.isclose(got, value):
            raise Wrong(words)
    expect(got, (rows.mean() + columns.mean()) / 2, f"the logarithms of `{as_text(parts)}`")
    expect(array_of(answer(np.zeros((5, 5))), ()), np.log(5), "five pairs with equal logits, log 5")
    large = np.asarray(answer(np.float32(100) * (2 * np.eye(3, dtype=np.float32) - 1)), dtype=float)
    if not np.isfinite(large).all():
        raise Wrong(
            "At CLIP's largest scale your loss is not finite: exp(100) is more than a float32 can hold. Subtract the "
            "largest logit before you take exp; the shares stay the same."
        )
    expect(large, 0, "three perfect pairs at the scale 100")


@checker
def class_vectors(answer):
    """The vectors of several prompts a class, made one unit vector a class."""
    prompts = np.array([[[3.0, 0.0], [0.0, 1.0]], [[0.0, 2.0], [0.0, 5.0]], [[-4.0, 3.0], [4.0, 3.0]]])
    unit = prompts / np.linalg.norm(prompts, axis=2, keepdims=True)
    half = np.sqrt(0.5)
    expected = np.array([[half, half], [0, 1], [0, 1]])
    got = array_of(answer(prompts), (3, 2))
    mean = prompts.mean(axis=1)
    if np.allclose(got, mean / np.linalg.norm(mean, axis=1, keepdims=True)):
        raise Wrong("A long vector outvotes the others of its class: make every prompt's vector a unit vector first.")
    if np.allclose(got, unit.mean(axis=1)):
        raise Wrong("Your class vectors are shorter than 1 where prompts disagree: make each mean a unit vector again.")
    if np.allclose(got, mean):
        raise Wrong("You average the vectors as they are: make each a unit vector first, and their mean again.")
    expect(got, expected, f"the prompts `{as_text(prompts)}`")


@checker
def offset_needed(answer):
    """The smallest number that, added to one class's scores, makes it nowhere smaller than another's."""
    scores = np.array([[0.30, 0.10, 0.25], [0.10, 0.40, 0.35], [0.20, 0.15, 0.50]])
    for c, needed in ((0, 0.30), (1, 0.35), (2, 0.05)):
        got = float(array_of(answer(scores, c), ()))
        gap = np.delete(scores, c, axis=1).max(axis=1) - scores[:, c]
        example = f"For `{as_text(scores)}` and class {c}"
        if np.isclose(got, needed):
            continue
        if np.isclose(got, -needed):
            raise Wrong(f"{example} you answer {got:.2f}: that takes away; turn the difference round.")
        if np.isclose(got, gap.mean()):
            raise Wrong(f"{example} you take the mean of the gaps; the widest gap has to be closed, too.")
        if np.isclose(got, gap.min()):
            raise Wrong(f"{example} you close the narrowest gap; the widest has to be closed, too.")
        if np.isclose(got, scores.max() - scores[:, c].min()):
            raise Wrong(f"{example} you compare scores of different pictures; compare within each row.")
        wins = int((scores[:, c] + got >= np.delete(scores, c, axis=1).max(axis=1) - 1e-9).sum())
        raise Wrong(
            f"{example} you answer {got:.3f}. With it the class is nowhere smaller in {wins} of 3 pictures"
            + (", and a smaller number would do." if wins == 3 else "; asked for are all.")
        )
    already = np.array([[0.2, 0.9], [0.1, 0.6]])
    got = float(array_of(answer(already, 1), ()))
    if np.isclose(got, 0):
        raise Wrong(
            f"In `{as_text(already)}` class 1 wins everywhere, so even a negative offset keeps it there, down to -0.5. "
            "Compare with the *other* classes only, and do not stop at 0."
        )
    expect(np.asarray(got), -0.5, f"`{as_text(already)}` and class 1, which already wins")
