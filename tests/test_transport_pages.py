"""What the chapter on the next hospital and the report show, without records and with all of them."""

import ast
import json

import numpy as np
import pandas as pd
import pytest
from conftest import cells_that_wait
from transport_records import COHORTS, LARGE, by_row

from livervlm.analyses import transport
from livervlm.analyses.transport import FEW, RESNET18, Transport
from livervlm.base.profiles import PROFILES
from livervlm.runs import results
from livervlm.runs.results import Runs
from livervlm.runs.rows import declared

pytest_plugins = ["transport_records"]
pytestmark = pytest.mark.usefixtures("few_resamples")


@pytest.fixture
def pages_of(tmp_path, monkeypatch):
    """Execute the cells of a chapter that show records, on those of this test; what each shows, and what it says."""
    monkeypatch.setattr(results, "data_file", lambda name: tmp_path)

    def execute(chapter, first, last, **given):
        said, shown = [], []
        names = {"np": np, "pd": pd, "say": said.append, "json": json, **given}
        sources = cells_that_wait(chapter, "")
        start, stop = (next(i for i, source in enumerate(sources) if text in source) for text in (first, last))
        for source in sources[start : stop + 1]:
            *body, end = ast.parse(source).body
            exec(compile(ast.Module(body, []), chapter, "exec"), names)
            if isinstance(end, ast.Expr):
                shown.append(eval(compile(ast.Expression(end.value), chapter, "eval"), names))
            else:
                exec(compile(ast.Module([end], []), chapter, "exec"), names)
        return [one for one in shown if isinstance(one, pd.DataFrame)], "\n".join(said)

    return execute


def test_without_records_the_chapter_shows_what_its_plan_asks(pages_of):
    tables, said = pages_of("next_hospital", "def once(", "rivals =")
    assert len(tables) == 7
    assert "Still running: protocol 'inside': 0 of 30 cohorts are there." in said
    assert "All this waits for the same records." in said
    assert tables[-1].drop(columns="n").isna().all(axis=None)


def test_with_all_records_the_chapter_makes_its_tables_and_computes_them_again(
    study, folded, tested, pages_of, few_cohorts, monkeypatch
):
    """The chapter's own asserts compare what it computes from the files with what the package computes."""
    monkeypatch.setattr(transport.prediction, "N_BOOT", 2000)  # as the chapter has
    for name in (RESNET18, "hospitals, second seed"):
        monkeypatch.setitem(declared()["plan"]["cohorts"], name, COHORTS)
    luck = np.random.default_rng(0).normal(0, 3, (5, 8, COHORTS)).round(2)
    inside, outside, next = (lambda i, cohort, n=n: 50 + 2 * i + luck[n, i, cohort] for n in range(3))
    made = study(share=lambda i, cohort: 0.5 + luck[3, i, cohort] / 30, inside=inside, outside=outside, next=next)
    for protocol in ("inside-ten", "inside-again"):
        folded(FEW, lambda i, cohort: 0.5 + 0.04 * i + 0.01 * cohort, protocol)
    seeds = ["second seed: scratch", "second seed: model 1"]
    tested(seeds, {"own hospital": lambda i, cohort: 50 + luck[2, i, cohort]})
    pools = {pool: lambda i, cohort, n=n: 50 + luck[n, i, cohort] for n, pool in ((3, "own hospital"), (4, "standard"))}
    tested(Transport(family=RESNET18).rows, pools)
    tested(*by_row("hospitals, geometric", {"model 1": luck[2, 0]}))
    tables, said = pages_of("next_hospital", "def once(", "rivals =")
    survived, chance, sizes, measures, errors, changed, gains = tables
    names = [name.removeprefix("narrow: ") for name in made.contrasts]
    for table in (survived, chance, sizes, changed):
        assert table.index.tolist() == names
    assert list(survived) == ["inside", "outside", "lost", "p, Holm", "word"]
    kinds = {"correlation": 2, "coverage": 8, "winner": 2}  # of two truths each; four kinds of intervals
    assert {kind: sum(name.startswith(kind) for name in measures.index) for kind in kinds} == kinds
    assert errors.loc["one other hospital", ["trainings", "other patients"]].tolist() == [1, 85]
    assert list(changed) == ["without", "with", "change", "verdict", "word"]
    assert (gains["n"] == COHORTS).all()
    assert gains.notna().all(axis=None)
    assert "could reach a correlation of" in said
    assert "ordinary augmentation affine" in said
    assert "come out as in the tables above" in said
    assert "running" not in said


@pytest.fixture
def report(pages_of):
    """The report's two tables on other sizes, and what it says of them."""
    verdict = pd.DataFrame({"verdict": "equivalent"}, [one["name"] for one in declared()["contrasts"]["claims"]])
    return lambda: pages_of("report", "large, pixels =", "begun =", runs=Runs(), judged=verdict, Runs=Runs)


def test_without_records_the_report_shows_what_it_has_of_other_sizes(report):
    (sizes, weights), said = report()
    assert sizes["64 px, ResNet18"].tolist() == ["equivalent"] * 8
    assert sizes["224 px, narrow"].tolist() == ["no verdict yet"] * 8
    assert sizes["n at 224"].tolist() == ["0 of 12"] * 8
    assert weights["verdict"].tolist() == ["no verdict yet"] * 8
    assert (weights[["difference", "low", "high"]] == "").all(axis=None)
    assert "Still running: 224 pixels: model 1 less 224 pixels: scratch, 224 pixels: 0 of 12" in said
    assert "What was run" not in said


def test_with_all_records_the_report_sets_other_sizes_beside_its_own(report, tested, few_cohorts, monkeypatch):
    for name, n in {"core": 4, "224 pixels": 4, "224 pixels, ResNet18": 3}.items():
        monkeypatch.setitem(declared()["plan"]["cohorts"], name, n)
    rows = ("scratch", "model 1", "model 2", "FC, phase shuffle")
    tested(rows, {"standard": lambda i, cohort: 50 + i}, 4)
    tested([f"224 pixels, ResNet18: {name}" for name in rows], {"standard": lambda i, cohort: 50 + i}, 3, LARGE)
    tested(*by_row("hospitals", {}))
    tested(*by_row("224 pixels", {"model 1": 8 + np.resize([0, 1], 99)}), 4, LARGE)
    tested(*by_row("ImageNet", {"ImageNet": np.full(99, 9.0)}), 6, PROFILES["recorded-128"])
    (sizes, weights), said = report()
    assert sizes.loc["phase shuffle against scratch"].tolist() == [
        "equivalent",
        "reproduced",
        "4 of 4",
        "another",
        "3",
        "3",
    ]
    assert sizes.loc["prompts against FC, augmented"].tolist() == [
        "equivalent",
        "equivalent",
        "4 of 4",
        "the same",
        "",
        "",
    ]
    assert weights.loc["Weights from ImageNet are better than random ones.", ["difference", "verdict"]].tolist() == [
        9, "reproduced"
    ]  # fmt: skip
    assert "pixels 224, epochs 20 / 40, text encoder minilm / none, network resnet10_narrow" in said
    assert "pixels 128, epochs 20, text encoder minilm, network efficientnet_lite0" in said
    assert "running" not in said
