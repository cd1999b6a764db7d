"""Fill the front page with what the build, the chapters and the records know: `python book/tools/front.py _build/html`.

`book/index.md` holds an empty element with `data-front="NAME"` wherever the part NAME belongs.  Chapter cards take
their point and minutes from the chapter, their picture from what it has drawn; the verdicts come from the records.
"""

import html
import re
import sys
from base64 import b64decode
from collections import Counter
from contextlib import redirect_stdout
from functools import cached_property
from io import BytesIO, StringIO
from pathlib import Path

import pandas as pd
import yaml
from bs4 import BeautifulSoup
from jupyter_cache import get_cache
from pages import Book
from PIL import Image
from teaching import lessons

from livervlm import claims, declared, live_panel
from livervlm.book.live import lesion_player
from livervlm.cli import main

ROOT = Path(__file__).resolve().parents[2]
PATIENT = 47  # a typical cancer, which the network takes for something harmless once the arterial phase is covered
FIRST = "reading_ct"
WIDTH = 280  # pixels of a card's picture
SLOW = " on two slow CPU cores"  # said once for all cards
VERDICTS = "equivalent", "undecided", "not reproduced", "reproduced"


class Front:
    """The parts of the front page, each a piece of HTML; `built` is the folder of the built book."""

    def __init__(self, root: Path, built: Path):
        self.root, self.built, self.book = root, built, Book(root)
        self.lessons = lessons(self.book)
        self.about = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))

    def buttons(self) -> str:
        colab = self.book.repository.replace("https://github.com/", "https://colab.research.google.com/github/")
        links = {
            "Start reading": f"{FIRST}.html",
            "Open in Colab": f"{colab}/blob/{self.book.branch}/book/{FIRST}.ipynb",
            "Download for offline": "../liver-vlm-book.zip",
        }
        return "".join(f'<a class="button" href="{link}">{name}</a>' for name, link in links.items())

    def player(self) -> str:
        return lesion_player(PATIENT)._repr_html_()

    def panel(self) -> str:
        return live_panel("Which change makes the network call this cancer harmless?", patient=PATIENT)._repr_html_()

    def demo(self) -> str:
        """What `livervlm demo` draws of a phantom patient, and what it prints."""
        drawn, path = self.built.parent / "demo.png", self.built / "_images" / "demo.webp"
        with redirect_stdout(StringIO()) as printed:
            if main(["demo", "--out", str(drawn)]):
                sys.exit("livervlm demo has failed")
        picture = Image.open(drawn).convert("RGB")
        picture.save(path, quality=80)
        *said, _, _, _ = printed.getvalue().splitlines()  # the last three: counting, the phantom, the file
        lines = "".join(f"<li>{html.escape(re.sub(r'^[0-9][.] ', '', line))}</li>" for line in said)
        width, height = picture.size
        alt = (
            "From left to right: the cosine of each slice, a slice with a box, its lesion in three phases, two answers."
        )
        return (
            f'<img src="../_images/{path.name}" alt="{alt}" width="{width}" height="{height}" loading="lazy">'
            f"<ul>{lines}</ul>"
        )

    def verdicts(self) -> str:
        judged = claims()
        strip = "".join(
            f'<li class="{verdict.replace(" ", "-")}">{html.escape(claim)} <b>{verdict}</b></li>'
            for verdict in VERDICTS
            for claim in judged.index[judged["verdict"] == verdict]
        )
        ours, margin = (judged["in the paper"] == "ours").sum(), declared()["plan"]["margin"]
        about = f"{len(judged) - ours} are the paper's; {ours} are questions that this book adds. "
        about += (
            f"Equivalent: the two sides do equally well, within {margin} points, so nothing that matters was gained. "
            "Undecided: neither this nor a difference is shown. "
            "Not reproduced: a difference is shown, and it speaks against the claim."
        )
        return f"<p>{told(judged['verdict'])} {about}</p><ul>{strip}</ul>"

    def hours(self) -> str:
        read, more = (sum(getattr(one, of) for one in self.lessons.values()) for of in ("reading", "exercising"))
        return f"{in_hours(read)} to read, {in_hours(more)} more for the exercises"

    def cards(self) -> str:
        toc = yaml.safe_load((self.root / "_toc.yml").read_text(encoding="utf-8"))
        names = {part["caption"]: [Path(one["file"]).name for one in part["chapters"]] for part in toc["parts"]}
        parts = {caption: [n for n in there if n in self.lessons] for caption, there in names.items()}
        return "".join(
            f'<h3>{html.escape(caption)}</h3><div class="chapters">{"".join(map(self.card, there))}</div>'
            for caption, there in parts.items()
            if there
        )

    def card(self, name: str) -> str:
        lesson = self.lessons[name]
        time = f"{lesson.reading} minutes to read" + (f", {lesson.exercising} for exercises" * bool(lesson.exercising))
        return (
            f'<div class="chapter">{self.thumbnail(name)}<p><a href="{name}.html">'
            f"{html.escape(self.book.titles[lesson.source.page])}</a></p><p>{html.escape(lesson.point)}</p>"
            f'<p class="quiet">{time}; runs in {lesson.cells.removesuffix(SLOW)}</p></div>'
        )

    def thumbnail(self, name: str) -> str:
        """The first picture that the cells of a chapter have drawn, small."""
        page = BeautifulSoup((self.built / "book" / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        image = page.select_one(".cell_output img[alt]")
        if image is None:
            return ""
        src = image["src"]
        inline = src.startswith("data:")
        data = b64decode(src.partition(",")[2]) if inline else (self.built / "book" / src).read_bytes()
        if src.endswith(".svg"):
            data = b64decode(self.pixels["\n".join(data.decode().splitlines())])
        picture = Image.open(BytesIO(data)).convert("RGB")
        picture.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
        path = self.built / "_images" / f"card_{name}.webp"
        picture.save(path, quality=70)
        return f'<img src="../_images/{path.name}" alt="{html.escape(image["alt"])}" loading="lazy">'

    @cached_property
    def pixels(self) -> dict[str, str]:
        """Charts as SVG, lines ended alike, and the same in base64 as PNG: what the chapters' kept outputs hold."""
        cache, found = get_cache(self.built.parent / ".jupyter_cache"), {}
        for record in cache.list_cache_records():
            for cell in cache.get_cache_bundle(record.pk).nb.cells:
                for data in (output.get("data", {}) for output in cell.get("outputs", [])):
                    if "image/svg+xml" in data:
                        found["\n".join(data["image/svg+xml"].splitlines())] = data["image/png"]
        return found

    def trust(self) -> str:
        about, (paper,) = self.about, self.about["references"]
        people = ", ".join(one.get("name") or f"{one['given-names']} {one['family-names']}" for one in about["authors"])
        home = about["repository-code"]
        lines = {
            "Authors": people,
            "Version": about["version"],
            "License": f'<a href="{home}/blob/{self.book.branch}/LICENSE">{about["license"]}</a>',
            "Repository": f'<a href="{home}">{home.removeprefix("https://")}</a>',
            "How to cite": f"{people}. <i>{about['title']}</i>, version {about['version']}. {home}. And the paper: "
            f"{', '.join(one['family-names'] for one in paper['authors'])}. {paper['title']}. "
            f"<i>{paper['journal']}</i> {paper['volume']}({paper['issue']}), {paper['start']}, {paper['year']}. "
            f'<a href="https://doi.org/{paper["doi"]}">doi:{paper["doi"]}</a>',
        }
        return "<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in lines.items()) + "</dl>"

    def style(self) -> str:
        return f"<style>{Path(__file__).with_name('front.css').read_text(encoding='utf-8')}</style>"


def told(verdicts: pd.Series) -> str:
    """The sentence of the front page and of the README."""
    counts = Counter(verdicts)
    said = [f"{counts[word] or ('and none' if word == VERDICTS[-1] else 'none')} {word}" for word in VERDICTS]
    return f"Of {len(verdicts)} claims: {', '.join(said)}."


def in_hours(total: int) -> str:
    hours, rest = divmod(total, 60)
    return f"{hours} hours" + (f" {rest} minutes" if rest else "")


def fill(root: Path, built: Path) -> None:
    """Fill every place of the built front page."""
    path, front = built / "book" / "index.html", Front(root, built)
    text = path.read_text(encoding="utf-8")
    for place in re.findall(r'data-front="(\w+)"></', text):
        part = getattr(front, place)()
        text = re.sub(rf'(data-front="{place}")></', lambda found, part=part: f"{found[1]}>{part}</", text)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    fill(ROOT, Path(sys.argv[1]))
