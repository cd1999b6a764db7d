"""Make `data/text_bank_minilm.safetensors`: MiniLM features of every prompt of the book.

    python book/tools/text_bank.py

Run it after changing `data/prompts.json`.  It needs the encoder's weights; reading the book then needs none.
"""

import itertools

from livervlm.lesions import CLASS_NAMES
from livervlm.paths import data_file
from livervlm.phases import PHASE_NAMES
from livervlm.prompts import prompts_by_order, templates
from livervlm.text import run_encoder, write_bank


def book_prompts() -> list[str]:
    """Every prompt of every template for any two to four phases in acquisition order, and all their orders."""
    protocols = itertools.chain.from_iterable(itertools.combinations(PHASE_NAMES, k) for k in (2, 3, 4))
    prompts = [
        prompt
        for phases in protocols
        for template in templates()
        for order in prompts_by_order(template, tuple(CLASS_NAMES), phases)
        for variants in order
        for prompt in variants
    ]
    return list(dict.fromkeys(prompts))


if __name__ == "__main__":
    prompts = book_prompts()
    write_bank(
        data_file("text_bank_minilm.safetensors"),
        dict(zip(prompts, run_encoder(prompts, "minilm"), strict=True)),
    )
    print(f"{len(prompts)} prompts encoded")
