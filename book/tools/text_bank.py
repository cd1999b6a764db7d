"""Make `data/text_bank_minilm.safetensors`: MiniLM features of every prompt of the book.

    python book/tools/text_bank.py

Run it after changing `data/prompts.json`.  It needs the encoder's weights; reading the book then needs none.
"""

import itertools

from livervlm.lesions import CLASS_NAMES
from livervlm.paths import data_file
from livervlm.phases import PHASE_NAMES
from livervlm.prompts import descriptions, prompts_by_order, templates
from livervlm.text import run_encoder, write_bank


def book_prompts() -> list[str]:
    """Names and descriptions of the classes, and every prompt of every template for any two to four phases, in all
    orders of those."""
    protocols = itertools.chain.from_iterable(itertools.combinations(PHASE_NAMES, k) for k in (2, 3, 4))
    prompts = [
        prompt
        for phases in protocols
        for template in templates()
        for order in prompts_by_order(template, tuple(CLASS_NAMES), phases)
        for variants in order
        for prompt in variants
    ]
    return list(dict.fromkeys([*CLASS_NAMES.values(), *descriptions().values(), *prompts]))


if __name__ == "__main__":
    prompts = book_prompts()
    write_bank(
        data_file("text_bank_minilm.safetensors"),
        dict(zip(prompts, run_encoder(prompts, "minilm"), strict=True)),
    )
    print(f"{len(prompts)} prompts encoded")
