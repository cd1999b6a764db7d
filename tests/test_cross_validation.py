"""Cross-validation that never leaks a patient, and records that say what they are and cannot be changed."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from livervlm.base.errors import InputError
from livervlm.base.profiles import current_profile, get_profile
from livervlm.evaluation.metrics import accuracy_over_folds
from livervlm.models import trainer, training
from livervlm.models.settings import Recipe
from livervlm.models.trainer import config_for, train_model
from livervlm.runs.cells import provenance
from livervlm.runs.cross_validation import cross_validate
from livervlm.runs.methods import Radiomics, Trained
from livervlm.runs.records import SCHEMA, read_record, write_record
from livervlm.scans.windowing import images, window


@pytest.fixture
def validate(toy, quick, tiny_encoder, empty_cache):
    def run(lesions=toy, head="fc", recipe=None, **settings):
        method = Trained({"head": head}, recipe or Recipe())
        return cross_validate(lesions, method, quick, progress=False, **settings)

    return run


@pytest.fixture
def trainings(monkeypatch):
    """Counts the models that are trained."""
    done, real = [], trainer.train_model

    def spy(lesions, index, *args, **settings):
        done.append(index)
        return real(lesions, index, *args, **settings)

    monkeypatch.setattr(trainer, "train_model", spy)
    return done


def test_every_slice_is_answered_once_with_its_own_label(validate, toy):
    outcome = validate()
    assert sorted(zip(outcome.patient, outcome.y_true, outcome.group, strict=True)) == sorted(
        zip(toy.patient, toy.label, toy.group, strict=True)
    )
    assert outcome.prob.shape == (40, 4)
    assert outcome.prob.sum(1) == pytest.approx(np.ones(40), abs=1e-5)
    assert {group: len(loss) for group, loss in outcome.train_loss.items()} == dict.fromkeys(range(1, 6), 2)


def test_training_never_sees_a_picture_of_the_group_it_is_tested_on(validate, toy, monkeypatch):
    seen, asked = [], []
    fit, predict = trainer.fit, training.predict

    def hashes(tensor):
        return {picture.contiguous().numpy().tobytes() for picture in tensor}

    monkeypatch.setattr(
        trainer, "fit", lambda m, data, **s: seen.append(hashes(window(data["image"]))) or fit(m, data, **s)
    )
    monkeypatch.setattr(
        training, "predict", lambda m, pictures, **s: asked.append(hashes(pictures)) or predict(m, pictures, **s)
    )
    validate()
    every = hashes(images(toy))
    assert len(seen) == len(asked) == 5
    for learned, answered in zip(seen, asked, strict=True):
        assert learned | answered == every
        assert not learned & answered
        assert len(answered) == 8


def test_the_answer_is_that_of_a_model_trained_on_the_other_groups(validate, toy, quick):
    outcome = validate(seed=2)
    model, loss = train_model(
        toy, np.flatnonzero(toy.group != 3), config_for(toy, quick, head="fc"), quick, seed=2, progress=False
    )
    prob = training.predict(model, images(toy.subset(toy.group == 3)))
    assert outcome.prob[outcome.group == 3] == pytest.approx(prob.numpy(), abs=1e-5)
    assert outcome.train_loss[3] == pytest.approx(loss)


def test_other_pictures_of_the_left_out_group_are_shown_to_the_same_model(validate, toy, quick, trainings, tmp_path):
    other = replace(toy, hu=toy.hu[:, :, ::-1].copy())
    at_home, away = validate(seed=2, records=tmp_path), validate(seed=2, records=tmp_path, tested=other)
    assert away.train_loss == at_home.train_loss
    assert not np.array_equal(away.prob, at_home.prob)
    assert (away.patient == at_home.patient).all()
    assert len(trainings) == 10  # a record of one is not taken for the other's
    assert np.array_equal(validate(seed=2, records=tmp_path, tested=other).prob, away.prob)
    assert len(trainings) == 10
    told = [read_record(path).get("tested on") for path in tmp_path.glob("*.json")]
    assert told.count(None) == 5
    assert {t["fingerprint"] for t in told if t} == {other.fingerprint()}


@pytest.mark.parametrize("change", [{"label": lambda t: (t.label + 1) % 4}, {"phases": lambda t: ("NC", "ART", "DL")}])
def test_pictures_of_other_slices_are_refused(validate, toy, change):
    other = replace(toy, **{name: value(toy) for name, value in change.items()})
    with pytest.raises(InputError, match="tested: not the slices that are trained on"):
        validate(tested=other)


def test_seeds_differ_and_repeat(validate, tmp_path):
    first = validate(seed=1, records=tmp_path / "a")
    assert np.array_equal(first.prob, validate(seed=1, records=tmp_path / "b").prob)
    assert not np.array_equal(first.prob, validate(seed=2).prob)


def test_what_was_run_is_not_run_again(validate, trainings, tmp_path):
    first = validate(records=tmp_path)
    assert len(trainings) == len(list(tmp_path.glob("*.json"))) == 5
    again = validate(records=tmp_path)
    assert len(trainings) == 5
    for part in ("y_true", "prob", "group", "patient"):
        assert np.array_equal(getattr(first, part), getattr(again, part))
    assert first.train_loss == again.train_loss


def test_a_lost_record_is_run_again_alone(validate, trainings, toy, tmp_path):
    validate(records=tmp_path)
    next(tmp_path.glob("*fold4.json")).unlink()
    validate(records=tmp_path)
    assert len(trainings) == 6
    assert set(toy.group[trainings[-1]]) == {1, 2, 3, 5}


def test_other_data_seed_head_or_profile_is_another_run(validate, trainings, toy, quick, tmp_path):
    validate(records=tmp_path)
    validate(records=tmp_path, seed=1)
    validate(records=tmp_path, head="prototypes")
    validate(replace(toy, hu=toy.hu + np.int16(1)), records=tmp_path)
    cross_validate(toy, Trained({"head": "fc"}), replace(quick, epochs=1), records=tmp_path, progress=False)
    assert len(trainings) == 25


def test_a_record_says_what_its_numbers_come_from(validate, toy, tmp_path):
    validate(head="text", records=tmp_path, seed=4)
    record = read_record(next(tmp_path.glob("*fold2.json")))
    assert record["commit"] is None or len(record["commit"].removesuffix("-dirty")) == 40
    assert record["versions"]["torch"] == torch.__version__
    assert set(record["versions"]) == {"livervlm", "torch", "torchvision", "numpy", "scikit-learn", "transformers"}
    assert record["device"]["type"] in ("cpu", "cuda")
    assert record["text_encoder"] == "minilm"
    assert (record["profile"]["name"], record["profile"]["epochs"], record["seed"]) == ("smoke", 2, 4)
    known = {"fingerprint": toy.fingerprint(), "cohort_key": toy.cohort_key()}
    names = {"classes": list(toy.classes), "phases": list(toy.phases)}
    assert record["data"] == {"source": {"kind": "toy"}, **known, **names}
    assert record["model"]["head"] == "text"
    assert record["fold"] == 2
    assert record["seconds"] >= 0
    assert record["slices"]["patient"].tolist() == toy.patient[toy.group == 2].tolist()


def test_a_model_without_text_names_no_text_encoder(toy, quick):
    for method in (Trained({"head": "fc"}), Radiomics()):
        assert provenance(toy, method, quick, 0)["text_encoder"] is None


@pytest.mark.parametrize(
    "tamper",
    [
        lambda r: r["train_loss"].__setitem__(0, 0.0),
        lambda r: r.update(commit="0" * 40),
        lambda r: r.update(note="added"),
        lambda r: r.pop("checksum"),
    ],
)
def test_a_record_that_was_changed_is_refused(validate, tmp_path, tamper):
    validate(records=tmp_path)
    path = next(tmp_path.glob("*fold1.json"))
    record = json.loads(path.read_text())
    tamper(record)
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"fold1\.json: .*delete it and run again"):
        validate(records=tmp_path)


def test_arrays_that_were_changed_or_lost_are_refused(validate, tmp_path):
    validate(records=tmp_path)
    arrays = next(tmp_path.glob("*fold1.safetensors"))
    content = bytearray(arrays.read_bytes())
    content[-1] ^= 1
    arrays.write_bytes(content)
    with pytest.raises(InputError, match=r"fold1\.safetensors: the arrays of this record are missing or changed"):
        validate(records=tmp_path)
    arrays.unlink()
    with pytest.raises(InputError, match=r"fold1\.safetensors: .*delete the record and run again"):
        validate(records=tmp_path)


def test_what_no_file_can_hold_is_refused_and_leaves_nothing(tmp_path):
    for value in (np.int64(3), [np.zeros(2)]):  # neither JSON nor an array at a place of its own
        with pytest.raises(TypeError, match="not JSON serializable"):
            write_record(tmp_path / "r.json", {"schema": SCHEMA, "kept": np.ones(2), "found": value})
    assert not list(tmp_path.iterdir())


def test_arrays_come_back_where_they_were(tmp_path):
    given = {"schema": SCHEMA, "a": {"b c": np.arange(6).reshape(2, 3).T, "d": [1, 2]}, "e": np.float16([0.5])}
    write_record(tmp_path / "r.json", given)
    read = read_record(tmp_path / "r.json")
    assert np.array_equal(read["a"]["b c"], given["a"]["b c"])
    assert read["e"].dtype == np.float16
    assert read["a"]["d"] == [1, 2]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"checksum": 1}'])
def test_a_file_that_is_no_record_is_refused(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(InputError, match=r"r\.json: .*delete it and run again"):
        read_record(tmp_path / "r.json")


def test_a_record_of_another_schema_is_refused(tmp_path):
    write_record(tmp_path / "r.json", {"schema": "livervlm.record/99"})
    with pytest.raises(InputError, match="of another schema"):
        read_record(tmp_path / "r.json")


def test_records_keep_small_probabilities_apart(validate, tmp_path, monkeypatch):
    """A scale of up to 100 makes probabilities far below a millionth; their order is what an AUC is made of."""
    small = torch.tensor([[1.0, 1e-7 / (i + 1), 1e-9 * (i + 1), 0.0] for i in range(8)])
    monkeypatch.setattr(training, "predict", lambda model, pictures, **settings: small)
    outcome = validate(records=tmp_path)
    assert outcome.prob[:8] == pytest.approx(small.numpy(), rel=1e-5)


def test_one_group_cannot_be_cross_validated(validate, toy):
    with pytest.raises(InputError, match="at least 2 patient groups"):
        validate(toy.subset(toy.group == 1))


def test_summary_prints_spread_only_where_there_are_folds(validate):
    outcome = validate()
    mean, sd = accuracy_over_folds(outcome.y_true, outcome.y_pred, outcome.group)
    assert outcome.summary()["accuracy, %"] == f"{mean:.1f} ± {sd:.1f}"
    assert list(outcome.summary()) == ["CYST", "FNH", "HCC", "HEM", "accuracy, %", "AUC"]
    here = outcome.group == 1
    one = replace(outcome, **{n: getattr(outcome, n)[here] for n in ("y_true", "prob", "group", "patient")})
    assert not any("±" in cell for cell in one.summary().values())


def test_the_profile_is_the_environments_choice(monkeypatch):
    monkeypatch.delenv("LIVERVLM_PROFILE", raising=False)
    assert current_profile().name == "smoke"
    monkeypatch.setenv("LIVERVLM_PROFILE", "paper")
    paper = current_profile()
    assert (paper.size, paper.epochs, paper.text_encoder) == (224, 200, "bert")
    with pytest.raises(InputError, match=r"profile 'big' is unknown: choose one of smoke, .+, paper"):
        get_profile("big")


def test_folds_run_in_processes_as_in_one_and_leave_their_records_where_asked(toy, quick, tmp_path, monkeypatch):
    two, once = toy.subset(toy.group < 3), replace(quick, epochs=1)
    method = Trained({"head": "fc"})
    for name in ("one", "two"):  # the second time, processes are there that began in the first folder
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        outcome = cross_validate(two, method, once, records="records", progress=False)
        assert len(list((tmp_path / name / "records").glob("*.json"))) == 2
    config = config_for(two, once, head="fc")
    model, _ = train_model(two, np.flatnonzero(two.group == 2), config, once, progress=False)
    prob = training.predict(model, images(two.subset(two.group == 1)))
    assert outcome.prob[outcome.group == 1] == pytest.approx(prob.numpy(), abs=0.02)  # threads add up in another order


@pytest.mark.usefixtures("tiny_encoder", "empty_cache")
def test_learning_a_separable_set_beats_chance_by_far(toy, quick):
    longer = replace(quick, epochs=25)
    outcome = cross_validate(toy, Trained(), longer, progress=False)
    assert outcome.accuracy[0] > 70
    assert outcome.auc[0] > 0.9
    assert math.isfinite(sum(outcome.train_loss[1]))


def test_the_recipe_makes_another_record_and_stands_in_it(validate, trainings, tmp_path):
    validate(head="text", records=tmp_path)
    validate(head="text", recipe=Recipe(augmentation="matched", every_order=True), records=tmp_path)
    assert len(trainings) == 10
    recipes = [read_record(path)["recipe"]["augmentation"] for path in sorted(tmp_path.glob("*fold1.json"))]
    assert set(recipes) == {None, "matched"}


def test_without_a_folder_folds_lie_in_the_cache_by_data_settings_and_code(validate, trainings, monkeypatch):
    first = validate()
    assert np.array_equal(validate().prob, first.prob)
    assert len(trainings) == 5
    monkeypatch.setattr("livervlm.runs.cross_validation.code_key", lambda *modules: "other code")
    validate()
    assert len(trainings) == 10
    monkeypatch.setattr("livervlm.runs.cross_validation.templates", lambda: {"simple": ["{class}"]})
    validate()
    assert len(trainings) == 15


@pytest.mark.usefixtures("tiny_encoder", "empty_cache")  # which runs folds in this process
def test_any_method_is_cross_validated(toy, quick):
    outcome = cross_validate(toy, Radiomics(), quick, progress=False)
    assert outcome.accuracy[0] > 90
    assert outcome.by_fold.mean() == pytest.approx(outcome.accuracy[0])
    assert outcome.train_loss == {group: [] for group in range(1, 6)}
