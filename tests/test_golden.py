"""What is recorded stays: every record under `data/results` to the byte, and every number that the verdicts rest on.

Whatever is rebuilt, this test is not edited for it.  New records join `tests/golden/records.json` with
`python tests/test_golden.py`, which refuses while an old one is changed or gone.
"""

import hashlib
import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"
RESULTS = Path(__file__).parents[1] / "data" / "results"


def golden(name: str) -> dict:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def recorded() -> dict[str, str]:
    """Path under `data/results` -> SHA-256 of its bytes."""
    paths = sorted(path for path in RESULTS.rglob("*") if path.suffix in (".json", ".safetensors"))
    return {p.relative_to(RESULTS).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def test_no_record_is_changed_renamed_or_lost():
    now = recorded()
    assert {name: now.get(name) for name in golden("records")} == golden("records")


@pytest.mark.parametrize("protocol", ["population", "paper"])
def test_the_book_finds_every_record_by_the_name_of_its_row(protocol):
    from livervlm import Runs

    runs, was = Runs(protocol), golden("found")[protocol]
    assert {row: min(len(runs.read(row)), n) for row, n in was.items()} == was  # there may be more by now


def test_every_number_of_the_contrasts_is_as_it_was():
    from livervlm import Runs

    table = Runs().contrasts()
    was = golden("contrasts")
    assert list(table.index) == list(was)
    for name, line in was.items():
        for column, value in line.items():
            now = table.loc[name, column]
            if isinstance(value, str):
                assert now == value, (name, column)
            else:
                assert float(now) == pytest.approx(value, rel=1e-9, abs=1e-12), (name, column)


def test_no_pair_that_is_compared_mixes_devices_or_precisions():
    """A plan's records may come from several machines, but both sides of a cohort from one kind."""
    from livervlm import Runs, declared

    runs, ran = Runs(), {}
    for contrast in (one for family in declared()["contrasts"].values() for one in family):
        for side in (contrast["better"], contrast["worse"]):
            if side not in ran:
                device = {record["cohort"]: record["device"] for record in runs.read(side)}
                ran[side] = {cohort: (one["type"], one["autocast"]) for cohort, one in device.items()}
        better, worse = ran[contrast["better"]], ran[contrast["worse"]]
        mixed = {cohort for cohort in better.keys() & worse.keys() if better[cohort] != worse[cohort]}
        assert not mixed, (contrast["name"], mixed)


def test_the_folds_of_a_hospital_and_its_truth_come_from_one_device():
    from livervlm import Runs, declared

    rows = {one[side] for one in declared()["contrasts"]["hospitals"] for side in ("better", "worse")}
    ran = {}
    for protocol in ("population", "inside", "inside-ten", "inside-again"):
        runs = Runs(protocol)
        for record in (record for row in rows for record in runs.read(row)):
            ran.setdefault(record["cohort"], set()).add((record["device"]["type"], record["device"]["autocast"]))
    assert all(len(kinds) == 1 for kinds in ran.values()), ran


if __name__ == "__main__":
    now, path = recorded(), GOLDEN / "records.json"
    was = json.loads(path.read_text()) if path.exists() else {}
    if changed := [name for name, digest in was.items() if now.get(name) != digest]:
        raise SystemExit(f"{changed[0]}: changed or gone, and {len(changed) - 1} more; records never change")
    path.write_text(json.dumps(now, indent=0) + "\n")
