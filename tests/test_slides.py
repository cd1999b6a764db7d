"""Slides: the point, the figures and the summary of a chapter, by keyboard, from a file, on paper."""

import re
import shutil
from pathlib import Path

import check_pages
import pytest
import slides
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]

DOT = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
CHAPTER = f"""<html><head><script src="../_static/mathjax/x.js"></script></head><body><article>
<section><span id="label"></span><h1>A &lt; B<a class="headerlink" href="#x">#</a></h1>
<p><strong>The point.</strong> A
lesion is <em>told</em>.</p>
<section><h2>First<a class="headerlink" href="#y">#</a></h2>
<figure><img src="{DOT}" alt="A &quot;dot&quot;."><figcaption><p><span>Fig. 1 </span>See <a href="other.html">there</a>,
<span class="math">\\(x^2\\)</span>.<a class="headerlink" href="#z">#</a></p></figcaption></figure>
<div class="livervlm-moving"><img src="{DOT}" alt="A dot that moves."></div></section>
<section id="summary"><h2>Summary</h2><ul><li><p>One.</p></li><li><p>Two.</p></li></ul><p><strong>Next:</strong></p>
</section></section></article></body></html>"""


@pytest.fixture
def html(tmp_path):
    """A built book of one chapter and one page that is none, with its slides."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "one.html").write_text(CHAPTER)
    (tmp_path / "book" / "glossary.html").write_text("<article><h1>Glossary</h1><p>Words.</p></article>")
    shutil.copytree(ROOT / "book" / "assets", tmp_path / "_static")
    (tmp_path / "_static" / "mathjax").mkdir()
    (tmp_path / "_static" / "mathjax" / "x.js").write_text("")
    assert slides.main(str(tmp_path)) == 0
    return tmp_path


def test_a_deck_is_the_point_each_figure_and_the_summary(html):
    assert [path.name for path in (html / "slides").iterdir()] == ["one.html"]
    deck = BeautifulSoup((html / "slides" / "one.html").read_text(), "html.parser")
    point, figure, moving, summary = deck.find_all("section")
    assert [point.h1.text, point.p.text] == ["A < B", "A lesion is told."]
    assert [figure.h2.text, figure.img["alt"]] == ["First", 'A "dot".']
    assert " ".join(figure.p.text.split()) == "Fig. 1 See there, \\(x^2\\)."
    assert figure.p.find("span", class_="math")
    assert deck.find("script", src="../_static/mathjax/x.js")  # which draws it
    assert [moving.h2.text, moving.p.text] == ["First", "A dot that moves."]
    assert [item.text for item in summary.find_all("li")] == ["One.", "Two."]
    assert {link["href"] for link in deck.find_all("a")} == {"../book/one.html"}
    assert [section.footer.text.split(".")[-1].strip() for section in deck.find_all("section")] == [
        f"{number} of 4" for number in range(1, 5)
    ]
    assert not [fault for fault in check_pages.faults(html) if fault.startswith("slides/")]


def test_keys_go_from_slide_to_slide_and_paper_has_one_slide_a_page(html, browser):
    page = browser.new_page(viewport={"width": 800, "height": 600})
    page.goto((html / "slides" / "one.html").as_uri())

    def shown(key):
        page.keyboard.press(key)
        return round(page.evaluate("scrollY / innerHeight"), 2)

    assert [shown(key) for key in ("ArrowLeft", "ArrowRight", " ", "Shift+ ", "End", "PageDown", "Home")] == [
        *(0, 1, 2, 1, 3, 3, 0)
    ]
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type /Page\b", printed)) == 4
    assert re.search(rb"/MediaBox \[0 0 960 540\]", printed)
    page.close()


@pytest.mark.parametrize("path", sorted((ROOT / "_build/html/slides").glob("*.html")) or [None], ids=str)
def test_no_built_slide_is_cut_off(browser, path):
    if path is None:
        pytest.skip("the book is not built: run `make book` first")
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(path.as_uri())
    cut = "[...document.querySelectorAll('section')].filter((one) => one.scrollHeight > one.clientHeight + 1).length"
    assert page.evaluate(cut) == 0
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
