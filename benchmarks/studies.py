"""Studies imported in an hour, and the most memory of a process: 512 x 512 x 100 in three phases, as DICOM.

The pictures are noise around a bright ellipsoid: what they show costs nothing, how many there are does.
"""

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import Figure

STUDIES, SHAPE = 6, (100, 512, 512)
SPACING = (2.5, 0.7, 0.7)  # mm along Z, Y, X


def measure() -> list[Figure]:
    found = []
    with tempfile.TemporaryDirectory() as home:
        _write(Path(home))
        what = f"studies of {SHAPE[1]} x {SHAPE[2]} x {SHAPE[0]} in 3 phases, DICOM"
        for jobs, name in ((1, "one process"), (2, "two processes")):
            call = [sys.executable, __file__, f"{home}/studies.csv", str(jobs), f"{home}/cache{jobs}"]
            start = time.perf_counter()
            printed = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True).stdout
            wall, told = time.perf_counter() - start, json.loads(printed.splitlines()[-1])
            found.append(Figure(f"{what}, {name}", 3600 * STUDIES / wall, "an hour", f"(of {STUDIES}, with the start)"))
            found.append(Figure(f"the same, {name}", told["cpu"] / STUDIES, "s of CPU", "a study"))
            found.append(Figure(f"the same, {name}", told["memory"] / 1e6, "MB", "at most in a process"))
    return found


def _write(home: Path) -> None:
    import pandas as pd

    from livervlm.scans.study import Study
    from livervlm.studies.files import write_study

    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    lesion = ((z - 50) / 6) ** 2 + ((y - 250) / 25) ** 2 + ((x - 200) / 25) ** 2 <= 1
    rows = []
    for number in range(STUDIES):
        rng = np.random.default_rng(number)
        noise = [rng.normal(0, 12, SHAPE).astype(np.float32) for _ in range(3)]
        volumes = {p: 60 + 25 * i - 40 * lesion + noise[i] for i, p in enumerate(("NC", "ART", "PV"))}
        box = (44, 57, 225, 276, 175, 226)
        study = Study(volumes, SPACING, "PV", box, {}, {"lesion": dict.fromkeys(volumes, lesion)})
        files = write_study(study, home / f"s{number}", "dicom")
        rows.append(
            {"patient": number, "label": "HCC", "group": 1 + number % 2} | {c: str(f) for c, f in files.items()}
        )
    pd.DataFrame(rows).to_csv(home / "studies.csv", index=False)


def _import(table: str, jobs: str, cache: str) -> None:
    os.environ["LIVERVLM_CACHE"] = cache
    from livervlm.studies.manifest import ImportReport, import_studies

    import_studies(table, 64, progress=False, jobs=int(jobs), accept_doubts=True, report=ImportReport())
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)  # so that what its processes spent is known
    own, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(one.ru_utime + one.ru_stime for one in (own, theirs))
    # By the kernel's own count: `own.ru_maxrss` begins with what the process that started this one had.
    (mine,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps({"cpu": cpu, "memory": 1024 * max(int(mine), theirs.ru_maxrss)}))


if __name__ == "__main__":
    _import(*sys.argv[1:])
