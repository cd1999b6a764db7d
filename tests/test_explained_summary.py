"""Summaries of explained networks: records that belong together, and tables with known values."""

import numpy as np
import pandas as pd
import pytest

from livervlm.analyses.explained import (
    faithfulness,
    faithfulness_within_patients,
    localisation,
    read_records,
    record_table,
    sentences_told,
)
from livervlm.base.errors import InputError
from livervlm.runs.records import SCHEMA, write_record


def test_records_of_other_patients_are_not_mixed(tmp_path):
    for name, fingerprint in {"one": "a", "two": "a", "other": "b"}.items():
        record = {"schema": SCHEMA, "data": {"fingerprint": fingerprint}, "profile": {"size": 64}}
        write_record(tmp_path / f"{name}.json", record)
    with pytest.raises(InputError, match="records of other patients"):
        read_records(tmp_path)
    (tmp_path / "other.json").unlink()
    assert len(read_records(tmp_path)) == 2


def test_no_record_is_an_empty_table(tmp_path):
    assert not len(record_table(read_records(tmp_path)))


def made_up(arm: str, cohort: int, mass, fall, precision=None) -> pd.DataFrame:
    n = len(mass)
    columns = {"slice": range(n), "part": "scar", "precision": precision if precision is not None else np.ones(n)}
    return pd.DataFrame({**columns, "mass": mass, "fall": fall, "arm": arm, "cohort": cohort, "class": "FNH"})


def test_a_mean_over_patients_whose_networks_are_averaged_first():
    precision = np.array([1.0, 2.0, 3.0, np.nan])
    table = pd.concat([made_up("FC, phase shuffle", c, precision, precision, precision + c) for c in (0, 1)])
    found = localisation(table).loc[("FC, phase shuffle", "FNH", "scar")]
    assert (found["mean"], found["sd"], found["patients"], found["networks"]) == (2.5, 1.0, 3, 2)
    assert found["high"] - found["mean"] == pytest.approx(4.3027 / np.sqrt(3), abs=1e-3)  # t of 2 degrees of freedom


def test_claims_that_rank_like_the_falls_and_baselines_held_against_them():
    rng = np.random.default_rng(0)
    fall = rng.normal(size=200)
    half = fall + np.sqrt(3) * rng.normal(size=200)  # a correlation of .5
    table = pd.concat(
        [
            made_up("model 1", 0, np.exp(fall), fall),
            made_up("FC, phase shuffle", 0, fall, -fall),
            made_up("scratch", 0, -half, -fall),
            made_up("middle", -1, fall, np.nan),
        ]
    )
    found = faithfulness(table)
    for arm, value in {"model 1": 1, "FC, phase shuffle": -1, "middle": 1}.items():
        assert found.loc[(arm, "FNH", "scar"), "mean"] == pytest.approx(value), arm
    scratch = found.loc[("scratch", "FNH", "scar")]
    assert scratch["low"] < 0.48 < scratch["high"]
    assert scratch["high"] - scratch["low"] == pytest.approx(2 * 1.96 * 1.03 / np.sqrt(197) * (1 - 0.48**2), rel=0.15)


def test_claims_that_only_follow_the_area_say_nothing_once_the_area_is_given():
    rng = np.random.default_rng(0)
    area, own = rng.normal(size=(2, 2000))
    fall = area + own
    table = pd.concat(
        [
            made_up("model 1", 0, area + 0.5 * rng.normal(size=2000), fall),
            made_up("scratch", 0, area + own + rng.normal(size=2000), fall),
            made_up("ceiling", -1, area, np.nan),
        ]
    )
    raw, given = (faithfulness(table, given_area)["mean"] for given_area in (False, True))
    assert raw["model 1"].item() > 0.5
    assert abs(given["model 1"].item()) < 0.05
    assert given["scratch"].item() == pytest.approx(1 / np.sqrt(2), abs=0.05)  # of own against own and as much noise
    assert "ceiling" not in given.index.unique("arm")
    residuals = [np.polyval(np.polyfit(*pair, 1), pair[0]) - pair[1] for pair in _ranks(table)]
    assert given["scratch"].item() == pytest.approx(np.corrcoef(*residuals)[0, 1], abs=1e-9)


def _ranks(table):
    """The ranks of the area against those of mass and of fall, of the network that was trained from scratch."""
    mine, area = (table[table["arm"] == arm].reset_index(drop=True) for arm in ("scratch", "ceiling"))
    return [(area["mass"].rank(), mine[name].rank()) for name in ("mass", "fall")]


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
    found = faithfulness_within_patients(pd.concat([ours, lone, other.assign(arm="scratch"), middle]))
    assert found["mean"].to_dict() == {"model 1": 0.5, "scratch": -0.5, "middle": -0.5}
    assert (found["patients"] == 4).all()
    assert found.loc["model 1", "sd"] == 1.0
    both = faithfulness_within_patients(pd.concat([ours, other]))
    assert both.loc["model 1", ["mean", "sd"]].tolist() == [0.0, 0.0]  # the networks of a patient are averaged first


def test_a_sentence_holds_where_the_part_is_found_and_missed():
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.1, size=(4, 40))
    noise -= noise.mean(axis=1, keepdims=True)
    lesion = made_up("model 1", 0, noise[0], 2 + noise[0]).assign(part="lesion")
    table = pd.concat(
        [
            lesion,
            made_up("model 1", 0, noise[0], 0.5 + noise[1], 2 + noise[2]),
            made_up("untrained", 0, noise[0], np.nan, 1 + noise[3]),
            made_up("model 1", 0, noise[0], -0.5 + noise[1], 2 + noise[2]).assign(part="capsule"),
            made_up("untrained", 0, noise[0], np.nan, 1 + noise[3]).assign(part="capsule"),
            made_up("model 1", 0, noise[0], np.nan, 1 + noise[2]).assign(part="edge"),
            made_up("untrained", 0, noise[0], np.nan, 1 + noise[3]).assign(part="edge"),
        ]
    )
    told = sentences_told(table, {part: ("FNH", part) for part in ("scar", "capsule", "edge")})
    assert told["holds"].tolist() == [True, False, False]
    assert told.loc["scar", "fall, %"].startswith("25 (")
    assert told.loc["capsule", "fall, %"].startswith("-25 (")
    assert told.loc["edge", "fall, %"] == "-"
    half = 2.0227 * noise[2].std(ddof=1) / np.sqrt(40)
    mean = 2 + noise[2].mean()
    assert told.loc["scar", "found, model 1"] == f"{mean:.2f} ({mean - half:.2f} to {mean + half:.2f}), n = 40"
