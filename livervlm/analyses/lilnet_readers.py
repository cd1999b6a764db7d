"""LiLNet's reader study from its counts (`data/lilnet_readers.csv`): three readers and the machine, 221 patients.

Two answers of each are there: benign or malignant, and a class.  A reader's class may lie on the other side of his or
her own benign/malignant answer.  The machine's class always lies on the true side: it was told that, the readers were
not.  So the class answers compare like with like only where a reader had the side right too, or end to end.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from ..base.errors import InputError
from ..base.paths import data_file
from ..evaluation.patients import wilson
from ..evaluation.readers import Best, Errors, against_best, kappa_interval, paired_errors
from ..scans.conventions import MALIGNANT

READERS = ("junior", "middle", "senior")
ALL = (*READERS, "machine")
NONE = "none"  # no class given
ANSWERS = ["truth", *ALL, *(f"{who}_malignant" for who in ALL)]
BENIGN = ("FNH", "HEM", "CYST")
SIDES = ("malignant", "benign")


def reader_counts(folder: str | Path) -> pd.DataFrame:
    """How many patients have each combination of `ANSWERS`, from `reader_study.csv`, in the order of the answers."""
    path = Path(folder) / "reader_study.csv"
    if not path.is_file():
        raise InputError(f"{path}: not there; give the folder of LiLNet's published outputs")
    rows = pd.read_csv(path, keep_default_na=False).rename(
        columns={"ai": "machine", "ai_malignant": "machine_malignant"}
    )
    rows = rows[ANSWERS].replace({who: {"": NONE} for who in ALL})
    return rows.value_counts().sort_index().rename("patients").reset_index()


def reader_study() -> pd.DataFrame:
    """A line for each of the 221 patients, with `ANSWERS`; their order says nothing."""
    counts = pd.read_csv(data_file("lilnet_readers.csv"), keep_default_na=False)
    return counts.loc[counts.index.repeat(counts["patients"]), ANSWERS].reset_index(drop=True)


def side(answers: pd.Series) -> np.ndarray:
    """malignant, benign or none, by the class, (n,).  A class of two benign names is benign."""
    return np.where(answers.isin(MALIGNANT), "malignant", np.where(answers == NONE, NONE, "benign"))


def right(study: pd.DataFrame, who: str, question: str) -> np.ndarray:
    """Whether `who` is right, (n,) bool.  question: one of four.

    side: the benign/malignant answer.  side by class: the side on which the class lies.  class: the class alone; no
    class is wrong.  end to end: side and class.
    """
    truth = side(study["truth"])
    by_side = (study[f"{who}_malignant"] == 1).to_numpy() == (truth == "malignant")
    by_class = (study[who] == study["truth"]).to_numpy()
    answers = {"side": by_side, "side by class": side(study[who]) == truth, "class": by_class}
    answers["end to end"] = by_side & by_class
    if question not in answers:
        raise InputError(f"question {question!r}: give one of {', '.join(answers)}")
    return answers[question]


def accuracies(study: pd.DataFrame) -> pd.DataFrame:
    """A line for each group, question and reader or machine: right, patients, and the share with its interval (Wilson).

    group: all, malignant, benign.
    """
    truth, lines = side(study["truth"]), []
    for group in ("all", *SIDES):
        here = (truth == group) | (group == "all")
        for question in ("side", "side by class", "class", "end to end"):
            for who in ALL:
                k = right(study, who, question)[here].sum()
                lines.append((group, question, who, int(k), int(here.sum()), *wilson(k / here.sum(), here.sum())))
    return pd.DataFrame(lines, columns=["group", "question", "who", "right", "patients", "share", "low", "high"])


def kappas(study: pd.DataFrame, n_boot: int = 2000) -> pd.DataFrame:
    """Fleiss' kappa and its interval by patient, of side (all patients) and class (within a side); no class is a class.

    raters: all four, or the three readers.
    """
    truth, lines = side(study["truth"]), []
    for raters, names in (("readers and machine", ALL), ("readers", READERS)):
        asked = {"side, all": (np.full(len(study), True), [f"{who}_malignant" for who in names])}
        asked |= {f"class, {one}": (truth == one, list(names)) for one in SIDES}
        for what, (here, columns) in asked.items():
            answers = study.loc[here, columns].to_numpy().astype(str)
            lines.append((what, raters, len(answers), *kappa_interval(answers, n_boot)))
    return pd.DataFrame(lines, columns=["what", "raters", "patients", "kappa", "low", "high"])


def against_each(study: pd.DataFrame) -> dict[tuple[str, str], Errors]:
    """(question, reader) -> the machine (a) against the reader (b).

    end to end: the machine's side and class against the reader's class, which says the side as well; of all patients,
    and of those of each side.  where the side is right: of the patients whose class the reader placed on the true side.
    """
    found = {}
    for who in READERS:
        machine = {q: right(study, "machine", q) for q in ("side", "class", "end to end")}
        reader = {q: right(study, who, q) for q in ("side", "side by class", "class")}
        had = reader["side by class"]
        found["side", who] = paired_errors(machine["side"], reader["side"])
        found["side, reader's by class", who] = paired_errors(machine["side"], reader["side by class"])
        found["class, machine told the side", who] = paired_errors(machine["class"], reader["class"])
        found["end to end", who] = paired_errors(machine["end to end"], reader["class"])
        for one in SIDES:
            here = side(study["truth"]) == one
            found[f"end to end: {one}", who] = paired_errors(machine["end to end"][here], reader["class"][here])
            here &= had
            found[f"where the side is right: {one}", who] = paired_errors(machine["class"][here], reader["class"][here])
    return found


def best_reader(study: pd.DataFrame) -> dict[str, Best]:
    """The machine against the best of the three readers, chosen on these patients, as in Figure 4e.

    class, by class: the best reader of each true class, and a machine that was told the side.  side, by side: the same
    of the benign/malignant answers.  end to end, by class: the machine as it would work.
    """
    truth = study["truth"].to_numpy()
    by_class = np.stack([right(study, who, "class") for who in READERS], axis=1)
    by_side = np.stack([right(study, who, "side") for who in READERS], axis=1)
    return {
        "class, by class": against_best(right(study, "machine", "class"), by_class, truth),
        "side, by side": against_best(right(study, "machine", "side"), by_side, side(study["truth"])),
        "end to end, by class": against_best(right(study, "machine", "end to end"), by_class, truth),
    }


def figure_4e(study: pd.DataFrame) -> pd.DataFrame:
    """Patients by true class (or side), as Figure 4e counts them, against the best reader of that class (or side)."""
    best, lines = best_reader(study), {}
    for name, question, groups in (
        ("class, by class", "class", study["truth"].to_numpy()),
        ("side, by side", "side", side(study["truth"])),
    ):
        for group, place in best[name].chosen.items():
            here = groups == group
            found = paired_errors(right(study, "machine", question)[here], right(study, READERS[place], question)[here])
            line = found.both_right, found.a_only, found.b_only, found.both_wrong
            lines[group] = READERS[place], *line
    return pd.DataFrame.from_dict(
        lines, orient="index", columns=["reader", "both right", "machine only", "reader only", "both wrong"]
    )
