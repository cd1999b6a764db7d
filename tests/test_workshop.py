"""The workshop's zip on small wheels made here: what is collected, what is missing, checksums, README and installer."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import workshop
from packaging.requirements import Requirement
from workshop import Target, WorkshopError

ROOT = Path(__file__).resolve().parents[1]

LINUX, WINDOWS = Target("linux", "3.12"), Target("windows", "3.12")


def wheel(folder, name, version="1.0", needs=(), extras=()):
    """A wheel without any code."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {need}" for need in needs]
    home = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{home}/METADATA", "\n".join(lines) + "\n")
        archive.writestr(f"{home}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{home}/RECORD", "")


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder with the wheel of a project, and what it wants."""
    monkeypatch.setattr(workshop, "WANTED", ["ours[text]"])
    folder = tmp_path / "wheels"
    folder.mkdir()
    needs = ["base>=1", 'words; extra == "text"', 'lines; extra == "dev"', 'paint; sys_platform == "win32"']
    wheel(folder, "ours", needs=needs, extras=["text", "dev"])
    return folder


@pytest.fixture
def download(wheels):
    """A registry of small packages."""
    shelf = {"base": ["leaf; python_version >= '3.12'"], "words": ["leaf<2"], "leaf": [], "paint": []}

    def fetch(missing):
        fetch.asked.append(missing)
        for name in {re.match(r"[\w-]+", need)[0] for need in missing} & shelf.keys():
            wheel(wheels, name, needs=shelf[name])

    fetch.asked, fetch.shelf = [], shelf
    return fetch


@pytest.mark.parametrize(
    ("target", "first", "then"),
    [
        (LINUX, ["base>=1", "words"], [["leaf", "leaf<2"]]),
        (WINDOWS, ["base>=1", "paint", "words"], [["leaf", "leaf<2"]]),
        (Target("linux", "3.11"), ["base>=1", "words"], [["leaf<2"]]),
    ],
)
def test_what_the_learners_machines_need_is_collected_and_no_more(wheels, download, target, first, then):
    workshop.collect(wheels, target, download)
    assert download.asked == [first, *then]
    assert workshop.unmet(wheels, workshop.WANTED, target) == []


def test_a_missing_wheel_is_named(wheels, download):
    del download.shelf["words"]
    with pytest.raises(WorkshopError, match=r"no wheel came for words$"):
        workshop.collect(wheels, Target("linux", "3.11"), download)


def test_a_version_that_somebody_does_not_take_is_named(wheels, download):
    wheel(wheels, "leaf", version="2.0")
    with pytest.raises(WorkshopError, match=r"leaf<2 is asked for, and leaf 2\.0 came"):
        workshop.collect(wheels, LINUX, download)


def test_a_cuda_build_is_refused_with_a_remedy(wheels, download):
    download.shelf["base"] = ["nvidia-cublas==13; sys_platform == 'linux'"]
    with pytest.raises(WorkshopError, match=r"asks for nvidia-cublas==13 and more.*index with CPU builds"):
        workshop.collect(wheels, LINUX, download)
    workshop.collect(wheels, WINDOWS, download)  # there the same wheel asks for nothing


def test_pins_are_those_of_the_target():
    by_python = 'c==3 ; python_full_version < "3.12"\nc==4 ; python_full_version >= "3.12"\n'
    lock = 'a==1\nb==2 ; sys_platform == "win32"\n' + by_python
    assert workshop.constraints(lock, WINDOWS) == ["a==1", "b==2", "c==4"]
    assert workshop.constraints(lock, Target("linux", "3.11")) == ["a==1", "c==3"]


def test_what_a_workshop_wants_is_in_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    there = {extra.replace("_", "-") for extra in project["optional-dependencies"]}
    assert Requirement(workshop.WANTED[0]).extras == there - {"cluster", "dev"}


def test_pip_is_told_of_another_machine_and_not_of_this_one():
    assert Target().options == []
    assert WINDOWS.options in (["--python-version", "3.12", "--platform", "win_amd64"], [])


@pytest.mark.parametrize(("target", "python"), [(LINUX, "python3.12 install.py"), (WINDOWS, "py -3.12 install.py")])
def test_the_readme_has_two_commands(target, python):
    text = workshop.readme(target)
    first, second = re.findall(r"^    (\S.+)$", text, re.MULTILINE)
    assert first == python
    assert re.fullmatch(r"env[/\\](bin|Scripts)[/\\]jupyter lab pages", second)
    assert "not for diagnosis" in text


# -- The learner's side -----------------------------------------------------------------------------------------------


@pytest.fixture
def stage(tmp_path):
    """A workshop without packages."""
    folder = tmp_path / "packed" / workshop.NAME
    (folder / "pages").mkdir(parents=True)
    (folder / "pages" / "index.html").write_text("<p>The book.</p>")
    (folder / "wheels").mkdir()
    workshop.finish(folder, Target())
    return folder


def install(folder):
    ended = subprocess.run([sys.executable, folder / "install.py"], capture_output=True, text=True)
    return ended.returncode, ended.stdout + ended.stderr


def test_checksums_hold_for_every_file_of_the_zip(stage, tmp_path):
    workshop.zipped(stage, tmp_path / "one.zip")
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        archive.extractall(tmp_path / "new")
    new = tmp_path / "new" / workshop.NAME
    sums = (new / "SHA256SUMS").read_text()
    (new / "SHA256SUMS").unlink()
    assert workshop.checksums(new) == sums
    assert [line.split("  ")[1] for line in sums.splitlines()] == ["README.txt", "install.py", "pages/index.html"]


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_text("<p>Another book.</p>")])
def test_a_file_that_is_not_as_packed_stops_the_installation(stage, harm):
    harm(stage / "pages" / "index.html")
    assert install(stage) == (
        1,
        "Not as it was packed: pages/index.html. Unpack the zip again, into an empty folder.\n",
    )
    assert not (stage / "env").exists()


def test_another_python_is_refused(stage):
    text = (stage / "install.py").read_text()
    (stage / "install.py").write_text(text.replace(f'VERSION = "{workshop.VERSION}"', 'VERSION = "3.99"'))
    assert install(stage) == (1, "This workshop was packed for Python 3.99: run install.py with that one.\n")


def test_the_installer_asks_for_what_was_collected(stage):
    names = {}
    exec((stage / "install.py").read_text().replace("__main__", "never"), names | {"__file__": "x"}, names)
    assert names["WANTED"] == workshop.WANTED
    assert names["VERSION"] == workshop.VERSION
