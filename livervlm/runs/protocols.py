"""How cohorts are drawn and tested."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """cohorts, pool: the uses in `seeds.SEEDS` of its cohorts and of its test patients.

    Without a pool every cohort is cross-validated over its own groups.  With one it is trained on whole, and its
    phantom is drawn anew.  curves: keep a learning curve on the test patients.
    """

    cohorts: str
    pool: str | None = None
    curves: bool = False


PROTOCOLS = {
    "paper": Protocol("book"),
    "population": Protocol("population", "population pool"),
    "development": Protocol("development", "development pool", curves=True),  # settings are chosen on it; none compared
}
