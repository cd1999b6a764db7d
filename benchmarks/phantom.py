"""How fast the phantom is, and how fast studies are read from files."""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from common import Figure, seconds

from livervlm.cli import main
from livervlm.phantom.abdomen import abdomen_study, draw_abdomens
from livervlm.phantom.cohort import make_cohort
from livervlm.studies.manifest import import_studies

STUDIES = 8
SIZE = 128  # pixels a side of a whole abdomen


def measure() -> list[Figure]:
    rate = {}
    for jobs in (1, 2):
        make_cohort(1, patients=8, jobs=jobs, progress=False)  # starts the processes
        spent = seconds(lambda jobs=jobs: rate.update({jobs: len(make_cohort(0, size=64, jobs=jobs, progress=False))}))
        rate[jobs] /= spent
    found = [Figure("phantom ROIs at 64 px, one process", rate[1], "a second")]
    found.append(Figure("phantom ROIs at 64 px, two processes", rate[2], "a second", goal=">= 200"))
    found.append(Figure("two processes", rate[2] / rate[1], "times as fast as", "one"))
    found.append(_abdomen())
    with TemporaryDirectory() as folder:
        main(["phantom", "--studies", str(STUDIES), "--out", folder + "/studies"])
        (manifest,) = Path(folder, "studies").glob("*.csv")
        spent = seconds(lambda: import_studies(manifest, size=64, progress=False, jobs=1))
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        files = sum(file.suffix == ".dcm" for file in Path(folder).rglob("*"))
        plain = seconds(lambda: [file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()])
    found.append(
        Figure(
            f"import of {STUDIES} DICOM studies ({files} files, {size / 1e6:.0f} MB)",
            3600 * STUDIES / spent,
            "studies an hour",
        )
    )
    found.append(Figure("the same", spent / plain, "times as long as", "reading the files' bytes"))
    return found


def _abdomen() -> Figure:
    """Seconds of a whole study, patient and scan in three phases, in one process: the median of five patients."""
    slices = []

    def scan(number: int) -> None:
        slices.append(len(abdomen_study(draw_abdomens(0, 1, first=number)[0], size=SIZE).organs))

    spent = [seconds(lambda n=number: scan(n)) for number in range(5)]
    what = f"a whole abdomen, {SIZE} x {SIZE} pixels, {median(slices):.0f} slices, three phases, one process"
    return Figure(what, median(spent), "s", goal="<= 5")
