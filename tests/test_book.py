"""The converter of the book's chapters into notebooks, and the stubs of its exercises."""

from pathlib import Path

import nbformat
import notebooks
import pages
import pytest
import stubs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
FRONT = "---\nfile_format: mystnb\nkernelspec: {name: python3, display_name: Python 3}\n---\n\n"
CODE = "```{code-cell} ipython3\nx = 1\n```\n"
SITE = "https://owner.github.io/name/book"
RAW = "https://raw.githubusercontent.com/owner/name/main/book"
CONFIG = """
title: A book
repository: {url: https://github.com/owner/name, branch: main}
parse: {myst_enable_extensions: [colon_fence, dollarmath]}
"""
BIB = """
@article{one2021, author = {Radford, Alec}, title = {A}, year = {2021}}
@article{two2022, author = {Chen, Xin and He, Kaiming}, title = {B}, year = {2022}}
@article{many2023, author = {de la Cruz, Ana and Chen, Xin and He, Kaiming}, title = {C}, year = {2023}}
"""


def write_book(root, text, index="(top)=\n# Home\n"):
    (root / "book").mkdir(exist_ok=True)
    (root / "_config.yml").write_text(CONFIG)
    (root / "_toc.yml").write_text("{root: book/index, chapters: [{file: book/chapter}, {file: book/glossary}]}")
    (root / "book" / "references.bib").write_text(BIB)
    (root / "book" / "index.md").write_text(index)
    (root / "book" / "glossary.md").write_text("# Glossary\n\n```{glossary}\nGrad-CAM map\n  A map.\n```\n")
    (root / "notes.md").write_text("# Not a page\n")
    (root / "book" / "scan.png").write_bytes(b"")
    (root / "book" / "chapter.md").write_text(FRONT + text)
    return root


def cells(root, text, index="(top)=\n# Home\n"):
    """The cells of a chapter with `text`, without the two that every notebook begins with."""
    made = notebooks.generate(write_book(root, text, index))
    return nbformat.reads(made[root / "book" / "chapter.ipynb"], 4).cells[2:]


def converted(root, text):
    """The plain Markdown that `text` becomes."""
    (cell, _code) = cells(root, f"{text}\n\n{CODE}")
    return cell.source


# -- Directives ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fence", [":::", "```", "::::"])
@pytest.mark.parametrize("name", pages.ADMONITIONS)
def test_admonition_becomes_a_quotation(tmp_path, name, fence):
    heading = "See also" if name == "seealso" else name.capitalize()
    text = converted(tmp_path, f"{fence}{{{name}}}\nOne.\n\n- two\n{fence}")
    assert text == f"> **{heading}**\n>\n> One.\n>\n> - two"


def test_admonition_with_text_on_its_first_line(tmp_path):
    assert converted(tmp_path, ":::{note} At once.\n:::") == "> **Note**\n>\n> At once."


def test_admonition_with_a_title(tmp_path):
    assert converted(tmp_path, ":::{admonition} Aims of {math}`x`\nOne.\n:::") == "> **Aims of $x$**\n>\n> One."


@pytest.mark.parametrize("opening", [":::{dropdown} More", ":::{admonition} More\n:class: tip dropdown"])
def test_dropdown_folds(tmp_path, opening):
    text = converted(tmp_path, f"{opening}\nOne.\n:::")
    assert text == "<details>\n<summary>More</summary>\n\nOne.\n\n</details>"


def test_directives_nest_and_keep_their_indent(tmp_path):
    text = "- item\n\n  ::::{note}\n  :::{tip}\n  {math}`x`\n  :::\n  ::::\n\n> ```{note}\n> y\n> ```"
    assert converted(tmp_path, text) == (
        "- item\n\n  > **Note**\n  >\n  > > **Tip**\n  > >\n  > > $x$\n\n> > **Note**\n> >\n> > y"
    )


def test_figure_and_image(tmp_path):
    text = ":::{figure} scan.png\n:alt: A liver.\n:name: fig-scan\nThe *caption*.\n:::"
    anchor = '<a id="fig-scan" name="fig-scan"></a>'
    assert converted(tmp_path, text) == f"![A liver.]({RAW}/scan.png)\n\n{anchor}\n**Fig. 1** The *caption*."
    assert converted(tmp_path, ":::{image} scan.png\n:alt: A liver.\n:::") == f"![A liver.]({RAW}/scan.png)"


def test_equations_are_numbered_as_in_the_book(tmp_path):
    text = converted(tmp_path, "$$\na\n$$ (one)\n\n```{math}\n:label: two\nb\n```\n\n$$\nc\n$$\n\n{eq}`two`, {eq}`one`")
    assert "$$\na \\tag{1}\n$$" in text
    assert "$$\nb \\tag{2}\n$$" in text
    assert "$$\nc\n$$" in text
    assert text.endswith("[(2)](#equation-two), [(1)](#equation-one)")


def test_figure_cell_gets_its_caption_below(tmp_path):
    meta = 'mystnb:\n  image: {alt: "A"}\n  figure: {caption: "See {math}`x`.", name: fig-x}'
    source = f"{{numref}}`fig-x`\n\n```{{code-cell}} ipython3\n---\n{meta}\n---\nx = 1\n```\n"
    text, code, caption = cells(tmp_path, source)
    assert text.source == "[Fig. 1](#fig-x)"
    assert (code.source, dict(code.metadata)) == ("x = 1", {})
    assert caption.source == '<a id="fig-x" name="fig-x"></a>\n**Fig. 1** See $x$.'


def test_a_caption_of_a_table_stands_below_its_cell(tmp_path):
    source = (
        "```{code-cell} ipython3\n---\ncaption: [One., Two.]\n---\nx = 1\n```\n\n:::{table} Three.\n| a |\n| - |\n:::"
    )
    code, caption, table = cells(tmp_path, source)
    assert (code.source, dict(code.metadata), caption.source) == ("x = 1", {}, "*One.*\n\n*Two.*")
    assert table.source == "*Three.*\n\n| a |\n| - |"


def test_numbers_run_through_the_book(tmp_path):
    figure = ":::{figure} scan.png\n:alt: A liver.\nCaption.\n:::\n"
    exercise = ":::{exercise}\nDo.\n:::\n"
    first, _code = cells(tmp_path, f"{figure}\n{exercise}\n{CODE}", index=f"# Home\n\n{figure}\n{exercise}")
    assert "**Fig. 2** Caption." in first.source
    assert first.source.endswith("> **Exercise 2**\n>\n> Do.")


def test_exercise_and_solution(tmp_path):
    text = converted(
        tmp_path,
        "::::{exercise} Warm up\n:label: ex-one\nDo.\n::::\n\n:::{solution} ex-one\nDone.\n:::\n\n{ref}`ex-one`",
    )
    assert '> <a id="ex-one" name="ex-one"></a>\n> **Exercise 1 (Warm up)**\n>\n> Do.' in text
    assert "<details>\n<summary>Solution to Exercise 1</summary>\n\nDone.\n\n</details>" in text
    assert text.endswith("[Exercise 1](#ex-one)")


ANSWER = 'def double(x):\n    """Twice `x`."""\n    twice = x + x\n    return twice\n\nexercises.double(double)'
STUB = f'def double(x):\n    """Twice `x`."""\n{stubs.ANSWER}\n\nexercises.double(double)'


def cell_of(code):
    return f"```{{code-cell}} ipython3\n{code}\n```\n"


def gated(stub="", answer=None, title="Double, 5 minutes", label=":label: ex-one\n", fold=":class: dropdown\n"):
    answer = cell_of(ANSWER) if answer is None else answer
    return (
        f"```{{exercise-start}} {title}\n{label}```\n\nDo.\n\n{stub}```{{exercise-end}}\n```\n\n"
        f"```{{solution-start}} ex-one\n{fold}```\nSo:\n\n{answer}\n```{{solution-end}}\n```\n\nAfter.\n"
    )


def test_gated_exercise_stays_runnable_and_its_solution_folds(tmp_path):
    task, code, solution = cells(tmp_path, gated())
    assert task.source.endswith("**Exercise 1 (Double, 5 minutes)**\n\nDo.")
    assert (code.cell_type, code.source) == ("code", STUB)
    assert solution.source.strip().split("\n\n") == [
        "<details>\n<summary>Solution to Exercise 1</summary>\nSo:",
        *f"````python\n{ANSWER}\n````".split("\n\n"),
        "</details>",
        "After.",
    ]


@pytest.mark.parametrize("stub", ["", cell_of("old") + "\n", cell_of(STUB) + "\nA hint.\n\n"])
def test_a_stub_is_written_into_the_chapter_and_stays_true_to_its_solution(tmp_path, stub):
    root = write_book(tmp_path, f"# Title\n\n{gated(stub)}\n\n{CODE}")
    generated = notebooks.generate(root)
    chapter, notebook = root / "book" / "chapter.md", root / "book" / "chapter.ipynb"
    assert set(generated) == {chapter, notebook}
    hint = "A hint.\n\n" if "hint" in stub else ""
    assert generated[chapter] == f"{FRONT}# Title\n\n{gated(cell_of(STUB) + chr(10) + hint)}\n\n{CODE}"

    notebook.write_text(generated[notebook])
    named = [line.split(":")[0] for line in notebooks.differences(root, generated)]
    assert named == ([] if STUB in stub else ["book/chapter.md differs from the solutions in it"])
    chapter.write_text(generated[chapter])
    assert notebooks.generate(root) == generated


def test_a_stub_keeps_what_its_solution_imports_and_a_long_docstring():
    head = 'import math\n\ndef f(\n    x,\n):\n    """One.\n\n    Two.\n    """\n'
    body = "    def g():\n        return 1\n    return g()"
    assert stubs.stub_of(f"{head}{body}\n\nexercises.f(f)") == ("f", f"{head}{stubs.ANSWER}\n\nexercises.f(f)")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (gated(label=""), "chapter.md:6: {exercise-start} has no ':label: ex-name'"),
        (gated(title="Double"), "chapter.md:6: {exercise-start} needs a title with minutes: 'Title, 10 minutes'"),
        (gated(stub=2 * cell_of("x = 1")), "chapter.md:6: an exercise holds one code cell, its stub"),
        (gated(fold=""), "chapter.md:15: {solution-start} needs ':class: dropdown', or it lies open"),
        (gated(answer=""), "chapter.md:15: a solution holds one code cell; this one has 0"),
        (gated(answer=cell_of("x = 1")), "chapter.md:20: the code of a solution is one function with a docstring"),
        (gated(answer=cell_of(ANSWER.replace('"""Twice `x`."""', "pass"))), "chapter.md:20: the code of a solution"),
        (gated(answer=cell_of(ANSWER.replace("double(double)", "other(double)"))), "chapter.md:20: the code of a sol"),
        (gated(answer=cell_of("def double(x:")), "chapter.md:20: '(' was never closed"),
        (gated().replace("} ex-one", "} ex-two"), "chapter.md:15: {solution-start} ex-two follows no exercise"),
        (gated().split("```{solution")[0], "chapter.md:6: exercise 'ex-one' has no {solution-start} ex-one"),
        (gated().partition("```{solution-end}")[0], "chapter.md:15: {solution-start} has no end"),
        (gated().replace("```{exercise-end}\n```\n", ""), "chapter.md:6: {exercise-start} has no end before line 13"),
        (gated().replace("{exercise-end", "{solution-end"), "chapter.md:12: {solution-end} has no start"),
        ("```{solution-end}\n```\n", "chapter.md:6: {solution-end} has no start"),
    ],
)
def test_an_exercise_that_is_not_whole_is_an_error_with_its_place(tmp_path, source, message):
    with pytest.raises(stubs.SourceError) as error:
        cells(tmp_path, source)
    assert message in str(error.value)


def test_comments_vanish_and_labels_become_anchors(tmp_path):
    text = converted(tmp_path, "(here)=\n## Here\n\n% a note to self\n\n{ref}`here` {ref}`there <here>`")
    assert text == '<a id="here" name="here"></a>\n## Here\n\n\n\n[Here](#here) [there](#here)'


# -- Roles and links -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{cite}`one2021`", f"([Radford, 2021]({SITE}/bibliography.html#one2021))"),
        (
            "{cite:p}`one2021,two2022`",
            f"([Radford, 2021]({SITE}/bibliography.html#one2021); "
            f"[Chen and He, 2022]({SITE}/bibliography.html#two2022))",
        ),
        ("{cite:t}`many2023`", f"[de la Cruz et al. (2023)]({SITE}/bibliography.html#many2023)"),
        ("{doc}`index`", f"[Home]({SITE}/index.html)"),
        ("{doc}`the start </book/index>`", f"[the start]({SITE}/index.html)"),
        ("{term}`grad-cam map`", f"[grad-cam map]({SITE}/glossary.html#term-Grad-CAM-map)"),
        ("{term}`maps <Grad-CAM map>`", f"[maps]({SITE}/glossary.html#term-Grad-CAM-map)"),
        ("{download}`the scan <scan.png>`", f"[the scan]({RAW}/scan.png)"),
        ("[home](index.md)", f"[home]({SITE}/index.html)"),
        ("[](index.md)", f"[Home]({SITE}/index.html)"),
        ("[home](index.md#top 'x')", f"[home]({SITE}/index.html#top 'x')"),
        ('[home](/book/index.md "x")', f'[home]({SITE}/index.html "x")'),
        ("![a](scan.png)", f"![a]({RAW}/scan.png)"),
        ("[out](https://example.org/a.md)", "[out](https://example.org/a.md)"),
        ("`{ref}` and ``{ref}`x` `` stay", "`{ref}` and ``{ref}`x` `` stay"),
        ("$f[i](x)$ stays", "$f[i](x)$ stays"),
        ("| a | b |\n|---|---|\n| {math}`x` | {math}`y` |", "| a | b |\n|---|---|\n| $x$ | $y$ |"),
    ],
)
def test_roles_and_links(tmp_path, source, expected):
    assert converted(tmp_path, source) == expected


# -- What is not known ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (":::{margin}\nx\n:::", "chapter.md:8: unknown directive {margin}"),
        ("::::{note}\n\n:::{margin}\nx\n:::\n::::", "chapter.md:10: unknown directive {margin}"),
        ("one\ntwo {guilabel}`x`", "chapter.md:9: unknown role {guilabel}"),
        (":::{note}\nx", "chapter.md:8: {note} is not closed"),
        (":::note\nx\n:::", "chapter.md:8: ':::note' names no directive"),
        (":::{image} scan.png\n:::", "chapter.md:8: {image} scan.png has no ':alt:' text"),
        (":::{image} lost.png\n:alt: A.\n:::", "chapter.md:8: 'lost.png' is not a file of the book"),
        ("{ref}`nowhere`", "chapter.md:8: label 'nowhere' stands on no page"),
        ("{cite}`nobody`", "chapter.md:8: citation 'nobody' is not in book/references.bib"),
        ("{term}`nothing`", "chapter.md:8: term 'nothing' is not in the glossary"),
        ("[x](../notes.md)", "chapter.md:8: 'notes.md' is no page with a title in _toc.yml"),
        ("[x](lost.md)", "chapter.md:8: 'lost.md' is not a file of the book"),
        ("a[^1]\n\n[^1]: b", "chapter.md:10: a footnote does not show in Colab"),
        ("```{code-cell}\nx = 1\nsay('as [](lost.md) tells')\n```", "chapter.md:10: '](lost.md)' leads nowhere"),
        ("```{code-cell}\nsay('as {cite}`nobody` tells')\n```", "chapter.md:9: '{cite}`' leads nowhere"),
    ],
)
def test_what_cannot_be_shown_is_an_error_with_its_place(tmp_path, source, message):
    with pytest.raises(stubs.SourceError) as error:
        converted(tmp_path, f"# Title\n\n{source}")
    assert message in str(error.value)


WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
LINE = st.lists(WORDS | st.sampled_from(["*so*", "**so**", "`code`", "(so)", "$x_1$", "a:b"]), min_size=1).map(" ".join)
FENCED = st.tuples(st.sampled_from(["```", "~~~", "````"]), LINE).map(lambda f: f"{f[0]}python\n{f[1]}\n{f[0]}")
BLOCK = st.one_of(
    LINE,
    LINE.map("## {}".format),
    LINE.map("> {}".format),
    st.lists(LINE, min_size=1, max_size=3).map(lambda lines: "\n".join(f"- {line}" for line in lines)),
    LINE.map("| a |\n|---|\n| {} |".format),
    LINE.map("    {}".format),
    LINE.map("$$\n{}\n$$".format),
    FENCED,
    st.just("````\n```{note}\nshown as it is\n```\n````"),
    st.just("[link](https://example.org)"),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(BLOCK, min_size=1, max_size=6).map("\n\n".join))
def test_plain_markdown_stays_as_it_is(tmp_path, text):
    text = f"begin\n\n{text}"
    assert converted(tmp_path, text) == text


# -- The notebooks -------------------------------------------------------------------------------------------


def test_the_same_source_gives_the_same_bytes(tmp_path):
    root = write_book(tmp_path, f"# Title\n\nText.\n\n{CODE}")
    assert notebooks.generate(root) == notebooks.generate(root)
    (text,) = notebooks.generate(root).values()
    assert [cell.id for cell in nbformat.reads(text, 4).cells] == [f"chapter-0{i}" for i in range(4)]


def test_differences_are_named(tmp_path):
    root = write_book(tmp_path, CODE)
    made = notebooks.generate(root)
    (path,) = made
    assert notebooks.differences(root, made) == ["book/chapter.ipynb is missing: run `make notebooks`"]
    path.write_text("{}")
    (root / "book" / "old.ipynb").write_text("{}")
    lines = notebooks.differences(root, made)
    assert [line.split()[:2] for line in lines] == [["book/chapter.ipynb", "differs"], ["book/old.ipynb", "has"]]


def test_committed_notebooks_match_their_sources():
    assert notebooks.differences(ROOT, notebooks.generate(ROOT)) == []
