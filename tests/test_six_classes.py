"""Nothing assumes four classes or three phases: a set of six goes the whole way of the data."""

import numpy as np
import pandas as pd
import pytest

from livervlm.base.paths import folder_written_whole
from livervlm.book import figures
from livervlm.cli import main
from livervlm.phantom.cohort import phantom_study
from livervlm.phantom.patients import Knobs, draw_patients
from livervlm.runs import cohorts
from livervlm.runs import rows as declarations
from livervlm.runs.cells import cells
from livervlm.runs.cohorts import pool_of
from livervlm.runs.cross_validation import cross_validate
from livervlm.runs.methods import Radiomics, Trained, TrainedLiLNet
from livervlm.runs.records import read_record
from livervlm.runs.results import Runs
from livervlm.runs.rows import Row
from livervlm.runs.runner import run
from livervlm.scans.conventions import CLASS_NAMES
from livervlm.scans.lesions import LesionSet

SIX = tuple(CLASS_NAMES)
PHASES = ("ART", "PV")


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Three patients of each class, written to disk as scans and read through the door."""
    study = pytest.importorskip("livervlm.studies.files", reason="SimpleITK (the extra `studies`) is not installed")
    folder = tmp_path_factory.mktemp("six") / "scans"
    lines = []
    with folder_written_whole(folder) as new:
        drawn = draw_patients(7, dict.fromkeys(SIX, 3), Knobs(diameter=0.4))
        for number, patient in enumerate(drawn):
            files = study.write_study(phantom_study(patient, phases=PHASES), new / f"s{number}")
            columns = {name: str(file.relative_to(new)) for name, file in files.items()}
            lines.append({"patient": f"person {number}", "label": patient.kind, "group": 1 + number % 3, **columns})
        pd.DataFrame(lines).to_csv(new / "studies.csv", index=False)
    out = folder.with_name("six.safetensors")
    command = ["import", str(folder / "studies.csv"), "--classes", ",".join(SIX), "--size", "24", "--out", str(out)]
    assert main(command) == 0
    return out


def test_import_keeps_classes_and_phases_in_the_order_given(imported):
    lesions = LesionSet.load(imported)
    assert (lesions.classes, lesions.phases) == (SIX, PHASES)
    assert np.bincount(lesions.label[np.unique(lesions.patient, return_index=True)[1]]).tolist() == [3] * 6


def test_a_label_outside_the_classes_names_those_that_are(tmp_path, imported, capsys):
    manifest = imported.with_name("scans") / "studies.csv"
    assert main(["import", str(manifest), "--out", str(tmp_path / "four.safetensors")]) == 2
    assert "label ICC is not in the classes CYST, FNH, HCC, HEM" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("tiny_encoder", "quick", "empty_cache")
@pytest.mark.parametrize("head", ["text", "fc"])
def test_train_predict_and_evaluate(imported, head, tmp_path, capsys):
    model, answers = str(tmp_path / "model"), tmp_path / "answers.csv"
    assert main(["train", str(imported), "--leave-out", "1", "--head", head, "--out", model]) == 0
    assert main(["predict", model, str(imported), "--out", str(answers)]) == 0
    table = pd.read_csv(answers)
    assert [name for name in table if name.startswith("p_")] == [f"p_{name}" for name in SIX]
    assert table.filter(like="p_").sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-3)
    capsys.readouterr()
    assert main(["evaluate", str(imported), "--model", model]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}  " in shown for name in SIX)


@pytest.mark.usefixtures("tiny_encoder", "empty_cache")
def test_cross_validation_and_its_figures(imported, quick):
    lesions = LesionSet.load(imported)
    methods = Trained(), Radiomics(), TrainedLiLNet({"encoder": "resnet10_narrow"}, cascade=True)
    outcomes = {m.name: cross_validate(lesions, m, quick, progress=False) for m in methods}
    for outcome in outcomes.values():
        assert outcome.classes == SIX
        assert outcome.prob.shape == (len(lesions), 6)
        assert list(outcome.summary()) == [*SIX, "accuracy, %", "AUC"]
    for drawn in (figures.fold_dots(outcomes), figures.reliability(outcomes), figures.enhancement_curves(lesions)):
        drawn.canvas.draw()
    names = [text.get_text() for text in figures.enhancement_curves(lesions).axes[0].get_legend().get_texts()]
    assert names == ["around", *SIX]


@pytest.mark.usefixtures("tiny_encoder", "empty_cache")
@pytest.mark.parametrize(("protocol", "number"), [("paper", 1), ("population", 2)])
def test_records_and_results(protocol, number, quick, tmp_path, monkeypatch):
    patients = {"CYST": 5, "FNH": 2, "HCC": 2, "HEM": 2, "ICC": 2, "MET": 2}
    row = Row("six", "test", Radiomics(), cohort={"classes": SIX, "phases": PHASES, "patients": patients})
    monkeypatch.setattr(declarations, "all_rows", lambda: {"six": row})
    monkeypatch.setattr(cohorts, "CHUNK", 15)
    todo = cells([row], protocol, number, quick, test_patients=30)
    run(todo, tmp_path, progress=False)
    runs = Runs(protocol, tmp_path, quick, test_patients=30)
    record = read_record(todo[0].path(tmp_path))
    assert (tuple(record["data"]["classes"]), tuple(record["data"]["phases"])) == (SIX, PHASES)
    if protocol == "paper":
        assert [outcome.classes for outcome in runs.outcomes("six").values()] == [SIX]
        return
    pool = pool_of(todo[0], "standard")
    assert (pool.classes, pool.phases) == (SIX, PHASES)
    drawn = np.bincount(pool.label[np.unique(pool.patient, return_index=True)[1]])
    assert drawn.tolist() == [2 * n for n in patients.values()]  # in the row's own shares
    assert [name for name in runs.measures("six") if name in SIX] == list(SIX)
    assert runs.patients("six").shape == (2, 30)


def test_a_record_from_before_classes_travelled_is_one_of_the_four():
    measures = Runs().measures("scratch")
    assert [name for name in measures if name in SIX] == ["CYST", "FNH", "HCC", "HEM"]
    assert (Runs("paper").outcomes("scratch")[0].classes) == ("CYST", "FNH", "HCC", "HEM")
