"""Which slice does a sentence mean: selectors taught on some studies, and tested on others beside what needs no model.

Pairs for teaching are of two kinds, as in the paper (Bioengineering 2025): a finding and the slice that a reader marks
for it, and an organ that is unremarkable and the slice where it is largest.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..base.errors import InputError
from ..evaluation.retrieval import PositionPrior, largest_organ_slice, measure_all, middle_slice
from ..models.selector import Towers, slice_scores
from ..phantom.findings import ORGANS
from ..phantom.sentences import Sentence, nonsense, swap_organ, without_organ
from ..phantom.series import Series
from ..scans.windowing import window

KINDS = ("finding", "negative")
Scorer = Callable[[Series, Sequence[Sentence]], np.ndarray]  # T sentences: the score of each slice, (T, S)


def sentences_of(
    series: Iterable[Series], grammar: str = "seen", kind: str = "finding"
) -> list[tuple[Series, Sentence]]:
    """Every sentence of a kind in the reports of some studies, with its study."""
    return [(one, sentence) for one in series for sentence in one.reports[grammar] if sentence.kind == kind]


def place_cannot_tell(series: Series, sentence: Sentence) -> bool:
    """Whether the organ's place leaves the slice open: another finding of the study is in the same organ."""
    return sum(finding.organ == sentence.organ for finding in series.findings) > 1


def windowed(series: Series, slices: Sequence[int] | slice = slice(None)) -> Tensor:
    """Slices of a study as a network sees them, (n, P, H, W)."""
    return window(torch.from_numpy(series.hu[slices]))


def teaching_pairs(
    series: Sequence[Series], kinds: Sequence[str] = KINDS, seed: int = 0, permuted: bool = False
) -> tuple[Tensor, list[str]]:
    """Slices (n, P, H, W) and a sentence for each that is true of it; of each kind as many as of the rarest.

    permuted: the control.  Sentences are dealt out anew among all pairs, so that only what is said often stays true.
    """
    rng, chosen = np.random.default_rng(seed), []
    every = {kind: sentences_of(series, kind=kind) for kind in kinds}
    fewest = min(map(len, every.values()))
    if not fewest:
        raise InputError(f"no sentence of kind {min(every, key=lambda kind: len(every[kind]))}: give more studies")
    for pairs in every.values():
        chosen += [pairs[i] for i in np.sort(rng.permutation(len(pairs))[:fewest])]
    slices = torch.cat([windowed(one, [one.marked(sentence)]) for one, sentence in chosen])
    texts = [sentence.text for _, sentence in chosen]
    return slices, [texts[i] for i in rng.permutation(len(texts))] if permuted else texts


def by_towers(towers: Towers, said: Callable[[Sentence, int], str] = lambda sentence, number: sentence.text) -> Scorer:
    """The scores of a pair of towers.  said: what is asked instead of a sentence, as a control of `QUESTIONS`."""

    def score(series: Series, sentences: Sequence[Sentence]) -> np.ndarray:
        return slice_scores(towers, windowed(series), [said(one, series.patient) for one in sentences])

    return score


def _swapped(sentence: Sentence, number: int) -> str:
    others = [organ for organ in ORGANS if organ != sentence.organ]
    return swap_organ(sentence, others[number % len(others)]).text if sentence.organ else sentence.text


# What is asked of a selector: the sentence, and controls that take away what it might read.
QUESTIONS: Mapping[str, Callable[[Sentence, int], str]] = {
    "as written": lambda sentence, number: sentence.text,
    "nonsense words": lambda sentence, number: nonsense(sentence.text, np.random.default_rng(number)),
    "another organ": _swapped,
    "without the organ": lambda sentence, number: without_organ(sentence).text,
}


def baselines(series: Sequence[Series], grammar: str = "seen") -> dict[str, Scorer]:
    """What needs no model.  series: the training studies, for where their marks lie."""
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

    def each(score: Callable[[Series, Sentence], np.ndarray]) -> Scorer:
        return lambda one, sentences: np.stack([score(one, sentence) for sentence in sentences])

    return {
        "middle slice": each(middle),
        "largest slice of the organ": each(by_organ),
        "places of organs": each(by_place),
    }


def retrieve(score: Scorer, asked: Sequence[tuple[Series, Sentence]]) -> pd.DataFrame:
    """The measures of `evaluation.retrieval`, a line for each sentence, with patient, organ and `open`.

    open: whether place leaves the slice open, see `place_cannot_tell`.
    """
    of_study: dict[int, list[int]] = {}
    for i, (one, _) in enumerate(asked):
        of_study.setdefault(id(one), []).append(i)
    scores: list = [None] * len(asked)
    for places in of_study.values():
        found = score(asked[places[0]][0], [asked[i][1] for i in places])
        for i, row in zip(places, found, strict=True):
            scores[i] = row
    marked = [one.marked(sentence) for one, sentence in asked]
    area = [one.area(sentence) for one, sentence in asked]
    table = measure_all(scores, marked, area, [one.spacing for one, _ in asked])
    told = {"patient": [one.patient for one, _ in asked], "organ": [sentence.organ for _, sentence in asked]}
    return table.assign(**told, open=[place_cannot_tell(*pair) for pair in asked])
