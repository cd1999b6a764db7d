"""Cost against size: seconds and memory of one fold for each patient, as patients and pixels grow."""

import json
import subprocess
import sys

from common import Figure

PATIENTS, SIZES = (85, 850, 10_000), (64, 224)
# One fold in a process of its own, so that its peak is its own: patients, pixels, groups of one set that is copied.
CODE = """
import json, resource, sys, tempfile, time
from dataclasses import replace
import numpy as np
from livervlm import load_dataset, LesionSet
from livervlm.base.profiles import Profile
from livervlm.runs.cells import fold_answers, one_thread
from livervlm.runs.methods import Trained
patients, size, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
path = f"{folder}/set.safetensors"
if len(sys.argv) > 4:  # make the set: the phantom's pictures again and again, as other patients
    few = load_dataset("phantom", size=size, progress=False)
    copies = -(-patients // 85)
    parts = [replace(few, patient=few.patient + 85 * i) for i in range(copies)]
    LesionSet.concatenate(parts).save(path)
    sys.exit()
lesions = LesionSet.load(path)
start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with one_thread():
    fold_answers(Trained(), lesions, 1, Profile("benchmark", size, 1, "minilm", "resnet10_narrow"), 0)
spent = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps([len(np.unique(lesions.patient)), len(lesions), spent, peak / 1024]))
"""


def measure() -> list[Figure]:
    from tempfile import TemporaryDirectory

    found = []
    for size in SIZES:
        for patients in PATIENTS if size == 64 else PATIENTS[:2]:
            with TemporaryDirectory() as folder:
                call = [sys.executable, "-c", CODE, str(patients), str(size), folder]
                subprocess.run([*call, "make"], check=True)
                done = subprocess.run(call, check=True, capture_output=True, text=True).stdout
            n, slices, spent, peak = json.loads(done.splitlines()[-1])
            where = f"one fold, one epoch, {n:,} patients, {slices:,} slices of {size} px"
            found.append(Figure(where, 1e3 * spent / n, "ms a patient"))
            found.append(Figure(where, 1e3 * peak / n, "kB a patient"))
    return found
