"""What the build does to every page: lighter, readable on a phone, findable, and to be taken along."""

import gzip
import re
import shutil
import zipfile
from pathlib import Path

import finish
import numpy as np
import pages
import pandas as pd
import pytest
import weights
from bs4 import BeautifulSoup
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]

BOOK = pages.Book(ROOT)

PAGE = """<!DOCTYPE html><html><head><title>T - T</title>
<meta name="viewport" content="a"><meta name="viewport" content="b">
<script src="../_static/documentation_options.js"></script><script src="../_static/doctools.js"></script>
<script defer src="../_static/scripts/fontawesome.js"></script><script src="../searchindex.js"></script>
<script defer src="../_static/mathjax/tex-chtml.js"></script><script>let a = "<b>" && 1;</script>
</head><body><article><section>
<h1>One<a class="headerlink">#</a></h1><p><strong>The point.</strong> A "word" is &lt; two.</p>FORMULA
<table><thead><tr><th></th><th>n</th></tr></thead><tbody><tr><th>row</th><td>NaN</td><td>9 ± 1</td></tr></tbody></table>
<i class="fa-solid fa-bars"></i></section></article><div class="extra_footer">Not for diagnosis.</div></body></html>"""


@pytest.fixture
def finished(tmp_path):
    def finished(text):
        (tmp_path / "book").mkdir()
        (tmp_path / "book" / "one.html").write_text(text, encoding="utf-8")
        finish.finish(ROOT, tmp_path, "0123456789abcdef", "2026-11-29")
        return BeautifulSoup((tmp_path / "book" / "one.html").read_text(encoding="utf-8"), "html.parser")

    return finished


@pytest.mark.parametrize("formula", [True, False])
def test_a_page_keeps_the_scripts_that_it_needs(finished, formula):
    page = finished(PAGE.replace("FORMULA", '<span class="math">x</span>' if formula else ""))
    scripts = {Path(tag["src"]).name: tag.has_attr("defer") for tag in page.find_all("script", src=True)}
    assert scripts == {"documentation_options.js": False, "doctools.js": True}
    waiting = [tag["data-formulas"] for tag in page.select("script[data-formulas]")]
    assert waiting == (["../_static/mathjax/tex-chtml.js"] if formula else [])
    assert 'let a = "<b>" && 1;' in str(page)


def test_a_page_says_what_it_is(finished):
    page = finished(PAGE)
    meta = {tag.get("name") or tag.get("property"): tag["content"] for tag in page.find_all("meta")}
    site = BOOK.site
    assert meta["description"] == meta["og:description"] == 'A "word" is < two.'
    assert meta["og:title"] == meta["citation_title"] == "One"
    assert page.title.string == "One | The Liver-VLM book"
    assert page.select_one("link[rel=canonical]")["href"] == meta["og:url"] == f"{site}/book/one.html"
    assert len(page.find_all("meta", attrs={"name": "viewport"})) == 1
    footer = page.select_one(".extra_footer")
    assert footer.get_text().endswith("Built on 2026-11-29 from 0123456")
    assert footer.a["href"].endswith("/commit/0123456789abcdef")


def test_tables_have_no_empty_header_and_no_nan(finished):
    page = finished(PAGE)
    assert [tag.get_text() for tag in page.select("th")] == ["n", "row"]
    assert [tag.get_text() for tag in page.select("td")] == ["", "–", "9\xa0±\xa01"]


WIDE = pd.DataFrame(
    {("ART", "mean"): [1.0], ("ART", "sd"): [2.0], ("PV", "mean"): [3.0]}, index=pd.Index(["HCC"], name="class")
)


def test_a_cell_of_a_wide_table_says_its_column(finished):
    table = finished(PAGE.replace("FORMULA", WIDE.to_html())).select_one("table.stacks")
    assert table["role"] == "table"
    assert [(td["data-label"], td.get_text()) for td in table.select("tbody td")] == [
        ("ART, mean", "1.0"), ("ART, sd", "2.0"), ("PV, mean", "3.0")
    ]  # fmt: skip
    assert table.select_one("tbody th")["role"] == "rowheader"


@pytest.mark.parametrize("narrow", [WIDE.iloc[:, :2], WIDE.set_index([["a"], ["b"]]).iloc[[0, 0]]])
def test_narrow_tables_and_rows_that_share_a_head_stay_tables(finished, narrow):
    assert finished(PAGE.replace("FORMULA", narrow.to_html())).select(".stacks, [data-label]") == []


def test_a_picture_has_room_and_leads_to_its_full_size(finished, tmp_path):
    (tmp_path / "_images").mkdir()
    Image.new("L", (600, 300)).save(tmp_path / "_images" / "a.png")
    picture = '<div class="cell_output"><img src="../_images/a.png" alt="A."></div>'
    first, second = finished(PAGE.replace("FORMULA", 2 * picture)).select("article img")
    assert (first["width"], first["height"], first.parent["href"]) == ("600", "300", "../_images/a.png")
    assert (first.get("loading"), second["loading"]) == (None, "lazy")


def test_the_book_can_be_taken_along_and_a_lost_reader_finds_it(finished, tmp_path):
    finished(PAGE)
    with zipfile.ZipFile(tmp_path / finish.ARCHIVE) as archive:
        assert {"liver-vlm-book/book/one.html", "liver-vlm-book/404.html"} <= set(archive.namelist())
    lost = BeautifulSoup((tmp_path / "404.html").read_text(encoding="utf-8"), "html.parser")
    assert {a["href"].rsplit("/", 1)[-1] for a in lost.find_all("a")} == {"index.html", "search.html"}
    assert lost.link["href"] == "data:,"  # or a browser asks for an icon
    assert not lost.find_all(["img", "script"])


def test_notebooks_that_were_taken_along_lead_to_their_neighbours(finished, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "livervlm-9-py3-none-any.whl").touch()
    finished(PAGE)
    committed = {path.name: path.read_text("utf-8") for path in (ROOT / "book").glob("*.ipynb")}
    copies = {path.name: path.read_text("utf-8") for path in (tmp_path / "notebooks").glob("*.ipynb")}
    assert copies.keys() == committed.keys()
    for name, text in copies.items():
        page = name.replace(".ipynb", ".html")
        assert f"{BOOK.site}/book/" in committed[name]
        assert f"{BOOK.site}/book/" not in text
        assert f"[{BOOK.title}](../book/{page})" in text, "its own page, not itself"
        for link in re.findall(r"\]\(([\w./-]+\.(?:ipynb|html))[#)]", text):
            known = {*copies, *(f"../{source.page}" for source in BOOK.sources)}
            assert link in known
            assert link == f"../book/{page}" or not link.startswith("../") or Path(link).stem + ".ipynb" not in copies
    readme = (tmp_path / "notebooks" / "README.txt").read_text()
    assert "not for diagnosis" in readme
    assert 'pip install "notebooks/livervlm-9-py3-none-any.whl[studies]"' in readme
    assert "make workshop" in readme


SEARCH = """<!DOCTYPE html><html data-content_root="./"><head><meta charset="utf-8"><title>Search</title>
<script src="_static/searchtools.js"></script></head><body>
<main role="main"></main><script>async function ask(page) { return (await fetch("./book/" + page)).text(); }</script>
</body></html>"""


def test_the_search_reads_pages_from_a_file(finished, tmp_path, browser):
    shutil.copytree(ROOT / "book" / "assets", tmp_path / "_static")
    (tmp_path / "_static" / "searchtools.js").write_text("")
    (tmp_path / "search.html").write_text(SEARCH)
    finished(PAGE.replace("FORMULA", '<section class="a" id="two"><p>x &lt; &amp;\n<b>y</b></p></section>'))
    page = browser.new_page()
    page.goto((tmp_path / "search.html").as_uri())
    text = page.evaluate("ask('one.html')")
    assert text.startswith('<div role="main">One The point. A "word" is &lt; two.')
    assert '<div id="two">x &lt; &amp; y </div>' in text
    page.close()


def test_a_page_is_weighed_with_each_file_that_it_names_once(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "a.js").write_bytes(b"x" * 4000)
    (tmp_path / "a.png").write_bytes(bytes(range(250)) * 8)
    text = '<script src="../a.js?v=1"></script>' + 2 * '<img src="../a.png">' + weights.PLACE
    text += '<img src="data:image/png;base64,AAAA"><script>let a;</script><a href="../a.css">not loaded</a>'
    path = tmp_path / "book" / "speed.html"
    path.write_text(text, encoding="utf-8")
    row = weights.weigh(path)
    packed = sum(len(gzip.compress(part)) for part in (text.encode(), b"x" * 4000)) + 2000
    assert row == {"HTML": len(text), "scripts": 4000, "styles": 0, "pictures": 2000, "compressed": packed}
    weights.add_weights(tmp_path)
    page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    assert [cell.get_text() for cell in page.select("[data-weights] tbody tr > *")] == [
        "speed",
        "0",
        "4",
        "0",
        "2",
        "2",
    ]
    assert page.select_one("tbody a")["href"] == "speed.html"


def test_the_page_of_speed_has_a_place_for_the_weights():
    assert weights.PLACE in (ROOT / "book" / "speed.md").read_text(encoding="utf-8")


def test_a_heavy_picture_is_lighter_on_every_page_and_a_light_one_stays(finished, tmp_path):
    folder = tmp_path / "_images"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    Image.new("L", (300, 300)).save(folder / "flat.png")
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "one.html").write_text('<img src="../_images/noise.png">')
    pictures = "".join(
        f'<div class="cell_output"><img src="../_images/{n}.png" alt="A."></div>' for n in ("noise", "flat")
    )
    page = finished(PAGE.replace("FORMULA", pictures))
    assert [image["src"] for image in page.select("article img")] == ["../_images/noise.webp", "../_images/flat.png"]
    assert [a["href"] for a in page.select("a.full-size")] == ["../_images/noise.webp", "../_images/flat.png"]
    assert (tmp_path / "slides" / "one.html").read_text() == '<img src="../_images/noise.webp">'
    assert sorted(path.name for path in folder.iterdir()) == ["flat.png", "noise.webp"]
    with Image.open(folder / "noise.webp") as picture:
        assert np.abs(np.asarray(picture.convert("L"), dtype=int) - noise).mean() < 10


def test_a_long_script_waits_in_a_file_and_is_the_same(finished, tmp_path):
    long = f'(() => "</b> {"x" * 30_000}")();'
    page = finished(PAGE.replace("FORMULA", f"<script>{long}</script><script>let short;</script>"))
    apart, here = page.select("article script")
    assert (apart["defer"], apart.get_text(), here.get_text()) == ("", "", "let short;")
    assert (tmp_path / "book" / apart["src"]).resolve().read_text(encoding="utf-8") == long


def test_a_chart_has_the_room_that_its_vectors_name(finished, tmp_path):
    (tmp_path / "_images").mkdir()
    (tmp_path / "_images" / "a.svg").write_text('<?xml version="1.0"?><svg width="432pt" height="216pt"><g/></svg>')
    chart = '<div class="cell_output"><img src="../_images/a.svg" alt="A."></div>'
    [image] = finished(PAGE.replace("FORMULA", chart)).select("article img")
    assert (image["width"], image["height"]) == ("576", "288")


def test_of_the_styles_stays_what_a_page_or_a_script_names(finished, tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "a.js").write_text('node.classList.add("later")')
    gone, kept = (".never p", "a.later.never"), (".fa-bars:before", ".later", "p:not(.never)")
    style = "@font-face{src:url(x)}" + "".join(f"{rule}{{x:y}}" for rule in (*gone, *kept, "p,.never"))
    (tmp_path / "_static" / "a.css").write_text(style + "@media print{.never{x:y}.later{x:y}}")
    finished(PAGE)
    left = "@font-face{src:url(x)}" + "".join(f"{rule}{{x:y}}" for rule in (*kept, "p"))
    assert (tmp_path / "_static" / "a.css").read_text() == left + "@media print{.later{x:y}}"
