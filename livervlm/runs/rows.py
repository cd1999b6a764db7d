"""The rows of the paper's tables and the controls, as `data/rows.json` declares them, and the protocols they run by."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from ..base.errors import InputError
from ..base.paths import data_file
from ..models.settings import Config, LiLNetSettings, Recipe
from ..phantom.patients import N_GROUPS
from .methods import METHODS, Method, Trained

COHORT = {"aligned", "classes", "patients", "phases", "version"}  # arguments of `make_cohort` that a row may give
KEYS = ("name", "set", "printed", "method", "seed", "cohort", "pools")  # of an entry, beside those of its method


@dataclass(frozen=True)
class Protocol:
    """cohorts, pool: the uses in `seeds.SEEDS` of its cohorts and of its test patients.

    With a pool a cohort is trained on whole.  Without one it is cross-validated over `folds`: its own groups, or with
    `dealt`, a seed, groups to which its patients are dealt anew.  uncertain: every cohort has a phantom drawn anew.
    curves: keep a learning curve on the test patients.
    """

    cohorts: str
    pool: str | None = None
    uncertain: bool = False
    curves: bool = False
    folds: int = N_GROUPS
    dealt: int | None = None


PROTOCOLS = {
    "paper": Protocol("book"),
    "population": Protocol("population", "population pool", uncertain=True),
    # Settings are chosen on it, and nothing is compared.
    "development": Protocol("development", "development pool", uncertain=True, curves=True),
    # What a laboratory would find inside one hospital of the population.
    "inside": Protocol("population", uncertain=True),
    "inside-ten": Protocol("population", uncertain=True, folds=10, dealt=0),
    "inside-again": Protocol("population", uncertain=True, dealt=1),
}


@dataclass(frozen=True)
class Row:
    """One row: a method on cohorts of phantom patients.

    printed: (table, model) in `data/paper_tables.csv`.  seed: which of several draws of a cohort's weights and steps.
    cohort: arguments of `make_cohort`.  pools: names of the pools
    that it is tested on, in `data/rows.json`; the first is the one that is compared.
    """

    name: str
    set: str
    method: Method = field(default_factory=Trained)
    printed: tuple[tuple[int, str], ...] = ()
    seed: int = 0
    cohort: Mapping = field(default_factory=dict)
    pools: tuple[str, ...] = ("standard",)

    @property
    def departures(self) -> dict:
        """What sets the row apart from Liver-VLM trained from scratch: it names the row's records.

        Defaults are left out, so that a setting that is added to the package later renames no record of before.
        """
        cohort = {"cohort": dict(self.cohort)} if self.cohort else {}
        seed = {"seed": self.seed} if self.seed else {}
        return {"method": self.method.name, **self.method.settings, **cohort, **seed}

    @property
    def printed_figures(self) -> dict[str, tuple[float, float]]:
        """The paper's (mean, sd) by metric; empty for a control."""
        table = pd.read_csv(data_file("paper_tables.csv"))
        mine = table[[(t, m) in self.printed for t, m in zip(table["table"], table["model"], strict=True)]]
        return {r.metric: (r.mean, r.std) for r in mine.drop_duplicates("metric").itertuples()}


@functools.cache
def declared() -> dict:
    """`data/rows.json`: plan, pools, contrasts and rows."""
    return read_declared(data_file("rows.json"))


def read_declared(path: Path) -> dict:
    """A file like `data/rows.json`, checked.

    Raises `InputError`, with the row's name, where `row_of` does, for an unknown pool and a name that stands twice, and
    for a row that is compared and whose set has no number of cohorts in the plan.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path.name}: not JSON, {error}") from error
    rows: dict[str, Row] = {}
    for entry in found["rows"]:
        where = f"{path.name}: row {entry.get('name')!r}"
        try:
            row = row_of(entry)
        except InputError as error:
            raise InputError(f"{where} {error}") from error
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise InputError(f"{where} cannot be read: {error}") from error
        if row.name in rows:
            raise InputError(f"{where} stands there twice: give one of them another name")
        if strange := [pool for pool in row.pools if pool not in found["pools"]]:
            raise InputError(f"{where} is tested on {strange[0]!r}: the pools are {', '.join(found['pools'])}")
        rows[row.name] = row
    for contrast in (one for family in found["contrasts"].values() for one in family):
        for side in (contrast["better"], contrast["worse"]):
            if side not in rows:
                raise InputError(f"{path.name}: contrast {contrast['name']!r} compares {side!r}, which is no row")
            if rows[side].set not in found["plan"]["cohorts"]:
                where = f"{path.name}: row {side!r} is compared"
                raise InputError(f"{where}, and the plan has no number of cohorts for its set {rows[side].set!r}")
    return found


@functools.cache
def all_rows() -> dict[str, Row]:
    """Every row by name, in the order in which they run."""
    return {entry["name"]: row_of(entry) for entry in declared()["rows"]}


def awaited(row: Row, protocol: str) -> int:
    """How many cohorts of a row must be there before anything is compared; 0 where no plan says it.

    The plan's number or, where the runs of the row's set have ended for good with fewer, the number that was reached.
    """
    if PROTOCOLS[protocol].cohorts != "population":
        return 0
    plan = declared()["plan"]
    planned = plan["protocols"].get(protocol, plan["cohorts"].get(row.set, 0))
    return min(planned, plan["ended"].get(row.set, planned))


def row_named(name: str) -> Row:
    """One of them; an `InputError` for a name that no row has."""
    try:
        return all_rows()[name]
    except KeyError:
        near = get_close_matches(name, all_rows(), 1, 0.6)
        hint = f"is it {near[0]!r}?" if near else "`livervlm reproduce --list` shows them"
        raise InputError(f"no row is named {name!r}; {hint}") from None


def row_of(entry: Mapping) -> Row:
    """The row that an entry of `rows.json` declares; an `InputError` for an unknown method or key."""
    name = entry.get("method", Trained.name)
    if name not in METHODS:
        raise InputError(f"has method {name!r}: choose one of {', '.join(METHODS)}")
    method = METHODS[name]
    known = {"its entry": {*KEYS, *(one.name for one in fields(method))}, "cohort": COHORT}
    kinds = {"config": Config, "recipe": Recipe, "lilnet": LiLNetSettings}
    known |= {part: {one.name for one in fields(kind)} for part, kind in kinds.items()}
    for part in ("config", "lilnet"):
        known[part] -= {"classes", "phases"}  # which belong to the data
    for part, given in {"its entry": entry, **{part: entry.get(part, {}) for part in known if part in entry}}.items():
        if strange := [key for key in given if key not in known[part]]:
            raise InputError(f"has {strange[0]!r} in {part}: it may have {', '.join(sorted(known[part]))}")
    if missing := [key for key in ("name", "set") if key not in entry]:
        raise InputError(f"has no {missing[0]!r}")
    settings = {one.name: entry[one.name] for one in fields(method) if one.name in entry}
    if "recipe" in settings:
        settings["recipe"] = Recipe(**settings["recipe"])
    if "config" in settings:  # of a model, whose lists are tuples
        settings["config"] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings["config"].items()}
    made = {"method": method(**settings), "printed": tuple((t, model) for t, model in entry.get("printed", ()))}
    kept = {key: entry[key] for key in ("name", "set", "seed", "cohort") if key in entry}
    return Row(**kept, **made, pools=tuple(entry.get("pools", ("standard",))))


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
