"""Cohorts by protocol: in a population each draws tables of its own, in the paper's protocol all have the book's."""

from dataclasses import replace

import numpy as np
import pytest

from livervlm.base.errors import InputError
from livervlm.cli import parser
from livervlm.phantom import patients as latents
from livervlm.phantom.anatomy import INSTEAD, grow
from livervlm.phantom.cohort import make_cohort
from livervlm.phantom.enhancement import draw_tables
from livervlm.phantom.patients import Knobs, draw_patients
from livervlm.runs import cohorts
from livervlm.runs.cells import cells
from livervlm.runs.cohorts import cohort_of, pool_of, pool_patients
from livervlm.runs.rows import PROTOCOLS, all_rows, declared
from livervlm.scans.seeds import seed_of

ROW = replace(all_rows()["scratch"], cohort={"patients": 4})


def pictures(seed: int, size: int, uncertain: bool) -> np.ndarray:
    """What the phantom gives by itself."""
    return make_cohort(seed, size, patients=4, knobs=Knobs(uncertain=uncertain), progress=False).hu


@pytest.mark.parametrize(("protocol", "first"), [("population", 10_000), ("development", 20_000)])
def test_every_cohort_of_a_population_has_tables_of_its_own(protocol, first, quick):
    found = [cohort_of(cell).hu for cell in cells([ROW], protocol, 2, quick)]
    assert not np.array_equal(*found)
    for seed, hu in enumerate(found, first):
        assert np.array_equal(hu, pictures(seed, quick.size, uncertain=True))
        assert not np.array_equal(hu, pictures(seed, quick.size, uncertain=False))


def test_the_first_cohort_of_the_papers_protocol_is_the_books(quick):
    hu = cohort_of(cells([ROW], "paper", 1, quick)[0]).hu
    assert np.array_equal(hu, pictures(0, quick.size, uncertain=False))
    assert not np.array_equal(hu, pictures(0, quick.size, uncertain=True))


@pytest.mark.parametrize("protocol", ["population", "development"])
def test_test_patients_have_tables_drawn_anew_too(protocol, quick, empty_cache):
    (cell,) = cells([ROW], protocol, 1, quick, test_patients=4)
    pool, seed = pool_of(cell, "standard"), seed_of(PROTOCOLS[protocol].pool, 0)
    drawn, nominal = ({p.tobytes() for p in pictures(seed, quick.size, uncertain=u)} for u in (True, False))
    assert {picture.tobytes() for picture in pool.hu} <= drawn
    assert not {picture.tobytes() for picture in pool.hu} & nominal


# -- The patients of a pool, drawn again without a picture ------------------------------------------------------------


@pytest.mark.parametrize("shares", [{}, {"patients": {"HEM": 1, "MET": 2}, "classes": ["HEM", "MET"]}])
def test_they_are_those_in_the_pictures(shares, quick, empty_cache, monkeypatch):
    monkeypatch.setattr(cohorts, "CHUNK", 5)
    (cell,) = cells([replace(ROW, cohort=shares)], "population", 1, quick, test_patients=14)
    pool, drawn = pool_of(cell, "standard"), pool_patients(cell, "standard")
    _, first = np.unique(pool.patient, return_index=True)
    assert [pool.classes[label] for label in pool.label[first]] == drawn["class"].tolist()
    width = pool.spacing[first, 2] * quick.size  # a ROI is half as wide again as the lesion, which is lobulated
    assert np.corrcoef(width, drawn["diameter"])[0, 1] > 0.95
    assert ((width / drawn["diameter"]).between(1, 2)).all()


def test_their_contrast_is_that_of_the_tissue_that_fills_the_lesion(quick):
    (cell,) = cells([ROW], "population", 1, quick, test_patients=100)
    table = pool_patients(cell, "standard")
    patients = draw_patients(seed_of("population pool", 0), 100, Knobs(uncertain=True))
    instead = [i for i, patient in enumerate(patients) if set(patient.patterns) & set(INSTEAD)]
    assert len(instead) > 5
    at = np.linspace(-2, 2, 5, dtype=np.float32)
    for i in (*range(5), *instead[:5]):
        anatomy = grow(patients[i], at, at, at)
        (main,) = set(anatomy.tissues[anatomy.first_lesion])  # the first that is painted; parts lie upon it
        difference = np.subtract(patients[i].hu[main], patients[i].hu["liver"])[:3]
        assert table.loc[i, ["NC", "ART", "PV"]].tolist() == pytest.approx(difference.tolist())
        assert table.loc[i, "contrast"] == pytest.approx(abs(difference).max())


def test_only_phases_that_are_shown_make_contrast(quick):
    two = replace(ROW, cohort={"phases": ["NC", "DL"]})
    (cell,) = cells([two], "population", 1, quick, test_patients=8)
    table = pool_patients(cell, "standard")
    assert list(table) == ["class", "diameter", "contrast", "NC", "DL"]
    assert table["contrast"].tolist() == table[["NC", "DL"]].abs().max(axis=1).tolist()


def test_at_half_the_diameter_they_are_the_same_patients(quick):
    (cell,) = cells([ROW], "population", 1, quick, test_patients=100)
    whole, half = pool_patients(cell, "standard"), pool_patients(cell, "half diameter")
    assert half.drop(columns="diameter").equals(whole.drop(columns="diameter"))
    assert (half["diameter"] / whole["diameter"]).median() == pytest.approx(0.5, abs=0.02)


# -- Hospitals: a pool from the cohort's own tables, the next cohort, and folds inside a cohort ------------------------


def numbers(tables) -> np.ndarray:
    return np.array([*tables.mean.flat, *tables.sd.flat, *tables.rates.values(), *tables.quantities.values()])


@pytest.fixture
def tables_of(monkeypatch):
    """What tables a call draws its patients from, each as one list: brightness, rates of patterns, other quantities."""
    drawn, draw = [], latents.draw_tables

    def remember(*given):
        drawn.append(draw(*given))
        return drawn[-1]

    def called(call, *given, **named):
        drawn.clear()
        call(*given, **named)
        return [numbers(tables) for tables in drawn]

    monkeypatch.setattr(latents, "draw_tables", remember)
    return called


@pytest.mark.parametrize("cohort", [0, 3])
def test_the_own_hospital_has_the_tables_of_its_cohort_and_other_patients(cohort, quick, empty_cache, tables_of):
    cell = cells([ROW], "population", 4, quick, test_patients=4)[cohort]
    uncertain = Knobs(uncertain=True)
    (of_cohort,) = tables_of(draw_patients, seed_of("population", cohort), 4, uncertain)
    for part in (slice(8), slice(-8, None)):  # the draw changes brightness and quantities, not one of them alone
        assert not np.array_equal(of_cohort[part], numbers(draw_tables())[part])
    for mine in tables_of(pool_patients, cell, "own hospital"):
        assert np.array_equal(mine, of_cohort)
    (other, *_) = tables_of(pool_patients, cell, "standard")
    assert not np.array_equal(other, of_cohort)


def test_no_patient_of_an_own_hospital_is_in_a_cohort_or_in_another_hospital(quick, monkeypatch):
    """A patient is known by the seed of the draw and a number; the seeds of draws are apart."""
    seeds = []
    monkeypatch.setattr(cohorts, "draw_patients", lambda seed, *_, **__: seeds.append(seed) or [])
    todo = cells([ROW], "population", declared()["plan"]["cohorts"]["hospitals"], quick, test_patients=2000)
    for cell in todo:
        pool_patients(cell, "own hospital")
        assert len(seeds) == len(set(seeds)) == 10 * (cell.cohort + 1)  # a thousand patients, whatever is asked for
    pool_patients(todo[0], "standard")
    assert len(set(seeds)) == 10 * len(todo) + 20
    assert not set(seeds) & {seed_of(PROTOCOLS[name].cohorts, cell.cohort) for name in PROTOCOLS for cell in todo}


def test_the_pictures_of_an_own_hospital_are_drawn_from_its_tables(quick, empty_cache, monkeypatch):
    monkeypatch.setitem(declared()["pools"], "own hospital", {"hospital": "own", "patients": 4})
    first, second = (pool_of(c, "own hospital") for c in cells([ROW], "population", 2, quick, test_patients=2000))
    seed, here = seed_of("own hospital", 0), seed_of("population", 0)
    made = make_cohort(seed, quick.size, patients=4, knobs=Knobs(uncertain=True), hospital=here, progress=False)
    assert {picture.tobytes() for picture in first.hu} <= {picture.tobytes() for picture in made.hu}
    assert not {picture.tobytes() for picture in first.hu} & {picture.tobytes() for picture in second.hu}
    assert made.source["hospital"] == str(here)


def test_a_hospital_is_refused_where_no_tables_are_drawn():
    with pytest.raises(InputError, match="hospital 7: only uncertain tables are drawn; ask for Knobs"):
        make_cohort(0, 8, patients=4, hospital=7, progress=False)


def test_the_next_hospital_has_no_patients_of_a_pool(quick):
    (cell,) = cells([ROW], "population", 1, quick)
    with pytest.raises(InputError, match="pool 'next hospital' is a cohort"):
        pool_patients(cell, "next hospital")


def test_the_next_hospital_is_the_next_cohort_and_after_the_last_the_first(quick, monkeypatch):
    monkeypatch.setitem(declared()["plan"]["cohorts"], ROW.set, 3)
    todo = cells([ROW], "population", 3, quick)
    for cell, following in zip(todo, (1, 2, 0), strict=True):
        assert np.array_equal(pool_of(cell, "next hospital").hu, cohort_of(todo[following]).hu)


@pytest.mark.parametrize(("protocol", "folds"), [("inside", 5), ("inside-ten", 10), ("inside-again", 5)])
def test_folds_inside_a_cohort_are_of_the_populations_patients(protocol, folds, quick):
    row = replace(ROW, cohort={"patients": 56})
    whole = cohort_of(cells([row], "population", 1, quick)[0])
    todo = cells([row], protocol, 1, quick)
    assert [cell.fold for cell in todo] == [*range(1, folds + 1)]
    inside = cohort_of(todo[0])
    assert np.array_equal(inside.hu, whole.hu)
    assert set(inside.group) == {cell.fold for cell in todo}
    assert np.array_equal(inside.group, whole.group) == (protocol == "inside")
    groups = [set(inside.group[inside.patient == patient]) for patient in np.unique(inside.patient)]
    assert {len(group) for group in groups} == {1}


def test_a_second_seed_is_another_seed_of_the_same_cohort(quick, tmp_path):
    first, second = (cells([row], "population", 3, quick)[2] for row in (ROW, replace(ROW, seed=1)))
    assert first.seed == 2
    assert second.seed != first.seed
    assert second.path(tmp_path) != first.path(tmp_path)
    assert np.array_equal(cohort_of(first).hu, cohort_of(second).hu)


def test_the_command_offers_every_protocol():
    assert tuple(PROTOCOLS) == parser.PROTOCOLS
