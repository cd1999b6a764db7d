"""Which records of the declared rows are there, and that their plan was there before them."""

import subprocess

import pytest

from livervlm.base.paths import data_file
from livervlm.base.profiles import PROFILES
from livervlm.runs.cells import cells, coverage
from livervlm.runs.results import Runs
from livervlm.runs.rows import all_rows


def test_the_plan_is_older_than_the_first_record():
    git = ["git", "-C", str(data_file("results")), "log", "--reverse", "--format=%ct", "--diff-filter=A", "--"]
    if not (data_file("results").parents[1] / ".git").exists():
        pytest.skip("not a checkout")
    times = {
        what: subprocess.run([*git, what], capture_output=True, text=True, check=True).stdout.split()
        for what in ("analysis.md", "population", "paper")
    }
    if not times["analysis.md"]:
        pytest.skip("a checkout without its history")
    first = [int(found[0]) for name, found in times.items() if found and name != "analysis.md"]
    assert all(int(times["analysis.md"][0]) < time for time in first)


def test_every_row_has_records_or_a_stated_reason():
    found = coverage()
    assert list(found.index) == list(all_rows())
    without = found[(found["cohorts"] == 0) & (found["of five folds"] == 0)]
    assert (without["open"] != "").all()
    assert (found["cohorts"] <= 46).all()


def test_coverage_counts_every_protocol_under_the_profile_of_the_set(tmp_path):
    """Nothing is read: files of the right names are enough."""
    for row, protocol, profile, cohorts in (
        ("224 pixels: scratch", "population", "recorded-224", 2),
        ("ImageNet: scratch", "population", "recorded-128", 3),
        ("ImageNet: ImageNet", "population", "recorded", 3),  # not the profile of the plan
        ("narrow: scratch", "inside", "recorded", 2),
        ("narrow: scratch", "inside-ten", "recorded", 1),
        ("narrow: scratch", "inside-again", "recorded", 3),
        ("narrow: model 0", "paper", "recorded", 1),
    ):
        for cell in cells([all_rows()[row]], protocol, cohorts, PROFILES[profile]):
            cell.path(tmp_path).parent.mkdir(parents=True, exist_ok=True)
            cell.path(tmp_path).touch()
    cell.path(tmp_path).unlink()  # one of five folds: the cohort is not whole
    for cell in cells([all_rows()["narrow: model 1"]], "inside", 40, PROFILES["recorded"]):  # nor is any of forty
        if cell.fold < 4:
            cell.path(tmp_path).parent.mkdir(parents=True, exist_ok=True)
            cell.path(tmp_path).touch()
    assert not Runs("inside", tmp_path).complete("narrow: model 1")
    found = coverage(tmp_path).rename(columns={"of five folds": "paper"})
    there = found.drop(columns=["set", "planned", "open"]).stack()
    assert there[there > 0].to_dict() == {
        ("narrow: scratch", "inside"): 2,
        ("narrow: scratch", "inside-ten"): 1,
        ("narrow: scratch", "inside-again"): 3,
        ("224 pixels: scratch", "cohorts"): 2,
        ("ImageNet: scratch", "cohorts"): 3,
    }
    assert found.loc[["narrow: scratch", "224 pixels: scratch", "ImageNet: ImageNet"], "open"].tolist() == [
        *["", ""], "no record yet"
    ]  # fmt: skip


def test_coverage_counts_the_files_by_their_names(tmp_path):
    assert (coverage(tmp_path)[["cohorts", "of five folds"]] == 0).all(axis=None)
    found = coverage()
    for slug, name in {"model-1": "model 1", "misregistered": "misregistered"}.items():
        cohorts, folds = (len([*data_file(f"results/{p}/{slug}").glob("*.json")]) for p in ("population", "paper"))
        assert tuple(found.loc[name, ["cohorts", "of five folds"]]) == (cohorts, folds // 5)
