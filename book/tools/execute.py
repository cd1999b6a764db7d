"""Execute the chapters whose outputs are not kept, as many at a time as there are cores; Jupyter Book finds them.

`make book` runs this after `key.py`, which drops the outputs that no longer hold.  Jupyter Book itself would execute
one chapter after the other.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import yaml
from joblib import Parallel, cpu_count, delayed
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from myst_nb.core.read import read_myst_markdown_notebook
from nbformat import NotebookNode
from pages import Book

ROOT = Path(__file__).resolve().parents[2]
MOST_VECTORS = 300_000  # characters; more are slow to draw


def execute(root: Path, say: Callable[[str], None]) -> list[str]:
    """Execute what is missing and keep its outputs; returns the chapters that failed ("book/luck.md")."""
    cache = get_cache(root / "_build" / ".jupyter_cache")
    paths = [source.path for source in Book(root).sources if source.executable]
    notebooks = {p: read_myst_markdown_notebook((root / p).read_text("utf-8"), add_source_map=True) for p in paths}
    todo = {path: notebook for path, notebook in notebooks.items() if not _kept(cache, notebook)}
    if not todo:
        return []
    timeout = yaml.safe_load((root / "_config.yml").read_text("utf-8"))["execute"].get("timeout")
    jobs, failed = min(cpu_count(), len(todo)), []
    os.environ["LOKY_MAX_CPU_COUNT"] = str(cpu_count() // jobs)  # what is left for the folds of each chapter
    work = (delayed(_run)(path, notebook, timeout) for path, notebook in todo.items())
    with both_drawings():
        for path, result in Parallel(jobs, prefer="threads", return_as="generator_unordered")(work):
            if result.err:
                failed.append(path.as_posix())
                say(f"{path}: failed\n{result.exc_string}")
            else:
                bundle = CacheBundleIn(result.nb, str(root / path), data={"execution_seconds": result.time})
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
                say(f"{path}: {result.time:.0f} s")
    return failed


def _kept(cache: JupyterCacheAbstract, notebook: NotebookNode) -> bool:
    try:
        cache.match_cache_notebook(notebook)
    except KeyError:
        return False
    return True


def _run(path: Path, notebook: NotebookNode, timeout: int | None) -> tuple[Path, ExecutionResult]:
    quiet = ["--log-level=ERROR"]  # the kernel would warn that it talks to this process without encryption
    with TemporaryDirectory() as empty:  # every build proves that a chapter runs from an empty folder
        how = {"cwd": empty, "timeout": timeout, "allow_errors": False, "extra_arguments": quiet}
        result = single_nb_execution(notebook, **how)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            one_drawing(output.get("data", {}))
    return path, result


def one_drawing(data: dict[str, str]) -> None:
    """Leave the vectors of a chart, which stay sharp, and of a CT slice or a cloud of dots only the pixels."""
    vectors = data.get("image/svg+xml", "")
    if "<image" in vectors or len(vectors) > MOST_VECTORS:
        del data["image/svg+xml"]


@contextmanager
def both_drawings() -> Iterator[None]:
    """Kernels that start in here draw each figure twice: as pixels and as vectors."""
    with TemporaryDirectory() as folder:
        profile = Path(folder) / "profile_default"
        profile.mkdir()
        (profile / "ipython_kernel_config.py").write_text('c.InlineBackend.figure_formats = {"png", "svg"}\n')
        with patch.dict(os.environ, IPYTHONDIR=folder):
            yield


if __name__ == "__main__":
    failed = execute(ROOT, partial(print, flush=True))
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
