"""Seconds of the book and of its tests, in a fresh clone: cold, warm, and after a change."""

import os
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from common import ROOT, Figure, seconds
from jupyter_cache import get_cache


def measure() -> list[Figure]:
    with TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        (clone / ".venv").symlink_to(ROOT / ".venv")
        os.utime(ROOT / ".venv" / ".ready")  # the environment is that of this checkout
        environment = {**os.environ, "PYTHONPATH": str(clone)}
        environment.pop("OMP_NUM_THREADS", None)  # `make` sets it

        def make(*what: str) -> str:
            done = subprocess.run(["make", *what], cwd=clone, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"make {' '.join(what)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
            return done.stdout

        def changed(file: str, text: str) -> None:
            path = clone / file
            path.write_text(path.read_text() + text)

        found = [Figure("make book, nothing kept", seconds(lambda: make("book")), "s", goal="<= 600")]
        records = get_cache(clone / "_build" / ".jupyter_cache").list_cache_records()
        chapters = {Path(record.uri).stem: record.data["execution_seconds"] for record in records}
        found += [Figure(f"its chapter {name}", spent, "s") for name, spent in sorted(chapters.items())]
        found.append(Figure("make book, nothing changed", seconds(lambda: make("book")), "s"))
        changed("book/luck.md", "\n```{code-cell} ipython3\n1 + 1\n```\n")
        make("notebooks")
        found.append(Figure("make book, one chapter changed (luck)", seconds(lambda: make("book")), "s"))
        changed("livervlm/evaluation/forensics.py", "\n\nANOTHER = 1\n")
        found.append(Figure("make book, one module changed (forensics)", seconds(lambda: make("book")), "s"))
        subprocess.run(["git", "checkout", "-q", "."], cwd=clone, check=True)
        environment["PYTEST_ADDOPTS"] = "--durations=10"
        said = {}
        found.append(Figure("make test", seconds(lambda: said.update(all=make("test"))), "s", goal="<= 360"))
        slowest = re.findall(r"^([\d.]+)s (?:call|setup) +tests/(\S+)", said["all"], re.MULTILINE)
        names = (test.partition("::test_")[2].replace("_", " ") for _, test in slowest)  # words, which a page can wrap
        return found + [Figure(f"its slowest: {n}", float(s), "s") for n, (s, _) in zip(names, slowest, strict=True)]
