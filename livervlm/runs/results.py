"""What the recorded runs say: records as tables, and a verdict on every claim.

The plan that these functions carry out is `data/results/analysis.md`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ..base.errors import InputError
from ..base.paths import data_file
from ..base.profiles import PROFILES, Profile
from ..base.progress import bar
from ..evaluation.comparisons import Comparison, crossed_bootstrap, holm, mean_t, paired_t, verdicts
from ..evaluation.forensics import examine_rows
from ..evaluation.metrics import confusion
from ..evaluation.outcome import Outcome
from ..evaluation.patients import PatientAnswers
from ..models.settings import Config
from . import rows
from .cells import Cell, cells
from .cross_validation import classes_of, outcome_of
from .records import read_record
from .rows import PROTOCOLS, Row, awaited, declared

NO_VERDICT = "no verdict yet"
SETTINGS = ("protocol", "pixels", "epochs", "text encoder", "network", "ordinary augmentation", "phantom version")
LINE = ["difference", "sd", "low", "high", "low 90", "high 90", "n"]  # of a comparison


@dataclass(frozen=True)
class Runs:
    """Some records: of one protocol, one profile and one number of test patients.  The default: the book's own.

    Rows are named as in `data/rows.json`, and pools as there; a row's first pool is taken where none is named.
    """

    protocol: str = "population"
    out: Path = field(default_factory=lambda: data_file("results"))
    profile: Profile = PROFILES["recorded"]
    test_patients: int = 2000

    def read(self, name: str) -> list[dict]:
        """The records of a row that are there, cohort by cohort and fold by fold.  A changed one is an `InputError`."""
        return [read_record(path) for path in self._first(name).siblings(self.out)]

    def complete(self, *names: str) -> bool:
        """Whether the plan's cohorts of these rows are all there; only a population has a plan, and folds inside it.

        "No peeking", says the plan: before that no difference is given an interval.
        """
        there = {name: self._first(name).whole_cohorts(self.out) for name in names}
        return all(n >= awaited(rows.row_named(name), self.protocol) for name, n in there.items())

    def outcomes(self, name: str) -> dict[int, Outcome]:
        """The cohorts of the paper's protocol whose folds are all there, by number."""
        by_cohort: dict[int, list[dict]] = {}
        for record in self.read(name):
            by_cohort.setdefault(record["cohort"], []).append(record)
        return {c: outcome_of(folds) for c, folds in by_cohort.items() if len(folds) == PROTOCOLS[self.protocol].folds}

    def patients(self, name: str, pool: str | None = None) -> pd.DataFrame:
        """Percent of each test patient's slices that was answered right, a line for each cohort."""
        pool = pool or rows.row_named(name).pools[0]
        tests = {record["cohort"]: record["tests"][pool] for record in self.read(name)}
        share = {cohort: test["correct"] / test["slices"] for cohort, test in tests.items()}
        return 100 * pd.DataFrame(share).T.sort_index()

    def accuracy(self, *names: str, pool: str | None = None) -> pd.DataFrame:
        """Accuracy in percent, a line for each cohort, a column for each row; nan: no record.

        That of the patients in the pool, the mean of each one's slices; in the paper's protocol the mean over folds.
        """
        return pd.DataFrame({name: self._accuracy(name, pool) for name in names}).sort_index()

    def measures(self, name: str, pool: str | None = None) -> pd.DataFrame:
        """A line for each cohort: accuracy and each class's recall in percent, AUC, calibration error and loss."""
        pool, lines = pool or rows.row_named(name).pools[0], {}
        for record in self.read(name):
            test = record["tests"][pool]
            counts = np.array(test["confusion"])  # [truth, answer]
            recall = dict(zip(classes_of(record), 100 * counts.diagonal() / counts.sum(axis=1), strict=True))
            lines[record["cohort"]] = {k: test[k] for k in ("accuracy", "AUC", "ECE", "loss")} | recall
        return pd.DataFrame.from_dict(lines, orient="index")

    def confusion(self, name: str, pool: str | None = None) -> pd.DataFrame:
        """Slices of each class (lines) by what they were answered with (columns), all cohorts together."""
        if PROTOCOLS[self.protocol].pool is None:
            whole = self._whole(name, self.outcomes(name)).values()
            counts = [confusion(one.y_true, one.y_pred, len(one.classes)) for one in whole]
        else:
            pool = pool or rows.row_named(name).pools[0]
            counts = [record["tests"][pool]["confusion"] for record in self._whole(name, self.read(name))]
        classes = classes_of(self.read(name)[0])
        return pd.DataFrame(np.sum(counts, axis=0), pd.Index(classes, name="truth"), pd.Index(classes, name="answer"))

    def by_patient(self, name: str, pool: str | None = None) -> PatientAnswers:
        """The answers of all cohorts patient by patient, which know the measures that a clinic asks for.

        In the paper's protocol each cohort has patients of its own; those of a pool are answered by every cohort.
        Raises `InputError` for a pool that is another for every cohort, and for one whose record keeps no
        probabilities, that is, one of schema 1.
        """
        if PROTOCOLS[self.protocol].pool is None:
            whole = self._whole(name, self.outcomes(name))
            patient = [f"{one} of cohort {cohort}" for cohort, found in whole.items() for one in found.patient]
            y_true, prob = (np.concatenate([getattr(o, what) for o in whole.values()]) for what in ("y_true", "prob"))
            return PatientAnswers.of_slices(y_true, prob, np.array(patient), next(iter(whole.values())).classes)
        pool = self._shared(name, pool)
        tests = [record["tests"][pool] for record in self._whole(name, self.read(name))]
        if not all("prob" in test for test in tests):
            raise InputError(f"{name}: its records keep no probabilities by patient; the paper's protocol keeps them")
        label, prob = (np.concatenate([test[what] for test in tests]) for what in ("label", "prob"))
        patient = np.tile(np.arange(len(tests[0]["label"])), len(tests))
        return PatientAnswers(label.astype(int), prob.astype(float), patient, tuple(tests[0]["classes"]))

    def lesions(self, name: str, pool: str | None = None) -> pd.DataFrame:
        """Class, size and contrast of each test patient, as `cohorts.pool_patients`; a line for a column of `patients`.

        They are drawn again.  Raises `InputError` where they are not those of the records, and for a pool that is
        another for every cohort.
        """
        from .cohorts import pool_patients  # which can make pictures, and is slow to import

        pool = self._shared(name, pool)
        drawn = pool_patients(self._first(name), pool)
        for record in self.read(name):
            test, counts = record["tests"][pool], np.array(record["tests"][pool]["confusion"])
            label = pd.Categorical(drawn["class"], classes_of(record)).codes
            told = [np.bincount(label, test[what], len(counts)) for what in ("slices", "correct")]
            same = np.array_equal(told, [counts.sum(axis=1), counts.diagonal()])
            if not (same and np.array_equal(test.get("label", label), label)):
                raise InputError(f"{name}, cohort {record['cohort']}: its test patients cannot be drawn again")
        return drawn

    def compare(
        self, pairs: Mapping[str, tuple[str, str]], pools: tuple[str | None, str | None] = (None, None)
    ) -> pd.DataFrame:
        """Paired differences in points, a line for each of some pairs (better, worse), over the cohorts that both have.

        low, high: 95 % by paired t; low 90, high 90: the interval of the test of equivalence; nan where there are
        fewer than two cohorts, or where the rows are not `complete`.  Exploratory: neither corrected for their number
        nor given a verdict.  pools: of the two sides, where not the first of each row.
        """
        lines = {}
        for label, (better, worse) in pairs.items():
            one, other = (self._accuracy(name, pool) for name, pool in zip((better, worse), pools, strict=True))
            difference = (one - other).dropna()
            lines[label] = _line(difference) if self.complete(better, worse) else {"n": len(difference)}
        return pd.DataFrame.from_dict(lines, orient="index").reindex(columns=LINE)

    def contrasts(self, family: str = "claims", progress: bool = False) -> pd.DataFrame:
        """A family of declared contrasts, with Holm's p over all of it, and their verdicts; a line each, by name.

        A contrast whose cohorts are not all run has no verdict yet and counts for Holm with a p of 1.  verdict: on the
        claim as the plan declares it.  on the paper: on what the paper says, which for Table 6 is that two rows do
        equally well, where the plan declares that one is better.  Raises `InputError` where a row's first pool is
        another for every cohort, as no test patient can then be drawn again for all.
        """
        margin, mine = declared()["plan"]["margin"], declared()["contrasts"][family]
        lines, compared, boots = {}, [], []
        for contrast in bar(mine, family, progress):
            sides = contrast["better"], contrast["worse"]
            one, other = (self.patients(side, self._shared(side)) for side in sides)
            both = one.index.intersection(other.index)
            difference = one.loc[both] - other.loc[both]  # (cohorts, patients), paired by both
            n, wanted = len(difference), min(awaited(rows.all_rows()[side], self.protocol) for side in sides)
            # Both: one side can reach its number of cohorts before the other.
            done = n >= wanted and self.complete(*sides)
            means = difference.mean(axis=1).to_numpy()
            compared.append(mean_t(means) if done else Comparison(0.0, np.inf, 1, 0))
            boots.append(crossed_bootstrap(difference.to_numpy())[1:] if done else (np.nan, np.nan))
            found = _line(difference.mean(axis=1)) if done else {"n": n}
            lines[contrast["name"]] = {"claim": contrast["claim"], "table": contrast["table"], "of": wanted, **found}
        table = pd.DataFrame.from_dict(lines, orient="index").reindex(columns=["claim", "table", "n", "of", *LINE[:-1]])
        table[["bootstrap low", "bootstrap high"]] = boots
        table["p, Holm"] = holm([c.p for c in compared])
        table["p TOST, Holm"] = holm([max(c.tost(margin)) for c in compared])
        table["verdict"] = verdicts(compared, margin)
        # The plan: where the two intervals disagree about zero, the wider one counts.
        holds_zero = (table["bootstrap low"] <= 0) & (table["bootstrap high"] >= 0)
        table.loc[holds_zero & table["verdict"].isin(["reproduced", "not reproduced"]), "verdict"] = "undecided"
        waiting = table["difference"].isna()
        table.loc[waiting, ["p, Holm", "p TOST, Holm"]] = np.nan
        table.loc[waiting, "verdict"] = NO_VERDICT
        equal = [contrast.get("paper", {}).get("equal", False) for contrast in mine]
        opposite = {"equivalent": "reproduced", "reproduced": "not reproduced"}
        table["on the paper"] = table["verdict"].mask(equal, table["verdict"].replace(opposite))
        return table

    def summary(self, chosen: Iterable[Row | str]) -> pd.DataFrame:
        """A line for each row: the paper's accuracy, ours as mean ± sd with n, in percent.

        paper: mean and population sd over five folds, the mean of both over cohorts.  Otherwise mean and sd (ddof 1)
        over cohorts of the patients' mean accuracy; "-" until the plan's cohorts of the row are all there.
        """
        lines = {}
        for row in (rows.all_rows()[one] if isinstance(one, str) else one for one in chosen):
            if row.method.measures:
                continue
            mean, sd = row.printed_figures.get("acc", (None, None))
            line = {"paper": f"{mean:.2f} ± {sd:.2f}" if mean else "-"}
            if PROTOCOLS[self.protocol].pool is None:
                whole = [outcome.accuracy for outcome in self.outcomes(row.name).values()]
                done = whole and self.complete(row.name)
                ours = f"{np.mean([m for m, _ in whole]):.2f} ± {np.mean([s for _, s in whole]):.2f}" if done else "-"
                folds = PROTOCOLS[self.protocol].folds * len(whole)
                line |= {"ours": ours, "n": f"{folds} folds of {len(whole)} cohorts"}
            else:
                values = self.patients(row.name).mean(axis=1).to_numpy()
                spread = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
                done = len(values) and self.complete(row.name)
                wanted = awaited(row, self.protocol)
                of = "" if done or not wanted else f" of {wanted}"
                line |= {"ours": f"{np.mean(values):.2f}{spread}" if done else "-", "n": f"{len(values)}{of} cohorts"}
            lines[row.name] = line
        return pd.DataFrame.from_dict(lines, orient="index")

    def about(self, *names: str) -> str:
        """What the runs behind some rows or declared contrasts were, in a sentence to stand beside what they show."""
        families = declared()["contrasts"].values()
        sides = {one["name"]: (one["better"], one["worse"]) for family in families for one in family}
        chosen = dict.fromkeys(row for name in names for row in sides.get(name, (name,)))
        found = settings(record for row in chosen for record in self.read(row))
        return "What was run: " + ", ".join(f"{name} {value}" for name, value in found.items()) + "."

    def _shared(self, name: str, pool: str | None = None) -> str:
        """The pool, or the row's first; an `InputError` for one whose patients are others for every cohort."""
        pool = pool or rows.row_named(name).pools[0]
        if "hospital" in declared()["pools"][pool]:
            raise InputError(f"{name}: pool {pool!r} has other patients for every cohort; name one that all share")
        return pool

    def _first(self, name: str) -> Cell:
        """A cell of the row, whose siblings are all the others."""
        row = rows.row_named(name)
        return cells([row], self.protocol, 1, self.profile, self.test_patients)[0]

    def _whole(self, name: str, found: Collection) -> Collection:
        """What was found of a row, once the plan's cohorts are all there; before that an `InputError`."""
        if not found or not self.complete(name):
            raise InputError(f"{name}: not all of its planned cohorts are there; run the others before looking")
        return found

    def _accuracy(self, name: str, pool: str | None) -> pd.Series:
        if PROTOCOLS[self.protocol].pool is None:
            return pd.Series({c: outcome.accuracy[0] for c, outcome in self.outcomes(name).items()}, dtype=float)
        return self.patients(name, pool).mean(axis=1)


def settings(records: Iterable[dict]) -> dict[str, str]:
    """What some runs were, by `SETTINGS`, as their records say: "a / b" where they differ, "-" without any."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        row, profile, config = record["row"], record["profile"], record["row"].get("config", {})
        trained = row["method"] == "train"
        reads_text = trained and config.get("head", Config.head) == "text"
        one = {
            "protocol": record["protocol"],
            "pixels": profile["size"],
            "epochs": profile["epochs"] * row.get("recipe", {}).get("epochs", 1),
            "text encoder": record["text_encoder"] if reads_text else "none",
            "network": config.get("encoder", Config.encoder) if trained else row["method"],
            "ordinary augmentation": row.get("recipe", {}).get("geometry") or "none",
            "phantom version": record["data"]["source"]["version"],
        }
        for name in SETTINGS:
            found.setdefault(name, {})[str(one[name])] = None
    return {name: " / ".join(found.get(name, ["-"])) for name in SETTINGS}


def claims(population: Runs | None = None, paper: Runs | None = None, progress: bool = False) -> pd.DataFrame:
    """Every claim for a page, a line each: what was printed, what its folds bear, ours, the verdict.

    A claim is the paper's, in its words with the section, or "ours", a control of the plan's.  printed: the difference
    of the two printed means.  its folds: the corrected interval over the paper's own folds where both rows are
    recovered (`forensics`), else which is not.  five folds: ours in the paper's protocol, mean over cohorts.
    population: ours with its 95 % interval.  Differences in points.
    """
    population, paper = population or Runs(), paper or Runs("paper")
    judged, lines = population.contrasts(progress=progress), {}
    for contrast in declared()["contrasts"]["claims"]:
        sides = contrast["better"], contrast["worse"]
        ours, five = judged.loc[contrast["name"]], paper.compare({"": sides}).iloc[0]
        shown = f"{ours['difference']:+.1f} ({ours['low']:+.1f} to {ours['high']:+.1f}), {ours['n']} cohorts"
        said = contrast.get("paper", {})
        if said.get("equal"):  # the difference has no side that the paper calls better
            shown = f"{contrast['name'].replace(' against ', ' less ')}: {shown}"
        lines[said.get("claim", contrast["claim"])] = {
            "table": contrast["table"] or "-",
            "in the paper": f"“{said['words']}” ({said['section']})" if said else "ours",
            **(_printed(contrast["table"], sides) if contrast["table"] else {"printed": "-", "its folds": "-"}),
            "five folds": f"{five['difference']:+.1f}, {five['n']:.0f} cohorts" if five["n"] else "not run",
            "population": shown if np.isfinite(ours["difference"]) else f"{ours['n']} of {ours['of']} cohorts",
            "verdict": ours["on the paper"],
        }
    return pd.DataFrame.from_dict(lines, orient="index")


def _printed(table: int, sides: tuple[str, str]) -> dict[str, str]:
    """What the paper printed for two rows of one table, and what can be said of the folds behind it."""
    figures = [rows.all_rows()[side].printed_figures["acc"] for side in sides]
    mine = [row for row in examine_rows() if table in row.tables]
    behind = [next(row for row in mine if row.printed["accuracy"] == figure) for figure in figures]
    lost = [side for side, row in zip(sides, behind, strict=True) if row.folds is None]
    said = f"not recovered: {' and '.join(lost)}"
    if not lost:
        found = paired_t(*(np.array(row.folds) for row in behind), test_over_train=1 / 4)
        said = "{:+.1f} to {:+.1f}".format(*found.interval())
    return {"printed": f"{figures[0][0] - figures[1][0]:+.2f}", "its folds": said}


def _line(difference: pd.Series) -> dict:
    """One number a cohort, as mean, sd, intervals and n."""
    n = len(difference)
    if n < 2:
        return {"difference": difference.mean(), "n": n}
    found = mean_t(difference.to_numpy())
    return dict(
        zip(LINE, (found.difference, difference.std(), *found.interval(), *found.interval(0.9), n), strict=True)
    )
