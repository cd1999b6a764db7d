"""What the build writes into the front page, and what the chapters' panels promise."""

import ast
import re
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import front
import nbformat
import pages
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from PIL import Image

from livervlm import claims
from livervlm.book.live import live_answer
from livervlm.cli import main
from livervlm.scans.conventions import LIVER_VLM_CLASSES

ROOT = Path(__file__).resolve().parents[1]

BOOK = pages.Book(ROOT)

# -- The front page ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The front page of a built folder whose chapters have drawn a picture each."""
    built = tmp_path_factory.mktemp("html")
    (built / "book").mkdir()
    (built / "_images").mkdir()
    Image.new("L", (600, 300)).save(picture := BytesIO(), "png")
    dot = f"data:image/png;base64,{b64encode(picture.getvalue()).decode()}"
    for source in BOOK.sources:
        page = f'<article><img src="logo.svg"><div class="cell_output"><img src="{dot}" alt="A dot."></div></article>'
        (built / source.page).write_text(page)
    places = re.findall(r'<\w+ data-front="\w+"></\w+>', (ROOT / "book" / "index.md").read_text(encoding="utf-8"))
    (built / "book" / "index.html").write_text("<article>" + "\n".join(places) + "</article>")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVERVLM_LIVE_URL", "../_static/live.js")
        front.fill(ROOT, built)
    return BeautifulSoup((built / "book" / "index.html").read_text(encoding="utf-8"), "html.parser"), built


def test_every_place_is_filled(made):
    page, _ = made
    names = {tag["data-front"] for tag in page.select("[data-front]")}
    assert names == {"style", "buttons", "player", "panel", "demo", "verdicts", "hours", "cards", "trust"}
    assert all(tag.contents for tag in page.select("[data-front]"))


def test_the_demonstration_is_what_the_command_prints(made, capsys, tmp_path):
    page, built = made
    image = page.select_one('[data-front="demo"] img')
    assert Image.open(built / "book" / image["src"]).size == (int(image["width"]), int(image["height"]))
    main(["demo", "--out", str(tmp_path / "demo.png")])
    printed = " ".join(capsys.readouterr().out.split())
    said = [" ".join(item.get_text().split()) for item in page.select('[data-front="demo"] li')]
    assert all(line in printed for line in said)
    assert "report says" in said[0]
    assert "It found none in slice" in said[2], "the page says so"
    assert "truth of this phantom patient" in said[-1]


def test_claims_and_verdicts_are_those_of_the_report(made):
    """The paper's claims, not the plan's: of Table 6 it says that two rows do equally well."""
    page, _ = made
    shown = {item.text.strip(): item.b.text for item in page.select('[data-front="verdicts"] li')}
    judged = claims()["verdict"]
    assert shown == {f"{claim} {verdict}": verdict for claim, verdict in judged.items()}
    assert any(words.startswith("Misregistered ROIs do as well as aligned ones.") for words in shown)


def test_each_chapter_has_its_card(made):
    page, built = made
    sources = [source for source in BOOK.sources if source.executable]
    cards = page.select(".chapter")
    assert [card.a["href"] for card in cards] == [Path(source.page).name for source in sources]
    for card, source in zip(cards, sources, strict=True):
        said = " ".join(source.text.split())
        assert f"**The point.** {card.select('p')[1].get_text()}" in said
        read, *more = re.findall(r"\d+", card.select_one(".quiet").get_text().partition(";")[0])
        assert f"**Time:** {read} minutes to read" in said or (read == "30" and "**Time:** half an hour" in said)
        asked = sum(map(int, re.findall(r"exercise-start\} .+, (\d+) minutes", source.text)))
        assert sum(map(int, more)) == asked
        assert (built / "book" / card.img["src"]).is_file()


def test_the_hours_add_up(made):
    page, _ = made
    quiet = [one.get_text().partition(";")[0] for one in page.select(".chapter .quiet")]
    both = [[int(n) for n in re.findall(r"\d+", one)] + [0] for one in quiet]
    read, more = (front.in_hours(sum(one[i] for one in both)) for i in (0, 1))
    assert page.select_one("[data-front=hours]").get_text() == f"{read} to read, {more} more for the exercises"
    assert [front.in_hours(n) for n in (60, 125)] == ["1 hours", "2 hours 5 minutes"]


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (
            ["equivalent", "undecided", "equivalent"],
            "2 equivalent, 1 undecided, none not reproduced, and none reproduced",
        ),
        (["reproduced", "not reproduced"], "none equivalent, none undecided, 1 not reproduced, 1 reproduced"),
    ],
)
def test_verdicts_are_counted(verdicts, said):
    assert front.told(pd.Series(verdicts)) == f"Of {len(verdicts)} claims: {said}."


def test_the_card_of_a_chart_is_its_pixels(tmp_path):
    built, pixels = tmp_path / "html", BytesIO()
    Image.new("RGB", (40, 20), "red").save(pixels, "PNG")
    data = {"image/svg+xml": "<svg>\n</svg>", "image/png": b64encode(pixels.getvalue()).decode()}
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data)])
    for folder in ("book", "_images"):
        (built / folder).mkdir(parents=True)
    bundle = CacheBundleIn(nbformat.v4.new_notebook(cells=[cell]), "luck.md")
    get_cache(tmp_path / ".jupyter_cache").cache_notebook_bundle(bundle, check_validity=False)
    (built / "_images" / "a.svg").write_text("<svg>\n</svg>\n")
    picture = '<div class="cell_output"><img src="../_images/a.svg" alt="A."></div>'
    (built / "book" / "luck.html").write_text(picture)
    assert front.Front(ROOT, built).thumbnail("luck") == '<img src="../_images/card_luck.webp" alt="A." loading="lazy">'
    with Image.open(built / "_images" / "card_luck.webp") as card:
        assert card.convert("RGB").getpixel((5, 5))[0] > 200


# -- The chapters' panels ----------------------------------------------------------------------------------------------

PROMISED = {  # chapter -> what its text says of the answer: with nothing changed, and as the panel opens
    "reading_ct": ("HCC", "HEM"),
    "liver_vlm": ("FNH", "FNH"),
    "clip_zero_shot": ("HCC", "FNH"),
    "phase_shuffle": ("HEM", "HCC"),
    "prompts": ("HEM", "HCC"),  # whose sentence says hemangioma
    "augmentation": ("HEM", "HEM"),
    "misregistration": ("HCC", "HEM"),
    "next_hospital": ("HCC", "FNH"),
    "grad_cam": ("FNH", "FNH"),
}


def panels(chapter: str) -> list[dict]:
    """The keywords of every live panel of a chapter, and its question."""
    (source,) = (one for one in BOOK.sources if one.path.stem == chapter)
    trees = [ast.parse(cell.source) for cell in source.cells if cell.cell_type == "code"]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    mine = [call for call in calls if getattr(call.func, "id", "") == "live_panel"]
    return [
        {"question": ast.literal_eval(c.args[0]), **{k.arg: ast.literal_eval(k.value) for k in c.keywords}}
        for c in mine
    ]


def test_every_chapter_with_a_panel_is_tried():
    assert {source.path.stem for source in BOOK.sources if source.executable and panels(source.path.stem)} == {
        *PROMISED
    }


@pytest.mark.parametrize("chapter", PROMISED)
def test_a_chapter_opens_the_panel_once_and_its_text_is_true(chapter):
    (moves,) = panels(chapter)
    assert moves.pop("question").endswith("?")
    assert moves.pop("predict")
    plain = {name: moves[name] for name in ("patient", "network") if name in moves}
    answers = [live_answer(**one).prob for one in (plain, moves)]
    assert tuple(LIVER_VLM_CLASSES[prob.argmax()] for prob in answers) == PROMISED[chapter]
    if chapter == "liver_vlm":
        assert answers[1].max() < 0.4, "nearly level"
    if chapter == "grad_cam":
        assert answers[1].max() > answers[0].max(), "more sure without the scar"
    if chapter == "augmentation":
        true = live_answer(**{**moves, "named": None})
        assert abs(true.cosine - live_answer(**moves).cosine).max() < 0.02, "by next to nothing"
        other = {**moves, "network": "phases in order"}
        assert live_answer(**other).prob.argmax() == live_answer(**{**other, "named": None}).prob.argmax()
        assert live_answer(**other).prob.argmax() != answers[1].argmax(), "the order of the picture matters"
    if chapter == "prompts":
        for template in ("simple", "medical", "description"):
            assert live_answer(**moves, template=template).prob.argmax() == answers[1].argmax()
