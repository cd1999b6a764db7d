"""Where the package's own data lie, where caches go, and how a file is written whole or not at all."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from safetensors import SafetensorError


def data_file(name: str) -> Path:
    """Path of a file of `data/`: inside an installed package, or beside it in a checkout."""
    package = Path(str(files("livervlm")))
    inside = package / "data" / name
    return inside if inside.exists() else package.parent / "data" / name


def cache_home() -> Path:
    """Folder for what can be made again (phantoms, text features, runs): `LIVERVLM_CACHE` or the user's cache."""
    base = os.environ.get("LIVERVLM_CACHE") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "livervlm"
    return Path(base).expanduser()


@contextmanager
def written_whole(path: str | Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success it becomes `path`, on any error it is removed.

    Readers therefore never meet half a file, and two writers never mix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _told(path, temporary):
            yield temporary
        temporary.chmod(mode)  # safetensors leaves its files readable by their owner alone
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(folder: str | Path) -> Iterator[Path]:
    """The same for a folder; one that stood there is replaced only when the new one is complete."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        temporary = Path(scratch) / "new"
        temporary.mkdir()
        with _told(folder, temporary):
            yield temporary
        for file in temporary.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)
        old = Path(scratch) / "old"
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(temporary, folder)
        except BaseException:  # an interrupt between the two
            if old.exists():
                os.replace(old, folder)
            raise


@contextmanager
def _told(path: Path, temporary: Path) -> Iterator[None]:
    """A full disk is an `OSError` that names what was to be written; safetensors has an error of its own for it."""
    try:
        yield
    except SafetensorError as error:
        told = re.search(r"os error (\d+)", str(error))
        if not told:
            raise
        raise OSError(int(told[1]), os.strerror(int(told[1])), str(path)) from None
    except OSError as error:
        if error.errno is None or not str(error.filename or temporary).startswith(str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None
