"""Captions of tables: a cell's `caption` goes into the table that it prints, a list of them into several.

`_config.yml` names this file as an extension.  A table without a caption is a warning, with which the build fails.
"""

import html
import re
from typing import Any

from docutils import nodes
from pages import captions_of
from sphinx.util import logging

TABLE = re.compile(r'<table [^>]*class="dataframe"[^>]*>')
REMEDY = "give its cell a `caption`, or a list of one for each table"


def caption_tables(doctree: nodes.document) -> None:
    """Put captions into the tables that cells print; warn of each table that is left without one."""
    logger = logging.getLogger(__name__)
    for cell in doctree.findall(lambda node: isinstance(node, nodes.container) and "cell_metadata" in node):
        printed = [raw for raw in cell.findall(nodes.raw) if raw["format"] == "html" and TABLE.search(raw.astext())]
        captions = captions_of(cell["cell_metadata"])
        if len(printed) > len(captions):  # a cell may print fewer: where a record is still to come
            text = "%d tables and %d captions: %s"
            logger.warning(text, len(printed), len(captions), REMEDY, location=cell)
        for raw, caption in zip(printed, captions, strict=False):
            head = TABLE.search(raw.astext())
            at = head.end() if head else 0
            text = f"{raw.astext()[:at]}<caption>{html.escape(caption)}</caption>{raw.astext()[at:]}"
            raw.replace_self(nodes.raw("", text, format="html"))
    for table in doctree.findall(nodes.table):
        if not any(isinstance(child, nodes.title) for child in table):
            logger.warning("a table without a caption: write it as a {table}", location=table)


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this where the file is named as an extension."""
    app.connect("doctree-read", lambda app, doctree: caption_tables(doctree))
    return {"parallel_read_safe": True}
