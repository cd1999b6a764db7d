"""Damage small inputs of every format and read them: `make fuzz`.

    python benchmarks/fuzz.py [--n 3000] [--seed 0] [--jobs 1] [--only FORMAT] [--input NUMBER] [--write]

Every input is read in a process of its own, in which memory and time are bounded.  It must be read, or refused with one
line.  What must not happen is counted by format and by kind of damage; the exit status is 1 where any of it did.
"""

import argparse
import contextlib
import csv
import gc
import hashlib
import importlib
import json
import multiprocessing
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}

import numpy as np
from common import ROOT
from fuzz_damage import DAMAGES
from fuzz_inputs import FORMATS, SECRET

from livervlm.base.code import code_key
from livervlm.base.errors import InputError

MEMORY = 1.5e9  # bytes above what the process had before it read
BRAKE = 4e9  # where the system refuses more; a refusal counts as over `MEMORY`, too
SECONDS = 20.0
RESULT = ROOT / "benchmarks" / "fuzz.json"
GOOD = ("read", "refused")
BAD = ("traceback", "memory", "time", "name", "half-written")
OUTPUTS = re.compile(
    r"set\.(safetensors|report\.json|report\.html|key\.csv)|answers\.(patients\.)?csv|proposed\.csv|scan\.salt"
)
TABLE = "proposed.csv"
CAUGHT = "reading failed with"  # how an import words an error that is no `InputError`
REFUSED = "livervlm: error: "  # one line follows, and no other
NO_MEMORY = "does not fit into memory"


def try_one(number: int, seed: int, whole: Path, formats: list[str]) -> dict:
    """Damage and read input `number`: its format, the damage, what came of it, and the end of what was said."""
    rng = np.random.default_rng([seed, number])
    form, kind = formats[number % len(formats)], [*DAMAGES][number // len(formats) % len(DAMAGES)]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        folder = Path(scratch) / str(number)
        shutil.copytree(whole / form, folder)
        files = sorted(folder.glob(FORMATS[form].files))
        file = files[rng.integers(len(files))]
        others = sorted(one for one in whole.rglob("*") if one.is_file() and one.stat().st_size < 1e6)
        other = others[rng.integers(len(others))].read_bytes()
        file.write_bytes(DAMAGES[kind](file.read_bytes(), rng, other))
        before = _content(folder)
        outcomes, said = _in_a_child(form, folder, before)
    return {"number": number, "format": form, "damage": kind, "outcomes": outcomes, "said": said}


def _in_a_child(form: str, folder: Path, before: dict[str, str]) -> tuple[list[str], str]:
    answers, ours = os.pipe()
    child = os.fork()
    if not child:
        os.close(answers)
        with contextlib.suppress(BaseException):
            os.write(ours, json.dumps(_read(form, folder, before)).encode())
        os._exit(0)
    os.close(ours)
    with open(answers, "rb") as pipe:
        there, _, _ = select.select([pipe], [], [], SECONDS)
        if not there:
            os.kill(child, signal.SIGKILL)
        told = pipe.read()
    os.waitpid(child, 0)
    if not there:
        return ["time"], ""
    return tuple(json.loads(told)) if told else (["traceback"], "the process died")


def _read(form: str, folder: Path, before: dict[str, str]) -> tuple[list[str], str]:
    """What came of reading, in the process that reads."""
    os.environ["LIVERVLM_CACHE"] = str(folder / "cache")
    said = folder.parent / "said"
    with open(said, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    warnings.simplefilter("always")
    at_first = _most_memory()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (int(at_first + BRAKE), hard))
    outcomes = []
    try:
        outcomes.append("refused" if FORMATS[form].read(folder) else "read")
    except InputError as error:
        print(f"{REFUSED}{error}")
        outcomes.append("refused")
    except BaseException as error:
        print("".join(traceback.format_exception(error)))
        outcomes.append("memory" if isinstance(error, MemoryError) else "traceback")
    sys.stdout.flush()
    sys.stderr.flush()
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    text = said.read_bytes().decode("utf-8", "replace").replace(str(folder), "")
    if CAUGHT in text or "\n" in text.strip().partition(REFUSED)[2]:
        outcomes.append("traceback")
    if _most_memory() - at_first > MEMORY or NO_MEMORY in text:
        outcomes.append("memory")
    written = {file: (folder / file).read_bytes().decode("latin-1") for file in _content(folder) if file not in before
               or OUTPUTS.fullmatch(file)}  # fmt: skip
    if TABLE in written:  # its cells are the paths of what it lists
        for path in sorted({str(of) for file in before for of in (Path(file), *Path(file).parents)}, key=len)[:0:-1]:
            written[TABLE] = written[TABLE].replace(path, "")
    pictures = re.compile(r"data:image/\w+;base64,[\w+/=]+")
    if any(SECRET.search(pictures.sub("", one)) for one in (text, *written, *written.values())):
        outcomes.append("name")
    if not _whole(outcomes[0], folder, before):
        outcomes.append("half-written")
    return outcomes, text.strip()[-1500:]


def _most_memory() -> int:
    """Bytes of address space that this process had at most."""
    told = re.search(r"VmPeak:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(told[1])


def _content(folder: Path) -> dict[str, str]:
    """The hash of each file, by its path."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def _whole(outcome: str, folder: Path, before: dict[str, str]) -> bool:
    """Whether nothing but outputs was written, these whole, and where the input was refused nothing at all."""
    after = _content(folder)
    changed = {file for file in {*before, *after} if before.get(file) != after.get(file)}
    outputs = {file for file in changed if OUTPUTS.fullmatch(file)}
    kept = {file for file in changed if re.fullmatch(r"cache/studies/(salt|\w+\.safetensors)", file)}
    if changed != outputs | kept or (outcome != "read" and outputs):
        return False
    if TABLE in outputs:
        with open(folder / TABLE, newline="", encoding="utf-8") as file:
            return len({len(row) for row in csv.reader(file)}) == 1
    return not outputs or "answers.csv" in outputs or _set_is_whole(folder)


def _set_is_whole(folder: Path) -> bool:
    from livervlm.scans.lesions import LesionSet

    lesions, report = LesionSet.load(folder / "set.safetensors"), json.loads((folder / "set.report.json").read_text())
    page, key = (folder / "set.report.html").read_text(), (folder / "set.key.csv").read_text()
    return (
        report["set"]["fingerprint"] == lesions.fingerprint()
        and page.rstrip().endswith("</html>")
        and key.count("\n") == len(lesions) + 1
    )


def _make(whole: Path, formats: list[str]) -> list[str]:
    """Whole inputs, each of which is read as it is; returns the modules that this needs.

    In a process of its own: threads of the libraries must not be there when others are forked.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    for form in formats:
        (whole / form).mkdir()
        FORMATS[form].write(whole / form)
        trial = shutil.copytree(whole / form, whole / "0")
        os.environ["LIVERVLM_CACHE"] = str(trial / "cache")
        if FORMATS[form].read(trial):
            raise RuntimeError(f"{form}: the whole input is not read")
        shutil.rmtree(trial)
    return [name for name in sys.modules if "__main__" not in name]


def is_bad(one: dict) -> bool:
    return not {*BAD}.isdisjoint(one["outcomes"])


def told(one: dict) -> dict:
    """The same, after it was shown where it is bad."""
    if is_bad(one):
        outcomes = ", ".join(one["outcomes"])
        print(f"input {one['number']}, {one['format']}, {one['damage']}: {outcomes}\n{one['said']}\n", flush=True)
    return one


def table(tried: list[dict], by: str) -> str:
    """Counts as lines of text."""
    counts = {name: Counter() for name in dict.fromkeys(one[by] for one in tried)}
    for one in tried:
        counts[one[by]].update(one["outcomes"])
    wide = max(map(len, counts))
    lines = [f"{by:<{wide}}" + "".join(f"{name:>13}" for name in (*GOOD, *BAD))]
    lines += [f"{name:<{wide}}" + "".join(f"{of[one]:>13}" for one in (*GOOD, *BAD)) for name, of in counts.items()]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Read damaged inputs of every format.")
    parser.add_argument("--n", type=int, default=3000, help="inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--only", choices=FORMATS, action="append", help="a format, again for another one")
    parser.add_argument("--input", type=int, metavar="NUMBER", help="this one alone")
    parser.add_argument("--write", action="store_true", help=f"write the counts to {RESULT.name}")
    arguments = parser.parse_args(argv)
    formats, start = arguments.only or [*FORMATS], time.perf_counter()
    numbers = range(arguments.n) if arguments.input is None else [arguments.input]
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as home:
        with ProcessPoolExecutor(1, mp_context=fork) as maker:
            for name in maker.submit(_make, Path(home), formats).result():
                with contextlib.suppress(ImportError):  # once, and not in every process that reads
                    importlib.import_module(name)
        code_key("livervlm.studies.cutting")
        gc.freeze()  # a collection would copy every page into each process
        read = partial(try_one, seed=arguments.seed, whole=Path(home), formats=formats)
        with ProcessPoolExecutor(arguments.jobs, mp_context=fork) as pool:
            tried = [told(one) for one in pool.map(read, numbers, chunksize=8)]
    print(table(tried, "format"), table(tried, "damage"), sep="\n\n")
    bad = [one for one in tried if is_bad(one)]
    print(f"\n{len(tried)} inputs, {len(bad)} of them bad, {time.perf_counter() - start:.0f} s")
    if arguments.write:
        RESULT.write_text(json.dumps(_result(tried, arguments.seed), indent=1) + "\n")
    return int(bool(bad))


def _result(tried: list[dict], seed: int) -> dict:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    counts = Counter(outcome for one in tried for outcome in one["outcomes"])
    formats = {name: Counter() for name in FORMATS}
    for one in tried:
        formats[one["format"]].update(one["outcomes"])
    return {
        "inputs": len(tried),
        "seed": seed,
        "commit": commit.stdout.strip(),
        "counts": {name: counts[name] for name in (*GOOD, *BAD)},
        "formats": formats,
    }


if __name__ == "__main__":
    sys.exit(main())
