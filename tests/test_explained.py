"""Explained networks: pictures that differ in one part alone, scores of maps with known values, runs that go on."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_toy
from scipy.ndimage import binary_dilation
from torch import nn

from livervlm.analyses.explained import __main__ as command
from livervlm.analyses.explained import examples, faithfulness, networks, read_records, record_table
from livervlm.analyses.explained.maps import baseline_maps, ceiling_scores, examine, score_maps, true_class_maps
from livervlm.analyses.explained.patients import Counterfactuals, load_counterfactuals
from livervlm.base.compat import import_torchvision
from livervlm.evaluation.grad_cam import energy_over_area, precision_over_prevalence
from livervlm.models.encoders import ImageEncoder
from livervlm.models.liver_vlm import FCHead, LiverVLM
from livervlm.models.saved import read_card
from livervlm.models.trainer import config_for
from livervlm.phantom.cohort import make_cohort
from livervlm.runs.records import read_record
from livervlm.runs.rows import all_rows
from livervlm.runs.runner import run_one
from livervlm.scans.windowing import images

SIZE = 64
SLICES = 20  # one of each patient


@pytest.fixture(scope="module")
def patients(tmp_path_factory) -> Counterfactuals:
    """A few patients, in a cache that the tests of this file share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVERVLM_CACHE", str(tmp_path_factory.mktemp("explained")))
        few = {"CYST": 1, "FNH": 3, "HCC": 3, "HEM": 3}
        for name, value in {"PATIENTS_PER_DRAW": few, "DRAWS": 2, "SIZE": SIZE}.items():
            patch.setattr(f"livervlm.analyses.explained.patients.{name}", value)
        patch.setattr(networks, "PROFILE", dataclasses.replace(networks.PROFILE, size=SIZE, epochs=1))
        small = {
            name: dataclasses.replace(row, cohort={**row.cohort, "patients": 20}) for name, row in all_rows().items()
        }
        patch.setattr(networks, "all_rows", lambda: small)
        yield load_counterfactuals(progress=False)


def linear_model(patients: Counterfactuals, weight: torch.Tensor) -> LiverVLM:
    """A network that can be worked out by hand: phases averaged over 8 x 8 pixels, and an FC layer that weighs them."""
    model = LiverVLM(config_for(patients.slices, networks.PROFILE, head="fc"))
    model.encoder, model.head = ImageEncoder(nn.AvgPool2d(8), 3), FCHead(3, 4)
    model.head.load_state_dict({"weight": weight, "bias": torch.zeros(4)})
    return model.eval()


# -- The two scores ----------------------------------------------------------------------------------------------------


def test_scores_of_maps_that_know_everything_nothing_and_the_opposite():
    part, within = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    within[:, :4], part[:2, :4] = True, True  # a quarter of what counts
    assert precision_over_prevalence(part.astype(float), part, within) == pytest.approx(4)
    assert energy_over_area(part.astype(float), part, within) == pytest.approx(4)
    assert precision_over_prevalence(np.ones((8, 8)), part, within) == pytest.approx(1)
    assert energy_over_area(np.ones((8, 8)), part, within) == pytest.approx(1)
    assert precision_over_prevalence(np.arange(64.0).reshape(8, 8), part, within) < 0.7  # the part comes last
    assert energy_over_area(1 - part.astype(float), part, within) == 0


def test_what_lies_outside_counts_for_nothing():
    rng = np.random.default_rng(0)
    values, part, within = rng.normal(size=(8, 8)), rng.random((8, 8)) < 0.3, rng.random((8, 8)) < 0.7
    changed = np.where(within, values, 1e6)
    for score in (precision_over_prevalence, energy_over_area):
        assert score(values, part & within, within) == score(changed, part & within, within)


def test_a_part_that_is_not_there_or_a_map_without_anything_positive_has_no_score():
    nothing, everything = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    assert np.isnan(precision_over_prevalence(np.ones((4, 4)), nothing, everything))
    assert np.isnan(precision_over_prevalence(np.ones((4, 4)), everything, everything))
    assert np.isnan(energy_over_area(-np.ones((4, 4)), np.eye(4, dtype=bool), everything))


def test_energy_is_the_relevance_mass_accuracy_of_quantus():
    import_torchvision()
    quantus = pytest.importorskip("quantus")
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 1, 16, 16))
    part = rng.random((3, 1, 16, 16)) < 0.3
    metric = quantus.RelevanceMassAccuracy(abs=False, normalise=False, disable_warnings=True)
    theirs = metric(None, values, np.zeros(3, int), a_batch=values.clip(min=0), s_batch=part.astype(int), device="cpu")
    everything = np.ones((16, 16), bool)
    ours = [energy_over_area(v, p, everything) * p.mean() for v, p in zip(values[:, 0], part[:, 0], strict=True)]
    assert ours == pytest.approx(theirs)


# -- The patients ------------------------------------------------------------------------------------------------------


def test_a_part_that_is_gone_changes_nothing_else(patients):
    """Beyond the reach of the scanner's blur, two pictures of a patient are the same to the last unit."""
    compared = 0
    for name, (at, without) in patients.without.items():
        for i, gone in zip(at, without.hu, strict=True):
            seen = patients.slices.mask(name)[i]
            near = np.stack([binary_dilation(phase, iterations=12) for phase in seen])
            changed = gone != patients.slices.hu[i]
            assert changed.any(), name
            if name != "lesion":  # of which the mosaic goes, too
                # A part may pass through neighbouring sub-slices without filling half of this slice: few such pixels.
                assert changed[~near].mean() < 0.15
                compared += 1
    assert compared > 10


def test_the_middle_is_not_an_answer(patients):
    lesion = patients.part_mask("lesion")
    y, x = (lesion.sum(axis=axis) @ np.arange(SIZE) / lesion.sum(axis=(1, 2)) for axis in (2, 1))
    off = np.hypot(y - (SIZE - 1) / 2, x - (SIZE - 1) / 2) / SIZE
    assert np.median(off) > 0.03
    assert off.max() < 0.25


def test_every_patient_gives_a_slice_and_its_lesion_is_taken_away(patients):
    assert len(patients.slices) == len(np.unique(patients.slices.patient)) == SLICES
    assert np.array_equal(patients.without["lesion"][0], np.arange(SLICES))
    for name, (at, without) in patients.without.items():
        assert np.array_equal(patients.slices.patient[at], without.patient), name
        part, lesion = (patients.part_mask(which)[at].sum(axis=(1, 2)) for which in (name, "lesion"))
        share = part / lesion
        assert name == "lesion" or ((share > 0.01) & (share < 0.95)).all()


def test_the_edge_is_the_outside_of_the_lesion(patients):
    lesion, edge = patients.part_mask("lesion"), patients.part_mask("edge")
    assert not (edge & ~lesion).any()
    inside = lesion & ~edge
    share = edge.sum(axis=(1, 2)) / lesion.sum(axis=(1, 2))
    assert ((share > 0.3) & (share < 0.9)).all()  # of a disc: 1 - 0.7 ** 2
    assert not (inside & ~np.stack([binary_dilation(i) & one for i, one in zip(inside, lesion, strict=True)])).any()


# -- One network -------------------------------------------------------------------------------------------------------


def test_what_is_recorded_of_a_network_that_can_be_worked_out_by_hand(patients, monkeypatch):
    monkeypatch.setattr(networks, "STAGES", {})  # of a ResNet
    weight = torch.tensor([[0.0, 0, 2], [0, 1, 0], [0, 0, -1], [1, 0, 0]])
    found = examine(linear_model(patients, weight), patients)
    pictures, label = images(patients.slices), patients.slices.label
    means = pictures.mean(dim=(2, 3))  # (N, P)
    right = (means @ weight.T).argmax(dim=1).numpy() == label
    assert found["right"] == right.tolist()
    assert len(found["shift"]) == SLICES
    assert min(found["shift"]) > 0.9  # its map moves with the picture, but for the border

    table = pd.DataFrame(found["parts"])
    for name, (at, without) in patients.without.items():
        falls = ((means[at] - images(without).mean(dim=(2, 3))) * weight[label[at]]).sum(dim=1)
        assert table[table["part"] == name]["fall"].to_numpy() == pytest.approx(falls.numpy(), abs=2e-4), name
    # Of a linear network the map adds up to the score: what falls on the lesion and beside it is all there is.
    maps = true_class_maps(linear_model(patients, weight), pictures, torch.from_numpy(label))
    assert maps.sum(dim=(1, 2)).numpy() == pytest.approx((means * weight[label]).sum(dim=1).numpy(), abs=1e-4)

    twice = np.tile(label, 2)
    other = [(i + np.flatnonzero(twice[i:] != label[i])[0]) % SLICES for i in range(SLICES)]
    expected = (means - means[other]) * weight[label]
    for i, phase in enumerate(("NC", "ART", "PV")):
        assert found["phases"][phase] == pytest.approx(expected[:, i].tolist(), abs=1e-4)


def test_weights_drawn_anew_change_the_map_from_the_head_down(patients):
    torch.manual_seed(0)
    model = LiverVLM(config_for(patients.slices, networks.PROFILE)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layers = {"head": "head.fc_i", "stem": "encoder.body.conv1"}
    layers |= {f"stage {i}": f"encoder.body.layer{i}.0.conv1" for i in (1, 2, 3, 4)}
    anew = set()
    for stage, broken in networks.cascading_randomisation(model, seed=0):
        anew.add(layers[stage])
        weights = broken.state_dict()
        assert {
            name for name in layers.values() if not torch.equal(weights[f"{name}.weight"], before[f"{name}.weight"])
        } == anew
    assert anew == set(layers.values())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_baselines_know_what_they_should(patients):
    maps = baseline_maps(patients, (8, 8))
    assert all(one.mean(dim=(1, 2)).abs().max() < 1e-4 for one in maps.values())
    tables = {name: pd.DataFrame(score_maps(one, patients)) for name, one in maps.items()}
    tables["ceiling"] = pd.DataFrame(ceiling_scores(patients, (8, 8)))
    mean = pd.DataFrame({name: table.groupby("part")["precision"].mean() for name, table in tables.items()})
    assert mean.loc["lesion", "middle"] > 1.5
    assert mean.loc["edge", "rim"] > 1.3 > 1 > mean.loc["edge", "middle"]
    assert 0.8 < mean.loc["lesion", "noise"] < 1.25
    assert (mean["ceiling"] > mean["noise"]).all()


def test_the_chapters_network_is_the_shipped_one_or_one_that_reads_the_data():
    toy, shipped = make_toy(size=32), networks.shipped_network()
    assert networks.network_for(toy).config == shipped.config
    two = dataclasses.replace(toy, hu=toy.hu[:, :2], masks=toy.masks[:, :2], phases=toy.phases[:2])
    assert networks.network_for(two).config.phases == two.phases


def test_examples_are_a_slice_of_each_class_with_most_of_its_parts():
    toy = make_toy()
    last = np.flatnonzero(toy.label == 2)[-1]
    toy.masks[last, 0, 5:9, 5:9] |= 2
    assert [toy.label[row] for row in examples(toy)] == [0, 1, 2, 3]
    assert examples(toy)[2] == last
    bare = dataclasses.replace(toy, masks=None, mask_names=())
    assert examples(bare)[2] == np.flatnonzero(toy.label == 2)[0]


def test_permuted_labels_go_by_patient():
    lesions = make_cohort(seed=3, size=16, patients=12, progress=False)
    label = networks.permuted_labels(lesions, seed=1)
    each = [set(label[lesions.patient == patient].tolist()) for patient in range(12)]
    assert all(len(one) == 1 for one in each)
    true = [set(lesions.label[lesions.patient == patient].tolist()) for patient in range(12)]
    assert sorted(map(min, each)) == sorted(map(min, true))
    assert each != true


# -- Records -----------------------------------------------------------------------------------------------------------


def test_networks_and_baselines_are_recorded_once_and_read(patients, tmp_path):
    todo = [(command.BASELINES, 0), ("FC, phase shuffle", 0), ("untrained", 1)]
    for one in todo:
        run_one(command.Examination(*one), tmp_path)
    files = {file: file.read_bytes() for file in tmp_path.glob("*.json")}
    assert {file.name for file in files} == {
        "baselines.json",
        "FC-phase-shuffle-cohort0.json",
        "untrained-cohort1.json",
    }
    for one in todo:
        run_one(command.Examination(*one), tmp_path)
    assert all(file.read_bytes() == before for file, before in files.items())
    one = read_record(tmp_path / "FC-phase-shuffle-cohort0.json")
    assert one["data"]["fingerprint"] == patients.slices.fingerprint()
    assert {stage: len(values) for stage, values in one["randomised"].items()} == dict.fromkeys(networks.STAGES, 4)

    table = record_table(read_records(tmp_path))
    assert set(table["arm"]) == {"FC, phase shuffle", "untrained", "middle", "rim", "edges", "noise", "ceiling"}
    assert (table[table["part"] == "lesion"].groupby("arm").size() == SLICES).all()
    assert set(table[table["part"] == "nodules"]["class"]) == {"HEM"}
    # The same weights are drawn for an arm and a cohort, whoever asks.
    one, other = (networks.explained_model("untrained", 1).state_dict() for _ in range(2))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_one_command_trains_records_and_writes_the_network_of_the_chapter(patients, tmp_path, monkeypatch):
    for name, value in {"ARMS": (), "CONTROLS": ("untrained",)}.items():
        monkeypatch.setattr(networks, name, value)
    out, folder = tmp_path / "records", tmp_path / "network"
    monkeypatch.setattr("sys.argv", ["x", "--cohorts", "1", "--out", str(out), "--model", str(folder)])
    command.main()
    written = {"baselines", "untrained-cohort0", "narrow/model-1-narrow-ResNet10-cohort0"}
    assert {file.relative_to(out).with_suffix("").as_posix() for file in out.rglob("*.json")} == written
    full, half = networks.explained_model(networks.NARROW, 0), LiverVLM.from_pretrained(folder)
    few = images(patients.slices, slice(4))
    assert torch.allclose(full(few), half(few), atol=0.2)
    assert (folder / "model.safetensors").stat().st_size < 2e6
    card = read_card(folder)
    assert (card["provenance"]["cohort"], card["model"]["encoder"]) == (0, "resnet10_narrow")
    table = record_table(read_records(out / "narrow"))
    thrice = pd.concat([table.assign(slice=table["slice"] + 1000 * i) for i in range(3)])  # more than ten of each
    assert networks.NARROW in faithfulness(thrice).index.unique("arm")  # by its own falls, as a network
