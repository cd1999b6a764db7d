"""Checkers of the chapter 'Liver-VLM'."""

import numpy as np

from .judge import Wrong, array_of, as_text, checker, expect


@checker
def scaled_softmax(answer):
    """Cosines of pictures with classes, turned into probabilities at a scale."""
    cosine, scale = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, -1.0]]), np.log(2)
    expected = np.array([[2, 1, 1], [2, 4, 1]]) / [[4], [7]]  # exp(scale * cosine) doubles with each unit of cosine
    got = array_of(answer(cosine, scale), cosine.shape)
    rows, columns = got.sum(axis=1), got.sum(axis=0)
    if np.allclose(columns, 1):
        raise Wrong(
            "Your probabilities add up to 1 along the pictures and not along the classes: sum over axis 1, not 0."
        )
    if np.isclose(got.sum(), 1):
        raise Wrong("All your numbers together add up to 1; each picture needs its own sum: axis 1, keepdims=True.")
    if not np.allclose(rows, 1):
        raise Wrong(
            f"The probabilities of a picture must add up to 1; yours give `{as_text(rows)}`: divide by their sum."
        )
    if (got > 0).all():
        seen = np.log(got[0, 0] / got[0, 1])  # the scale at which this answer would be right
        if np.isclose(seen, 1):
            raise Wrong("Your probabilities are those of scale 1: multiply the cosines by `scale`.")
        if np.isclose(seen, 1 / scale):
            raise Wrong("You divide by the scale; multiply. (A *temperature* divides, and is 1 over the scale.)")
        if np.isclose(seen, -scale):
            raise Wrong("Your nearest class is the least probable: a larger cosine must give a larger probability.")
    expect(got, expected, f"the cosines `{as_text(cosine)}` at the scale log 2")
    overflow = (
        "at CLIP's largest scale, 100, exp is more than a float32 can hold. Subtract the largest score of each row "
        "before you take exp; the probabilities stay the same."
    )
    large = array_of(answer(cosine.astype(np.float32), 100.0), cosine.shape, overflow)
    expect(large, [[1, 0, 0], [0, 1, 0]], "the scale 100")


@checker
def scale_needed(answer):
    """The scale at which a perfect model with C classes is as sure as wanted."""
    for sure, n_classes in ((0.9, 5), (0.99, 2), (0.5, 10)):
        scale = float(array_of(answer(sure, n_classes), ()))
        others, gap = n_classes - 1, n_classes / (n_classes - 1)  # from the own class's cosine to the others'
        example = f"For {n_classes} classes and {sure:.0%}"
        reached = _probability(scale, others, gap)
        if np.isclose(reached, sure):
            continue
        if np.isclose(_probability(-scale, others, gap), sure):
            raise Wrong(f"{example} your scale is negative, {scale:.3f}: turn the fraction in the logarithm over.")
        for wrong_gap, words in ((1, "0, at right angles to it"), (2, "-1, opposite to it")):
            if np.isclose(_probability(scale, others, wrong_gap), sure):
                raise Wrong(
                    f"{example} you take the cosine with every other class as {words}. As far apart as "
                    f"{n_classes} classes can all be, it is -1/(C-1)."
                )
        if np.isclose(_probability(scale, 1, gap), sure):
            raise Wrong(f"{example} you count one other class; there are C-1, and each has its share of the sum.")
        if np.isclose(_probability(scale * np.log(10), others, gap), sure):
            raise Wrong(f"{example} you take the logarithm to base 10; exp is undone by `np.log`.")
        raise Wrong(f"{example} you answer {scale:.3f}. At that scale a perfect model is {reached:.1%} sure.")


def _probability(scale: float, others: int, gap: float) -> float:
    """Largest probability where so many other classes lie `gap` below the own one in cosine."""
    return 1 / (1 + others * np.exp(-scale * gap))
