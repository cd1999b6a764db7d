"""The face of the package: every name is there, importing it is quick, and chapters import from nowhere else."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import livervlm
from livervlm.base.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
CODE = re.compile(r"^```(?:\{code-cell\}.*|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", livervlm.__all__)
def test_every_name_is_there(name):
    try:
        found = getattr(livervlm, name)
    except (ModuleNotFoundError, InputError) as error:
        if not re.search("SimpleITK|pydicom", str(error)):
            raise
        pytest.skip(f"the extra `studies` is not installed: {error}")
    assert found.__doc__ or name.isupper()


def test_a_name_that_is_not_there_is_said_so():
    with pytest.raises(AttributeError, match="no_such_name"):
        livervlm.no_such_name  # noqa: B018


def test_importing_the_package_imports_nothing_slow():
    slow = "{'torch', 'numpy', 'pandas', 'scipy', 'sklearn', 'matplotlib', 'transformers', 'IPython'}"
    code = f"import sys, livervlm, livervlm.models, livervlm.runs; print({slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("book/*.md")), ROOT / "README.md"], ids=lambda page: page.stem)
def test_pages_import_from_the_face_alone(page):
    for cell in CODE.findall(page.read_text(encoding="utf-8")):
        for line in re.findall(r"^\s*(?:from|import) livervlm.*", cell, re.MULTILINE):
            assert re.match(r"from livervlm import ", line), line
        for node in ast.walk(ast.parse("\n".join(x for x in cell.splitlines() if not x.startswith((":", "---", "!"))))):
            if isinstance(node, ast.ImportFrom) and node.module == "livervlm":
                assert {alias.name for alias in node.names} <= set(livervlm.__all__)


def test_every_place_in_the_code_that_paper_to_code_names_is_there():
    text = (ROOT / "book" / "paper_to_code.md").read_text(encoding="utf-8")
    files = re.findall(r"`((?:\w+/)+(?:[\w.]+)?)`", text)
    assert len(files) > 10
    assert not [name for name in files if not ((ROOT / name).exists() or (ROOT / "livervlm" / name).exists())]
    names = re.findall(r"`(\w+(?:\.\w+){2,})(?:\([^)`]*\))?`", text)
    assert len(names) > 30
    for name in names:
        room, module, *rest = name.split(".")
        found = importlib.import_module(f"livervlm.{room}.{module}")
        for part in rest:
            fields = getattr(found, "__dataclass_fields__", {})
            if part in fields:
                break
            if isinstance(found, type) and issubclass(found, torch.nn.Module) and not hasattr(found, part):
                assert f"self.{part} =" in inspect.getsource(found), name
                break
            found = getattr(found, part)
