"""The book's tools beside the converter: the install cell, the page checker, the move to a new address."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import check_pages
import home
import nbformat
import notebooks
import pages
import pytest
from nbclient import NotebookClient

import livervlm

ROOT = Path(__file__).resolve().parents[1]
# -- The install cell ----------------------------------------------------------------------------------------


def install_cell():
    cell = nbformat.reads(notebooks.generate(ROOT)[ROOT / "book" / "liver_vlm.ipynb"], 4).cells[1]
    assert cell.metadata.tags == ["remove-cell", "skip-execution"]
    return cell


def test_install_cell_does_nothing_where_the_package_is(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[install_cell()])
    NotebookClient(notebook, skip_cells_with_tag="", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert notebook.cells[0].execution_count == 1
    assert notebook.cells[0].outputs == []
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def bare(monkeypatch):
    """No livervlm; returns what pip is called with, and takes the status that it ends with."""
    calls, status = [], [0]

    class Pip:
        stdout = "Collecting livervlm\n", "error: no such tag\n"

        def __init__(self, command, **_):
            calls.append(command)

        def wait(self):
            return status[0]

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "Popen", Pip)
    return calls, status


def test_install_cell_on_colab_installs_its_version_and_changes_no_other(bare, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    exec(install_cell().source, {})
    [command] = bare[0]
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert command[command.index("--upgrade-strategy") + 1] == "only-if-needed"
    assert command[-1] == f"livervlm[studies] @ git+{pages.Book(ROOT).repository}@v{livervlm.__version__}"
    assert not any("==" in word or word in ("-U", "--upgrade") for word in command)
    assert capsys.readouterr().out == "Installing livervlm, about a minute ..\n"


def test_install_cell_says_what_to_do(bare, monkeypatch):
    with pytest.raises(
        SystemExit, match=r'not installed where this notebook runs: pip install "livervlm\[studies\] @ git'
    ):
        exec(install_cell().source, {})
    monkeypatch.setitem(sys.modules, "google.colab", object())
    bare[1][0] = 1
    with pytest.raises(
        SystemExit, match=r"run this cell again, or read what it says:\nCollecting livervlm\nerror: no such"
    ):
        exec(install_cell().source, {})


# -- The page checker ----------------------------------------------------------------------------------------

GOOD = '<article><h1 id="top">x</h1><img src="a.png" alt="A liver."><a href="#top">x</a></article>'


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        ('<img src="b.png">', "image b.png has the alt ''"),
        ('<img src="b.png" alt=" ">', "image b.png has the alt ''"),
        (f'<img src="b.png" alt="_images/{"0a" * 32}.png">', "image b.png has the alt"),
        ('<img src="https://example.org/c.png" alt="A.">', "loads https://example.org/c.png"),
        ('<img srcset="a.png 1x, //example.org/c.png 2x" src="a.png" alt="A.">', "from the network"),
        ('<script src="//example.org/c.js"></script>', "loads //example.org/c.js"),
        ('<script type="module">import x from "https://example.org/c.js"</script>', "loads https://example.org"),
        ('<link rel="stylesheet" href="https://example.org/c.css">', "loads https://example.org/c.css"),
        ("<style>@import 'https://example.org/c.css';</style>", "loads https://example.org/c.css"),
        ('<p style="background: url(https://example.org/c.png)">x</p>', "loads https://example.org/c.png"),
        ('<a href="lost.html">x</a>', "link lost.html leads to no file"),
        ('<a href="index.html#lost">x</a>', "link index.html#lost leads to no place"),
        ("<p>:::{note}</p>", "shows raw MyST"),
        ("<p>```{note}</p>", "shows raw MyST"),
        ("<p>see {ref}`x`</p>", "shows raw MyST"),
        ('<script type="application/vnd.jupyter.widget-view+json">{}</script>', "shows a widget"),
    ],
)
def test_each_fault_of_a_page_is_found(tmp_path, capsys, extra, fault):
    (tmp_path / "index.html").write_text(GOOD.replace("</article>", f"{extra}</article>"))
    assert check_pages.main(str(tmp_path)) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("index.html: ")
    assert fault in line


def test_a_good_page_passes_and_a_missing_book_does_not(tmp_path, capsys):
    assert check_pages.main(str(tmp_path)) == 1
    assert "build the book first" in capsys.readouterr().err
    out = '<a href="https://example.org">x</a><pre>:::{note}</pre><link rel="canonical" href="https://example.org">'
    (tmp_path / "index.html").write_text(GOOD + out)
    assert check_pages.main(str(tmp_path)) == 0


def test_a_style_sheet_from_the_network_is_found(tmp_path):
    (tmp_path / "index.html").write_text(GOOD)
    (tmp_path / "x.css").write_text("@font-face { src: url(https://example.org/f.woff2) }")
    assert check_pages.faults(tmp_path) == ["x.css: loads https://example.org/f.woff2 from the network"]


# -- Address, workflow ---------------------------------------------------------------------------------------


def test_moving_home_changes_every_file(tmp_path):
    for name in ("_config.yml", "pyproject.toml", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tmp_path)
    old = pages.Book(ROOT).repository.split("/", 3)[-1]
    owner, name = old.split("/")
    (tmp_path / "notes.md").write_text(f"https://{owner}.github.io/{name} {old}.git but {name}")
    (tmp_path / "picture.png").write_bytes(b"\xff\xfe\x00")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    changed = home.move(tmp_path, "new-owner/new.name")
    assert {"_config.yml", "pyproject.toml", "notes.md"} <= set(changed)
    assert (
        tmp_path / "notes.md"
    ).read_text() == f"https://new-owner.github.io/new.name new-owner/new.name.git but {name}"
    assert "url: https://github.com/new-owner/new.name\n" in (tmp_path / "_config.yml").read_text()
    home.move(tmp_path, old)
    assert (tmp_path / "_config.yml").read_text() == (ROOT / "_config.yml").read_text()


@pytest.mark.parametrize("address", ["https://github.com/a/b", "a", "a/b/c", "a b/c"])
def test_a_bad_address_is_refused(address):
    with pytest.raises(ValueError, match="write owner/name"):
        home.move(ROOT, address)


def test_workflow_fits_its_schema():
    checker = Path(sys.executable).with_name("check-jsonschema")
    if not checker.exists():
        pytest.skip("check-jsonschema is not installed")
    workflow = str(ROOT / ".github" / "workflows" / "book.yml")
    result = subprocess.run([checker, "--builtin-schema", "vendor.github-workflows", workflow], env=os.environ)
    assert result.returncode == 0
