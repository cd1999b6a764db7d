"""Which code of this package some code reaches, and a hash of it that comments and docstrings do not change.

The sources are read, and nothing is imported.  Two kinds of names say what is reached: "livervlm.results" is a
module, and "livervlm:Runs" is one name of the face, that is, one line of the stub `livervlm/__init__.pyi`.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache, cached_property
from importlib.util import find_spec, resolve_name
from pathlib import Path

EVERYTHING = "*"  # is reached where nobody can tell what is
IMPORTERS = ("import_module", "__import__")


@cache
def code_key(*modules: str) -> str:
    """SHA-256 over the code of `modules` ("livervlm.model") and of every module of the package that they reach.

    It is the same for the same code under one version of Python, whose grammar it depends on.  The answer is kept, so
    that one process always gets the same.  Raises `ModuleNotFoundError` for a module that the package does not have.
    """
    package = _this_package()
    for name in modules:
        if name not in package.modules:
            raise ModuleNotFoundError(f"{name!r} is no module of {package.name}: write it as {__name__!r}")
    return package.key(package.reached(modules))


@cache
def _this_package() -> "Package":
    return Package(Path(find_spec(__name__.partition(".")[0]).submodule_search_locations[0]))


class Package:
    """The sources of the package in `folder`."""

    def __init__(self, folder: Path):
        self.folder, self.name = folder, folder.name
        self.tree = cache(self._tree)  # each file is read and followed once
        self._code = cache(self._code)
        self._next = cache(self._next)

    @cached_property
    def modules(self) -> dict[str, Path]:
        """The file of every module."""
        return {self._dotted(path): path for path in sorted(self.folder.rglob("*.py"))}

    @cached_property
    def face(self) -> dict[str, tuple[str, str]]:
        """Every name that a stub exports lazily, with the module that it comes from and its name there."""
        return {
            f"{package}:{alias.asname or alias.name}": (_origin(node, package), alias.name)
            for path in sorted(self.folder.rglob("__init__.pyi"))
            for package in [self._dotted(path)]
            for node in ast.walk(ast.parse(path.read_bytes()))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }

    @cached_property
    def faced(self) -> set[str]:
        """The packages whose attributes may be imported when they are used."""
        return {self.name, *(name.partition(":")[0] for name in self.face)}

    def reached(self, names: Iterable[str]) -> set[str]:
        """`names` and all that they reach, at any distance; with `EVERYTHING`, every name that there is."""
        done, waiting = set(), list(names)
        while waiting:
            if (name := waiting.pop()) not in done:
                done.add(name)
                waiting += self._next(name)
        return done

    def key(self, names: Iterable[str]) -> str:
        """SHA-256 over the code of modules and the origins of names of the face, in any order."""
        digest = hashlib.sha256()
        for name in sorted(names):
            digest.update(f"{name} {self._code(name)}\n".encode())
        return digest.hexdigest()

    def imports(self, tree: ast.Module, package: str = "") -> set[str]:
        """What the code of `tree`, which lies in `package`, imports anywhere in it, in functions too."""
        found: set[str] = set()
        faces: dict[str, str] = {}  # the names that stand for packages with a face
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found |= self._way(alias.name)
                    bound = alias.name if alias.asname else alias.name.partition(".")[0]
                    faces[alias.asname or bound] = bound
            elif isinstance(node, ast.ImportFrom):
                origin = _origin(node, package)
                found |= self._way(origin)
                for alias in node.names:
                    found |= self._named(origin, alias.name)
                    faces[alias.asname or alias.name] = f"{origin}.{alias.name}"
            elif isinstance(node, ast.Call) and called(node) in IMPORTERS:
                given = node.args[0] if node.args else None
                literal = given.value if isinstance(given, ast.Constant) else "."
                found |= {EVERYTHING} if literal[0] == "." or literal in self.faced else self._way(literal)
        return found | self._used(tree, {name: module for name, module in faces.items() if module in self.faced})

    def _used(self, tree: ast.Module, faces: dict[str, str]) -> set[str]:
        """What the attributes of packages with a face reach, given which names stand for these packages."""

        def package_of(node: ast.expr) -> str | None:
            if isinstance(node, ast.Name):
                return faces.get(node.id)
            if isinstance(node, ast.Attribute) and (package := package_of(node.value)):
                return f"{package}.{node.attr}" if f"{package}.{node.attr}" in self.faced else None
            return None

        found, nodes = set(), list(ast.walk(tree)) if faces else []
        told = {node.value for node in nodes if isinstance(node, ast.Attribute)}
        for node in nodes:
            if isinstance(node, ast.Attribute) and (package := package_of(node.value)):
                named = self._named(package, node.attr)
                found |= named if named or node.attr in self._assigned(package) else {EVERYTHING}
            if isinstance(node, ast.Name | ast.Attribute) and node not in told and package_of(node):
                found.add(EVERYTHING)  # the package itself is passed on
        return found

    def _tree(self, module: str) -> ast.Module:
        """The syntax tree of a module, without docstrings."""
        path = self.modules[module]
        return _Bare().visit(ast.parse(path.read_bytes(), str(path)))

    def _code(self, name: str) -> str:
        """SHA-256 of one name: of the code of a module, of the origin of a name of the face."""
        code = ast.dump(self.tree(name)) if name in self.modules else repr(self.face.get(name))
        return hashlib.sha256(code.encode()).hexdigest()

    def _next(self, name: str) -> set[str]:
        if name == EVERYTHING:
            return {*self.modules, *self.face}
        if name in self.face:
            module, there = self.face[name]
            return self._way(module) | self._named(module, there)
        is_package = self.modules[name].name == "__init__.py"
        return self._way(name) | self.imports(self.tree(name), name if is_package else name.rpartition(".")[0])

    def _way(self, module: str) -> set[str]:
        """The modules that importing `module` runs: the packages on the way and itself; none of another package's."""
        parts = module.split(".")
        return {".".join(parts[: n + 1]) for n in range(len(parts))} & self.modules.keys()

    def _named(self, module: str, name: str) -> set[str]:
        """What `from module import name` reaches besides `module` where `name` is a submodule or a name of a face."""
        if name == "*":
            return {EVERYTHING} if module in self.faced else set()
        return {f"{module}.{name}", f"{module}:{name}"} & (self.modules.keys() | self.face.keys())

    def _assigned(self, module: str) -> set[str]:
        nodes = ast.walk(self.tree(module))
        return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}

    def _dotted(self, path: Path) -> str:
        parts = [self.name, *path.relative_to(self.folder).with_suffix("").parts]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class _Bare(ast.NodeTransformer):
    """Takes away docstrings, and every other string that stands alone and so does nothing."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if alone else node


def called(node: ast.Call) -> str | None:
    """The last name of what is called: "f" of `f()` and of `module.f()`."""
    return getattr(node.func, "id", None) or getattr(node.func, "attr", None)


def _origin(node: ast.ImportFrom, package: str) -> str:
    return resolve_name("." * node.level + (node.module or ""), package)
