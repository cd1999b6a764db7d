"""Sets whose patients lack phases: prompts name what is there, and nothing reads what is not."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_toy

from livervlm import cli
from livervlm.base.errors import InputError
from livervlm.datasets import load_dataset
from livervlm.evaluation.audit import audit
from livervlm.models import radiomics, trainer, zero_shot
from livervlm.models.lilnet import LiLNet
from livervlm.models.lilnet_training import slice_probabilities, train_lilnet
from livervlm.models.prompts import prompts_by_order
from livervlm.models.settings import LiLNetSettings, Recipe
from livervlm.models.text import text_bank
from livervlm.models.trainer import config_for, train_model
from livervlm.models.training import predict
from livervlm.runs.methods import Pretext, Radiomics, Trained
from livervlm.scans.conventions import ABSENT
from livervlm.scans.lesions import LesionSet
from livervlm.scans.phases import prompt_rows, some_of
from livervlm.scans.windowing import images

EVERY = np.arange(40)


@pytest.fixture(scope="module")
def some():
    """The toy with a phase less in every third patient, by turns NC, ART and PV."""
    return without(make_toy(), lambda patient, p: patient % 3 == 0 and patient // 3 % 3 == p)


def without(lesions, lacks):
    """A set in whose patients the phases are missing for which `lacks(patient, place)`."""
    there = [[not lacks(patient, p) for p in range(len(lesions.phases))] for patient in lesions.patient]
    present = np.array(there)
    gone = ~present[..., None, None]
    return replace(
        lesions,
        hu=np.where(gone, ABSENT, lesions.hu),
        masks=np.where(gone, np.uint8(0), lesions.masks),
        present=present,
    )


def test_what_is_there_is_kept_with_the_set(some, toy, tmp_path):
    some.save(tmp_path / "some.safetensors")
    loaded = LesionSet.load(tmp_path / "some.safetensors")
    assert loaded.present.dtype == bool
    assert np.array_equal(loaded.present, some.present)
    assert np.array_equal(some.subset(EVERY[5:9]).present, some.present[5:9])
    assert np.array_equal(LesionSet.concatenate([some.subset(EVERY[:4]), some.subset(EVERY[4:])]).present, some.present)
    assert loaded.fingerprint() == some.fingerprint() != replace(some, present=None).fingerprint()
    with pytest.raises(InputError, match=r"present is int64 \(40, 3\); expected bool \(40, 3\)"):
        replace(toy, present=np.ones((40, 3), dtype=int))
    with pytest.raises(InputError, match="2 slices have fewer than two phases"):
        replace(toy, present=(toy.patient > 0)[:, None] | [True, False, False])


def test_prompts_name_the_phases_that_are_there():
    assert some_of("abc") == [("a", "b"), ("a", "c"), ("b", "c")]
    assert some_of("abcd")[3:6] == [("b", "c", "d"), ("a", "b"), ("a", "c")]
    assert some_of("ab") == []
    every, classes = ("NC", "ART", "PV"), ("CYST", "HCC")
    prompts = prompts_by_order("enriched", classes, every, incomplete=True)
    assert prompts[: math.factorial(3)] == prompts_by_order("enriched", classes, every)
    assert prompts[7] == prompts_by_order("enriched", classes, ("NC", "PV"))[0]
    present = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 1, 0]], dtype=bool)
    assert prompt_rows(present).tolist() == [0, 7, 8, 6]
    assert prompt_rows(present, np.array([2, 0])).tolist() == [8, 0]
    assert prompt_rows(None) is None


def test_the_book_holds_the_features_of_these_prompts(empty_cache):
    bank = text_bank("enriched", ("ICC", "MET"), ("NC", "ART", "PV", "DL"), "minilm", incomplete=True)
    assert torch.equal(bank[24 + 1], text_bank("enriched", ("ICC", "MET"), ("NC", "ART", "DL"), "minilm")[0])
    assert len(bank) == 24 + 4 + 6
    assert not empty_cache.exists()


def test_training_and_answers_use_the_prompts_of_each_slice(some, quick, tiny_encoder, monkeypatch):
    seen, real = [], trainer.fit
    monkeypatch.setattr(trainer, "fit", lambda model, data, **how: seen.append(data) or real(model, data, **how))
    config = config_for(some, quick)
    assert config.incomplete
    model, _ = train_model(some, EVERY[4:], config, quick, progress=False)
    rows = prompt_rows(some.present)
    assert torch.equal(seen[0]["row"].cpu(), rows[4:])
    pictures = images(some)
    every = model.eval().every_logit(pictures)  # (N, 6 + 3, C)
    wanted = every[torch.arange(40), rows].softmax(dim=1)
    assert torch.allclose(predict(model, pictures, rows, batch_size=7), wanted, atol=1e-6)
    assert not torch.allclose(predict(model, pictures), wanted, atol=1e-6)
    fitted = Trained().fit(some, EVERY[4:], quick, 0)
    assert fitted.answer(some, EVERY[:4]) == pytest.approx(wanted[:4].detach().numpy(), abs=1e-6)


@pytest.mark.parametrize("recipe", [Recipe("phase_shuffle"), Recipe(augmentation="matched"), Recipe(every_order=True)])
def test_a_recipe_that_reorders_phases_needs_them_all(some, quick, recipe):
    words = r"reorders phases needs every phase, and 14 of 40 slices lack one: import the table without `--phases any`"
    with pytest.raises(InputError, match=words):
        train_model(some, EVERY, config_for(some, quick, text_encoder="random"), quick, recipe, progress=False)


def test_a_model_is_trained_and_asked_as_its_config_says(some, toy, quick, tiny_encoder):
    for lesions, other in ((some, toy), (toy, some)):
        with pytest.raises(InputError, match="config: incomplete is to be True where slices lack phases"):
            train_model(lesions, EVERY, config_for(other, quick), quick, progress=False)
    fitted = Trained().fit(toy, EVERY, quick, 0)
    with pytest.raises(InputError, match="trained on whole slices needs every phase"):
        fitted.answer(some, EVERY)


def test_so_do_pretexts_zero_shot_models_and_chapters(some, quick, tmp_path):
    with pytest.raises(InputError, match="phase shuffle needs every phase"):
        Pretext().fit(some, EVERY, quick, 0)
    with pytest.raises(InputError, match="a zero-shot model needs every phase"):
        zero_shot.zero_shot_probabilities(some, None)
    some.save(tmp_path / "some.safetensors")
    with pytest.raises(InputError, match=r"some.safetensors: a chapter needs every phase"):
        load_dataset(tmp_path / "some.safetensors")


def test_lilnet_never_sees_a_phase_that_is_missing(some):
    other = replace(some, hu=np.where(some.present[..., None, None], some.hu, 99))
    settings = LiLNetSettings(some.classes, "resnet10_narrow", masks=False, joint=False, depths="deep", teacher="none")
    torch.manual_seed(0)
    model = LiLNet(settings).eval()
    found = slice_probabilities(model, some, EVERY)
    assert np.array_equal(found, slice_probabilities(model, other, EVERY))
    first = np.array([0, 1])  # patient 0 lacks NC
    rest = replace(
        some.subset(first), hu=some.hu[first][:, 1:], phases=("ART", "PV"), masks=None, mask_names=(), present=None
    )
    assert found[:2] == pytest.approx(slice_probabilities(model, rest, first), abs=1e-6)
    losses = [train_lilnet(lesions, EVERY[:12], settings, 1, progress=False)[1] for lesions in (some, other)]
    assert losses[0] == losses[1]


def test_measures_of_a_missing_phase_are_missing(some, toy):
    names, found = radiomics.feature_names(some.phases), radiomics.radiomics_features(some)
    nc = np.array(["NC" in name for name in names])
    assert np.isnan(found[0, nc]).all()
    assert np.array_equal(found[0, ~nc], radiomics.radiomics_features(toy)[0, ~nc])
    assert np.isfinite(found[2]).all()
    prob = Radiomics().fit(some, EVERY[8:], None, 0).answer(some, EVERY[:8])
    assert (prob.argmax(axis=1) == some.label[:8]).mean() > 0.5


def test_an_audit_says_who_lacks_what_and_whether_that_tells_the_class(some):
    (note,) = (finding for finding in audit(some) if finding.what == "3 patients have no NC")
    assert (note.severity, note.patients) == ("note", (0, 9, 18))
    assert not any("shows nothing" in finding.what for finding in audit(some))
    told = without(make_toy(), lambda patient, p: patient % 4 == 2 and p == 1)
    (found,) = (finding for finding in audit(told) if finding.check == "shortcut")
    assert found.severity == "doubt"
    assert "has ART" in found.what


def test_any_phases_from_scans_to_answers(tmp_path, monkeypatch, empty_cache, quick, tiny_encoder, capsys):
    pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")
    from small_scans import PHASES, liver_study

    from livervlm.studies.files import write_study

    monkeypatch.chdir(tmp_path)
    rows = []
    for n in range(8):
        files = write_study(liver_study(moves=False, seed=n), f"scan{n}", "nifti")
        paths = {column: path for column, path in files.items() if column in PHASES}
        rows.append(
            {"patient": n, "label": ("HCC", "CYST")[n % 2], "group": 1 + n // 4, **paths, "mask": files["mask"]}
        )
    rows[1]["ART"] = rows[5]["NC"] = rows[6]["NC"] = rows[6]["ART"] = ""
    pd.DataFrame(rows).to_csv("t.csv", index=False)

    def run(line):
        assert cli.main(line.split()) == 0
        return capsys.readouterr().out

    said = run("import t.csv --out mine.safetensors --size 16 --phases any")
    assert "3 phases (NC, ART, PV) of which 2 patients lack one or more" in said
    assert "row 3: assumed: ART is missing; its channel is empty and its prompts do not name it" in said
    assert "row 8: left out: phase NC is missing" in said
    lesions = LesionSet.load("mine.safetensors")
    by_patient = {patient: lesions.present[lesions.patient == patient][0].tolist() for patient in (1, 2, 6)}
    assert by_patient == {1: [True] * 3, 2: [True, False, True], 6: [False, True, True]}
    assert (lesions.hu[~lesions.present] == ABSENT).all()
    assert not lesions.mask("lesion")[~lesions.present].any()
    told = json.loads((tmp_path / "mine.report.json").read_text())["lesions"][1]
    assert any("ART is missing" in line for line in told["assumed"])
    run("train mine.safetensors --out model --leave-out 2")
    run("predict model mine.safetensors --out answers.csv")
    assert len(pd.read_csv("answers.csv")) == len(lesions)
    assert "slices of" in run("evaluate mine.safetensors")
    run("import t.csv --out whole.safetensors --size 16")
    run("train whole.safetensors --out other --head fc")
    assert cli.main(["predict", "other", "mine.safetensors", "--out", "more.csv"]) == 2
    assert "the model in other needs every phase" in capsys.readouterr().err
