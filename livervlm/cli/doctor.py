"""What this machine can run: `livervlm doctor`.  It asks no network, and nothing that is missing stops it."""

import argparse
import getpass
import json
import os
import platform
import re
import shutil
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import __version__
from ..base.errors import InputError
from ..base.paths import cache_home
from ..base.profiles import current_profile
from .weights import LOOKS

WIDTH = 80
EXTRAS = {  # of pyproject.toml, with the packages that each brings, the one that counts first
    "text": ("transformers",),
    "zero_shot": ("open-clip-torch", "transformers"),
    "studies": ("SimpleITK",),
    "cluster": ("distributed",),
    "book": ("jupyter-book", "ipykernel", "sphinx-exercise", "sphinx-mathjax-offline", "shap"),
}
NEEDED = ("torch", "torchvision", "cache")  # without one of these nothing is trained
ABLE = {  # what can be done where all of these work
    "training": NEEDED,
    "import": ("studies",),
    "own prompts": ("text", "minilm"),
    "zero-shot": ("zero_shot", "zero-shot"),
    "cluster": ("cluster",),
    "book": ("book",),
}
LITTLE = 1e9  # bytes on the disk of the cache


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, and what to do where it does not work."""

    subject: str
    name: str
    found: str
    works: bool = True
    remedy: str = ""


def doctor(arguments: argparse.Namespace) -> int:
    """Print what was found; the exit status is 1 where livervlm cannot train at all."""
    findings: list[Finding] = []
    for one in _findings():
        findings.append(replace(one, found=_private(one.found), remedy=_private(one.remedy)))
        if not arguments.json:
            _print_finding(findings[-1], heading=one.subject not in {before.subject for before in findings[:-1]})
    works = {one.name: one.works for one in findings}
    trains = all(works[name] for name in NEEDED)
    conclusion = _conclusion(works)
    if arguments.json:
        found = {"trains": trains, "conclusion": conclusion, "findings": [asdict(one) for one in findings]}
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        print(conclusion)
    return 0 if trains else 1


def _findings() -> Iterator[Finding]:
    yield Finding("machine", "livervlm", __version__)
    yield Finding("machine", "Python", platform.python_version())
    yield Finding("machine", "platform", platform.platform())
    yield _looked("machine", "torch", _torch)
    yield _looked("machine", "torchvision", _torchvision)
    yield _looked("machine", "device", _device)
    yield _looked("machine", "precision", _precision)
    for extra, packages in EXTRAS.items():
        yield _extra(extra, packages)
    yield _looked("folders", "cache", _cache)
    yield _looked("folders", "disk", _disk)
    yield _looked("settings", "LIVERVLM_PROFILE", _profile)
    yield _looked("settings", "LIVERVLM_DATA", _data)
    for name, look in LOOKS.items():
        yield _looked("weights", name, look)


def _looked(subject: str, name: str, look: Callable[[], tuple[str, str]]) -> Finding:
    """Look, and take whatever is raised for what was found.

    look: returns what was found and what to do; nothing to do means that it works.
    """
    try:
        found, remedy = look()
    except InputError as error:  # its text says what to do
        return Finding(subject, name, str(error), works=False)
    except ModuleNotFoundError as error:
        found, remedy = f"{error.name} is missing", f"pip install {error.name}"
    except Exception as error:  # a broken library raises what it likes
        found, remedy = f"broken: {(str(error).splitlines() or [repr(error)])[0]}", "install it again"
    return Finding(subject, name, found, not remedy, remedy)


# -- The machine ---------------------------------------------------------------------------------------------------


def _torch() -> tuple[str, str]:
    import torch

    return torch.__version__, ""


def _torchvision() -> tuple[str, str]:
    from ..base.compat import import_torchvision

    return import_torchvision().__version__, ""


def _device() -> tuple[str, str]:
    import torch
    from joblib import cpu_count

    from ..base.device import best_device

    device, cores = best_device(), cpu_count()
    name = f"CUDA, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else "CPU"
    return f"{name}, {cores} {'core' if cores == 1 else 'cores'}", ""


def _precision() -> tuple[str, str]:
    from ..base.device import autocast_dtype, best_device

    dtype = autocast_dtype(best_device())
    return f"{dtype or 'torch.float32'}".removeprefix("torch."), ""


def _extra(extra: str, packages: tuple[str, ...]) -> Finding:
    there, missing = [], []
    for package in packages:
        try:
            there.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    found = f"{', '.join(missing)} missing" if missing else there[0]
    return Finding("extras", extra, found, not missing, f"pip install 'livervlm[{extra}]'" if missing else "")


# -- Folders and settings ------------------------------------------------------------------------------------------


def _cache() -> tuple[str, str]:
    home = cache_home()
    size = f"{sum(_bytes(home)) / 1e6:,.0f} MB" if home.is_dir() else "not made yet"
    try:
        with tempfile.TemporaryFile(dir=_nearest(home)):
            pass
    except OSError as error:
        reason = error.strerror or error
        return f"{home}, not writable ({reason})", "set LIVERVLM_CACHE to a folder that you can write to"
    return f"{home}, {size}, writable", ""


def _bytes(folder: Path) -> Iterator[int]:
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                yield os.lstat(os.path.join(place, name)).st_size
            except OSError:  # another process took it away
                continue


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def _disk() -> tuple[str, str]:
    free = shutil.disk_usage(_nearest(cache_home())).free
    return f"{free / 1e9:,.0f} GB free for the cache", "make room, or set LIVERVLM_CACHE" if free < LITTLE else ""


def _profile() -> tuple[str, str]:
    profile = current_profile()
    given = "" if os.environ.get("LIVERVLM_PROFILE") else "not set: "
    return f"{given}{profile.name}, {profile.size} px, {profile.epochs} epochs, text {profile.text_encoder}", ""


def _data() -> tuple[str, str]:
    name = os.environ.get("LIVERVLM_DATA") or "phantom"
    if name == "phantom":
        return "not set: the phantom", ""
    from ..scans.lesions import LesionSet
    from .shared import described

    return f"{name}: {described(LesionSet.load(name))}", ""


# -- What is printed -----------------------------------------------------------------------------------------------


def _conclusion(works: dict[str, bool]) -> str:
    able = [what for what, needs in ABLE.items() if all(works[name] for name in needs)]
    marked = sum(not one for one in works.values())
    said = f"Works: {', '.join(able)}." if "training" in able else "Nothing can be trained here."
    return f"{said} To do: the {marked} lines with !." if marked else said


def _print_finding(one: Finding, heading: bool) -> None:
    head = f"{' ' if one.works else '!'} {one.name:<16} "
    shape = {"initial_indent": head, "subsequent_indent": " " * len(head)}
    text = f"{one.found}; {one.remedy}" if one.remedy else one.found
    if heading:
        print(one.subject)
    print(textwrap.fill(text, WIDTH, **shape, break_long_words=False, break_on_hyphens=False))


def _private(text: str) -> str:
    """The same without the reader's name: home is `~`, and the user's folders elsewhere are `$USER`."""
    home = str(Path.home())
    if home != "/":
        text = re.sub(rf"(?<![\w.-]){re.escape(home)}(?![\w.-])", "~", text)
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a number without a name, as in some containers
        return text
    return re.sub(rf"(?<=/){re.escape(user)}(?![\w.-])", "$USER", text)
