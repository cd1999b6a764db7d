"""How well phases are registered: residuals in mm on whole abdomens, whose displacement between phases is known.

Three ways are compared: doing nothing, rigid, and a B-spline after it.  A phase that `align` doubts stays as it was,
and counts so.  For teaching and research, not for diagnosis.
"""

import argparse
import time
from collections.abc import Mapping
from itertools import count, islice
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.ndimage import binary_erosion, distance_transform_edt

from ..base.errors import InputError
from ..base.progress import bar
from ..evaluation.comparisons import mean_t
from ..phantom.abdomen import AbdomenStudy, abdomen_study, draw_abdomens, paint_viscera, show
from ..phantom.abdomen_patients import VERSION, AbdomenPatient
from ..phantom.body import paint_body
from ..phantom.organs import Palette
from ..runs.cells import one_thread
from ..runs.records import code_provenance, write_record
from ..scans.conventions import CANONICAL
from ..scans.seeds import seed_of
from ..studies.alignment import Alignment, align, moved_mask

STUDIES, MATRIX = 24, 128
STEP = 2.5  # mm between the points of the livers whose edges are compared
NOTHING, RIGID, BENT = "doing nothing", "rigid", "rigid and B-spline"
WAYS = (NOTHING, RIGID, BENT)
THIRDS = ("smallest third", "middle third", "largest third")


class Livers:
    """The liver in each phase, without noise, on a grid of `STEP`: `masks` are (Z, Y, X) bool, `origin` in mm."""

    def __init__(self, scan: AbdomenStudy):
        slices = np.flatnonzero(scan.organ("liver").any(axis=(1, 2)))
        first, last = (slices[0] - 7, 0, 0), (slices[-1] + 8, *scan.organs.shape[1:])  # liver may move 35 mm
        ends = np.multiply([first, last], scan.spacing)
        self.origin, self.reference = tuple(ends[0].tolist()), scan.reference
        axes = [start + np.arange(*two, STEP) for start, two in zip(scan.origin, ends.T, strict=True)]
        patient, palette, half = scan.patient, Palette(), np.divide(scan.spacing, 2)
        body, room = paint_body(axes, patient.fat, patient.sex, patient.shape, palette)
        self.masks = {}
        for phase in scan.volumes:
            by = np.rint(displaced(scan, phase) / half) * half  # the scan moves organs in steps of half a voxel
            viscera = paint_viscera(patient, [c - mm for c, mm in zip(axes, by, strict=True)], room, palette)
            liver = [code for code, organ in enumerate(palette.organs) if organ == "liver"]
            self.masks[phase] = np.isin(show(body, viscera, palette), liver)

    def residual(self, phase: str, alignment: Alignment | None = None) -> float:
        """Mean distance of the edges of the phase's liver and the reference's, mm, both ways."""
        one, two = self.masks[self.reference], self.masks[phase]
        if alignment is not None:
            two = moved_mask(two, (STEP,) * 3, alignment, self.origin)
        edges = [mask & ~binary_erosion(mask) for mask in (one, two)]
        apart = [STEP * distance_transform_edt(~edge) for edge in edges]
        return float(np.mean([apart[0][edges[1]].mean(), apart[1][edges[0]].mean()]))


def displaced(scan: AbdomenStudy, phase: str) -> np.ndarray:
    """(z, y, x) mm by which the phantom moved the liver in a phase."""
    return np.zeros(3) if phase == scan.reference else np.array(scan.patient.base.displacement[phase])


def residuals(patient: AbdomenPatient) -> list[dict[str, Any]]:
    """A line for each phase but the reference: how far the first lesion and the liver's edge are off, way by way."""
    scan = abdomen_study(patient, CANONICAL, MATRIX)
    study, livers, lines = scan.lesion_study(0), Livers(scan), []
    made = {NOTHING: (study, {}), RIGID: align(study), BENT: align(study, deform=True)}
    for phase in CANONICAL[:-1]:
        true, volume = displaced(scan, phase), int(study.masks["lesion"][phase].sum())
        line = {"patient": patient.seed[-1], "class": patient.lesions[0].kind, "phase": phase}
        line |= {"displacement": true.tolist(), "voxels": volume}
        for way, (after, found) in made.items():
            used = None if phase not in found or found[phase].doubt else found[phase]
            off = true - (used.displacement if used else 0)
            line[way] = {"lesion": round(float(np.linalg.norm(off)), 3), "edge": round(livers.residual(phase, used), 3)}
            if volume:
                change = 100 * (int(after.masks["lesion"][phase].sum()) / volume - 1)
                line[way]["volume"] = round(change, 2)
            if phase in found:
                one = found[phase]
                line[way] |= {"before": round(one.before, 3), "after": round(one.after, 3), "doubt": one.doubt}
        lines.append(line)
    return lines


def patients_with_lesions(use: str, number: int) -> list[AbdomenPatient]:
    """The first `number` patients of a use of seeds that have a lesion of the liver."""
    drawn = (draw_abdomens(seed_of(use, 0), 1, first=i)[0] for i in count())
    return list(islice((patient for patient in drawn if patient.lesions), number))


def record(studies: int = STUDIES, use: str = "alignment", jobs: int = 1, progress: bool = True) -> dict[str, Any]:
    """The record of the first studies of a use of seeds, phantom version 3, three phases, none of them aligned."""
    start = time.monotonic()
    with one_thread():
        made = Parallel(jobs, return_as="generator")(
            delayed(residuals)(patient) for patient in patients_with_lesions(use, studies)
        )
        lines = [line for lines in bar(made, "studies", progress, total=studies) for line in lines]
    return {
        **code_provenance("livervlm", "numpy", "scipy", "SimpleITK"),
        "settings": {"matrix": MATRIX, "step": STEP},
        "data": {"source": {"kind": "phantom", "room": "abdomen", "version": str(VERSION)}, "phases": CANONICAL}
        | {"seed": seed_of(use, 0), "studies": studies},
        "lines": lines,
        "seconds": round(time.monotonic() - start, 1),
    }


def summarize(record: Mapping[str, Any]) -> pd.DataFrame:
    """Mean residuals in mm by third of the true displacement and by way; columns (measure, way).

    measures: "lesion", its centre, and "edge", of the liver; "gain" has the mean of doing nothing less rigid, and the
    ends of its 95 % interval over patients.
    """
    lines = pd.DataFrame(record["lines"])
    distance = np.linalg.norm(np.stack(lines["displacement"]), axis=1)
    third = pd.qcut(distance, 3, labels=THIRDS)
    rows = {}
    for name in THIRDS:
        mine = lines[third == name]
        row = {("", "phases"): len(mine), ("", "patients"): mine["patient"].nunique()}
        row["", "displacement"] = distance[third == name].mean()
        for measure in ("lesion", "edge"):
            of = pd.DataFrame({way: [one[measure] for one in mine[way]] for way in WAYS}, index=mine.index)
            row |= {(measure, way): of[way].mean() for way in WAYS}
            gain = mean_t((of[NOTHING] - of[RIGID]).groupby(mine["patient"]).mean().to_numpy())
            row |= {(f"{measure}, gain", "mean"): gain.difference, (f"{measure}, gain", "interval"): gain.interval()}
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def volume_changes(record: Mapping[str, Any]) -> pd.DataFrame:
    """How the lesion's volume changed by way, in percent: the largest change, its mean size, and n phases."""
    rows = {}
    for way in WAYS[1:]:
        change = np.abs([line[way]["volume"] for line in record["lines"] if "volume" in line[way]])
        rows[way] = {"largest": change.max(), "mean": change.mean(), "phases": len(change)}
    return pd.DataFrame.from_dict(rows, orient="index")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.analyses.alignment", description=record.__doc__)
    parser.add_argument("--studies", type=int, default=STUDIES, help="the plan's number by default")
    parser.add_argument("--use", default="alignment", choices=("alignment", "alignment development"), help="of seeds")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of 1 GB each")
    parser.add_argument("--out", metavar="FILE", required=True, help="of the record")
    options = parser.parse_args()
    try:
        made = record(options.studies, options.use, options.jobs)
        write_record(options.out, made)
    except InputError as error:
        parser.error(str(error))
    print(summarize(made).T.to_string(), volume_changes(made).to_string(), sep="\n\n")


if __name__ == "__main__":
    main()
