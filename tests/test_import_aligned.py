"""`import --align`: phases that are aligned, or not, on their way into a set."""

import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")

from livervlm.base.errors import InputError
from livervlm.phantom.cohort import phantom_study
from livervlm.phantom.patients import draw_patients
from livervlm.studies.files import write_study
from livervlm.studies.manifest import ImportReport, import_studies


def test_aligned_phases_show_what_their_own_masks_would_have_shown(tmp_path):
    """One mask and an alignment come nearer to a mask for each phase than the one mask alone."""
    rows = []
    for n, patient in enumerate(draw_patients(30_003)[:2]):
        files = write_study(phantom_study(patient), tmp_path / f"p{n}", "nifti")
        cells = {column: str(file.relative_to(tmp_path)) for column, file in files.items()}
        rows.append({"patient": n, "label": patient.kind, "group": n + 1, **cells})
    pd.DataFrame(rows).to_csv(tmp_path / "own.csv", index=False)
    pd.DataFrame(rows).drop(columns=["mask_NC", "mask_ART"]).to_csv(tmp_path / "one.csv", index=False)
    tables = (tmp_path / f"{name}.csv" for name in ("own", "one"))
    wanted, still = (import_studies(table, 32, progress=False).hu.astype(float) for table in tables)
    report = ImportReport()
    lesions = import_studies(tmp_path / "one.csv", 32, aligned="rigid", report=report, progress=False)
    for phase in (0, 1):
        apart = [np.abs(hu[:, phase] - wanted[:, phase]).mean() for hu in (lesions.hu, still)]
        assert apart[0] < apart[1] / 2
    assert np.array_equal(lesions.hu[:, 2], still[:, 2]), "the reference stays"
    for one in report.lesions:
        said = " ".join(one.said.assumed)
        assert re.search(r"NC: the lesion lies [+-][\d.]+ / .* mm \(z / y / x\) from PV, and was brought there", said)
        before_and_after = plt.imread(BytesIO(one.picture), format="jpeg")
        assert before_and_after.shape[0] * 3 == before_and_after.shape[1] * 2
    with pytest.raises(InputError, match="aligned 'bent': choose rigid or bspline"):
        import_studies(tmp_path / "one.csv", 32, aligned="bent", progress=False)


def test_a_phase_that_cannot_be_aligned_costs_its_row(tmp_path):
    study = phantom_study(draw_patients(30_003)[0])
    rng, shape, rows = np.random.default_rng(0), study.volumes["NC"].shape, []
    noise = rng.normal(60, 20, shape).astype(np.int16)
    other = {phase: volume + rng.normal(0, 2, shape).astype(np.float32) for phase, volume in study.volumes.items()}
    other["NC"] = noise
    for n, one in enumerate((study, replace(study, volumes=other))):
        files = write_study(replace(one, centres={}), tmp_path / f"p{n}", "nifti")
        cells = {column: str(file.relative_to(tmp_path)) for column, file in files.items()}
        rows.append({"patient": n, "label": "CYST", "group": n + 1, **cells})
    pd.DataFrame(rows).to_csv(tmp_path / "one.csv", index=False)
    report = ImportReport()
    import_studies(tmp_path / "one.csv", 32, aligned="rigid", report=report, progress=False)
    (fault,) = report.faults
    assert (fault.row, fault.column) == (3, "NC")
    assert re.match(r"NC: .*; left as it was \(--accept-doubts", fault.message)
