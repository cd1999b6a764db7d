"""The exercises of the book: every solution passes, every stub and what no answer may be is told in words."""

from pathlib import Path

import numpy as np
import pages
import pytest
import torch
from answers import bootstrap, by_cohort, falling, judged, stepped, unit
from scipy import integrate, stats
from scipy.optimize import brentq
from scipy.special import softmax
from sklearn.model_selection import KFold
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_kappa
from torch.nn.functional import cross_entropy, normalize

from livervlm.book import exercises
from livervlm.evaluation import comparisons
from livervlm.evaluation.comparisons import paired_t
from livervlm.evaluation.retrieval import youden_threshold
from livervlm.models.tiny_clip import info_nce
from livervlm.scans import windowing

ROOT = Path(__file__).resolve().parents[1]
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
def test_a_chapter_has_two_exercises_or_says_that_it_has_none(source):
    assert len(source.exercises) >= (0 if "there are no exercises" in source.text else 2)


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


# -- Right answers that are not the book's -------------------------------------------------------------------


def upper(z, k):
    """What the mean of the largest of k normal draws adds up from."""
    return z * stats.norm.pdf(z) * stats.norm.cdf(z) ** (k - 1)


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
        ("epochs_alike", lambda n, e, m, b: int(len(range(0, n, b)) * e / len(range(0, m, b)) + 0.5)),
        ("shown_equivalent", lambda d, m: max(paired_t(d, np.zeros(len(d))).tost(m)) < 0.05),
        ("extra_loss", lambda a, ah, b, bh: [(t := paired_t(b - bh, a - ah)).difference, t.se]),
        ("reciprocal_rank", lambda s, m: 1 / (1 + list(np.argsort(-s)).index(m))),
        ("youden", youden_threshold),
        (
            "price_of_choosing",
            lambda p, t: np.mean([max(b) - b[list(a).index(max(a))] for a, b in zip(p, t, strict=True)]),
        ),
        ("highest_correlation", lambda a, b: max(0, stats.pearsonr(a, b)[0]) ** 0.5),
        ("aggregated", lambda j: np.diagonal(j.reshape(5, -1, 5), axis1=0, axis2=2).mean(axis=1)),
        ("kappa", lambda c: statsmodels_kappa(c, method="fleiss")),
        ("scale_needed", lambda p, c: brentq(lambda s: softmax([s, *[-s / (c - 1)] * (c - 1)])[0] - p, 0, 100)),
    ],
)
def test_another_right_answer_passes(name, answer):
    verdict = exercises.CHECKERS[name](answer)
    assert verdict, verdict.words
