"""What the built folder holds for a reader without a network: the notebooks, and the words that a search shows.

A notebook's links lead to the published book, as Colab holds one notebook at a time.  In the copies here they lead
to the notebook or the page beside them.  Sphinx's search fetches each page that it found, and a browser fetches none
from a file; so the words of all pages stand in a script, which `book/assets/search.js` loads there.
"""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

from bs4 import Tag

BLOCKS = {"dd", "dt", "h1", "h2", "h3", "h4", "li", "p", "td", "th"}  # what ends a word, also without a space

README = """The notebooks of the Liver-VLM book.  For teaching and research, not for diagnosis.

They need Python, the package livervlm and JupyterLab.  The package lies here as a wheel, without the libraries that
it needs, which pip fetches where they are missing.  Type in the folder above this one

    pip install "WHEEL[studies]" jupyterlab
    livervlm doctor
    jupyter lab

and open a notebook of the folder notebooks.  Links from chapter to chapter stay in this folder.

For a room without a network, a checkout of the book packs these notebooks with the package and all that it needs,
for one platform and one Python:

    make workshop
"""


def add_notebooks(root: Path, built: Path, site: str) -> None:
    """Copy the notebooks of the book at `root` into the built folder, their links led there."""
    folder, sources = built / "notebooks", sorted((root / "book").glob("*.ipynb"))
    folder.mkdir(exist_ok=True)
    names = {source.stem for source in sources}
    link = re.compile(re.escape(site) + r"/book/([\w-]+)\.html")
    for source in sources:
        beside = names - {source.stem}  # that a notebook comes from a page is said with a link to the page

        def here(match: re.Match, beside: set[str] = beside) -> str:
            return f"{match[1]}.ipynb" if match[1] in beside else f"../book/{match[1]}.html"

        (folder / source.name).write_text(link.sub(here, source.read_text("utf-8")), "utf-8", newline="\n")
    wheel = next((f"notebooks/{file.name}" for file in folder.glob("*.whl")), "livervlm")  # `make book` puts it there
    (folder / "README.txt").write_text(README.replace("WHEEL", wheel), encoding="utf-8")


def add_words(built: Path, pages: dict[str, str]) -> None:
    """Write the words of `pages`, by address, for the search from a file."""
    script = f"window.searchWords({json.dumps(pages, ensure_ascii=False)});\n"
    (built / "_static").mkdir(exist_ok=True)
    (built / "_static" / "search_words.js").write_text(script, encoding="utf-8")


def words(article: Tag) -> str:
    """A page as the search reads it: its text, and the places that results point at."""
    return f'<div role="main">{" ".join("".join(pieces(article)).split())}</div>'


def pieces(tag: Tag) -> Iterator[str]:
    for child in tag.children:
        if not isinstance(child, Tag):
            yield html.escape(child, quote=False)
        elif child.name not in ("script", "style") and "headerlink" not in child.get("class", ()):
            place = child.get("id")
            yield f'<div id="{place}">' if place else ""
            yield from pieces(child)
            yield "</div>" if place else " " if child.name in BLOCKS else ""
