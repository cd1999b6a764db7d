"""Which code of this package some code reaches, and a hash of it that comments and docstrings do not change.

The sources are read, and nothing is imported.  Two kinds of names say what is reached: "livervlm.datasets" is a
module, and "livervlm:Runs" is a name of the face, that is, a line of the stub `livervlm/__init__.pyi`.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

EVERYTHING = "*"  # stands for all of the package, where what is reached cannot be told


@cache
def code_key(*modules: str) -> str:
    """SHA-256 over the code of `modules` ("livervlm.datasets") and of every module of the package that they reach.

    It is the same for the same code under one version of Python, whose grammar it depends on.  The answer is kept, so
    that one process always gets the same.  Raises `ModuleNotFoundError` for a module that the package does not have.
    """
    package = Package(Path(__file__).resolve().parents[1])
    for name in modules:
        if name not in package.modules:
            raise ModuleNotFoundError(f"{name!r} is no module of {package.name}: write it as {__name__!r}")
    return package.key(package.reached(modules))


class Package:
    """The sources in `folder`: the file of each of its `modules`, the line of each name of its `face`."""

    def __init__(self, folder: Path):
        self.folder, self.name, self.modules = folder, folder.name, {}
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            self.modules[".".join(parts).removesuffix(".__init__")] = path
        packages = {name: path for name, path in self.modules.items() if path.name == "__init__.py"}
        self.lazy = {name for name, path in packages.items() if b"lazy_loader" in path.read_bytes()}
        stub = ast.parse((folder / "__init__.pyi").read_bytes()).body
        lines = [(line, alias) for line in stub if isinstance(line, ast.ImportFrom) for alias in line.names]
        self.face = {f"{self.name}:{a.asname}": ast.ImportFrom(line.module, [a], line.level) for line, a in lines}
        self.known = {*self.modules, *self.face}
        self.tree, self._read = cache(self._tree), cache(self._read)  # each file is read and followed once

    def reached(self, names: Iterable[str]) -> set[str]:
        """`names` and all of the package that they reach, at any distance; with `EVERYTHING`, all that there is."""
        done, waiting = set(), [*names]
        while waiting:
            if (name := waiting.pop()) == EVERYTHING:
                return {EVERYTHING, *self.known}
            if name not in done:
                done.add(name)
                waiting.append(name.rpartition(".")[0])  # importing a module runs the package that it is in
                waiting += self._read(name)[1] if name in self.known else ()
        return done & self.known

    def key(self, names: Iterable[str]) -> str:
        """SHA-256 over the code of modules and the lines of names of the face, in any order."""
        code = [(name, self._read(name)[0]) for name in sorted(self.known.intersection(names))]
        return hashlib.sha256(repr(code).encode()).hexdigest()

    def imports(self, tree: ast.AST, package: str = "") -> set[str]:
        """What the code of `tree`, which lies in `package`, imports anywhere in it, in functions too."""
        found: set[str] = set()
        for node in ast.walk(tree):
            match node:
                case ast.ImportFrom(module, names, level):
                    origin = resolve_name("." * level + (module or ""), package)
                    found = found.union(*(self._named(origin, alias.name) for alias in names))
                case ast.Import(names) if any(alias.name.startswith(self.name) for alias in names):
                    found.add(EVERYTHING)  # it binds the root, whose attributes are imported when they are used
                case ast.Call(_, [ast.Constant(str(module))], []) if not module.startswith(self.name):
                    pass  # `import_module` of another package
                case ast.Call(ast.Name(called) | ast.Attribute(_, called)) if called in ("import_module", "__import__"):
                    found.add(EVERYTHING)
        return found

    def _named(self, origin: str, name: str) -> set[str]:
        """What `from origin import name` reaches; an attribute of a lazy package may import what nobody can tell."""
        known = {f"{origin}.{name}", f"{origin}:{name}"} & self.known
        untold = self.lazy & (known or {origin}) or (name == "*" and origin.startswith(self.name))
        return {EVERYTHING} if untold else {origin, *known}

    def _tree(self, name: str) -> ast.AST:
        """The syntax tree of a module, without docstrings, or of a line of the face."""
        return self.face.get(name) or _Bare().visit(ast.parse(self.modules[name].read_bytes(), name))

    def _read(self, name: str) -> tuple[str, set[str]]:
        """The code of a name, and what it imports."""
        home = self.modules.get(name, self.folder / "__init__.pyi").parent.relative_to(self.folder.parent)
        return ast.dump(self.tree(name)), self.imports(self.tree(name), ".".join(home.parts))


class _Bare(ast.NodeTransformer):
    """Takes away docstrings, and every other constant that stands alone and so does nothing."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node
