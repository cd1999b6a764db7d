"""The book on paper: one long page in the order asked for, its links within it, with solutions or without."""

import shutil
from pathlib import Path

import pdf
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]

DOT = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
HEAD = '<html><head><link rel="stylesheet" href="../_static/book.css"><script src="a.js"></script>{}</head><body>'
FORMULAS = '<script data-formulas="../_static/mathjax/x.js"></script>'
TWO = f"""{HEAD.format(FORMULAS)}<nav>Sidebar</nav><article><h1 id="here">Two
<a class="headerlink" href="#here">#</a></h1><a href="one.html#place">One</a><a href="one.html">all of it</a>
<a href="#here">here</a><a href="https://example.org/a.html">out</a><pre>{"x" * 400}</pre>
<div class="livervlm-moving"><img src="{DOT}" alt="A dot." loading="lazy"></div><script>let a;</script>
<div class="exercise">Try.</div><div class="solution dropdown admonition">The answer.</div></article></body></html>"""
ONE = f'{HEAD.format("")}<article><h1 id="place">One</h1><p>Words.</p></article></body></html>'
NAMES = ["book/two", "book/one"]


@pytest.fixture
def built(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "one.html").write_text(ONE)
    (tmp_path / "book" / "two.html").write_text(TWO)
    shutil.copytree(ROOT / "book" / "assets", tmp_path / "_static")
    (tmp_path / "_static" / "mathjax").mkdir()
    (tmp_path / "_static" / "mathjax" / "x.js").write_text("")
    return tmp_path


def test_pages_follow_one_another_and_link_within(built):
    page = BeautifulSoup(pdf.document(built, NAMES, solutions=False), "html.parser")
    assert [article["id"] for article in page.find_all("article")] == ["two", "one"]
    links = [link["href"] for link in page.find_all("a")]
    assert links == ["#one--place", "#one", "#two--here", "https://example.org/a.html"]
    places = {tag["id"] for tag in page.find_all(id=True)}
    assert {link[1:] for link in links if link.startswith("#")} <= places
    assert [tag.get("src") for tag in page.find_all("script")] == ["../_static/mathjax/x.js"]
    assert [tag["href"] for tag in page.find_all("link")] == ["../_static/book.css", "../_static/print.css"]
    assert page.img["alt"] == "A dot."
    assert not page.find("nav")


@pytest.mark.parametrize("solutions", [True, False])
def test_solutions_are_open_or_left_out(built, solutions):
    text = pdf.document(built, NAMES, solutions)
    assert ("The answer." in text) == solutions
    assert "Try." in text


def test_paper_clips_no_code_and_each_page_begins_on_a_sheet(built, browser):
    (built / "book" / "print.html").write_text(pdf.document(built, NAMES, solutions=True))
    page = browser.new_page(viewport={"width": 680, "height": 900})
    page.emulate_media(media="print")
    page.goto((built / "book" / "print.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    assert page.locator("pre").evaluate("code => code.scrollWidth <= code.clientWidth")
    assert page.pdf(format="A4").count(b"/Type /Page\n") == 2
    page.close()


def test_a_book_that_is_not_built_is_one_line(tmp_path, capsys):
    assert pdf.main(str(tmp_path)) == 1
    assert "run 'make book' first" in capsys.readouterr().err
