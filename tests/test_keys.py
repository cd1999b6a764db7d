"""A chapter is executed again if and only if something that it reaches has changed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import execute
import key
import nbformat
import pages
import pytest
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from small_book import CHAPTERS, CONFIG, FRONT, PACKAGE, cell, write, write_house

from livervlm.base.code import EVERYTHING, Package

ROOT = Path(__file__).resolve().parents[1]
ALL = set(CHAPTERS)


@pytest.fixture
def house(tmp_path):
    return write_house(tmp_path, PACKAGE, CHAPTERS)


def changed_by(root, files, environment=None):
    """The chapters whose key is another one once `files` are written; what ends in "+" is added to the file."""
    before = key.keys(root, {})
    given = {name.rstrip("+"): text for name, text in files.items()}
    old = {name.rstrip("+"): (root / name.rstrip("+")).read_text("utf-8") for name in files if name.endswith("+")}
    write(root, {name: old.get(name, "") + text for name, text in given.items()})
    after = key.keys(root, environment or {})
    assert before.keys() == after.keys()
    return {Path(name).stem for name in before if before[name] != after[name]}


# -- What a change reaches -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "chapters"),
    [
        ({"livervlm/metrics.py": "def auc():\n    return 9\n"}, {"model"}),
        ({"livervlm/models/parts.py": "def part():\n    return 9\n"}, {"model"}),  # imported in a function
        ({"livervlm/models/__init__.py": "x = 1\n"}, {"model"}),
        ({"livervlm/book/figures.py+": "x = 1\n"}, {"drawn"}),
        ({"livervlm/book/figures.js": "draw(2)\n"}, {"drawn"}),
        ({"livervlm/book/styles/figures.css": "a {}\n"}, {"drawn"}),
        ({"livervlm/models/notes.txt": "1\n"}, {"model"}),
        ({"livervlm/results.py+": "x = 1\n"}, {"records"}),
        ({"livervlm/paths.py+": "x = 1\n"}, {"records", "observer", "numbers"}),
        ({"livervlm/__init__.py+": "x = 1\n"}, ALL),
        ({"livervlm/new.py": "x = 1\n"}, set()),
        # The stub: a name that nobody uses, and names that come from another module.
        ({"livervlm/__init__.pyi+": "from .other import x as x\n"}, set()),
        ({"livervlm/__init__.pyi+": "from .other import Model as Model\n"}, {"model"}),
        ({"livervlm/__init__.pyi+": "from .paths import Runs as Runs\n"}, {"records"}),
        ({"data/results/population/new.json": "2"}, {"records", "observer"}),
        ({"data/results/observer.json": "2"}, {"records", "observer"}),
        ({"data/paper.csv": "2"}, ALL),
        ({"data/explained/new.safetensors": "2"}, ALL),
        ({"requirements.lock+": "numpy==2\n"}, ALL),
        ({"_config.yml": CONFIG.replace("run_in_temp: true", "run_in_temp: false")}, ALL),
        ({"_config.yml": CONFIG.replace("A book", "Another book")}, set()),
        ({"_toc.yml": "{format: jb-book, root: book/index, chapters: [%s]}"}, set()),
        ({"book/index.md": "# Another home\n", "README.md": "Read me.\n"}, set()),
    ],
)
def test_a_change_counts_for_the_chapters_that_reach_it_and_no_others(house, files, chapters):
    backwards = ", ".join(f"{{file: book/{name}}}" for name in reversed(CHAPTERS))
    files = {name: text.replace("%s", backwards) for name, text in files.items()}
    assert changed_by(house, files) == chapters


def test_where_a_name_of_the_face_comes_from_counts_though_both_modules_are_reached(house):
    code = "from livervlm import Runs, other, results"
    write(house, {"book/numbers.md": FRONT + cell(code)})
    moved = {"livervlm/__init__.pyi": PACKAGE["__init__.pyi"].replace(".results", ".other")}
    assert changed_by(house, moved) == {"records", "numbers"}


def test_comments_and_docstrings_and_blank_lines_count_for_nothing(house):
    text = '"""Text."""\n\nclass A:\n    """Text."""\n\n    a = 1\n{}\n\n    def f(a):\n{}        return a.__doc__\n'
    write(house, {"livervlm/metrics.py": text.format("", "")})
    more = {"livervlm/metrics.py": text.format('    """An attribute."""', '        """A method."""  # Why.\n\n')}
    assert changed_by(house, more) == set()
    assert changed_by(house, {"livervlm/metrics.py+": "\n\nprint('text')\n"}) == {"model"}


def test_profile_place_of_the_model_and_own_data_count_for_every_chapter(house):
    assert changed_by(house, {}, {"LIVERVLM_PROFILE": "workshop"}) == ALL
    assert changed_by(house, {}, {"LIVERVLM_LIVE_URL": "../_static/live.js"}) == ALL
    write(house, {"own.safetensors": "1"})
    given = {"LIVERVLM_DATA": str(house / "own.safetensors")}
    assert changed_by(house, {}, given) == ALL
    before = key.keys(house, given)
    write(house, {"own.safetensors": "2"})
    after = key.keys(house, given)
    assert not set(before.values()) & set(after.values())


def test_another_python_counts_for_every_chapter(house, monkeypatch):
    before = key.keys(house, {})
    monkeypatch.setattr(key.platform, "python_version", lambda: "3.99.0")
    assert not set(before.values()) & set(key.keys(house, {}).values())


def test_the_key_of_a_chapter_leaves_its_own_text_to_the_cache(house):
    path = house / "book" / "model.md"
    assert changed_by(house, {"book/model.md": path.read_text("utf-8") + "\nMore.\n" + cell("Model() + 1")}) == set()


@pytest.mark.parametrize("code", ["import inspect\nprint(inspect.getsource(Model))", "help(Model)", "Model?"])
def test_comments_count_for_a_chapter_that_shows_them(house, code):
    write(house, {"book/model.md": FRONT + cell(f"from livervlm import Model\n\n{code}")})
    assert changed_by(house, {"livervlm/models/vlm.py+": "# A comment.\n"}) == {"model"}


@pytest.mark.parametrize("code", ["%run -m livervlm.other", "!livervlm phantom", "import livervlm"])
def test_all_code_counts_where_nobody_can_tell_what_a_cell_reaches(house, code):
    write(house, {"book/numbers.md": FRONT + cell(code)})
    assert changed_by(house, {"livervlm/models/parts.py+": "x = 1\n"}) == {"model", "numbers"}


def test_comments_count_where_a_helper_of_the_package_shows_them(house):
    write(house, {"livervlm/book/figures.py": "import inspect\n\n\ndef draw(f):\n    inspect.getsource(f)\n"})
    assert changed_by(house, {"livervlm/book/figures.py+": "# A comment.\n"}) == {"drawn"}


@pytest.mark.parametrize(
    ("call", "reads"),
    [
        ("data_file('results/a.json')", True),
        ("data_file(f'results/{x}.json')", True),
        ("data_file(name=f'results')", True),
        ("paths.data_file('results')", True),
        ("data_file(x)", True),  # nobody can tell
        ("data_file('tables/results.csv')", False),
        ("data_file(f'{x}.csv')", False),
        ("read('results')", False),
    ],
)
def test_records_are_read_where_data_file_is_given_results(house, call, reads):
    write(house, {"book/numbers.md": FRONT + cell(f"def f(x):\n    return {call}")})
    expected = {"records", "observer"} | ({"numbers"} if reads else set())
    assert changed_by(house, {"data/results/new.json": "2"}) == expected


# -- What is dropped -----------------------------------------------------------------------------------------


def keep(root, chapter, code):
    """Put an output of `chapter` into the cache, as a build does."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code, execution_count=1)])
    bundle = CacheBundleIn(notebook, str(root / "book" / f"{chapter}.md"))
    get_cache(root / "_build" / ".jupyter_cache").cache_notebook_bundle(bundle, overwrite=True)


def kept(root):
    return {Path(record.uri).stem for record in get_cache(root / "_build" / ".jupyter_cache").list_cache_records()}


def test_outputs_of_another_key_and_of_none_are_dropped(tmp_path):
    for chapter in ("one", "two", "three", "gone"):
        keep(tmp_path, chapter, chapter)
    key.prune(tmp_path, {"book/one.md": "1", "book/two.md": "1", "book/three.md": "1"})
    assert kept(tmp_path) == set()  # nobody knows under which key they were made
    for chapter in ("one", "two", "gone"):
        keep(tmp_path, chapter, chapter)
    keep(tmp_path, "two", "an older text")
    key.prune(tmp_path, {"book/one.md": "1", "book/two.md": "2", "book/three.md": "1"})
    assert kept(tmp_path) == {"one"}
    key.prune(tmp_path, {"book/one.md": "1", "book/two.md": "2", "book/three.md": "1"})
    assert kept(tmp_path) == {"one"}


@pytest.mark.parametrize("moment", ["remove_cache", "rows", "keys"])
def test_an_interrupt_never_leaves_an_old_output_under_a_new_key(tmp_path, monkeypatch, moment):
    def interrupt(*_):
        raise KeyboardInterrupt

    places = {
        "remove_cache": ("jupyter_cache.cache.main.JupyterCacheBase.remove_cache", interrupt),
        "rows": ("jupyter_cache.cache.main.NbCacheRecord.remove_records", interrupt),  # the files are gone
        "keys": ("key.written_whole", interrupt),
    }
    key.prune(tmp_path, {"book/one.md": "1"})
    keep(tmp_path, "one", "x")
    with monkeypatch.context() as patch:
        patch.setattr(*places[moment])
        with pytest.raises(KeyboardInterrupt):
            key.prune(tmp_path, {"book/one.md": "2"})
    key.prune(tmp_path, {"book/one.md": "2"})
    assert kept(tmp_path) == set()
    keep(tmp_path, "one", "x")
    key.prune(tmp_path, {"book/one.md": "2"})
    assert kept(tmp_path) == {"one"}


def test_a_build_executes_again_what_was_dropped_and_nothing_else(tmp_path, monkeypatch):
    code = "import time\n\nfrom livervlm import {0}\n\nprint({0}.{1}(), 'at', time.time_ns())"
    chapters = {"drawn": code.format("figures", "draw"), "auc": code.format("metrics", "auc")}
    chapters["twin"] = chapters["auc"]  # the cache holds one output for equal code
    root, said = write_house(tmp_path, PACKAGE, chapters), []
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")  # which `execute` divides among the chapters

    def build():
        key.prune(root, key.keys(root, {}))
        assert execute.execute(root, said.append) == []
        for folder in ("html", ".doctrees"):
            shutil.rmtree(root / "_build" / folder, ignore_errors=True)
        command = [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "-q"]
        subprocess.run(command, cwd=root, capture_output=True, check=True)
        texts = {name: (root / "_build" / "html" / "book" / f"{name}.html").read_text("utf-8") for name in chapters}
        return {name: re.search(r"\d+ at \d{15,}", text)[0] for name, text in texts.items()}

    before = build()
    assert before["drawn"].startswith("3 at")
    assert before["auc"] == before["twin"]
    assert before["auc"].startswith("1 at")
    write(root, {"livervlm/book/figures.py": '"""Figures."""\n\n\ndef draw():  # One.\n    return 3\n'})
    write(root, {"livervlm/metrics.py": "def auc():\n    return 4\n"})
    after = build()
    assert after["drawn"] == before["drawn"]
    assert after["auc"] == after["twin"]
    assert after["auc"].startswith("4 at")
    assert [re.sub(r"\d+ s", "... s", line) for line in sorted(said)] == [
        *["book/auc.md: ... s"] * 2, "book/drawn.md: ... s", *["book/twin.md: ... s"] * 2
    ]  # fmt: skip
    key.prune(root, key.keys(root, {}))
    assert execute.execute(root, said.append) == []
    assert len(said) == 5


def test_a_chapter_that_fails_is_named_and_costs_no_other_its_outputs(house, monkeypatch):
    write(house, {"book/other.md": FRONT + cell("raise ValueError('on purpose')")})
    monkeypatch.setenv("PYTHONPATH", str(house))
    said = []
    assert execute.execute(house, said.append) == ["book/other.md"]
    (failure,) = (text for text in said if "failed" in text)
    assert failure.startswith("book/other.md: failed")
    assert "on purpose" in failure
    assert kept(house) == ALL - {"other"}
    write(house, {"book/other.md": FRONT + cell("print('mended')")})
    said.clear()
    assert execute.execute(house, said.append) == []
    assert [line.split(":")[0] for line in said] == ["book/other.md"]


# -- The real book -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    """Every chapter of the book with code, and the package."""
    package = Package(ROOT / "livervlm")
    return package, [(s, key.Chapter(s, package)) for s in pages.Book(ROOT).sources if s.executable]


def test_every_chapter_reaches_what_it_names_and_not_the_whole_package(real):
    package, chapters = real
    for source, chapter in chapters:
        named, code = set(), "\n".join(cell.source for cell in source.cells if cell.cell_type == "code")
        for origin, names in re.findall(r"^\s*from (livervlm[\w.]*) import (\([^)]*|.*)", code, re.MULTILINE):
            named.add(origin)
            for name in re.findall(r"\w+", names):
                named |= {f"{origin}.{name}", f"{origin}:{name}"}
        known = named & (package.modules.keys() | package.face.keys())
        assert known <= chapter.reached, source.path
        assert len(known) > 3, source.path
        runs_commands = "from livervlm.cli import" in source.text  # which may lead anywhere
        assert (EVERYTHING in chapter.reached) == runs_commands, source.path
        assert ("livervlm.cli" in chapter.reached) == runs_commands, source.path


def test_the_chapters_that_read_records_are_known(real):
    _, chapters = real
    names = "Runs|claims|coverage|read_record|explained|lilnet|transport"
    imported = rf"^\s*from livervlm[\w.]* import (\([^)]*|.*)\b({names})\b"
    expected = {source.path for source, _ in chapters if re.search(imported, source.text, re.MULTILINE)}
    assert {source.path for source, chapter in chapters if chapter.reads_records} == expected
    assert 0 < len(expected) < len(chapters)


def test_a_chart_keeps_its_vectors_and_a_picture_only_its_pixels(tmp_path):
    plot = "import matplotlib.pyplot as plt\n\nplt.figure()\nplt.{0};"
    chapters = {"chart": plot.format("plot([0, 1])"), "picture": plot.format("imshow([[0, 1]])")}
    root = write_house(tmp_path, PACKAGE, chapters)
    assert execute.execute(root, print) == []
    cache = get_cache(root / "_build" / ".jupyter_cache")
    found = {}
    for record in cache.list_cache_records():
        [cell] = [one for one in cache.get_cache_bundle(record.pk).nb.cells if one.cell_type == "code"]
        found[Path(record.uri).stem] = {kind for output in cell.outputs for kind in output.data if "image" in kind}
    assert found == {"chart": {"image/png", "image/svg+xml"}, "picture": {"image/png"}}
