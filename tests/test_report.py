"""`livervlm report`: every claim with its settings and its verdict, all of it from the records."""

import io
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from livervlm.base import profiles
from livervlm.cli import main
from livervlm.cli.report import COLUMNS
from livervlm.runs.cells import cells
from livervlm.runs.records import write_record
from livervlm.runs.results import NO_VERDICT, Runs
from livervlm.runs.rows import all_rows, declared

PATIENTS = 20
PLANNED = declared()["plan"]["cohorts"]
SETTINGS = ["protocol", "pixels", "epochs", "text encoder", "network", "ordinary augmentation", "phantom version"]


@pytest.fixture
def record(tmp_path, quick, provenance):
    """Write records of a row on some cohorts, as a run under the small profile leaves them."""

    def write(name, cohorts, **data):
        row = all_rows()[name]
        for cell in cells([row], "population", cohorts, quick, PATIENTS):
            test = {"slices": np.full(PATIENTS, 2, np.uint8), "correct": np.ones(PATIENTS, np.uint8), "accuracy": 50.0}
            found = {
                "row": {"name": row.name, "set": row.set, "method": row.method.name, **asdict(row.method)},
                "protocol": "population",
                "cohort": cell.cohort,
                "fold": None,
                "profile": asdict(quick),
                "text_encoder": getattr(row.method, "config", {}).get("text_encoder", quick.text_encoder),
                "data": {"source": {"kind": "phantom", "version": "2", **data}},
                "tests": {pool: test for pool in cell.pools},
            }
            write_record(cell.path(tmp_path), {**provenance, **found})
        return tmp_path

    return write


def reported(capsys, *arguments) -> str:
    assert main(["report", *map(str, arguments)]) == 0
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def contrasts():
    """Those of the book's own records."""
    return Runs().contrasts()


def own(folder):
    return "--out", folder, "--test-patients", PATIENTS


def test_the_books_own_records_give_the_verdicts_of_its_contrasts(contrasts, capsys, monkeypatch):
    monkeypatch.setenv("LIVERVLM_PROFILE", "smoke")  # the book's records are of another
    lines = json.loads(reported(capsys, "--json"))
    papers = dict(zip(contrasts["claim"], (line["claim"] for line in lines), strict=True))
    robust = "Misregistered ROIs do as well as aligned ones."
    assert {own: paper for own, paper in papers.items() if own != paper} == {
        "Aligned ROIs are better than misregistered ones.": robust
    }
    assert [line["verdict"] for line in lines] == contrasts["on the paper"].tolist()
    (table_6,) = (line for line in lines if line["claim"] == robust)
    assert (contrasts.loc["aligned against misregistered", "verdict"], table_6["verdict"]) == (
        "reproduced",
        "not reproduced",
    )
    assert [line["cohorts"] for line in lines] == contrasts["n"].tolist()
    assert [line["planned cohorts"] for line in lines] == contrasts["of"].tolist()
    assert {line["protocol"] for line in lines} == {"population"}
    recorded = profiles.PROFILES["recorded"]
    assert {line["pixels"] for line in lines} == {str(recorded.size)}
    assert {line["phantom version"] for line in lines} == {"2"}
    by_claim = {line["claim"]: line for line in lines}
    steps = by_claim["Phase-shuffle pretraining is better than as many more steps from scratch."]
    assert steps["epochs"] == f"{recorded.epochs} / {2 * recorded.epochs}"
    assert by_claim["Prompts are better than random vectors."]["text encoder"] == "minilm / random"
    assert by_claim["After phase shuffle, prompts are better than an FC layer."]["text encoder"] == "minilm / none"


def test_a_readers_own_runs_are_reported_with_their_own_settings(record, quick, capsys):
    record("scratch", 3, version="7")
    folder = record("model 1", 2)
    found = json.loads(reported(capsys, *own(folder), "--json"))
    first = found[0]
    assert first["claim"] == "Phase-shuffle pretraining is better than training from scratch."
    assert first["verdict"] == NO_VERDICT
    assert [first[name] for name in SETTINGS] == ["population", "16", "2", "minilm", "resnet18", "none", "2 / 7"]
    assert (first["cohorts"], first["planned cohorts"]) == (2, PLANNED["core"])
    said = reported(capsys, *own(folder))
    words = " ".join(said.split())
    quoted = "Table 3, “clearly demonstrate the effectiveness of pre-training the image encoder” (4.2.1): 2 of"
    assert f"{quoted} {PLANNED['core']} cohorts, population protocol, 16 px, 2 epochs, text encoder" in words
    everything = json.loads(reported(capsys, *own(folder), "--profile", "workshop", "--json"))
    assert {line["cohorts"] for line in everything} == {0}  # those runs were under another profile


def test_the_readme_says_what_the_report_says(contrasts):
    counts = contrasts["on the paper"].value_counts()
    said = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert counts.sum() == 11
    order = ("equivalent", "undecided", "not reproduced", "reproduced")
    words = [f"{counts.get(word, 0) or ('and none' if word == 'reproduced' else 'none')} {word}" for word in order]
    assert f": {', '.join(words)}." in said


def test_a_row_on_all_its_cohorts_has_a_verdict_in_the_table_too(record, capsys):
    record("misregistered", PLANNED["misregistration"])
    folder = record("model 1", PLANNED["core"])
    said = reported(capsys, *own(folder))
    line = next(text for text in said.splitlines() if text.startswith("Misregistered ROIs do as well"))
    assert (
        line.split()[-1]
        == Runs("population", folder, profiles.PROFILES["smoke"], PATIENTS)
        .contrasts()
        .loc["aligned against misregistered", "on the paper"]
    )
    assert f"10 {NO_VERDICT}" in said
    assert all(len(text) <= 100 for text in said.splitlines())
    assert sum(COLUMNS.values()) + 2 * (len(COLUMNS) - 1) <= 100
    assert "not for diagnosis" in " ".join(said.split())


def test_what_was_run_names_every_setting_of_both_sides_of_a_contrast(record):
    record("FC, phase shuffle", 2)
    runs = Runs("population", record("model 1", 2), profiles.PROFILES["smoke"], PATIENTS)
    both = runs.about("prompts against FC, pretrained")
    assert both == runs.about("model 1", "FC, phase shuffle")
    assert "protocol population, pixels 16, epochs 2, text encoder minilm / none, network resnet18" in both
    assert "text encoder minilm, network" in runs.about("model 1")


def test_csv_holds_what_json_holds(record, capsys):
    record("FC, phase shuffle", 2)
    folder = record("model 1", 2)
    found = json.loads(reported(capsys, *own(folder), "--json"))
    table = pd.read_csv(io.StringIO(reported(capsys, *own(folder), "--csv")), dtype=str)
    assert table.to_dict("records") == [{name: str(value) for name, value in line.items()} for line in found]
    assert table["text encoder"].tolist().count("minilm / none") == 1


def test_without_records_no_claim_has_a_verdict(tmp_path, capsys):
    found = json.loads(reported(capsys, "--out", tmp_path, "--json"))
    assert {line["verdict"] for line in found} == {NO_VERDICT}
    assert {line[name] for line in found for name in SETTINGS} == {"-"}
    assert {line["cohorts"] for line in found} == {0}
    said = reported(capsys, "--out", tmp_path)
    assert said.count(NO_VERDICT) == len(found) + 1  # and their number
    assert " px" not in said


def test_what_cannot_be_reported_is_one_line(record, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert main(["report", "--out", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.endswith(
        "none: no such folder; `livervlm reproduce --out " + f"{tmp_path / 'none'}` leaves its records there\n"
    )
    (path,) = record("scratch", 1).rglob("*.json")
    path.write_text(path.read_text().replace('"accuracy": 50.0', '"accuracy": 90.0'))
    assert main(["report", *map(str, own(tmp_path))]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "cohort000.json: changed since it was written" in said.err
    assert len(said.err.splitlines()) == 1
