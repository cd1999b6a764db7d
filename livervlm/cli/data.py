"""Data sets: `livervlm phantom` and `livervlm import`."""

import argparse
from pathlib import Path

from ..base.errors import InputError
from .shared import chosen_profile, described, shortened


def phantom(arguments: argparse.Namespace) -> None:
    from ..phantom.cohort import make_cohort

    if arguments.studies:
        return _write_studies(arguments)
    size = arguments.size or chosen_profile(arguments).size
    lesions = make_cohort(seed=arguments.seed, size=size, aligned=not arguments.misregistered)
    lesions.save(arguments.out)
    print(f"{arguments.out}: {described(lesions)}")


def _write_studies(arguments: argparse.Namespace) -> None:
    """The phantom's patients as scans on disk, with the table that `import` reads."""
    import pandas as pd

    from ..base.paths import folder_written_whole
    from ..base.progress import bar
    from ..phantom.cohort import phantom_study
    from ..phantom.patients import draw_patients
    from ..studies.files import write_study

    out = Path(arguments.out)
    if out.exists():
        raise InputError(f"{out}: already there; name a new folder")
    rows = []
    with folder_written_whole(out) as new:
        drawn = draw_patients(arguments.seed, arguments.studies)
        for number, patient in enumerate(bar(drawn, "phantom studies"), start=1):
            name = f"p{number:03d}"
            files = write_study(phantom_study(patient), new / name, "dicom")
            columns = {column: str(file.relative_to(new)) for column, file in files.items()}
            rows.append({"patient": name, "label": patient.kind, "group": patient.group, **columns})
        pd.DataFrame(rows).to_csv(new / "studies.csv", index=False)
    print(f"{out}: DICOM series of {len(rows)} phantom patients; `livervlm import {out / 'studies.csv'}` reads them")


def import_(arguments: argparse.Namespace) -> None:
    from ..studies.manifest import import_studies

    size = arguments.size or chosen_profile(arguments).size
    _no_other_file(arguments.out)
    readings = {}
    lesions = import_studies(
        arguments.manifest,
        size,
        n_groups=arguments.groups,
        seed=arguments.seed,
        classes=arguments.classes,
        readings=readings,
        accept_doubts=arguments.accept_doubts,
    )
    lesions.save(arguments.out)
    print(f"{arguments.out}: {described(lesions)}")
    rows_by_line = {}
    for row, reading in readings.items():
        for line in reading.lines():
            rows_by_line.setdefault(line, []).append(row)
    for line, rows in rows_by_line.items():
        print(f"{shortened(rows)}: {line}")


def _no_other_file(out: str) -> None:
    """A set may replace a set; whatever else has that name, a scan perhaps, stays."""
    from ..scans.lesions import LesionSet

    if Path(out).exists():
        try:
            LesionSet.load(out)
        except InputError:
            raise InputError(f"{out}: already there, and no data set of this program; name a new file") from None
