"""Make `data/text_bank_minilm.safetensors`: MiniLM features of every prompt of the book.

    python book/tools/text_bank.py

Run it after changing `data/prompts.json`.  It needs the encoder's weights where a prompt is new; reading the book then
needs none.
"""

import itertools

from livervlm.base.paths import data_file
from livervlm.models.prompts import descriptions, prompts_by_order, templates
from livervlm.models.text import read_bank, run_encoder, write_bank
from livervlm.scans.conventions import CLASS_NAMES, PHASE_NAMES


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
    path, prompts = data_file("text_bank_minilm.safetensors"), book_prompts()
    known = read_bank(path)  # what is there stays as it is, to the bit, whatever machine adds to it
    missing = [prompt for prompt in prompts if prompt not in known]
    if missing:
        known |= dict(zip(missing, run_encoder(missing, "minilm"), strict=True))
    write_bank(path, {prompt: known[prompt] for prompt in prompts})
    print(f"{len(prompts)} prompts, {len(missing)} of them encoded now")
