"""`load_dataset`: the phantom by default, or a reader's own `LesionSet`."""

import os
from pathlib import Path

from .lesions import LesionSet
from .paths import cache_home
from .phantom import PHANTOM_VERSION, make_cohort
from .profiles import current_profile


def load_dataset(name: str | Path | None = None, *, progress: bool = True) -> LesionSet:
    """The data that a chapter runs on.

    name: "phantom", or the path of a file that `LesionSet.save` wrote; without it `LIVERVLM_DATA`, else the
    phantom.  The phantom comes at the current profile's resolution and is made once, then read from the cache.
    """
    name = str(name or os.environ.get("LIVERVLM_DATA") or "phantom")
    if name != "phantom":
        return LesionSet.load(name)
    size = current_profile().size
    path = cache_home() / "phantom" / f"v{PHANTOM_VERSION}-seed0-{size}px.safetensors"
    if not path.exists():
        make_cohort(seed=0, size=size, progress=progress).save(path)
    return LesionSet.load(path)
