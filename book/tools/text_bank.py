"""Make `data/text_bank_minilm.safetensors`: MiniLM features of every prompt of the book.

    python book/tools/text_bank.py

Run it after changing `data/prompts.json`, `data/sentences.json` or what the chapter on key slices asks.  It needs the
encoder's weights where a prompt is new; reading the book then needs none.
"""

import ast
import functools
import itertools
from pathlib import Path

import pages

from livervlm.analyses.key_slices import sentences_of, wordings
from livervlm.base.paths import data_file
from livervlm.book.moving.key_slice import slot_sentences
from livervlm.models.prompts import descriptions, prompts_by_order, templates
from livervlm.models.text import read_bank, run_encoder, write_bank
from livervlm.phantom.series import make_series
from livervlm.scans.conventions import CLASS_NAMES, PHASE_NAMES


@functools.cache
def key_slice_sentences() -> tuple[str, ...]:
    """What the chapter on key slices asks about its studies, and every sentence that its slots build."""
    book = pages.Book(Path(__file__).resolve().parents[2])
    (chapter,) = (source for source in book.sources if source.path.stem == "key_slices")
    code = ast.parse("\n".join(cell.source for cell in chapter.cells if cell.cell_type == "code"))
    (made,) = (n for n in ast.walk(code) if isinstance(n, ast.Call) and ast.unparse(n.func) == "make_series")
    studies = make_series(**{option.arg: ast.literal_eval(option.value) for option in made.keywords})
    (slots,) = (n for n in code.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "slots")
    return *slot_sentences(ast.literal_eval(slots.value)), *wordings(sentences_of(studies))


def book_prompts() -> list[str]:
    """Names and descriptions of the classes, every prompt of every template for any two to four phases, in all orders
    of those, and `key_slice_sentences`."""
    protocols = itertools.chain.from_iterable(itertools.combinations(PHASE_NAMES, k) for k in (2, 3, 4))
    prompts = [
        prompt
        for phases in protocols
        for template in templates()
        for order in prompts_by_order(template, tuple(CLASS_NAMES), phases)
        for variants in order
        for prompt in variants
    ]
    return list(dict.fromkeys([*CLASS_NAMES.values(), *descriptions().values(), *prompts, *key_slice_sentences()]))


if __name__ == "__main__":
    path, prompts = data_file("text_bank_minilm.safetensors"), book_prompts()
    known = read_bank(path)  # what is there stays as it is, to the bit, whatever machine adds to it
    missing = [prompt for prompt in prompts if prompt not in known]
    if missing:
        known |= dict(zip(missing, run_encoder(missing, "minilm"), strict=True))
    write_bank(path, {prompt: known[prompt] for prompt in prompts})
    print(f"{len(prompts)} prompts, {len(missing)} of them encoded now")
