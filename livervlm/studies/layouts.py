"""Public data sets as they are published: a first table for `import`, and what is known to mislead in each.

Facts are those of the sets' own descriptions and of people who worked with them; whoever downloads a set reads its
terms.  For teaching and research, not for diagnosis.
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import InputError
from ..scans.conventions import PHASE_NAMES
from .proposed import Table, propose_studies, relative


@dataclass(frozen=True)
class Layout:
    """A public set.  rows: what reads its folder.  classes: of its lesions, for `import --classes`.

    beware: what would mislead whoever does not know it.  phases_told: by the names of its files, so that nothing is
    guessed and nobody needs a key.
    """

    rows: Callable[..., Table]
    classes: tuple[str, ...]
    beware: tuple[str, ...]
    phases_told: bool = True


def published(
    name: str, folder: str | Path, home: Path, salt: bytes, look: bool = False, progress: bool = True
) -> Table:
    """The table of a set of `LAYOUTS` in a folder; arguments else as in `propose_studies`."""
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder")
    if LAYOUTS[name].phases_told:
        if look:
            raise InputError(f"{name}: its files tell their phases; leave out --look")
        return LAYOUTS[name].rows(Path(folder), home)
    return LAYOUTS[name].rows(Path(folder), home, salt, look, progress)


MCT_KINDS = {"HCC": "HCC", "ICC": "ICC", "CRLM": "MET", "BCLM": "MET", "HH": "HEM"}
MCT_PHASES = {"NC": "nc", "ART": "art", "PV": "pvp", "DL": "delay"}


def mct_ltdiag(root: Path, home: Path) -> Table:
    """PATIENT/NIFTI/nc.nii.gz ..., PATIENT/mask_pvp.nii.gz, and the class in `meta_info_patient.tab` (or .csv)."""
    table = next((root / f"meta_info_patient.{end}" for end in ("tab", "csv") if _there(root, end)), None)
    if table is None:
        raise InputError(f"{root}: no meta_info_patient.tab in it; it names each patient's class")
    kinds = _kinds(table)
    rows, left_out = [], Counter()
    for patient, kind in kinds.items():
        scans = {phase: root / patient / "NIFTI" / f"{name}.nii.gz" for phase, name in MCT_PHASES.items()}
        scans = {phase: path for phase, path in scans.items() if path.is_file()}
        if not scans:
            packed = (root / f"{patient}.tar").is_file()
            left_out["archive that is not unpacked" if packed else "patient without a folder"] += 1
            continue
        row = {"patient": patient, "study": "1", "label": MCT_KINDS[kind], "piece": "each", "reference": "PV"}
        mask = next((p for p in (root / patient).rglob("mask_pvp.nii.gz")), None)
        files = {**scans, **({"mask_PV": mask} if mask else {})}
        rows.append(row | {column: relative(path, home) for column, path in files.items()})
    return _table(rows, left_out, root)


def _kinds(table: Path) -> dict[str, str]:
    """The class of each patient.  An error shows no cell: where columns are shifted it may be a name."""
    delimiter, kinds = "\t" if table.suffix == ".tab" else ",", {}
    try:
        lines = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines(), delimiter=delimiter))
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"{table}: no table of text; unpack or download it again") from None
    for number, line in enumerate(lines, start=2):
        if not {"ID", "type"} <= line.keys():
            raise InputError(f"{table}: no columns ID and type")
        patient, kind = ((line[name] or "").strip().strip('"') for name in ("ID", "type"))
        if kind not in MCT_KINDS or not re.fullmatch(r"[\w-]+", patient):
            raise InputError(f"{table} row {number}: ID and type must be a name and one of {', '.join(MCT_KINDS)}")
        kinds[patient] = kind
    return kinds


def _there(root: Path, end: str) -> bool:
    return (root / f"meta_info_patient.{end}").is_file()


WAW_SCAN, WAW_MASK = re.compile(r"(\d+)_([0-3])_scan\.nii\.gz"), re.compile(r"(\d+)_([0-3])_(\d+)_tumor_seg\.nrrd")


def waw_tace(root: Path, home: Path) -> Table:
    """PATIENT/PATIENT_PHASE_scan.nii.gz, phases 0 to 3, and .../PATIENT_PHASE_LESION_tumor_seg.nrrd."""
    phases, scans, masks = tuple(PHASE_NAMES), defaultdict(dict), defaultdict(lambda: defaultdict(dict))
    for file in sorted(root.rglob("*_scan.nii.gz")):
        if found := WAW_SCAN.fullmatch(file.name):
            scans[found[1]][phases[int(found[2])]] = file
    for file in sorted(root.rglob("*_tumor_seg.nrrd")):
        if found := WAW_MASK.fullmatch(file.name):
            masks[found[1]][found[3]][phases[int(found[2])]] = file
    rows, left_out = [], Counter({"lesion without a scan": sum(len(masks[p]) for p in masks.keys() - scans.keys())})
    for patient, own in sorted(scans.items(), key=lambda item: int(item[0])):
        lesions = masks.get(patient) or {"": {}}
        for _, drawn in sorted(lesions.items()):
            files = own | {f"mask_{phase}": file for phase, file in drawn.items() if phase in own}
            row = {"patient": patient, "study": "1", "label": "HCC", "piece": "0"}
            rows.append(row | {column: relative(path, home) for column, path in files.items()})
    return _table(rows, left_out, root)


def hcc_tace_seg(root: Path, home: Path, salt: bytes, look: bool, progress: bool) -> Table:
    """DICOM of the Cancer Imaging Archive: as any tree, but only studies with a segmentation, and all of HCC."""
    found = propose_studies(root, home, salt, look, progress)
    kept = [i for i, row in enumerate(found.rows) if any(row.get(c) for c in found.columns if c.startswith("mask"))]
    left_out = found.left_out + Counter({"study without a segmentation": len(found.rows) - len(kept)})
    rows = [found.rows[i] | {"label": "HCC"} for i in kept]
    if not rows:
        raise InputError(f"{root}: no study with a segmentation; is this the folder with HCC_001, HCC_002 ...?")
    patients = len({row["patient"] for row in rows})
    studies = len({(row["patient"], row["study"]) for row in rows})
    return Table(found.columns, rows, [found.doubts[i] for i in kept], +left_out, patients, studies)


def _table(rows: list[dict[str, str]], left_out: Counter, root: Path) -> Table:
    if not rows:
        raise InputError(f"{root}: none of this set's files where they should be; unpack its archives here")
    doubts = [list(_doubts(row)) for row in rows]
    for row, own in zip(rows, doubts, strict=True):
        row["doubts"] = "; ".join(own)
    shown = [phase for phase in PHASE_NAMES if any(phase in row for row in rows)]
    order = ["patient", "study", "label", *shown, *(f"mask_{phase}" for phase in shown), "piece", "reference", "doubts"]
    columns = [column for column in order if any(row.get(column) for row in rows) or column == "doubts"]
    return Table(columns, rows, doubts, +left_out, len({row["patient"] for row in rows}), len(rows))


def _doubts(row: dict[str, str]) -> Iterator[str]:
    there = [phase for phase in PHASE_NAMES if phase in row]
    if missing := [phase for phase in PHASE_NAMES if phase not in row]:
        yield f"no scan for {', '.join(missing)}"
    if not any(column.startswith("mask") for column in row):
        yield "no mask"
    elif len(drawn := [phase for phase in there if f"mask_{phase}" in row]) < len(there) and len(drawn) > 1:
        yield f"its mask is missing in {', '.join(phase for phase in there if phase not in drawn)}"


LAYOUTS = {
    "mct-ltdiag": Layout(
        mct_ltdiag,
        ("HCC", "ICC", "MET", "HEM"),
        (
            "phases were registered to PV by its authors: what is left of breathing is theirs",
            "the liver's mask leaves the tumour out",
            "sex and size tell the class (breast metastases, large hemangiomas): audit the set before you believe it",
        ),
    ),
    "waw-tace": Layout(
        waw_tace,
        ("HCC",),
        (
            "one class: nothing can be told apart in it",
            "phases are not registered, and many masks were copied from phase to phase: HU inside them are too low in "
            "the arterial phase",
            "patients that were chosen for one treatment, not HCC as they come",
        ),
    ),
    "hcc-tace-seg": Layout(
        hcc_tace_seg,
        ("HCC",),
        (
            "one class: nothing can be told apart in it",
            "several phases lie in one series of some patients, and in those the segmentation is of one of them",
            "scans before and after treatment lie side by side; only those with a segmentation are kept",
        ),
        phases_told=False,
    ),
}
