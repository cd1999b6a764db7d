"""Run the benchmarks, each in a process of its own, and write what they found: `make bench`, or some of them by name.

    python benchmarks/bench.py [name ...]

`results.json` holds the figures of each, with the machine they belong to; `results.md` is what the book shows of it.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from datetime import date
from importlib import import_module
from pathlib import Path

from common import ROOT, Figure, environment

from livervlm.base.paths import written_whole

HERE = Path(__file__).parent
TITLES = {  # of the section, and the caption of its table
    "training": ("A training step", "Time of a step and of its parts, for each network and picture size."),
    "folds": (
        "Five folds, and one training by other trainers",
        "Speed of cross-validation and of one training against other programs, and the accuracies reached.",
    ),
    "grad_cam": ("Grad-CAM", "Speed of the maps of all classes, by itself and against another package."),
    "phantom": ("The phantom, and files", "Speed of drawing patients and of reading small studies."),
    "studies": ("Import of studies", "Speed, processor time and memory of an import of large studies."),
    "zero_shot": ("Zero-shot", "Speed of answers where each sentence is encoded once."),
    "startup": ("Start-up", "Seconds that a command and an import take beyond the start of Python."),
    "size": ("Cost against size", "Time and memory of an epoch for each patient, by cohort and picture size."),
    "lighthouse": ("Pages", "Lighthouse on a simulated phone, the median of three runs; compressed files."),
    "book": ("The book and its tests", "Seconds to build the book, its chapters one by one, and to run the tests."),
}


def digits(value: float) -> str:
    """Three of them: 0.0512, 1.00, 58,700."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:#.3g}"


def page(results: dict) -> str:
    """The results as Markdown: a table for each benchmark, with the machine under it."""
    parts = []
    for name, (title, caption) in TITLES.items():
        if name in results:
            lines = [f"## {title}", "", f":::{{table}} {caption}"]
            lines += ["| figure | measured | goal |", "| --- | --- | --- |"]
            for one in results[name]["figures"]:
                met = Figure(**one).met
                goal = f"{one['goal']}: {'met' if met else '**missed**'}" if one["goal"] else ""
                value = digits(one["value"])
                if met is False and value == digits(float(one["goal"].split()[1])):
                    value = f"{one['value']:.5g}"  # three digits would hide by how much it was missed
                value = f"{value} {one['unit']} {one['against']}".strip()
                lines.append(f"| {one['what']} | {value} | {goal} |")
            where = ", ".join(f"{key} {value}" for key, value in results[name]["environment"].items())
            lines += [":::", "", f"{results[name]['date']}; {where}."]
            parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def main(names: list[str]) -> None:
    file, failed = HERE / "results.json", []
    if unknown := [name for name in names if name not in TITLES]:
        sys.exit(f"no benchmark {unknown[0]!r}: choose of {', '.join(TITLES)}")
    for name in names or TITLES:
        print(f"{name} ...", flush=True)
        process = subprocess.run([sys.executable, __file__, "--one", name], stdout=subprocess.PIPE, text=True)
        if process.returncode:
            failed.append(name)
            continue
        found = json.loads(process.stdout.splitlines()[-1])
        for one in found["figures"]:
            print(f"  {one['what']}: {digits(one['value'])} {one['unit']} {one['against']}  {one['goal']}")
        results = json.loads(file.read_text()) if file.exists() else {}
        results[name] = found
        for path, text in ((file, json.dumps(results, indent=1) + "\n"), (HERE / "results.md", page(results))):
            with written_whole(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
    if failed:
        sys.exit(f"failed, and their last figures stay: {', '.join(failed)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measured = [asdict(one) for one in import_module(sys.argv[2]).measure()]
        print(json.dumps({"date": date.today().isoformat(), "environment": environment(), "figures": measured}))
    else:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.chdir(ROOT)
        main(sys.argv[1:])
