"""Fixtures: the declared rows on cohorts and pools so small that all cells of a test run in seconds."""

from dataclasses import replace

import pytest

from livervlm.runs import cohorts
from livervlm.runs import rows as declarations
from livervlm.runs.cells import Cell, cells
from livervlm.runs.rows import all_rows

SMALL = {"patients": 20}
TESTED = 8  # patients of a pool


@pytest.fixture
def house(quick, tiny_encoder, monkeypatch):
    """The rows on small cohorts and smaller pools, with a small encoder, at 16 pixels and two epochs."""
    small = {name: replace(row, cohort={**row.cohort, **SMALL}) for name, row in all_rows().items()}
    monkeypatch.setattr(declarations, "all_rows", lambda: small)
    monkeypatch.setattr(cohorts, "CHUNK", 4)
    return lambda *names, protocol="paper", cohorts=1: cells(
        [small[name] for name in names], protocol, cohorts, quick, test_patients=TESTED
    )


@pytest.fixture
def answered(monkeypatch):
    """The cells that are run."""
    seen, real = [], Cell.record
    monkeypatch.setattr(Cell, "record", lambda cell: seen.append(cell) or real(cell))
    return seen
