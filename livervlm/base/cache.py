"""What can be made again is made once, under a lock, and then read."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from filelock import FileLock

from .paths import cache_home


def changed(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass that have no default, and those that differ from theirs.

    What names a record or a cache is made of these, so that a field that is added later renames nothing of before.
    """
    values = asdict(settings)
    return {f.name: values[f.name] for f in fields(settings) if values[f.name] != f.default}


def short_hash(settings: Any, digits: int = 12) -> str:
    """The first hexadecimal digits of the SHA-256 of what `json.dumps` makes of some settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:digits]


def made_once(kind: str, settings: Any, make: Callable[[Path], None], suffix: str = ".safetensors") -> Path:
    """The path, under `cache_home() / kind`, of what `make(path)` makes where it is not there yet.

    settings: all that decides the result, as JSON knows it; they name the file (or folder, with the suffix "").
    `make` writes whole or not at all.  A process that wants the same thing at the same time waits for it.
    """
    path = cache_home().absolute() / kind / f"{short_hash(settings, 16)}{suffix}"
    if not path.exists():
        with locked(path):
            if not path.exists():
                make(path)
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else who asks for this lock writes `path` meanwhile.  The system frees it when its process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        yield
