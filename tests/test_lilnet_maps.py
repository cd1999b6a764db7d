"""What is measured on LiLNet's maps: known maps give known values, and planted records the sentences that hold."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import cells_that_wait
from torch import nn

from livervlm.analyses import lilnet_maps
from livervlm.analyses.lilnet_maps import ARMS, MEASURES, Cohort, measured, own_maps, told
from livervlm.base.errors import InputError
from livervlm.models.lilnet import LiLNet
from livervlm.models.settings import LiLNetSettings
from livervlm.phantom.centres import centre_set
from livervlm.runs.records import write_record
from livervlm.scans.conventions import LILNET_CLASSES
from livervlm.scans.lesions import LesionSet, pack_masks
from livervlm.scans.windowing import images

SEED = Path(__file__).resolve().parents[2] / "shared" / "seeds" / "lilnet_natcomm_2024.txt"
SIDE = 32


@pytest.fixture(scope="module")
def disc():
    """One slice in two phases; the lesion is a disc off the middle."""
    y, x = np.indices((SIDE, SIDE))
    lesion = ((y - 12) ** 2 + (x - 18) ** 2 < 49)[None, None].repeat(2, axis=1)
    return LesionSet(
        hu=np.where(lesion, 100, 40).astype(np.int16),
        **{"label": [2], "patient": [0], "group": [1], "spacing": np.ones((1, 3))},
        **{"classes": LILNET_CLASSES, "phases": ("ART", "PV"), "masks": pack_masks({"lesion": lesion}, ("lesion",))},
        mask_names=("lesion",),
        source={"kind": "test"},
    )


def measures(values, lesions) -> dict:
    return dict(zip(MEASURES, measured(np.broadcast_to(values, (1, 2, SIDE, SIDE)), lesions)[0], strict=True))


def test_known_maps(disc):
    lesion = disc.mask("lesion")[0, 0]
    itself = measures(3.0 * lesion, disc)
    assert itself["on the lesion"] == 1
    assert itself["unevenness"] == itself["centre over rim"] == 0
    assert itself["level"] == 3
    assert itself["spread"] == pytest.approx(lesion.mean())
    assert measures(-1.0 * lesion, disc)["on the lesion"] == 0
    assert measures(lesion - 5.0, disc)["spread"] == pytest.approx(lesion.mean()), "also where all is negative"
    y, x = np.indices((SIDE, SIDE))
    distance = np.hypot(y - 12, x - 18)
    assert measures(np.exp(-distance / 9), disc)["centre over rim"] > 0.3
    assert measures(distance * lesion, disc)["centre over rim"] < -0.3
    ramp = measures(1.0 * x, disc)
    assert ramp["centre over rim"] == pytest.approx(0, abs=0.02)
    assert ramp["unevenness"] == pytest.approx(x[lesion].std() / x.std())
    assert ramp["spread"] == pytest.approx(0.5, abs=0.02)


def test_a_map_adds_up_to_the_logit_of_the_own_class():
    lesions = centre_set("test", 8_690_050, SIDE, patients=dict.fromkeys(LILNET_CLASSES, 1), progress=False).lesions
    network = LiLNet(LiLNetSettings(LILNET_CLASSES, "resnet10_narrow")).eval()
    lesions = replace(lesions, hu=lesions.hu.repeat(2, axis=2).repeat(2, axis=3), masks=None, mask_names=())
    maps = own_maps(network, lesions)
    assert maps.shape == (len(lesions), 2, 2, 2)
    with torch.inference_mode():
        logits = network(images(lesions).flatten(0, 1)[:, None]).view(*maps.shape[:2], -1) - network.plain.bias
    own = logits[np.arange(len(lesions)), :, lesions.label]
    assert torch.allclose(maps.sum(dim=(2, 3)), own, atol=1e-4)


def test_shap_is_where_the_weights_are(disc):
    """Of a network that reads the lesion's places for one class, and all places for the other."""
    weights = torch.stack([torch.from_numpy(disc.mask("lesion")[0, 0]).flatten().float(), torch.ones(SIDE**2)])
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 2))
    network[1].weight.data, network[1].bias.data = weights, torch.zeros(2)
    noisy = replace(disc, hu=np.random.default_rng(0).normal(60, 20, disc.hu.shape).astype(np.int16))
    dark = replace(disc, hu=np.full_like(disc.hu, -100))
    inside, everywhere = lilnet_maps.shap_on_the_lesion(network, noisy, dark)[0]
    assert inside == pytest.approx(1 / disc.mask("lesion")[0, 0].mean(), rel=1e-3)
    assert everywhere == pytest.approx(1, abs=0.1)


def planted(shift: dict, patients: int = 30) -> dict:
    """A record in which a measure of a class in an arm is `shift` away from what all others are."""
    rng, label = np.random.default_rng(0), np.repeat(np.arange(6), patients)
    of = {arm: rng.normal([0.5, 0, 1, 0, 0.3], 0.1, (len(label), 5)) for arm in ARMS}
    for (arm, kind, measure), by in shift.items():
        of[arm][label == LILNET_CLASSES.index(kind), MEASURES.index(measure)] += by
    shown = {arm: rng.normal(1.5, 0.1, (patients, 6)) for arm in ("LiLNet", "labels permuted")}
    right = {arm: label == 0 for arm in lilnet_maps.NETWORKS}
    return {"label": label, "right": right, "measures": of, "shap on the lesion": shown}


def test_a_map_that_cannot_be_measured_is_said():
    record = planted({})
    record["measures"]["untrained"][7, 1] = np.nan
    with pytest.raises(InputError, match=r"maps of untrained, centre over rim: not finite for the slices \[7\]"):
        told([record])


def test_sentences_hold_where_they_were_planted():
    shifts = {("LiLNet", "HCC", "centre over rim"): 0.3, ("LiLNet", "FNH", "unevenness"): 0.3}
    shifts |= {("middle", "CYST", "unevenness"): -0.3, ("LiLNet", "HEM", "level"): 0.3}
    found = told([planted(shifts)]).set_index(["class", "measure", "arm"])["it"]
    assert found["HCC", "centre over rim", "LiLNet"] == "holds"
    assert found["HCC", "centre over rim", "untrained"] == "open"
    assert found["FNH", "unevenness", "LiLNet"] == "the opposite"
    assert found["CYST", "unevenness", "middle"] == "holds"
    assert found["HEM", "level", "LiLNet"] == "holds"
    assert found["FNH", "level", "untrained"] == "open"


def test_differences_are_turned_as_the_sentence_says():
    found = told([planted({("LiLNet", "ICC", "centre over rim"): -0.5})]).set_index(["class", "measure", "arm"])
    line = found.loc[("ICC", "centre over rim", "LiLNet")]
    assert line["difference"] == pytest.approx(0.5, abs=0.06)
    assert line["low"] < line["difference"] < line["high"]
    assert line["n"] == 30


def test_each_sentence_has_a_line_with_the_verdict_of_every_arm():
    shifts = zip(ARMS, (0.3, -0.2, -0.3, 0.4), strict=True)
    records = [planted({(arm, "HCC", "centre over rim"): by for arm, by in shifts})] * 3
    table = lilnet_maps.by_sentence(records)
    assert len(table) == len(lilnet_maps.sentences())
    line = table.loc[("HCC", "the central region may exhibit deep activation")]
    assert line[[*ARMS]].tolist() == ["holds", "the opposite", "the opposite", "holds"]
    assert line["asked"] == "centre over rim above 0"
    own = told(records).query("arm == 'LiLNet' and measure == 'centre over rim'").iloc[0]
    assert line["difference"] == f"{own['difference']:+.2f} ({own['low']:+.2f} to {own['high']:+.2f})"
    assert lilnet_maps.by_sentence(records[:2]).columns.tolist() == ["asked"], "nobody looks before all are there"


def test_the_chapter_tells_the_maps_once_they_are_there(monkeypatch):
    (cell,) = cells_that_wait("lilnet", "lilnet_maps.shap_told")
    monkeypatch.setattr(lilnet_maps, "read_records", lambda: [planted({})] * 3)
    said = []
    exec(cell, {"lilnet_maps": lilnet_maps, "say": said.append})
    assert said[0] == "**3 of 3 cohorts** are there."
    assert said[1] == "Named rightly: LiLNet 17%, labels permuted 17%, untrained 17%."
    assert re.match(r"SHAP, LiLNet: .* 1\.[45]\d times its share \(1\.[45]\d to 1\.5\d\) for HCC; less ", said[2])
    assert re.search(r"[+-]0\.\d\d \(-0\.\d\d to \+0\.\d\d\)\.$", said[2])
    assert said[3].startswith("SHAP, labels permuted: ")


def test_red_for_hcc_is_compared_with_the_other_classes_in_the_same_patient():
    record = planted({})
    values = record["shap on the lesion"]
    values["LiLNet"] += np.linspace(0, 5, 30)[:, None]  # patients differ, in all classes alike
    values["LiLNet"][:, LILNET_CLASSES.index("HCC")] += 0.5
    table = lilnet_maps.shap_told([record])
    line = table["LiLNet"].loc["HCC less the others"]
    assert line["mean"] == pytest.approx(0.5, abs=0.1)
    assert 0.4 < line["low"] < line["high"] < 0.6
    assert table["LiLNet"].loc["HCC", "mean"] == pytest.approx(4.5, abs=0.1)
    assert table["labels permuted"].loc["HCC less the others", "low"] < 0.1


def test_one_number_for_every_picture_is_no_answer():
    record = planted({})
    record["measures"]["middle"][:, MEASURES.index("spread")] = 0.25
    found = told([record]).set_index(["measure", "arm"])["it"]
    assert found["spread", "middle"] == "-"
    assert found["spread", "untrained"] == "open"


def test_a_small_cohort_goes_the_whole_way(tmp_path):
    small = Cohort(50, taught=12, asked=1, epochs=1, size=64)
    write_record(small.path(tmp_path), small.record())
    (record,) = lilnet_maps.read_records(tmp_path)
    assert len(told([record, record])) == len(lilnet_maps.sentences()) * len(ARMS)
    assert np.isfinite(lilnet_maps.shap_told([record, record])["LiLNet", "mean"]).all()
    pictures, maps = lilnet_maps.shown(record)
    assert np.array_equal(pictures, (127.5 * (images(small.asked_about())[:, 0] + 1)).round())
    assert tuple(maps) == lilnet_maps.NETWORKS
    assert all(one.shape == pictures.shape for one in maps.values())
    # One patient of each class: what is measured on both phases comes half from the map that is kept.
    level = record["measures"]["untrained"][:, MEASURES.index("level")]
    lesion = small.asked_about().mask("lesion")
    network = small.networks(small.taught_on())["untrained"]
    pv = lilnet_maps.on_pixels(own_maps(network, small.asked_about()), 64)[:, 1].numpy()
    by_phase = np.stack([maps["untrained"], pv], axis=1)  # (6, 2, 64, 64)
    means = (by_phase * lesion).sum(axis=(2, 3)) / lesion.sum(axis=(2, 3))
    assert np.allclose(means.mean(axis=1), level, rtol=2e-3, atol=1e-3)


def test_the_words_are_the_papers():
    if not SEED.exists():
        pytest.skip("the paper's text is not here")
    text = SEED.read_text(encoding="utf-8")
    assert all(words in text for words in lilnet_maps.sentences()["words"])
    assert set(lilnet_maps.sentences()["measure"]) == set(MEASURES)
