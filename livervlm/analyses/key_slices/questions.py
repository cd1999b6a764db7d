"""What a selector is taught with, what it is asked, and what can be had without one.

Pairs for teaching are of two kinds, as in the paper (Bioengineering 2025): a finding and a slice that shows it, and an
organ that is unremarkable and a slice that shows it.  A slice is of one phase: which phase to look at is part of the
question.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...base.errors import InputError
from ...evaluation.retrieval import PositionPrior, chance_in_top, largest_organ_slice, measure_all, middle_slice
from ...models.selector import Towers, encode_slices, slice_scores
from ...phantom.findings import ORGANS
from ...phantom.sentences import Sentence, named_phases, nonsense, other_side, swap_organ, without_organ
from ...phantom.series import Series
from ...scans.windowing import window

KINDS = ("finding", "negative")
PLACELESS = ("phase", "side", "which of two")  # see `retrieve`
Asked = tuple[Series, Sentence]
Scorer = Callable[[Series, Sequence[Sentence]], np.ndarray]  # T sentences: of each slice in each phase, (T, S, P)


def sentences_of(series: Iterable[Series], grammar: str = "seen", kind: str = "finding") -> list[Asked]:
    """Every sentence of a kind in the reports of some studies, with its study."""
    return [(one, sentence) for one in series for sentence in one.reports[grammar] if sentence.kind == kind]


def windowed(hu: np.ndarray) -> Tensor:
    """Slices of one phase (..., H, W) as a network sees them, (n, 1, H, W)."""
    return window(torch.from_numpy(hu.reshape(-1, 1, *hu.shape[-2:])))


# ---- teaching


def teaching_pairs(
    series: Sequence[Series], n: int, kinds: Sequence[str] = KINDS, seed: int = 0, permuted: bool = False
) -> tuple[Tensor, list[str]]:
    """n slices (n, 1, H, W) and a sentence for each that is true of it; of each kind as many.

    A sentence is drawn, of all sentences of its kind, and a slice in which what it speaks of is at least half as large
    as anywhere, in one of the phases that it names, or in any.  permuted: the control.  Sentences are dealt out anew
    among all pairs, so that only what is said often stays true.
    """
    rng, slices, texts = np.random.default_rng(seed), [], []
    for kind in kinds:
        pairs = sentences_of(series, kind=kind)
        if not pairs:
            raise InputError(f"no sentence of kind {kind}: give more studies")
        for i in rng.integers(len(pairs), size=n // len(kinds)):
            one, sentence = pairs[i]
            area = one.area(sentence)
            of_slice = rng.choice(np.flatnonzero(area >= area.max() / 2))
            slices.append(one.hu[of_slice, rng.choice(_phases(one, sentence))])
            texts.append(sentence.text)
    return windowed(np.stack(slices)), [texts[i] for i in rng.permutation(len(texts))] if permuted else texts


def _phases(series: Series, sentence: Sentence) -> list[int]:
    """The places of the phases in which a sentence can be seen: those that it names, or all."""
    named = [p for p, phase in enumerate(series.phases) if phase in named_phases(sentence.text)]
    return named or list(range(len(series.phases)))


# ---- asking


def by_towers(towers: Towers) -> Scorer:
    """The scores of a pair of towers.  The slices of a study are encoded once, however often it is asked about."""
    encoded: dict[int, tuple[Series, Tensor]] = {}  # with the study, as another one could get its address

    def score(series: Series, sentences: Sequence[Sentence]) -> np.ndarray:
        if id(series) not in encoded:
            encoded[id(series)] = series, encode_slices(towers, windowed(series.hu))
        found = slice_scores(towers, encoded[id(series)][1], [one.text for one in sentences])
        return found.reshape(len(sentences), *series.hu.shape[:2])

    return score


def _nonsense(sentence: Sentence, number: int) -> Sentence:
    return replace(sentence, text=nonsense(sentence.text, np.random.default_rng(number)))


def _another_organ(sentence: Sentence, number: int) -> Sentence:
    others = [organ for organ in ORGANS if organ != sentence.organ]
    return swap_organ(sentence, others[number % len(others)]) if sentence.organ else sentence


# What is asked of a selector: the sentence, and controls that take away what it might read.
QUESTIONS: Mapping[str, Callable[[Sentence, int], Sentence]] = {
    "as written": lambda sentence, number: sentence,
    "nonsense words": _nonsense,
    "another organ": _another_organ,
    "without the organ": lambda sentence, number: without_organ(sentence),
}


def wordings(asked: Iterable[Asked]) -> list[str]:
    """Every text that `retrieve` may put to a selector: of all questions, and with left and right changed."""
    told = [ask(sentence, one.patient) for one, sentence in asked for ask in QUESTIONS.values()]
    return [text for sentence in told for text in (sentence.text, other_side(sentence).text)]


def retrieve(score: Scorer, asked: Sequence[Asked], question: str = "as written") -> pd.DataFrame:
    """A line for each sentence: patient, organ, `open`, the measures of `evaluation.retrieval`, and `PLACELESS`.

    organ@1: whether the best slice shows the organ, nan where the sentence is about none.
    A slice scores what it scores in its best phase.  open: whether the organ's place leaves the slice open, as another
    finding of the study is in the same organ.  Three measures, from 0 to 1 and nan where they cannot be asked, are of
    what the organ's place cannot tell (a segment's can tell a part, see `places`): `phase`, whether in the marked slice
    the phases that the sentence names score best, where it does not name all (by chance their share of the phases);
    `side`, whether the sentence fits its marked slice better than with left and right changed (one half); `which of
    two`, whether it fits its marked slice better than that of another finding in the same organ (one half).
    """
    ask, of_study = QUESTIONS[question], {}
    for i, (one, _) in enumerate(asked):
        of_study.setdefault(id(one), []).append(i)
    found: list = [None] * len(asked)
    sides: list = [None] * len(asked)
    for places in of_study.values():
        one, told = asked[places[0]][0], [ask(asked[i][1], asked[i][0].patient) for i in places]
        every = score(one, [*told, *map(other_side, told)])
        for i, row, mirrored, sentence in zip(places, every, every[len(told) :], told, strict=False):
            found[i], sides[i] = row, mirrored if other_side(sentence).text != sentence.text else None
    marked = [one.marked(sentence) for one, sentence in asked]
    area = [one.area(sentence) for one, sentence in asked]
    table = measure_all([f.max(axis=1) for f in found], marked, area, [one.spacing for one, _ in asked])
    rivals = [_rivals(one, sentence) for one, sentence in asked]
    placeless = [_placeless(*every) for every in zip(asked, found, sides, marked, rivals, strict=True)]
    return table.assign(
        patient=[one.patient for one, _ in asked],
        organ=[sentence.organ for _, sentence in asked],
        open=[bool(others) for others in rivals],
        **{"organ@1": [_shows_organ(*pair, row.max(axis=1)) for pair, row in zip(asked, found, strict=True)]},
        **dict(zip(PLACELESS, np.array(placeless, dtype=float).reshape(-1, 3).T, strict=True)),
    )


def _shows_organ(series: Series, sentence: Sentence, best: np.ndarray) -> float:
    if not sentence.organ:
        return np.nan
    return chance_in_top(best, series.organ_area[:, ORGANS.index(sentence.organ)] > 0, 1)


def _rivals(series: Series, sentence: Sentence) -> list[int]:
    """The marked slices of the study's other findings in the same organ."""
    same = [f for f, finding in enumerate(series.findings) if finding.organ == sentence.organ]
    return [series.findings[f].marked for f in same if f != sentence.finding] if sentence.finding in same else []


def _placeless(asked: Asked, found: np.ndarray, mirrored: np.ndarray | None, marked: int, rivals: list[int]):
    one, sentence = asked
    right, best = _phases(one, sentence), found.max(axis=1)
    phase = side = two = np.nan
    if len(right) < len(one.phases):
        phase = chance_in_top(found[marked], np.isin(np.arange(len(one.phases)), right), 1)
    if mirrored is not None:
        side = _higher(best[marked], mirrored.max(axis=1)[marked])
    if rivals := [other for other in rivals if other != marked]:
        two = np.mean([_higher(best[marked], best[other]) for other in rivals])
    return phase, side, two


def _higher(this: float, other: float) -> float:
    return 0.5 if this == other else float(this > other)


def organ_scores(
    score: Scorer, series: Sequence[Series], prompt: Callable[[str], str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each slice of the last phase shows each organ, its score for the organ's prompt, and its patient.

    prompt: `sentences.word_prompt` or `sentences.sentence_prompt`.  Returns (N, 15) bool, (N, 15), and (N,).
    """
    prompts = [Sentence(prompt(organ), None, organ, "negative") for organ in ORGANS]
    there = np.concatenate([one.organ_area > 0 for one in series])
    found = np.concatenate([score(one, prompts)[:, :, -1].T for one in series])
    return there, found, np.repeat([one.patient for one in series], [len(one.hu) for one in series])


def organ_aucs(
    score: Scorer, series: Sequence[Series], prompt: Callable[[str], str], above: float, length: float
) -> pd.DataFrame:
    """Whether slices that show an organ score higher for its prompt than others: AUC in the first phase.

    Only in a stretch of each body, `length` mm long, which begins `above` mm over the lowest slice of the lungs.  A
    line for each organ that some study shows in a part of its stretch: the mean over such studies, and their number.
    """
    from sklearn.metrics import roc_auc_score  # slow to import

    found: dict[str, list[float]] = {organ: [] for organ in ORGANS}
    for one in series:
        lowest = np.flatnonzero(one.organ_area[:, ORGANS.index("lung")])[-1]
        start = max(int(lowest + 1 - round(above / one.spacing)), 0)
        stretch = slice(start, start + round(length / one.spacing))
        scores = score(one, [Sentence(prompt(organ), None, organ, "negative") for organ in ORGANS])[:, stretch, 0]
        for organ, there, row in zip(ORGANS, one.organ_area[stretch].T > 0, scores, strict=True):
            if there.any() and not there.all():
                found[organ].append(float(roc_auc_score(there, row)))
    lines = {organ: (np.mean(aucs), len(aucs)) for organ, aucs in found.items() if aucs}
    return pd.DataFrame.from_dict(lines, orient="index", columns=["AUC", "studies"])


# ---- without a model


def baselines(series: Sequence[Series], grammar: str = "seen") -> dict[str, Scorer]:
    """What needs no model and knows no phase.  series: the training studies, for where their marks lie."""
    marks = sentences_of(series, grammar)
    at = [one.marked(sentence) / max(len(one.hu) - 1, 1) for one, sentence in marks]
    prior = PositionPrior(np.array(at), [sentence.organ or "none" for _, sentence in marks])

    def middle(one: Series, sentence: Sentence) -> np.ndarray:
        return middle_slice(len(one.hu))

    def by_organ(one: Series, sentence: Sentence) -> np.ndarray:
        if not sentence.organ:
            return middle(one, sentence)
        return largest_organ_slice(one.organ_area[:, ORGANS.index(sentence.organ)])

    def by_place(one: Series, sentence: Sentence) -> np.ndarray:
        return prior.scores(sentence.organ or "none", np.linspace(0, 1, len(one.hu)))

    def each(of_slice: Callable[[Series, Sentence], np.ndarray]) -> Scorer:
        def score(one: Series, sentences: Sequence[Sentence]) -> np.ndarray:
            return np.stack([np.repeat(of_slice(one, s)[:, None], len(one.phases), axis=1) for s in sentences])

        return score

    return {
        "middle slice": each(middle),
        "largest slice of the organ": each(by_organ),
        "places of organs": each(by_place),
    }
