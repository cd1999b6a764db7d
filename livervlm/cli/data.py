"""Data sets: `livervlm phantom`, `livervlm scan` and `livervlm import`."""

import argparse
import re
import secrets
from pathlib import Path

from ..base.errors import InputError
from ..base.paths import written_whole
from .shared import ANY, chosen_profile, described, refuse_no_set


def phantom(arguments: argparse.Namespace) -> None:
    from ..phantom.cohort import make_cohort

    if arguments.studies:
        return _write_studies(arguments)
    refuse_no_set(arguments.out)
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
            files = write_study(phantom_study(patient), new / name, "dicom", f"phantom {name}")
            columns = {column: str(file.relative_to(new)) for column, file in files.items()}
            rows.append({"patient": name, "label": patient.kind, "group": patient.group, **columns})
        pd.DataFrame(rows).to_csv(new / "studies.csv", index=False)
    print(f"{out}: DICOM series of {len(rows)} phantom patients; `livervlm import {out / 'studies.csv'}` reads them")


def import_(arguments: argparse.Namespace) -> None:
    from ..studies.manifest import ImportReport, import_studies
    from ..studies.table import shortened
    from .imported import beside, check_free, summary, write

    size = arguments.size or chosen_profile(arguments).size
    check_free(arguments.out)
    report = ImportReport()
    lesions = import_studies(
        arguments.manifest,
        size,
        n_groups=arguments.groups,
        seed=arguments.seed,
        classes=arguments.classes,
        phases=None if arguments.phases == ANY else arguments.phases,
        incomplete=arguments.phases == ANY,
        accept_doubts=arguments.accept_doubts,
        aligned=arguments.align,
        jobs=arguments.jobs,
        report=report,
    )
    write(arguments.out, lesions, report)
    print(f"{arguments.out}: {described(lesions)}")
    print(f"{summary(report)} See {beside(arguments.out, '.report.html')}")
    rows_by_line: dict[str, list[int]] = {}
    for fault in report.faults:
        rows_by_line.setdefault(f"left out: {fault.message}", []).append(fault.row)
    for one in report.lesions:
        for line in one.said.lines():
            rows_by_line.setdefault(line, []).append(one.row)
    for line in report.notes:
        print(line)
    for line, rows in rows_by_line.items():
        print(f"{shortened(list(dict.fromkeys(rows)))}: {line}")


def scan(arguments: argparse.Namespace) -> None:
    """Write a first table of the studies in a folder, for a person to edit."""
    import pandas as pd

    from ..studies.layouts import LAYOUTS, published
    from ..studies.proposed import propose_studies
    from ..studies.table import shortened

    out = Path(arguments.out)
    if out.exists():
        raise InputError(f"{out}: already there, and you may have edited it; name a new file")
    salt_file = out.with_name("scan.salt")
    salt = _salt(salt_file)
    home = out.resolve().parent
    if arguments.layout:
        table = published(arguments.layout, arguments.folder, home, salt, arguments.look)
    else:
        table = propose_studies(arguments.folder, home, salt, arguments.look)
    _keep_salt(salt_file, salt)
    with written_whole(out) as new:
        pd.DataFrame(table.rows, columns=table.columns).to_csv(new, index=False)
    print(f"{out}: {table.patients} patients, {table.studies} studies, {len(table.rows)} rows")
    print(f"fill in the labels, settle the doubts, then: livervlm import {out} --out mine.safetensors")
    print(f"{salt_file}: makes the patients' keys; keep it apart from the table, or delete it and they change")
    rows_by_doubt = {}
    for row, doubts in enumerate(table.doubts, start=2):
        for line in dict.fromkeys(re.sub(r" \(.*\)", "", doubt) for doubt in doubts):
            rows_by_doubt.setdefault(line, []).append(row)
    for line, rows in rows_by_doubt.items():
        print(f"{shortened(rows)}: {line}")
    for kind, number in sorted(table.left_out.items()):
        print(f"left out: {number} x {kind}")
    if arguments.layout:
        about = LAYOUTS[arguments.layout]
        print(f"import it with --classes {','.join(about.classes)}")
        for line in about.beware:
            print(f"beware: {line}")


def _salt(file: Path) -> bytes:
    """Of an earlier scan into this folder, else a new one."""
    if not file.exists():
        return secrets.token_bytes(32)
    try:
        salt = bytes.fromhex(file.read_text(encoding="ascii"))
    except ValueError:
        salt = b""
    if len(salt) != 32:
        raise InputError(f"{file}: not the salt of an earlier scan; move it elsewhere")
    return salt


def _keep_salt(file: Path, salt: bytes) -> None:
    """Where there is none yet: for its owner alone, whole or not at all."""
    if not file.exists():
        with written_whole(file, mode=0o600) as new:
            new.touch(0o600)
            new.write_text(salt.hex(), encoding="ascii")
