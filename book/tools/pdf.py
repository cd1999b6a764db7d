"""Print the built book: `make pdf` writes `dist/liver-vlm-book.pdf` and, with solutions, `...-solutions.pdf`.

All pages become one long page in the order of `_toc.yml`, without the theme's frame, its links led to their places
within it (`book/assets/print.css`).  Chromium prints it; figures that move give their still picture.
"""

import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from pages import files_of
from playwright.sync_api import sync_playwright

from livervlm.base.paths import written_whole

ROOT = Path(__file__).resolve().parents[2]
NAME = "liver-vlm-book"
CHROMIUM = ["chromium", "chromium-browser", "google-chrome"]
SCREEN_ONLY = "script, noscript, .headerlink, [data-front=buttons], [data-front=player]"
FOOTER = (
    '<div style="font-size:8px;width:100%;text-align:center">For teaching and research, not for diagnosis. '
    '<span class="pageNumber"></span></div>'
)
MARGIN = {"top": "15mm", "bottom": "18mm", "left": "15mm", "right": "15mm"}
PAPER = {"format": "A4", "margin": MARGIN, "print_background": True, "outline": True, "tagged": True}
PAPER |= {"display_header_footer": True, "header_template": "<i></i>"}


def document(built: Path, names: list[str], solutions: bool) -> str:
    """The pages `names` ("book/luck") as one page, which belongs into the folder `book` of the built book."""
    pages = {name: BeautifulSoup((built / f"{name}.html").read_text("utf-8"), "html.parser") for name in names}
    heads = [tag for page in pages.values() for tag in page.select("link[rel=stylesheet], head script")]
    for tag in heads:
        if "data-formulas" in tag.attrs:
            tag["src"] = tag.attrs.pop("data-formulas")  # at once, for paper
    kept = dict.fromkeys(str(tag) for tag in heads if tag.name == "link" or "mathjax" in str(tag).lower())
    articles = [str(leaf(page.find("article"), Path(name).name, solutions)) for name, page in pages.items()]
    title = '<meta charset="utf-8"><title>The Liver-VLM book</title>'
    head = f'{title}{"".join(kept)}<link rel="stylesheet" href="../_static/print.css">'
    begin = '<!doctype html><html lang="en" data-theme="light">'
    return f"{begin}<head>{head}</head><body>{''.join(articles)}</body></html>"


def leaf(article: Tag, name: str, solutions: bool) -> Tag:
    """One page as a part of the long one: its places are called `name--place`."""
    for tag in article.select(SCREEN_ONLY + ("" if solutions else ", .solution")):
        tag.decompose()
    for tag in article.select("[loading]"):
        del tag["loading"]
    for tag in article.find_all("details"):
        tag["open"] = ""
    for tag in article.find_all(id=True):
        tag["id"] = f"{name}--{tag['id']}"
    for tag in article.find_all("a", href=True):
        link = urlsplit(tag["href"])
        if not link.scheme and (link.path.endswith(".html") or not link.path):
            page = Path(link.path).stem or name
            tag["href"] = f"#{page}--{link.fragment}" if link.fragment else f"#{page}"
    article["id"] = name
    return article


def printed(built: Path, names: list[str], target: Path, solutions: bool) -> None:
    page_file = built / "book" / "print.html"  # beside the pages, as it loads what they load
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(0)  # the whole book takes minutes on a slow machine
        try:
            page_file.write_text(document(built, names, solutions), encoding="utf-8")
            page.goto(page_file.as_uri())
            page.evaluate("window.MathJax && MathJax.startup.promise")
            with written_whole(target) as temporary:
                page.pdf(path=temporary, footer_template=FOOTER, **PAPER)
        finally:
            page_file.unlink()
            browser.close()


def main(folder: str) -> int:
    built, out = Path(folder).resolve(), ROOT / "dist"
    if not (built / "book" / "index.html").is_file():
        print(f"{folder}/book/index.html is missing: run 'make book' first", file=sys.stderr)
        return 1
    if not any(map(shutil.which, CHROMIUM)):
        print(f"no {' or '.join(CHROMIUM)} was found, which prints the book: install one", file=sys.stderr)
        return 1
    out.mkdir(exist_ok=True)
    names = list(files_of(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))))
    for ending, solutions in (("", False), ("-solutions", True)):
        target = out / f"{NAME}{ending}.pdf"
        printed(built, names, target, solutions)
        print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1e6:,.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
