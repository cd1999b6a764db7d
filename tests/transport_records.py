"""Records of known answers for the study on the next hospital, and fixtures that write them."""

from dataclasses import asdict

import numpy as np
import pytest
from conftest import CLASSES
from scipy import stats

from livervlm.analyses import transport
from livervlm.analyses.transport import Transport
from livervlm.base.profiles import PROFILES
from livervlm.runs import cohorts
from livervlm.runs.cells import cells
from livervlm.runs.records import write_record
from livervlm.runs.results import Runs
from livervlm.runs.rows import PROTOCOLS, all_rows, declared

COHORTS, PATIENTS, HOSPITALS = 10, 20, 5  # as few cohorts as are looked at; patients outside are of so many hospitals
TRUTHS = ("inside", "outside")
RECORDED, LARGE = PROFILES["recorded"], PROFILES["recorded-224"]


def around(mean: float, sd: float, n: int = 30) -> np.ndarray:
    """n numbers of just this mean and sd."""
    at = stats.norm.ppf((np.arange(n) + 0.5) / n)
    return mean + sd * at / at.std(ddof=1)


def by_row(family: str, gains: dict[str, np.ndarray]):
    """The rows of a family, and the percent of each where a row's part after the colon gains so much in each cohort."""
    rows = list(dict.fromkeys(one[side] for one in declared()["contrasts"][family] for side in ("better", "worse")))
    return rows, {"standard": lambda i, cohort: 50 + gains.get(rows[i].split(": ")[1], np.zeros(99))[cohort]}


@pytest.fixture
def few_resamples(monkeypatch):
    for module in (transport.resampling, transport.prediction):
        monkeypatch.setattr(module, "N_BOOT", 200)


@pytest.fixture
def few_cohorts(monkeypatch):
    for name in ("hospitals", "hospitals, geometric"):
        monkeypatch.setitem(declared()["plan"]["cohorts"], name, COHORTS)
    monkeypatch.setattr(cohorts, "CHUNK", PATIENTS // HOSPITALS)


def answers(share: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class, probabilities and patient of two slices of each of `PATIENTS`, of which about this share is right."""
    rng = np.random.default_rng(seed)
    y_true = np.repeat(np.arange(PATIENTS) % 4, 2)
    said = np.where(rng.permutation(2 * PATIENTS) < round(share * 2 * PATIENTS), y_true, (y_true + 1) % 4)
    prob = rng.uniform(0, 0.2, (2 * PATIENTS, 4))
    prob[np.arange(2 * PATIENTS), said] += 1
    return y_true, prob / prob.sum(axis=1, keepdims=True), np.repeat(np.arange(PATIENTS), 2)


@pytest.fixture
def write(tmp_path, provenance):
    """Write the record of a cell, as a run leaves it, from what was found."""

    def write_cell(cell, **found):
        row = {"name": cell.row.name, "method": cell.row.method.name, **asdict(cell.row.method)}
        about = {"row": row, "protocol": cell.protocol, "profile": asdict(cell.profile), "text_encoder": "minilm"}
        about |= {"data": {"classes": CLASSES, "source": {"version": "2"}}, "cohort": cell.cohort, "fold": cell.fold}
        write_record(cell.path(tmp_path), {**provenance, **about, **found})

    return write_cell


@pytest.fixture
def folded(tmp_path, write):
    """Write the folds of some rows, of which row i is right in about `share(i, cohort)`; returns what reads them."""

    def write_folds(rows, share, protocol="inside", cohorts=COHORTS):
        for i, name in enumerate(rows):
            for cell in cells([all_rows()[name]], protocol, cohorts, RECORDED):
                y_true, prob, patient = answers(share(i, cell.cohort), 100 * cell.cohort + i)
                mine = patient % PROTOCOLS[protocol].folds == cell.fold - 1
                slices = {"patient": patient[mine], "y_true": y_true[mine], "prob": prob[mine].astype(np.float32)}
                write(cell, slices=slices)
        return Runs(protocol, tmp_path)

    return write_folds


@pytest.fixture
def tested(tmp_path, write):
    """Write the tests of some rows: pool -> (i, cohort) -> percent right of a patient, or of each; what reads them."""

    def write_tests(rows, pools, cohorts=COHORTS, profile=RECORDED):
        for i, name in enumerate(rows):
            for cell in cells([all_rows()[name]], "population", cohorts, profile):
                tests = {}
                for pool, percent in pools.items():
                    right = np.full(PATIENTS, percent(i, cell.cohort))  # of ten thousand slices each
                    tests[pool] = {"slices": np.full(PATIENTS, 10_000), "correct": np.rint(100 * right).astype(int)}
                    tests[pool]["AUC by class"] = {"HCC": 0.5 + right.mean() / 1000, "HEM": 0.5}
                    tests[pool]["accuracy"] = round(right.mean(), 3)
                write(cell, tests=tests)
        return Runs("population", tmp_path, profile)

    return write_tests


@pytest.fixture
def study(folded, tested, few_cohorts):
    """Row i is right in 40 + 3 i + cohort % inside, and in about two less in five folds."""

    def write(
        cohorts=COHORTS,
        share=lambda i, cohort: 0.38 + 0.03 * i + 0.01 * cohort,
        inside=lambda i, cohort: 40 + 3 * i + cohort,
        outside=lambda i, cohort: 50.0,
        next=lambda i, cohort: 60.0,
    ):
        rows = Transport().rows
        within = folded(rows, share, cohorts=cohorts)
        pools = {"own hospital": inside, "standard": outside, "next hospital": next}
        return Transport(within, tested(rows, pools, cohorts))

    return write
