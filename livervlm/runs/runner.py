"""Run cells: those that have their record are not run again, and no two processes work on the same one.

A kill loses at most the cells in flight; the same call goes on.
"""

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout
from joblib import Parallel, cpu_count, delayed, parallel_config

from ..base.device import best_device
from ..base.errors import InputError
from ..base.progress import bar
from .records import write_record

# Between two cells joblib replaces a worker whose memory has grown, and warns of it.  Nothing is lost.
warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor", UserWarning)


class Work(Protocol):
    """What can be run: a `cells.Cell`, or a `cross_validation.Fold`.  `path` names its record, `record` makes it."""

    def path(self, out: str | Path) -> Path: ...
    def record(self) -> dict[str, Any]: ...


def run(
    todo: Sequence[Work],
    out: str | Path,
    *,
    name: str = "cells",
    jobs: int | None = None,
    dask: str | None = None,
    wait: bool = False,
    progress: bool = True,
) -> dict[str, int]:
    """Run what has no record yet; returns how many were done before, done now, and left to other processes.

    name: of the bar.  jobs: local processes of one thread each, by default one a core (one on a GPU).  dask: instead
    the address of a Dask scheduler, whose workers see the same folders.  wait: for what another process is at.
    """
    missing = [work for work in todo if not work.path(out).exists()]
    counts = {"before": len(todo) - len(missing), "now": 0, "elsewhere": 0}
    jobs = jobs or (1 if best_device().type == "cuda" else max(min(cpu_count(), len(missing)), 1))
    with ExitStack() as stack:
        if dask:
            try:
                from distributed import Client
            except ImportError as error:
                raise InputError("--dask needs a package: pip install 'livervlm[cluster]'") from error
            stack.enter_context(Client(dask, set_as_default=True))
            stack.enter_context(parallel_config("dask"))
        ran = Parallel(None if dask else jobs, return_as="generator_unordered", pre_dispatch="2*n_jobs")(
            delayed(run_one)(work, Path(out).absolute(), wait) for work in missing
        )
        for done in bar(ran, name, progress, total=len(todo), initial=counts["before"]):
            counts["now" if done else "elsewhere"] += 1
    return counts


def run_one(work: Work, out: str | Path, wait: bool = False) -> bool:
    """Run one and write its record; False where another process is at it, or with `wait` has done it."""
    path = work.path(out)
    lock = Path(out).absolute() / ".locks" / "-".join((*path.relative_to(Path(out).absolute()).parts[:-1], path.stem))
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=-1 if wait else 0):  # the system releases the lock when its process dies
            done = not path.exists()
            if done:
                with parallel_config("sequential"):  # on a cluster a cell could wait for a cell that waits for it
                    made = work.record()
                write_record(path, made)
            lock.unlink(missing_ok=True)
    except Timeout:
        return False
    return done
