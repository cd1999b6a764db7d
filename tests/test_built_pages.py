"""The built book in a real browser: the front page, the live panel, the weight.  Skipped until `make book` has run."""

import gzip
import re
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import weights
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

from livervlm import __version__
from livervlm.book.live import live_answer
from livervlm.scans.conventions import CLASS_NAMES, LIVER_VLM_CLASSES

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / "_build" / "html"
PACKED = ".webp", ".png", ".woff", ".woff2"  # a server sends these as they are
PATIENT = 47  # of the front page

pytestmark = pytest.mark.skipif(not (BUILT / "404.html").is_file(), reason="no built book: run `make book` first")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module", params=["server", "file"])
def home(request):
    """The folder of the pages, from a server and as a reader has it on a stick."""
    if request.param == "file":
        yield (BUILT / "book").as_uri()
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=BUILT))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/book"
    server.shutdown()


@pytest.fixture
def visit(browser):
    """Open a page; it then logs no error, and its requests are those in `visit.asked`."""
    faults, open_pages = [], []

    def visit(address, **options):
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        page.on("request", lambda one: visit.asked.append(one.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)
        open_pages.append(page)
        return page

    visit.asked = []
    yield visit
    for page in open_pages:
        page.close()
    assert faults == []


def open_panel(page) -> None:
    """As a reader does: scroll to the panel, which is drawn when it is near, and click."""
    page.locator(".livervlm-moving:has(img[alt^='A slice of a phantom patient'])").first.scroll_into_view_if_needed()
    page.get_by_role("button", name="Open the live model").click()


def percentages(player) -> list[int]:
    return [int(n) for n in re.findall(r"(\d+) %", player.get_by_role("group", name="Answer").inner_text())]


def test_the_bars_of_the_front_page_are_the_networks_answers(visit, home):
    player = visit(f"{home}/index.html").locator(".player")
    for hidden in ([], ["ART"], ["ART", "PV"], ["PV"]):
        for phase in ("NC", "ART", "PV"):
            button = player.get_by_role("button", name=f"Cover {phase}", exact=True)
            if (button.get_attribute("aria-pressed") == "true") != (phase in hidden):
                button.click()
        prob = live_answer(patient=PATIENT, hide=hidden).prob
        assert percentages(player) == pytest.approx((100 * prob).tolist(), abs=0.51)
        best = LIVER_VLM_CLASSES[prob.argmax()]
        assert f"it answers {CLASS_NAMES[best]}" in player.get_by_role("status").inner_text()
    assert {live_answer(patient=PATIENT, hide=h).prob.argmax() for h in ([], ["ART"])} == {2, 3}, "a flip to show"


def test_the_lesion_plays_unless_the_reader_wants_no_motion(visit, home):
    moves = "async () => { const at = () => document.querySelector('.player input').value;"
    moves += "const first = at(); await new Promise((go) => setTimeout(go, 2500)); return first !== at(); }"
    assert visit(f"{home}/index.html").evaluate(moves)
    still = visit(f"{home}/index.html", reduced_motion="reduce")
    assert not still.evaluate(moves)
    still.locator(".player").get_by_role("button", name="Play").click()
    assert still.evaluate(moves)


def test_without_scripts_the_front_page_shows_a_still_picture(visit, home):
    page = visit(f"{home}/index.html", java_script_enabled=False)
    picture = page.locator(".front-hero").get_by_role("img", name=re.compile("A lesion of a phantom patient"))
    assert picture.evaluate("image => image.complete && image.naturalWidth") > 400


@pytest.mark.parametrize("width", [390, 1280])
def test_the_front_page_does_not_jump_when_the_lesion_begins_to_play(visit, home, width):
    page = visit(f"{home}/index.html", viewport={"width": width, "height": 900})
    page.locator(".player [role=status]").wait_for(state="attached")
    taken, kept = page.locator("[data-front=player]").evaluate(
        "box => [box.offsetHeight, parseFloat(getComputedStyle(box).minHeight)]"
    )
    assert taken == kept > 0


@pytest.mark.parametrize("chapter", ["index", "reading_ct"])
def test_a_panel_loads_the_model_once_and_only_on_a_click(visit, home, chapter):
    page = visit(f"{home}/{chapter}.html")
    page.wait_for_load_state("networkidle")
    assert not [url for url in visit.asked if "live.js" in url]
    open_panel(page)
    if chapter != "index":
        page.get_by_role("group", name="Your prediction").get_by_role("button", name="HCC").click()
    page.locator(".live [role=status]", has_text="The network answers").wait_for()
    page.locator(".live").get_by_role("button", name="Next").click()
    page.locator(".live [role=status]", has_text="The network answers").wait_for()
    assert len([url for url in visit.asked if url.endswith("_static/live.js")]) == 1
    assert all(url.startswith((home.rsplit("/", 1)[0], "blob:", "data:")) for url in visit.asked)


def test_the_front_page_weighs_at_most_300_kib(visit, home, capsys):
    if home.startswith("file"):
        pytest.skip("weighed as it is served")
    page, sent = None, {}

    def weigh(response):
        body = response.body()
        sent[response.url] = len(body if response.url.endswith(PACKED) else gzip.compress(body))

    page = visit("about:blank")
    page.on("response", weigh)
    page.goto(f"{home}/index.html")
    pictures = page.locator(".chapter img").all()
    for picture in pictures:
        picture.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    total = sum(sent.values()) / 1024
    with capsys.disabled():
        print(f"\nfront page: {total:.0f} KiB in {len(sent)} requests", end="")
    assert total <= 300
    assert sum("card_" in url for url in sent) == len(pictures) > 0


@pytest.mark.parametrize("path", sorted(BUILT.glob("book/*.html")), ids=lambda path: path.stem)
def test_a_page_weighs_less_than_a_photograph(path):
    assert weights.weigh(path)["compressed"] <= 850_000, "look into the table of weights on the page How fast it is"


@pytest.mark.parametrize("path", sorted(BUILT.glob("book/*.html")), ids=lambda path: path.stem)
def test_a_page_loads_nothing_that_it_does_not_need(path):
    page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    scripts = {Path(tag["src"].partition("?")[0]).name: tag for tag in page.find_all("script", src=True)}
    assert not {"fontawesome.js", "searchindex.js", "searchtools.js"} & scripts.keys()
    assert {name for name, tag in scripts.items() if not tag.has_attr("defer")} <= {"documentation_options.js"}
    assert bool(page.select("script[data-formulas]")) == bool(page.select(".math"))
    assert all(image.has_attr("width") and image.has_attr("height") for image in page.select("article img"))


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen_with_its_panel_open(visit, home, width):
    page = visit(f"{home}/reading_ct.html", viewport={"width": width, "height": 844})
    open_panel(page)
    page.get_by_role("group", name="Your prediction").wait_for()
    for summary in page.locator(".live summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(("page", "panel"), [("index", True), ("reading_ct", True), ("report", False)])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier(visit, page, panel, width, scheme):
    address = (BUILT / "book" / f"{page}.html").as_uri()
    page = visit(address, viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce")
    if panel:
        open_panel(page)
        page.locator(".live [role=status]", has_text="network answers").first.wait_for()
        for summary in page.locator(".live summary").all():
            summary.click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("page", ["luck", "reading_ct", "report"])
def test_pictures_keep_their_shape_and_charts_their_letters_on_a_phone(visit, page):
    page = visit((BUILT / "book" / f"{page}.html").as_uri(), viewport={"width": 390, "height": 844})
    images = page.locator(".cell_output img[src*='_images/']")
    for image in images.all():
        image.scroll_into_view_if_needed()
        image.evaluate("image => image.complete || new Promise((done) => (image.onload = done))")
        width, height, own_width, own_height = image.evaluate(
            "image => [image.width, image.height, image.naturalWidth, image.naturalHeight]"
        )
        assert width / height == pytest.approx(own_width / own_height, rel=0.02)
        if image.get_attribute("src").endswith(".svg"):
            assert width >= min(own_width, 540), "its letters would be too small"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert images.count()


SHOWN = """() => { const style = getComputedStyle(document.activeElement);
    return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== "none"; }"""


@pytest.mark.parametrize("chapter", ["index", "reading_ct"])
def test_whoever_moves_by_keyboard_sees_where(visit, home, chapter):
    page = visit(f"{home}/{chapter}.html")
    for _ in range(45):
        page.keyboard.press("Tab")
        where = page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        assert page.evaluate(SHOWN), where


def test_bars_and_pressed_buttons_are_seen_in_the_readers_own_colours(visit, home):
    player = visit(f"{home}/index.html", forced_colors="active").locator(".player")
    bar, button = player.locator(".bar.top div"), player.get_by_role("button", name="Cover ART")
    assert bar.evaluate("node => getComputedStyle(node).backgroundImage").startswith("linear-gradient")
    button.click()
    assert button.evaluate("node => getComputedStyle(node).borderTopStyle") == "double"


def test_the_dark_changes_no_grey_and_icons_come_from_small_fonts(visit, home):
    page = visit(f"{home}/reading_ct.html", color_scheme="dark")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    filters = page.locator(".cell_output img").evaluate_all("all => all.map((one) => getComputedStyle(one).filter)")
    assert set(filters) == {"none"}
    fonts = [BUILT / "_static" / url.partition("/_static/")[2] for url in visit.asked if "fontawesome" in url]
    assert fonts
    assert max(font.stat().st_size for font in fonts) < 5_000


def test_a_copy_that_was_taken_along_does_not_offer_itself(visit, home):
    offered = visit(f"{home}/index.html").get_by_role("link", name="Download for offline").count()
    assert offered == (0 if home.startswith("file") else 1)


def test_the_package_lies_beside_the_notebooks():
    [wheel] = (BUILT / "notebooks").glob("*.whl")
    assert wheel.name.startswith(f"livervlm-{__version__}-")
    assert wheel.stat().st_size < 24e6  # records of twelve cohorts are 5 of them
    with zipfile.ZipFile(wheel) as archive:
        assert {"livervlm/__init__.py", "livervlm/data/rows.json"} <= set(archive.namelist())


def test_a_search_shows_the_words_around_what_it_found(visit, home):
    page = visit(f"{home.rsplit('/', 1)[0]}/search.html?q=bootstrap")
    words = page.locator("ul.search li .context", has_text="draw the cases again and again")
    words.first.wait_for()  # each result asks for its page
    assert any("search_words" in url for url in visit.asked) == home.startswith("file")
