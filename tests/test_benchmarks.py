"""The benchmarks: what they write, and that the page of the book shows it."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import bench  # noqa: E402
from common import Figure, in_turn  # noqa: E402

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


def test_calls_are_timed_in_turn_after_one_that_is_not_counted():
    calls = []
    found = in_turn(lambda: calls.append("a"), lambda: calls.append("b"), repeats=2)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert len(found) == 2


def test_an_unknown_benchmark_is_refused():
    with pytest.raises(SystemExit, match="no benchmark 'speed': choose of training, folds"):
        bench.main(["speed"])
