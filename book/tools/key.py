"""Drop the outputs of the chapters that must be executed again; `make book` runs this before Jupyter Book.

Jupyter's cache finds the outputs of a chapter by the code of its cells alone.  So each chapter has a key here, over
all else that its outputs depend on: the code of `livervlm` that it reaches (`livervlm.base.code`), the data, the
records if it reads them, the environment.  `_build/keys.json` holds the keys under which the kept outputs were made.
"""

import ast
import hashlib
import json
import os
import platform
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import yaml
from jupyter_cache import get_cache
from jupyter_cache.cache.db import NbCacheRecord
from pages import Book, Source

from livervlm.base.code import EVERYTHING, Package
from livervlm.base.paths import written_whole

ROOT = Path(__file__).resolve().parents[2]
SHOWS_SOURCE = {"getsource", "getsourcelines"}  # what prints code, with its comments
SHOWS_TEXT = {*SHOWS_SOURCE, "getdoc", "help", "__doc__"}  # also docstrings
IGNORED = (".py", ".pyi", ".pyc")  # files of a package that are not compared byte by byte


def keys(root: Path, environment: dict[str, str]) -> dict[str, str]:
    """The key of every chapter with code ("book/luck.md")."""
    package = Package(root / "livervlm")
    records = root / "data" / "results"
    shared = _shared(root, environment)
    shared += _bytes(root, (path for path in _files(root / "data") if not path.is_relative_to(records)))
    recorded = _bytes(root, _files(records))
    found = {}
    for source in Book(root).sources:
        if source.executable:
            chapter = Chapter(source, package)
            parts = [*shared, package.key(chapter.reached), *_bytes(root, chapter.files())]
            if chapter.reads_records:
                parts += recorded
            found[source.path.as_posix()] = hashlib.sha256(repr(parts).encode()).hexdigest()
    return found


class Chapter:
    """What one chapter reaches: `reached`, the modules and names of the face of `package`, at any distance."""

    def __init__(self, source: Source, package: Package):
        self.package = package
        try:
            self.tree = ast.parse("\n".join(cell.source for cell in source.cells if cell.cell_type == "code"))
            self.reached = package.reached(package.imports(self.tree))
        except SyntaxError:  # `%magic` or `!command`, of which nobody knows what it reaches
            self.tree = ast.Module([], [])
            self.reached = package.reached([EVERYTHING])
        self.modules = sorted(self.reached & package.modules.keys())

    @property
    def reads_records(self) -> bool:
        """Whether a cell, or a module that it reaches, calls `data_file` with what begins with "results"."""
        return any(_reads_records(tree) for tree in self._trees())

    @property
    def shows_text(self) -> bool:
        """Whether comments and docstrings of what it reaches may be seen in its outputs."""
        if EVERYTHING in self.reached or _words(self.tree) & SHOWS_TEXT:
            return True
        return any(_words(tree) & SHOWS_SOURCE for tree in self._trees())

    def files(self) -> list[Path]:
        """The files of the package whose bytes count: those beside reached modules; where text is shown, all."""
        sources = [self.package.modules[module] for module in self.modules]
        homes = {path.parent for path in self.package.modules.values()}
        reached = {path.parent for path in sources}
        beside = [
            path
            for path in _files(self.package.folder)
            if path.suffix not in IGNORED and next(folder for folder in path.parents if folder in homes) in reached
        ]
        return beside + sources if self.shows_text else beside

    def _trees(self) -> list[ast.Module]:
        return [self.tree, *(self.package.tree(module) for module in self.modules)]


def prune(root: Path, new: dict[str, str]) -> None:
    """Drop the kept outputs of every chapter whose key is not the one in `_build/keys.json`; then write that file.

    At any moment, an output in the cache was made under the key that the file holds for its chapter, or that key
    is not the one of today and the next call drops the output.  Hence the order: were the keys written before the
    drop, an interrupt between the two would leave an old output under a new key for good; were they written after
    the build, an interrupted build would lose the chapters that it had executed.
    """
    file = root / "_build" / "keys.json"
    old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    valid = {root / name for name, key in new.items() if old.get(name) == key}
    cache = get_cache(root / "_build" / ".jupyter_cache")
    for record in cache.list_cache_records():
        if Path(record.uri) not in valid:  # the absolute path of the chapter that was executed
            try:
                cache.remove_cache(record.pk)
            except KeyError:  # an interrupt left the record without its files
                NbCacheRecord.remove_records([record.pk], cache.db)
    with written_whole(file) as part:
        part.write_text(json.dumps(new, indent=1) + "\n", encoding="utf-8")


def _shared(root: Path, environment: dict[str, str]) -> list[object]:
    """What counts for every chapter, apart from the data of the package."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    given = environment.get("LIVERVLM_DATA")
    files = [root / "requirements.lock", *([root / given] if given else [])]
    return [
        platform.python_version(),
        environment.get("LIVERVLM_PROFILE"),
        environment.get("LIVERVLM_LIVE_URL"),
        given,
        config.get("execute"),
        *_bytes(root, (path for path in files if path.is_file())),
    ]


def _bytes(root: Path, paths: Iterable[Path]) -> list[tuple[str, str]]:
    """Each file with the SHA-256 of its bytes."""
    return [(os.path.relpath(path, root), hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]


def _files(folder: Path) -> Iterator[Path]:
    """All files in `folder` and below, in order, but for hidden ones, which editors and systems leave."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))


@cache
def _words(tree: ast.Module) -> set[str | None]:
    """All names in the code of `tree`, alone, after a dot or in an import."""
    return {getattr(node, field, None) for node in ast.walk(tree) for field in ("id", "attr", "name")}


@cache
def _reads_records(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Name("data_file") | ast.Attribute(_, "data_file"), args, keywords):
                if _names_records([*args, *(keyword.value for keyword in keywords)][0]):
                    return True
    return False


def _names_records(given: ast.expr) -> bool:
    match given:
        case ast.Constant(start) | ast.JoinedStr([ast.Constant(start), *_]):
            return start.startswith("results")
        case ast.JoinedStr():  # f"{name}.csv" is a file of `data/` itself
            return False
    return True  # what it names is not written there


if __name__ == "__main__":
    prune(ROOT, keys(ROOT, dict(os.environ)))
