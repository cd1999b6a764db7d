"""Make slides of the built chapters: `python book/tools/slides.py _build/html` writes `_build/html/slides/NAME.html`.

A deck has the chapter's point, each of its figures with its caption, and its summary.  It is one plain page: it
scrolls, the arrow keys go from slide to slide, and it prints one slide a page (`book/assets/slides.css`, `.js`).
"""

import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

from bs4 import BeautifulSoup, Tag

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: slides</title>
<link rel="stylesheet" href="../_static/slides.css">
<script defer src="../_static/slides.js"></script>
{mathjax}</head>
<body>
<main>
"""
SLIDE = """<section class="{kind}" aria-label="Slide {number} of {count}">
{body}
<footer><a href="../book/{name}.html">{title}</a>. For teaching and research, not for diagnosis. {number} of {count}
</footer>
</section>
"""


def deck(page: BeautifulSoup, name: str) -> str | None:
    """The slides of the chapter `name` as a page of HTML; None where the page is no chapter."""
    article = page.find("article")
    top = article and article.find("h1")
    point = top and top.find_next_sibling("p")
    if not point or not point.get_text().startswith("The point. "):
        return None
    for link in article.select("a.headerlink"):
        link.decompose()
    title = escape(top.get_text().strip())
    said = point.get_text().removeprefix("The point. ")
    slides = [("point", f"<h1>{title}</h1>\n<p>{escape(' '.join(said.split()))}</p>")]
    slides += [("figure", body) for body in figures(article)]
    if summary := article.select_one("section#summary ul"):
        slides.append(("summary", f"<h2>Summary</h2>\n{plain(summary, 'ul')}"))
    pieces = [
        SLIDE.format(kind=kind, number=number, count=len(slides), body=body, name=name, title=title)
        for number, (kind, body) in enumerate(slides, 1)
    ]
    formulas = any('class="math' in body for _, body in slides)
    scripts = page.find_all("script", src=lambda address: address and "mathjax" in address.lower())
    mathjax = "".join(f"{script}\n" for script in scripts) if formulas else ""
    return HEAD.format(title=title, mathjax=mathjax) + "".join(pieces) + "</main>\n</body>\n</html>\n"


def figures(article: Tag) -> Iterator[str]:
    """Each picture of a chapter under the title of its section; a figure that moves gives its still picture."""
    for image in article.find_all("img"):
        heading, figure = image.find_previous(["h2", "h3"]), image.find_parent("figure")
        caption = figure and figure.find("figcaption")
        words = plain(caption, "p") if caption else f"<p>{escape(image['alt'])}</p>"
        picture = f'<img src="{image["src"]}" alt="{escape(image["alt"])}">'
        yield f"<h2>{escape(heading.get_text().strip()) if heading else ''}</h2>\n{picture}\n{words}"


def plain(tag: Tag, name: str) -> str:
    """`tag` as a tag `name`, with formulas and emphasis, and without links, which would lead astray from here."""
    copy = BeautifulSoup(str(tag), "html.parser")
    for inner in copy.find_all(["a", "p", "figcaption", "ul"]):
        inner.unwrap()
    return f"<{name}>{copy.decode().strip()}</{name}>"


def main(folder: str) -> int:
    root = Path(folder)
    target = root / "slides"
    target.mkdir(exist_ok=True)
    for path in sorted((root / "book").glob("*.html")):
        text = deck(BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser"), path.stem)
        if text:
            (target / path.name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
