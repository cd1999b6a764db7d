"""Rows are declared whole; cells run once, stop anywhere, go on, and never run twice at the same time."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from joblib import Parallel, delayed, parallel_config
from small_cells import SMALL, TESTED

from livervlm.runs import cells as module
from livervlm.runs.cells import Cell, cells
from livervlm.runs.cohorts import cohort_of, pool_of
from livervlm.runs.methods import Trained
from livervlm.runs.records import SCHEMA, read_record, write_record
from livervlm.runs.results import Runs
from livervlm.runs.rows import Row, all_rows
from livervlm.runs.runner import run, run_one
from livervlm.scans.conventions import CLASS_NAMES
from livervlm.scans.lesions import LesionSet

pytest_plugins = ["small_cells"]


# -- The paper's protocol ---------------------------------------------------------------------------------------------


def test_five_folds_leave_five_records_that_answer_every_slice_once(house, tmp_path):
    todo = house("scratch")
    assert run(todo, tmp_path, progress=False) == {"before": 0, "now": 5, "elsewhere": 0}
    runs = Runs("paper", tmp_path, todo[0].profile)
    records, (outcome,) = runs.read("scratch"), runs.outcomes("scratch").values()
    lesions = cohort_of(todo[0])
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
    todo, real, done = house("scratch"), Cell.record, []

    def killed(cell):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(cell)
        return real(cell)

    monkeypatch.setattr(Cell, "record", killed)
    with pytest.raises(KeyboardInterrupt):
        run(todo, tmp_path, progress=False)
    assert [cell.path(tmp_path).exists() for cell in todo] == [True, True, True, False, False]
    monkeypatch.setattr(Cell, "record", real)
    assert run(todo, tmp_path, progress=False) == {"before": 3, "now": 2, "elsewhere": 0}


def test_processes_work_at_cohorts_of_their_own(quick):
    rows = [all_rows()["scratch"], all_rows()["model 1"]]
    order = [(cell.row.name, cell.cohort) for cell in cells(rows, "population", 3, quick, abreast=2)]
    assert order == [
        *[("scratch", 0), ("scratch", 1), ("model 1", 0), ("model 1", 1)],
        *[("scratch", 2), ("model 1", 2)],
    ]
    by_cohort = cells(rows, "population", 3, quick)
    assert [(cell.row.name, cell.cohort) for cell in by_cohort] == [(r.name, c) for c in range(3) for r in rows]


def test_a_cell_that_another_process_runs_is_left_to_it(house, tmp_path, monkeypatch):
    (cell, *_), taken = house("scratch"), []
    real = Cell.record

    def meanwhile(cell):
        """While the cell runs, somebody else comes by; a thread of its own stands for another process."""
        other = threading.Thread(target=lambda: taken.append(run_one(cell, tmp_path)))
        other.start()
        other.join()
        return real(cell)

    monkeypatch.setattr(Cell, "record", meanwhile)
    assert run_one(cell, tmp_path)
    assert taken == [False]
    assert not any((tmp_path / ".locks").iterdir())


def test_a_lock_that_its_dead_process_left_behind_holds_nobody_up(house, tmp_path):
    (cell, *_) = house("scratch")
    with FileLock(tmp_path / "probe.lock"):
        pass  # what a killed process leaves: a file that nobody holds
    (tmp_path / ".locks").mkdir()
    path = cell.path(tmp_path)
    (tmp_path / ".locks" / f"paper-{path.parent.name}-{path.stem}").touch()
    assert run_one(cell, tmp_path)


def test_a_pretext_is_trained_once_for_all_rows_that_start_from_it(house, empty_cache, tmp_path, monkeypatch):
    from livervlm.models import trainer

    fits, real = [], trainer.fit
    monkeypatch.setattr(trainer, "fit", lambda m, *a, **s: fits.append(type(m).__name__) or real(m, *a, **s))
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
    run_one(cell, tmp_path)
    assert np.sum(read_record(cell.path(tmp_path))["slices"]["prob"], axis=1) == pytest.approx(1, abs=1e-4)


# -- The population protocol ------------------------------------------------------------------------------------------


def test_a_pool_is_two_slices_of_fresh_patients_and_repeats(house, empty_cache):
    (cell,) = house("scratch", protocol="population")
    pool, cohort = pool_of(cell, "standard"), cohort_of(cell)
    assert np.unique(pool.patient, return_counts=True)[1].tolist() == [2] * TESTED
    known = {picture.tobytes() for picture in cohort.hu}
    assert not any(picture.tobytes() in known for picture in pool.hu)
    (path,) = (empty_cache / "pools").glob("*.safetensors")
    path.unlink()
    assert pool_of(cell, "standard", jobs=2).fingerprint() == pool.fingerprint()
    assert pool_of(cell, "misregistered").fingerprint() != pool.fingerprint()


def test_patients_are_counted_and_paired(house, tmp_path):
    todo = house("scratch", "text: random unit vectors", protocol="population", cohorts=2)
    run(todo, tmp_path, progress=False)
    runs = Runs("population", tmp_path, todo[0].profile, test_patients=TESTED)
    records = runs.read("scratch")
    assert [record["cohort"] for record in records] == [0, 1]
    (pool, test) = pool_of(todo[0], "standard"), records[0]["tests"]["standard"]
    assert test["fingerprint"] == pool.fingerprint()
    matrix = np.array(test["confusion"])
    assert matrix.sum(axis=1).tolist() == np.bincount(pool.label, minlength=4).tolist()
    correct, slices = test["correct"], test["slices"]
    assert test["prob"].shape == (TESTED, 4)
    assert test["prob"].astype(float).sum(axis=1) == pytest.approx(np.ones(TESTED), abs=2e-3)
    owner = {patient: label for patient, label in zip(pool.patient, pool.label, strict=True)}
    assert test["label"].tolist() == [owner[patient] for patient in range(TESTED)]
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
    monkeypatch.setattr(module, "CURVE", 1)
    (cell,), (other,) = house("scratch", protocol="development"), house("scratch", protocol="population")
    run([cell], tmp_path, progress=False)
    record = read_record(cell.path(tmp_path))
    assert list(record["curve"]) == ["1", "2"]
    assert record["curve"]["2"] == pytest.approx(record["tests"]["standard"]["accuracy"], abs=0.01)
    assert pool_of(cell, "standard").fingerprint() != pool_of(other, "standard").fingerprint()
    assert cohort_of(cell).fingerprint() != cohort_of(other).fingerprint()


def test_a_record_of_2000_patients_keeps_them_in_35_kilobytes(tmp_path):
    rng = np.random.default_rng(0)
    for n_classes in (4, 6):
        shape = (2000, 2, 16, 16)
        patient = np.repeat(np.arange(1000), 2)
        many = LesionSet(
            np.zeros(shape, np.int16)[:, :, :8, :8],
            rng.integers(0, n_classes, 1000)[patient],
            patient,
            np.ones(2000),
            np.ones((2000, 3)),
            tuple(CLASS_NAMES)[:n_classes],
            ("ART", "PV"),
        )
        prob = rng.dirichlet(np.ones(n_classes), 2000)
        kept = module.patient_answers(prob, many)
        write_record(tmp_path / "r.json", {"schema": SCHEMA, "tests": {"standard": kept}})
        assert 2 * (tmp_path / "r.safetensors").stat().st_size < 35_000
        read = read_record(tmp_path / "r.json")["tests"]["standard"]
        for name in ("label", "slices", "correct", "prob"):
            assert np.array_equal(read[name], kept[name])
        assert read["prob"] == pytest.approx(prob.reshape(1000, 2, -1).mean(axis=1), abs=3e-4)


# -- On a cluster -----------------------------------------------------------------------------------------------------


def test_a_cluster_finishes_every_cell_although_a_worker_is_killed_on_the_way(quick, tmp_path):
    from distributed import LocalCluster

    row = Row("cluster", "test", Trained({"head": "fc", "encoder": "resnet10_narrow"}), cohort=SMALL)
    todo = cells([row], "paper", 1, quick)[:3]
    cohort_of(todo[0])
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
    assert counts["now"] + counts["elsewhere"] == 3
    for cell in todo:
        assert read_record(cell.path(tmp_path))["fold"] == cell.fold


def test_a_cell_makes_what_it_needs_in_its_own_process(tmp_path):
    """Where it asked the cluster for its patients, other cells could hold all workers and wait for those patients."""

    class Asking:
        def path(self, out):
            return Path(out) / "asking.json"

        def record(self):
            return {"schema": SCHEMA, "by": Parallel()(delayed(os.getpid)() for _ in range(2))}

    with parallel_config("loky", n_jobs=2):
        assert run_one(Asking(), tmp_path)
    assert read_record(tmp_path / "asking.json")["by"] == [os.getpid()] * 2
