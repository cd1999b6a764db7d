"""Cohorts by protocol: in a population each draws tables of its own, in the paper's protocol all have the book's."""

from dataclasses import replace

import numpy as np
import pytest

from livervlm.phantom.cohort import make_cohort
from livervlm.phantom.patients import Knobs
from livervlm.runs.cells import cells
from livervlm.runs.cohorts import cohort_of, pool_of
from livervlm.runs.rows import PROTOCOLS, all_rows
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
