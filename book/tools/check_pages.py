"""Check the built pages: `python book/tools/check_pages.py _build/html` prints each fault and exits 1 if any.

A picture needs a meaningful alt, a page needs everything it loads beside it, every link within the book must
arrive, and neither raw MyST nor a dead widget may show.
"""

import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

LOADED = {  # what a browser fetches without being asked, by tag and attribute
    "script": ["src"],
    "img": ["src", "srcset"],
    "source": ["src", "srcset"],
    "iframe": ["src"],
    "embed": ["src"],
    "audio": ["src"],
    "video": ["src", "poster"],
    "track": ["src"],
    "object": ["data"],
    "input": ["src"],
    "image": ["href", "xlink:href"],
    "use": ["href", "xlink:href"],
}
POINTERS = {"next", "prev", "canonical", "search", "index", "author", "license"}  # <link>s that load nothing
EXTERNAL = re.compile(r"(?:https?:)?//", re.IGNORECASE)
CSS_URL = re.compile(r"(?:url\(\s*|@import\s+)['\"]?((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)
SCRIPT_LOAD = re.compile(r"(?:import|from|fetch|importScripts)\s*\(?\s*['\"]((?:https?:)?//[^'\"]+)")
RAW = re.compile(r":::|```\s*\{|\{[a-z][\w:-]*\}`")


@cache
def read(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(path: Path) -> set[str]:
    """The places within a page that a link can point at."""
    return {tag.get(key) for tag in read(path).find_all(True) for key in ("id", "name") if tag.get(key)}


def content(page: BeautifulSoup) -> BeautifulSoup:
    """What the book says, without the theme's frame."""
    return page.find("article") or page.find("main") or page


def images(page: BeautifulSoup) -> Iterator[str]:
    for image in content(page).find_all("img"):
        alt = (image.get("alt") or "").strip()
        name = Path(image.get("src", "")).name
        if not alt or re.search(r"[0-9a-f]{16,}|\.(png|jpe?g|svg|gif|webp)$", alt, re.IGNORECASE):
            yield f"image {name} has the alt {alt!r}: say what it shows"


def resources(page: BeautifulSoup) -> Iterator[str]:
    found = [
        str(tag[key])
        for name, keys in LOADED.items()
        for tag in page.find_all(name)
        for key in keys
        if tag.has_attr(key)
    ]
    found += [str(tag.get("href", "")) for tag in page.find_all("link") if not POINTERS & set(tag.get("rel", []))]
    for address in found:
        if any(EXTERNAL.match(part.strip()) for part in address.split(",")):
            yield f"loads {address} from the network: keep it in the book"
    styles = [tag.get_text() for tag in page.find_all("style")] + [tag["style"] for tag in page.find_all(style=True)]
    scripts = [tag.get_text() for tag in page.find_all("script")]
    loads = [CSS_URL.findall(style) for style in styles] + [SCRIPT_LOAD.findall(script) for script in scripts]
    for address in chain.from_iterable(loads):
        yield f"loads {address} from the network: keep it in the book"


def links(path: Path, root: Path) -> Iterator[str]:
    for tag in read(path).find_all("a", href=True):
        link = urlsplit(tag["href"])
        if link.scheme or link.netloc:
            continue
        target = (path.parent / unquote(link.path)).resolve() if link.path else path
        if target.is_dir():
            target = target / "index.html"
        if not target.is_relative_to(root) or not target.is_file():
            yield f"link {tag['href']} leads to no file of the book"
        elif link.fragment and target.suffix == ".html" and unquote(link.fragment) not in anchors(target):
            yield f"link {tag['href']} leads to no place of that page"


def raw_text(page: BeautifulSoup) -> Iterator[str]:
    for text in content(page).find_all(string=RAW):
        if not text.find_parent(["pre", "code", "script", "style"]):
            yield f"shows raw MyST: {text.strip()[:60]!r}"


def widgets(page: BeautifulSoup) -> Iterator[str]:
    if page.find("script", type="application/vnd.jupyter.widget-view+json"):
        yield "shows a widget, which needs a kernel: tag its cell `skip-execution`, or set TQDM_DISABLE for a bar"


def faults(root: Path) -> list[str]:
    """One line for each fault of the pages under `root`."""
    root = root.resolve()
    lines = []
    for path in sorted(root.rglob("*.html")):
        name = path.relative_to(root)
        if name.parts[0] == "_static":  # parts of the theme, not pages
            continue
        page = read(path)
        for check in (images(page), resources(page), links(path, root), raw_text(page), widgets(page)):
            lines += [f"{name.as_posix()}: {fault}" for fault in check]
    for path in sorted(root.rglob("*.css")):
        for address in CSS_URL.findall(path.read_text(encoding="utf-8")):
            lines.append(f"{path.relative_to(root).as_posix()}: loads {address} from the network")
    return lines


def main(folder: str) -> int:
    root = Path(folder)
    if not (root / "index.html").is_file():
        print(f"{folder}/index.html is missing: build the book first", file=sys.stderr)
        return 1
    lines = faults(root)
    print("\n".join(lines), file=sys.stderr, end="\n" if lines else "")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
