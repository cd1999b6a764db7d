"""The rows of the paper's tables and the controls, as `data/rows.json` declares them."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import pandas as pd

from .errors import InputError
from .experiments import Recipe
from .paths import data_file

METHODS = ("train", "pretext", "radiomics", "zero_shot")


@dataclass(frozen=True)
class Row:
    """One row, as `data/rows.json` declares it."""

    name: str
    set: str
    printed: tuple[tuple[int, str], ...] = ()  # (table, model) in paper_tables.csv
    method: str = "train"
    config: Mapping = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)
    cohort: Mapping = field(default_factory=dict)
    pools: tuple[str, ...] = ("standard",)
    zero_shot: Mapping = field(default_factory=dict)

    @property
    def departures(self) -> dict:
        """What sets the row apart from Liver-VLM trained from scratch: it names the row's records.

        Defaults are left out, so that a setting that is added to the package later renames no record of before.
        """
        recipe = {key: value for key, value in asdict(self.recipe).items() if value != getattr(Recipe(), key)}
        parts = {"config": self.config, "recipe": recipe, "cohort": self.cohort, "zero_shot": self.zero_shot}
        return {"method": self.method, **{key: dict(value) for key, value in parts.items() if value}}

    @property
    def needs(self) -> str:
        """What it takes to run, in words."""
        if self.method == "zero_shot":
            return f"the weights of {self.zero_shot['model']}"
        if self.recipe.init == "imagenet":
            return "ImageNet weights"
        return "nothing that is not here" if self.method != "train" else "the profile's text encoder"

    @property
    def printed_figures(self) -> dict[str, tuple[float, float]]:
        """The paper's (mean, sd) by metric; empty for a control."""
        table = pd.read_csv(data_file("paper_tables.csv"))
        mine = table[[(t, m) in self.printed for t, m in zip(table["table"], table["model"], strict=True)]]
        return {r.metric: (r.mean, r.std) for r in mine.drop_duplicates("metric").itertuples()}


@functools.cache
def declared() -> dict:
    """`data/rows.json`: pools, contrasts and rows."""
    return json.loads(data_file("rows.json").read_text(encoding="utf-8"))


@functools.cache
def all_rows() -> dict[str, Row]:
    """Every row by name, in the order in which they run."""
    found = {}
    for entry in declared()["rows"]:
        printed = tuple((table, model) for table, model in entry.get("printed", ()))
        config = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.get("config", {}).items()}
        made = {"printed": printed, "config": config, "recipe": Recipe(**entry.get("recipe", {}))}
        row = Row(**entry | made | {"pools": tuple(entry.get("pools", ("standard",)))})
        if row.method not in METHODS:
            raise InputError(
                f"rows.json: row {row.name!r} has method {row.method!r}: choose one of {', '.join(METHODS)}"
            )
        found[row.name] = row
    return found


def select(names: Sequence[str] = (), table: int | None = None, set: str | None = None) -> list[Row]:
    """The rows called so, printed in that table, or of that set; all where nothing is asked for."""
    unknown = [name for name in names if name not in all_rows()]
    if unknown:
        raise InputError(f"row {unknown[0]!r} is unknown: `livervlm reproduce --list` names them")
    chosen = [
        row
        for row in all_rows().values()
        if (not names or row.name in names) and (table is None or table in dict(row.printed)) and set in (None, row.set)
    ]
    if not chosen:
        raise InputError(f"no row in table {table}, set {set}: `livervlm reproduce --list` shows tables and sets")
    return chosen
