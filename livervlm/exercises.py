"""What judges the answers to the book's exercises: `exercises.NAME(answer)` says in words what is wrong.

No solution stands here.  A checker knows values that can be worked out by hand, or puts an answer back into the
question, and it runs on small arrays of its own, so that it does not matter what data a reader has.
"""

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

CHECKERS: dict[str, Callable[[Callable], "Verdict"]] = {}


class Wrong(Exception):
    """An answer is wrong; the message tells the learner how."""


@dataclass(frozen=True, repr=False)
class Verdict:
    """What a checker found: true where the answer is right; as the last line of a cell it shows its words."""

    passed: bool
    words: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return self.words

    _repr_markdown_ = __repr__


def checker(check: Callable[[Callable], None]) -> Callable[[Callable], Verdict]:
    """Make a checker of `check`, which calls the answer that it is given and raises `Wrong`.

    Whatever can go wrong with any answer is told from here: not answered yet, stopped by an exception, nothing
    returned, the given arrays changed.
    """
    name = check.__name__

    def judge(answer: Callable) -> Verdict:
        if not callable(answer):
            return Verdict(False, f"Give the function and not what it returns: `exercises.{name}({name})`.")
        try:
            with np.errstate(all="ignore"):
                check(functools.partial(_call, answer))
        except Wrong as wrong:
            return Verdict(False, str(wrong))
        return Verdict(True, f"Right: `{name}` does what was asked.")

    judge.__name__ = judge.__qualname__ = name
    judge.__doc__ = check.__doc__
    CHECKERS[name] = judge
    return judge


def _call(answer: Callable, *given: Any) -> Any:
    before = copy.deepcopy(given)
    try:
        result = answer(*given)
    except NotImplementedError:
        raise Wrong("Not answered yet: put your answer into the function, then run the cell again.") from None
    except Exception as error:
        inside = error.__traceback__.tb_next  # None where the call itself failed
        where = f" in line {inside.tb_lineno} of its cell" if inside else ""
        said = f"{type(error).__name__}: {error}".replace("`", "'")
        raise Wrong(f"Your function stopped{where}: `{said}`.") from error
    if result is None:
        raise Wrong("Your function returns nothing: end it with `return` and the answer.")
    if any(not np.array_equal(a, b) for a, b in zip(given, before, strict=True)):
        raise Wrong("Your function changes the array that it is given: work on a new one.")
    return result


def _array(result: Any, shape: tuple[int, ...], nan: str = "somewhere 0 is divided by 0.") -> np.ndarray:
    """`result` as numbers of this shape; `nan` says where a nan among them comes from."""
    try:
        array = np.asarray(result, dtype=float)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"Your function returns a {type(result).__name__} that is no array of numbers.") from None
    if array.shape != shape:
        shown = "one number" if shape == () else f"an array of shape {shape}"
        raise Wrong(f"Your answer has shape {array.shape}; asked for was {shown}.")
    if np.isnan(array).any():
        raise Wrong(f"Your answer holds nan: {nan}")
    return array


def _expect(got: np.ndarray, expected: Any, example: str) -> None:
    """What remains to be said where no mistake could be named."""
    if not np.allclose(got, expected, atol=1e-4):
        raise Wrong(f"For {example}: expected `{_shown(expected)}`, got `{_shown(got)}`.")


def _shown(values: Any) -> str:
    return np.array2string(np.asarray(values), precision=3, suppress_small=True, separator=", ").replace("\n", "")


# -- Multi-phase CT ------------------------------------------------------------------------------------------


@checker
def window(answer):
    """Hounsfield units, clipped to a window and scaled to -1 ... 1."""
    hu = np.array([-1000.0, -160.0, 40.0, 140.0, 240.0, 3000.0])
    expected = np.array([-1.0, -1.0, 0.0, 0.5, 1.0, 1.0])
    got = _array(answer(hu, -160, 240), hu.shape)
    if np.allclose(got, [-160, -160, 40, 140, 240, 240]):
        raise Wrong("You clip, but these are still Hounsfield units: scale them to -1 ... 1.")
    if np.allclose(got, -expected):
        raise Wrong("Your picture is a negative: the low end of the window is -1 and the high end 1.")
    if np.allclose(got, (expected + 1) / 2):
        raise Wrong("Your numbers run from 0 to 1; asked for was -1 to 1.")
    if np.allclose(got[1:5], expected[1:5]) and (got.min() < -1 or got.max() > 1):
        raise Wrong(
            f"Right inside the window, but beyond it your numbers leave -1 ... 1 (air becomes {got[0]:.1f}, metal "
            f"{got[-1]:.1f}). Clip: what lies outside must become exactly -1 or 1."
        )
    _expect(got, expected, f"the window -160 to 240 HU on `{_shown(hu)}`")
    got = _array(answer(np.array([[0.0, 50.0], [100.0, 200.0]]), 0, 100), (2, 2))
    if np.allclose(got, [[-0.2, 0.05], [0.3, 0.8]]):
        raise Wrong("Whatever window is asked for, yours is -160 to 240 HU: use `low` and `high`.")
    _expect(got, [[-1, 0], [1, 1]], "the window 0 to 100 HU on `[[0, 50], [100, 200]]`")


@checker
def washes_out(answer):
    """Which lesions outshine their liver in the arterial phase and fall below it in the portal venous one."""
    liver, fatty = (55, 65, 105), (20, 30, 70)
    cases = [  # HU of the lesion and of its liver in NC, ART, PV; the truth; what another answer means
        (
            *((45, 110, 125), liver, False),
            "stays bright, as a hemangioma does. Ask for both: bright first, dark later.",
        ),
        (
            *((10, 12, 11), liver, False),
            "is dark from the beginning, as a cyst. Ask for both: bright first, dark later.",
        ),
        (
            *((55, 130, 115), liver, False),
            "falls from its own peak and yet stays brighter than the liver. Washout compares with the liver of the "
            "same phase, not with the lesion before.",
        ),
        (
            *((25, 50, 80), liver, False),
            "gains 25 HU over its own native phase and yet is darker than the liver in the arterial one. Brightness, "
            "too, compares with the liver of the same phase.",
        ),
        (*((50, 70, 85), liver, False), "is only 5 HU brighter than the liver in the arterial phase: ask for 10."),
        (*((50, 100, 100), liver, False), "is only 5 HU darker than the liver in the portal venous phase: ask for 10."),
        (*((45, 100, 85), liver, True), "is a typical HCC: 35 HU above the liver in ART, 20 HU below it in PV."),
        (
            *((25, 60, 45), fatty, True),
            "is brighter, then darker than its own liver, which is fatty and dark: compare each lesion with its own.",
        ),
        (*((50, 75, 95), liver, True), "is brighter and then darker by exactly 10 HU, and 'at least 10' includes 10."),
    ]
    lesion, around, truth, _ = zip(*cases, strict=True)
    got = _array(answer(np.array(lesion, float), np.array(around, float)), (len(cases),))
    if not np.isin(got, (0, 1)).all():
        raise Wrong("Answer True or False for every lesion: compare, and return what the comparison gives.")
    if wrong := np.flatnonzero(got != truth).tolist():
        values, its_liver, washes, meaning = cases[wrong[0]]
        raise Wrong(
            f"You say {'no' if washes else 'yes'} to a lesion of `{values}` HU in a liver of `{its_liver}` HU "
            f"(NC, ART, PV). But it {meaning}"
        )


@checker
def patient_groups(answer):
    """A random group for every slice: no patient in two, equally many patients in each."""
    ids, n_groups = np.array([3, 8, 10, 21, 22, 40, 57, 60, 71, 99]), 5
    patient = np.random.default_rng(0).permutation(np.repeat(ids, np.arange(1, 11)))  # as files lie: in no order
    splits = []
    for seed in (0, 0, 1, 2):
        got = _array(answer(patient, n_groups, seed), patient.shape)
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


# -- Liver-VLM -----------------------------------------------------------------------------------------------


@checker
def scaled_softmax(answer):
    """Cosines of pictures with classes, turned into probabilities at a scale."""
    cosine, scale = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, -1.0]]), np.log(2)
    expected = np.array([[2, 1, 1], [2, 4, 1]]) / [[4], [7]]  # exp(scale * cosine) doubles with each unit of cosine
    got = _array(answer(cosine, scale), cosine.shape)
    rows, columns = got.sum(axis=1), got.sum(axis=0)
    if np.allclose(columns, 1):
        raise Wrong(
            "Your probabilities add up to 1 along the pictures and not along the classes: sum over axis 1, not 0."
        )
    if np.isclose(got.sum(), 1):
        raise Wrong("All your numbers together add up to 1; each picture needs its own sum: axis 1, keepdims=True.")
    if not np.allclose(rows, 1):
        raise Wrong(
            f"The probabilities of a picture must add up to 1; yours give `{_shown(rows)}`: divide by their sum."
        )
    if (got > 0).all():
        seen = np.log(got[0, 0] / got[0, 1])  # the scale at which this answer would be right
        if np.isclose(seen, 1):
            raise Wrong("Your probabilities are those of scale 1: multiply the cosines by `scale`.")
        if np.isclose(seen, 1 / scale):
            raise Wrong("You divide by the scale; multiply. (A *temperature* divides, and is 1 over the scale.)")
        if np.isclose(seen, -scale):
            raise Wrong("Your nearest class is the least probable: a larger cosine must give a larger probability.")
    _expect(got, expected, f"the cosines `{_shown(cosine)}` at the scale log 2")
    overflow = (
        "at CLIP's largest scale, 100, exp is more than a float32 can hold. Subtract the largest score of each row "
        "before you take exp; the probabilities stay the same."
    )
    large = _array(answer(cosine.astype(np.float32), 100.0), cosine.shape, overflow)
    _expect(large, [[1, 0, 0], [0, 1, 0]], "the scale 100")


@checker
def scale_needed(answer):
    """The scale at which a perfect model with C classes is as sure as wanted."""
    for sure, n_classes in ((0.9, 5), (0.99, 2), (0.5, 10)):
        scale = float(_array(answer(sure, n_classes), ()))
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


# -- CLIP and zero-shot --------------------------------------------------------------------------------------


@checker
def contrastive_loss(answer):
    """Symmetric InfoNCE of a square of logits, pictures by sentences, the pairs on the diagonal."""
    parts = np.array([[2.0, 1.0, 1.0], [3.0, 4.0, 1.0], [1.0, 1.0, 8.0]])
    rows, columns = (-np.log(parts.diagonal() / parts.sum(axis=axis)) for axis in (1, 0))
    got = _array(answer(np.log(parts)), ())
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
    _expect(got, (rows.mean() + columns.mean()) / 2, f"the logarithms of `{_shown(parts)}`")
    _expect(_array(answer(np.zeros((5, 5))), ()), np.log(5), "five pairs with equal logits, log 5")
    large = np.asarray(answer(np.float32(100) * (2 * np.eye(3, dtype=np.float32) - 1)), dtype=float)
    if not np.isfinite(large).all():
        raise Wrong(
            "At CLIP's largest scale your loss is not finite: exp(100) is more than a float32 can hold. Subtract the "
            "largest logit before you take exp; the shares stay the same."
        )
    _expect(large, 0, "three perfect pairs at the scale 100")


@checker
def class_vectors(answer):
    """The vectors of several prompts a class, made one unit vector a class."""
    prompts = np.array([[[3.0, 0.0], [0.0, 1.0]], [[0.0, 2.0], [0.0, 5.0]], [[-4.0, 3.0], [4.0, 3.0]]])
    unit = prompts / np.linalg.norm(prompts, axis=2, keepdims=True)
    half = np.sqrt(0.5)
    expected = np.array([[half, half], [0, 1], [0, 1]])
    got = _array(answer(prompts), (3, 2))
    mean = prompts.mean(axis=1)
    if np.allclose(got, mean / np.linalg.norm(mean, axis=1, keepdims=True)):
        raise Wrong("A long vector outvotes the others of its class: make every prompt's vector a unit vector first.")
    if np.allclose(got, unit.mean(axis=1)):
        raise Wrong("Your class vectors are shorter than 1 where prompts disagree: make each mean a unit vector again.")
    if np.allclose(got, mean):
        raise Wrong("You average the vectors as they are: make each a unit vector first, and their mean again.")
    _expect(got, expected, f"the prompts `{_shown(prompts)}`")


@checker
def offset_needed(answer):
    """The smallest number that, added to one class's scores, makes it nowhere smaller than another's."""
    scores = np.array([[0.30, 0.10, 0.25], [0.10, 0.40, 0.35], [0.20, 0.15, 0.50]])
    for c, needed in ((0, 0.30), (1, 0.35), (2, 0.05)):
        got = float(_array(answer(scores, c), ()))
        gap = np.delete(scores, c, axis=1).max(axis=1) - scores[:, c]
        example = f"For `{_shown(scores)}` and class {c}"
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
    got = float(_array(answer(already, 1), ()))
    if np.isclose(got, 0):
        raise Wrong(
            f"In `{_shown(already)}` class 1 wins everywhere, so even a negative offset keeps it there, down to -0.5. "
            "Compare with the *other* classes only, and do not stop at 0."
        )
    _expect(np.asarray(got), -0.5, f"`{_shown(already)}` and class 1, which already wins")


# -- Phase-shuffle pretraining --------------------------------------------------------------------------------


@checker
def sorted_order(answer):
    """The phase that each channel shows, told from the brightness of its border."""
    levels = np.array([[50.0, 70.0, 100.0], [70.0, 100.0, 50.0], [100.0, 50.0, 70.0], [100.0, 70.0, 50.0]])
    expected = np.array([[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    got = _array(answer(levels), levels.shape)
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
    _expect(got, expected, "`levels = [[50, 70, 100], [70, 100, 50], [100, 50, 70], [100, 70, 50]]`")


@checker
def spread_of(answer):
    """How far the outputs of a network are from having collapsed: near 1 all around, 0 at one point."""
    outputs = np.array([[3.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0], [0.0, 0.0, 0.0, 2.0]])
    expected = 2 * np.sqrt(3) / 4  # each coordinate of a unit vector: once 1, three times 0
    got = _array(answer(outputs), ())
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
    same = _array(answer(many), ())
    if not np.allclose(same, 0, atol=1e-6):
        raise Wrong(f"Three outputs that differ in length alone have a spread of `{_shown(same)}`: it should be 0.")
    _expect(got, expected, "four outputs along the four axes")


# -- Phase-shuffle augmentation --------------------------------------------------------------------------------


@checker
def put_back(answer):
    """Pictures whose channels show shuffled phases, with phase p back in channel p."""
    phases = np.array([[5.0, 9.0, 2.0], [7.0, 1.0, 4.0], [3.0, 8.0, 6.0], [0.0, 2.0, 1.0]])  # grey of each phase
    expected = np.stack([phases, phases + 10], axis=2)[:, :, None, :]  # (4, 3, 1, 2), two pixels
    shows = np.array([[0, 2, 1], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    pictures = np.take_along_axis(expected, shows[:, :, None, None], axis=1)
    got = _array(answer(pictures, shows), pictures.shape)
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
    _expect(got[..., 0, 0], phases, f"the first pixel of each channel, where `shows` is `{_shown(shows)}`")
    two = np.array([[[[4.0]], [[6.0]]]])
    _expect(_array(answer(two, np.array([[1, 0]])), two.shape).ravel(), [6, 4], "two phases, swapped")


@checker
def mean_answer(answer):
    """The mean over the orders of the probabilities of every picture."""
    logits = np.log([[[8.0, 1.0, 1.0], [2.0, 2.0, 6.0]], [[1.0, 2.0, 1.0], [4.0, 1.0, 5.0]]])  # (2 orders, 2, 3)
    expected = np.array([[0.525, 0.3, 0.175], [0.3, 0.15, 0.55]])
    got = _array(answer(logits), expected.shape)
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
    _expect(
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
    got = float(_array(answer(np.log(chances), order, label), ()))
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
    _expect(np.asarray(got), expected, "three pictures, whose right prompts have probabilities 2/10, 3/20 and 3/20")


# -- Prompts -------------------------------------------------------------------------------------------------


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
    got = _array(result, (2, 4))
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
            f"Your W takes sentence {c} to `{_shown(got @ text[c])}`; its target is `{_shown(targets[c])}`, and as the "
            "sentences are independent, all can be reached exactly."
        )


@checker
def step_of_places(answer):
    """How one step of gradient descent on W moves the place of every class."""
    text = np.array([[1.0, 2.0, 0.0, 2.0], [1.0, 2.0, 2.0, 0.0], [0.0, 0.0, 0.0, 3.0]])
    gradient, rate = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]]), 0.5
    gram = text @ text.T
    got = _array(answer(text, gradient, rate), gradient.shape)
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
    _expect(got, -rate * gram @ gradient, "three sentences with the dot products `[[9, 5, 6], [5, 9, 0], [6, 0, 9]]`")


@checker
def share_that_follows(answer):
    """The share of answers that went where their name went."""
    named = np.array([1, 2, 0, 3])  # the names went from 0 to 2, from 1 to 0, from 2 to 1
    before = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 3, 3, 3])
    after = np.array([2, 2, 2, 1, 3, 0, 1, 2, 1, 3, 3, 0])  # 7 of 12 follow
    got = float(_array(answer(before, after, named), ()))
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
    _expect(
        np.asarray(got), 7 / 12, f"`before = {_shown(before)}`, `after = {_shown(after)}`, `named = {_shown(named)}`"
    )


# -- Reading the paper's numbers -----------------------------------------------------------------------------


@checker
def possible(answer):
    """Whether a share of n cases can be printed as this percentage, to two decimals."""
    cases = [  # percent and n as given; the truth; why
        (50.0, 2, True, "1 of 2 is 50 % exactly."),
        (66.67, 3, True, "2 of 3 is 66.666... %, printed 66.67: compare after rounding to two decimals."),
        (93.33, 15, True, "14 of 15 is 93.33 %. `93.33 * 15 / 100` is 13.9995: take the nearest whole number."),
        (100.0, 7, True, "all 7 of 7 is 100 %."),
        (0.0, 7, True, "none of 7 is 0 %."),
        (87.6, 15, False, "13 of 15 is 86.67 %, 14 of 15 is 93.33 %, and nothing lies between."),
        (33.0, 3, False, "1 of 3 is printed 33.33: the second decimal counts."),
        (71.42, 7, False, "5 of 7 is 71.4286 %, rounded to 71.43; 71.42 is that figure cut off."),
        (12.34, 20_000, True, "2468 of 20000 is 12.34 %."),
    ]
    for percent, n, truth, why in cases:
        got = _array(answer(percent, n), ())
        if got not in (0, 1):
            raise Wrong("Answer True or False: compare, and return what the comparison gives.")
        if got != truth:
            raise Wrong(f"You say {'no' if truth else 'yes'} to {percent:.2f} % of {n} cases. But {why}")


@checker
def population_sd(answer):
    """The population sd of n folds, from their sample sd."""
    for sample, n in ((10.0, 5), (3.0, 9), (5.0, 2)):
        got, expected = _array(answer(sample, n), ()), sample * np.sqrt((n - 1) / n)
        example = f"For a sample sd of {sample:g} over {n} folds"
        for wrong, words in (
            (sample * np.sqrt(n / (n - 1)), "your sd grows: dividing by n instead of n - 1 makes it smaller."),
            (sample * (n - 1) / n, "you scale the sd as if it were a variance; it is the root of one."),
            (sample / np.sqrt(n), "you give the standard error of a mean; asked for was the spread of the folds."),
            (sample * np.sqrt(4 / 5), "your factor is that of 5 folds: use `n_folds`."),
            (sample, "you change nothing: the two divide the same sum by n - 1 and by n."),
        ):
            if np.isclose(got, wrong) and not np.isclose(got, expected):
                raise Wrong(f"{example} {words}")
        _expect(got, expected, example[4:])


@checker
def corrected_interval(answer):
    """The 95 % interval of a difference over folds, corrected for training sets that overlap."""
    ten = np.array([80, 70, 85, 75, 90, 65, 80, 88, 72, 79.0]), np.array([78, 73, 80, 70, 82, 66, 79, 80, 70, 75.0])
    for a, b, t in ((np.array([80, 90, 85, 70, 75.0]), np.array([75, 88, 78, 72, 70.0]), 2.776), (*ten, 2.262)):
        n, difference = len(a), a - b
        low, high = _array(answer(a, b, t), (2,))
        if low > high:
            raise Wrong("Your low end lies above your high end: return `low, high`.")
        middle, half = (low + high) / 2, (high - low) / 2
        if np.isclose(middle, -difference.mean()):
            raise Wrong("Your interval is that of b - a; asked for was a - b.")
        _expect(middle, difference.mean(), f"the middle of the interval over {n} folds")
        variance, folds, overlap = difference.var(ddof=1), 1 / n, 1 / (n - 1)
        expected = t * np.sqrt((folds + overlap) * variance)
        for wrong, words in (
            (folds * variance, f"as narrow as if no training sets overlapped: add 1/(n-1) to 1/n, here {overlap:.3g}."),
            ((folds + overlap) * difference.var(), "that of the population sd; the interval needs `ddof=1`."),
            (folds * difference.var(), "neither corrected nor that of `ddof=1`: mind both."),
            (
                (folds + overlap) * (a.var(ddof=1) + b.var(ddof=1)),
                "that of two unrelated lists. Subtract fold by fold first: both models met the same patients.",
            ),
            (variance, "the spread of the differences; that of their mean has 1/n + 1/(n-1) under the root."),
            ((folds + 1 / 4) * variance, "right for five folds only: the overlap is 1/(n-1), not 1/4."),
        ):
            if np.isclose(half, t * np.sqrt(wrong)) and not np.isclose(half, expected):
                raise Wrong(f"Over {n} folds your interval is {words}")
        _expect((low, high), (middle - expected, middle + expected), f"{n} folds")


# -- Was it luck? --------------------------------------------------------------------------------------------


@checker
def false_alarms(answer):
    """How often a test rejects a true null, where the variance is larger than it believes."""
    for effect, alpha, right, one_sided, unrooted, backwards in (
        (1, 0.05, 0.05, 0.1, 0.05, 0.05),
        (4, 0.05, 0.3271, 0.4108, 0.6241, 0.0001),
        (2.25, 0.01, 0.0859, 0.1209, 0.2523, 0.0001),
    ):
        got = float(_array(answer(effect, alpha), ()))
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
        rows = _array(result, (np.size(result),))
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
    got = _array(answer(p), p.shape)
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
    _expect(got, [0.03, 0.06, 0.06, 0.02], f"`{_shown(p)}`")
    p = np.array([0.9, 0.8, 0.3])
    got = _array(answer(p), p.shape)
    if got.max() > 1:
        raise Wrong(f"One of your adjusted p is {got.max():g}: a p is never above 1.")
    _expect(got, [1, 1, 0.9], f"`{_shown(p)}`")


# -- The reproduction report ---------------------------------------------------------------------------------


@checker
def verdict_of(answer):
    """The verdict on one claim, from its two intervals and the margin."""
    cases = [  # 95 %, 90 %, margin; the verdict; why
        ((2.6, 7.4), (3.0, 7.0), 2, "reproduced", "the 95 % interval lies above zero."),
        ((-5.5, -2.5), (-5.3, -2.7), 2, "not reproduced", "the 95 % interval lies below zero, against the claim."),
        ((-1.0, 1.2), (-0.8, 1.0), 2, "equivalent", "the 90 % interval lies inside the margin."),
        ((-3.0, 5.0), (-2.3, 4.3), 2, "undecided", "zero is possible, and so is a difference that matters."),
        ((0.2, 1.8), (0.4, 1.6), 2, "equivalent", "there is a difference, and it is too small to matter: that counts."),
        ((-2.1, 0.9), (-1.9, 0.7), 2, "equivalent", "of equivalence the 90 % interval decides, not the 95 %."),
        ((-1.0, 1.2), (-0.8, 1.0), 0.9, "undecided", "1.0 is outside this margin of 0.9."),
        ((0.1, 4.0), (0.4, 3.7), 2, "reproduced", "the 95 % interval lies above zero, if only just."),
        ((-0.1, 4.0), (0.2, 3.7), 2, "undecided", "of a difference the 95 % interval decides, and it holds zero."),
        ((-4.0, 0.1), (-3.7, -0.2), 2, "undecided", "of a difference the 95 % interval decides, and it holds zero."),
    ]
    words = {case[3] for case in cases}
    for wide, narrow, margin, truth, why in cases:
        got = answer(wide, narrow, margin)
        if not isinstance(got, str) or got not in words:
            raise Wrong(f"You answer `{got!r}`: give one of the words {', '.join(sorted(words))}.")
        if got != truth:
            raise Wrong(
                f"95 %: {wide[0]} to {wide[1]}; 90 %: {narrow[0]} to {narrow[1]}; margin {margin}: you say {got}. It "
                f"is {truth}: {why}"
            )


@checker
def paired_difference(answer):
    """A mean difference over the cohorts that two arms share, and its standard error."""
    a, b = {0: 70.0, 1: 80.0, 2: 75.0, 5: 90.0}, {3: 50.0, 2: 72.0, 1: 79.0, 0: 65.0, 7: 60.0}
    mean, error = 3.0, 2 / np.sqrt(3)  # of 5, 1 and 3
    got_mean, got_error = _array(answer(a, b), (2,))
    for wrong, words in (
        (-mean, "Your difference is b - a; asked for was a - b."),
        (np.mean([*a.values()]) - np.mean([*b.values()]), "You compare cohorts that only one arm has."),
        (np.mean(np.subtract([*a.values()], [*b.values()][:4])), "You pair by place in the table; pair by cohort."),
    ):
        if np.isclose(got_mean, wrong):
            raise Wrong(words)
    _expect(got_mean, mean, "the mean over cohorts 0, 1 and 2")
    for wrong, words in (
        (2.0, "You give the spread of the differences; that of their mean is smaller by the root of their number."),
        (np.sqrt(8 / 3) / np.sqrt(3), "Your sd is that of a population (ddof 0); three differences have two to spare."),
        (np.sqrt((25 + 49) / 3), "You add up the errors of both arms; subtract first, cohort by cohort."),
        (2 / np.sqrt(4), "You divide by the root of the number of all cohorts of one arm; three have a difference."),
    ):
        if np.isclose(got_error, wrong):
            raise Wrong(words)
    _expect(got_error, error, "the standard error")


@checker
def winners_luck(answer):
    """By how much the best of k equally good arms looks better than it is."""
    for k, sd, truth in ((1, 3.0, 0.0), (2, 1.0, 0.5642), (10, 2.0, 3.0775), (5, 0.5, 0.5815)):
        got, again = (float(_array(answer(k, sd, 0), ())) for _ in range(2))
        if got != again:
            raise Wrong("One seed gave two answers: draw from `np.random.default_rng(seed)` and from nothing else.")
        example = f"With {k} arms and an sd of {sd:g}"
        if abs(got - truth) <= 0.05 * sd:
            continue
        if abs(got) <= 0.05 * sd:
            raise Wrong(f"{example} you find no excess: you average all arms, and the table prints the best in bold.")
        if abs(got + truth) <= 0.05 * sd:
            raise Wrong(f"{example} you answer {got:.2f}: that is the worst arm.")
        if abs(got - truth / sd) <= 0.05:
            raise Wrong(f"{example} you answer {got:.2f}, as for an sd of 1: the noise has the given sd.")
        if abs(got - truth * sd) <= 0.05 * sd:
            raise Wrong(f"{example} you answer {got:.2f}: your noise has a variance, or twice the sd, in place of it.")
        if got > 3 * sd:
            raise Wrong(f"{example} you answer {got:.2f}: that is the luckiest of all tables; asked for was the mean.")
        raise Wrong(f"{example} you answer {got:.2f}; expected about {truth:.2f}.")


# -- Encoders and misregistration ----------------------------------------------------------------------------


@checker
def inflated(answer):
    """A stem for photographs made into one for any number of phases."""
    filters = np.random.default_rng(0).normal(size=(4, 3, 2, 2))
    mean = filters.mean(axis=1, keepdims=True)
    for n in (2, 5):
        got = _array(answer(filters, n), (4, n, 2, 2))
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
        _expect(got[0, :, 0, 0], np.full(n, 3 / n * mean[0, 0, 0, 0]), f"{n} phases, one output, one place")
        _expect(got, np.broadcast_to(3 / n * mean, got.shape), f"{n} phases")


@checker
def shown_equivalent(answer):
    """Whether cohorts show that two arms are equivalent."""
    shape = np.linspace(-1, 1, 12)
    shape /= shape.std(ddof=1)
    for mean, sd, n, expected, words in (
        (0.0, 1.0, 12, True, "A mean of 0 with a 90 % interval of ±0.5 lies within the margin."),
        (1.0, 1.0, 12, True, "A difference may be real and still lie within the margin: ask where the interval ends."),
        (-1.0, 1.0, 12, True, "A difference may be real and still lie within the margin: ask where the interval ends."),
        (0.0, 9.0, 12, False, "A mean near 0 is not enough, nor is a large p: this interval reaches ±4.7 points."),
        (1.8, 1.0, 12, False, "The mean lies within the margin, but the upper end of its interval does not."),
        (-1.8, 1.0, 12, False, "The mean lies within the margin, but the lower end of its interval does not."),
        (1.42, 1.0, 12, True, "Two one-sided tests at 5 % are the 90 % interval, not the 95 %."),
        (1.51, 1.0, 12, False, "With 12 cohorts take t with 11 degrees of freedom; the normal is too narrow."),
        (0.9, 1.0, 3, False, "With 3 cohorts take t with 2 degrees of freedom; n - 1, not 11 as with 12."),
        (5.0, 1.0, 12, False, "A difference of 5 points is outside, however sure it is."),
    ):
        few = shape if n == 12 else np.array([-1.0, 0.0, 1.0])
        got = _array(answer(mean + sd * few, 2.0), ())
        if got not in (0, 1):
            raise Wrong("Answer True or False: compare, and return what the comparison gives.")
        if got != expected:
            raise Wrong(f"{n} cohorts with mean {mean:g} and sd {sd:g}, margin 2: expected {expected}. {words}")


@checker
def extra_loss(answer):
    """How much more one arm loses than another, paired by cohort."""
    rng = np.random.default_rng(1)
    level = rng.normal(70, 5, 8)
    a_standard, a_hard, b_standard, b_hard = (level + m + rng.normal(size=8) for m in (0, -6, 3, -5))
    more = (b_standard - b_hard) - (a_standard - a_hard)
    got = _array(answer(a_standard, a_hard, b_standard, b_hard), (2,))
    for wrong, words in (
        (-more.mean(), "You have the sign turned round: B's loss less A's, and a loss is standard less hard."),
        ((a_hard - b_hard).mean(), "You compare the arms on the hard patients alone: B begins from another level."),
        ((b_standard - b_hard).mean(), "That is B's loss; subtract A's."),
    ):
        if np.isclose(got[0], wrong):
            raise Wrong(words)
    _expect(got[0], more.mean(), "the first number, the mean")
    n = len(more)
    apart = np.sqrt(sum(x.var(ddof=1) for x in (a_standard, a_hard, b_standard, b_hard)) / n)
    by_arm = np.sqrt(sum(x.var(ddof=1) for x in (a_standard - a_hard, b_standard - b_hard)) / n)
    for wrong, words in (
        (more.std(ddof=1), "That is a standard deviation; its mean over n cohorts has one that is smaller by root n."),
        (more.std() / n**0.5, "Divide the sum of squares by n - 1: `std(ddof=1)`."),
        (more.std(ddof=1) / n, "Divide by the root of n, not by n."),
        (apart, "You add four variances as if no cohort were shared: take one number a cohort first."),
        (by_arm, "You add the variances of the two losses: both arms share the cohorts, so subtract first."),
    ):
        if np.isclose(got[1], wrong):
            raise Wrong(words)
    _expect(got[1], more.std(ddof=1) / n**0.5, "the second number, the standard error")
