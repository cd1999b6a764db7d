"""The one table of seeds."""

from itertools import combinations

import pytest

from livervlm.base.errors import InputError
from livervlm.scans.seeds import SEEDS, seed_of


def test_no_two_ranges_meet():
    for (one, a), (other, b) in combinations(SEEDS.items(), 2):
        assert a.stop <= b.start or b.stop <= a.start, (one, other)


def test_a_seed_stays_in_its_range():
    assert seed_of("population", 29) == 10_029
    with pytest.raises(InputError, match="population 10000: there are seeds for 0 to 9999"):
        seed_of("population", 10_000)
    with pytest.raises(InputError, match="book -1"):
        seed_of("book", -1)
