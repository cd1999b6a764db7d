"""The study on LiLNet: a small cohort goes the whole way, and what is made of records."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import cells_that_wait
from sklearn.metrics import f1_score, precision_score, roc_auc_score

from livervlm.analyses import lilnet
from livervlm.analyses.lilnet import cohorts, summary
from livervlm.analyses.lilnet.cohorts import EARLY, POOLS, ROWS, Cohort
from livervlm.base.errors import InputError
from livervlm.base.paths import data_file
from livervlm.evaluation.patients import PatientAnswers
from livervlm.models.lilnet import LiLNet
from livervlm.models.saved import read_card
from livervlm.runs.methods.method import Fitted
from livervlm.runs.records import SCHEMA, write_record
from livervlm.scans.conventions import LILNET_CLASSES

SEED = Path(__file__).resolve().parents[2] / "shared" / "seeds" / "lilnet_natcomm_2024.txt"


@pytest.fixture(scope="module")
def small():
    return Cohort(3, use="centres development", pool="centres development", taught=14, share=1 / 80, epochs=1, size=32)


@pytest.fixture(scope="module")
def records(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    write_record(small.path(folder), small.record())
    return summary.read_records(folder)


def test_every_row_answers_for_every_patient_of_every_pool(records):
    (record,) = records
    assert set(record["answers"]) == set(ROWS)
    for name, row in ROWS.items():
        for pool, counts in POOLS.items():
            asked = record["answers"][name][pool]
            assert set(asked) == ({"both", "ART", "PV"} if row.by_phase else {"both"})
            found = summary.answers(record, name, pool)
            assert len(found.prob) == len(counts), "one patient of each class"
            assert np.allclose(found.prob.sum(axis=1), 1, atol=5e-3)
            assert [LILNET_CLASSES[label] for label in found.label] == list(counts)


def test_both_phases_are_the_mean_of_each_alone(records):
    for name in ("LiLNet", "plain network"):
        both, art, pv = (summary.answers(records[0], name, shown=shown).prob for shown in ("both", "ART", "PV"))
        assert np.allclose(both, (art + pv) / 2, atol=2e-3)


def test_the_codes_row_pools_logits_over_all_pictures_of_a_patient_and_the_papers_probabilities(small):
    lesions = small.tested_on("LS").lesions
    prob = np.random.default_rng(0).dirichlet(np.full(6, 0.3), len(lesions))
    of = lesions.patient == lesions.patient[0]
    assert 1 < of.sum() < len(lesions)
    logits = np.log(prob[of]).mean(axis=0)
    expected = {"LiLNet": prob[of].mean(axis=0), "LiLNet, as its code": np.exp(logits) / np.exp(logits).sum()}
    for name, mean in expected.items():
        asked = cohorts.ask(lambda one, at: prob[at], lesions, ROWS[name])["both"]
        assert np.allclose(asked[np.unique(lesions.patient).tolist().index(lesions.patient[0])], mean, atol=1e-3)
    assert abs(expected["LiLNet"] - expected["LiLNet, as its code"]).max() > 0.01


def test_some_rows_alone_answer_as_they_do_among_all(small, records):
    two = ("LiLNet", "plain network")
    record = replace(small, rows=two).record()
    assert tuple(record["answers"]) == tuple(record["rows"]) == two
    for name in two:
        assert np.array_equal(record["answers"][name]["HN"]["both"], records[0]["answers"][name]["HN"]["both"])


def test_a_cohort_is_taught_and_tested_on_other_patients_of_the_same_tables(small):
    taught, early, tested = small.taught_on(), small.taught_on(early=True), small.tested_on("test")
    assert early.patients["time"].max() < EARLY < taught.patients["time"].max()
    sources = [one.lesions.source for one in (taught, early, tested)]
    assert len({source["hospital"] for source in sources}) == 1
    assert len({one.lesions.fingerprint() for one in (taught, early, tested)}) == 3
    diameters = [set(one.patients["diameter_mm"].dropna()) for one in (taught, early, tested)]
    assert diameters[0] == diameters[1], "the same patients, in other years"
    assert not diameters[0] & diameters[2]


def test_a_crop_of_one_size_shows_the_same_patients(small):
    for own, crop in (
        (small.taught_on(), small.taught_on(field=cohorts.CROP)),
        (small.tested_on("HN"), small.tested_on("HN", cohorts.CROP)),
    ):
        assert crop.patients.equals(own.patients)
        assert np.array_equal(crop.lesions.label, own.lesions.label)
        assert np.allclose(crop.lesions.spacing[..., 1:] * small.size, 157, atol=0.5)
        assert len(np.unique(own.lesions.spacing[..., 1])) > 1


def test_what_is_shown_is_as_much_for_all(small, monkeypatch):
    """Rows that see both phases of a slice get it twice as often as those that see one get each."""
    seen = []

    class Watched:
        def fit(self, lesions, train, profile, seed):
            seen.append((np.bincount(lesions.label[train]), profile.epochs))
            return Fitted(None)

    lesions = small.taught_on().lesions
    for by_phase in (True, False):
        monkeypatch.setitem(cohorts.ROWS, "watched", cohorts.Row(Watched(), by_phase))
        small.fit("watched", lesions)
    (each, once), (alike, twice) = seen[0], seen[1]
    assert twice == 2 * once
    assert set(alike) == {each.max()}


def of(label, answer, sure=0.7) -> PatientAnswers:
    prob = np.full((len(label), 6), (1 - sure) / 5)
    prob[np.arange(len(label)), answer] = sure
    return PatientAnswers(np.array(label), prob, np.arange(len(label)), LILNET_CLASSES)


def test_known_values():
    at = {name: place for place, name in enumerate(LILNET_CLASSES)}
    label = [at["HCC"]] * 4 + [at["CYST"]]
    found = of(label, [at["HCC"], at["HCC"], at["HCC"], at["FNH"], at["HEM"]])
    assert summary.recall(found) == pytest.approx(100 * (0.75 + 0) / 2)
    assert summary.as_prevalent(found, "test") == pytest.approx(100 * 0.75 * 946 / (946 + 51))
    stages = summary.staged(found)
    assert stages["benign or malignant"] == pytest.approx(100 * (0.75 + 1) / 2)
    assert stages["FNH, HEM, CYST"] == 0
    # The fourth HCC is called FNH.  Told that it is malignant, three classes are alike for it, and the first is taken.
    first = min(at["HCC"], at["ICC"], at["MET"]) == at["HCC"]
    assert stages["HCC, ICC, MET"] == pytest.approx(100 if first else 75)


def test_measures_are_scikit_learns():
    rng = np.random.default_rng(0)
    label, prob = np.repeat(np.arange(6), 30), rng.dirichlet(np.ones(6), 180)
    prob[np.arange(180), label] += 0.2
    prob /= prob.sum(axis=1, keepdims=True)
    found = summary.measured(PatientAnswers(label, prob, np.arange(180), LILNET_CLASSES))
    said = prob.argmax(axis=1)
    assert found["AUC"] == pytest.approx(100 * roc_auc_score(label, prob, multi_class="ovr"))
    assert found["F1"] == pytest.approx(100 * f1_score(label, said, average="macro"))
    assert found["precision"] == pytest.approx(100 * precision_score(label, said, average="macro"))
    assert found["recall"] == pytest.approx(summary.recall(PatientAnswers(label, prob, label, LILNET_CLASSES)))
    malignant = np.isin(LILNET_CLASSES, ["HCC", "ICC", "MET"])
    there, score = malignant[label], prob[:, malignant].sum(axis=1)
    threshold = np.quantile(score[~there], 0.9, method="inverted_cdf")
    assert found["sensitivity at 90 %"] == pytest.approx(100 * (score[there] > threshold).mean())


def test_confidence_that_keeps_its_word_has_no_error():
    label = np.tile(np.arange(6), 10)
    answer = np.where(np.arange(60) < 42, label, (label + 1) % 6)
    assert summary.measured(of(label, answer, 0.7))["calibration error"] == pytest.approx(0)
    assert summary.measured(of(label, answer, 0.9))["calibration error"] == pytest.approx(20)


def planted(shift: dict, cohorts: int = 12) -> list[dict]:
    """Records in which a row answers a share of 60 patients of each class rightly; `shift`: row -> points more."""
    rng, made = np.random.default_rng(0), []
    label = np.repeat(np.arange(6), 60)
    for number in range(cohorts):
        base, answers = 60 + rng.normal(scale=3), {}
        for name, row in ROWS.items():
            shown = ("both", "ART", "PV") if row.by_phase else ("both",)
            answers[name] = {pool: {} for pool in POOLS}
            for pool in POOLS:
                for what in shown:
                    right = rng.random(360) < (base + shift.get(name, 0) + shift.get(what, 0)) / 100
                    answers[name][pool][what] = of(label, np.where(right, label, (label + 1) % 6)).prob
        pool = {"label": label, "time": np.tile([0.2, 0.8], 180), "diameter_mm": np.tile([8.0, 20.0, 40.0, 60.0], 90)}
        pool["background"] = ["none", "cirrhosis"] * 180
        data = {"test": {"fingerprint": str(number)}}
        made.append({"answers": answers, "pools": dict.fromkeys(POOLS, pool), "data": data})
    return made


def test_contrasts_find_what_is_there_and_nothing_else():
    table = summary.contrasts(planted({"plain network": -12, "PV": -12, "Liver-VLM": 12, "LiLNet, early years": -12}))
    assert table.index.tolist() == [one["name"] for one in summary.declared()["contrasts"]]
    assert table.loc["LiLNet against a plain network", "verdict"] == "reproduced"
    assert table.loc["LiLNet against a plain network, HN", "verdict"] == "reproduced"
    assert table.loc["both phases against PV", "verdict"] == "reproduced"
    assert table.loc["LiLNet against Liver-VLM", "verdict"] == "not reproduced"
    assert table.loc["two depths", "verdict"] in ("undecided", "equivalent")
    # The paper says that the split by time does as well: a difference is against it.
    assert table.loc["random against time split", ["verdict", "on the paper"]].tolist() == [
        "reproduced",
        "not reproduced",
    ]


def test_a_claim_that_rests_on_two_contrasts_has_both_verdicts():
    names = ["both phases against ART", "both phases against PV"]
    records = planted({"PV": -12})
    lines = summary.contrasts(records).loc[names]
    said, told = summary.verdict(records, names)
    assert said == "; ".join(lines["on the paper"])
    assert re.findall(r": ([+-][\d.]+)", told) == [f"{one:+.1f}" for one in lines["difference"]]
    assert told.startswith("both phases less ART: ")
    assert told.endswith(", 12 cohorts")


def test_resnet18_stands_beside_the_narrow_network_cohort_by_cohort():
    narrow = planted({"plain network": -12})
    deep = [{**record, "settings": {"number": i}} for i, record in enumerate(planted({"LiLNet": 12}, cohorts=3))]
    # On the second cohort the plain network has the answers of LiLNet, and the other way round.
    both = deep[1]["answers"]
    both["LiLNet"], both["plain network"] = both["plain network"], both["LiLNet"]
    table = summary.same_signs(deep, narrow)
    assert table.index.get_level_values("contrast").unique().tolist() == [
        "LiLNet against a plain network",
        "LiLNet against a plain network, HN",
    ]
    assert table["same sign"].tolist() == [True, False, True] * 2
    ours, plain = (summary.recall(summary.answers(deep[2], row)) for row in ("LiLNet", "plain network"))
    assert table.loc[("LiLNet against a plain network", 2), "ResNet18"] == pytest.approx(ours - plain)
    assert table.loc["LiLNet against a plain network", "narrow network"].mean() == pytest.approx(12, abs=5)
    for some, others, said in (
        (deep[:2], narrow, r"cohorts \[0, 1\] are there; run the first 3"),
        ([deep[0], deep[2], deep[1]], narrow, r"cohorts \[0, 2, 1\] are there"),
        (deep, narrow[:4], "4 of 12 cohorts"),
        (deep, [narrow[0], narrow[2], narrow[1], *narrow[3:]], "cohort 1: its test patients are not the same in both"),
    ):
        with pytest.raises(InputError, match=said):
            summary.same_signs(some, others)


def test_cohorts_of_other_settings_in_one_folder_are_refused(tmp_path):
    for number, encoder in enumerate(("resnet10_narrow", "resnet10_narrow", "resnet18")):
        settings = {"number": number, "encoder": encoder}
        write_record(tmp_path / f"cohort{number:03d}.json", {"schema": SCHEMA, "settings": settings})
        if number < 2:
            assert len(summary.read_records(tmp_path)) == number + 1
    with pytest.raises(InputError, match=r"cohort002.json: other settings than the cohorts before: encoder"):
        summary.read_records(tmp_path)


@pytest.mark.parametrize(
    "look",
    [
        summary.contrasts,
        lambda records: summary.measures(records, ["LiLNet"]),
        lambda records: summary.by_centre(records, ["LiLNet"]),
    ],
)
def test_nobody_looks_before_the_cohorts_are_there(look):
    with pytest.raises(InputError, match="11 of 12 cohorts: run the others before looking"):
        look(planted({}, cohorts=11))


def test_a_centre_is_asked_about_the_classes_that_it_has():
    """A network that knows no HCC, asked where there is nothing else, and where there are others."""
    records = planted({})
    for record in records:
        here = record["pools"]["CD"] = {"label": np.zeros(40, int) + LILNET_CLASSES.index("HCC")}
        record["pools"]["CD"]["time"] = np.zeros(40)
        record["answers"]["LiLNet"]["CD"]["both"] = of(here["label"], [LILNET_CLASSES.index("CYST")] * 40).prob
    table = summary.by_centre(records, ["LiLNet"])
    assert table.index.tolist() == [("LiLNet", pool) for pool in POOLS] + [("LiLNet, early years", "late")]
    assert table.loc[("LiLNet", "CD"), ["classes alike", "paper's frequencies"]].tolist() == ["0.0 (0.0 to 0.0)"] * 2
    assert table.loc[("LiLNet", "CD"), "FNH, HEM, CYST"] == "-"
    asked = [summary.recall(summary.answers(record, "LiLNet", "HN")) for record in records]
    mean, low, high = map(float, re.findall(r"[\d.]+", table.loc[("LiLNet", "HN"), "classes alike"]))
    assert mean == pytest.approx(np.mean(asked), abs=0.05)
    assert high - mean == pytest.approx(2.201 * np.std(asked, ddof=1) / np.sqrt(12), abs=0.1)
    assert high - mean == pytest.approx(mean - low, abs=0.11)


def test_tables_by_size_and_background_count_every_patient():
    records = planted({}, cohorts=2)
    size = summary.by_size(records)
    assert size["count"].to_numpy().sum() == 720
    assert (size["count"].to_numpy() == 30).all()
    background = summary.by_background(records)
    assert background["all"]["count"].tolist() == [360, 360]
    assert background["HCC"]["count"].tolist() == background["ICC"]["count"].tolist() == [60, 60]
    right = np.concatenate(
        [summary.answers(r, "LiLNet").prob.argmax(1) == r["pools"]["test"]["label"] for r in records]
    )
    assert np.average(size["mean"].to_numpy(), weights=size["count"].to_numpy()) == pytest.approx(100 * right.mean())


def test_phases_agree_as_often_as_they_do():
    records = planted({}, cohorts=1)
    art, pv = (summary.answers(records[0], "LiLNet", shown=shown).prob.argmax(axis=1) for shown in ("ART", "PV"))
    found = summary.agreement(records)
    assert found["agree"] == pytest.approx(100 * (art == pv).mean())
    label = records[0]["pools"]["test"]["label"]
    assert found["apart, ART right"] == pytest.approx(100 * (art == label)[art != pv].mean())


def test_the_plan_and_what_is_declared_are_one():
    text = data_file("results/lilnet.md").read_text(encoding="utf-8")
    table = text.split("## Contrasts")[1].split("## ")[0]
    planned = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][2:]
    names = [one["name"] for one in summary.declared()["contrasts"]]
    assert [re.sub(r" \(the paper.*", "", name) for name in planned] == names
    rows = text.split("## What is run")[1].split("## ")[0]
    assert {line.split("|")[1].strip() for line in rows.splitlines() if line.startswith("| ")} >= set(ROWS)
    for one in summary.declared()["contrasts"]:
        for row, pool, shown in (one["better"], one["worse"]):
            assert row in ROWS
            assert pool in (*POOLS, summary.LATE)
            assert shown == "both" or ROWS[row].by_phase


def test_the_papers_words_are_its_own():
    if not SEED.exists():
        pytest.skip("the paper's text is not here")
    text = SEED.read_text(encoding="utf-8")
    for one in summary.declared()["contrasts"]:
        assert one.get("paper", {"words": ""})["words"] in text


def test_every_line_of_the_papers_tables_stands_beside_something_or_says_why_not():
    for line in summary.declared()["printed"]:
        assert ("here" in line) != ("open" in line), line["what"]


def test_the_network_that_the_book_ships_was_taught_on_patients_whom_nobody_judges():
    card = read_card(data_file("lilnet"))
    assert card["provenance"]["use"] == "centres development"
    assert not card["provenance"]["commit"].endswith("dirty")
    assert LiLNet.from_pretrained(data_file("lilnet")).settings.classes == LILNET_CLASSES


def test_the_chapter_sets_resnet18_beside_once_its_cohorts_are_there(monkeypatch):
    (cell,) = cells_that_wait("lilnet", "same_signs")
    deep = [{**record, "settings": {"number": i}} for i, record in enumerate(planted({}, cohorts=3))]
    names = {"lilnet": lilnet, "pd": pd, "records": planted({}), "data_file": data_file}
    for there, lines in ((deep[:2], 1), (deep, 6)):
        monkeypatch.setattr(lilnet, "read_records", lambda folder, there=there: there)
        exec(cell, names)
        assert len(names["shown"]) == lines
