"""The records of the study as differences, a line for each contrast and cohort; none before its cohorts are there."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pandas as pd

from ...base.errors import InputError
from ...evaluation.outcome import Outcome
from ...runs.results import Runs
from ...runs.rows import all_rows, awaited, declared

HOSPITALS = "hospitals"  # families of contrasts
RESNET18 = "hospitals, ResNet18"
POOLS = {"inside": "own hospital", "outside": "standard", "next": "next hospital"}
TRUTHS = ("inside", "outside")
CANCER = "HCC"
FEW = ("narrow: scratch", "narrow: model 1", "narrow: model 2", "narrow: FC, phase shuffle")
LEAST = 10  # cohorts, by the plan: below that nothing is said of correlations, shares or intervals


@dataclass(frozen=True)
class Transport:
    """The records of the study.  within: the five folds.  across: networks trained on whole cohorts.

    family: of the contrasts.  That of the check with ResNet18 has no folds and no next hospital.
    """

    within: Runs = field(default_factory=lambda: Runs("inside"))
    across: Runs = field(default_factory=Runs)
    family: str = HOSPITALS

    @property
    def contrasts(self) -> dict[str, tuple[str, str]]:
        """Name -> (better, worse)."""
        return {one["name"]: (one["better"], one["worse"]) for one in declared()["contrasts"][self.family]}

    @property
    def rows(self) -> list[str]:
        return list(dict.fromkeys(side for sides in self.contrasts.values() for side in sides))

    def effects(self) -> pd.DataFrame:
        """The differences, a line for each contrast and cohort: folds, inside, outside, next, as far as rows have them.

        "No peeking", says the plan: an `InputError` until all its cohorts are there.
        """
        accuracy = {"folds": accuracies(self.within, self.rows)} if self.family == HOSPITALS else {}
        pools = {name: pool for name, pool in POOLS.items() if pool in all_rows()[self.rows[0]].pools}
        accuracy |= {name: accuracies(self.across, self.rows, pool) for name, pool in pools.items()}
        return self._apart(lambda row: pd.DataFrame({name: table[row] for name, table in accuracy.items()}))

    def by_hospital(self) -> pd.DataFrame:
        """The difference outside in each of the other hospitals, a column each; a line for each contrast and cohort."""
        from ...runs.cohorts import CHUNK  # which can make pictures, and is slow to import

        accuracies(self.across, self.rows, POOLS["outside"])  # not before all are there

        def row(name: str) -> pd.DataFrame:
            patients = self.across.patients(name, POOLS["outside"])
            return patients.T.groupby(patients.columns // CHUNK).mean().T

        return self._apart(row)

    def folds(self) -> dict[str, dict[int, Outcome]]:
        """Row -> cohort -> the answers of its five folds."""
        return {row: self.within.outcomes(row) for row in self.rows}

    def cancer(self) -> pd.DataFrame:
        """The difference in the AUC of HCC over slices, inside and outside, a line for each contrast and cohort."""

        def row(name: str) -> pd.DataFrame:
            tests = {record["cohort"]: record["tests"] for record in self.across.read(name)}
            auc = {c: {t: test[POOLS[t]]["AUC by class"][CANCER] for t in TRUTHS} for c, test in tests.items()}
            return pd.DataFrame.from_dict(auc, orient="index")

        return self._apart(row)

    def _apart(self, measured: Callable[[str], pd.DataFrame]) -> pd.DataFrame:
        """better - worse of each contrast, from what gives a row's table, (cohorts, columns)."""
        found = {row: measured(row) for row in self.rows}
        lines = {name: (found[better] - found[worse]).dropna() for name, (better, worse) in self.contrasts.items()}
        return pd.concat(lines, names=["contrast", "cohort"])


def accuracies(runs: Runs, rows: Iterable[str], pool: str | None = None) -> pd.DataFrame:
    """Accuracy on the cohorts that all these rows have, (cohorts, rows); an `InputError` until there are enough.

    Enough are the plan's, or those that were reached where the runs have ended for good, and not fewer than `LEAST`.
    """
    table = runs.accuracy(*rows, pool=pool).dropna()
    wanted = max(LEAST, *(awaited(all_rows()[row], runs.protocol) for row in rows))
    if len(table) < wanted:
        what = f"pool {pool!r}" if pool else f"protocol {runs.protocol!r}"
        raise InputError(f"{what}: {len(table)} of {wanted} cohorts are there; run the others before looking")
    return table
