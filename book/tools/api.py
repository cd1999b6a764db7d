"""The pages of the API, written from docstrings while Sphinx reads the pages; no module is imported for it.

`_config.yml` names this file as an extension.  It appends to `book/api.md` what a user imports, the names of
`livervlm/__init__.pyi` with the examples of `book/api_examples.md`, and to `book/rooms.md` all other public names.
"""

import ast
import doctest
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

import yaml

from livervlm.base.code import Package

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 84  # characters of a signature that fit the page
SPECIAL = re.compile(r"([\\*_\[\]<>$#|{}])")  # what Markdown would read as its own
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Name:
    """A name of the face, the `part` of it, the `module` that defines it, and the `node`: function, class, value..."""

    name: str
    part: str
    module: str
    node: ast.AST  # ast.Module for a module

    @property
    def label(self) -> str:
        """Where its entry stands; labels know no capitals, and `LiLNet` is a class beside a module `lilnet`."""
        return f"api-{'module-' if isinstance(self.node, ast.Module) else ''}{self.name.lower()}"


class Reference:
    """What the two pages say of the package at `root`."""

    def __init__(self, root: Path = ROOT):
        self.root = root
        self.package = Package(root / "livervlm")
        config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
        self.source = f"{config['url']}/blob/{config['branch']}"
        self.tree = cache(self._tree)  # each file is read once

    @cached_property
    def names(self) -> dict[str, Name]:
        """The face, in its order."""
        found, part = {}, ""
        for line in (self.package.folder / "__init__.pyi").read_text(encoding="utf-8").splitlines():
            if heading := re.fullmatch(r"# ([A-Z][\w ]+)", line):
                part = heading[1]
            elif imported := re.fullmatch(r"from (\S+) import (\w+) as \w+", line):
                module, node = self.find(resolve_name(imported[1], "livervlm"), imported[2])
                found[imported[2]] = Name(imported[2], part, module, node)
        return found

    @cached_property
    def examples(self) -> dict[str, tuple[str, str]]:
        """Name -> the first name of its example, and the example as Markdown."""
        text = (self.root / "book" / "api_examples.md").read_text(encoding="utf-8")
        found = {}
        for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
            heading, _, body = section.partition("\n")
            names = heading.split(", ")
            found |= {name: (names[0], body.strip()) for name in names}
        return found

    @cached_property
    def elsewhere(self) -> dict[str, str]:
        """Public name beyond the face -> the module that holds it, where there is one such module."""
        found: dict[str, list[str]] = {}
        for module in self.package.modules:
            if "." in module and ".exercises." not in module:
                names = [node.name for node in public(self.tree(module))]
                for name in (*names, *self.choices(module)):
                    found.setdefault(name, []).append(module)
        return {name: homes[0] for name, homes in found.items() if len(homes) == 1 and name not in self.names}

    @cached_property
    def named(self) -> set[str]:
        """The constants that some docstring names, as in "a key of `encoders.ENCODERS`"."""
        docs = (docstring(node) for module in self.package.modules for node in ast.walk(self.tree(module))
                if isinstance(node, ast.Module | ast.ClassDef | Function))  # fmt: skip
        return {name for doc in docs for name in re.findall(r"`(?:\w+\.)*([A-Z][A-Z_]+)`", doc)}

    def choices(self, module: str) -> dict[str, list[str]]:
        """The constants of a module that docstrings name, and the keys or words that each of them holds."""
        found = {}
        for node in self.tree(module).body:
            value = getattr(node, "value", None)
            words = value.keys if isinstance(value, ast.Dict) else getattr(value, "elts", [])
            texts = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
            if texts and len(texts) == len(words):
                found |= {name: texts for name in defined(node) if name in self.named}
        return found

    def find(self, module: str, name: str) -> tuple[str, ast.AST]:
        """The module that defines a name which `module` offers, and what stands there."""
        tree = self.tree(module)
        for node in tree.body:
            if name in defined(node):
                return module, node
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and any((a.asname or a.name) == name for a in node.names):
                package = module if self.package.modules[module].name == "__init__.py" else module.rpartition(".")[0]
                return self.find(resolve_name("." * node.level + (node.module or ""), package), name)
        if f"{module}.{name}" in self.package.modules:
            return f"{module}.{name}", self.tree(f"{module}.{name}")
        raise LookupError(f"{module} has no {name}")

    def text(self, module: str) -> str:
        return self.package.modules[module].read_text(encoding="utf-8")

    def _tree(self, module: str) -> ast.Module:
        """The syntax tree of a module; a field of a class keeps the comment on its line as `comment`."""
        text = self.text(module)
        tree, lines = ast.parse(text), text.splitlines()
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign):
                node.comment = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode().strip()
        return tree

    def program(self) -> str:
        """The examples as one program, a function each, as a user would type them: for a type checker."""
        lines = ["import numpy as np", "import pandas as pd", "import torch", "import livervlm"]
        for number, (_, example) in enumerate(dict(self.examples.values()).items()):
            code = doctest.script_from_examples(example)
            names = sorted(set(re.findall(r"\w+", code)) & self.names.keys())
            body = [f"from livervlm import {', '.join(names)}", *code.splitlines()]
            lines += ["", f"def example_{number}(lesions: livervlm.LesionSet) -> None:"]
            lines += [f"    {line}" for line in body if not line.startswith("#")]
        return "\n".join(lines)

    # -- The two pages ------------------------------------------------------------------------------------------

    def face(self) -> str:
        lines, part = [], ""
        for name in self.names.values():
            if name.part != part:
                part = name.part
                lines.append(f"## {part}")
            lines += [f"({name.label})=", f"### {name.name}", *self.entry(name)]
        return "\n\n".join(lines)

    def entry(self, name: Name) -> Iterator[str]:
        """Signature, docstring, methods, example, and where it is from."""
        if isinstance(name.node, ast.Module):
            yield f"A module: `from livervlm import {name.name}`."
            yield self.prose(docstring(name.node))
            yield "\n".join(self.lines_of(name.module))
        elif isinstance(name.node, ast.ClassDef | Function):
            yield code(signature(name.node))
            yield self.prose(docstring(name.node), parameters(name.node))
            if isinstance(name.node, ast.ClassDef):
                told = [one for one in public(name.node) if docstring(one) or decorated(one, "property")]
                yield "\n".join(f"- `.{line}" for line in map(self.line, told))
        else:
            lines = self.text(name.module).splitlines()
            yield code("\n".join(lines[name.node.lineno - 1 : name.node.end_lineno]))
        if name.name in self.examples:
            first, example = self.examples[name.name]
            yield example if first == name.name else f"Example: under [`{first}`](#{self.names[first].label})."
        yield f"Defined in [`{name.module}`](#{module_label(name.module)})."

    def rooms(self) -> str:
        lines, homes = [], {name.module for name in self.names.values()}
        modules = [name for name in self.package.modules if "." in name and ".exercises." not in name]
        for module in sorted(modules, key=self.order):
            tree, path = self.tree(module), self.package.modules[module].relative_to(self.root).as_posix()
            names = list(self.lines_of(module))
            room = module.count(".") == 1
            if room or names or path.endswith("__init__.py") or module in homes:
                lines += [f"({module_label(module)})=", f"{'##' if room else '###'} {module.removeprefix('livervlm.')}"]
                lines += [self.prose(docstring(tree)), "\n".join(names), f"[`{path}`]({self.source}/{path})"]
        return "\n\n".join(line for line in lines if line)

    def order(self, module: str) -> tuple:
        """By room from the lowest up, as `pyproject.toml` lists them the other way round; then by name."""
        text = (self.root / "pyproject.toml").read_text(encoding="utf-8")
        layers = re.findall(r'"(\w+)"', text.partition("layers = [")[2].partition("]")[0])
        return -layers.index(module.split(".")[1]), module

    # -- Their parts ---------------------------------------------------------------------------------------------

    def lines_of(self, module: str) -> Iterator[str]:
        """A line for each function and class of a module, or for what a package offers of its modules (`x as x`)."""
        offered = [node for node in self.tree(module).body if isinstance(node, ast.ImportFrom)]
        names = [a.name for node in offered for a in node.names if a.asname == a.name]
        nodes = public(self.tree(module)) + [self.find(module, name)[1] for name in names]
        yield from (f"- `{self.line(node)}" for node in nodes if isinstance(node, ast.ClassDef | Function))
        for name, texts in self.choices(module).items():
            yield f"- `{name}`: {', '.join(f'`{text}`' for text in texts)}."

    def line(self, node: ast.ClassDef | Function) -> str:
        """What follows the opening backtick: the call, and the first paragraph of the docstring."""
        told = self.prose(docstring(node).partition("\n\n")[0])
        return f"{call(node)}`{': ' if told else ''}{told}"

    def prose(self, doc: str, known: tuple[str, ...] = ()) -> str:
        """A docstring as Markdown: a paragraph that tells of some of the `known` parameters is a list of them."""
        told = rf"(?:{'|'.join(map(re.escape, known)) or '(?!)'})"
        starts = re.compile(rf"(?:^|(?<=[.;]))\s+(?={told}(?:, {told})*: )")
        paragraphs = []
        for paragraph in doc.split("\n\n"):
            if paragraph.startswith("- "):
                items = re.split(r"^- ", paragraph, flags=re.MULTILINE)[1:]
            elif re.match(r"\w+: .*\n {4}", paragraph):  # a list whose items are indented
                items = re.split(r"\n(?! )", paragraph)
            else:
                items = [item for item in starts.split("\n" + paragraph) if item.strip()]
            lead = "- " if len(items) > 1 or paragraph.startswith("- ") else ""
            paragraphs.append("\n".join(lead + self.inline(" ".join(item.split()), told) for item in items))
        return "\n\n".join(paragraphs)

    def inline(self, text: str, told: str) -> str:
        """One paragraph: what stands in backticks stays as it is, all else is escaped."""
        names, rest = re.fullmatch(rf"((?:{told}(?:, {told})*: )?)(.*)", text).groups()
        pieces = re.split(r"(`[^`]+`)", rest)
        for place, piece in enumerate(pieces):
            if place % 2:
                name = self.names.get(re.split(r"\W", piece[1:])[0])
                linked = name and re.fullmatch(rf"`{name.name}(\.\w+)?(\(.*)?`", piece)
                beyond = re.fullmatch(r"`(?:\w+\.)*([A-Z][A-Z_]+|\w+_\w+)`", piece)
                home = beyond and self.elsewhere.get(beyond[1])
                label = name.label if linked else module_label(home) if home else ""
                pieces[place] = f"[{piece}](#{label})" if label else piece
            else:
                pieces[place] = escaped(piece)
        pieces[0] = re.sub(r"^([-+]|\d+[.)])(?=\s)", r"\\\1", pieces[0])
        return (f"**{escaped(names[:-2])}**: " if names else "") + "".join(pieces)


def escaped(text: str) -> str:
    return SPECIAL.sub(r"\\\1", text)


def defined(node: ast.AST) -> list[str]:
    """The names that a statement of a module gives."""
    match node:
        case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
            return [name]
        case ast.Assign(targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(ast.Name(name)):
            return [name]
    return []


def public(node: ast.Module | ast.ClassDef) -> list[ast.ClassDef | Function]:
    return [one for one in node.body if isinstance(one, ast.ClassDef | Function) and not one.name.startswith("_")]


def docstring(node: ast.AST) -> str:
    return inspect.cleandoc(ast.get_docstring(node) or "")


def decorated(node: ast.AST, *names: str) -> bool:
    return any(re.match(rf"(?:{'|'.join(names)})\b", ast.unparse(one)) for one in getattr(node, "decorator_list", []))


def fields(node: ast.ClassDef) -> list[ast.AnnAssign]:
    """Those of a dataclass."""
    told = decorated(node, "dataclass", r"dataclasses\.dataclass")
    variables = [one for one in node.body if told and isinstance(one, ast.AnnAssign)]
    return [one for one in variables if "ClassVar" not in ast.unparse(one.annotation)]


def starter(node: ast.ClassDef | Function) -> Function | None:
    """The function that takes the arguments of a call."""
    if not isinstance(node, ast.ClassDef):
        return node
    return next((one for one in node.body if isinstance(one, Function) and one.name == "__init__"), None)


def arguments(node: ast.ClassDef | Function) -> list[str]:
    """The arguments of a call, each as it is written."""
    if isinstance(node, ast.ClassDef) and (given := fields(node)):
        return [field(one) for one in given]
    if (function := starter(node)) is None:
        return []
    args = function.args
    plain = [*args.posonlyargs, *args.args]
    values = [None] * (len(plain) - len(args.defaults)) + list(args.defaults)
    told = [argument(*pair) for pair in zip(plain, values, strict=True)]
    if args.vararg:
        told.append(f"*{argument(args.vararg)}")
    elif args.kwonlyargs:
        told.append("*")
    told += [argument(*pair) for pair in zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    if args.kwarg:
        told.append(f"**{argument(args.kwarg)}")
    return told[1:] if plain and plain[0].arg in ("self", "cls") else told


def field(node: ast.AnnAssign) -> str:
    value = ast.unparse(node.value) if node.value else ""
    given = " = ..." if value.startswith("field(") else f" = {value}" if value else ""
    return f"{node.target.id}: {ast.unparse(node.annotation)}{given}"


def argument(arg: ast.arg, value: ast.AST | None = None) -> str:
    told = f"{arg.arg}: {ast.unparse(arg.annotation)}" if arg.annotation else arg.arg
    return f"{told} = {ast.unparse(value)}" if value else told


def parameters(node: ast.ClassDef | Function) -> tuple[str, ...]:
    names = [re.split(r"[:=]", one.lstrip("*"))[0].strip() for one in arguments(node)]
    return tuple(name for name in names if name)


def call(node: ast.ClassDef | Function) -> str:
    """The call in one short line, without types: `fit(model, data, task, *, epochs)`."""
    if decorated(node, "property", "cached_property"):
        return node.name
    if isinstance(node, ast.ClassDef):
        return node.name
    return f"{node.name}({', '.join(re.split('[:=]', one)[0].strip() for one in arguments(node))})"


def signature(node: ast.ClassDef | Function) -> str:
    told = arguments(node)
    returns = node.returns if isinstance(node, Function) else None
    end = f") -> {ast.unparse(returns)}" if returns and ast.unparse(returns) != "None" else ")"
    line = f"{node.name}({', '.join(told)}{end}"
    if isinstance(node, ast.ClassDef) and not told:
        return f"class {node.name}"
    notes = [one.comment for one in fields(node)] if isinstance(node, ast.ClassDef) else []
    if len(line) <= WIDTH and not any(notes):
        return line
    lines = [f"    {one}," for one in told]
    if any(notes):
        lines = [f"{one}  {note}".rstrip() for one, note in zip(lines, notes, strict=True)]
    return "\n".join([f"{node.name}(", *lines, end])


def code(text: str) -> str:
    return f"```python\n{text}\n```"


def module_label(module: str) -> str:
    return f"room-{module.removeprefix('livervlm.').replace('.', '-').replace('_', '-')}"


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this where the file is named as an extension."""

    def write(app: Any, page: str, source: list[str]) -> None:
        if page in ("book/api", "book/rooms"):
            reference = Reference()
            source[0] += "\n\n" + (reference.face() if page == "book/api" else reference.rooms()) + "\n"

    app.connect("source-read", write)
    return {"parallel_read_safe": True}


if __name__ == "__main__":  # `make lint` checks the types of the face by those of its examples
    print(Reference().program())
