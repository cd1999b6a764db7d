"""The built pages in a real browser: nothing asked of a network, no error, formulas drawn, links that arrive."""

import functools
import http.server
import re
import threading
from pathlib import Path

import check_pages
import nbformat
import notebooks
import pytest

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
PAGES = sorted(path.relative_to(HTML).as_posix() for path in HTML.rglob("*.html") if "_static" not in path.parts)
PAGES = [name for name in PAGES if not name.startswith("slides/")]  # see test_slides.py
if "index.html" in PAGES:
    PAGES.remove("index.html")  # it only sends on to the landing page

pytestmark = pytest.mark.skipif(not PAGES, reason="the book is not built: run `make book` first")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(HTML)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page(browser, site, name, scheme):
    page = browser.new_page(color_scheme=scheme)
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{site}/{name}", wait_until="networkidle")
    assert [url for url in asked if not url.startswith((site, "data:", "blob:"))] == []
    assert errors == []
    formulas = page.locator(".math").count()
    if formulas:
        page.locator(".math").first.scroll_into_view_if_needed()
        page.wait_for_function("n => document.querySelectorAll('.math mjx-container').length === n", arg=formulas)
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_the_address_of_the_book_leads_to_its_landing_page(browser, site):
    page = browser.new_page()
    page.goto(site)
    page.wait_for_url(f"{site}/book/index.html")
    page.close()


def test_every_page_says_what_it_is_not_for():
    pages = [name for name in PAGES if name.startswith("book/")]
    assert pages
    for name in pages:
        assert "For teaching and research, not for diagnosis." in check_pages.read(HTML / name).get_text(), name


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.ipynb")), ids=lambda path: path.name)
def test_a_chapter_and_its_notebook_find_each_other(path):
    book = notebooks.Book(ROOT)
    page = check_pages.read(HTML / "book" / f"{path.stem}.html")
    links = {tag["href"] for tag in page.find_all("a", href=True)}
    repository = book.repository.removeprefix("https://github.com/")
    assert any("colab" in link and link.endswith(f"{repository}/blob/main/book/{path.name}") for link in links)
    assert any(f"/v2/gh/{repository}/main" in link and link.endswith(f"book/{path.name}") for link in links)

    text = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")
    for target, anchor in re.findall(rf"\({re.escape(book.site)}/([^)#]+)#?([^)]*)\)", text):
        assert (HTML / target).is_file(), target
        assert not anchor or anchor in check_pages.anchors(HTML / target), f"{target}#{anchor}"
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert f'id="{anchor}"' in text
