"""Rows are declared whole; cells run once, stop anywhere, go on, and never run twice at the same time."""

import json
import os
import re
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from livervlm import reproduce
from livervlm import rows as declarations
from livervlm.cli import main
from livervlm.errors import InputError
from livervlm.experiments import Recipe
from livervlm.lesions import CLASS_NAMES
from livervlm.model import Config
from livervlm.paths import data_file
from livervlm.records import read_record
from livervlm.reproduce import Cell, cells, run, run_cell
from livervlm.results import Runs
from livervlm.rows import Row, all_rows, declared, select

SMALL = {"patients": 20}


@pytest.fixture
def house(quick, tiny_encoder, monkeypatch):
    """The rows on small cohorts and pools, with a small encoder, at 16 pixels and two epochs."""
    small = {name: replace(row, cohort={**row.cohort, **SMALL}) for name, row in all_rows().items()}
    monkeypatch.setattr(declarations, "all_rows", lambda: small)
    monkeypatch.setattr(reproduce, "CHUNK", 10)
    return lambda *names, protocol="paper", cohorts=1: cells(
        [small[name] for name in names], protocol, cohorts, quick, test_patients=20
    )


@pytest.fixture
def answered(monkeypatch):
    """The cells that are run."""
    seen, real = [], reproduce._answer
    monkeypatch.setattr(reproduce, "_answer", lambda cell: seen.append(cell) or real(cell))
    return seen


# -- What is declared -------------------------------------------------------------------------------------------------


def test_every_printed_row_is_declared_and_every_declared_row_is_printed():
    table = pd.read_csv(data_file("paper_tables.csv"))
    printed = set(zip(table["table"], table["model"], strict=True))
    assert {one for row in all_rows().values() for one in row.printed} == printed


def test_every_declared_setting_exists():
    pools, known = declared()["pools"], set(all_rows())
    for row in all_rows().values():
        assert Config(tuple(CLASS_NAMES), ("NC", "ART", "PV"), **row.config)
        assert set(row.pools) <= set(pools)
        assert row.needs
    for contrast in declared()["contrasts"]:
        assert {contrast["better"], contrast["worse"]} <= known
        if contrast["table"]:
            tables = [dict(all_rows()[contrast[side]].printed) for side in ("better", "worse")]
            assert all(contrast["table"] in printed for printed in tables)


def test_the_plan_lists_the_contrasts_that_are_declared():
    plan = data_file("results/analysis.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| (?:Table (\d)|control) \|$", plan, re.MULTILINE)
    written = [(name, better, worse, int(table) if table else None) for name, better, worse, table in lines]
    order = ("name", "better", "worse", "table")
    assert written == [tuple(c[key] for key in order) for c in declared()["contrasts"]]


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
        replace(cell, row=replace(cell.row, recipe=Recipe("simsiam"))),
        replace(cell, row=replace(cell.row, config={"template": "simple"})),
        replace(cell, row=replace(cell.row, cohort={"aligned": False})),
        replace(cell, row=replace(cell.row, pools=("misregistered",))),
        replace(cell, cohort=4),
        replace(cell, protocol="development"),
    ]
    assert len({one.path(tmp_path) for one in (cell, *others)}) == len(others) + 1
    renamed = replace(cell, row=replace(cell.row, set="other", printed=()))
    assert renamed.path(tmp_path) == cell.path(tmp_path)
    assert cell.row.departures == {"method": "train", "recipe": {"init": "phase_shuffle"}}  # no default names a file


# -- The paper's protocol ---------------------------------------------------------------------------------------------


def test_five_folds_leave_five_records_that_answer_every_slice_once(house, tmp_path):
    todo = house("scratch")
    assert run(todo, tmp_path, progress=False) == {"before": 0, "now": 5, "elsewhere": 0}
    runs = Runs("paper", tmp_path, todo[0].profile)
    records, (outcome,) = runs.read("scratch"), runs.outcomes("scratch").values()
    lesions = reproduce.cohort_of(todo[0])
    assert sorted(zip(outcome.patient, outcome.y_true, outcome.group, strict=True)) == sorted(
        zip(lesions.patient, lesions.label, lesions.group, strict=True)
    )
    assert records[0]["commit"] is None or len(records[0]["commit"]) >= 40
    assert records[0]["data"]["fingerprint"] == lesions.fingerprint()
    assert (records[0]["row"]["name"], records[0]["protocol"], records[0]["fold"]) == ("scratch", "paper", 1)
    assert records[0]["profile"]["epochs"] == 2
    before, after = records[0]["class cosines"].values()
    assert np.diag(before) == pytest.approx(1, abs=1e-3)
    assert not np.allclose(before, after, atol=0.05)


def test_what_has_a_record_is_not_run_again_and_a_lost_one_alone_is(house, answered, tmp_path):
    todo = house("scratch")
    run(todo, tmp_path, progress=False)
    assert run(todo, tmp_path, progress=False) == {"before": 5, "now": 0, "elsewhere": 0}
    todo[2].path(tmp_path).unlink()
    run(todo, tmp_path, progress=False)
    assert answered == [*todo, todo[2]]


def test_a_kill_loses_the_cell_in_flight_and_no_other(house, monkeypatch, tmp_path):
    todo, real, done = house("scratch"), reproduce._answer, []

    def killed(cell):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(cell)
        return real(cell)

    monkeypatch.setattr(reproduce, "_answer", killed)
    with pytest.raises(KeyboardInterrupt):
        run(todo, tmp_path, progress=False)
    assert [cell.path(tmp_path).exists() for cell in todo] == [True, True, True, False, False]
    monkeypatch.setattr(reproduce, "_answer", real)
    assert run(todo, tmp_path, progress=False) == {"before": 3, "now": 2, "elsewhere": 0}


def test_a_cell_that_another_process_runs_is_left_to_it(house, tmp_path, monkeypatch):
    (cell, *_), taken = house("scratch"), []
    real = reproduce._answer

    def meanwhile(cell):
        """While the cell runs, somebody else comes by; a thread of its own stands for another process."""
        other = threading.Thread(target=lambda: taken.append(run_cell(cell, tmp_path)))
        other.start()
        other.join()
        return real(cell)

    monkeypatch.setattr(reproduce, "_answer", meanwhile)
    assert run_cell(cell, tmp_path)
    assert taken == [False]
    assert not any((tmp_path / ".locks").iterdir())


def test_a_lock_that_its_dead_process_left_behind_holds_nobody_up(house, tmp_path):
    (cell, *_) = house("scratch")
    with FileLock(tmp_path / "probe.lock"):
        pass  # what a killed process leaves: a file that nobody holds
    (tmp_path / ".locks").mkdir()
    path = cell.path(tmp_path)
    (tmp_path / ".locks" / f"paper-{path.parent.name}-{path.stem}").touch()
    assert run_cell(cell, tmp_path)


def test_a_pretext_is_trained_once_for_all_rows_that_start_from_it(house, empty_cache, tmp_path, monkeypatch):
    from livervlm import experiments

    fits, real = [], experiments.fit
    monkeypatch.setattr(experiments, "fit", lambda m, *a, **s: fits.append(type(m).__name__) or real(m, *a, **s))
    run(house("pretext: phase shuffle", "model 1", "model 0", "FC, phase shuffle"), tmp_path, progress=False)
    assert fits.count("PhaseShuffle") == 5
    assert fits.count("LiverVLM") == 15


def test_a_pretexts_record_holds_its_measures(house, tmp_path):
    todo = house("pretext: phase shuffle", "pretext: SimSiam")
    run([todo[0], todo[5]], tmp_path, progress=False)
    shuffle, simsiam = (read_record(todo[i].path(tmp_path))["tests"]["standard"] for i in (0, 5))
    assert set(shuffle["order accuracy"]) == {"all", "border only", "lesion only", "level removed", "phases jittered"}
    assert shuffle["borders sorted"] > 80
    assert 0 <= simsiam["output spread"] < 1.2


def test_radiomics_run_as_a_row(house, tmp_path):
    (cell, *_) = house("radiomics")
    run_cell(cell, tmp_path)
    assert np.sum(read_record(cell.path(tmp_path))["slices"]["prob"], axis=1) == pytest.approx(1, abs=1e-4)


# -- The population protocol ------------------------------------------------------------------------------------------


def test_a_pool_is_two_slices_of_fresh_patients_and_repeats(house, empty_cache):
    (cell,) = house("scratch", protocol="population")
    pool, cohort = reproduce.pool_of(cell, "standard"), reproduce.cohort_of(cell)
    assert np.unique(pool.patient, return_counts=True)[1].tolist() == [2] * 20
    known = {picture.tobytes() for picture in cohort.hu}
    assert not any(picture.tobytes() in known for picture in pool.hu)
    (path,) = (empty_cache / "pools").glob("*.safetensors")
    path.unlink()
    assert reproduce.pool_of(cell, "standard", jobs=2).fingerprint() == pool.fingerprint()
    assert reproduce.pool_of(cell, "misregistered").fingerprint() != pool.fingerprint()


def test_patients_are_counted_and_paired(house, tmp_path):
    todo = house("scratch", "text: random unit vectors", protocol="population", cohorts=2)
    run(todo, tmp_path, progress=False)
    runs = Runs("population", tmp_path, todo[0].profile, test_patients=20)
    records = runs.read("scratch")
    assert [record["cohort"] for record in records] == [0, 1]
    (pool, test) = reproduce.pool_of(todo[0], "standard"), records[0]["tests"]["standard"]
    assert test["fingerprint"] == pool.fingerprint()
    matrix = np.array(test["confusion"])
    assert matrix.sum(axis=1).tolist() == np.bincount(pool.label, minlength=4).tolist()
    correct, slices = ([*map(int, test[name])] for name in ("correct", "slices"))
    assert sum(correct) == np.trace(matrix)
    assert test["accuracy"] == pytest.approx(100 * np.mean(np.divide(correct, slices)), abs=1e-3)
    assert runs.accuracy("scratch")["scratch"].tolist() == pytest.approx(
        [record["tests"]["standard"]["accuracy"] for record in records], abs=1e-3
    )


def test_the_papers_protocol_is_compared_by_cohort(house, tmp_path):
    todo = house("scratch", "text: random unit vectors", cohorts=2)
    run(todo, tmp_path, progress=False)
    runs = Runs("paper", tmp_path, todo[0].profile)
    whole = runs.accuracy("scratch", "text: random unit vectors")
    assert whole.loc[1, "scratch"] == runs.outcomes("scratch")[1].accuracy[0]
    line = runs.compare({"text": ("scratch", "text: random unit vectors")}).loc["text"]
    assert line["difference"] == pytest.approx((whole.iloc[:, 0] - whole.iloc[:, 1]).mean())
    assert line["n"] == 2


def test_development_cohorts_leave_a_learning_curve_and_share_no_patient(house, tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce, "CURVE", 1)
    (cell,), (other,) = house("scratch", protocol="development"), house("scratch", protocol="population")
    run([cell], tmp_path, progress=False)
    record = read_record(cell.path(tmp_path))
    assert list(record["curve"]) == ["1", "2"]
    assert record["curve"]["2"] == pytest.approx(record["tests"]["standard"]["accuracy"], abs=0.01)
    assert reproduce.pool_of(cell, "standard").fingerprint() != reproduce.pool_of(other, "standard").fingerprint()
    assert reproduce.cohort_of(cell).fingerprint() != reproduce.cohort_of(other).fingerprint()


# -- On a cluster -----------------------------------------------------------------------------------------------------


def test_a_cluster_finishes_every_cell_although_a_worker_is_killed_on_the_way(quick, tmp_path):
    from distributed import LocalCluster

    row = Row("cluster", "test", config={"head": "fc"}, cohort=SMALL)
    todo = cells([row], "paper", 1, replace(quick, epochs=6))
    reproduce.cohort_of(todo[0])
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        killed = []

        def kill():
            while not any((tmp_path / ".locks").glob("*")):  # until a cell is in flight
                time.sleep(0.02)
            killed.append(next(iter(cluster.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        counts = run(todo, tmp_path, dask=cluster.scheduler_address, progress=False)
        killer.join()
    assert killed
    assert all(cell.path(tmp_path).exists() for cell in todo)
    assert counts["now"] + counts["elsewhere"] == 5
    for cell in todo:
        assert read_record(cell.path(tmp_path))["fold"] == cell.fold


# -- The command ------------------------------------------------------------------------------------------------------


def test_the_list_names_every_row_with_the_papers_figure(capsys):
    assert main(["reproduce", "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{name}  [" in shown for name in all_rows())
    assert "85.09 ± 3.89 %" in shown
    assert "ImageNet weights" in shown
    assert len(re.findall(r"recorded: (?:\d+ cohorts|needs|no record yet)", shown)) == len(all_rows())


def test_the_command_runs_a_table_and_goes_on(house, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "--table", "7", "--profile", "smoke"]) == 0
    shown = capsys.readouterr().out
    assert "15 cells run, 0 were there before" in shown
    assert re.search(r"model 2 +85.63 ± 3.18 +\d+\.\d\d ± \d+\.\d\d +5 folds of 1 cohorts", shown)
    assert main(["reproduce", "--table", "7", "--profile", "smoke"]) == 0
    assert "0 cells run, 15 were there before" in capsys.readouterr().out


def test_a_row_without_its_weights_says_so_and_nothing_stands_in(house, tmp_path, capsys):
    assert main(["reproduce", "--row", "CLIP, one prompt", "--row", "scratch", "--out", str(tmp_path / "r")]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"not run: CLIP, one prompt: .*clip-vit-base-patch32", shown)
    assert not list((tmp_path / "r").rglob("clip*"))


def test_a_changed_record_stops_the_summary(house, tmp_path, capsys):
    arguments = ["reproduce", "--row", "scratch", "--out", str(tmp_path)]
    main(arguments)
    path = next(tmp_path.glob("paper/scratch/*fold3*"))
    record = json.loads(path.read_text())
    record["slices"]["prob"][0] = [1, 0, 0, 0]
    path.write_text(json.dumps(record))
    assert main(arguments) == 2
    assert "changed since it was written" in capsys.readouterr().err
