"""A chapter stays small: short cells, few of them, few words, one point, and no function of another chapter's name.

A line of a cell counts unless it is blank or only a comment, so that nobody saves lines by leaving out a reason.  The
limit of lines is for every cell.  The limit of cells leaves out the stub and the solution of each exercise; the cell
that installs the package on Colab is not in the source.  Prose is all that is read as text: titles, tables, notes and
exercises too, but no code, no displayed formula and no caption of a figure that a cell draws.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pages
import pytest

ROOT = Path(__file__).resolve().parents[1]
LINES, CELLS, WORDS, POINT = 15, 25, 3000, 40  # at most: of a cell, of a chapter, of a chapter, words in its point
FRONT = "---\nfile_format: mystnb\nkernelspec: {name: python3, display_name: Python 3}\n---\n\n"
CONFIG = """
title: A book
repository: {url: https://github.com/owner/name, branch: main}
parse: {myst_enable_extensions: [colon_fence, dollarmath]}
"""

# -- The rules: each gives, for one chapter, where it is broken and by how much ---------------------------------------


def long_cells(book: pages.Book, chapter: pages.Source) -> dict[str, int]:
    sizes = {line: len(code_lines(cell.source)) for cell, line in code_cells(chapter)}
    return {f"{chapter.path}:{line}": size - LINES for line, size in sizes.items() if size > LINES}


def many_cells(book: pages.Book, chapter: pages.Source) -> dict[str, int]:
    of_exercises = {code.strip() for task in chapter.exercises for code in (task.stub, task.solution)}
    steps = [cell for cell, _ in code_cells(chapter) if cell.source.strip() not in of_exercises]
    return {f"{len(steps)} cells": len(steps) - CELLS} if len(steps) > CELLS else {}


def many_words(book: pages.Book, chapter: pages.Source) -> dict[str, int]:
    count = words(book, chapter)
    return {f"{count} words": count - WORDS} if count > WORDS else {}


def no_point(book: pages.Book, chapter: pages.Source) -> dict[str, int]:
    """The paragraph after the title is `**The point.**` and one sentence."""
    unseen = ("myst_target", "myst_line_comment")
    blocks = [t for t in book.parse(chapter.cells[0].source) if t.nesting >= 0 and t.type not in unseen][:4]
    there = [block.type for block in blocks] == ["heading_open", "inline", "paragraph_open", "inline"]
    found = there and re.fullmatch(r"\*\*The point\.\*\* (.+[.?!])", " ".join(blocks[3].content.split()))
    one = found and not re.search(r"[.?!] ", found[1]) and len(found[1].split()) <= POINT
    return {} if one else {"the paragraph after the title": 1}


def shared_functions(book: pages.Book, chapter: pages.Source) -> dict[str, int]:
    others = [functions(other) for other in chapters(book) if other is not chapter]
    return dict.fromkeys(sorted(functions(chapter).intersection(set().union(*others))), 1)


RULES = {
    f"lines over {LINES}": long_cells,
    f"cells over {CELLS}": many_cells,
    f"words over {WORDS}": many_words,
    "no point": no_point,
    "shared functions": shared_functions,
}


def chapters(book: pages.Book) -> list[pages.Source]:
    return [source for source in book.sources if source.executable]


def code_cells(chapter: pages.Source) -> list[tuple]:
    """Each code cell and the line where its code starts."""
    return [pair for pair in zip(chapter.cells, chapter.lines, strict=True) if pair[0].cell_type == "code"]


def code_lines(code: str) -> list[str]:
    return [line for line in code.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def functions(chapter: pages.Source) -> set[str]:
    bodies = [ast.parse(cell.source).body for cell, _ in code_cells(chapter)]
    return {node.name for body in bodies for node in body if isinstance(node, ast.FunctionDef)}


def words(book: pages.Book, chapter: pages.Source) -> int:
    texts = [cell.source for cell in chapter.cells if cell.cell_type == "markdown"]
    return sum(len(piece.split()) for text in texts for piece in prose(book, chapter, text))


def prose(book: pages.Book, chapter: pages.Source, text: str) -> Iterator[str]:
    lines = text.splitlines()
    for token in book.parse(text):
        if token.type == "inline":
            yield token.content
            continue
        directive = book.directive(chapter, token, 1, lines)  # the line is for errors, which `Book` has raised before
        if directive and directive.name in pages.DIRECTIVES and directive.name not in ("math", "image"):
            yield directive.argument
            yield from prose(book, chapter, directive.body)


# -- The book -----------------------------------------------------------------------------------------------------


def faults(book: pages.Book) -> dict[str, dict[str, dict[str, int]]]:
    """chapter -> rule that it breaks -> where -> by how much."""
    broken = {
        chapter.path.stem: {name: where for name, rule in RULES.items() if (where := rule(book, chapter))}
        for chapter in chapters(book)
    }
    return {name: rules for name, rules in broken.items() if rules}


def said(found: dict[str, dict[str, dict[str, int]]]) -> str:
    """A line for each rule that a chapter breaks."""
    return "\n".join(
        f"{chapter}: {rule}: {sum(where.values())}; see {', '.join(where)}"
        for chapter, rules in found.items()
        for rule, where in rules.items()
    )


def test_chapters_keep_the_rules():
    assert not (broken := said(faults(pages.Book(ROOT)))), broken


# -- The rules on chapters made for them ------------------------------------------------------------------------------


@pytest.fixture
def book(tmp_path):
    def write(**texts):
        (tmp_path / "_config.yml").write_text(CONFIG)
        first, *others = texts
        (tmp_path / "_toc.yml").write_text(json.dumps({"root": first, "chapters": [{"file": name} for name in others]}))
        for name, text in texts.items():
            (tmp_path / f"{name}.md").write_text(FRONT + text)
        return pages.Book(tmp_path)

    return write


def cell(*lines):
    return "\n".join(["```{code-cell} ipython3", *(lines or ["x = 1"]), "```\n\n"])


OPENING = "# A title\n\n**The point.** One thing is\nshown.\n\n"
EXERCISE = """```{exercise-start} Double, 5 minutes
:label: ex-double
```

Do.

```{exercise-end}
```

```{solution-start} ex-double
:class: dropdown
```

```{code-cell} ipython3
def double(x):
    \"\"\"Twice x.\"\"\"
    return 2 * x

exercises.double(double)
```

```{solution-end}
```

"""


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        (OPENING + cell(*["x = 1"] * 15), []),
        (OPENING + cell(*["x = 1"] * 15, "", "# Why.", "    # Why."), []),
        (OPENING + cell(*["x = 1"] * 16) + cell(*["x = 1"] * 18), [4]),
        (OPENING + cell("---", "tags: [remove-cell]", "---", *["x = 1"] * 16), [1]),
    ],
)
def test_lines_of_code_are_counted_in_every_cell(book, text, figures):
    (chapter,) = chapters(made := book(one=text))
    assert [sum(found.values()) for found in faults(made).get("one", {}).values()] == figures
    assert all(place.startswith("one.md:") for place in long_cells(made, chapter))


@pytest.mark.parametrize(("steps", "figure"), [(25, 0), (27, 2)])
def test_cells_are_counted_without_those_of_exercises(book, steps, figure):
    (chapter,) = chapters(made := book(one=OPENING + cell() * steps + EXERCISE))
    assert len(code_cells(chapter)) == steps + 2
    assert many_cells(made, chapter) == ({f"{steps} cells": figure} if figure else {})


@pytest.mark.parametrize(
    "said",
    [
        "two words",
        "- two\n- words",
        "| two |\n| --- |\n| words |",
        ":::{note}\n:class: tip\ntwo words\n:::",
        ":::{admonition} two\n```{tip}\nwords\n```\n:::",
        "two words\n\n$$\na + b\n$$\n\n```\nplain code\n```\n\n```{math}\na + b\n```",
    ],
)
def test_words_are_counted_wherever_they_are_read_as_text(book, said):
    made = book(one=OPENING + cell("code = 'no prose'") + said)
    assert words(made, *chapters(made)) == 10  # eight of them in the opening


@pytest.mark.parametrize(("more", "found"), [(2992, {}), (2995, {"3003 words": 3})])
def test_a_chapter_has_at_most_so_many_words(book, more, found):
    made = book(one=OPENING + cell() + "word " * more)
    assert many_words(made, *chapters(made)) == found


@pytest.mark.parametrize(
    ("start", "kept"),
    [
        ("**The point.** A word.", True),
        ("**The point.** Does 4.2 of 5 count?", True),
        (f"**The point.** {'word ' * 39}word.", True),
        (f"**The point.** {'word ' * 40}word.", False),
        ("**The point.** One. Two.", False),
        ("**The point.** No end", False),
        ("**The point.**", False),
        ("A word.", False),
        ("A word.\n\n**The point.** Too late.", False),
        ("- **The point.** In a list.", False),
        (":::{note}\n**The point.** In a box.\n:::", False),
        (":::{note}\nA box.\n:::\n\n**The point.** After a box.", False),
    ],
)
def test_the_point_is_one_short_sentence_after_the_title(book, start, kept):
    made = book(one=f"(label)=\n# A title\n\n{start}\n\nMore.\n\n" + cell())
    assert (no_point(made, *chapters(made)) == {}) == kept


def test_a_function_belongs_to_one_chapter(book):
    codes = {"one": "def arm(): 1", "two": "def arm(): 2\ndef leg(): 3", "three": "def tail(): arm()"}
    made = book(**{name: OPENING + cell(code) for name, code in codes.items()})
    assert [shared_functions(made, chapter) for chapter in chapters(made)] == [{"arm": 1}, {"arm": 1}, {}]


def test_what_is_broken_is_told_with_its_place(book):
    made = book(one=OPENING + cell(*["x = 1"] * 17), two=OPENING + cell())
    assert said(faults(made)) == "one: lines over 15: 2; see one.md:12"


MINUTES = re.compile(
    r"\*\*Time:\*\* (half an hour|\d+ minutes) to read"
    r"(?:, (?P<more>\d+) (?:minutes )?more for the exercises|; there are no exercises)"
)


@pytest.mark.parametrize("chapter", [one.path.stem for one in chapters(pages.Book(ROOT))])
def test_the_minutes_that_a_chapter_asks_for_are_those_of_its_exercises(chapter):
    text = (ROOT / "book" / f"{chapter}.md").read_text(encoding="utf-8")
    exercises = re.findall(r"\{exercise-start\} .+, (\d+) minutes", text)
    assert int(MINUTES.search(text)["more"] or 0) == sum(map(int, exercises))


def test_the_readme_counts_the_chapters():
    words = dict(
        zip(
            ("Fourteen", "Fifteen", "Sixteen", "Seventeen", "Eighteen", "Nineteen", "Twenty"),
            range(14, 21),
            strict=True,
        )
    )
    told = re.search(r"(\w+) chapters stand", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert words[told[1]] == len(chapters(pages.Book(ROOT)))
