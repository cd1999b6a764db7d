"""Which rows are recorded, and why a row is open."""

from pathlib import Path

import pandas as pd

from ..base.paths import data_file
from ..base.profiles import PROFILES
from ..phantom.patients import N_GROUPS
from .cells import cells
from .rows import all_rows, declared


def coverage(out: Path | None = None, test_patients: int = 2000) -> pd.DataFrame:
    """A line for each row: cohorts there and planned, cohorts of five folds, and why one is open.

    Records are counted by their names and not read.
    """
    out, planned, lines = out or data_file("results"), declared()["plan"]["cohorts"], {}

    def there(row, protocol: str) -> int:
        return len(cells([row], protocol, 1, PROFILES["recorded"], test_patients)[0].siblings(out))

    for row in all_rows().values():
        wanted, cohorts = planned.get(row.set, 0), there(row, "population")
        whole = there(row, "paper") // N_GROUPS
        why = "" if cohorts or whole else "no record yet" if wanted else f"needs {row.method.needs}"
        lines[row.name] = {"set": row.set, "cohorts": cohorts, "planned": wanted, "of five folds": whole, "open": why}
    return pd.DataFrame.from_dict(lines, orient="index")
