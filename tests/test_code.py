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
        ("import numpy\nfrom os import path", None),
        ("from livervlm import Runs", {"results", "paths"}),
        ("def f():\n    from livervlm import Model as M", VLM),
        ("from livervlm import metrics", {"metrics"}),
        ("from livervlm import figures", BOOK),
        ("from livervlm.book import figures", BOOK),
        ("from livervlm import models", {"models"}),
        ("import livervlm.models.vlm", VLM),
        ("import livervlm.models.parts as p\np.part()", {"models", "models.parts"}),
        ("import livervlm\nlivervlm.Runs()\nlivervlm.metrics.auc()", {"results", "paths", "metrics"}),
        ("import livervlm as lv\nlv.figures.draw()", BOOK),
        ("import livervlm\nprint(livervlm.__version__)", set()),
        ("import importlib\nimportlib.import_module('livervlm.other')", {"other"}),
        # Where nobody can tell, every module.
        ("import livervlm\nlv = livervlm\nlv.metrics", EVERY),
        ("import livervlm\nlivervlm.__path__", EVERY),
        ("import livervlm.metrics\ngetattr(livervlm, 'Runs')", EVERY),
        ("from livervlm import *", EVERY),
        ("from importlib import import_module\nfor x in ['livervlm.other']:\n    import_module(x)", EVERY),
        ("import importlib\nimportlib.import_module('livervlm').Runs", EVERY),
    ],
)
def test_code_reaches_the_modules_that_running_it_imports(package, code, modules):
    expected = {"livervlm", *(f"livervlm.{name}" for name in modules)} if modules is not None else set()
    assert reached(package, code) == expected
    names = "[m for m in sys.modules if m.split('.')[0] == 'livervlm']"
    assert set(python(f"{code}\nimport sys\nprint(*{names})", package.folder.parent).split()) - {"1"} <= expected


def test_a_sub_package_may_have_a_face_of_its_own(package):
    write(package.folder, {"models/__init__.pyi": "from .vlm import Model as Model\nfrom . import parts as parts\n"})
    write(package.folder, {"__init__.pyi": "from .models import Model as Model\n"})
    parts, vlm = {"livervlm", "livervlm.models", "livervlm.models.parts"}, {"livervlm", *(f"livervlm.{m}" for m in VLM)}
    assert reached(package, "from livervlm.models import parts") == parts
    assert reached(package, "from livervlm import models\nmodels.parts.part()") == parts
    assert reached(package, "import livervlm\nlivervlm.models.Model()") == vlm
    assert reached(package, "from livervlm import Model") == vlm
    assert reached(package, "import livervlm\nf(livervlm.models)") == set(package.modules)


def test_a_package_without_a_face_that_is_passed_on_reaches_every_module(package):
    (package.folder / "__init__.pyi").unlink()
    assert reached(package, "import livervlm.metrics\nf(livervlm)") == set(package.modules)


def test_the_code_key_of_an_installed_package_follows_its_code(tmp_path):
    shutil.copytree(ROOT / "livervlm", tmp_path / "livervlm", ignore=shutil.ignore_patterns("__pycache__"))
    reader = f"from {HERE} import code_key; print(code_key({{!r}}))"
    other = next(name for name in Package(ROOT / "livervlm").modules if name.endswith(".metrics"))
    path = Package(tmp_path / "livervlm").modules[other]
    assert python(reader.format(other), tmp_path).strip() == code_key(other)
    path.write_text(path.read_text() + "\n# A comment.\n")
    assert python(reader.format(other), tmp_path).strip() == code_key(other)
    path.write_text(path.read_text() + "\nx = 1\n")
    assert python(reader.format(other), tmp_path).strip() != code_key(other)
    assert python(reader.format(HERE), tmp_path).strip() == code_key(HERE)


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
