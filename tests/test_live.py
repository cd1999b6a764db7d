"""The live page's Python side: networks folded and in bytes, patients without a part, moves with known results."""

import json

import numpy as np
import pytest
import torch
from moving.moving_page import spec_of
from scipy.ndimage import binary_dilation, gaussian_filter, shift
from torch import nn

from livervlm.analyses.explained import slices_without
from livervlm.base.errors import InputError
from livervlm.base.paths import data_file
from livervlm.book.live import Moves, live_answer, live_panel
from livervlm.book.live.__main__ import main
from livervlm.book.live.export import KNOBS, PATIENTS, SEED
from livervlm.book.live.files import packed_files, read_live
from livervlm.book.live.network import CANONICAL_ROWS, TEMPLATES, folded, in_bytes, network, out_of_bytes, sentences
from livervlm.models.liver_vlm import LiverVLM
from livervlm.models.settings import Config
from livervlm.phantom.patients import draw_patients
from livervlm.scans.conventions import CANONICAL, LIVER_VLM_CLASSES
from livervlm.scans.seeds import SEEDS


@pytest.fixture(scope="module")
def model() -> LiverVLM:
    """A narrow network whose batch norms have seen something."""
    torch.manual_seed(0)
    model = LiverVLM(Config(LIVER_VLM_CLASSES, CANONICAL, encoder="resnet10_narrow"))
    for norm in (part for part in model.modules() if isinstance(part, nn.BatchNorm2d)):
        for value in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
            value.uniform_(0.3, 1.2)
    return model.eval()


# -- Networks ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_folded_network_answers_as_the_one_it_was_made_of(model):
    images = torch.rand(3, 3, 64, 64) * 2 - 1
    found = network(folded(model), CANONICAL_ROWS)(images)
    torch.testing.assert_close(found, model(images), rtol=0, atol=2e-4)


@torch.no_grad()
def test_the_sentences_of_every_order_have_their_vectors(model):
    rows = [[s[:3] for s in sentences()].index(("enriched", 4, kind)) for kind in LIVER_VLM_CLASSES]
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    found = network(folded(model), rows)(images)
    torch.testing.assert_close(found, model(images, torch.tensor([4, 4])), rtol=0, atol=2e-4)


def test_bytes_are_off_by_half_a_step_at_most(model):
    parts = folded(model)
    back = out_of_bytes(in_bytes(parts))
    assert back.keys() == parts.keys()
    for name, part in parts.items():
        rows, off = part.reshape(len(part), -1), (back[name] - part).reshape(len(part), -1).abs().amax(dim=1)
        step = rows.abs().amax(dim=1) / 127 if part.ndim > 1 else torch.zeros(len(part))
        assert bool((off <= 0.501 * step).all()), name


def test_what_ships_is_small_and_says_where_it_comes_from():
    card = json.loads(data_file("live/config.json").read_text())
    assert data_file("live/model.safetensors").stat().st_size < 1e6
    assert sum(map(len, packed_files().values())) < 4e6
    assert int(card["data"]["source"]["seed"]) in SEEDS["development"]
    assert int(card["pool"]["source"]["seed"]) in SEEDS["development pool"]
    assert int(card["patients"]["source"]["seed"]) in SEEDS["chapters"]
    for found in (one["accuracy"] for one in card["networks"].values()):
        assert found["in bytes"] > 75
        assert abs(found["in bytes"] - found["as trained"]) < 1


# -- Patients ----------------------------------------------------------------------------------------------------------


def test_the_shipped_patients_are_the_phantoms():
    patients = read_live().patients
    drawn = draw_patients(SEED, PATIENTS, KNOBS)
    assert [p.kind for p in drawn] == [LIVER_VLM_CLASSES[label] for label in patients.slices.label]
    smallest = min((i for i in range(len(drawn)) if len(patients.parts_of(i)) > 1), key=lambda i: drawn[i].diameter)
    names, slices = slices_without(drawn[smallest], 64, centred=True)
    assert names[1:] == patients.parts_of(smallest)
    for name, hu in zip([None, *names[1:]], slices.hu, strict=True):
        assert (patients.hu(smallest, name) == hu).all()


def test_without_a_part_only_its_place_has_changed():
    patients = read_live().patients
    for owner, part, less in zip(patients.owner, patients.part, patients.less, strict=True):
        mask = patients.slices.mask(part)[owner]
        near = np.stack([binary_dilation(one, iterations=6) for one in mask])  # the scanner blurs
        inside, outside = np.abs(less[mask]).mean(), np.abs(less[~near]).mean() if (~near).any() else 0
        assert inside > 3 * outside, (owner, part)


def test_all_classes_typical_and_not_are_there():
    patients = read_live().patients
    kinds = LIVER_VLM_CLASSES
    odd = {kinds[c] for c, words in zip(patients.slices.label, patients.words, strict=True) if "atypical" in words}
    usual = {
        kinds[c] for c, words in zip(patients.slices.label, patients.words, strict=True) if "atypical" not in words
    }
    assert (usual, odd) == (set(kinds), {"CYST", "HCC", "HEM"})  # the phantom's version 2 has no atypical FNH
    assert {"lesion", "scar", "capsule", "washout", "nodules", "necrosis"} == set(patients.part)


# -- Moves -------------------------------------------------------------------------------------------------------------


def test_moves_on_the_picture_do_what_they_say():
    plain = live_answer(patient=20).hu
    assert (live_answer(patient=20, hide=["ART"]).hu[1] == 40).all()
    assert (live_answer(patient=20, order=["PV", "NC", "ART"]).hu == plain[[2, 0, 1]]).all()
    moved = live_answer(patient=20, shift={"NC": (5, -7)}).hu[0]
    assert (moved == shift(plain[0], (5, -7), order=0, mode="nearest")).all()
    blurred = live_answer(patient=20, blur={"PV": 2.0}).hu[2]
    np.testing.assert_allclose(
        blurred, gaussian_filter(plain[2].astype(float), 2, mode="nearest", truncate=3), atol=1e-3
    )
    noise = live_answer(patient=20, noise={"NC": 50}).hu[0] - plain[0]
    assert noise.std() == pytest.approx(50, rel=0.05)
    assert abs(noise.mean()) < 3
    painted = live_answer(patient=20, paint=[("all", 10, 50, 3, 200), ("PV", 10, 50, 1, -50)]).hu
    assert (painted != plain).any(axis=0).sum() <= 29  # pixels within 3 of the middle
    assert painted[:, 10, 50].tolist() == [200, 200, -50]


def test_names_that_are_permuted_permute_the_answer():
    plain, names = live_answer(patient=20), ("FNH", "HCC", "HEM", "CYST")
    other = live_answer(patient=20, says=names)
    for name in ("prob", "cosine", "maps"):
        rows = [LIVER_VLM_CLASSES.index(kind) for kind in names]
        np.testing.assert_allclose(getattr(other, name), getattr(plain, name)[rows], atol=1e-6)


def test_the_scale_sharpens_and_the_maps_of_a_cosine_add_up_to_zero():
    answer = live_answer(patient=20, scale=1e-6)
    np.testing.assert_allclose(answer.prob, 0.25, atol=1e-5)
    assert live_answer(patient=20, scale=1000).prob.max() == pytest.approx(1)
    assert np.abs(answer.maps).max() > 0.01
    np.testing.assert_allclose(answer.maps.sum(axis=(1, 2)), 0, atol=1e-6)  # a longer vector has the same cosine


def test_only_a_template_that_names_the_order_can_contradict_the_picture():
    for template in TEMPLATES:
        own, other = (
            live_answer(patient=20, template=template, named=named).cosine for named in (None, ["PV", "NC", "ART"])
        )
        assert (own == other).all() == (template != "enriched")


@pytest.mark.parametrize(
    ("moves", "message"),
    [
        ({"patient": 62}, "patient 62: there are 0 to 61"),
        ({"patient": 0, "without": "scar"}, "without, patient 0 'scar' is unknown: choose one of lesion"),
        ({"order": ["NC", "ART"]}, "order"),
        ({"hide": ["DL"]}, "hide 'DL' is unknown: choose one of NC, ART, PV"),
        ({"shift": {"NC": (5,)}}, "shift .*: give pixels down and right"),
        ({"paint": [("ART", 1, 2)]}, "a stroke is phase, row, column, radius, HU"),
        ({"template": "rude"}, "template 'rude' is unknown"),
        ({"says": ["HCC"]}, "give one class for each of CYST, FNH, HCC, HEM"),
        ({"scale": 0}, "scale 0"),
        ({"noise": {"NC": -1}}, "noise"),
        ({"network": "large"}, "network 'large' is unknown"),
    ],
)
def test_moves_that_cannot_be_made(moves, message):
    with pytest.raises(InputError, match=message):
        live_answer(**moves)
    with pytest.raises(InputError, match=message):
        live_panel(**moves)


# -- The panel's output ------------------------------------------------------------------------------------------------


def test_an_output_carries_the_model_or_says_where_it_is(monkeypatch):
    alone = spec_of(live_panel("Why?", patient=3, hide=["ART"])._repr_html_())
    assert alone["files"].keys() == {"model", "patients"}
    assert alone["start"] == {"patient": 3, "hide": ["ART"]} == Moves(patient=3, hide=["ART"]).departures()
    monkeypatch.setenv("LIVERVLM_LIVE_URL", "../_static/live.js")
    beside = live_panel("Why?", predict=True)
    assert spec_of(beside._repr_html_())["url"] == "../_static/live.js"
    assert "files" not in spec_of(beside._repr_html_())
    assert "probability" not in repr(beside)  # the still picture must not tell what is to be predicted


def test_the_script_of_a_page_holds_the_shipped_files(tmp_path, capsys, monkeypatch):
    target = tmp_path / "live.js"
    monkeypatch.setattr("sys.argv", ["live", "--script", str(target)])
    main()
    name, _, files = target.read_text().partition(" = ")
    assert name == "globalThis.livervlmLive"
    assert json.loads(files.rstrip(";\n")) == packed_files()
    monkeypatch.setattr("sys.argv", ["live"])
    with pytest.raises(SystemExit):
        main()
    assert "nothing to write" in capsys.readouterr().err
