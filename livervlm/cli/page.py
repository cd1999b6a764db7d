"""One HTML page that needs nothing beside it: what `audit` and `import` found, with pictures."""

from base64 import b64encode
from collections.abc import Iterable
from html import escape

STYLE = """
body { font: 16px/1.45 sans-serif; max-width: 60rem; margin: 0 auto; padding: 0 0.8rem; color: #222 }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; vertical-align: top; padding: 0.4rem }
tr { border-top: 1px solid #bbb } td { overflow-wrap: anywhere }
.error { color: #a03000; font-weight: bold } .doubt { color: #7a5200; font-weight: bold } .note { color: #333 }
h2 { font-size: 1.1rem }
ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 0.6rem }
li { width: 220px; max-width: 100% } .wide li { width: 28rem }
img { width: 100%; image-rendering: pixelated } small { display: block }
@media (max-width: 600px) { thead { display: none } td { display: block; padding: 0.15rem 0.4rem } }
"""


def page(title: str, *body: str) -> str:
    """The whole page around parts that are HTML already."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n'
        f"<body><h1>{title}</h1>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def table(head: Iterable[str], rows: Iterable[str]) -> str:
    """A table of rows that are HTML already."""
    return (
        "<table><thead><tr>"
        + "".join(f"<th>{escape(name)}</th>" for name in head)
        + "</tr></thead><tbody>\n"
        + "\n".join(rows)
        + "</tbody></table>"
    )


def picture(data: bytes, kind: str, text: str, *more: str) -> str:
    """A picture in the page, as an item of a list; its text stands below it, then `more`, each line for itself."""
    source = b64encode(data).decode()
    lines = "".join(f"<small>{escape(line)}</small>" for line in (text, *more))
    return f'<li><img alt="{escape(text)}" src="data:image/{kind};base64,{source}">{lines}</li>'
