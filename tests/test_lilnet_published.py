"""LiLNet's facts: from its published outputs, where these are beside this checkout, and what follows from them."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support, roc_auc_score
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from livervlm.analyses import lilnet_examined as examined
from livervlm.analyses import lilnet_published as published
from livervlm.analyses import lilnet_readers as readers
from livervlm.analyses import lilnet_table as table
from livervlm.analyses.lilnet_published import ARMS, BENIGN, BM, CLASSES, MALIGNANT, PHASES
from livervlm.base.errors import InputError
from livervlm.base.paths import data_file

SHARED = Path(__file__).parents[2] / "shared"
OUTPUTS = SHARED / "paper" / "lilnet_outputs"
outside = pytest.mark.skipif(not OUTPUTS.is_dir(), reason="LiLNet's published outputs are not beside this checkout")


@pytest.fixture(scope="module")
def sheets():
    return published.read_sheets(OUTPUTS)


@pytest.fixture(scope="module")
def study():
    return readers.reader_study()


@pytest.fixture(scope="module")
def beside():
    return table.printed_beside().set_index("what")


def same(a, b):
    pd.testing.assert_frame_equal(a.reset_index(drop=True), b.reset_index(drop=True), check_dtype=False, rtol=1e-4)


@outside
def test_the_counts_are_those_of_the_outputs(sheets):
    same(published.counts(sheets), table.facts("published").drop(columns=["source", "bib"]))
    kept = pd.read_csv(data_file("lilnet_readers.csv"), keep_default_na=False).drop(columns=["source", "bib"])
    same(readers.reader_counts(OUTPUTS), kept)


@outside
def test_the_measures_are_those_of_the_outputs(sheets):
    """All of a small sheet, of phases and of arms; of the others the points, as their bootstraps take long."""
    kept = table.facts("recomputed").set_index(["task", "cohort", "arm", "measure"])[["value", "low", "high", "n"]]
    key = (BENIGN, "test")
    found = {(*key, ARMS[0], name): line for name, line in published.measures(sheets[(*key, ARMS[0])]).items()}
    found |= published.between_arms(sheets, key) | published.between_phases(sheets, key)
    found |= published.overlap(sheets, key)
    for name, line in found.items():
        assert kept.loc[name].to_numpy(float) == pytest.approx(np.array(line, float), rel=1e-4, nan_ok=True), name
    for key, sheet in sheets.items():
        right = accuracy_score(sheet.label, sheet.answered)
        assert kept.loc[(*key, "accuracy, printed answers"), "value"] == pytest.approx(right, rel=1e-4)
        if (*key, "AUC, mean of classes") in kept.index:
            aucs = [roc_auc_score(sheet.label == c, sheet.logits[:, c]) for c in range(len(CLASSES[key[0]]))]
            assert kept.loc[(*key, "AUC, mean of classes"), "value"] == pytest.approx(np.mean(aucs), rel=1e-4)


@outside
def test_averages_are_scikit_learns(sheets):
    for (task, cohort), how in itertools.product(list(published.HEADLINE)[:6], table.AVERAGES):
        sheet = sheets[task, cohort, ARMS[0]]
        found = table.averages(table.confusion_of(task, cohort, ARMS[0]))[how]
        oracle = precision_recall_fscore_support(sheet.label, sheet.answered, average=how)[:3]
        assert [found[part] / 100 for part in ("precision", "recall", "f1")] == pytest.approx(oracle)


@outside
def test_printed_tables_are_those_of_the_seed():
    def shown(name):
        rows = pd.read_csv(SHARED / "paper" / f"lilnet_{name}.csv").replace({"benign vs malignant": BM})
        return rows.replace({"internal test": "test", "HN external": "HN"})

    for name in ("headline", "reader_study"):
        same(table.facts(name).drop(columns=["source", "bib"]), shown(name))
    centres = shown("centres").query("~set.str.startswith('detection')")
    centres = centres.assign(acc=centres["acc"].astype(float))
    same(table.facts("centres_printed").drop(columns=["source", "bib"]), centres)


@outside
def test_the_sums_of_table_1_and_its_two_heads():
    """GZ and LS: each one's classes add up to the other's head; the sheets have the sums, not the heads."""
    rows = pd.read_csv(SHARED / "paper" / "lilnet_patients.csv").set_index("cohort")
    sums, heads = rows.drop(columns="printed n").sum(axis=1), rows["printed n"]
    assert sums[sums != heads].to_dict() == {"GZ": 216, "LS": 205}
    assert heads[["LS", "GZ"]].tolist() == [216, 205]
    assert sums.sum() == heads.sum() == 4039
    for cohort in ("HN", "GZ", "LS", "CD"):
        labels = table.confusion_of(MALIGNANT, cohort, ARMS[0]).sum(axis=1)
        assert labels.tolist() == rows.loc[cohort, ["HCC", "ICC", "MET"]].tolist()
    first = table.confusion_of(BM, "test", ARMS[0]).sum(axis=1)
    assert (first.tolist(), sums["test"]) == ([135, 1225], 1308)  # the second stage has 149 and 1159


@outside
def test_table_2_beside_its_sheets():
    """One cell of each cohort, and the averages that hold them, do not come back; one patient of HN is missing."""
    cells = table.size_cells(pd.read_csv(SHARED / "paper" / "lilnet_size.csv"))
    apart = cells[~cells["agree"]]
    assert apart[["cohort", "size", "class"]].to_numpy().tolist() == [
        ["test", "<1 cm", "HCC"],
        ["test", "<1 cm", "average"],
        ["HN", "<1 cm", "average"],
    ]
    assert (cells["n"] == cells["printed n"]).all()
    assert cells[cells["class"] == "average"].groupby("cohort")["n"].sum().to_dict() == {"test": 1308, "HN": 635}


@outside
def test_a_claims_words_are_the_papers():
    seed = (SHARED / "seeds" / "lilnet_natcomm_2024.txt").read_text(encoding="utf-8")
    claims = json.loads(data_file("lilnet_claims.json").read_text(encoding="utf-8"))["claims"]
    assert [claim["name"] for claim in claims if claim["paper"]["words"] not in seed] == []


def test_claims_point_at_lines_of_the_table(beside):
    claims = json.loads(data_file("lilnet_claims.json").read_text(encoding="utf-8"))["claims"]
    assert [line for claim in claims for line in claim["lines"] if line not in beside.index] == []
    allowed = {"borne out", "borne out in part", "not borne out", "undecided", "cannot be told"}
    assert {claim["bears"] for claim in claims} == allowed


def test_a_claim_has_a_contrast_on_the_phantom_or_says_why_not():
    claims = json.loads(data_file("lilnet_claims.json").read_text(encoding="utf-8"))["claims"]
    contrasts = {one["name"] for one in json.loads(data_file("lilnet.json").read_text(encoding="utf-8"))["contrasts"]}
    assert all(("contrasts" in claim) != ("phantom" in claim) for claim in claims)
    assert {name for claim in claims for name in claim.get("contrasts", ())} <= contrasts


def test_ten_answers_differ_from_the_largest_logit():
    rows = table.facts("published")
    apart = rows[rows["answered"] != rows["largest"]]
    assert apart[["task", "cohort", "arm", "label", "answered", "largest", "patients"]].to_numpy().tolist() == [
        [MALIGNANT, "test", "LiLNet", "MET", "MET", "ICC", 10]
    ]


def test_every_printed_auc_is_the_area_under_an_interpolated_mean_curve():
    for row in table.facts("headline").itertuples():
        line = table.measure(row.task, row.cohort, ARMS[0], "AUC, interpolated mean curve")
        assert f"{line['value']:.1f}" == f"{row.auc:.1f}"


def test_an_interpolated_curve_is_the_auc_where_two_classes_mirror_each_other():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 200)
    score = np.round(label + rng.normal(size=200), 1)
    assert published.macro(label, np.stack([-score, score], axis=1)) == pytest.approx(roc_auc_score(label, score))
    assert published.interpolated_auc(np.repeat([0, 1, 2], 9), np.repeat(np.eye(3), 9, axis=0)) == pytest.approx(1)


def test_the_machine_was_told_the_side_and_the_readers_were_not(study):
    found = readers.accuracies(study).set_index(["group", "question", "who"])["right"]
    assert found.loc["all", "side by class"].to_dict() == {"junior": 191, "middle": 192, "senior": 198, "machine": 221}
    assert found.loc["all", "side"].to_dict() == {"junior": 185, "middle": 197, "senior": 197, "machine": 201}
    assert found.loc["all", "end to end"].to_dict() == {"junior": 149, "middle": 158, "senior": 157, "machine": 186}


def test_kappas_are_those_of_statsmodels(study):
    found = readers.kappas(study, n_boot=20).set_index(["what", "raters"])["kappa"]
    counts, _ = aggregate_raters(study[[f"{who}_malignant" for who in readers.ALL]].to_numpy())
    assert found["side, all", "readers and machine"] == pytest.approx(fleiss_kappa(counts))
    malignant = study[study["truth"].isin(CLASSES[MALIGNANT])]
    counts, _ = aggregate_raters(malignant[list(readers.READERS)].to_numpy().astype(str))
    assert found["class, malignant", "readers"] == pytest.approx(fleiss_kappa(counts))


def test_figure_4e_comes_back_with_the_best_reader_of_each_class(study):
    found = readers.figure_4e(study)
    classes = found.drop(index=["benign", "malignant"])
    assert classes["reader"].to_dict() == {
        "CYST": "middle",
        "FNH": "senior",
        "HCC": "junior",
        "HEM": "senior",
        "ICC": "middle",
        "MET": "junior",
    }
    assert classes.drop(columns="reader").sum().tolist() == [158, 35, 19, 9]  # 16, 8 and 4 % of 221 are printed
    assert found.loc["benign"].tolist() == ["middle", 87, 7, 5, 5]


def test_table_3s_precision_of_benign_and_malignant_is_specificity(study):
    """Recall and "precision" of the junior, the middle reader and LiLNet: sensitivity and specificity, by class."""
    printed = table.facts("reader_study").query("task == @BM").set_index("reader")
    found = readers.accuracies(study).set_index(["question", "who", "group"])["right"]
    for name, question in (("junior", "side by class"), ("middle", "side by class"), ("LiLNet", "side")):
        who = "machine" if name == "LiLNet" else name
        for group, part, n in (("malignant", "recall", 117), ("benign", "precision", 104)):
            assert abs(100 * found[question, who, group] / n - printed.loc[name, part]) < 0.1


def test_percentages_that_no_count_gives():
    found = table.impossible_shares()
    assert found[["where", "what", "printed", "n"]].to_numpy().tolist() == [
        ["Table 3", "FNH/HEM/CYST, junior", 71.9, 104],
        ["queue, Tianfu", BM, 91.9, 184],
        ["queue, Sanya", BM, 90.5, 235],
    ]


def test_the_sheets_of_the_phases_hold_more_patients_than_are_printed(beside):
    line = beside.loc["phases: patients"]
    assert (line["printed"], line["n"]) == (1569, 1596)
    assert sum(table.confusion_of(*key, PHASES[0]).to_numpy().sum() for key in published.BY_PHASE) == 1596


def test_what_does_not_come_back_is_listed_once_and_nothing_else():
    table = examined.not_back()
    found = {name: (str(line["printed"]), line["recomputed"]) for name, line in table.iterrows()}
    assert len(found) == len(table) == 14
    known = {
        "patients of the test set": ("1308", 1360),
        "patients of GZ and LS": ("205, 216", "216, 205"),
        "patients in Figure 4, test and HN": ("1569", 1596),
        "patients with MET, HN": ("98", 97),
        f"accuracy, {MALIGNANT}, test": ("88.7", "by the largest logit 87.8, by the sheets of Table 2 88.3"),
        "lead in AUC over two ResNet50, test, points": ("1 to 2", "0.5 to 2.9"),
        f"accuracy, {BM}: junior, middle, senior": ("86.4, 86.9, 88.7", "83.7, 89.1, 89.1"),
        "detection, IoU .3: F1": ("92.8", "by recall and precision at most 92.53"),
        f"kappa of four: {BM}, {MALIGNANT}, {BENIGN}": ("0.806, 0.771, 0.848", "0.727, 0.514, 0.704"),
        f"accuracy, {BENIGN}, junior": ("71.9", "no count of 104 gives it"),
    }
    assert {name: found[name] for name in known} == known
    interval = found[f"AUC, time split, test, {BM}"]
    assert interval == ("98.7 [92.1, 94.8]", "outside its interval, which is that of the accuracy")


def test_a_figure_that_comes_back_leaves_the_list(monkeypatch):
    """As if other numbers had been printed."""
    given = {"patients": table.facts("patients").replace({1308: 1360, 98: 97}), "in_words": table.facts("in_words")}
    given["in_words"] = given["in_words"].replace({92.8: 92.5})
    monkeypatch.setattr(table, "facts", lambda name, facts=table.facts: given.get(name, facts(name)))
    monkeypatch.setattr(examined, "facts", table.facts)
    left = examined.not_back().index
    assert "detection, IoU .3: F1" not in left
    assert not left.str.startswith(("patients of the test", "patients with MET")).any()


def test_what_is_not_printed_follows_from_the_sheets():
    found = examined.not_printed()
    assert found.loc["six classes end to end, HN", "recomputed"] == "between 71.7 and 81.8"
    assert found.loc[f"calibration error, {BM}, HN", "recomputed"] == "1.6"
    assert found.loc["sensitivity at 90 % specificity, test", "recomputed"] == "92.3 [86.8, 96.4]"


def test_one_interval_of_the_time_split_does_not_hold_its_auc():
    rows = table.facts("centres_printed").dropna(subset="auc_lo")
    outside = rows[(rows["auc"] < rows["auc_lo"]) | (rows["auc"] > rows["auc_hi"])]
    assert outside[["set", "what"]].to_numpy().tolist() == [["time split, test", BM]]
    assert outside[["auc_lo", "auc_hi"]].to_numpy().tolist() == outside[["acc_lo", "acc_hi"]].to_numpy().tolist()


def test_bad_input_is_said(tmp_path, study):
    for read in (published.read_sheets, readers.reader_counts):
        with pytest.raises(InputError, match="not there"):
            read(tmp_path)
    (tmp_path / "logits.csv").write_text("file,sheet,row,label,predicted,logit_0,logit_1,logit_2\n")
    with pytest.raises(InputError, match="is missing or lacks logits"):
        published.read_sheets(tmp_path)
    with pytest.raises(InputError, match="question 'size'"):
        readers.right(study, "junior", "size")
