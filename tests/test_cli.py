"""The commands: what they make, and one clear line for what they cannot use."""

import json
import os
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import make_toy

from livervlm import cli
from livervlm.models import training
from livervlm.phantom import patients
from livervlm.phantom.cohort import phantom_study
from livervlm.phantom.patients import draw_patients, table1
from livervlm.scans.lesions import LesionSet

pytestmark = pytest.mark.usefixtures("tiny_encoder", "quick")


@pytest.fixture
def here(tmp_path, monkeypatch, toy):
    """An empty working folder but for a data set, `toy.safetensors`."""
    monkeypatch.chdir(tmp_path)
    toy.save("toy.safetensors")
    return tmp_path


@pytest.fixture
def model(here, capsys):
    """`model`, trained on all groups but the first."""
    assert run("train toy.safetensors --leave-out 1 --out model") == 0
    capsys.readouterr()
    return here / "model"


def run(line: str) -> int:
    return cli.main(line.split())


def files(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_phantom_writes_a_cohort_and_says_what_is_in_it(here, monkeypatch, capsys):
    few = pd.DataFrame([(1, "CYST", 1, 2), (2, "HCC", 1, 3)], columns=table1().columns)
    monkeypatch.setattr(patients, "table1", lambda: few)
    assert run("phantom --out a/b.safetensors --size 24 --seed 2 --misregistered") == 0
    made = LesionSet.load("a/b.safetensors")
    assert (len(made), made.size, made.source["seed"], made.source["alignment"]) == (5, 24, "2", "misregistered")
    said = capsys.readouterr().out
    assert "5 slices (CYST 2, FNH 0, HCC 3, HEM 0) of 2 patients in 2 groups, 3 phases (NC, ART, PV), 24 px" in said
    assert run("phantom --out c.safetensors") == 0
    assert LesionSet.load("c.safetensors").size == 16  # the profile's


def test_predict_counts_the_slices_that_are_done(model, capsys, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    assert run("predict model toy.safetensors --out answers.csv") == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("slices: ")]
    assert "0/40 [" in lines[0]
    assert "40/40 [" in lines[-1]


def test_a_model_is_trained_asked_and_scored(here, capsys):
    assert run("train toy.safetensors --leave-out 2 --out model --seed 5") == 0
    said = capsys.readouterr().out
    assert "trained on 32 slices of 16 patients" in said
    assert "text encoder minilm" in said
    card = json.loads((here / "model" / "config.json").read_text())["provenance"]
    assert (card["held_out_group"], card["seed"], len(card["train_loss"])) == (2, 5, 2)
    assert sorted(os.listdir()) == ["model", "toy.safetensors"]  # no checkpoint is left

    assert run("predict model toy.safetensors --out answers.csv") == 0
    assert "not for diagnosis" in capsys.readouterr().out
    answers = pd.read_csv("answers.csv")
    toy = LesionSet.load("toy.safetensors")
    assert list(answers.columns) == ["slice", "lesion", "patient", "answer", "p_CYST", "p_FNH", "p_HCC", "p_HEM"]
    assert answers["lesion"].isna().all()  # this set does not tell
    assert np.array_equal(answers["patient"], toy.patient)
    prob = answers.filter(like="p_")
    assert prob.sum(axis=1).to_numpy() == pytest.approx(np.ones(40), abs=3e-4)
    assert (prob.idxmax(axis=1).str[2:] == answers["answer"]).mean() > 0.95  # but for ties after rounding

    patients = pd.read_csv("answers.patients.csv")
    assert list(patients.columns) == ["patient", "slices", "answer", "p_CYST", "p_FNH", "p_HCC", "p_HEM"]
    assert patients["slices"].tolist() == [2] * 20
    means = prob.groupby(toy.patient).mean()
    np.testing.assert_allclose(patients.filter(like="p_"), means, atol=1.01e-4)
    assert patients["patient"].tolist() == means.index.tolist()

    assert run("evaluate toy.safetensors --model model") == 0
    said = capsys.readouterr().out
    assert "scored on group 2, which it left out" in said
    assert "8 slices of 4 patients; one group" in said
    right = (answers["answer"] == [toy.classes[i] for i in toy.label])[toy.group == 2]
    assert f"accuracy, %  {100 * right.mean():.1f}" in said
    assert "not for diagnosis" in said


def test_an_interrupted_training_goes_on_to_the_same_model(here, monkeypatch, capsys):
    command = "train toy.safetensors --out model"
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1)
    real, calls = training.train_step, []

    def dying(*args):
        calls.append(1)
        if len(calls) == 3:  # two steps an epoch
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(training, "train_step", dying)
    assert run(command) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not (here / "model").exists()
    assert run(command) == 0
    assert run("train toy.safetensors --out whole") == 0
    weights = [(here / name / "model.safetensors").read_bytes() for name in ("model", "whole")]
    assert weights[0] == weights[1]
    assert len(calls) == 3 + 2 + 4


@pytest.mark.parametrize("head", ["prototypes", "fc"])
def test_heads_without_text_name_no_encoder(here, head, capsys):
    assert run(f"train toy.safetensors --out model --head {head}") == 0
    assert "text encoder" not in capsys.readouterr().out


def test_evaluate_cross_validates_and_keeps_records(here, capsys):
    assert run("evaluate toy.safetensors --records records") == 0
    said = capsys.readouterr().out
    assert "40 slices of 20 patients; mean ± sd over 5 groups" in said
    assert "text encoder minilm" in said
    assert len(list((here / "records").glob("*.json"))) == 5
    assert run("evaluate toy.safetensors --records records") == 0
    assert capsys.readouterr().out == said


def test_a_model_is_scored_on_another_set_whole(model, capsys):
    make_toy(groups=4, seed=9).save("other.safetensors")
    assert run("evaluate other.safetensors --model model") == 0
    assert "32 slices of 16 patients; mean ± sd over 4 groups" in capsys.readouterr().out


def test_the_cohort_it_was_trained_on_is_known_at_another_resolution(model, capsys):
    make_toy(size=24).save("finer.safetensors")
    assert run("evaluate finer.safetensors --model model") == 0
    assert "scored on group 1, which it left out" in capsys.readouterr().out


def test_patients_that_it_was_trained_on_are_known_in_other_groups_and_among_others(model, here, toy, capsys):
    mixed = replace(toy, group=toy.group % 5 + 1)
    mixed.subset(np.flatnonzero(mixed.patient != mixed.patient[0])).save("mixed.safetensors")
    assert run("evaluate mixed.safetensors --model model") == 0
    trained = len(np.unique(toy.patient[(toy.group != 1) & (toy.patient != toy.patient[0])]))
    said = capsys.readouterr().out
    assert f"{trained} patients are left out: the model was trained on slices of theirs" in said
    assert f"of {len(np.unique(mixed.patient)) - 1 - trained} patients" in said
    toy.subset(toy.group == 2).save("two.safetensors")
    bad(here, capsys, "evaluate two.safetensors --model model", "the model was trained on all of this")


@pytest.mark.filterwarnings("error")
def test_a_set_with_one_class_is_scored_without_a_warning(model, capsys):
    lesions = make_toy(seed=9)
    lesions.subset(lesions.label == 2).save("hcc.safetensors")
    assert run("evaluate hcc.safetensors --model model") == 0
    assert "HCC" in capsys.readouterr().out


def test_import_reads_a_manifest_as_the_readme_says(here, capsys):
    pytest.importorskip("SimpleITK")
    from livervlm.studies.files import write_study

    lines = ["patient,label,NC,ART,PV,mask_NC,mask_ART,mask_PV"]
    drawn = draw_patients(0, {"CYST": 2, "HCC": 2}, patients.Knobs(diameter=0.4))
    for number, patient in enumerate(drawn[i] for i in (0, 2, 1, 3)):
        study, kind = phantom_study(patient), patient.kind
        made = write_study(study, here / f"study{number}")
        names = (made[c].relative_to(here) for c in lines[0].split(",")[2:])
        lines.append(",".join(map(str, (f"Doe^{number}", kind, *names))))
    (here / "studies.csv").write_text("\n".join(lines))
    assert run("import studies.csv --out mine.safetensors --groups 2 --size 16") == 0
    assert "of 4 patients in 2 groups, 3 phases (NC, ART, PV), 16 px" in capsys.readouterr().out
    assert b"Doe" not in (here / "mine.safetensors").read_bytes()
    bad(here, capsys, "import studies.csv --out mine2.safetensors --groups 3", "too few patients for 3 groups")
    (here / "studies.csv").write_text("\n".join([*lines[:-1], lines[-1].replace("HCC", "HCCC")]))
    bad(here, capsys, "import studies.csv --out new.safetensors", r"row 5: label is not in the classes .*; is it HCC\?")


def bad(folder, capsys, line, message):
    """The command fails with one line that says what is wrong, and changes nothing on disk."""
    before = files(folder)
    capsys.readouterr()
    status = run(line)
    said = capsys.readouterr()
    errors = [text for text in said.err.splitlines() if text and "%|" not in text]  # but for progress bars
    assert status == 2
    assert len(errors) == 1, said.err
    assert errors[0].startswith("livervlm: error: ")
    assert re.search(message, errors[0]), errors[0]
    assert files(folder) == before


def write_raw(path, **changes):
    """A LesionSet file with parts that `LesionSet` itself would refuse."""
    from safetensors.numpy import load_file, save_file

    toy = make_toy()
    toy.save(path)
    texts = {name: json.dumps(getattr(toy, name)) for name in ("classes", "phases", "mask_names", "source")}
    save_file(load_file(path) | changes, path, {"format": "livervlm.LesionSet/1", **texts})


@pytest.mark.parametrize("command", ["train {} --out m", "evaluate {}", "predict model {} --out a.csv"])
def test_data_that_cannot_be_used_are_one_line(command, model, here, capsys):
    (here / "text.csv").write_text("patient,label")
    whole = (here / "toy.safetensors").read_bytes()
    (here / "cut.safetensors").write_bytes(whole[:-100])
    write_raw(here / "twice.safetensors", group=np.arange(40) % 2)
    write_raw(here / "label.safetensors", label=np.full(40, 7))
    write_raw(here / "shape.safetensors", hu=np.zeros((40, 3, 16, 15), np.int16))
    for name, message in {
        "none.safetensors": "none.safetensors: no such file",
        "text.csv": "text.csv: not a whole safetensors file",
        "cut.safetensors": "cut.safetensors: not a whole safetensors file",
        "model/model.safetensors": "not a LesionSet file",
        "twice.safetensors": "twice.safetensors: patient 0 is in groups 0, 1",
        "label.safetensors": "label.safetensors: label 7 is not in the classes",
        "shape.safetensors": "shape.safetensors: hu has shape",
    }.items():
        bad(here, capsys, command.format(name), message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train toy.safetensors --leave-out 9 --out m", "no group 9 to leave out; its groups are 1, 2, 3, 4, 5"),
        ("train toy.safetensors --template plain --out m", "prompt template 'plain' is unknown"),
        ("train toy.safetensors --out toy.safetensors", "toy.safetensors exists and is not a model"),
        ("train toy.safetensors --out .", "exists and is not a model"),
        ("train one.safetensors --leave-out 1 --out m", "0 slices are left to train on"),
        ("train toy.safetensors --profile paper --out m", "bert-base-uncased is neither cached nor reachable"),
        ("evaluate one.safetensors", "at least 2 patient groups"),
        ("evaluate toy.safetensors --model all", "trained on all of this; train it with --leave-out"),
        ("evaluate named.safetensors --model model", "its classes are A, B, C, D, the model's are CYST"),
        (
            "evaluate two.safetensors --model model",
            "its phases are NC, PV; the model in model was trained on NC, ART, PV",
        ),
        ("predict model two.safetensors --out a.csv", "its phases are NC, PV"),
        ("predict model named.safetensors --out a.csv", "its classes are A, B, C, D, the model's are CYST"),
        ("phantom --out notes.csv --size 24", "already there, and no data set of this program"),
        ("predict model toy.safetensors --out one.safetensors", "already there, and not written by this command"),
        ("predict none toy.safetensors --out a.csv", "not the config of a saved model"),
        ("predict model toy.safetensors --out model", "model"),
        ("predict model toy.safetensors --out .", "--out .: a folder; give the name of a CSV file"),
        ("evaluate toy.safetensors --model damaged", "config.json: not the config of a saved model"),
        ("predict model toy.safetensors --out toy.safetensors/a.csv", "toy.safetensors"),
        ("import none.csv --out i.safetensors", "none.csv: no such file"),
    ],
)
def test_what_does_not_fit_is_one_line(line, message, model, here, toy, capsys):
    assert run("train toy.safetensors --out all") == 0
    toy.subset(toy.group == 1).save("one.safetensors")
    make_toy(phases=("NC", "PV")).save("two.safetensors")
    replace(toy, classes=tuple("ABCD")).save("named.safetensors")
    (here / "notes.csv").write_text("patient,label\n")
    (here / "damaged").mkdir()
    card = json.loads((here / "model" / "config.json").read_text())
    card["provenance"]["data"] = "x"
    (here / "damaged" / "config.json").write_text(json.dumps(card))
    bad(here, capsys, line, message)


def test_an_unknown_profile_in_the_environment_is_one_line(here, capsys, monkeypatch):
    monkeypatch.setenv("LIVERVLM_PROFILE", "huge")
    bad(here, capsys, "train toy.safetensors --out m", "profile 'huge' is unknown")


@pytest.mark.parametrize(
    "line",
    [
        "phantom --out p --seed -1",
        "phantom --out p --size 0",
        "import studies.csv --out i --size 7",
        "train toy.safetensors",
        "train toy.safetensors --out m --profile huge",
        "diagnose toy.safetensors",
    ],
)
def test_options_that_do_not_parse_exit_with_2_and_a_last_line_that_says_why(line, here, capsys):
    before = files(here)
    with pytest.raises(SystemExit) as end:
        run(line)
    assert end.value.code == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]
    assert files(here) == before


def test_a_checkpoint_of_other_settings_is_not_gone_on_with(here, capsys, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1)
    real, calls = training.train_step, []

    def dying(*args):
        calls.append(1)
        if len(calls) == 2:  # one step an epoch
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(training, "train_step", dying)
    assert run("train toy.safetensors --leave-out 1 --out model") == 130
    for change in ("--leave-out 2", "--leave-out 1 --template simple", "--leave-out 1 --head fc"):
        bad(here, capsys, f"train toy.safetensors {change} --out model", "delete it to start again")


def test_phantom_studies_go_out_as_dicom_and_come_back_in(here, capsys):
    assert run("phantom --studies 4 --out practice") == 0
    assert "DICOM series of 4 phantom patients" in capsys.readouterr().out
    assert run("import practice/studies.csv --out back.safetensors --size 32") == 0
    back = LesionSet.load(here / "back.safetensors")
    assert set(back.label) == {0, 1, 2, 3}
    assert back.phases == ("NC", "ART", "PV")
    cyst = back.mask("lesion") & (back.label == 0)[:, None, None, None]
    assert abs(back.hu[cyst].mean() - 10) < 15  # water, whatever the phase
    assert run("phantom --studies 4 --out practice") == 2
    assert "already there" in capsys.readouterr().err
