"""The pages of the reference that are written from other files."""

import re
from pathlib import Path

import pytest
import reference

from livervlm.base.profiles import PROFILES
from livervlm.cli.parser import COMMANDS
from livervlm.scans.seeds import SEEDS

ROOT = Path(__file__).resolve().parents[1]
PAGE = reference.commands((ROOT / "book" / "commands.md").read_text(encoding="utf-8"))


def rows(caption: str) -> list[list[str]]:
    """The cells of a table of the page, without its head."""
    body = PAGE.partition(f"{{table}} {caption}\n")[2].partition("\n:::")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()[2:]]


def test_every_command_stands_there_with_all_its_options():
    sections = dict(re.findall(r"^### livervlm (\w+)\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))
    assert sections.keys() == {run.__name__.rstrip("_") for run in COMMANDS}
    for run, (told, example, *options) in COMMANDS.items():
        section = sections[run.__name__.rstrip("_")]
        assert section.replace("`", "").count(told.replace("`", "")) == 1
        assert f"$ {example}\n" in section
        for (name, *_), settings in options:
            assert re.search(rf"^  {name}\b[^\n]*(  |\n {{9,}})\w", section, re.MULTILINE), f"{name} says nothing"
            assert settings.get("help")
    assert max(map(len, "\n".join(re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)).splitlines())) <= 84


def test_profiles_and_seeds_are_those_of_the_package():
    for row, profile in zip(rows("The profiles."), PROFILES.values(), strict=True):
        assert row[:5] == [
            f"`{profile.name}`",
            profile.encoder,
            *map(str, (profile.size, profile.epochs)),
            profile.text_encoder,
        ]
    found = {
        use: range(int(low.replace(",", "")), int(high.replace(",", "")) + 1)
        for use, low, high, _ in rows("Ranges of seeds.")
    }
    assert found == SEEDS
    assert all(told for *_, told in rows("Ranges of seeds."))
    assert "take seeds from 10 million up" in PAGE
    assert max(one.stop for one in SEEDS.values()) <= 10_000_000


def test_no_place_is_left_and_the_address_is_that_of_the_book():
    url = reference.repository(ROOT)
    assert not re.search(r"\b(PROFILES|COMMANDS|SEEDS|REPOSITORY)\b|cd NAME", PAGE)
    assert f"git clone {url}\ncd {url.rsplit('/', 1)[-1]}\n" in PAGE


def test_how_to_extend_leads_to_files_that_are_there():
    text = reference.extending()
    paths = re.findall(rf"\]\({re.escape(reference.repository(ROOT))}/blob/main/([^)#]+)", text)
    assert len(paths) >= 2
    assert all((ROOT / path).exists() for path in paths)
    assert text.startswith("# Contributing\n")


@pytest.mark.parametrize("page", ["commands", "extending"])
def test_sphinx_hands_over_these_pages(page):
    app = type("App", (), {"connect": lambda self, _, write: setattr(self, "write", write)})()
    reference.setup(app)
    source, other = [(ROOT / "book" / f"{page}.md").read_text(encoding="utf-8")], ["as it was"]
    app.write(app, f"book/{page}", source)
    app.write(app, "book/other", other)
    assert source[0] in (PAGE, reference.extending())
    assert other == ["as it was"]
