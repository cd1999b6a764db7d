"""LiLNet's published outputs: counts and measures from the logits and answers that the paper's authors gave away.

    python -m livervlm.analyses.lilnet_published FOLDER

FOLDER holds `logits.csv` and `reader_study.csv`, the paper's source data without identifiers.  Its facts are written
into `data/`: `lilnet_published.csv` (how many rows have each label, printed answer and largest logit),
`lilnet_recomputed.csv` (measures, with intervals) and `lilnet_readers.csv` (`lilnet_readers`); the rows themselves are
not.  Then what is printed stands beside what is recomputed.  For teaching and research, not for diagnosis.

A row of a sheet is taken for a patient, as the paper does.  Rows of different sheets cannot be joined: no sheet names
its patients.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from scipy.spatial import cKDTree
from scipy.special import softmax

from ..base.errors import InputError
from ..base.paths import data_file, written_whole
from ..evaluation.comparisons import paired_t
from ..evaluation.metrics import calibration, macro_auc
from ..evaluation.patients import sensitivity_interval, wilson
from .lilnet_readers import reader_counts

BIB = "wei2024"
CLASSES = {
    "benign/malignant": ("benign", "malignant"),
    "HCC/ICC/MET": ("HCC", "ICC", "MET"),
    "FNH/HEM/CYST": ("FNH", "HEM", "CYST"),
}
BM, MALIGNANT, BENIGN = CLASSES
ARMS = ("LiLNet", "ResNet50, pretrained", "ResNet50")
PHASES = ("both phases", "arterial", "portal venous")
HEADLINE = {  # (task, cohort) -> the sheets of Figures 2 and 3, in the order of `ARMS`
    (BM, "test"): ("figure_2B_2E_LiLNet", "figure_2B_2E_Resnet50(pretrain)", "figure_2B_2E_Resnet50"),
    (MALIGNANT, "test"): ("figure_2C_2F_LiLNET", "figure_2C_2F_Resnet(pretrain)", "figure_2C_2F_Resnet"),
    (BENIGN, "test"): ("figure_2D_2G_LiLNet", "figure_2D_2G_Resnet50(pretrain)", "figure_2D_2G_Resnet50"),
    (BM, "HN"): ("figure_3A_3D_LiLNet", "figure_3A_3D_Resnet(pretrain)", "figure_3A_3D_Resnet"),
    (MALIGNANT, "HN"): ("figure_3B_3E_LiLNet", "figure_3B_3E_Resnet(pretrain)", "figure_3B_3E_Resnet"),
    (BENIGN, "HN"): ("figure_3C_3F_LiLNet", "figure_3C_3F_Resnet(pretrain)", "figure_3C_3F_Resnet"),
    (MALIGNANT, "CD"): ("figure_G_LiLNet", "figure_G_Resnet(pretrain)", "figure_G_Resnet"),
    (MALIGNANT, "LS"): ("figure_H_LiLNet", "figure_H_Resenet50(pretrain)", "figure_H_Resenet50"),
    (MALIGNANT, "GZ"): ("figure_I_LiLNet", "figure_I_Resnet50(pretrain)", "figure_I_Resnet50"),
}
BY_PHASE = {
    (task, cohort): tuple(f"figure_{name}_{phase})" for phase in ("AP_PVP", "AP", "PVP"))
    for task, cohort, name in (
        (MALIGNANT, "test", "A_B(Malignant"),
        (BENIGN, "test", "A_B(Benign"),
        (MALIGNANT, "HN", "C_D(Malignant"),
        (BENIGN, "HN", "C_D(Benign"),
    )
}
SIZES = {  # Table 2: the sheets of a task and cohort, with the size as they write it
    (MALIGNANT, "test"): ("Test_malignant({})", ("<1 cm", "1~3 cm", "3~5 cm", ">5 cm")),
    (BENIGN, "test"): ("Test_Benign({})", ("<1 cm", "1~3 cm", "3~5 cm")),
    (MALIGNANT, "HN"): ("HN validation_malignant({})", ("<1 cm", "1~3cm", "3~5cm", ">5cm")),
    (BENIGN, "HN"): ("HN validation_benign({})", ("<1cm", "1~3cm", "3~5cm", ">5cm")),
}
KEY = ["task", "cohort", "arm"]
SAME = 0.01  # logits that differ by no more are the same row, printed with other digits
SPECIFICITIES = (0.8, 0.9, 0.95)


@dataclass(frozen=True, eq=False)
class Sheet:
    """n rows of one sheet, a row a patient."""

    task: str
    cohort: str
    arm: str
    label: np.ndarray  # (n,) int, a place in CLASSES[task]
    answered: np.ndarray  # (n,) int, as the source prints it
    logits: np.ndarray  # (n, C)

    @property
    def largest(self) -> np.ndarray:
        return self.logits.argmax(axis=1)


def sheet_names() -> dict[str, tuple[str, str, str]]:
    """Name in the source -> (task, cohort, arm)."""
    names = {s: (*k, arm) for k, sheets in HEADLINE.items() for s, arm in zip(sheets, ARMS, strict=True)}
    names |= {s: (*k, arm) for k, sheets in BY_PHASE.items() for s, arm in zip(sheets, PHASES, strict=True)}
    for key, (name, sizes) in SIZES.items():
        names |= {name.format(s): (*key, s.replace("~", "-").replace("cm", " cm").replace("  ", " ")) for s in sizes}
    return names


def read_sheets(folder: str | Path) -> dict[tuple[str, str, str], Sheet]:
    """(task, cohort, arm) -> sheet, of `logits.csv`.  InputError where the file or a sheet is missing or strange."""
    path, found = Path(folder) / "logits.csv", {}
    if not path.is_file():
        raise InputError(f"{path}: not there; give the folder of LiLNet's published outputs")
    rows = pd.read_csv(path)
    for name, key in sheet_names().items():
        sheet = rows[rows["sheet"] == name]
        classes = len(CLASSES[key[0]])
        logits = sheet.filter(like="logit_").to_numpy()[:, :classes]
        if not len(sheet) or not np.isfinite(logits).all():
            raise InputError(f"{path}: sheet {name!r} is missing or lacks logits; take the published file as it is")
        found[key] = Sheet(*key, sheet["label"].to_numpy(), sheet["predicted"].to_numpy(), logits)
    return found


def counts(sheets: dict) -> pd.DataFrame:
    """A line for each sheet, label, printed answer and largest logit that occur together: how many rows."""
    lines = []
    for sheet in sheets.values():
        names = np.array(CLASSES[sheet.task])
        found = pd.DataFrame({n: names[getattr(sheet, n)] for n in ("label", "answered", "largest")}).value_counts()
        found = found.sort_index().rename("patients").reset_index()
        lines.append(found.assign(task=sheet.task, cohort=sheet.cohort, arm=sheet.arm))
    return pd.concat(lines)[[*KEY, "label", "answered", "largest", "patients"]]


def macro(label: np.ndarray, scores: np.ndarray) -> float:
    """Mean of the one-vs-rest AUC by ranks, quick enough for a bootstrap; nan where a class is missing."""
    aucs = []
    for c in range(scores.shape[1]):
        there = label == c
        n = there.sum()
        if not 0 < n < len(label):
            return np.nan
        above = stats.rankdata(scores[:, c])[there].sum() - n * (n + 1) / 2
        aucs.append(above / (n * (len(label) - n)))
    return float(np.mean(aucs))


def interpolated_auc(label: np.ndarray, scores: np.ndarray) -> float:
    """Area under the mean of the one-vs-rest ROC curves, each interpolated where another has a corner.

    As in scikit-learn's old example of a macro average.  It lies above the mean AUC by up to half a point here, for
    a straight line is drawn across the corners of a step.
    """
    from sklearn.metrics import auc, roc_curve  # slow to import

    curves = [roc_curve(label == c, scores[:, c])[:2] for c in range(scores.shape[1])]
    grid = np.unique(np.concatenate([false for false, _ in curves]))
    return float(auc(grid, np.mean([np.interp(grid, *curve) for curve in curves], axis=0)))


def measures(sheet: Sheet, n_boot: int = 1000) -> dict[str, tuple[float, float, float, int]]:
    """Measure -> (value, low, high, n): shares of 1, 95 % intervals by patient; nan where none is to be had."""
    n, right, none = len(sheet.label), sheet.answered == sheet.label, (np.nan, np.nan)
    prob = softmax(sheet.logits, axis=1)
    lines = {
        "accuracy, printed answers": (*wilson(right.mean(), n), n),
        "accuracy, largest logit": (*wilson((sheet.largest == sheet.label).mean(), n), n),
    }
    if np.isfinite(macro(sheet.label, sheet.logits)) and sheet.arm in (*ARMS, *PHASES):
        # Classes keep their numbers, so that no resample lacks one.
        order = [np.flatnonzero(sheet.label == c) for c in range(prob.shape[1])]
        rng, drawn = np.random.default_rng(0), []
        for _ in range(n_boot):
            rows = np.concatenate([rng.choice(of, len(of)) for of in order])
            drawn.append(macro(sheet.label[rows], sheet.logits[rows]))
        lines["AUC, mean of classes"] = macro(sheet.label, sheet.logits), *np.quantile(drawn, (0.025, 0.975)), n
        lines["AUC, interpolated mean curve"] = interpolated_auc(sheet.label, sheet.logits), *none, n
        lines["AUC, mean of classes, of probabilities"] = macro_auc(sheet.label, prob), *none, n
    if sheet.arm in ARMS:
        table, error = calibration(sheet.label, prob)
        lines["mean confidence"] = prob.max(axis=1).mean(), *none, n
        lines["expected calibration error"] = error, *none, n
    if sheet.arm == ARMS[0]:
        for i, (confidence, share, count) in enumerate(table):
            if count:
                bin_ = f"confidence {i / 10:.1f} to {(i + 1) / 10:.1f}"
                lines[f"{bin_}, mean"] = confidence, *none, int(count)
                lines[f"{bin_}, right"] = *wilson(share, int(count)), int(count)
    if sheet.task == BM:
        there, score = sheet.label == 1, sheet.logits[:, 1] - sheet.logits[:, 0]
        for s in SPECIFICITIES:
            found = sensitivity_interval(there, score, np.arange(n), s)
            lines[f"sensitivity at {100 * s:g} % specificity"] = *found, int(there.sum())
        lines["sensitivity, printed answers"] = *wilson(right[there].mean(), there.sum()), int(there.sum())
        lines["specificity, printed answers"] = *wilson(right[~there].mean(), (~there).sum()), int((~there).sum())
    return lines


def between_arms(sheets: dict, key: tuple[str, str]) -> dict[tuple, tuple]:
    """(task, cohort, arm, measure) -> what LiLNet's accuracy is ahead of an arm's, paired by row.

    Only where both sheets have the same labels row by row, of more than one class: then they are taken to have the same
    patients in one order.
    """
    first, lines = sheets[(*key, ARMS[0])], {}
    for arm in ARMS[1:]:
        other = sheets[(*key, arm)]
        if np.array_equal(first.label, other.label) and np.ptp(first.label):
            ahead = paired_t(first.answered == first.label, other.answered == other.label)
            line = ahead.difference, *ahead.interval(), ahead.n
            lines[(*key, arm, "LiLNet's accuracy less this one's")] = line
    return lines


def between_phases(sheets: dict, key: tuple[str, str]) -> dict[tuple, tuple]:
    """How often the two phases agree, what both together answer where they do not, and the weight of the arterial one.

    Were logits averaged over a patient's slices, those of both phases would be a weighted mean of the two phases', with
    one weight for all classes.
    """
    both, arterial, venous = (sheets[(*key, arm)] for arm in PHASES)
    label, apart = both.label, arterial.answered != venous.answered
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = (both.logits - venous.logits) / (arterial.logits - venous.logits)  # (n, C)
    spread = np.ptp(weight, axis=1)
    n, m = len(label), int(apart.sum())
    shares = {
        "the two phases agree": (1 - m / n, n),
        "both right where they differ": ((both.answered == label)[apart].mean(), m),
        "arterial right where they differ": ((arterial.answered == label)[apart].mean(), m),
        "portal venous right where they differ": ((venous.answered == label)[apart].mean(), m),
        "logits of both are one weighted mean": ((spread < 0.02).mean(), n),
    }
    lines = {(*key, PHASES[0], name): (*wilson(*share), share[1]) for name, share in shares.items()}
    lines[(*key, PHASES[0], "weight of the arterial phase, median")] = float(np.median(weight)), np.nan, np.nan, n
    for one in (arterial, venous):
        ahead = paired_t(both.answered == label, one.answered == label)
        lines[(*key, one.arm, "accuracy of both less this one's")] = ahead.difference, *ahead.interval(), n
    return lines


def overlap(sheets: dict, key: tuple[str, str]) -> dict[tuple, tuple]:
    """How many rows of Table 2 and of Figure 4 have the logits of a row of the headline's sheet."""
    names, headline = sheet_names().values(), cKDTree(sheets[(*key, ARMS[0])].logits)
    sizes = [sheets[k] for k in names if k[:2] == key and k[2].endswith("cm")]
    lines = {}
    for arm, of in (("all sizes", sizes), (PHASES[0], [sheets[(*key, PHASES[0])]])):
        distance, _ = headline.query(np.concatenate([sheet.logits for sheet in of]))
        lines[(*key, arm, "rows found in the headline's sheet")] = (
            (distance < SAME).mean(),
            np.nan,
            np.nan,
            len(distance),
        )
    return lines


def recomputed(sheets: dict) -> pd.DataFrame:
    """All measures: task, cohort, arm, measure, value, low, high, n."""
    lines = {(*key, name): line for key, sheet in sheets.items() for name, line in measures(sheet).items()}
    for key in HEADLINE:
        lines |= between_arms(sheets, key)
    for key in BY_PHASE:
        lines |= between_phases(sheets, key) | overlap(sheets, key)
    index = pd.MultiIndex.from_tuples(lines, names=[*KEY, "measure"])
    return pd.DataFrame([*lines.values()], index, ["value", "low", "high", "n"]).reset_index()


def write_facts(folder: str | Path) -> None:
    """Write the three files of facts into `data/`."""
    sheets = read_sheets(folder)
    tables = {
        "lilnet_published": counts(sheets).assign(source="source data of Figures 2 to 4 and Table 2", bib=BIB),
        "lilnet_recomputed": recomputed(sheets).assign(source="recomputed from the same", bib=BIB),
        "lilnet_readers": reader_counts(folder).assign(source="source data of Table 3", bib=BIB),
    }
    for name, table in tables.items():
        with written_whole(data_file("table1.csv").with_name(f"{name}.csv")) as path:
            table.to_csv(path, index=False, float_format="%.5g")


def main() -> None:
    from .lilnet_table import printed_beside  # reads what is written here

    parser = argparse.ArgumentParser(prog="python -m livervlm.analyses.lilnet_published", description=__doc__)
    parser.add_argument("folder", help="of LiLNet's published outputs, without identifiers")
    try:
        write_facts(parser.parse_args().folder)
    except InputError as error:
        parser.error(str(error))
    print(printed_beside().to_string(index=False))


if __name__ == "__main__":
    main()
