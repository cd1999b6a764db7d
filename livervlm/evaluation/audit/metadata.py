"""What tells the class without a look at the lesion: a small tree's accuracy from metadata alone."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from ...base.errors import InputError
from ...scans.lesions import LesionSet
from .finding import Finding, count
from .values import piles

FEWEST = 20  # patients; with fewer a tree learns nothing and an interval says nothing
FOLDS = 5
LEAVES, LEAF = 8, 3  # at most so many leaves, and patients in each at least


def read_metadata(path: str | Path, lesions: LesionSet) -> pd.DataFrame:
    """A CSV with a column `patient`, the number in the set, and others of any name, such as sex, age or scanner.

    Indexed by patient, numbers as float64, all else as text, empty cells NaN.  Raises `InputError`, which shows no
    cell, where a patient is no number of the set or stands there twice.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        first = path.read_text(encoding="utf-8-sig").partition("\n")[0]  # Excel signs its UTF-8
        comma = ";" if first.count(";") > first.count(",") else ","
        with warnings.catch_warnings(action="error"):  # of a row that is longer than the header
            table = pd.read_csv(
                path, sep=comma, dtype=str, index_col=False, encoding="utf-8-sig", skipinitialspace=True,
                skip_blank_lines=False,
            )  # fmt: skip
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save it as CSV UTF-8") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError):
        raise InputError(f"{path}: not a table; write a header, and a row of as many cells for each patient") from None
    table.columns = table.columns.str.strip()
    # Without this the first row is no header and may hold a patient's name: it is not shown.
    if list(table.columns).count("patient") != 1 or len(table.columns) < 2:
        raise InputError(f"{path} row 1: no header; name a column `patient` and others, as `patient,sex,age,scanner`")
    table = table.dropna(how="all")
    number = pd.to_numeric(table.pop("patient"), errors="coerce")
    for wrong, why in (
        (~number.isin(lesions.patient), "its patient is no number of a patient of the set, as `predict` writes them"),
        (number.duplicated(), "its patient is there already; write one row a patient"),
    ):
        if wrong.any():
            raise InputError(f"{path} row {wrong.idxmax() + 2}: {why}")
    table.index = number.astype(np.int64).to_numpy()
    for name in table:
        numbers = pd.to_numeric(table[name], errors="coerce")
        if numbers.notna().equals(table[name].notna()):
            table[name] = numbers
    return table


def shortcut(lesions: LesionSet, metadata: pd.DataFrame | None = None) -> list[Finding]:
    """How often a small tree names the class of a patient whom it has not seen, from metadata alone.

    A doubt where the interval of all columns together, or of one of them, lies above the most frequent class's share;
    the intervals are Wilson's, wide enough (Bonferroni) to hold together in 95 % of sets whose metadata say nothing.
    """
    found, table = [], describe(lesions)
    if metadata is not None:
        metadata, found = _fit_to(metadata, table.index)
        table = table.join(metadata.rename(columns={name: f"{name} (given)" for name in table.columns}))
    table = table.loc[:, table.nunique(dropna=False) > 1]
    label = _label_of(lesions)
    frequent = np.bincount(label)[label] >= FOLDS  # rarer classes cannot be learned and asked in every fold
    table, label = table[frequent], label[frequent]
    if len(label) < FEWEST or len(np.unique(label)) < 2 or not len(table.columns):
        return found
    majority = np.bincount(label).max() / len(label)
    asked = {"": table, **{name: table[[name]] for name in table}}
    right = {name: int(_right(columns, label).sum()) for name, columns in asked.items()}
    level = 1 - 0.05 / len(asked)
    share = {
        name: (n / len(label), *binomtest(n, len(label)).proportion_ci(level, method="wilson"))
        for name, n in right.items()
    }
    best = sorted((name for name in share if name), key=lambda name: -share[name][0])
    telling = [name for name in best if share[name][1] > majority]
    severity = "doubt" if telling or share[""][1] > majority else "note"
    what = (
        f"from metadata alone a tree names the class of {_percent(share[''])} of {len(label)} unseen patients, the "
        f"most frequent class is that of {majority:.0%}; by column: "
        + ", ".join(f"{name} {_percent(share[name])}" for name in (telling or best[:3]))
    )
    remedy = "a model can learn it instead of the lesion: give this accuracy beside the model's, and match or stratify"
    if severity == "note":
        remedy = "nothing that this number of patients can show"
    return [*found, Finding(severity, "shortcut", what, remedy)]


def describe(lesions: LesionSet) -> pd.DataFrame:
    """What a set itself knows of its patients besides pictures, a line each: all in numbers."""
    patients, slices = np.unique(lesions.patient, return_counts=True)
    largest = pd.DataFrame(lesions.spacing).groupby(lesions.patient).max()  # of a patient's lesions
    below, above = piles(lesions).T
    known = pd.DataFrame(
        {
            "slices": slices.astype(float),
            "slice thickness": largest[0].round(2),
            "ROI side": (lesions.size * largest[1]).round(1),  # mm: the lesion's size
            "clipped below": below,
            "clipped above": above,
        },
        index=patients,
    )
    if lesions.present is not None:
        there = pd.DataFrame(lesions.present, columns=lesions.phases).groupby(lesions.patient).mean()
        known = known.join(there.add_prefix("has "))
    return known


def _fit_to(metadata: pd.DataFrame, patients: pd.Index) -> tuple[pd.DataFrame, list[Finding]]:
    """The columns that can be used, and what is to be said of the rest."""
    found = []
    text = metadata.select_dtypes(exclude="number")
    names = [name for name in text if text[name].nunique() > max(2, len(text) / 2)]
    if names:
        what = f"{count(len(names), 'column')} of the metadata with a text of its own for most patients: left out"
        found.append(Finding("note", "metadata", what, "take names and identifiers out of the table"))
    missing = np.setdiff1d(patients, metadata.index)
    if len(missing):
        what = f"{count(len(missing), 'patient')} without a row in the metadata"
        found.append(Finding("note", "metadata", what, "add their rows; they count as empty", tuple(missing.tolist())))
    return metadata.drop(columns=names), found


def _label_of(lesions: LesionSet) -> np.ndarray:
    """(patients,) the class of most of a patient's slices."""
    owner = np.unique(lesions.patient, return_inverse=True)[1]
    counts = np.zeros((owner.max() + 1, len(lesions.classes)), dtype=int)
    np.add.at(counts, (owner, lesions.label), 1)
    return counts.argmax(axis=1)


def _right(columns: pd.DataFrame, label: np.ndarray) -> np.ndarray:
    """(patients,) bool, in an order of its own: answered rightly by a tree that has not seen the patient."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict  # slow to import
    from sklearn.tree import DecisionTreeClassifier

    text = columns.select_dtypes(exclude="number").columns
    features = pd.get_dummies(columns, columns=text, dummy_na=True, dtype=float).to_numpy()
    order = np.lexsort((label, *np.nan_to_num(features, nan=-1e9).T))  # so that the patients' numbers play no part
    features, label = features[order], label[order]
    tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, min_samples_leaf=LEAF, random_state=0)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    return cross_val_predict(tree, features, label, cv=folds) == label


def _percent(share: tuple[float, float, float]) -> str:
    return "{:.0%} [{:.0%}, {:.0%}]".format(*share)
