"""What the pages of the book hold: their cells, and the labels, numbers and citations that they share."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from docutils.nodes import make_id
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_nb.core.read import MystMetadataParsingError, read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from pybtex.database import parse_file
from stubs import SourceError, exercises, with_stubs

ADMONITIONS = ["attention", "caution", "danger", "error", "hint", "important", "note", "seealso", "tip", "warning"]
DIRECTIVES = [
    *ADMONITIONS,
    *["admonition", "dropdown", "figure", "image", "math", "table"],
    *["exercise", "exercise-start", "exercise-end", "solution", "solution-start", "solution-end"],
]


def captions_of(metadata: Mapping[str, Any]) -> list[str]:
    """What a cell calls its tables: `caption` in its head, one or a list."""
    caption = metadata.get("caption", [])
    return [caption] if isinstance(caption, str) else caption


class Source:
    """One page of the book, its stubs renewed, cut into cells."""

    def __init__(self, path: Path, text: str, extensions: list[str]):
        self.path = path  # relative to the root
        config = MdParserConfig(enable_extensions=set(extensions))
        try:
            self.exercises = exercises(path, block_parser(config).parse(text + "\n"))
            self.text = with_stubs(text, self.exercises)
            notebook = read_myst_markdown_notebook(self.text, config, add_source_map=True)
        except MystMetadataParsingError as error:
            raise SourceError(path, 1, str(error)) from error
        self.cells, self.kernel = notebook.cells, notebook.metadata.get("kernelspec")
        self.lines = []  # where each cell starts, from 1
        lines = self.text.splitlines()
        for start in notebook.metadata["source_map"]:
            while start < len(lines) and not lines[start].strip():  # stripped from the cell, yet counted
                start += 1
            self.lines.append(start + 1)
        if self.executable and not self.kernel:
            raise self.error(1, "a page with code cells needs a kernelspec in its front matter")

    @property
    def page(self) -> str:
        return self.path.with_suffix(".html").as_posix()

    @property
    def executable(self) -> bool:
        return any(cell.cell_type == "code" for cell in self.cells)

    def error(self, line: int, message: str) -> SourceError:
        return SourceError(self.path, line, message)


@dataclass
class Directive:
    name: str
    argument: str
    options: dict[str, str]
    body: str
    line: int  # of the directive itself
    body_line: int


@dataclass(frozen=True)
class Target:
    """What a label stands for: where it is and what a reader calls it."""

    page: str
    anchor: str
    text: str  # "Setting up", "Exercise 2", "(3)"
    number: str = ""


class Book:
    """All sources in the order of `_toc.yml`, with the labels, numbers and citations that pages share."""

    def __init__(self, root: Path):
        self.root = root
        config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
        self.title = config["title"]
        self.repository = config["repository"]["url"]
        self.branch = config["repository"]["branch"]
        owner, name = self.repository.split("/")[-2:]
        self.site = f"https://{owner}.github.io/{name}"
        self.raw = f"https://raw.githubusercontent.com/{owner}/{name}/{self.branch}"
        extensions = config["parse"]["myst_enable_extensions"]
        self.parser = block_parser(MdParserConfig(enable_extensions=set(extensions)))
        toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
        paths = [Path(name).with_suffix(".md") for name in files_of(toc)]
        self.sources = [Source(p, (root / p).read_text(encoding="utf-8"), extensions) for p in paths]
        self.titles: dict[str, str] = {}  # of each page
        self.targets: dict[str, Target] = {}
        self.terms: dict[str, Target] = {}
        self.numbers: dict[tuple[str, int], str] = {}  # of the figure or exercise at a line of a page
        self.counts = {"Fig.": 0, "Exercise": 0, "equation": 0}  # equations count anew on every page
        for source in self.sources:
            self.survey(source)

    @cached_property
    def references(self) -> dict:
        return dict(parse_file(str(self.root / "book" / "references.bib"), "bibtex").entries)

    def parse(self, text: str) -> list[Token]:
        return self.parser.parse(text + "\n") if text.strip() else []

    def survey(self, source: Source) -> None:
        """Record the title, labels and numbers of one page."""
        self.counts["equation"] = 0
        for cell, line in zip(source.cells, source.lines, strict=True):
            if cell.cell_type == "markdown":
                self.survey_text(source, cell.source, line)
            elif figure := cell.metadata.get("mystnb", {}).get("figure"):
                self.count(source, "Fig.", line, figure.get("name"))

    def survey_text(self, source: Source, text: str, line: int) -> None:
        lines, waiting = text.splitlines(), []  # labels of the next block
        for token, following in pairs(self.parse(text)):
            at = line + token.map[0] if token.map else line
            if token.type == "myst_target":
                waiting.append(token.content)
                continue
            heading = following.content if token.type == "heading_open" else None
            if heading:
                self.titles.setdefault(source.page, heading)
            for label in waiting:
                self.targets[label] = Target(source.page, make_id(label), heading or label)
            waiting = []
            if token.type == "math_block_label":
                self.add_equation(source, token.info)
            elif directive := self.directive(source, token, at, lines):
                label = directive.options.get("label") or directive.options.get("name")
                if directive.name == "math":
                    if label:
                        self.add_equation(source, label)
                elif directive.name == "glossary":
                    for term in re.findall(r"^\S.*", directive.body, re.MULTILINE):
                        self.terms[term.strip().casefold()] = Target(source.page, term_id(term.strip()), term)
                elif directive.name == "figure":
                    self.count(source, "Fig.", at, label)
                elif directive.name in ("exercise", "exercise-start"):
                    self.count(source, "Exercise", at, label)
                if directive.name in DIRECTIVES and directive.name not in ("math", "image"):
                    self.survey_text(source, directive.body, directive.body_line)

    def count(self, source: Source, kind: str, line: int, label: str | None) -> None:
        self.counts[kind] += 1
        name = f"{kind} {self.counts[kind]}"
        self.numbers[source.page, line] = name
        if label:
            self.targets[label] = Target(source.page, make_id(label), name, str(self.counts[kind]))

    def add_equation(self, source: Source, label: str) -> None:
        self.counts["equation"] += 1
        number = str(self.counts["equation"])
        self.targets[label] = Target(source.page, f"equation-{make_id(label)}", f"({number})", number)

    def directive(self, source: Source, token: Token, line: int, lines: list[str]) -> Directive | None:
        """The directive that a fence of `lines` holds; `None` for any other token and for plain code."""
        if token.type not in ("fence", "colon_fence"):
            return None
        match = re.match(r"\{([^{}]+)\}\s*(.*)", token.info.strip())
        if not match:
            if token.type == "colon_fence":
                raise source.error(line, f"'{token.markup}{token.info}' names no directive: add {{name}}")
            return None
        name, argument = match.groups()
        start, end = token.map
        closing = lines[end - 1].strip().lstrip("> ")
        if end - start < 2 or set(closing) != set(token.markup) or len(closing) < len(token.markup):
            raise source.error(line, f"{{{name}}} is not closed: add '{token.markup}'")
        if name in ("code-cell", "raw-cell"):
            raise source.error(line, f"{{{name}}} must stand at the top level, not in a directive")
        body, options = token.content.splitlines(), {}
        while body and (option := re.match(r":([\w-]+):\s*(.*)", body[0])):
            options[option[1]] = option[2].strip()
            body.pop(0)
        if body and body[0].strip() == "---":
            raise source.error(line, f"{{{name}}}: write options as ':key: value' lines, not between '---'")
        first = line + 1 + len(options)
        return Directive(name, argument.strip(), options, "\n".join(body), line, first)


def block_parser(config: MdParserConfig) -> MarkdownIt:
    """A parser that leaves the inside of paragraphs alone."""
    return create_md_parser(replace(config, disable_syntax=["inline"]), RendererHTML)


def files_of(toc: Any) -> Iterator[str]:
    """The files of a table of contents, in order."""
    if isinstance(toc, dict):
        yield from (toc[key] for key in ("root", "file") if key in toc)
        for key in ("parts", "chapters", "sections"):
            yield from files_of(toc.get(key))
    for entry in toc if isinstance(toc, list) else []:
        yield from files_of(entry)


def pairs(tokens: list[Token]) -> Iterator[tuple[Token, Token]]:
    """Each token with the one after it; the last with itself."""
    return zip(tokens, [*tokens[1:], *tokens[-1:]], strict=True)


def term_id(term: str) -> str:
    """The anchor that Sphinx gives to a glossary term."""
    return "term-" + re.sub(r"[^a-zA-Z0-9._]+", "-", term).strip("-._")
