"""What the LiLNet paper prints, and beside it what its own outputs give: one table, from the facts in `data/`.

What does not come back is said as that.  A slip of a digit, another version of a sheet, another rule of averaging look
the same from outside, and none of them says how good the system is.
"""

import functools
import itertools

import numpy as np
import pandas as pd
from scipy import stats

from ..base.paths import data_file
from ..evaluation.counts import counts_of_share
from .lilnet_published import ARMS, BENIGN, BM, BY_PHASE, CLASSES, HEADLINE, MALIGNANT, PHASES
from .lilnet_readers import READERS, accuracies, against_each, best_reader, figure_4e, kappas, reader_study

COLUMNS = ["what", "printed", "recomputed", "n", "comment"]
AVERAGES = ("weighted", "macro")
PRINTED = "accuracy, printed answers"


@functools.cache
def facts(name: str) -> pd.DataFrame:
    """A file of `data/`, such as "published" for `lilnet_published.csv`."""
    return pd.read_csv(data_file(f"lilnet_{name}.csv"), keep_default_na=False, na_values=[""])


def in_words(what: str) -> dict[str, float]:
    """What the text prints of something: part -> number."""
    rows = facts("in_words")
    return rows[rows["what"] == what].set_index("part")["printed"].to_dict()


def confusion_of(task: str, cohort: str, arm: str, answer: str = "answered") -> pd.DataFrame:
    """Patients, (C, C): rows the label, columns the printed answer, or the largest logit."""
    rows, names = facts("published"), list(CLASSES[task])
    rows = rows[(rows["task"] == task) & (rows["cohort"] == cohort) & (rows["arm"] == arm)]
    table = rows.pivot_table(index="label", columns=answer, values="patients", aggfunc="sum", fill_value=0)
    return table.reindex(index=names, columns=names, fill_value=0)


def averages(confusion: pd.DataFrame) -> dict[str, dict[str, float]]:
    """f1, recall and precision in percent: means over classes, by their numbers (weighted) or equal (macro)."""
    table = confusion.to_numpy()
    right, labelled, answered = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = {"f1": 2 * right / (labelled + answered), "recall": right / labelled, "precision": right / answered}
    weights = {"weighted": labelled, "macro": np.ones(len(right))}
    return {how: {m: float(100 * np.average(v, weights=w)) for m, v in parts.items()} for how, w in weights.items()}


def measure(task: str, cohort: str, arm: str, name: str) -> pd.Series:
    """value, low, high (percent) and n of a measure of `lilnet_recomputed.csv`."""
    rows = facts("recomputed").set_index(["task", "cohort", "arm", "measure"])
    line = rows.loc[(task, cohort, arm, name)]
    return pd.Series(
        {**(100 * line[["value", "low", "high"]].astype(float)).to_dict(), "n": int(line["n"])}, dtype=object
    )


def shown(line: pd.Series) -> str:
    """A value and its interval, of `measure`."""
    return f"{line['value']:.1f} [{line['low']:.1f}, {line['high']:.1f}]"


def headline_lines() -> list[tuple]:
    """Accuracy, AUC, F1, recall and precision of the test set and HN."""
    lines = []
    for row in facts("headline").itertuples():
        key, what = (row.task, row.cohort, ARMS[0]), f"{row.task}, {row.cohort}"
        answers, largest = (measure(*key, f"accuracy, {of}") for of in ("printed answers", "largest logit"))
        apart = "" if answers["value"] == largest["value"] else f"the largest logit gives {shown(largest)}"
        lines.append((f"{what}: accuracy", row.acc, shown(answers), answers["n"], apart))
        mean = shown(measure(*key, "AUC, mean of classes"))
        value = f"{measure(*key, 'AUC, interpolated mean curve')['value']:.1f}"
        note = f"of the interpolated mean curve; the mean of the classes' AUCs is {mean}, of probabilities "
        note += f"{measure(*key, 'AUC, mean of classes, of probabilities')['value']:.1f}"
        lines.append((f"{what}: AUC", row.auc, value, answers["n"], note))
        found = averages(confusion_of(*key))
        for part in ("f1", "recall", "precision"):
            printed = getattr(row, part)
            values = [f"{found[how][part]:.1f} {how}" for how in AVERAGES]
            lines.append((f"{what}: {part}", printed, " / ".join(values), answers["n"], ""))
    return lines


def centre_lines() -> list[tuple]:
    """Accuracy by class in CD, LS and GZ, and what can be asked of the AUCs."""
    lines = []
    for row in facts("centres_printed").itertuples():
        if row.set not in ("CD", "LS", "GZ"):
            continue
        table = confusion_of(MALIGNANT, row.set, ARMS[0])
        right, n = table.loc[row.what, row.what], table.loc[row.what].sum()
        note = "an AUC needs patients without the class, and there are none" if row.set == "CD" else ""
        lines.append(
            (f"{row.set}: accuracy of {row.what}", row.acc, f"{100 * right / n:.2f} ({right} of {n})", n, note)
        )
    return lines


def size_cells(printed: pd.DataFrame) -> pd.DataFrame:
    """Table 2, a line a cell: printed percentage and n, right and n of the source's sheets, whether they agree.

    printed: `lilnet_size.csv`.  agree: the same n, and the sheet's count is one that is printed so, rounded or cut off.
    """
    lines = []
    for row in printed.to_dict("records"):
        cells, right_all, n_all = {}, 0, 0
        for task in (MALIGNANT, BENIGN):
            table = confusion_of(task, row["cohort"], row["size"])
            cells |= {name: (table.loc[name, name], table.loc[name].sum()) for name in CLASSES[task]}
        for name, (right, n) in cells.items():
            right_all, n_all = right_all + right, n_all + n
            lines.append((row["cohort"], row["size"], name, row[f"{name} acc"], row[f"{name} n"], right, n))
        lines.append((row["cohort"], row["size"], "average", row["average"], row["n"], right_all, n_all))
    cells = pd.DataFrame(lines, columns=["cohort", "size", "class", "printed", "printed n", "right", "n"])
    counts = [counts_of_share(r.printed, r.n) if r.n and pd.notna(r.printed) else [r.right] for r in cells.itertuples()]
    fits = np.array([right in found for right, found in zip(cells["right"], counts, strict=True)])
    return cells.assign(agree=(cells["printed n"] == cells["n"]) & fits)


def impossible_shares() -> pd.DataFrame:
    """Printed accuracies that no count of their n gives, rounded or cut off to one decimal; Table 2 is `size_cells`."""
    lines = []
    numbers = {task: facts("readers").query("truth in @names")["patients"].sum() for task, names in CLASSES.items()}
    numbers[BM] = facts("readers")["patients"].sum()
    for row in facts("reader_study").itertuples():
        lines.append(("Table 3", f"{row.task}, {row.reader}", row.accuracy, numbers[row.task]))
    for row in facts("headline").itertuples():
        n = confusion_of(row.task, row.cohort, ARMS[0]).to_numpy().sum()
        lines.append(("Figures 2 and 3", f"{row.task}, {row.cohort}", row.acc, n))
    for row in facts("centres_printed").itertuples():
        n = row.n
        if row.set in ("LS", "GZ"):
            n = confusion_of(MALIGNANT, row.set, ARMS[0]).loc[row.what].sum()
        if pd.notna(n) and pd.notna(row.acc):
            lines.append((row.set, row.what, row.acc, int(n)))
    table = pd.DataFrame(lines, columns=["where", "what", "printed", "n"])
    table["counts"] = [counts_of_share(r.printed, int(r.n)) for r in table.itertuples()]
    return table[table["counts"].str.len() == 0].drop(columns="counts").reset_index(drop=True)


def reader_lines(study: pd.DataFrame) -> list[tuple]:
    """Table 3's accuracies, the kappas and Figure 4e."""
    lines, found = [], accuracies(study).set_index(["group", "question", "who"])
    for row in facts("reader_study").itertuples():
        who = "machine" if row.reader == "LiLNet" else row.reader
        group = {BM: "all", MALIGNANT: "malignant", BENIGN: "benign"}[row.task]
        line, note = found.loc[(group, "side" if group == "all" else "class", who)], ""
        if group == "all" and who in READERS:
            by_class = found.loc[(group, "side by class", who)]
            note = f"by the side of the class answer {100 * by_class['share']:.1f} ({by_class['right']:.0f})"
        elif group != "all" and who == "machine":
            note = "told the true side"
        value = f"{100 * line['share']:.1f} [{100 * line['low']:.1f}, {100 * line['high']:.1f}] ({line['right']:.0f})"
        lines.append((f"{row.reader}, {row.task}", row.accuracy, value, int(line["patients"]), note))
    printed = in_words("Fleiss kappa of readers and LiLNet").values()
    for line, value in zip(kappas(study).itertuples(), [*printed] * 2, strict=True):
        value = value if line.raters == "readers and machine" else ""
        kappa = f"{line.kappa:.3f} [{line.low:.3f}, {line.high:.3f}]"
        lines.append((f"kappa of {line.raters}: {line.what}", value, kappa, line.patients, ""))
    table = figure_4e(study)
    for side in ("benign", "malignant"):
        for part, value in in_words(f"Figure 4e, {side}").items():
            note = f"best reader: {table.loc[side, 'reader']}"
            lines.append((f"4e, {side}: {part}", value, table.loc[side, part], table.loc[side][1:].sum(), note))
    classes = table.drop(index=["benign", "malignant"]).drop(columns="reader").sum()
    for part, value in in_words("Figure 4e, all six classes").items():
        k = classes[part.removesuffix(", %")]
        note = "best reader of each class"
        lines.append((f"4e, six classes: {part}", value, f"{100 * k / classes.sum():.1f} ({k})", classes.sum(), note))
    for (question, who), found in against_each(study).items():
        low, high = found.difference.interval()
        value = f"{100 * found.difference.difference:+.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        note = f"machine alone right {found.a_only}, reader alone {found.b_only}: p {found.p:.2g}"
        lines.append((f"machine less {who}, {question}", "", value, found.n, note))
    for name, best in best_reader(study).items():
        value = f"{100 * best.difference:+.1f} [{100 * best.low:.1f}, {100 * best.high:.1f}]"
        note = f"choice of the best repeated; the best looks {100 * best.optimism:.1f} points better than it is"
        lines.append((f"machine less the best reader: {name}", "", value, len(study), note))
    return lines


def detection_lines() -> list[tuple]:
    """F1 from recall and precision, and the ratio of the two: boxes over lesions, whatever the IoU."""
    lines = []
    for iou in (".1", ".3", ".5"):
        printed = in_words(f"detection, IoU {iou}")
        recall, precision = printed["recall"], printed["precision"]
        f1, most = (2 * r * p / (r + p) for r, p in ((recall, precision), (recall + 0.05, precision + 0.05)))
        note = f"at most {most:.2f} with rounding; recall over precision {recall / precision:.4f}"
        lines.append((f"detection, IoU {iou}: F1", printed["F1"], f"{f1:.2f}", "", note))
    return lines


def time_split() -> pd.DataFrame:
    """Random less time split, from printed accuracies and the sheets' n: difference, interval (points), p of a t-test.

    largest: for the random split the largest logit's accuracy, with its p.  One split of each kind is printed, of one
    training each, so the interval holds chance among test patients only.
    """
    headline, lines = facts("headline").set_index(["task", "cohort"])["acc"], {}
    for row in facts("centres_printed").query("set.str.startswith('time split')").itertuples():
        cohort = row.set.removeprefix("time split, ")
        task = MALIGNANT if row.what == "malignant" else row.what
        largest = measure(task, cohort, ARMS[0], "accuracy, largest logit")
        n, random = largest["n"], headline.get((task, cohort), measure(task, cohort, ARMS[0], PRINTED)["value"])
        p, p_largest = (_two_shares(first / 100, row.acc / 100, n) for first in (random, largest["value"]))
        shares = np.array([random, row.acc]) / 100
        half = 100 * stats.norm.ppf(0.975) * np.sqrt((shares * (1 - shares)).sum() / n)
        difference, words = random - row.acc, in_words(f"random against time split, p, {cohort}")
        lines[task, cohort] = (
            random,
            row.acc,
            difference,
            difference - half,
            difference + half,
            p,
            words[task],
            p_largest,
            n,
        )
    columns = ["random", "time", "difference", "low", "high", "p", "printed p", "p, largest", "n"]
    return pd.DataFrame([*lines.values()], pd.MultiIndex.from_tuples(lines, names=["task", "cohort"]), columns)


def _two_shares(a: float, b: float, n: int) -> float:
    """p of a two-sided t-test between n answers right in a share a, and n others in b."""
    parts = (value for share in (a, b) for value in (share, np.sqrt(share * (1 - share) * n / (n - 1)), n))
    return float(stats.ttest_ind_from_stats(*parts).pvalue)


def end_to_end_bounds() -> pd.DataFrame:
    """HN, both stages right: the fewest and the most patients, as rows of the two stages cannot be joined."""
    lines, first = [], confusion_of(BM, "HN", ARMS[0])
    for side, task in (("malignant", MALIGNANT), ("benign", BENIGN)):
        second = confusion_of(task, "HN", ARMS[0]).to_numpy()
        n, a, b = int(first.loc[side].sum()), first.loc[side, side], np.trace(second)
        lines.append((side, max(0, a + b - n), min(a, b), n))
    return pd.DataFrame(lines, columns=["side", "fewest", "most", "n"]).set_index("side")


def arm_lines() -> list[tuple]:
    """The two baselines of each task and cohort: accuracy, AUC, and how far LiLNet is ahead."""
    lines, there = [], set(facts("recomputed")[["task", "cohort", "arm", "measure"]].itertuples(index=False, name=None))
    for (task, cohort), arm in itertools.product(HEADLINE, ARMS[1:]):
        for name, ahead in ((PRINTED, "LiLNet's accuracy less this one's"), ("AUC, mean of classes", "")):
            if (task, cohort, arm, name) in there:
                line, note = measure(task, cohort, arm, name), ""
                if (task, cohort, arm, ahead) in there:
                    note = f"LiLNet is ahead by {shown(measure(task, cohort, arm, ahead))}"
                lines.append((f"{task}, {cohort}, {arm}: {name.split(',')[0]}", "", shown(line), line["n"], note))
    return lines


def phase_lines() -> list[tuple]:
    """How often the phases agree, and what the average does where they do not."""
    lines, numbers, printed = [], [], in_words("phases")
    for task, cohort in BY_PHASE:
        key = (task, cohort, PHASES[0])
        agree = measure(*key, "the two phases agree")
        numbers.append(agree["n"])
        note = f"where they differ, both together are right in {shown(measure(*key, 'both right where they differ'))}"
        lines.append((f"phases agree: {task}, {cohort}", printed["agree, about %"], shown(agree), agree["n"], note))
        for arm in PHASES[1:]:
            line = measure(task, cohort, arm, "accuracy of both less this one's")
            lines.append((f"both phases less {arm}: {task}, {cohort}", "", shown(line), line["n"], ""))
    total = sum(numbers)
    return [("phases: patients", int(printed["patients"]), total, total, "rows of the four sheets"), *lines]


def printed_beside() -> pd.DataFrame:
    """Everything in one table, `COLUMNS`."""
    lines = headline_lines() + arm_lines() + centre_lines() + phase_lines() + reader_lines(reader_study())
    lines += detection_lines()
    for (task, cohort), row in time_split().iterrows():
        value = f"p {row['p']:.3f}; {row['difference']:+.1f} [{row['low']:.1f}, {row['high']:.1f}]"
        note = f"printed is p; with the largest logit p {row['p, largest']:.3f}"
        lines.append((f"random less time split: {task}, {cohort}", row["printed p"], value, int(row["n"]), note))
    bounds = end_to_end_bounds().sum()
    value = f"{100 * bounds['fewest'] / bounds['n']:.1f} to {100 * bounds['most'] / bounds['n']:.1f}"
    lines.append(
        ("HN, six classes end to end", "", value, int(bounds["n"]), "bounds: rows of the stages cannot be joined")
    )
    return pd.DataFrame(lines, columns=COLUMNS)
