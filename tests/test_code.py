"""What code of the package some code reaches, and its hash."""

import ast
import shutil
from pathlib import Path

import pytest
from small_book import PACKAGE, python, write

from livervlm.base.code import Package, code_key

ROOT = Path(__file__).resolve().parents[1]
HERE = code_key.__module__

VLM = {"models", "models.vlm", "models.parts", "metrics"}
BOOK = {"book", "book.figures", "book.style"}  # style is imported by `book/__init__.py` alone
EVERY = {*VLM, *BOOK, "paths", "results", "other"}


@pytest.fixture
def package(tmp_path):
    write(tmp_path / "livervlm", PACKAGE)
    return Package(tmp_path / "livervlm")


def reached(package, code):
    """The modules that `code` outside the package reaches."""
    return package.reached(package.imports(ast.parse(code))) & package.modules.keys()


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("import numpy\nfrom os import *", None),
        ("import importlib\nimportlib.import_module('json')\n__import__('json')", None),
        ("from livervlm import Runs", {"results", "paths"}),
        ("def f():\n    from livervlm import Model as M", VLM),
        ("from livervlm import metrics", {"metrics"}),
        ("from livervlm import other", {"other"}),
        ("from livervlm import figures", BOOK),
        ("from livervlm.book import figures", BOOK),
        ("from livervlm import book", BOOK),
        ("from livervlm.models import vlm", VLM),
        ("from livervlm.models.parts import part", {"models", "models.parts"}),
        # Where nobody can tell, every module.
        ("import livervlm", EVERY),
        ("import livervlm.models.parts as p", EVERY),
        ("from livervlm import *", EVERY),
        ("from livervlm.book import *", EVERY),
        ("from livervlm import __version__", EVERY),
        ("from livervlm import models", EVERY),
        ("from livervlm.models import __name__ as name", EVERY),
        ("from importlib import import_module\nfor x in ['livervlm.other']:\n    import_module(x)", EVERY),
        ("import importlib\nimportlib.import_module('livervlm.other')", EVERY),
        ("import importlib\nimportlib.import_module('.other', 'livervlm')", EVERY),
        ("import importlib\nimportlib.import_module(name='livervlm').Runs", EVERY),
        ("__import__('other', {'__package__': 'livervlm'}, {}, [], 1)", EVERY),
    ],
)
def test_code_reaches_the_modules_that_running_it_imports(package, code, modules):
    expected = {"livervlm", *(f"livervlm.{name}" for name in modules)} if modules is not None else set()
    assert reached(package, code) == expected
    names = "[m for m in sys.modules if m.split('.')[0] == 'livervlm']"
    assert set(python(f"{code}\nimport sys\nprint(*{names})", package.folder.parent).split()) - {"1"} <= expected


def test_the_root_alone_has_a_stub():
    assert list((ROOT / "livervlm").rglob("*.pyi")) == [ROOT / "livervlm" / "__init__.pyi"]


def test_the_code_key_of_an_installed_package_follows_its_code(tmp_path):
    shutil.copytree(ROOT / "livervlm", tmp_path / "livervlm", ignore=shutil.ignore_patterns("__pycache__"))
    package = Package(tmp_path / "livervlm")
    other = next(name for name in package.modules if name.endswith(".metrics"))
    user = next(name for name in package.modules if name != other and other in package.reached([name]))
    names, path = (other, user, HERE), package.modules[other]

    def same():
        found = python(f"from {HERE} import code_key\nprint(*map(code_key, {names}))", tmp_path).split()
        return [key == code_key(name) for key, name in zip(found, names, strict=True)]

    assert same() == [True, True, True]
    path.write_text(path.read_text() + "\n# A comment.\n")
    assert same() == [True, True, True]
    path.write_text(path.read_text() + "\nx = 1\n")
    assert same() == [False, False, True]


def test_the_code_key_knows_no_order_and_no_module_that_is_not_there():
    assert code_key("livervlm", HERE) == code_key(HERE, "livervlm")
    with pytest.raises(ModuleNotFoundError, match=r"'livervlm\.nothing' is no module"):
        code_key("livervlm.nothing")


def test_the_code_key_imports_nothing_that_it_reads():
    code = f"import sys\nfrom {HERE} import code_key\ncode_key('livervlm.cli')\nprint(*sys.modules)"
    loaded = python(code, ROOT).split()
    on_the_way = [HERE.rsplit(".", n)[0] for n in range(HERE.count(".") + 1)]
    assert {name for name in loaded if name.startswith("livervlm")} == set(on_the_way)
    assert not {name.split(".")[0] for name in loaded} & {"torch", "numpy", "pandas", "yaml"}
