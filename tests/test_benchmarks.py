"""The benchmarks: what they write, and that the page of the book shows it."""

import ast
import json
import os
from importlib import import_module
from pathlib import Path
from unittest import mock

import bench
import numpy as np
import pytest
import small_network
from common import Figure, in_turn

ROOT = Path(__file__).resolve().parents[1]
OWN = {"livervlm", *(p.stem for folder in ("benchmarks", "tests", "book/tools") for p in (ROOT / folder).glob("*.py"))}
RESULTS = json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("value", "goal", "met"), [(8, ">= 8", True), (7.9, ">= 8", False), (1, "<= 1", True), (1.01, "<= 1", False)]
)
def test_a_goal_is_met_or_missed(value, goal, met):
    assert Figure("a", value, "s", goal=goal).met is met
    assert Figure("a", value, "s").met is None


def test_the_page_shows_every_figure_with_its_goal_and_its_machine():
    figures = [
        vars(Figure("a step", 0.98, "times", "a bare loop", "<= 1")),
        vars(Figure("maps", 16, "times", "", ">= 20")),
    ]
    page = bench.page({"training": {"date": "2026-01-01", "environment": {"cores": "2"}, "figures": figures}})
    assert "| a step | 0.980 times a bare loop | <= 1: met |" in page
    assert "| maps | 16.0 times | >= 20: **missed** |" in page
    assert page.endswith("2026-01-01; cores 2.\n")


def test_the_committed_page_is_that_of_the_committed_results():
    assert (ROOT / "benchmarks" / "results.md").read_text(encoding="utf-8") == bench.page(RESULTS)
    assert set(RESULTS) <= set(bench.TITLES)


def test_every_benchmark_is_a_file_and_every_file_of_figures_is_named():
    files = {p.stem for p in (ROOT / "benchmarks").glob("*.py") if "def measure()" in p.read_text(encoding="utf-8")}
    assert files == set(bench.TITLES)


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda file: file.stem)
def test_every_benchmark_imports_what_is_there(file):
    """Within its functions, too, which no other test runs."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    own = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in OWN]
    with mock.patch.dict(os.environ):
        try:
            import_module(file.stem)
        except ModuleNotFoundError as error:
            if error.name.split(".")[0] in OWN:
                raise
            pytest.skip(f"{error.name} is not installed")
        for node in own:
            found = import_module(node.module)
            for name in (alias.name for alias in node.names):
                assert hasattr(found, name) or import_module(f"{node.module}.{name}")


def test_calls_are_timed_in_turn_after_one_that_is_not_counted():
    calls = []
    found = in_turn(lambda: calls.append("a"), lambda: calls.append("b"), repeats=2)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert len(found) == 2


def test_an_unknown_benchmark_is_refused():
    with pytest.raises(SystemExit, match="no benchmark 'speed': choose of training, folds"):
        bench.main(["speed"])


def test_a_failure_keeps_the_last_figures_and_is_told_at_the_end(tmp_path, monkeypatch):
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    monkeypatch.setattr(bench, "HERE", tmp_path)
    monkeypatch.setattr(bench.subprocess, "run", lambda *_, **__: bench.subprocess.CompletedProcess([], 1, ""))
    with pytest.raises(SystemExit, match="failed, and their last figures stay: training, size"):
        bench.main(["training", "size"])
    assert json.loads((tmp_path / "results.json").read_text()) == RESULTS


def test_of_damaged_inputs_each_was_read_or_refused():
    found = json.loads((ROOT / "benchmarks" / "fuzz.json").read_text(encoding="utf-8"))
    assert found["inputs"] >= 3000
    assert found["counts"]["read"] + found["counts"]["refused"] == found["inputs"]
    assert {name for name, n in found["counts"].items() if n} == {"read", "refused"}
    assert sum(sum(counts.values()) for counts in found["formats"].values()) == found["inputs"]


def test_the_plan_of_the_small_network_shows_what_its_records_say():
    text = (ROOT / "data" / "results" / "small_network.md").read_text(encoding="utf-8")
    printed = small_network.table(ROOT / "data" / "results" / "development" / "small-network", small_network.COHORTS)
    assert [line for line in printed.splitlines() if line not in text] == []


def test_the_small_network_was_right_as_often_as_resnet18_in_a_tenth_of_the_time():
    """As the chapter *Liver-VLM* says: 48 pixels, eight epochs, moved pictures, twelve development cohorts."""
    folder, of = ROOT / "data" / "results" / "development" / "small-network", {}
    for network in ((16, 1), small_network.RESNET18):
        trials = [small_network.Trial(c, 48, 8, *network, True) for c in range(small_network.COHORTS)]
        records = [small_network.read_record(trial.path(folder)) for trial in trials]
        of[network] = np.array([[r["tests"]["standard"]["accuracy"], r["training seconds"]["cpu"]] for r in records])
    small, large = of.values()
    low, high = small_network.mean_t(small[:, 0] - large[:, 0]).interval()
    assert low < 0 < high
    assert max(-low, high) < 3
    assert small[:, 1].mean() < 0.11 * large[:, 1].mean()
