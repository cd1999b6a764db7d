"""Patients as they are drawn: Table 1's groups, and latent parameters against the tables they come from."""

import numpy as np
import pandas as pd
import pytest

from livervlm.phantom.enhancement import COLUMNS, draw_tables, read_table
from livervlm.phantom.patients import Knobs, draw_patients, table1

ALL = ("CYST", "FNH", "HCC", "HEM", "ICC", "MET")


@pytest.fixture(scope="module")
def crowd():
    """Latents of 500 patients of every class."""
    return draw_patients(1, dict.fromkeys(ALL, 500))


@pytest.mark.parametrize("seed", range(20))
def test_every_seed_keeps_table_1(seed):
    drawn = pd.DataFrame([(p.group, p.kind, p.n_slices) for p in draw_patients(seed)], columns=["group", "class", "n"])
    got = drawn.groupby(["group", "class"])["n"].agg(cases="size", slices="sum").reset_index()
    pd.testing.assert_frame_equal(got, table1(), check_dtype=False)
    assert drawn["n"].min() >= 2


def test_drawn_hounsfield_units_have_the_means_and_spreads_of_the_table(crowd):
    tables = draw_tables()
    for i, tissue in enumerate(tables.tissues):
        base = tables.relative[tissue]
        values = np.array([np.subtract(p.hu[tissue], p.hu[base] if base != "air" else 0) for p in crowd])
        sd = tables.sd[i]
        wide = np.hypot(sd, 9) if tissue == "liver" else sd  # steatosis comes on top
        assert values.mean(axis=0) == pytest.approx(tables.mean[i], abs=4 * wide.max() / np.sqrt(len(crowd)) + 0.3)
        assert values.std(axis=0) == pytest.approx(wide, rel=0.25), tissue


def test_patterns_come_at_their_rates_and_only_to_their_class(crowd):
    for kind in ALL:
        drawn = [p.patterns for p in crowd if p.kind == kind]
        for row in read_table("pattern_rates").itertuples():
            rate = row.rate if row.pattern.startswith((kind, "liver", "organ")) else 0.0
            share = np.mean([row.pattern in patterns for patterns in drawn])
            assert share == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / 500)), (kind, row.pattern)


def test_sizes_are_those_that_table_1_implies():
    for kind, wanted in {"CYST": 30, "FNH": 29, "HCC": 51, "HEM": 31}.items():
        of_kind = [p for s in range(10) for p in draw_patients(s) if p.kind == kind]
        assert np.mean([p.diameter for p in of_kind]) == pytest.approx(wanted, rel=0.15)
        assert {p.thickness for p in of_kind} == {5, 6, 7}
        assert all(0.57 <= p.pixel <= 0.59 for p in of_kind)
        assert all(1 <= p.height / (p.n_slices * p.thickness) <= 1.15 for p in of_kind)


def test_arterial_timing_moves_the_veins_and_dose_moves_everything(crowd):
    timing, dose = (np.array([getattr(p, name) for p in crowd]) for name in ("timing", "dose"))
    vein = np.array([p.hu["portal vein"] for p in crowd])
    assert np.corrcoef(timing, vein[:, 1])[0, 1] > 0.2
    assert abs(np.corrcoef(timing, vein[:, 2])[0, 1]) < 0.07
    assert np.corrcoef(dose, vein[:, 2])[0, 1] > 0.4


@pytest.mark.parametrize("name", ["enhancement", "pattern_rates", "phantom"])
def test_every_row_of_the_phantoms_tables_names_its_source(name):
    table = read_table(name)
    assert len(table) > 0
    assert table["source"].map(lambda text: isinstance(text, str) and len(text) > 3).all()
    if "low" in table:
        value = table["rate" if name == "pattern_rates" else "value"]
        assert ((table["low"] <= value) & (value <= table["high"])).all()


def test_knobs_do_what_they_say():
    def mean(attribute, **knobs):
        return np.mean([getattr(p, attribute) for p in draw_patients(0, 200, Knobs(**knobs))])

    assert mean("noise", noise=17.0) == 17
    assert mean("diameter", diameter=0.5) == pytest.approx(mean("diameter") / 2, rel=0.1)
    assert mean("n_slices", diameter=2) == pytest.approx(2 * mean("n_slices"))

    def moved(**knobs):
        return np.std([p.displacement["ART"][0] for p in draw_patients(0, 400, Knobs(**knobs))])

    assert (moved(displacement=0), moved(displacement=4)) == (0, pytest.approx(4, rel=0.15))
    for scale, wanted in ((0, 0.0), (1, 0.13), (3, 0.39)):
        drawn = draw_patients(0, {"HCC": 500}, Knobs(atypical=scale))
        assert np.mean(["HCC hypovascular" in p.patterns for p in drawn]) == pytest.approx(wanted, abs=0.07)
        assert np.mean(["HCC washout" in p.patterns for p in drawn]) == pytest.approx(0.48, abs=0.09)


def test_uncertain_cohorts_differ_in_their_tables_and_certain_ones_do_not():
    def of(seed, uncertain):
        drawn = draw_patients(seed, {"HCC": 200}, Knobs(uncertain=uncertain))
        return np.mean([p.hu["hcc"][1] - p.hu["liver"][1] for p in drawn]), drawn[0].noise_cutoff

    certain, uncertain = (np.array([of(seed, u) for seed in range(6)]) for u in (False, True))
    assert certain[:, 0].std() < 2 < uncertain[:, 0].std()
    assert len(set(certain[:, 1])) == 1 < len(set(uncertain[:, 1]))
    assert np.array_equal(of(3, True), of(3, True))


def test_recentring_leaves_three_to_four_millimetres_and_whole_slices(crowd):
    for p in crowd:
        for phase in COLUMNS:
            moved, told = np.array(p.displacement[phase]), np.array(p.recentred[phase])
            assert 3 - 1e-9 <= np.linalg.norm(moved - told) <= 4 + 1e-9
            assert told[0] / p.thickness == pytest.approx(round(told[0] / p.thickness))
            assert np.linalg.norm(moved) < 31
    moved = np.array([p.displacement["ART"] for p in crowd])
    assert moved.std(axis=0) == pytest.approx([9, 3, 3], rel=0.1)
    lengths = np.linalg.norm(moved, axis=1)
    assert lengths.min() < 2
    assert lengths.max() > 20
