"""Prompts: templates as data, class and phase names spelled out, built from the phases present (section 3.3)."""

import functools
import json
from collections.abc import Sequence

from ..base.errors import InputError
from ..base.paths import data_file
from ..scans.conventions import CLASS_NAMES, PHASE_NAMES
from ..scans.phases import order_names, some_of


def templates() -> dict[str, list[str]]:
    """Template name -> its templates: one for "simple", "enriched" and "unordered", 16 for "medical"."""
    return _data()["templates"]


def descriptions() -> dict[str, str]:
    """Class -> what it is, in words that do not hold its name."""
    return _data()["descriptions"]


@functools.cache
def _data() -> dict:
    return json.loads(data_file("prompts.json").read_text(encoding="utf-8"))


def build_prompt(template: str, class_name: str, phases: Sequence[str]) -> str:
    """Fill one template: `{class}` with the class's full name, `{phases}` with the phases in channel order.

    A class or phase that has no full name here stands as it is given.
    """
    names = [PHASE_NAMES.get(phase, phase).lower() + " phase" for phase in phases]
    filled = template.replace("{class}", CLASS_NAMES.get(class_name, class_name))
    return filled.replace("{phases}", ", ".join(names))


def prompts_by_order(
    name: str, classes: Sequence[str], phases: Sequence[str], incomplete: bool = False
) -> list[list[list[str]]]:
    """Prompts of a named template, [order][class][variant], one order per row of `phases.orders`.

    Templates that do not mention the phases say the same in every order.  incomplete: then also for slices that lack
    phases, in the order of `phases.some_of`.
    """
    if name not in templates():
        raise InputError(f"prompt template {name!r} is unknown: choose one of {', '.join(templates())}")
    return [
        [[build_prompt(template, c, order) for template in templates()[name]] for c in classes]
        for order in [*order_names(phases), *(some_of(phases) if incomplete else ())]
    ]
