"""Rows, contrasts and pools as `data/rows.json` declares them, and the plans that list them."""

import inspect
import json
import re
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pandas as pd
import pytest

from livervlm.base.errors import InputError
from livervlm.base.paths import data_file
from livervlm.base.profiles import PROFILES
from livervlm.models.settings import Config, Recipe
from livervlm.phantom.cohort import make_cohort
from livervlm.runs.cells import Cell, cells
from livervlm.runs.methods import Method, Trained
from livervlm.runs.results import Runs
from livervlm.runs.rows import COHORT, PROTOCOLS, all_rows, awaited, declared, read_declared, row_named, select
from livervlm.scans.conventions import LIVER_VLM_CLASSES


def test_every_printed_row_is_declared_and_every_declared_row_is_printed():
    table = pd.read_csv(data_file("paper_tables.csv"))
    printed = set(zip(table["table"], table["model"], strict=True))
    assert {one for row in all_rows().values() for one in row.printed} == printed


def test_every_declared_setting_exists():
    pools, known = declared()["pools"], set(all_rows())
    for row in all_rows().values():
        if isinstance(row.method, Trained):
            assert Config(LIVER_VLM_CLASSES, ("NC", "ART", "PV"), **row.method.config)
        assert set(row.pools) <= set(pools)
        assert row.method.needs
    for contrast in (one for family in declared()["contrasts"].values() for one in family):
        assert {contrast["better"], contrast["worse"]} <= known
        if contrast["table"]:
            tables = [dict(all_rows()[contrast[side]].printed) for side in ("better", "worse")]
            assert all(contrast["table"] in printed for printed in tables)


def test_the_plan_lists_the_contrasts_that_are_declared():
    plan = data_file("results/analysis.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| (?:Table (\d)|control) \|$", plan, re.MULTILINE)
    written = [(name, better, worse, int(table) if table else None) for name, better, worse, table in lines]
    order = ("name", "better", "worse", "table")
    assert written == [tuple(c[key] for key in order) for c in declared()["contrasts"]["claims"]]


@pytest.mark.parametrize("family", ["ordinary augmentation", "version 3"])
def test_the_plan_of_a_family_lists_its_contrasts_and_their_cohorts(family):
    plan = data_file(f"results/{family.replace(' ', '_')}.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| (\d+) \|$", plan, re.MULTILINE)
    cohorts = {row.name: declared()["plan"]["cohorts"].get(row.set) for row in all_rows().values()}
    found = [(c["name"], c["better"], c["worse"]) for c in declared()["contrasts"][family]]
    assert lines == [(*one, str(min(cohorts[side] for side in one[1:]))) for one in found]


def test_printed_figures_are_the_papers():
    assert all_rows()["model 1"].printed_figures["acc"] == (85.09, 3.89)
    assert all_rows()["radiomics"].printed_figures == {}


def test_rows_are_selected_by_name_table_and_set():
    assert [row.name for row in select(["scratch"])] == ["scratch"]
    assert {row.name for row in select(table=7)} == {"model 0", "model 1", "model 2"}
    assert all(row.set == "controls" for row in select(set="controls"))
    assert len(select()) == len(all_rows())
    with pytest.raises(InputError, match="row 'model 9' is unknown: `livervlm reproduce --list`"):
        select(["model 9"])
    with pytest.raises(InputError, match="no row in table 7, set zero-shot"):
        select(table=7, set="zero-shot")


def test_a_cells_record_is_named_by_all_that_decides_it(quick, tmp_path):
    cell = Cell(all_rows()["model 1"], "population", 3, None, quick, 20)
    others = [
        replace(cell, profile=replace(quick, epochs=7)),
        replace(cell, test_patients=21),
        replace(cell, row=replace(cell.row, method=Trained(recipe=Recipe("simsiam")))),
        replace(cell, row=replace(cell.row, method=Trained({"template": "simple"}, cell.row.method.recipe))),
        replace(cell, row=replace(cell.row, cohort={"aligned": False})),
        replace(cell, row=replace(cell.row, pools=("misregistered",))),
        replace(cell, cohort=4),
        replace(cell, protocol="development"),
    ]
    assert len({one.path(tmp_path) for one in (cell, *others)}) == len(others) + 1
    renamed = replace(cell, row=replace(cell.row, set="other", printed=()))
    assert renamed.path(tmp_path) == cell.path(tmp_path)
    assert cell.row.departures == {"method": "train", "recipe": {"init": "phase_shuffle"}}  # no default names a file


def test_a_row_says_its_network_and_recipe_itself_and_a_profile_only_sizes_it(quick, tmp_path):
    small = replace(quick, encoder="resnet10_narrow", geometry="affine")
    (cell,), (same,) = (cells([all_rows()["scratch"]], "population", 1, profile, 20) for profile in (quick, small))
    assert cell == same
    assert cell.path(tmp_path) == same.path(tmp_path)


def broken(tmp_path, change):
    """A copy of what is declared, changed."""
    found = json.loads(data_file("rows.json").read_text(encoding="utf-8"))
    change(found)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(found))
    return path


ROW = {"name": "mine", "set": "core"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**ROW, "colour": 1}, "row 'mine' has 'colour' in its entry: it may have cohort, config, method"),
        ({**ROW, "method": "forest"}, "row 'mine' has method 'forest': choose one of train, lilnet, pretext"),
        ({**ROW, "config": {"tempalte": 1}}, "row 'mine' has 'tempalte' in config: it may have class_names, encoder"),
        ({**ROW, "config": {"classes": ["CYST"]}}, "row 'mine' has 'classes' in config"),
        ({**ROW, "recipe": {"steps": 3}}, "row 'mine' has 'steps' in recipe: it may have augmentation"),
        ({**ROW, "recipe": {"init": "magic"}}, "row 'mine' recipe: init 'magic' is unknown: choose one of scratch"),
        (
            {**ROW, "method": "lilnet", "lilnet": {"mask": 1}},
            "row 'mine' has 'mask' in lilnet: it may have answer, beta",
        ),
        (
            {**ROW, "method": "lilnet", "lilnet": {"depths": 2}},
            "row 'mine' LiLNet: depths 2 is unknown: choose one of both",
        ),
        ({**ROW, "cohort": {"patient": 20}}, "row 'mine' has 'patient' in cohort: it may have aligned, classes, pat"),
        ({**ROW, "method": "radiomics", "config": {}}, "row 'mine' has 'config' in its entry"),
        ({**ROW, "method": "zero_shot", "zero_shot": {"modle": "clip"}}, "row 'mine' zero_shot: name the `model`"),
        ({**ROW, "method": ["train"]}, "row 'mine' cannot be read: "),
        ({**ROW, "printed": [7, "Model 0"]}, "row 'mine' cannot be read: "),
        ({**ROW, "pools": ["noon"]}, "row 'mine' is tested on 'noon': the pools are standard"),
        ({"name": "mine"}, "row 'mine' has no 'set'"),
        ({**ROW, "name": "radiomics"}, "row 'radiomics' stands there twice"),
    ],
)
def test_a_row_that_is_wrong_is_refused_by_its_name(tmp_path, entry, message):
    with pytest.raises(InputError, match=rf"rows\.json: {message}") as caught:
        read_declared(broken(tmp_path, lambda found: found["rows"].append(entry)))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_json_is_refused(tmp_path):
    (tmp_path / "rows.json").write_text('{"rows": [}')
    with pytest.raises(InputError, match=r"rows\.json: not JSON, Expecting value: line 1"):
        read_declared(tmp_path / "rows.json")


def test_a_row_may_give_arguments_of_a_cohort_that_there_are():
    assert set(inspect.signature(make_cohort).parameters) >= COHORT


def test_a_method_may_have_settings_of_any_kind():
    @dataclass(frozen=True)
    class Own(Method):
        name: ClassVar[str] = "own"
        k: int = 5
        recipe: Recipe = field(default_factory=Recipe)

    assert Own().settings == {}
    assert Own(k=0, recipe=Recipe(epochs=2)).settings == {"k": 0, "recipe": {"epochs": 2}}


def test_a_row_that_is_compared_needs_a_plan(tmp_path):
    with pytest.raises(InputError, match="row 'model 1' is compared, and the plan has no number of cohorts"):
        read_declared(broken(tmp_path, lambda found: found["plan"]["cohorts"].pop("core")))
    other = {"name": "new", "better": "scratch", "worse": "nobody"}
    with pytest.raises(InputError, match="contrast 'new' compares 'nobody', which is no row"):
        read_declared(broken(tmp_path, lambda found: found["contrasts"]["claims"].append(other)))


def test_the_plan_speaks_of_protocols_profiles_and_sets_that_there_are():
    plan, sets = declared()["plan"], {row.set for row in all_rows().values()}
    assert set(plan["protocols"]) <= set(PROTOCOLS)
    assert set(plan["profiles"].values()) <= set(PROFILES)
    assert {*plan["profiles"], *plan["ended"], *plan["cohorts"]} <= sets
    assert all(n < plan["cohorts"][name] for name, n in plan["ended"].items())


@pytest.mark.parametrize(
    ("protocol", "ended", "number"),
    [
        *[("population", None, 30), ("inside", None, 30), ("inside-ten", None, 10), ("inside-again", None, 10)],
        *[("paper", None, 0), ("development", None, 0)],
        *[("population", 17, 17), ("inside", 17, 17), ("inside-ten", 17, 10), ("inside-ten", 7, 7)],
    ],
)
def test_so_many_cohorts_are_awaited_before_anything_is_compared(protocol, ended, number, monkeypatch):
    row = all_rows()["narrow: scratch"]
    if ended:
        monkeypatch.setitem(declared()["plan"]["ended"], row.set, ended)
    assert awaited(row, protocol) == number


def test_an_unknown_name_is_one_line_with_the_nearest():
    assert row_named("model 1").name == "model 1"
    with pytest.raises(InputError, match=r"no row is named 'modell 1'; is it 'model 1'\?"):
        Runs().accuracy("modell 1")
    with pytest.raises(InputError, match="`livervlm reproduce --list` shows them"):
        row_named("?")
