"""A word of the glossary is a link where it first stands in the running text of a chapter.

Running text begins after `**You need**` and ends before the exercises.  Titles, code, formulas and captions of figures
do not count, and neither do a word inside a longer term or with another ending than a plural s.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pages
import pytest

ROOT = Path(__file__).resolve().parents[1]

LINK = re.compile(r"\{term\}`(?:[^`<]*<(?P<target>[^`>]*)>|(?P<plain>[^`<]*))`")
UNSEEN = re.compile(rf"(?P<link>{LINK.pattern})|(?:\{{[\w:]+\}})?`[^`]*`|\$[^$]*\$|\]\([^)]*\)")


def paragraphs(book: pages.Book, chapter: pages.Source, text: str) -> Iterator[str]:
    """What is read as text, in boxes too; a title begins with #."""
    tokens, lines = book.parse(text), text.splitlines()
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "inline":
            yield "# " * (before.type == "heading_open") + token.content
            continue
        directive = book.directive(chapter, token, 1, lines)  # the line is for errors, which `Book` has raised before
        if directive and directive.name in pages.DIRECTIVES and directive.name not in ("math", "image"):
            yield from paragraphs(book, chapter, directive.body)


def running_text(book: pages.Book, chapter: pages.Source) -> str:
    texts = [cell.source for cell in chapter.cells if cell.cell_type == "markdown"]
    found = [piece for text in texts for piece in paragraphs(book, chapter, text)]
    start = 1 + next(i for i, piece in enumerate(found) if piece.startswith("**You need**"))
    end = next((i for i, piece in enumerate(found) if piece in ("# Exercises", "# Summary")), len(found))
    return "\n\n".join(piece for piece in found[start:end] if not piece.startswith("#"))


def unlinked(book: pages.Book, chapter: pages.Source) -> list[str]:
    """The terms that stand as plain words before, or without, a link."""
    text, missing = UNSEEN.sub(lambda m: m["link"] or " ", running_text(book, chapter)), []
    for term in book.terms:
        word = r"\s+".join(map(re.escape, term.split()))
        links = (m for m in LINK.finditer(text) if " ".join((m["target"] or m["plain"]).casefold().split()) == term)
        end = min((link.start() for link in links), default=len(text))
        before = LINK.sub(" ", text[:end])
        if re.search(rf"(?<![\w-]){word}s?(?![\w-])", before, re.IGNORECASE):
            missing.append(term)
    return missing


@pytest.fixture(scope="module")
def book():
    return pages.Book(ROOT)


def test_terms_are_linked_where_they_first_stand(book):
    found = {chapter.path.stem: unlinked(book, chapter) for chapter in book.sources if chapter.executable}
    assert not (broken := {chapter: terms for chapter, terms in found.items() if terms}), broken


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ("A {term}`cyst`, and again a cyst.", []),
        ("Two {term}`sacs <cyst>`, then two cysts.", []),
        ("A cyst, and then a {term}`cyst`.", ["cyst"]),
        ("Two Cysts.", ["cyst"]),
        ("```{tip}\nA cyst.\n```", ["cyst"]),
        ("A logit\nscale.", ["logit scale"]),
        ("## A cyst\n\nNone, and no `cyst` of code, $cyst$ or cystic one.", []),
        ("None.\n\n## Exercises\n\nA cyst.", []),
    ],
)
def test_what_counts_as_a_first_use(tmp_path, body, missing):
    (tmp_path / "_config.yml").write_text(
        "title: A book\nrepository: {url: https://github.com/owner/name, branch: main}\n"
        "parse: {myst_enable_extensions: [colon_fence, dollarmath]}\n"
    )
    (tmp_path / "_toc.yml").write_text("root: one\nchapters: [{file: words}]\n")
    (tmp_path / "words.md").write_text("# Glossary\n\n```{glossary}\ncyst\n  A sac.\n\nlogit scale\n  A factor.\n```\n")
    kernel = "---\nfile_format: mystnb\nkernelspec: {name: python3, display_name: Python 3}\n---\n\n"
    text = f"# A cyst\n\nA cyst.\n\n**You need** a cyst.\n\n{body}\n\n```{{code-cell}}\n1\n```\n"
    (tmp_path / "one.md").write_text(kernel + text)
    made = pages.Book(tmp_path)
    assert unlinked(made, made.sources[0]) == missing
