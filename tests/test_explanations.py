"""Scores of maps: known values, an independent package, pictures that differ in one part alone, runs that go on."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import binary_dilation
from torch import nn

from livervlm import explanations
from livervlm.compat import import_torchvision
from livervlm.encoders import ImageEncoder
from livervlm.errors import InputError
from livervlm.experiments import config_for
from livervlm.explanations import Tested, how_much, lines, where, within_patients
from livervlm.grad_cam import energy_over_area, precision_over_prevalence
from livervlm.lesions import images
from livervlm.model import FCHead, LiverVLM, read_card
from livervlm.phantom import make_cohort
from livervlm.records import SCHEMA, read_record, write_record

SIZE = 64


@pytest.fixture(scope="module")
def tested(tmp_path_factory) -> Tested:
    """A few patients, in a cache that the tests of this file share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVERVLM_CACHE", str(tmp_path_factory.mktemp("explained")))
        patch.setattr(explanations, "CHUNK", {"CYST": 1, "FNH": 5, "HCC": 5, "HEM": 4})
        patch.setattr(explanations, "CHUNKS", 2)
        patch.setattr(explanations, "PROFILE", dataclasses.replace(explanations.PROFILE, size=SIZE, epochs=1))
        yield explanations.scored_patients(progress=False)


def linear_model(tested: Tested, weight: torch.Tensor) -> LiverVLM:
    """A network that can be worked out by hand: phases averaged over 8 x 8 pixels, and an FC layer that weighs them."""
    model = LiverVLM(config_for(tested.slices, explanations.PROFILE, head="fc"))
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


def test_a_part_that_is_gone_changes_nothing_else(tested):
    """Beyond the reach of the scanner's blur, two pictures of a patient are the same to the last unit."""
    compared = 0
    for name, (at, without) in tested.gone.items():
        for i, gone in zip(at, without.hu, strict=True):
            seen = tested.slices.mask(name)[i]
            near = np.stack([binary_dilation(phase, iterations=12) for phase in seen])
            changed = gone != tested.slices.hu[i]
            assert changed.any(), name
            if name != "lesion":  # of which the mosaic goes, too
                # A part may pass through neighbouring sub-slices without filling half of this slice: few such pixels.
                assert changed[~near].mean() < 0.15
                compared += 1
    assert compared > 10


def test_the_middle_is_not_an_answer(tested):
    lesion = tested.part("lesion")
    y, x = (lesion.sum(axis=axis) @ np.arange(SIZE) / lesion.sum(axis=(1, 2)) for axis in (2, 1))
    off = np.hypot(y - (SIZE - 1) / 2, x - (SIZE - 1) / 2) / SIZE
    assert np.median(off) > 0.03
    assert off.max() < 0.25


def test_every_patient_gives_a_slice_and_its_lesion_is_taken_away(tested):
    assert len(tested.slices) == len(np.unique(tested.slices.patient)) == 30
    assert np.array_equal(tested.gone["lesion"][0], np.arange(30))
    for name, (at, without) in tested.gone.items():
        assert np.array_equal(tested.slices.patient[at], without.patient), name
        share = tested.slices.mask(name)[at].any(axis=1).sum(axis=(1, 2)) / tested.part("lesion")[at].sum(axis=(1, 2))
        assert name == "lesion" or ((share > 0.01) & (share < 0.95)).all()


def test_the_edge_is_the_outside_of_the_lesion(tested):
    lesion, edge = tested.part("lesion"), tested.part("edge")
    assert not (edge & ~lesion).any()
    inside = lesion & ~edge
    share = edge.sum(axis=(1, 2)) / lesion.sum(axis=(1, 2))
    assert ((share > 0.3) & (share < 0.9)).all()  # of a disc: 1 - 0.7 ** 2
    assert not (inside & ~np.stack([binary_dilation(i) & one for i, one in zip(inside, lesion, strict=True)])).any()


# -- One network -------------------------------------------------------------------------------------------------------


def test_what_is_recorded_of_a_network_that_can_be_worked_out_by_hand(tested, monkeypatch):
    monkeypatch.setattr(explanations, "STAGES", {})  # of a ResNet
    weight = torch.tensor([[0.0, 0, 2], [0, 1, 0], [0, 0, -1], [1, 0, 0]])
    found = explanations.examine(linear_model(tested, weight), tested)
    pictures, label = images(tested.slices), tested.slices.label
    means = pictures.mean(dim=(2, 3))  # (N, P)
    right = (means @ weight.T).argmax(dim=1).numpy() == label
    assert found["right"] == right.tolist()
    assert all(len(found[key]) == 30 for key in ("right", "shift"))

    table = pd.DataFrame(found["parts"])
    for name, (at, without) in tested.gone.items():
        falls = ((means[at] - images(without).mean(dim=(2, 3))) * weight[label[at]]).sum(dim=1)
        assert table[table["part"] == name]["fall"].to_numpy() == pytest.approx(falls.numpy(), abs=2e-4), name
    # Of a linear network the map adds up to the score: what falls on the lesion and beside it is all there is.
    maps = explanations.true_class_maps(linear_model(tested, weight), pictures, torch.from_numpy(label))
    assert maps.sum(dim=(1, 2)).numpy() == pytest.approx((means * weight[label]).sum(dim=1).numpy(), abs=1e-4)

    other = explanations._of_another_class(label)
    assert (label[other] != label).all()
    expected = (means - means[other]) * weight[label]
    for i, phase in enumerate(("NC", "ART", "PV")):
        assert found["phases"][phase] == pytest.approx(expected[:, i].tolist(), abs=1e-4)


def test_weights_drawn_anew_change_the_map_from_the_head_down(tested):
    torch.manual_seed(0)
    model = LiverVLM(config_for(tested.slices, explanations.PROFILE)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layers = {"head": "head.fc_i", "stem": "encoder.body.conv1"}
    layers |= {f"stage {i}": f"encoder.body.layer{i}.0.conv1" for i in (1, 2, 3, 4)}
    anew = set()
    for stage, broken in explanations._randomised(model, seed=0):
        anew.add(layers[stage])
        weights = broken.state_dict()
        assert {
            name for name in layers.values() if not torch.equal(weights[f"{name}.weight"], before[f"{name}.weight"])
        } == anew
    assert anew == set(layers.values())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_baselines_know_what_they_should(tested):
    maps = explanations.baselines(tested, (8, 8))
    assert all(one.mean(dim=(1, 2)).abs().max() < 1e-4 for one in maps.values())
    tables = {name: pd.DataFrame(explanations.scored(one, tested)) for name, one in maps.items()}
    tables["ceiling"] = pd.DataFrame(explanations.ceiling(tested, (8, 8)))
    mean = pd.DataFrame({name: table.groupby("part")["precision"].mean() for name, table in tables.items()})
    assert mean.loc["lesion", "middle"] > 1.5
    assert mean.loc["edge", "rim"] > 1.3 > 1 > mean.loc["edge", "middle"]
    assert 0.8 < mean.loc["lesion", "noise"] < 1.25
    assert (mean["ceiling"] > mean["noise"]).all()


def test_permuted_labels_go_by_patient():
    lesions = make_cohort(seed=3, size=16, patients=12, progress=False)
    label = explanations._permuted(lesions, seed=1)
    each = [set(label[lesions.patient == patient].tolist()) for patient in range(12)]
    assert all(len(one) == 1 for one in each)
    true = [set(lesions.label[lesions.patient == patient].tolist()) for patient in range(12)]
    assert sorted(map(min, each)) == sorted(map(min, true))
    assert each != true


# -- Records -----------------------------------------------------------------------------------------------------------


def test_networks_and_baselines_are_recorded_once_and_read(tested, tmp_path):
    todo = [(explanations.BASELINES, 0), ("FC, phase shuffle", 0), ("untrained", 1)]
    for one in todo:
        explanations.record(tmp_path, *one)
    files = {file: file.read_bytes() for file in tmp_path.glob("*.json")}
    assert {file.name for file in files} == {
        "baselines.json",
        "FC-phase-shuffle-cohort0.json",
        "untrained-cohort1.json",
    }
    for one in todo:
        explanations.record(tmp_path, *one)
    assert all(file.read_bytes() == before for file, before in files.items())
    assert read_record(tmp_path / "FC-phase-shuffle-cohort0.json")["data"]["fingerprint"] == tested.slices.fingerprint()

    table = lines(explanations.read(tmp_path))
    assert set(table["arm"]) == {"FC, phase shuffle", "untrained", "middle", "rim", "edges", "noise", "ceiling"}
    assert (table[table["part"] == "lesion"].groupby("arm").size() == 30).all()
    assert set(table[table["part"] == "nodules"]["class"]) == {"HEM"}
    # The same weights are drawn for an arm and a cohort, whoever asks.
    one, other = (explanations.explained_model("untrained", 1).state_dict() for _ in range(2))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_one_command_trains_records_and_writes_the_network_of_the_chapter(tested, tmp_path, monkeypatch):
    for name, value in {"ARMS": ("scratch",), "CONTROLS": ("untrained",), "REFERENCE": "scratch"}.items():
        monkeypatch.setattr(explanations, name, value)
    out, folder = tmp_path / "records", tmp_path / "network"
    monkeypatch.setattr("sys.argv", ["x", "--cohorts", "1", "--out", str(out), "--model", str(folder)])
    explanations.main()
    assert {file.stem for file in out.iterdir()} == {"baselines", "scratch-cohort0", "untrained-cohort0"}
    full, half = explanations.explained_model("scratch", 0), LiverVLM.from_pretrained(folder)
    few = images(tested.slices, slice(4))
    assert torch.allclose(full(few), half(few), atol=0.2)
    assert (folder / "model.safetensors").stat().st_size < 25e6
    assert read_card(folder)["provenance"]["cohort"] == 0


def test_records_of_other_patients_are_not_mixed(tmp_path):
    for name, fingerprint in {"one": "a", "two": "a", "other": "b"}.items():
        record = {"schema": SCHEMA, "data": {"fingerprint": fingerprint}, "profile": {"size": 64}}
        write_record(tmp_path / f"{name}.json", record)
    with pytest.raises(InputError, match="records of other patients"):
        explanations.read(tmp_path)
    (tmp_path / "other.json").unlink()
    assert len(explanations.read(tmp_path)) == 2


def test_no_record_is_an_empty_table(tmp_path):
    assert not len(lines(explanations.read(tmp_path)))


def made_up(arm: str, cohort: int, mass, fall, precision=None) -> pd.DataFrame:
    n = len(mass)
    columns = {"slice": range(n), "part": "scar", "precision": precision if precision is not None else np.ones(n)}
    return pd.DataFrame({**columns, "mass": mass, "fall": fall, "arm": arm, "cohort": cohort, "class": "FNH"})


def test_a_mean_over_patients_whose_networks_are_averaged_first():
    precision = np.array([1.0, 2.0, 3.0, np.nan])
    table = pd.concat([made_up("FC, phase shuffle", c, precision, precision, precision + c) for c in (0, 1)])
    found = where(table).loc[("FC, phase shuffle", "FNH", "scar")]
    assert (found["mean"], found["sd"], found["patients"], found["networks"]) == (2.5, 1.0, 3, 2)
    assert found["high"] - found["mean"] == pytest.approx(4.3027 / np.sqrt(3), abs=1e-3)  # t of 2 degrees of freedom


def test_claims_that_rank_like_the_falls_and_baselines_held_against_them():
    rng = np.random.default_rng(0)
    fall = rng.normal(size=200)
    half = fall + np.sqrt(3) * rng.normal(size=200)  # a correlation of .5
    table = pd.concat(
        [
            made_up("model 1", 0, np.exp(fall), fall),
            made_up("FC, phase shuffle", 0, -fall, fall),
            made_up("scratch", 0, half, fall),
            made_up("middle", -1, fall, np.nan),
        ]
    )
    found = how_much(table)
    for arm, value in {"model 1": 1, "FC, phase shuffle": -1, "middle": 1}.items():
        assert found.loc[(arm, "FNH", "scar"), "mean"] == pytest.approx(value), arm
    scratch = found.loc[("scratch", "FNH", "scar")]
    assert scratch["low"] < 0.48 < scratch["high"]
    assert scratch["high"] - scratch["low"] == pytest.approx(2 * 1.96 * 1.03 / np.sqrt(197) * (1 - 0.48**2), rel=0.15)


def test_parts_of_one_patient_that_are_ranked_as_the_falls_rank_them():
    small, large = (
        made_up("model 1", 0, np.array(mass), np.arange(4) + add)
        for mass, add in (([1.0, 1, 1, 3], 0.0), ([2.0, 2, 2, 2], 0.5))
    )  # the fourth claims more for the smaller fall
    ours = pd.concat(
        [small, large.assign(part="capsule"), made_up("model 1", 0, np.zeros(4), np.ones(4)).assign(part="lesion")]
    )
    lone = made_up("model 1", 0, np.ones(5), np.ones(5)).iloc[[4]]  # shows one part only
    other = ours.assign(cohort=1, mass=-ours["mass"])  # a second network that is wrong where the first is right
    middle = ours.assign(arm="middle", cohort=-1, fall=np.nan, mass=-ours["mass"])
    found = within_patients(pd.concat([ours, lone, other.assign(arm="scratch"), middle]))
    assert found["mean"].to_dict() == {"model 1": 0.5, "scratch": -0.5, "middle": -0.5}
    assert (found["patients"] == 4).all()
    assert found.loc["model 1", "sd"] == 1.0
    both = within_patients(pd.concat([ours, other]))
    assert both.loc["model 1", ["mean", "sd"]].tolist() == [0.0, 0.0]  # the networks of a patient are averaged first
