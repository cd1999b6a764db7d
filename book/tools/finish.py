"""Finish the built pages: `python book/tools/finish.py _build/html` makes them light, and says what each of them is.

What the theme loads and no page needs goes: a script of icons whose font is there already, the formula renderer
where there is no formula, the search index outside the search, rules for classes that no page has.  Scripts wait for
the page, and the formula renderer for a formula that the reader comes near; pictures say their size.
"""

import hashlib
import html
import re
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import yaml
from bs4 import BeautifulSoup, Tag
from fontTools.subset import main as subset
from offline import add_notebooks, add_words, words
from pages import Book
from PIL import Image
from weights import add_weights

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = "liver-vlm-book.zip"
LONG, HEAVY = 20_000, 40_000  # characters of a script, bytes of a picture
SEARCH = re.compile(r"searchtools\.js|language_data\.js|searchindex\.js")
AT_ONCE = "documentation_options.js"  # what scripts in the page ask as they stand
FONT = re.compile(r'url\([^)]*/(fa-[\w-]+)\.woff2\) format\("woff2"\),url\([^)]*\.ttf\) format\("truetype"\)')
WORD = re.compile(r"[\w-]+")
RULE = re.compile(r"([^{}@;/]+)\{([^{}]*)\}")  # the innermost: selectors and what they set
CLASS, NOT = re.compile(r"\.(-?[A-Za-z_][\w-]*)"), re.compile(r":not\([^)]*\)")
ICON = re.compile(r'content:\s*"\\([ef][0-9a-f]{3})"')


def finish(root: Path, built: Path, commit: str, day: str) -> None:
    """Change every page of the built book in place, then pack them."""
    book = Book(root)
    authors = [one["name"] for one in yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))["authors"]]
    pages = [path for path in sorted(built.rglob("*.html")) if "_static" not in path.relative_to(built).parts]
    lighter(built, pages)
    said = {}  # by the address of a page
    for path in pages:
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        name, searches = path.relative_to(built).as_posix(), path.name == "search.html"
        if page.head and (searches or page.find("article")):
            lighten(page, searches)
            describe(page, book, f"{book.site}/{name}", authors, day)
            sized(page, path.parent)
            apart(page, built)
            readable(page)
            dated(page, book.repository, commit, day)
            if searches:
                page.head.append(page.new_tag("script", attrs={"src": "_static/search.js"}))
            else:
                said[name] = words(page.article)
            path.write_text(str(page), encoding="utf-8")
    used(built, pages)
    (built / "404.html").write_text(lost(book), encoding="utf-8")
    add_weights(built)
    add_notebooks(root, built, book.site)
    add_words(built, said)
    pack(built)


def lighten(page: BeautifulSoup, searches: bool) -> None:
    formulas = page.select_one(".math") is not None
    for script in page.find_all("script", src=True):
        unneeded = "fontawesome.js" in script["src"] or ("mathjax" in script["src"] and not formulas)
        if unneeded or (SEARCH.search(script["src"]) and not searches):
            script.decompose()
        elif "mathjax" in script["src"]:
            script["data-formulas"] = script.attrs.pop("src")  # `book.js` loads it
        elif AT_ONCE not in script["src"] and not searches:
            script["defer"] = ""


def describe(page: BeautifulSoup, book: Book, address: str, authors: list[str], day: str) -> None:
    """Title, description and the tags by which a page is shared and cited."""
    heading = page.select_one("h1")
    title = next((text.strip() for text in heading.strings if text.strip()), book.title) if heading else book.title
    page.title.string = title if title == book.title else f"{title} | {book.title}"
    for tag in page.find_all("meta", attrs={"name": "viewport"})[1:]:
        tag.decompose()
    first = page.select_one("article section > p, article .front-hero p")
    words = " ".join(first.get_text().split()).removeprefix("The point. ") if first else book.title
    image = f"{book.site}/_static/page.png"
    shared = {"title": title, "description": words, "type": "article", "url": address, "image": image}
    tags = [("name", "description", words)]
    tags += [("property", f"og:{name}", value) for name, value in {**shared, "site_name": book.title}.items()]
    tags += [("name", "citation_title", title), ("name", "citation_publication_date", day.replace("-", "/"))]
    tags += [("name", "citation_author", one) for one in authors]
    for kind, name, value in tags:
        page.head.append(page.new_tag("meta", attrs={kind: name, "content": value}))
    page.head.append(page.new_tag("link", attrs={"rel": "canonical", "href": address}))


def apart(page: BeautifulSoup, folder: Path) -> None:
    """Put the long scripts of moving figures, which hold their arrays, into files: the words come first."""
    for script in page.select("article script:not([src])"):
        text = script.get_text()
        if len(text) > LONG:
            file = folder / "_static" / "figures" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.js"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            script.attrs = {"defer": "", "src": f"../_static/figures/{file.name}"}
            script.clear()


def lighter(built: Path, pages: list[Path]) -> None:
    """Heavy pictures as WebP: charts to the pixel, and noisy greys, which would stay heavy, nearly so."""
    renamed = {}
    for file in (built / "_images").glob("*.png"):
        if file.stat().st_size > HEAVY:
            small = file.with_suffix(".webp")
            with Image.open(file) as picture:
                picture.save(small, lossless=True)
                if small.stat().st_size > 2 * HEAVY:
                    picture.convert("RGB").save(small, quality=90)
            renamed[file.name] = small.name
            file.unlink()
    for path in pages if renamed else []:
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub("|".join(map(re.escape, renamed)), lambda name: renamed[name[0]], text), "utf-8")


def sized(page: BeautifulSoup, folder: Path) -> None:
    """Room for each picture before it is there; those below the first wait until the reader comes near."""
    for number, image in enumerate(page.select("article img")):
        file = folder / image.get("src", "")
        if file.suffix in (".png", ".webp", ".jpg") and "height" not in image.attrs and file.is_file():
            with Image.open(file) as picture:
                image["width"], image["height"] = map(str, picture.size)
        if file.suffix == ".svg" and file.is_file():
            root = file.read_text(encoding="utf-8").partition("<svg")[2].partition(">")[0]
            points = re.findall(r'(width|height)="([\d.]+)pt"', root)
            image.attrs |= {name: str(round(float(value) * 4 / 3)) for name, value in points}
        if number:
            image["loading"] = "lazy"
        if "_images/" in image.get("src", "") and image.find_parent(class_="cell_output"):
            image.wrap(page.new_tag("a", attrs={"href": image["src"], "class": "full-size"}))  # for a phone


def readable(page: BeautifulSoup) -> None:
    """Tables: no header without a word, no NaN, no line that ends within "91.4 ± 12.2"."""
    for cell in page.select("article th"):
        if not cell.get_text(strip=True):
            cell.name = "td"
    for cell in page.select("article td"):
        if cell.get_text(strip=True) in ("NaN", "nan", "NaT"):
            cell.string = "–"
        for text in cell.find_all(string=re.compile(" ± ")):
            text.replace_with(text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"))
    for table in page.select("article table"):
        stack(table)


def stack(table: Tag) -> None:
    """Say in each cell what its column is, so that a phone can show the cells of a row below each other."""
    heads, rows = table.select("thead tr"), table.select("tbody tr")
    columns: list[list[str]] = []  # of headings, which span several
    for head in heads:
        words = [cell.get_text(" ", strip=True) for cell in head.find_all(["th", "td"])
                 for _ in range(int(cell.get("colspan", 1)))]  # fmt: skip
        columns = [[*above, word] for above, word in zip(columns or [[]] * len(words), words, strict=True)]
    if len(columns) < 4 or table.select("[rowspan], tbody [colspan]"):
        return
    table["class"], table["role"] = [*table.get("class", []), "stacks"], "table"  # by roles, as blocks are no table
    labels = [", ".join(dict.fromkeys(filter(None, words))) for words in columns]
    for row in (*heads, *rows):
        row["role"] = "row"
        for cell, label in zip(row.find_all(["th", "td"], recursive=False), labels, strict=False):
            kind = "columnheader" if row in heads else "rowheader"
            cell["role"] = kind if cell.name == "th" else "cell"
            if row in rows and cell.name == "td":
                cell["data-label"] = label


def dated(page: BeautifulSoup, repository: str, commit: str, day: str) -> None:
    line = page.new_tag("p", attrs={"class": "built"})
    line.append(f"Built on {day}")
    if commit:
        line.append(" from ")
        link = page.new_tag("a", attrs={"href": f"{repository}/commit/{commit}"})
        link.string = commit[:7]
        line.append(link)
    footer = page.select_one(".extra_footer")
    if isinstance(footer, Tag):
        footer.append(line)


def used(built: Path, pages: list[Path]) -> None:
    """Of the styles, the rules whose classes some page or script names; of the icons' fonts, what is left to draw."""
    scripts = [path for path in (built / "_static").glob("**/*.js") if path.name != "fontawesome.js"]
    words = set().union(*(WORD.findall(path.read_text(encoding="utf-8")) for path in (*pages, *scripts)))

    def rule(found: re.Match) -> str:
        told = [one for one in found[1].split(",") if words.issuperset(CLASS.findall(NOT.sub("", one)))]
        return f"{','.join(told)}{{{found[2]}}}" if told else ""

    kept = set()
    for style in built.glob("_static/**/*.css"):
        text = RULE.sub(rule, style.read_text(encoding="utf-8"))
        kept.update(ICON.findall(text))
        style.write_text(
            FONT.sub(r'url(../vendor/fontawesome/webfonts/\1.woff) format("woff")', text), encoding="utf-8"
        )
    for font in (built / "_static" / "vendor" / "fontawesome" / "webfonts").glob("*.ttf"):
        small = font.with_suffix(".woff")
        subset([str(font), f"--unicodes={','.join(sorted(kept))}", "--flavor=woff", f"--output-file={small}"])


def lost(book: Book) -> str:
    """What a server shows for an address that is not there: it needs nothing beside it, wherever that was."""
    title = html.escape(book.title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Not found | {title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        '<link rel="icon" href="data:,">'
        "<style>body { color-scheme: light dark; font-family: system-ui, sans-serif; margin: 15vh auto; "
        "max-width: 34rem; padding: 0 1rem }</style></head><body><main><h1>This page is not there</h1>"
        f'<p>It may have moved. <a href="{book.site}/book/index.html">{title}</a> begins here, and '
        f'<a href="{book.site}/search.html">the search</a> knows its pages.</p></main></body></html>\n'
    )


def pack(built: Path) -> None:
    """The book as one file to take along; without maps of scripts, which only their authors read."""
    files = [path for path in sorted(built.rglob("*")) if path.is_file() and path.suffix not in (".map", ".zip")]
    with zipfile.ZipFile(built / ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, Path("liver-vlm-book") / path.relative_to(built))


def commit_of(root: Path) -> str:
    """The commit of a checkout; nothing where there is none."""
    asked = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


if __name__ == "__main__":
    finish(ROOT, Path(sys.argv[1]), commit_of(ROOT), datetime.now(UTC).date().isoformat())
