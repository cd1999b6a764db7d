"""The phantom's tables name what published their numbers, and the bibliography lists it."""

import re
from pathlib import Path

import pandas as pd
import pytest
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parents[1]
ENTRIES = parse_file(str(ROOT / "book" / "references.bib"), "bibtex").entries
TABLES = ["enhancement", "pattern_rates", "phantom", "anatomy", "organs", "organ_volumes", "findings"]
TABLES += ["centres", "lilnet_patients", "lilnet_sizes"]
CHOSEN = ("general knowledge", "textbook", "as ")  # a row that begins so was chosen
NAMES = {  # what a source is called in the tables -> its key
    "MCT-LTDiag": "su2025",
    "LiverPreprocessing": "liverpreprocessing2026",
    "WAW-TACE": "bartnik2024",
    "TotalSegmentator": "wasserthal2023",
} | {f"{entry.persons['author'][0].last_names[-1]} {entry.fields['year']}": key for key, entry in ENTRIES.items()}
FURTHER_READING = {"zhou2016"}


def named(source: str) -> set[str]:
    """The keys of the studies and data sets that a text names."""
    return {key for name, key in NAMES.items() if name in source}


def rows(name: str) -> list:
    """The rows of a table, whichever version of the phantom they belong to."""
    return list(pd.read_csv(ROOT / "data" / f"{name}.csv").fillna({"bib": ""}).itertuples())


@pytest.mark.parametrize("name", TABLES)
def test_a_row_carries_the_keys_of_what_its_source_names_before_the_first_semicolon(name):
    wrong = [row.source for row in rows(name) if set(row.bib.split()) != named(row.source.split(";")[0])]
    assert wrong == []


@pytest.mark.parametrize("name", TABLES)
def test_a_row_has_a_key_or_says_that_it_was_chosen(name):
    assert [row.source for row in rows(name) if bool(row.bib) == row.source.startswith(CHOSEN)] == []


@pytest.mark.parametrize("name", TABLES)
def test_keys_and_names_are_those_of_the_bibliography(name):
    for row in rows(name):
        assert set(row.bib.split()) <= ENTRIES.keys()
        assert set(re.findall(r"[A-Z][\w-]+ (?:19|20)\d\d\b", row.source)) <= NAMES.keys()


def test_every_entry_of_the_bibliography_is_cited_on_a_page_or_named_in_a_table():
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "book").glob("*.md"))
    cited = {key for keys in re.findall(r"\{cite(?::t)?\}`([^`]+)`", pages) for key in keys.split(",")}
    used = cited.union(*(named(row.source) for name in TABLES for row in rows(name)))
    assert ENTRIES.keys() - used == FURTHER_READING
