"""Generate the notebook beside each chapter: `book/NAME.md` (MyST) gives `book/NAME.ipynb`, without outputs.

In the chapter itself it renews the stubs of the exercises, which `stubs.py` makes from their solutions.

Colab and Binder open notebooks, not MyST, and Colab shows plain Markdown only.  So every directive and role
becomes Markdown or simple HTML here, and one that is not known is an error: nothing raw reaches a reader.

    python book/tools/notebooks.py            write the stubs and the notebooks
    python book/tools/notebooks.py --check    exit 1 if a committed one differs from its source
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from docutils.nodes import make_id
from markdown_it.token import Token
from pages import DIRECTIVES, Book, Directive, Source, Target, captions_of
from stubs import SourceError

from livervlm import __version__

ROOT = Path(__file__).resolve().parents[2]
INSTALL_CELL = Path(__file__).with_name("install_cell.py")
INSTALL_TAGS = ["remove-cell", "skip-execution"]  # in the notebook, not in the book; the build skips it

ROLES = ["cite", "cite:p", "cite:t", "doc", "download", "eq", "math", "numref", "ref", "term"]

# Inside a paragraph: escapes, formulas and code spans (kept as they are), roles, targets of links.
INLINE = re.compile(
    r"\\.|\$+[^$]+\$+"
    r"|(?:\{(?P<role>[A-Za-z][\w:.+-]*)\})?(?<!`)(?P<ticks>`+)(?!`)(?P<content>.+?)(?<!`)(?P=ticks)(?!`)"
    r"|(?P<untitled>\[)?\]\((?P<link>[^()\s]+)(?P<hint>\s+(?:\"[^\"]*\"|'[^']*'))?\)",
    re.DOTALL,
)
# In the code of a cell: what it prints is rendered as plain Markdown, in the book and in Colab.
PRINTED_LINK = re.compile(r"\]\([\w/.-]+\.(?:md|ipynb)[#)]|\{(?:" + "|".join(ROLES) + r")\}`")
TITLED = re.compile(r"(?P<text>.+?)\s*<(?P<target>[^<>]+)>", re.DOTALL)


def notebook_of(book: Book, source: Source) -> nbformat.NotebookNode:
    """The notebook of one page: a line that leads back to the book, the install cell, the page."""
    online = f"[{book.title}]({book.site}/{source.page})"
    home = f"*From {online}. For teaching and research, not for diagnosis.*"
    install = INSTALL_CELL.read_text(encoding="utf-8").rstrip()
    install = install.replace("{repository}", book.repository).replace("{version}", __version__)
    cells: list[tuple[str, str, dict[str, Any]]] = [
        ("markdown", home, {}),
        ("code", install, {"tags": INSTALL_TAGS}),
    ]
    page = Page(book, source)
    for cell, line in zip(source.cells, source.lines, strict=True):
        folded = page.folded
        if cell.cell_type == "code" and (found := PRINTED_LINK.search(cell.source)):
            at = line + cell.source.count("\n", 0, found.start())
            raise source.error(at, f"{found[0]!r} leads nowhere from the output of a cell: name the chapter")
        if cell.cell_type == "markdown":
            kind, text, metadata = "markdown", page.convert(cell.source, line).strip("\n"), {}
        elif folded:  # a cell cannot fold inside another, so a solution's code is shown, not run
            kind, text, metadata = "markdown", f"````python\n{cell.source}\n````", {}
        else:
            kind, text, metadata = cell.cell_type, cell.source, dict(cell.metadata)
        figure, said = metadata.pop("mystnb", {}).get("figure"), captions_of(metadata)
        metadata.pop("caption", None)
        if folded:
            cells[-1] = ("markdown", f"{cells[-1][1]}\n\n{text}", {})
        elif text.strip():
            cells.append((kind, text, metadata))
        if figure and not folded:
            cells.append(("markdown", page.caption(figure["caption"], line, figure.get("name")), {}))
        if said and not folded:
            cells.append(("markdown", "\n\n".join(f"*{one}*" for one in said), {}))
    notebook = nbformat.v4.new_notebook()
    notebook.metadata = {"kernelspec": source.kernel, "language_info": {"name": "python"}}
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    for number, (kind, text, metadata) in enumerate(cells):
        cell_id = f"{source.path.stem}-{number:02d}"  # fixed: the same source gives the same bytes
        notebook.cells.append(make[kind](text, id=cell_id, metadata=metadata))
    nbformat.validate(notebook)
    return notebook


class Page:
    """The conversion of one page's text."""

    def __init__(self, book: Book, source: Source):
        self.book, self.source = book, source
        self.folded = False  # between {solution-start} and {solution-end}

    def convert(self, text: str, line: int) -> str:
        """`text`, which starts at `line` of the source, as plain Markdown."""
        lines = text.splitlines()
        done: dict[int, tuple[int, str]] = {}  # start: (end, replacement), by line of `text`
        for token in self.book.parse(text):
            if not token.map or token.map[0] in done:
                continue
            start, end = token.map
            replacement = self.block(token, lines, line + start)
            if replacement is not None:
                done[start] = (end, replacement)
        out, number = [], 0
        while number < len(lines):
            end, replacement = done.get(number, (number + 1, lines[number]))
            out.append(replacement)
            number = end
        return "\n".join(out)

    def block(self, token: Token, lines: list[str], at: int) -> str | None:
        """What replaces a block, or `None` where it stays as it is."""
        start, end = token.map
        source = "\n".join(lines[start:end])
        if token.type == "inline":
            return self.inline(source, at)
        if token.type.startswith("footnote"):
            raise self.source.error(at, "a footnote does not show in Colab: put it in the text")
        if token.type == "myst_line_comment":
            new = ""
        elif token.type == "myst_target":
            new = self.anchor(make_id(token.content))
        elif token.type == "math_block_label":
            new = self.equation(token.content, token.info)
        elif directive := self.book.directive(self.source, token, at, lines):
            new = self.directive(directive)
        else:
            return None
        # A block in a list or a quotation keeps its indent and its ">" on every line.
        opening = lines[start][: len(lines[start]) - len(lines[start].lstrip(" >-*+0123456789.)\t"))]
        return prefixed(new, opening, re.sub(r"[^>\s]", " ", opening))

    def directive(self, it: Directive) -> str:
        """A directive as Markdown."""
        title = self.inline(it.argument, it.line)
        if it.name not in DIRECTIVES:
            raise self.source.error(it.line, f"unknown directive {{{it.name}}}: use {', '.join(DIRECTIVES)}")
        if it.name == "math":
            return self.equation(it.body, it.options.get("label"))
        if it.name in ("image", "figure"):
            if not it.options.get("alt"):
                raise self.source.error(it.line, f"{{{it.name}}} {it.argument} has no ':alt:' text")
            image = f"![{it.options['alt']}]({self.link(it.argument, it.line)})"
            if it.name == "image":
                return image
            if not it.body.strip():
                raise self.source.error(it.line, f"{{figure}} {it.argument} has no caption: use {{image}}")
            return f"{image}\n\n{self.caption(it.body, it.line, it.options.get('name'), it.body_line)}"
        if it.name == "exercise-end":
            return ""
        if it.name == "solution-end":
            self.folded = False
            return "</details>"
        if it.name == "exercise-start":
            return self.exercise(it, title)
        if it.name in ("solution", "solution-start"):
            name = self.target(it.argument, it.line).text
            if it.name == "solution":
                return details(f"Solution to {name}", self.convert(it.body, it.body_line))
            self.folded = True
            return f"<details>\n<summary>Solution to {name}</summary>"
        body = self.convert(it.body, it.body_line)
        if it.name == "table":
            return f"*{title}*\n\n{body}"
        if it.name == "exercise":
            return quoted(f"{self.exercise(it, title)}\n\n{body}")
        if it.name == "dropdown" or "dropdown" in it.options.get("class", "").split():
            return details(title or it.name.capitalize(), body)
        if it.name == "admonition":
            return quoted(f"**{title}**\n\n{body}")
        # The text of a plain admonition may begin on its first line.
        heading = "See also" if it.name == "seealso" else it.name.capitalize()
        return quoted("\n\n".join(part for part in (f"**{heading}**", title, body) if part.strip()))

    def exercise(self, it: Directive, title: str) -> str:
        name = self.book.numbers[self.source.page, it.line]
        label = it.options.get("label")
        heading = f"**{name}{f' ({title})' if title else ''}**"
        return f"{self.anchor(make_id(label))}\n{heading}" if label else heading

    def caption(self, text: str, line: int, label: str | None, text_line: int | None = None) -> str:
        name = self.book.numbers[self.source.page, line]
        caption = f"**{name}** {self.convert(text, text_line or line)}"
        return f"{self.anchor(make_id(label))}\n{caption}" if label else caption

    def equation(self, tex: str, label: str | None) -> str:
        if not label:
            return f"$$\n{tex.strip()}\n$$"
        target = self.book.targets[label]
        return f"{self.anchor(target.anchor)}\n\n$$\n{tex.strip()} \\tag{{{target.number}}}\n$$"

    @staticmethod
    def anchor(name: str) -> str:
        return f'<a id="{name}" name="{name}"></a>'

    # -- Inside a paragraph ------------------------------------------------------------------------

    def inline(self, text: str, line: int) -> str:
        """`text` with its roles and the targets of its links in plain Markdown."""

        def replace(match: re.Match) -> str:
            at = line + text.count("\n", 0, match.start())
            if match["role"]:
                return self.role(match["role"], match["content"], at)
            if not match["link"]:
                return match[0]
            link = self.link(match["link"], at)
            if match["untitled"]:
                return f"[{self.title(match['link'], at)}]({link})"
            return f"]({link}{match['hint'] or ''})"

        return INLINE.sub(replace, text)

    def role(self, role: str, content: str, line: int) -> str:
        """A role as Markdown."""
        titled = TITLED.fullmatch(content)
        text, target = (titled["text"], titled["target"]) if titled else (None, content)
        if role == "math":
            return f"${content}$"
        if role.startswith("cite") and role in ROLES:
            cited = [self.citation(key.strip(), role == "cite:t", line) for key in content.split(",")]
            return "; ".join(cited) if role == "cite:t" else f"({'; '.join(cited)})"
        if role == "doc":
            path = f"{target}.md"
            return f"[{text or self.title(path, line)}]({self.link(path, line)})"
        if role == "download":
            return f"[{text or Path(target).name}]({self.link(target, line)})"
        if role == "term":
            if target.casefold() not in self.book.terms:
                raise self.source.error(line, f"term '{target}' is not in the glossary")
            return f"[{text or target}]({self.address(self.book.terms[target.casefold()])})"
        if role in ("ref", "numref", "eq"):
            found = self.target(target, line)
            number = found.number if role == "numref" else found.text
            shown = (text or found.text).replace("%s", number).replace("{number}", number)
            return f"[{shown}]({self.address(found)})"
        raise self.source.error(line, f"unknown role {{{role}}}: use {', '.join(ROLES)}")

    def citation(self, key: str, textual: bool, line: int) -> str:
        entry = self.book.references.get(key)
        if entry is None:
            raise self.source.error(line, f"citation '{key}' is not in book/references.bib")
        people = [" ".join(p.prelast_names + p.last_names).strip("{}") for p in entry.persons.get("author", [])]
        names = f"{people[0]} et al." if len(people) > 2 else " and ".join(people)
        shown = f"{names} ({entry.fields['year']})" if textual else f"{names}, {entry.fields['year']}"
        return f"[{shown}]({self.book.site}/book/bibliography.html#{make_id(key)})"

    def target(self, label: str, line: int) -> Target:
        if label not in self.book.targets:
            raise self.source.error(line, f"label '{label}' stands on no page of the book")
        return self.book.targets[label]

    def address(self, target: Target) -> str:
        """An anchor within the page; elsewhere the published book, as Colab holds one notebook at a time."""
        here = target.page == self.source.page
        return f"#{target.anchor}" if here else f"{self.book.site}/{target.page}#{target.anchor}"

    def link(self, link: str, line: int) -> str:
        """Where a link of the source leads from a notebook."""
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            return link
        if anchor:
            return self.address(self.target(anchor, line))
        file = self.resolve(path, line)
        if file.endswith(".md"):
            return f"{self.book.site}/{self.page(file, line)}"
        return f"{self.book.raw}/{file}"

    def title(self, link: str, line: int) -> str:
        path, _, anchor = link.partition("#")
        if anchor:
            return self.target(anchor, line).text
        return self.book.titles[self.page(self.resolve(path, line), line)]

    def page(self, file: str, line: int) -> str:
        """The built page of a source."""
        page = file.removesuffix(".md") + ".html"
        if page not in self.book.titles:
            raise self.source.error(line, f"'{file}' is no page with a title in _toc.yml")
        return page

    def resolve(self, path: str, line: int) -> str:
        """A path of the source, which starts at its folder or (with "/") at the root, from the root."""
        root = self.book.root.resolve()
        file = (root / path.lstrip("/") if path[0] == "/" else root / self.source.path.parent / path).resolve()
        if not file.is_file() or not file.is_relative_to(root):
            raise self.source.error(line, f"'{path}' is not a file of the book")
        return file.relative_to(root).as_posix()


def prefixed(text: str, first: str, rest: str) -> str:
    head, *tail = text.split("\n")
    return "\n".join([(first + head).rstrip(), *((rest + line).rstrip() for line in tail)])


def quoted(text: str) -> str:
    return prefixed(text.strip(), "> ", "> ")


def details(summary: str, body: str) -> str:
    return f"<details>\n<summary>{summary}</summary>\n\n{body.strip()}\n\n</details>"


def generate(root: Path) -> dict[Path, str]:
    """The text of all that is generated, by path: every notebook, and every chapter that holds stubs."""
    book = Book(root)
    chapters = {root / source.path: source.text for source in book.sources if source.exercises}
    notebooks = {
        root / source.path.with_suffix(".ipynb"): nbformat.writes(notebook_of(book, source)) + "\n"
        for source in book.sources
        if source.executable
    }
    return chapters | notebooks


def differences(root: Path, generated: dict[Path, str]) -> list[str]:
    """One line for each committed file that is not what its source gives."""
    lines = []
    for path in sorted({*generated, *(root / "book").glob("*.ipynb")}):
        name = path.relative_to(root).as_posix()
        if path not in generated:
            lines.append(f"{name} has no source with code in _toc.yml: delete it")
        elif not path.exists():
            lines.append(f"{name} is missing: run `make notebooks`")
        elif path.read_text(encoding="utf-8") != generated[path]:
            source = "the solutions in it" if path.suffix == ".md" else "its source"
            lines.append(f"{name} differs from {source}: change the .md, then run `make notebooks`")
    return lines


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on a difference")
    arguments = parser.parse_args(argv)
    try:
        generated = generate(ROOT)
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.check:
        lines = differences(ROOT, generated)
        print("\n".join(lines), file=sys.stderr, end="\n" if lines else "")
        return bool(lines)
    for path, text in generated.items():
        path.write_text(text, encoding="utf-8", newline="\n")
        print(f"wrote {path.relative_to(ROOT).as_posix()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
