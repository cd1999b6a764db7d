"""What the LiLNet paper prints and its own outputs do not give, and what they give and it does not print.

The authors published logits and answers, which is why this can be asked at all.  A difference does not say what made
it: a slip of a digit, another version of a sheet and another rule look the same from outside.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..evaluation.readers import counts_of, fleiss_kappa
from .lilnet_published import ARMS, BENIGN, BM, CLASSES, HEADLINE, MALIGNANT, SPECIFICITIES
from .lilnet_readers import ALL, READERS, SIDES, reader_study, right, side
from .lilnet_table import (
    PRINTED,
    confusion_of,
    detection_lines,
    end_to_end_bounds,
    facts,
    impossible_shares,
    in_words,
    measure,
    phase_lines,
    shown,
)

COLUMNS = ["what", "printed", "recomputed", "n", "source"]
LARGEST = "accuracy, largest logit"


def not_back() -> pd.DataFrame:
    """What is printed and does not come back, a line each; shares in percent.

    Index: what.  Columns: printed; recomputed; n, where one number of patients or rows bears it; and source, the place
    in the paper.  Several figures of one kind stand in one line, in the order of its words.
    """
    return _table([*_patients(), *_measures(), *_readers()])


def not_printed() -> pd.DataFrame:
    """What follows from the published outputs and is not printed, in the same columns, without `printed`."""
    key, lines = (BM, "test", ARMS[0]), []
    for task, cohort in list(HEADLINE)[:6]:
        error = measure(task, cohort, ARMS[0], "expected calibration error")
        lines.append((f"calibration error, {task}, {cohort}", "", f"{error['value']:.1f}", error["n"], "Figures 2, 3"))
    for least in SPECIFICITIES:
        name = f"sensitivity at {100 * least:g} % specificity"
        found = measure(*key, name)
        lines.append((f"{name}, test", "", shown(found), found["n"], "Figure 2"))
    bounds = end_to_end_bounds().sum()
    ends = 100 * bounds[["fewest", "most"]] / bounds["n"]
    value = f"between {ends['fewest']:.1f} and {ends['most']:.1f}"
    lines.append(("six classes end to end, HN", "", value, bounds["n"], "Figure 3"))
    return _table(lines).drop(columns="printed")


def _table(lines: Iterable[tuple]) -> pd.DataFrame:
    return pd.DataFrame(lines, columns=COLUMNS).set_index("what")


def _patients() -> list[tuple]:
    """Numbers of patients."""
    table, sizes = facts("patients").set_index("cohort"), facts("sizes")
    sums = table.drop(columns=["centre", "printed n", "source", "bib"]).sum(axis=1)
    apart = sums.index[sums != table["printed n"]]
    rows = confusion_of(BM, "test", ARMS[0]).to_numpy().sum()
    numbers = [
        ("patients of the test set", table.loc["test", "printed n"], rows, "Table 1; Figure 2"),
        ("patients in Figure 4, test and HN", *phase_lines()[0][1:3], "Results: Different Phases"),
        (f"patients of {' and '.join(apart)}", _each(table.loc[apart, "printed n"]), _each(sums[apart]), "Table 1"),
        *(
            (f"patients with {name}, {cohort}", table.loc[cohort, name], of[name].sum(), "Table 1; Table 2")
            for cohort, of in sizes.groupby("cohort")
            for name in (*CLASSES[MALIGNANT], *CLASSES[BENIGN])
        ),
    ]
    return [(what, printed, found, "", place) for what, printed, found, place in numbers if printed != found]


def _measures() -> list[tuple]:
    """Accuracies, AUCs and F1 of the machine."""
    lines, headline = [], facts("headline").set_index(["task", "cohort"])
    for key in headline.index:
        largest, answers = (measure(*key, ARMS[0], name) for name in (LARGEST, PRINTED))
        if largest["value"] != answers["value"]:
            by_size = sum(confusion_of(*key, size) for size in facts("sizes")["size"].unique()).to_numpy()
            share = 100 * by_size.trace() / by_size.sum()
            found = f"by the largest logit {largest['value']:.1f}, by the sheets of Table 2 {share:.1f}"
            place = "Figure 2" if key[1] == "test" else "Figure 3"
            lines.append((f"accuracy, {', '.join(key)}", headline.loc[key, "acc"], found, largest["n"], place))
    leads = [
        measure(*key, ARMS[0], "AUC, mean of classes")["value"] - measure(*key, arm, "AUC, mean of classes")["value"]
        for key in headline.index[headline.index.get_level_values("cohort") == "test"]
        for arm in ARMS[1:]
    ]
    printed = " to ".join(f"{end:g}" for end in in_words("AUC over two baselines").values())
    found = f"{min(leads):.1f} to {max(leads):.1f}"
    lines.append(("lead in AUC over two ResNet50, test, points", printed, found, "", "Results: Performance of LiLNet"))
    for one in facts("centres_printed").dropna(subset="auc_lo").itertuples():
        if not one.auc_lo <= one.auc <= one.auc_hi:
            ends = f"{one.auc:g} [{one.auc_lo:g}, {one.auc_hi:g}]"
            same = (one.auc_lo, one.auc_hi) == (one.acc_lo, one.acc_hi)
            found = "outside its interval" + ", which is that of the accuracy" * same
            lines.append((f"AUC, {one.set}, {one.what}", ends, found, "", one.source))
    one_class = facts("centres_printed").query("set == 'CD'").iloc[0]
    others = confusion_of(MALIGNANT, "CD", ARMS[0]).drop(index=one_class["what"]).to_numpy().sum()
    if not others:
        found, n = "no patient of another class", int(one_class["n"])
        lines.append((f"AUC, {one_class['what']}, CD", one_class["auc"], found, n, one_class["source"]))
    for what, f1, _, _, note in detection_lines():
        most = float(note.split()[2])
        if f1 - 0.05 > most:
            lines.append((what, f1, f"by recall and precision at most {most:.2f}", "", "Results: Lesion Detection"))
    return lines


def _readers() -> list[tuple]:
    """The reader study, and shares that no count gives."""
    study = reader_study()
    truth, printed = side(study["truth"]), facts("reader_study").query("task == @BM").set_index("reader")["accuracy"]
    found = [round(100 * right(study, who, "side").mean(), 1) for who in READERS]
    what = f"accuracy, {BM}: {', '.join(READERS)}"
    lines = [(what, _each(printed[[*READERS]]), _each(found), len(study), "Table 3")]
    answers = [study[[f"{who}_malignant" for who in ALL]], *(study.loc[truth == one, list(ALL)] for one in SIDES)]
    kappas = [fleiss_kappa(counts_of(one.to_numpy().astype(str))) for one in answers]
    words = in_words("Fleiss kappa of readers and LiLNet")
    place = "Results: Comparison with radiologists"
    lines.append((f"kappa of four: {', '.join(words)}", _each(words.values()), _each(np.round(kappas, 3)), "", place))
    for one in impossible_shares().itertuples():
        place = one.where if one.where.startswith("Table") else "Figure 4f, g"
        what = f"accuracy, {one.what}, {one.where}".removesuffix(f", {place}")
        lines.append((what, one.printed, f"no count of {one.n} gives it", one.n, place))
    return lines


def _each(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
