"""The pages of the reference that are written from other files: the commands, and CONTRIBUTING.md.

`_config.yml` names this file as an extension.  Sphinx hands it the two pages as it reads them.
"""

import io
import os
import re
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from livervlm.base.profiles import PROFILES
from livervlm.cli.parser import COMMANDS, build_parser

ROOT = Path(__file__).resolve().parents[2]
WIDTH = "84"  # characters of a line that fit the page
SEED = re.compile(r'^    "([\w ]+)": range\(([\d_]+), ([\d_]+)\),(?:  # (.*))?$', re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|#)([^)\s]+)\)")  # to a file of the checkout


def commands(page: str, root: Path = ROOT) -> str:
    """The page of the commands, its places filled: what stands there in capitals."""
    url = repository(root)
    for place, text in {"PROFILES": profiles(), "COMMANDS": helps(), "SEEDS": seeds(root)}.items():
        page = page.replace(f"\n{place}\n", f"\n{text}\n")
    return page.replace("REPOSITORY", url).replace("cd NAME", f"cd {url.rsplit('/', 1)[-1]}")


def extending(root: Path = ROOT) -> str:
    """CONTRIBUTING.md, its links to other files leading to the repository."""
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return LINK.sub(lambda found: f"]({repository(root)}/blob/main/{found[1]})", text)


def repository(root: Path) -> str:
    return yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]


def profiles() -> str:
    """What each profile holds, and which network a model has that names none."""
    rows = [
        (f"`{p.name}`", p.encoder, p.size, p.epochs, p.text_encoder, "no" if p.geometry == "none" else p.geometry)
        for p in PROFILES.values()
    ]
    return table("The profiles.", ("profile", "network", "pixels", "epochs", "text encoder", "pictures moved"), rows)


def helps() -> str:
    """A section for each command: what it says of itself when asked with `--help`."""
    parts = []
    for run, (told, example, *_) in COMMANDS.items():
        said, name = io.StringIO(), run.__name__.rstrip("_")
        with redirect_stdout(said), suppress(SystemExit), patch.dict(os.environ, COLUMNS=WIDTH):
            build_parser().parse_args([name, "--help"])
        text = said.getvalue().partition("\nexample:")[0].replace(f"\n{told}\n", "", 1).rstrip()
        plain = re.sub(r"(?<!\S)--[\w-]+", r"`\g<0>`", told)  # or the dashes would become one
        parts.append(f"### livervlm {name}\n\n{plain}\n\n```text\n$ {example}\n\n{text}\n```")
    return "\n\n".join(parts)


def seeds(root: Path) -> str:
    """The table of seeds, each use with what its line says of it."""
    text = (root / "livervlm" / "scans" / "seeds.py").read_text(encoding="utf-8")
    found = [(use, f"{int(low):,}", f"{int(high) - 1:,}", told) for use, low, high, told in SEED.findall(text)]
    return table("Ranges of seeds.", ("use", "from", "to", "who is drawn"), found)


def table(caption: str, head: tuple[str, ...], rows: list[tuple]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join([f":::{{table}} {caption}", *(f"| {' | '.join(map(str, line))} |" for line in lines), ":::"])


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this where the file is named as an extension."""

    def write(app: Any, page: str, source: list[str]) -> None:
        if page == "book/commands":
            source[0] = commands(source[0])
        if page == "book/extending":
            source[0] = extending()

    app.connect("source-read", write)
    return {"parallel_read_safe": True}
