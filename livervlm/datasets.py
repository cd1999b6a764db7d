"""`load_dataset`: the phantom by default, or a reader's own `LesionSet`."""

import os
from pathlib import Path

from .base.cache import made_once
from .base.errors import InputError
from .base.profiles import current_profile
from .phantom.cohort import make_cohort
from .phantom.patients import PHANTOM_VERSION
from .scans.lesions import LesionSet


def load_dataset(name: str | Path | None = None, *, progress: bool = True, **parameters) -> LesionSet:
    """The data that a chapter runs on.

    name: "phantom", or the path of a file that `LesionSet.save` wrote, whose slices have every phase; without it
    `LIVERVLM_DATA`, else the phantom.  The phantom comes at the current profile's resolution, or with other
    `parameters` of `make_cohort`; it is made once, then read from the cache, which knows it by version and all
    parameters.
    """
    name = str(name or os.environ.get("LIVERVLM_DATA") or "phantom")
    if name != "phantom":
        if parameters:
            raise InputError(f"{name}: {', '.join(parameters)} belong to the phantom, not to a file; leave them out")
        lesions = LesionSet.load(name)
        lesions.require_every_phase(f"{name}: a chapter")
        return lesions
    parameters = {"seed": 0, "size": current_profile().size, **parameters}
    settings = {key: repr(value) for key, value in parameters.items() if key != "jobs"}  # jobs change no byte
    path = made_once(
        "phantom", [PHANTOM_VERSION, settings], lambda path: make_cohort(**parameters, progress=progress).save(path)
    )
    return LesionSet.load(path)
