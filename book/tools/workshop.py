"""Pack a workshop that needs no network: `make workshop [PLATFORM=linux|mac|windows] [PYTHON_VERSION=3.12]`.

One zip in `dist/` holds the built pages, the notebooks, data, the project's wheel, the wheels of all that it needs on
the learners' machines, and the SHA-256 of each file.  `workshop_install.py` is what a learner runs.
"""

import argparse
import hashlib
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.markers import default_environment
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).resolve().parents[2]
NAME = "livervlm-workshop"
# Extras as metadata spells them: an older pip takes no underscore for a hyphen.
# JupyterLab is no part of the lock, as the book runs without it; learners need something that opens a notebook.
WANTED = ["livervlm[text,zero-shot,imagenet,studies,book]", "jupyterlab>=4"]
CUDA = ("nvidia-", "cuda-", "triton")  # what a CUDA build of torch asks for
GLIBC = [f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)]
PLATFORMS = {  # what markers say there, and the tags of its wheels
    "linux": ("Linux", "linux", "posix", "x86_64", [*GLIBC, "manylinux2014_x86_64", "manylinux1_x86_64"]),
    "mac": ("Darwin", "darwin", "posix", "arm64", ["macosx_14_0_arm64"]),
    "windows": ("Windows", "win32", "nt", "AMD64", ["win_amd64"]),
}
HERE = next((name for name, (system, *_) in PLATFORMS.items() if system == platform.system()), "")
VERSION = ".".join(platform.python_version_tuple()[:2])


class WorkshopError(Exception):
    """A workshop cannot be packed; the message says why and what to do."""


@dataclass(frozen=True)
class Target:
    """The learners' machines."""

    platform: str = HERE
    version: str = VERSION  # of Python

    @property
    def environment(self) -> dict[str, str]:
        """What the markers of a requirement are asked about."""
        here = default_environment()
        if (self.platform, self.version) == (HERE, VERSION):
            return here
        system, name, family, machine, _ = PLATFORMS[self.platform]
        there = {"platform_system": system, "sys_platform": name, "os_name": family, "platform_machine": machine}
        return here | there | {"python_version": self.version, "python_full_version": f"{self.version}.0"}

    @property
    def options(self) -> list[str]:
        """What tells pip of it; on the machine itself pip knows."""
        if (self.platform, self.version) == (HERE, VERSION):
            return []
        tags = PLATFORMS[self.platform][-1]
        return ["--python-version", self.version, *(part for tag in tags for part in ("--platform", tag))]


def constraints(lock: str, target: Target) -> list[str]:
    """The pins of a lock file that hold on the target, without markers: pip would ask those about this machine."""
    pins = [Requirement(line) for line in lock.splitlines() if line.strip()]
    return [f"{pin.name}{pin.specifier}" for pin in pins if not pin.marker or pin.marker.evaluate(target.environment)]


def unmet(folder: Path, wanted: Iterable[str], target: Target) -> list[str]:
    """What `wanted`, and all that it needs, asks for and no wheel of `folder` is: "numpy>=2.0"."""
    wheels = {parse_wheel_filename(path.name)[0]: path for path in sorted(folder.glob("*.whl"))}
    todo, seen, missing = [Requirement(line) for line in wanted], set(), set()
    while todo:
        need = todo.pop()
        if str(need) in seen:
            continue
        seen.add(str(need))
        path = wheels.get(canonicalize_name(need.name))
        if path is None:
            missing.add(f"{need.name}{need.specifier}")
            continue
        version = parse_wheel_filename(path.name)[1]
        if not need.specifier.contains(version, prereleases=True):
            raise WorkshopError(f"{need} is asked for, and {need.name} {version} came: pin it in requirements.lock")
        todo += needs(path, need.extras, target)
    return sorted(missing)


def needs(wheel: Path, extras: Iterable[str], target: Target) -> list[Requirement]:
    """The requirements of a wheel on the target."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1]
        found = Metadata.from_email(archive.read(name), validate=False).requires_dist or []
    settings = [target.environment | {"extra": extra} for extra in ("", *extras)]
    return [one for one in found if not one.marker or any(one.marker.evaluate(setting) for setting in settings)]


def collect(folder: Path, target: Target, download: Callable[[list[str]], None]) -> None:
    """Download into `folder`, with the project's wheel in it, until nothing is unmet."""
    missing = unmet(folder, WANTED, target)
    while missing:
        if cuda := [name for name in missing if name.startswith(CUDA)]:
            raise WorkshopError(
                f"torch came as a CUDA build, which asks for {cuda[0]} and more. Tell pip of an index with CPU builds "
                "(PyTorch's page on installing names it), as in PIP_EXTRA_INDEX_URL=... make workshop"
            )
        download(missing)
        before, missing = missing, unmet(folder, WANTED, target)
        if missing == before:
            raise WorkshopError(f"no wheel came for {', '.join(missing)}")


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    if subprocess.run(command).returncode:
        raise WorkshopError("pip stopped; it says why above")


def checksums(folder: Path) -> str:
    """A line for each file, as `sha256sum` writes it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = ((hashlib.sha256(path.read_bytes()).hexdigest(), path.relative_to(folder).as_posix()) for path in files)
    return "".join(f"{digest}  {name}\n" for digest, name in digests)


def readme(target: Target) -> str:
    windows = target.platform == "windows"
    python = f"py -{target.version}" if windows else f"python{target.version}"
    lab = r"env\Scripts\jupyter lab pages" if windows else "env/bin/jupyter lab pages"
    return f"""The Liver-VLM book, for a room without a network.  For teaching and research, not for diagnosis.

To read, open pages/book/index.html in a browser; slides are in pages/slides.

To run the chapters on {target.platform} with Python {target.version}, type in this folder

    {python} install.py
    {lab}

The first takes minutes.  It compares every file with SHA256SUMS, puts all packages into the folder env, and ends with
what works on this machine.  The second opens JupyterLab, where the notebooks are in the folder notebooks.  Neither
asks a network for anything.

The folder data is for looking into: the phantom's tables and the recorded runs.  The packages bring their own copy.
To be rid of everything, delete this folder.
"""


def pack(stage: Path, target: Target) -> None:
    """Fill the folder `stage`."""
    html = ROOT / "_build" / "html"
    if not (html / "index.html").is_file():
        raise WorkshopError("_build/html is missing: run 'make book' first")
    shutil.copytree(html, stage / "pages")
    shutil.copytree(ROOT / "data", stage / "data")
    wheels, pins = stage / "wheels", stage / "pins.txt"
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT)
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins.write_text("\n".join(constraints(lock, target)) + "\n", encoding="utf-8")
    options = ["--no-deps", "--only-binary=:all:", *target.options, "-c", pins, "-d", wheels]
    collect(wheels, target, lambda missing: pip("download", *options, *missing))
    pins.unlink()
    finish(stage, target)


def finish(stage: Path, target: Target) -> None:
    """The learner's README and installer, and the checksums of all files."""
    install = Path(__file__).with_name("workshop_install.py").read_text(encoding="utf-8")
    install = install.replace("{version}", target.version).replace('"{wanted}"', repr(WANTED))
    (stage / "install.py").write_text(install, encoding="utf-8")
    (stage / "README.txt").write_text(readme(target), encoding="utf-8")
    (stage / "SHA256SUMS").write_text(checksums(stage), encoding="utf-8")


def zipped(stage: Path, out: Path) -> None:
    """`stage` as one file; what is compressed already is only stored."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in stage.rglob("*") if path.is_file()):
            how = zipfile.ZIP_STORED if path.suffix in (".whl", ".png") else zipfile.ZIP_DEFLATED
            archive.write(path, path.relative_to(stage.parent), how)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--platform", choices=PLATFORMS, default=HERE)
    parser.add_argument("--python-version", choices=("3.11", "3.12", "3.13"), default=VERSION)
    arguments = parser.parse_args(argv)
    target = Target(arguments.platform, arguments.python_version)
    out = ROOT / "dist" / f"{NAME}-{target.platform}-python{target.version}.zip"
    out.parent.mkdir(exist_ok=True)
    try:
        with TemporaryDirectory(dir=out.parent) as folder:
            pack(Path(folder) / NAME, target)
            zipped(Path(folder) / NAME, Path(folder) / out.name)
            (Path(folder) / out.name).replace(out)
    except WorkshopError as error:
        print(f"workshop: error: {error}", file=sys.stderr)
        return 1
    print(f"{out.relative_to(ROOT)}: {out.stat().st_size / 1e6:,.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
