"""What travels: the wheel holds all that a notebook needs, and installing it changes nothing that Colab ships."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import livervlm

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COLAB = dict(line.split("==") for line in (ROOT / "tests" / "colab_versions.txt").read_text().splitlines()[1:])


@pytest.mark.parametrize("requirement", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["text"]])
def test_colab_already_has_what_the_package_needs(requirement):
    wanted = Requirement(requirement)
    assert wanted.specifier.contains(COLAB[wanted.name])


def test_wheel_alone_runs_the_book_code_from_an_empty_folder(tmp_path):
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
        names = archive.namelist()
    assert not [name for name in names if name.startswith(("tests/", "book/", "data/"))]
    beside = {p.relative_to(ROOT).as_posix() for kind in ("js", "css") for p in ROOT.glob(f"livervlm/**/*.{kind}")}
    assert beside
    assert beside <= set(names)
    there = {p.relative_to(ROOT).as_posix() for p in ROOT.glob("data/**/*") if p.is_file()}
    assert {name.removeprefix("livervlm/") for name in names if name.startswith("livervlm/data/")} == there
    assert "livervlm/py.typed" in names
    assert wheel.name.startswith(f"livervlm-{livervlm.__version__}-")
    assert wheel.stat().st_size < 24e6  # most of it are records, on which the verdicts rest
    empty = tmp_path / "empty"
    empty.mkdir()
    code = (
        "from livervlm import CLASS_NAMES, data_file, table1, text_bank;"
        "print(data_file('table1.csv'));"
        "bank = text_bank('enriched', tuple(CLASS_NAMES), ('NC', 'ART', 'PV'), 'minilm');"
        "print(tuple(bank.shape), len(table1()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run([sys.executable, "-c", code], cwd=empty, env=environment, capture_output=True, text=True)
    where, shapes = done.stdout.splitlines() or [done.stderr, ""]
    assert where == str(tmp_path / "installed" / "livervlm" / "data" / "table1.csv")
    assert shapes == "(6, 6, 384) 20"


def test_the_version_stands_in_one_place_and_where_a_file_can_only_repeat_it():
    version = livervlm.__version__
    assert PROJECT["dynamic"] == ["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    newest = re.search(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest[1] == version


def test_weights_are_never_unpickled_whole():
    calls = 0
    for path in ROOT.glob("livervlm/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "pickle.load", "pickle.loads"):
                calls += 1
                told = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert told.get("weights_only") == "True", f"{path}:{node.lineno}"
    assert calls == 4  # checkpoints, and the weights that MedCLIP, LiLNet and a package with ImageNet's publish


def test_the_records_leave_room_for_those_to_come():
    assert sum(path.stat().st_size for path in ROOT.glob("data/results/**/*")) < 40e6
