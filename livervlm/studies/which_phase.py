"""Which phase is each series of a CT study?  By its words, its time, its contrast agent and what the picture shows.

For teaching and research, not for diagnosis.  A guess is there to be confirmed: whoever knows better says so.

A phase that the words name is taken.  Where all else says another, that is a doubt.  Where the words name none, or
several, the other evidence decides together for all series of the study, or leaves the series open.  A phase that a
person has given is taken in the same way: it is the one word of its series (`doubts_about`).
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..base.errors import InputError
from ..base.paths import data_file
from ..scans.conventions import PHASE_NAMES
from .phase_picture import picture_features
from .phase_words import is_localizer, named_phases

PHASES = tuple(PHASE_NAMES)
DAY = 24 * 3600
APART = 8.0  # seconds between scans that are not one acquisition
LONGEST = 3600.0  # seconds between two phases of one examination
# Declared, from general knowledge: how likely a study is ...
SAME = 0.05  # ... to hold a phase twice
AGAINST = 0.001  # ... to have a time that is wrong
AGENT = {True: (0.2, 0.9, 0.9, 0.9), False: (0.8, 0.1, 0.1, 0.1)}  # ... to name an agent, or none, in each phase
KEPT = 4096  # answers of a study that are followed; with six series or fewer, all


@dataclass(frozen=True)
class Clue:
    """What one series tells.

    words: SeriesDescription, ProtocolName or the file's name; for reading, never for showing.  seconds: of its
    acquisition, since midnight.  contrast: whether a contrast agent is named in its header.  volume: (Z, Y, X) HU, with
    rows from front to back.  spacing: mm along Z, Y, X.
    """

    words: str = ""
    seconds: float | None = None
    contrast: bool | None = None
    volume: np.ndarray | None = None
    spacing: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Guess:
    """The phase of one series, None where it is left open, and what speaks against it.  No word of the header."""

    phase: str | None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Model:
    """A logistic regression on `inputs` of a picture's features.

    mean, sd: (k,).  coef: (4, k).  intercept: (4,).  threshold: probability from which an answer is given.
    """

    mean: np.ndarray
    sd: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray
    threshold: float

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """(n, 4) of `PHASES`, of (n, 4) features."""
        logit = (inputs(features) - self.mean) / self.sd @ self.coef.T + self.intercept
        odds = np.exp(logit - logit.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)


def inputs(features: np.ndarray) -> np.ndarray:
    """(n, 7) of (n, 4): brightnesses, and how far vessels and organ are above the muscle, as logarithms."""
    above = features[:, :3] - features[:, 3:]
    return np.concatenate([features, np.log(above.clip(-15) + 25)], axis=1)


@functools.cache
def shipped() -> Model:
    """The model of the book: `python -m livervlm.analyses.which_phase` makes it."""
    told = json.loads(data_file("which_phase.json").read_text(encoding="utf-8"))
    return Model(*(np.array(told[name]) for name in ("mean", "sd", "coef", "intercept")), told["threshold"])


def which_phases(clues: Sequence[Clue]) -> list[Guess]:
    """The phase of each series of one study, in the order given.  Raises `InputError` for a volume without spacing."""
    for number, clue in enumerate(clues, 1):
        if clue.volume is not None and clue.spacing is None:
            raise InputError(f"series {number} has a volume and no spacing: give mm along Z, Y, X")
    features = [None if c.volume is None else picture_features(c.volume, c.spacing) for c in clues]
    return decide(clues, features, shipped())


def decide(clues: Sequence[Clue], features: Sequence[np.ndarray | None], model: Model) -> list[Guess]:
    """The same from the features of each picture, None where there is none or it shows too little."""
    survey = [is_localizer(c.words) for c in clues]
    kept = [i for i, one in enumerate(survey) if not one]
    guesses = [Guess(None, ("a localizer, no phase",)) for _ in clues]
    for i, guess in zip(kept, _decide([clues[i] for i in kept], [features[i] for i in kept], model), strict=True):
        guesses[i] = guess
    return guesses


def doubts_about(phases: Sequence[str], clues: Sequence[Clue]) -> list[tuple[str, ...]]:
    """What speaks against the phases that a person gave the series of one study, in the order given.

    A picture that shows too little of a body tells nothing, and neither does an agent that every header names.
    """
    clear = {"contrast": None} if all(clue.contrast for clue in clues) else {}
    given = [replace(clue, words=phase, volume=None, **clear) for phase, clue in zip(phases, clues, strict=True)]
    seen = [None if c.volume is None else picture_features(c.volume, c.spacing) for c in clues]
    doubts = []
    for phase, clue, guess in zip(phases, clues, decide(given, seen, shipped()), strict=True):
        named, lines = named_phases(clue.words), []
        if phase not in named:
            lines.append(f"the words of its header say {' or '.join(p for p in PHASES if p in named)}")
        if is_localizer(clue.words):
            lines.append("the words of its header call it a localizer")
        doubts.append((*lines, *guess.doubts))
    return doubts


def _decide(clues: Sequence[Clue], features: Sequence[np.ndarray | None], model: Model) -> list[Guess]:
    if not clues:
        return []
    named = [named_phases(c.words) for c in clues]
    inside = np.array([[p in one for p in PHASES] for one in named])
    seen = np.full((len(clues), len(PHASES)), -np.log(len(PHASES)))
    for row, one in zip(seen, features, strict=True):
        if one is not None:
            row[:] = np.log(model.probabilities(one[None])[0].clip(1e-6))
    heard = np.where(inside, 0.0, np.log(AGAINST))
    certain = inside.sum(axis=1) == 1
    alone = np.where(certain[:, None], np.where(inside, 0.0, -1e3), seen + heard)
    agent, seconds = _agent([c.contrast for c in clues]), unwrapped([c.seconds for c in clues])
    blind, full = joint(seen + agent, seconds), joint(alone + agent, seconds)
    phases, doubts = [], [[] for _ in clues]
    for i, clue in enumerate(clues):
        best, other = int(full[i].argmax()), int(blind[i].argmax())
        phases.append(PHASES[best] if certain[i] or full[i, best] >= model.threshold else None)
        if certain[i] and blind[i, best] <= 1 - model.threshold:
            told = f"all else says rather {PHASES[other]} ({blind[i, other]:.0%})"
            doubts[i].append(f"named {PHASES[best]}, and {told}")
        if phases[i] and PHASES[best] not in named[i]:
            told = ", ".join(p for p in PHASES if p in named[i])
            doubts[i].append(f"its words say {told}, all else {PHASES[best]}, which is taken")
        if clue.volume is not None and features[i] is None:
            doubts[i].append("its picture shows too little of a body to tell the contrast")
        if phases[i] is None:
            ranked = ", ".join(f"{PHASES[k]} {full[i, k]:.0%}" for k in full[i].argsort()[::-1][:2])
            doubts[i].append(f"left open: {ranked if np.ptp(full[i]) > 0.01 else 'nothing tells'}")
    _doubt_together(phases, clues, seconds, doubts)
    return [Guess(phase, tuple(lines)) for phase, lines in zip(phases, doubts, strict=True)]


def _doubt_together(phases: Sequence[str | None], clues: Sequence[Clue], seconds: np.ndarray, doubts) -> None:
    """What the series say of one another."""
    any_agent = any(c.contrast for c in clues)
    for i, phase in enumerate(phases):
        if phase is None:
            continue
        if (n := phases.count(phase)) > 1:
            doubts[i].append(f"{n} series are taken as {phase}")
        if phase == "NC" and clues[i].contrast:
            doubts[i].append("taken as NC, and its header names a contrast agent")
        if phase != "NC" and clues[i].contrast is False and any_agent:
            doubts[i].append(f"taken as {phase}, and its header names no contrast agent while another's does")
        for j, other in enumerate(phases):
            after = seconds[i] - seconds[j]  # nan where one is not known
            if other and abs(after) > APART and after * (PHASES.index(phase) - PHASES.index(other)) < 0:
                order = "after" if after > 0 else "before"
                doubts[i].append(f"taken as {phase}, and acquired {abs(after):.0f} s {order} {other}")
            elif other and other != phase and abs(after) <= APART:
                doubts[i].append(f"taken as {phase}, and acquired at the same time as {other}")
            elif other and abs(after) > LONGEST:
                doubts[i].append(f"taken as {phase}, and acquired {abs(after) / 3600:.1f} h from {other}")


def _agent(contrast: Sequence[bool | None]) -> np.ndarray:
    """(n, 4) log-likelihoods of what headers tell of an agent; where none names one, they may have been emptied."""
    if not any(contrast):
        return np.zeros((len(contrast), len(PHASES)))
    return np.log([AGENT.get(one, (1.0,) * 4) for one in contrast])


def unwrapped(seconds: Sequence[float | None]) -> np.ndarray:
    """(n,) seconds, nan where not known, in one piece for a study across midnight."""
    told = np.array([np.nan if s is None else s for s in seconds], dtype=float)
    if np.isfinite(told).any() and np.nanmax(told) - np.nanmin(told) > DAY / 2:
        told[told < DAY / 2] += DAY
    return told


def joint(log_odds: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """(n, 4) probabilities of each series's phase, given the others: in order of time, each phase once if it can be.

    log_odds: (n, 4) of what each tells alone.  All answers of the study are weighed, of many series the likeliest.
    """
    answers, score = np.zeros((1, 0), dtype=int), np.zeros(1)
    for i, mine in enumerate(log_odds):
        longer = np.concatenate([np.repeat(answers, len(PHASES), 0), np.tile(range(4), len(answers))[:, None]], axis=1)
        score = (score[:, None] + mine).ravel()
        step = longer[:, i:] - longer[:, :i]  # (answers, i) phases from each of the others to this one
        after = seconds[i] - seconds[:i]
        same, known = abs(after) <= APART, np.isfinite(after)
        against = np.where(same, step != 0, known & (step * np.sign(after) < 0))
        score += np.log(AGAINST) * against.sum(axis=1) + np.log(SAME) * ((step == 0) & ~same).sum(axis=1)
        best = np.sort(score.argsort()[::-1][:KEPT])
        answers, score = longer[best], score[best]
    weight = np.exp(score - score.max())
    return np.stack([weight @ (answers == k) for k in range(len(PHASES))], axis=1) / weight.sum()
