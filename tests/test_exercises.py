"""The exercises of the book: every solution passes, every stub and every typical mistake is told in words."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import integrate, stats
from scipy.optimize import brentq
from scipy.special import softmax
from sklearn.model_selection import KFold
from torch.nn.functional import cross_entropy, normalize

from livervlm.book import exercises
from livervlm.evaluation import comparisons
from livervlm.evaluation.comparisons import paired_t
from livervlm.evaluation.retrieval import youden_threshold
from livervlm.models.tiny_clip import info_nce
from livervlm.scans import windowing

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "tools"))

import pages  # noqa: E402

SOURCES = pages.Book(ROOT).sources
EXERCISES = [exercise for source in SOURCES for exercise in source.exercises]
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
each_checker = pytest.mark.parametrize("name", exercises.CHECKERS)


def run(code):
    """The verdict in which a cell of an exercise ends; it finds NumPy and the checkers, and nothing of its chapter."""
    *body, last = code.splitlines()
    names = {"np": np, "exercises": exercises}
    exec("\n".join(body), names)
    return eval(last, names)


# -- The exercises of the chapters ---------------------------------------------------------------------------


@each_exercise
def test_the_solution_passes(exercise):
    verdict = run(exercise.solution)
    assert verdict.passed, verdict.words
    assert verdict.words == f"Right: `{exercise.name}` does what was asked."


@each_exercise
def test_the_stub_is_not_answered_yet(exercise):
    verdict = run(exercise.stub)
    assert not verdict
    assert verdict.words.startswith("Not answered yet")


@each_exercise
def test_an_exercise_takes_minutes(exercise):
    assert 5 <= exercise.minutes <= 20


@pytest.mark.parametrize("source", [s for s in SOURCES if s.executable], ids=lambda source: source.path.stem)
def test_a_chapter_has_two_exercises(source):
    assert len(source.exercises) >= 2


def test_every_checker_judges_one_exercise():
    assert sorted(exercise.name for exercise in EXERCISES) == sorted(exercises.CHECKERS)


@each_checker
def test_a_checker_is_found_by_its_name_and_says_what_it_judges(name):
    assert getattr(exercises, name) is exercises.CHECKERS[name]
    assert exercises.CHECKERS[name].__doc__.count("\n") == 0


def test_a_verdict_shows_its_words():
    verdict = exercises.window(lambda *_: None)
    assert verdict._repr_markdown_() == repr(verdict) == verdict.words
    assert not verdict


# -- What can go wrong with any answer -----------------------------------------------------------------------


def stops(*_):
    raise ValueError("a `bad` day")


def text(*_):
    return "forty"


@each_checker
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (42, "Give the function and not what it returns: `exercises.{name}({name})`."),
        (lambda *_: ..., "is no array of numbers"),
        (lambda *_: None, "returns nothing: end it with `return`"),
        (text, "returns a str that is no array of numbers"),
        (stops, f"stopped in line {stops.__code__.co_firstlineno + 1} of its cell: `ValueError: a 'bad' day`."),
        (lambda: 0, "Your function stopped: `TypeError: "),
        (lambda *_: np.zeros((3, 1, 4)), "Your answer has shape (3, 1, 4); asked for was "),
    ],
)
def test_any_answer_is_met_with_words(name, answer, words):
    if name == "verdict_of" and ("array" in words or "shape" in words):  # the one that answers with a word
        words = "give one of the words equivalent, "
    verdict = exercises.CHECKERS[name](answer)
    assert not verdict
    assert words.format(name=name) in verdict.words


@pytest.mark.parametrize("name", ["window", "scaled_softmax"])
def test_nan_is_told(name):
    assert "holds nan" in exercises.CHECKERS[name](lambda array, *_: array * np.nan).words


def test_an_answer_may_not_change_what_it_is_given():
    def window(hu, low, high):
        hu[hu < low] = low
        hu[hu > high] = high
        return 2 * (hu - low) / (high - low) - 1

    assert "changes the array that it is given" in exercises.window(window).words


def test_an_interrupt_is_none_of_the_checkers_business():
    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exercises.window(interrupted)


# -- Wrong answers, and right ones that are not the book's ---------------------------------------------------


def by_slice(patient, n_groups, seed):
    return np.random.default_rng(seed).integers(0, n_groups, len(patient))


def diced(patient, n_groups, seed):
    patients, which = np.unique(patient, return_inverse=True)
    return np.random.default_rng(seed).integers(0, n_groups, len(patients))[which]


def dealt(patient, n_groups, order):
    patients, which = np.unique(patient, return_inverse=True)
    return (order(len(patients)) % n_groups)[which]


def shines(lesion, liver, rise=10, fall=10):
    return (lesion[:, 1] - liver[:, 1] >= rise) & (liver[:, 2] - lesion[:, 2] >= fall)


def interval(a, b, t, ddof=1, overlap=None):
    n, d = len(a), a - b
    half = t * np.sqrt((1 / n + (1 / (n - 1) if overlap is None else overlap)) * d.var(ddof=ddof))
    return d.mean() - half, d.mean() + half


def unpaired(a, b, t):
    n = len(a)
    half = t * np.sqrt((1 / n + 1 / (n - 1)) * (a.var(ddof=1) + b.var(ddof=1)))
    return (a - b).mean() - half, (a - b).mean() + half


def softmax_of(score, axis=1):
    return np.exp(score) / np.exp(score).sum(axis=axis, keepdims=True)


def both_ways(logits, combine):
    """Combine the terms of the rows and of the columns of a contrastive loss."""
    return combine(-np.log(np.diag(softmax_of(logits))), -np.log(np.diag(softmax_of(logits, axis=0))))


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def fetched(pictures, channel):
    return np.take_along_axis(pictures, channel[:, :, None, None], axis=1)


def shares(amounts):
    return amounts / amounts.sum(axis=1, keepdims=True)


def flat(logits):
    return logits.reshape(len(logits), -1)


def losses(logits, label):
    return -np.log(softmax(logits, axis=1)[np.arange(len(logits)), label])


def gaps(score, c):
    """How far a class is below the largest of the others, picture by picture."""
    return np.delete(score, c, axis=1).max(axis=1) - score[:, c]


def z_of(alpha):
    return stats.norm.isf(alpha / 2)


def alarms(z):
    return 2 * stats.norm.sf(z)


def bootstrap(patient, seed, draw=lambda rng, names, patient: rng.choice(names, len(names))):
    drawn = draw(np.random.default_rng(seed), np.unique(patient), patient)
    return np.concatenate([np.flatnonzero(patient == name) for name in drawn])


def once(patient, seed):
    names = np.unique(patient)
    return np.flatnonzero(np.isin(patient, np.random.default_rng(seed).choice(names, len(names))))


def stepped(p, factors, running=np.maximum.accumulate, top=1.0):
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(running(factors(len(p)) * p[order]), top)
    return adjusted


def falling(n):
    return np.arange(n, 0, -1)


def lowest(x):
    return np.minimum.accumulate(x[::-1])[::-1]


def mean_filter(filters, n):
    return filters.mean(axis=1, keepdims=True).repeat(n, axis=1)


def ends(difference, q=0.95, df=None):
    n = len(difference)
    half = stats.t.ppf(q, df or n - 1) * difference.std(ddof=1) / np.sqrt(n)
    return difference.mean() - half, difference.mean() + half


def mean_and_se(values, times=lambda n: 1, ddof=1):
    return values.mean(), values.std(ddof=ddof) / np.sqrt(len(values)) * times(len(values))


def unshared(more, *parts):
    return more.mean(), np.sqrt(sum(part.var(ddof=1) for part in parts) / len(more))


WRONG = [  # the checker, a typical wrong answer, words that name the mistake
    ("window", lambda hu, low, high: 2 * (hu - low) / (high - low) - 1, "air becomes -5.2, metal 14.8). Clip"),
    ("window", lambda hu, low, high: np.clip(hu, low, high), "still Hounsfield units"),
    ("window", lambda hu, low, high: (np.clip(hu, low, high) - low) / (high - low), "from 0 to 1"),
    ("window", lambda hu, low, high: 1 - 2 * (np.clip(hu, low, high) - low) / (high - low), "a negative"),
    ("window", lambda hu, low, high: (np.clip(hu, -160, 240) - 40) / 200, "use `low` and `high`"),
    ("window", lambda hu, low, high: np.clip(hu / high, -1, 1), "expected `[-1. , -1. ,  0. ,  0.5,  1. ,  1. ]`, got"),
    ("washes_out", lambda lesion, liver: shines(lesion, liver, 10, -200), "Ask for both"),
    ("washes_out", lambda lesion, liver: shines(lesion, liver, -200, 10), "as a cyst. Ask for both"),
    ("washes_out", lambda lesion, liver: lesion[:, 1] - lesion[:, 2] >= 10, "falls from its own peak"),
    (
        "washes_out",
        lambda lesion, liver: (lesion[:, 1] - lesion[:, 0] >= 10) & (liver[:, 2] - lesion[:, 2] >= 10),
        "gains 25 HU over its own native phase",
    ),
    ("washes_out", lambda lesion, liver: shines(lesion, liver, 0, 0), "only 5 HU brighter"),
    ("washes_out", lambda lesion, liver: shines(lesion, liver, 10, 0), "only 5 HU darker"),
    ("washes_out", lambda lesion, liver: shines(lesion, liver, 10.5, 10.5), "includes 10"),
    ("washes_out", lambda lesion, liver: shines(lesion, np.array([[55, 65, 105]])), "compare each lesion with its own"),
    ("washes_out", lambda lesion, liver: ~shines(lesion, liver), "You say yes to a lesion of `(45, 110, 125)` HU"),
    ("washes_out", lambda lesion, liver: lesion[:, 1] - liver[:, 1], "Answer True or False"),
    ("patient_groups", by_slice, "deal out patients, not slices"),
    ("patient_groups", lambda patient, n, seed: np.arange(len(patient)) * n // len(patient), "deal out patients"),
    ("patient_groups", diced, "deal them out like cards"),
    ("patient_groups", lambda patient, n, seed: dealt(patient, n, np.arange), "Every seed gives the same split"),
    ("patient_groups", lambda patient, n, seed: dealt(patient, n, np.random.permutation), "One seed gave two splits"),
    (
        "patient_groups",
        lambda patient, n, seed: 1 + dealt(patient, n, np.random.default_rng(seed).permutation),
        "run from 1 to 5; asked for was 0 to 4",
    ),
    ("patient_groups", lambda patient, n, seed: patient, "There is a group 99; with 5 groups they are 0 to 4"),
    ("scaled_softmax", lambda cosine, scale: softmax_of(scale * cosine, axis=0), "sum over axis 1, not 0"),
    ("scaled_softmax", lambda cosine, scale: softmax_of(scale * cosine, axis=None), "needs its own sum"),
    ("scaled_softmax", lambda cosine, scale: np.exp(scale * cosine), "divide by their sum"),
    ("scaled_softmax", lambda cosine, scale: softmax(cosine, axis=1), "multiply the cosines by `scale`"),
    ("scaled_softmax", lambda cosine, scale: softmax(cosine / scale, axis=1), "You divide by the scale; multiply"),
    ("scaled_softmax", lambda cosine, scale: softmax(-scale * cosine, axis=1), "nearest class is the least probable"),
    ("scaled_softmax", lambda cosine, scale: softmax_of(scale * cosine), "Subtract the largest score of each row"),
    (
        "scaled_softmax",
        lambda cosine, scale: (1 + scale * cosine) / (1 + scale * cosine).sum(axis=1, keepdims=True),
        "expected `[[0.5  , 0.25 , 0.25 ], [0.286, 0.571, 0.143]]`, got",
    ),
    ("scale_needed", lambda p, c: np.log((c - 1) * p / (1 - p)), "as 0, at right angles to it"),
    ("scale_needed", lambda p, c: np.log((c - 1) * p / (1 - p)) / 2, "as -1, opposite to it"),
    ("scale_needed", lambda p, c: np.log(p / (1 - p)) * (c - 1) / c, "you count one other class"),
    ("scale_needed", lambda p, c: np.log((1 - p) / p / (c - 1)) * (c - 1) / c, "turn the fraction"),
    ("scale_needed", lambda p, c: np.log10((c - 1) * p / (1 - p)) * (c - 1) / c, "undone by `np.log`"),
    (
        "scale_needed",
        lambda p, c: 1.0,
        "For 5 classes and 90% you answer 1.000. At that scale a perfect model is 46.6% sure.",
    ),
    ("contrastive_loss", lambda z: both_ways(z, lambda r, c: r.mean()), "ask the columns, too"),
    ("contrastive_loss", lambda z: both_ways(z, lambda r, c: c.mean()), "ask the rows, too"),
    ("contrastive_loss", lambda z: both_ways(z, lambda r, c: (r + c).mean()), "take their mean"),
    ("contrastive_loss", lambda z: both_ways(z, lambda r, c: (r + c).sum()), "add all terms up"),
    ("contrastive_loss", lambda z: both_ways(z, lambda r, c: (r + c).sum() / 2), "grows with the batch"),
    ("contrastive_loss", lambda z: both_ways(z, lambda r, c: -(r + c).mean() / 2), "Your loss is negative"),
    ("contrastive_loss", lambda z: both_ways(z, lambda r, c: (r + c).mean() / 2), "Subtract the largest logit"),
    ("contrastive_loss", lambda z: 1.0, "expected `0.5"),
    ("class_vectors", lambda v: unit(v.mean(axis=1)), "A long vector outvotes"),
    ("class_vectors", lambda v: unit(v).mean(axis=1), "shorter than 1"),
    ("class_vectors", lambda v: v.mean(axis=1), "You average the vectors as they are"),
    ("class_vectors", lambda v: unit(unit(v).mean(axis=0)), "shape (2, 2); asked for was an array of shape (3, 2)"),
    ("class_vectors", lambda v: unit(v[:, 0]), "expected"),
    ("offset_needed", lambda s, c: -gaps(s, c).max(), "turn the difference round"),
    ("offset_needed", lambda s, c: gaps(s, c).mean(), "the mean of the gaps"),
    ("offset_needed", lambda s, c: gaps(s, c).min(), "the narrowest gap"),
    ("offset_needed", lambda s, c: s.max() - s[:, c].min(), "compare within each row"),
    ("offset_needed", lambda s, c: max(gaps(s, c).max(), 0), "do not stop at 0"),
    ("offset_needed", lambda s, c: 1.0, "in 3 of 3 pictures, and a smaller number would do"),
    ("offset_needed", lambda s, c: 0.0, "in 1 of 3 pictures; asked for are all"),
    ("sorted_order", lambda v: v.argsort(axis=1), "turns the question round"),
    ("sorted_order", lambda v: (-v).argsort(axis=1).argsort(axis=1), "how many channels are brighter"),
    ("sorted_order", lambda v: v.argsort(axis=1).argsort(axis=1) + 1, "You count from 1"),
    ("sorted_order", lambda v: v.argsort(axis=0).argsort(axis=0), "compare pictures with each other"),
    ("sorted_order", lambda v: np.sort(v, axis=1), "the levels, sorted"),
    ("sorted_order", lambda v: np.zeros(v.shape), "expected"),
    ("spread_of", lambda z: z.std(axis=0).mean() * z.shape[1] ** 0.5, "make each a unit vector first"),
    ("spread_of", lambda z: unit(z).std(axis=0).mean(), "root of the number of coordinates is missing"),
    ("spread_of", lambda z: unit(z).std(axis=0).mean() * z.shape[1], "take its root"),
    ("spread_of", lambda z: np.sqrt(3) / 2, "differ in length alone have a spread of"),
    ("spread_of", lambda z: 0.0, "expected `0.866`, got `0.`"),
    ("put_back", lambda x, shows: x, "You change nothing"),
    ("put_back", lambda x, shows: fetched(x, shows), "shuffle a second time"),
    ("put_back", lambda x, shows: x[:, shows[0].argsort()], "each has an order of its own"),
    ("put_back", lambda x, shows: np.sort(x, axis=1), "whatever their brightness"),
    ("put_back", lambda x, shows: fetched(x, shows.argsort(axis=1))[:, ::-1], "in falling order"),
    ("put_back", lambda x, shows: x[:, [1, 0, 2]], "the first pixel of each channel"),
    (
        "put_back",
        lambda x, shows: fetched(x, shows.argsort(axis=1)) if x.shape[1] == 3 else x,
        "two phases, swapped",
    ),
    ("mean_answer", lambda z: z.mean(axis=0), "You average the logits; asked for"),
    ("mean_answer", lambda z: softmax(z.mean(axis=0), axis=1), "each order's logits into probabilities first"),
    ("mean_answer", lambda z: np.exp(z).mean(axis=0), "powers are no probabilities"),
    ("mean_answer", lambda z: shares(np.exp(z).mean(axis=0)), "divide in each order"),
    ("mean_answer", lambda z: softmax(z, axis=0).mean(axis=0), "add up over classes"),
    ("mean_answer", lambda z: softmax(z, axis=2).sum(axis=0), "divide by their number"),
    ("mean_answer", lambda z: softmax(z[0], axis=1), "two orders, whose probabilities"),
    ("all_prompts_loss", lambda z, o, c: losses(z[np.arange(len(z)), o], c).mean(), "own order compete"),
    ("all_prompts_loss", lambda z, o, c: losses(np.log(np.exp(z).sum(axis=1)), c).mean(), "in any order"),
    ("all_prompts_loss", lambda z, o, c: -losses(flat(z), o * z.shape[2] + c).mean(), "is negative"),
    ("all_prompts_loss", lambda z, o, c: losses(flat(z), o * z.shape[2] + c).sum(), "add up the pictures"),
    ("all_prompts_loss", lambda z, o, c: np.exp(-losses(flat(z), o * z.shape[2] + c)).mean(), "mean probability"),
    (
        "all_prompts_loss",
        lambda z, o, c: -np.log(np.exp(-losses(flat(z), o * z.shape[2] + c)).mean()),
        "before the logarithm",
    ),
    ("all_prompts_loss", lambda z, o, c: losses(flat(z), o * z.shape[2] + c).mean() / np.log(2), "to the base 2"),
    (
        "all_prompts_loss",
        lambda z, o, c: losses(flat(z.transpose(0, 2, 1)), o * z.shape[2] + c).mean(),
        "runs class by class",
    ),
    ("all_prompts_loss", lambda z, o, c: -z[np.arange(len(z)), o, c].mean(), "leave out the rivals"),
    ("all_prompts_loss", lambda z, o, c: 1.0, "three pictures, whose right prompts"),
    ("map_to", lambda x, y: np.linalg.pinv(x) @ y, "W takes a sentence of 4 numbers to 2, so it is (2, 4)"),
    ("map_to", lambda x, y: y.T @ x, "undo their dot products first"),
    ("map_to", lambda x, y: (np.linalg.pinv(x) @ unit(y)).T, "take the targets as they are given"),
    ("map_to", lambda x, y: (np.linalg.pinv(x) @ y[::-1]).T, "row c of one belongs to row c of the other"),
    ("map_to", lambda x, y: np.zeros((2, 4)), "takes sentence 0 to `[0., 0.]`; its target is `[1., 0.]`"),
    ("step_of_places", lambda x, g, rate: rate * x @ x.T @ g, "uphill"),
    ("step_of_places", lambda x, g, rate: -rate * g, "as a prototype would"),
    ("step_of_places", lambda x, g, rate: -x @ x.T @ g, "You forget the rate"),
    ("step_of_places", lambda x, g, rate: -rate * unit(x) @ unit(x).T @ g, "You take cosines"),
    ("step_of_places", lambda x, g, rate: -rate * (x**2).sum(1)[:, None] * g, "hears its own class only"),
    ("step_of_places", lambda x, g, rate: -rate * np.linalg.inv(x @ x.T) @ g, "descent applies them"),
    ("step_of_places", lambda x, g, rate: 0 * g, "three sentences with the dot products"),
    ("share_that_follows", lambda a, b, named: np.mean(named[a] == b), "the circle backwards"),
    ("share_that_follows", lambda a, b, named: np.mean(a == b), "stayed in their places"),
    ("share_that_follows", lambda a, b, named: np.mean(a != b), "need not have followed its name"),
    ("share_that_follows", lambda a, b, named: np.sum(named[b] == a), "You count slices"),
    ("share_that_follows", lambda a, b, named: 100 * np.mean(named[b] == a), "in percent"),
    ("share_that_follows", lambda a, b, named: np.mean(named[b] != a), "does not follow"),
    ("share_that_follows", lambda a, b, named: 1.0, "expected `0.583`, got `1.`"),
    ("possible", lambda p, n: (p * n / 100) % 1 == 0, "You say no to 66.67 % of 3 cases. But 2 of 3"),
    ("possible", lambda p, n: round(100 * int(p * n / 100) / n, 2) == p, "13.9995: take the nearest whole number"),
    (
        "possible",
        lambda p, n: 0 <= round(p * n / 100) <= n,
        "You say yes to 87.60 % of 15 cases. But 13 of 15 is 86.67",
    ),
    ("possible", lambda p, n: abs(100 * round(p * n / 100) / n - p) < 0.5, "the second decimal counts"),
    ("possible", lambda p, n: abs(100 * round(p * n / 100) / n - p) < 0.01, "71.42 is that figure cut off"),
    ("possible", lambda p, n: n < 100 and round(100 * round(p * n / 100) / n, 2) == p, "2468 of 20000"),
    ("possible", lambda p, n: round(p * n / 100) + 2, "Answer True or False"),
    ("population_sd", lambda sd, n: sd * np.sqrt(n / (n - 1)), "your sd grows"),
    ("population_sd", lambda sd, n: sd * (n - 1) / n, "as if it were a variance"),
    ("population_sd", lambda sd, n: sd / np.sqrt(n), "the standard error of a mean"),
    ("population_sd", lambda sd, n: sd * np.sqrt(4 / 5), "over 9 folds your factor is that of 5 folds"),
    ("population_sd", lambda sd, n: sd, "you change nothing"),
    ("population_sd", lambda sd, n: sd - 1, "expected `8.944`, got `9.`"),
    ("corrected_interval", lambda a, b, t: interval(a, b, t)[::-1], "return `low, high`"),
    ("corrected_interval", lambda a, b, t: interval(b, a, t), "that of b - a"),
    ("corrected_interval", lambda a, b, t: interval(a, b + 1, t), "the middle of the interval over 5 folds: expected"),
    ("corrected_interval", lambda a, b, t: interval(a, b, t, overlap=0), "add 1/(n-1) to 1/n, here 0.25"),
    ("corrected_interval", lambda a, b, t: interval(a, b, t, ddof=0), "that of the population sd"),
    ("corrected_interval", lambda a, b, t: interval(a, b, t, ddof=0, overlap=0), "mind both"),
    ("corrected_interval", unpaired, "two unrelated lists. Subtract fold by fold"),
    ("corrected_interval", lambda a, b, t: interval(a, b, t, overlap=1 - 1 / len(a)), "the spread of the differences"),
    (
        "corrected_interval",
        lambda a, b, t: interval(a, b, t, overlap=1 / 4),
        "Over 10 folds your interval is right for",
    ),
    ("corrected_interval", lambda a, b, t: interval(a, b, 1.96), "For 5 folds: expected"),
    ("false_alarms", lambda d, alpha: stats.norm.sf(z_of(alpha) / d**0.5), "That is one side"),
    ("false_alarms", lambda d, alpha: alarms(z_of(2 * alpha) / d**0.5), "that of a one-sided test"),
    ("false_alarms", lambda d, alpha: 1 - alarms(z_of(alpha) / d**0.5), "how often the test stays silent"),
    ("false_alarms", lambda d, alpha: d * alpha, "does not multiply the level"),
    ("false_alarms", lambda d, alpha: alarms(z_of(alpha) / d), "z counts standard errors"),
    ("false_alarms", lambda d, alpha: alarms(z_of(alpha) * d**0.5), "rejects more often, not less"),
    ("false_alarms", lambda d, alpha: alpha, "and a level of 5% you answer 0.0500; expected 0.3271."),
    (
        "resample_patients",
        lambda patient, seed: np.random.default_rng(seed).integers(0, len(patient), len(patient)),
        "draw patients, not slices",
    ),
    ("resample_patients", once, "a patient drawn twice must bring all slices twice"),
    ("resample_patients", lambda patient, seed: np.arange(len(patient)), "draw with replacement"),
    (
        "resample_patients",
        lambda patient, seed: np.random.default_rng(seed).choice(np.unique(patient), 10),
        "not the numbers of patients",
    ),
    (
        "resample_patients",
        lambda patient, seed: bootstrap(patient, seed, lambda rng, names, patient: rng.choice(names, len(patient))),
        "You draw 55 patients; asked for was 10, as many as there are.",
    ),
    (
        "resample_patients",
        lambda patient, seed: bootstrap(patient, seed, lambda rng, names, patient: rng.choice(patient, len(names))),
        "who has more slices must not be drawn more often",
    ),
    ("resample_patients", lambda patient, seed: bootstrap(patient, 0), "Every seed gives the same sample"),
    ("resample_patients", lambda patient, seed: bootstrap(patient, None), "One seed gave two samples"),
    ("holm_adjusted", lambda p: p, "the p that were given"),
    ("holm_adjusted", lambda p: len(p) * p, "Bonferroni's correction"),
    ("holm_adjusted", lambda p: np.sort(stepped(p, falling)), "in the order of `p`"),
    ("holm_adjusted", lambda p: stepped(p, falling, lambda x: x), "Take the running maximum"),
    ("holm_adjusted", lambda p: stepped(p, falling, lowest), "as Hochberg does"),
    ("holm_adjusted", lambda p: stepped(p, lambda n: n / np.arange(1, n + 1), lowest), "Benjamini and Hochberg's"),
    ("holm_adjusted", lambda p: stepped(p, lambda n: np.arange(1, n + 1), lambda x: x), "begin with the smallest"),
    ("holm_adjusted", lambda p: stepped(p, falling, top=9), "is 1.6: a p is never above 1"),
    ("holm_adjusted", lambda p: p / 2, "expected `[0.03, 0.06, 0.06, 0.02]`, got"),
    ("verdict_of", lambda wide, narrow, margin: judged(wide, wide, margin), "decides, not the 95 %"),
    ("verdict_of", lambda wide, narrow, margin: judged(narrow, narrow, margin), "and it holds zero"),
    ("verdict_of", lambda wide, narrow, margin: judged(wide, narrow, 2), "outside this margin of 0.9"),
    ("verdict_of", lambda wide, narrow, margin: judged(wide, narrow, 0), "inside the margin"),
    ("verdict_of", lambda wide, narrow, margin: "yes", "one of the words"),
    ("paired_difference", lambda a, b: [-x for x in by_cohort(a, b)], "asked for was a - b"),
    ("paired_difference", lambda a, b: (np.mean([*a.values()]) - np.mean([*b.values()]), 1), "only one arm has"),
    (
        "paired_difference",
        lambda a, b: (np.mean([x - y for x, y in zip(a.values(), b.values(), strict=False)]), 1),
        "pair by cohort",
    ),
    ("paired_difference", lambda a, b: (by_cohort(a, b)[0], by_cohort(a, b)[1] * 3**0.5), "the spread of the differ"),
    ("paired_difference", lambda a, b: (by_cohort(a, b)[0], by_cohort(a, b)[1] * (2 / 3) ** 0.5), "ddof 0"),
    ("paired_difference", lambda a, b: (by_cohort(a, b)[0], 1.0), "the number of all cohorts"),
    ("winners_luck", lambda k, sd, seed: tables(k, sd, seed).mean(), "you average all arms"),
    ("winners_luck", lambda k, sd, seed: tables(k, sd, seed).min(axis=1).mean(), "the worst arm"),
    ("winners_luck", lambda k, sd, seed: tables(k, 1, seed).max(axis=1).mean(), "the given sd"),
    ("winners_luck", lambda k, sd, seed: tables(k, sd**2, seed).max(axis=1).mean(), "has a variance"),
    ("winners_luck", lambda k, sd, seed: tables(k, sd, seed).max(), "luckiest of all tables"),
    ("winners_luck", lambda k, sd, seed: tables(k, sd, None).max(axis=1).mean(), "One seed gave two answers"),
    ("inflated", lambda f, n: np.resize(f.swapaxes(0, 1), (n, 4, 2, 2)).swapaxes(0, 1), "drop the filter for blue"),
    ("inflated", lambda f, n: mean_filter(f, n), "0.67 times what it was: scale by 3"),
    ("inflated", lambda f, n: 3 * mean_filter(f, n), "2.00 times what it was: the sum goes to each"),
    ("inflated", lambda f, n: mean_filter(f, n) / n, "0.33 times what it was: three filters"),
    ("inflated", lambda f, n: mean_filter(f, n) * n / 3, "0.44 times what it was: turn the factor over"),
    ("inflated", lambda f, n: f[:, :1].repeat(n, axis=1) * 3 / n, "For 2 phases, one output, one place: expected"),
    ("inflated", lambda f, n: f.mean(axis=1), "has shape (4, 2, 2); asked for was an array of shape (4, 2, 2, 2)"),
    ("shown_equivalent", lambda d, m: stats.ttest_1samp(d, 0).pvalue > 0.05, "A difference may be real"),
    ("shown_equivalent", lambda d, m: abs(d.mean()) < m, "A mean near 0 is not enough, nor is a large p"),
    ("shown_equivalent", lambda d, m: -m < d.mean() and ends(d)[1] < m, "but the lower end"),
    ("shown_equivalent", lambda d, m: d.mean() < m and ends(d)[0] > -m, "but the upper end"),
    ("shown_equivalent", lambda d, m: np.abs(ends(d, 0.975)).max() < m, "are the 90 % interval, not the 95 %"),
    ("shown_equivalent", lambda d, m: np.abs(ends(d, df=1e9)).max() < m, "t with 11 degrees of freedom"),
    ("shown_equivalent", lambda d, m: np.abs(ends(d, df=11)).max() < m, "t with 2 degrees of freedom"),
    ("shown_equivalent", lambda d, m: np.abs(ends(d)).max() >= m, "expected True. A mean of 0"),
    ("shown_equivalent", lambda d, m: stats.ttest_1samp(d, m).pvalue, "Answer True or False"),
    ("extra_loss", lambda a, ah, b, bh: mean_and_se((a - ah) - (b - bh)), "sign turned round"),
    ("extra_loss", lambda a, ah, b, bh: mean_and_se(ah - bh), "on the hard patients alone"),
    ("extra_loss", lambda a, ah, b, bh: mean_and_se(b - bh), "That is B's loss"),
    ("extra_loss", lambda a, ah, b, bh: mean_and_se((b - bh) / (a - ah)), "the first number, the mean: expected"),
    ("extra_loss", lambda a, ah, b, bh: mean_and_se((b - bh) - (a - ah), np.sqrt), "That is a standard deviation"),
    ("extra_loss", lambda a, ah, b, bh: mean_and_se((b - bh) - (a - ah), ddof=0), "by n - 1"),
    ("extra_loss", lambda a, ah, b, bh: mean_and_se((b - bh) - (a - ah), lambda n: n**-0.5), "Divide by the root"),
    ("extra_loss", lambda a, ah, b, bh: unshared((b - bh) - (a - ah), a, ah, b, bh), "You add four variances"),
    ("extra_loss", lambda a, ah, b, bh: unshared((b - bh) - (a - ah), b - bh, a - ah), "variances of the two losses"),
    ("extra_loss", lambda a, ah, b, bh: (((b - bh) - (a - ah)).mean(), 0), "the second number, the standard error"),
    ("cam", lambda a, g: np.einsum("d,dhw->hw", g.mean((1, 2)), a).clip(min=0), "Keep what is negative"),
    ("cam", lambda a, g: (a * g).sum(axis=0), "mean of its gradient over all places"),
    ("cam", lambda a, g: np.einsum("d,dhw->hw", g.sum((1, 2)), a), "not its sum"),
    ("cam", lambda a, g: (a * g.mean((1, 2), keepdims=True)).mean(axis=0), "do not average them"),
    ("cam", lambda a, g: np.einsum("d,dhw->hw", g.max((1, 2)), a), "For two channels, 2 x 3 places: expected"),
    ("energy", lambda v, p, w: v[w & p].sum() / v[w].sum() / p[w].mean(), "cut the map off at zero"),
    ("energy", lambda v, p, w: abs(v[w & p]).sum() / abs(v[w]).sum() / p[w].mean(), "do not turn it over"),
    ("energy", lambda v, p, w: v[w & p].clip(0).sum() / v[w].clip(0).sum(), "divide it by its share of the area"),
    ("energy", lambda v, p, w: v[p].clip(0).sum() / v.clip(0).sum() / p.mean(), "Only pixels of the lesion count"),
    ("fall_shares", lambda whole, no_lesion, no_part: (no_part - whole) / (whole - no_lesion), "turn the sign round"),
    ("fall_shares", lambda whole, no_lesion, no_part: whole - no_part, "which is 2 here"),
    ("fall_shares", lambda whole, no_lesion, no_part: (whole - no_part) / whole, "a score has no zero"),
    ("fall_shares", lambda w, n, p: ((w - p) / (w - n)).clip(min=0), "the score is higher"),
    ("fall_shares", lambda whole, no_lesion, no_part: no_part, "and three parts: expected"),
    ("reciprocal_rank", lambda s, m: 1 + (s > s[m]).sum(), "That is the rank"),
    ("reciprocal_rank", lambda s, m: 1 / (1 + (s < s[m]).sum()), "count from the smallest score"),
    ("reciprocal_rank", lambda s, m: np.float64(1) / (s > s[m]).sum(), "You count ranks from 0"),
    ("reciprocal_rank", lambda s, m: 1 / (m + 1), "one over the slice's place"),
    ("youden", lambda there, s: youden_level(there, s, np.sort(s)), "of several take the highest"),
    ("youden", lambda there, s: int(np.argmax(s == youden_level(there, s, -np.sort(-s)))), "That is a place"),
    ("youden", lambda there, s: max(s, key=lambda t: ((s >= t) == there).mean()), "Accuracy may be largest there"),
]


def youden_level(there, scores, levels):
    """The first of the levels with the largest sum of sensitivity and specificity."""
    return max(levels, key=lambda t: (scores[there] >= t).mean() + (scores[~there] < t).mean())


@pytest.mark.parametrize(("name", "answer", "words"), WRONG, ids=[f"{name}-{words}" for name, _, words in WRONG])
def test_a_typical_mistake_is_named(name, answer, words):
    verdict = exercises.CHECKERS[name](answer)
    assert not verdict
    assert words in verdict.words


@each_checker
def test_a_checker_names_at_least_two_mistakes(name):
    assert len({words for checker, _, words in WRONG if checker == name}) >= 2


def judged(wide, narrow, margin):
    if -margin < narrow[0] and narrow[1] < margin:
        return "equivalent"
    return "reproduced" if wide[0] > 0 else "not reproduced" if wide[1] < 0 else "undecided"


def by_cohort(a, b):
    both = pd.DataFrame({"a": a, "b": b}).dropna()
    return (both["a"] - both["b"]).mean(), (both["a"] - both["b"]).sem()


def upper(z, k):
    """What the mean of the largest of k normal draws adds up from."""
    return z * stats.norm.pdf(z) * stats.norm.cdf(z) ** (k - 1)


def tables(k, sd, seed):
    return np.random.default_rng(seed).normal(0, sd, (20_000, k))


def null_vector(text):
    """A direction of W that no sentence sees: adding it changes nothing."""
    return np.linalg.svd(text)[2][-1]


def step_of_weights(text, gradient, rate):
    """The places' step, by way of W itself: autograd's gradient of a loss with these slopes."""
    weight = torch.zeros(gradient.shape[1], text.shape[1], dtype=torch.double, requires_grad=True)
    (torch.tensor(text) @ weight.T * torch.tensor(gradient)).sum().backward()
    return text @ (-rate * weight.grad).numpy().T


def kfold(patient, n_groups, seed):
    patients = np.unique(patient)
    group = np.zeros(len(patient), dtype=int)
    for number, (_, test) in enumerate(KFold(n_groups, shuffle=True, random_state=seed).split(patients)):
        group[np.isin(patient, patients[test])] = number
    return group


def filled(pictures, shows):
    back = np.empty_like(pictures)
    for picture, place, where in zip(pictures, back, shows, strict=True):
        place[where] = picture
    return back


def simulated(effect, alpha):
    z = np.random.default_rng(0).normal(scale=np.sqrt(effect), size=4_000_000)
    return np.mean(2 * stats.norm.sf(np.abs(z)) < alpha)


def in_order_of_files(patient, seed):
    names, which = np.unique(patient, return_inverse=True)
    times = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)))
    return np.repeat(np.arange(len(patient)), times[which])


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("window", lambda hu, low, high: windowing.window(torch.tensor(hu), (low, high))),
        ("window", lambda hu, low, high: np.interp(hu, [low, high], [-1, 1])),
        (
            "washes_out",
            lambda lesion, liver: [s[1] >= g[1] + 10 and s[2] <= g[2] - 10 for s, g in zip(lesion, liver, strict=True)],
        ),
        ("patient_groups", kfold),
        ("scaled_softmax", lambda cosine, scale: softmax(scale * cosine, axis=1)),
        ("scaled_softmax", lambda cosine, scale: torch.tensor(scale * cosine).softmax(dim=1)),
        ("contrastive_loss", lambda z: info_nce(torch.tensor(z))),
        (
            "class_vectors",
            lambda v: normalize(torch.stack([normalize(torch.tensor(c), dim=1).sum(0) for c in v]), dim=1),
        ),
        ("offset_needed", lambda s, c: max(max(np.delete(row, c)) - row[c] for row in s)),
        ("sorted_order", lambda v: (v[:, :, None] > v[:, None]).sum(axis=2)),
        ("spread_of", lambda z: torch.tensor(unit(z)).std(dim=0, correction=0).mean() * z.shape[1] ** 0.5),
        ("put_back", filled),
        ("mean_answer", lambda z: sum(torch.tensor(order).softmax(dim=1) for order in z) / len(z)),
        (
            "all_prompts_loss",
            lambda z, o, c: cross_entropy(torch.tensor(z).flatten(1), torch.tensor(o * z.shape[2] + c)),
        ),
        ("map_to", lambda x, y: y.T @ np.linalg.inv(x @ x.T) @ x + np.outer([1, -1], null_vector(x))),
        ("step_of_places", step_of_weights),
        ("share_that_follows", lambda a, b, named: np.mean(b == np.argsort(named)[a])),
        ("possible", lambda p, n: bool(np.isin(f"{p:.2f}", [f"{100 * k / n:.2f}" for k in range(n + 1)]))),
        ("population_sd", lambda sd, n: (sd**2 * (n - 1) / n) ** 0.5),
        (
            "corrected_interval",
            lambda a, b, t: paired_t(a, b, 1 / (len(a) - 1)).interval(2 * stats.t.cdf(t, len(a) - 1) - 1),
        ),
        ("false_alarms", simulated),
        ("resample_patients", bootstrap),
        ("resample_patients", in_order_of_files),
        ("holm_adjusted", comparisons.holm),
        ("verdict_of", judged),
        ("paired_difference", by_cohort),
        ("winners_luck", lambda k, sd, seed: k * sd * integrate.quad(lambda z: upper(z, k), -8, 8)[0]),
        ("holm_adjusted", lambda p: stepped(p, falling)),
        ("inflated", lambda f, n: np.stack([f.sum(axis=1) / n] * n, axis=1)),
        ("shown_equivalent", lambda d, m: max(paired_t(d, np.zeros(len(d))).tost(m)) < 0.05),
        ("extra_loss", lambda a, ah, b, bh: [(t := paired_t(b - bh, a - ah)).difference, t.se]),
        ("reciprocal_rank", lambda s, m: 1 / (1 + list(np.argsort(-s)).index(m))),
        ("youden", youden_threshold),
        ("scale_needed", lambda p, c: brentq(lambda s: softmax([s, *[-s / (c - 1)] * (c - 1)])[0] - p, 0, 100)),
    ],
)
def test_another_right_answer_passes(name, answer):
    verdict = exercises.CHECKERS[name](answer)
    assert verdict, verdict.words
