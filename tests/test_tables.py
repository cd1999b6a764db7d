"""Captions of the tables that cells print."""

import pytest
from docutils import nodes
from docutils.utils import new_document
from tables import caption_tables

TABLE = '<div>\n<table border="1" class="dataframe">\n<tr><td>1</td></tr></table></div>'


def cell(*outputs: str, **metadata) -> nodes.document:
    """A document with one cell, as it is read: each output as text and as HTML."""
    document, container = new_document("chapter"), nodes.container(nb_element="cell_code", cell_metadata=metadata)
    for output in outputs:
        container += nodes.container("", nodes.literal_block("", "1"), nodes.raw("", output, format="html"))
    document += container
    return document


@pytest.fixture
def warned(monkeypatch):
    said = []
    monkeypatch.setattr(
        "sphinx.util.logging.SphinxLoggerAdapter.warning", lambda self, text, *of, **_: said.append(text % of)
    )
    return said


@pytest.mark.parametrize("caption", ["p < 0.05.", ["p < 0.05.", "Two."]])
def test_a_caption_is_the_first_thing_in_its_table(warned, caption):
    captions = ["p < 0.05.", "Two."][: 1 if isinstance(caption, str) else 2]
    document = cell("<p>no table</p>", *[TABLE] * len(captions), caption=caption)
    caption_tables(document)
    found = [raw.astext() for raw in document.findall(nodes.raw)][1:]
    for text, words in zip(found, captions, strict=True):
        assert text == TABLE.replace('dataframe">', f'dataframe"><caption>{words.replace("<", "&lt;")}</caption>')
    assert warned == []


@pytest.mark.parametrize(("tables", "captions"), [(1, []), (2, ["One."])])
def test_a_table_without_a_caption_is_told(warned, tables, captions):
    caption_tables(cell(*[TABLE] * tables, caption=captions))
    assert len(warned) == 1
    assert f"{tables} tables and {len(captions)} captions" in warned[0]


def test_a_cell_that_prints_no_table_yet_is_left_alone(warned):
    caption_tables(cell("<p>to come</p>", caption="One."))
    assert warned == []


def test_a_table_in_the_text_needs_one_too(warned):
    document = new_document("chapter")
    document += [nodes.table("", nodes.title("", "One.")), nodes.table()]
    caption_tables(document)
    assert len(warned) == 1
