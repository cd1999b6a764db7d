"""How fast the phantom is: ROIs a second over Table 1's cohort at 64 px, by number of processes.

python benchmarks/phantom.py
"""

import time

from livervlm.phantom.cohort import make_cohort

if __name__ == "__main__":
    for jobs in (1, 2):
        make_cohort(1, patients=8, jobs=jobs, progress=False)  # starts the processes
        start = time.perf_counter()
        made = make_cohort(0, size=64, jobs=jobs, progress=False)
        seconds = time.perf_counter() - start
        print(f"{jobs} processes: {len(made) / seconds:.0f} ROIs/s ({len(made)} in {seconds:.1f} s)")
