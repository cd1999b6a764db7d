"""Weigh each built page, for the page *How fast it is*: its text, and what it names beside it.

Compressed is what a server sends that packs each file with gzip; pictures go as they are.  Fonts, which styles name,
and the live model, which waits for a click, are not counted.
"""

import gzip
import html
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

PLACE = '<div data-weights="pages"></div>'
KINDS = {"scripts": "script[src], script[data-formulas]", "styles": "link[rel=stylesheet]", "pictures": "img[src]"}
COLUMNS = ("page", "HTML", *KINDS, "compressed")
PACKED = (".webp", ".png", ".jpg", ".gif", ".zip")


def weigh(path: Path) -> dict[str, int]:
    """Bytes of a page by kind, and of all of it compressed; each file counts once."""
    page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    files = {kind: set(named(page, selector, path.parent)) for kind, selector in KINDS.items()}
    sizes = {kind: sum(file.stat().st_size for file in there) for kind, there in files.items()}
    whole = {path}.union(*files.values())
    return {"HTML": path.stat().st_size, **sizes, "compressed": sum(map(sent, whole))}


def named(page: BeautifulSoup, selector: str, folder: Path) -> Iterator[Path]:
    for tag in page.select(selector):
        link = urlsplit(tag.get("src") or tag.get("data-formulas") or tag.get("href"))
        file = (folder / unquote(link.path)).resolve()
        if not link.scheme and file.is_file():
            yield file


@cache
def sent(file: Path) -> int:
    """Bytes of a file on its way."""
    return file.stat().st_size if file.suffix in PACKED else len(gzip.compress(file.read_bytes()))


def add_weights(built: Path) -> None:
    """Fill the place for the table; its own page is weighed without it."""
    target = built / "book" / "speed.html"
    if not target.is_file() or PLACE not in (text := target.read_text(encoding="utf-8")):
        return
    rows = {path.stem: weigh(path) for path in sorted((built / "book").glob("*.html"))}
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    body = "".join(
        f'<tr><th scope="row"><a href="{name}.html">{html.escape(name)}</a></th>'
        + "".join(f"<td>{row[kind] / 1000:,.0f}</td>" for kind in COLUMNS[1:])
        + "</tr>"
        for name, row in sorted(rows.items(), key=lambda item: -item[1]["compressed"])
    )
    table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    caption = "<caption>Weight of each page in kB (1,000 bytes), the heaviest first.</caption>"
    table = f'<table class="table">{caption}{table}</table>'
    table = f'<div class="pst-scrollable-table-container" tabindex="0">{table}</div>'  # as the theme has it
    target.write_text(text.replace(PLACE, PLACE.replace("></", f">{table}</")), encoding="utf-8")
