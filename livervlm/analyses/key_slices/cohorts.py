"""Selectors taught on the studies of one cohort, and what they answer on studies that all cohorts share."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ...base.cache import made_once
from ...base.paths import written_whole
from ...evaluation.retrieval import PRESENCE, presence
from ...models import tiny_clip
from ...models.selector import train_selector
from ...models.text import encode_text
from ...models.towers import PictureTowers, SliceTowers
from ...models.training import fit
from ...phantom.findings import ORGANS
from ...phantom.patients import Knobs
from ...phantom.sentences import sentence_prompt, word_prompt
from ...phantom.series import Series, make_series
from ...runs.cells import one_thread
from ...runs.records import run_provenance
from ...scans.seeds import seed_of
from .questions import (
    KINDS,
    QUESTIONS,
    Asked,
    Scorer,
    baselines,
    by_towers,
    organ_scores,
    retrieve,
    sentences_of,
    teaching_pairs,
    wordings,
)

ANOTHER_SCANNER = Knobs(noise=25, uncertain=True)  # twice the usual noise, and another hospital's tables
PROMPTS = {"word": word_prompt, "sentence": sentence_prompt}
FOR_THRESHOLDS = 40  # taught studies on which Youden's thresholds are chosen


@dataclass(frozen=True)
class Row:
    """A selector.  towers: "own", "toy CLIP" (taught on drawings before) or "toy CLIP from scratch"."""

    towers: str
    kinds: tuple[str, ...] = KINDS
    permuted: bool = False
    taught: bool = True


ROWS = {
    "own towers": Row("own"),
    "own towers, lesions only": Row("own", kinds=("finding",)),
    "own towers, permuted": Row("own", permuted=True),
    "toy CLIP, as it is": Row("toy CLIP", taught=False),
    "toy CLIP, fine-tuned": Row("toy CLIP"),
    "toy CLIP, from scratch": Row("toy CLIP from scratch"),
}
MAIN = "own towers"  # the row that is asked everything


@dataclass(frozen=True)
class Cohort:
    """One cohort of the study.  Work for `runs.runner`."""

    number: int
    use: str = "abdomens"  # of `scans.seeds`, with a pool called so
    studies: int = 300
    tested: int = 100
    pairs: int = 8000
    epochs: int = 15
    size: int = 64

    def path(self, out: str | Path) -> Path:
        return Path(out).absolute() / f"cohort{self.number:03d}.json"

    def taught_on(self, jobs: int = 1, progress: bool = False) -> list[Series]:
        seed = seed_of(self.use, self.number)
        return make_series(seed, self.studies, self.size, jobs=jobs, progress=progress)

    def tested_on(self, knobs: Knobs | None = None, jobs: int = 1, progress: bool = False) -> list[Series]:
        """The same patients for every cohort, of whom none is in any."""
        seed = seed_of(f"{self.use} pool", 0)
        return make_series(seed, self.tested, self.size, knobs=knobs, jobs=jobs, progress=progress)

    def towers(self, name: str, taught_on: Sequence[Series]) -> tuple[nn.Module, list[float]]:
        """The selector of a row and its losses, by epoch."""
        row = ROWS[name]
        images, texts = teaching_pairs(taught_on, self.pairs, row.kinds, seed=self.number, permuted=row.permuted)
        torch.manual_seed(self.number)
        if row.towers == "own":
            towers = SliceTowers()
        else:
            clip = tiny_clip.TinyCLIP(self.number) if row.towers == "toy CLIP from scratch" else taught_on_drawings()
            towers = PictureTowers(clip.with_words(texts))
        if not row.taught:
            return towers, []
        return towers, train_selector(towers, images, texts, epochs=self.epochs, seed=self.number, progress=False)

    def record(self) -> dict[str, Any]:
        start = time.monotonic()
        with one_thread():
            taught_on, tested_on = self.taught_on(), self.tested_on()
            asked = {"as written": sentences_of(tested_on), "held-out grammar": sentences_of(tested_on, "held_out")}
            asked["another scanner"] = sentences_of(self.tested_on(ANOTHER_SCANNER))
            texts = [text for pairs in asked.values() for text in wordings(pairs)]
            encode_text([*texts, *(prompt(o) for prompt in PROMPTS.values() for o in ORGANS)], "minilm")  # at once
            answers = {name: _answers(score, asked, False) for name, score in baselines(taught_on).items()}
            losses, organs = {}, {}
            for name in ROWS:
                towers, losses[name] = self.towers(name, taught_on)
                score = by_towers(towers)
                answers[name] = _answers(score, asked, name == MAIN)
                if not ROWS[name].permuted:
                    organs[name] = _organs(score, taught_on[:FOR_THRESHOLDS], tested_on)
        return {
            **run_provenance(),
            "settings": asdict(self),
            "data": {"source": {"kind": "phantom", "room": "abdomen"}, "another scanner": asdict(ANOTHER_SCANNER)},
            "losses": losses,
            "answers": answers,
            "organs": organs,
            "seconds": round(time.monotonic() - start, 1),
        }


def taught_on_drawings() -> tiny_clip.TinyCLIP:
    """The toy CLIP of the zero-shot chapter, taught as there."""
    model = tiny_clip.TinyCLIP()

    def teach(path: Path) -> None:
        seen, _ = tiny_clip.compositions()
        which = seen * 100
        templates = np.random.default_rng(0).choice(tiny_clip.TEMPLATES, len(which))
        captions = [tiny_clip.caption(c, t) for c, t in zip(which, templates, strict=True)]
        label = torch.arange(len(which)) % len(seen)
        data = {"image": tiny_clip.draw(which), "tokens": tiny_clip.tokenize(captions), "label": label}
        options = dict(epochs=10, batch_size=128, lr=2e-3, full_precision=True, progress=False)
        fit(model, data, tiny_clip.contrastive, **options)
        with written_whole(path) as temporary:
            save_file({name: w.contiguous() for name, w in model.state_dict().items()}, temporary)

    model.load_state_dict(load_file(made_once("toy_clip", [10, 100], teach)))
    return model


def _answers(score: Scorer, asked: dict[str, list[Asked]], more: bool) -> dict[str, dict[str, np.ndarray]]:
    """What is asked -> the columns of `retrieve`, (N,) float32 each.  more: also other wordings, scanners, controls."""
    first = next(iter(asked.values()))
    todo = {name: (pairs, "as written") for name, pairs in asked.items()}
    todo |= {question: (first, question) for question in QUESTIONS}
    tables = {name: retrieve(score, *todo[name]) for name in (todo if more else ["as written"])}
    return {
        name: {column: np.float32(table[column]) for column in table.drop(columns="organ")}
        for name, table in tables.items()
    }


def _organs(score: Scorer, taught_on: Sequence[Series], tested_on: Sequence[Series]) -> dict[str, dict[str, list]]:
    """Prompt -> organ -> accuracy and F1 in test slices, at Youden's threshold on slices of taught studies."""
    found = {}
    for name, prompt in PROMPTS.items():
        *train, _ = organ_scores(score, taught_on, prompt)
        *test, patient = organ_scores(score, tested_on, prompt)
        table = presence(tuple(train), tuple(test), patient, ORGANS)["value"].unstack()
        found[name] = {organ: [round(float(table.loc[organ, m]), 4) for m in PRESENCE] for organ in ORGANS}
    return found
