"""The audit finds each fault that was planted, names its patients, and is silent where there is none."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import make_toy
from hypothesis import given, settings
from hypothesis import strategies as st

from livervlm import InputError, LesionSet, audit, cli, read_metadata
from livervlm.evaluation.audit.duplicates import NEAR, near_pairs
from livervlm.scans.conventions import ABSENT


@pytest.fixture(scope="module")
def clean(cohort):
    """Two groups of the phantom: 34 patients."""
    return cohort.subset(np.isin(cohort.group, (1, 2)))


def others(lesions: LesionSet, metadata=None) -> dict[str, list]:
    """Findings by check, without the notes."""
    found = {}
    for finding in audit(lesions, metadata):
        if finding.severity != "note":
            found.setdefault(finding.check, []).append(finding)
    return found


def changed(lesions: LesionSet, patients, change) -> LesionSet:
    """The set with `change(hu)` of some patients' slices, (n, P, H, W) int, put in the place of theirs."""
    hu, mine = np.array(lesions.hu), np.isin(lesions.patient, patients)
    hu[mine] = np.rint(change(hu[mine].astype(np.int32)))
    return replace(lesions, hu=hu)


def again(lesions: LesionSet, number: int, change=lambda hu: hu, **more) -> LesionSet:
    """The set with one patient's slices once more, changed."""
    copy = lesions.subset(lesions.patient == number)
    copy = replace(copy, hu=np.rint(change(copy.hu.astype(float))).astype(np.int16))
    n = len(copy)
    copy = replace(copy, **{name: np.full(n, value) for name, value in more.items()})
    return LesionSet.concatenate([lesions, copy])


def only(found: dict[str, list], check: str):
    assert list(found) == [check]
    (finding,) = found[check]
    return finding


def test_the_phantom_has_notes_at_most(cohort):
    found = audit(cohort)
    assert {finding.severity for finding in found} == {"note"}
    (size,) = (finding for finding in found if finding.check == "size")
    patients, slices = np.unique(cohort.patient, return_counts=True)
    assert list(size.patients) == patients[slices < 3].tolist()
    (hu,) = (finding for finding in found if finding.check == "HU")
    around, inside = (re.findall(r"\w+ (-?\d+)", part) for part in hu.what.split("the lesion ")[1:])
    mask = cohort.mask("lesion")
    assert inside == [f"{np.median(cohort.hu[:, p][mask[:, p]]):.0f}" for p in range(3)]
    assert np.allclose(np.float64(around), [54, 72, 104], atol=6)  # the liver of data/enhancement.csv
    (share,) = (finding for finding in found if finding.check == "shortcut")
    assert "most frequent class is that of 35%" in share.what  # CYST, 30 of 85 in Table 1


def turned(hu):
    return np.flip(hu, axis=(2, 3))


def noisy(hu):
    return hu + np.random.default_rng(0).normal(0, 2, hu.shape)


def grey(hu):
    """Stored as a picture of 256 grey levels, then scaled back."""
    return np.rint((hu.clip(-160, 240) + 160) / 400 * 255) / 255 * 400 - 160


@pytest.mark.parametrize(
    ("change", "severity"), [(None, "error"), (noisy, "doubt"), (turned, "doubt"), (grey, "doubt")]
)
def test_a_scan_that_is_there_as_two_patients(clean, change, severity):
    mine = clean.patient == clean.patient[0]
    lesions = again(clean, clean.patient[0], change or (lambda hu: hu), patient=900, group=2)
    finding = only(others(lesions), "copies")
    assert (finding.severity, finding.patients) == (severity, (clean.patient[0], 900))
    assert "2 groups" in finding.what
    assert "two labels" not in finding.what
    assert set(finding.slices) == {*np.flatnonzero(mine), *range(len(clean), len(lesions))}
    pairs = np.reshape(finding.slices, (-1, 2))  # a copy beside what it was copied from
    assert (lesions.patient[pairs] == [clean.patient[0], 900]).all()


def test_one_phase_of_another_patient_is_found(clean):
    hu = np.array(clean.hu)
    first, other = (np.flatnonzero(clean.patient == i)[0] for i in (0, 20))
    hu[other, 1] = hu[first, 1]
    finding = only(others(replace(clean, hu=hu)), "copies")
    assert (finding.severity, finding.patients, finding.slices) == ("error", (0, 20), (first, other))


def test_a_copy_with_another_label_is_an_error_however_it_was_changed(clean):
    label = (clean.label[0] + 1) % 4
    finding = only(others(again(clean, clean.patient[0], noisy, patient=900, label=label)), "copies")
    assert finding.severity == "error"
    assert "two labels" in finding.what
    found = others(again(clean, clean.patient[0], label=label))
    assert [finding.severity for finding in found["labels"]] == ["error", "doubt"]
    assert all(finding.patients == (clean.patient[0],) for finding in found["labels"])


def test_a_row_that_was_listed_twice(clean):
    finding = only(others(again(clean, clean.patient[0])), "copies")
    assert (finding.severity, finding.patients) == ("doubt", (clean.patient[0],))
    assert len(finding.slices) == 2 * (clean.patient == clean.patient[0]).sum()


def test_the_threshold_lies_between_copies_and_other_patients(clean, monkeypatch):
    monkeypatch.setattr("livervlm.evaluation.audit.duplicates.NEAR", 1.25 * NEAR)
    assert len(near_pairs(clean)) == 0
    lesions = again(clean, clean.patient[0], noisy, patient=900)
    monkeypatch.setattr("livervlm.evaluation.audit.duplicates.NEAR", 0.75 * NEAR)
    assert len(near_pairs(lesions)) == (clean.patient == clean.patient[0]).sum()


def swapped(*order):
    return lambda hu: hu[:, list(order)]


def phase(p, change):
    """`change` of one phase alone."""
    return lambda hu: np.stack([change(hu[:, q]) if q == p else hu[:, q] for q in range(hu.shape[1])], axis=1)


def lung(hu):
    hu = hu.copy()
    hu[..., :24, :] = -850
    return hu


@pytest.mark.parametrize(
    ("change", "check", "severity", "says"),
    [
        (phase(1, lambda hu: 0 * hu - 1024), "phases", "error", "ART shows nothing in 11 slices"),
        (swapped(0, 0, 2), "phases", "error", "NC and ART are the same picture, byte for byte, in 11 slices"),
        (lung, "air", "doubt", "11 slices with air"),
        (lambda hu: hu.clip(20, 100), "clipped", "doubt", "2 patients whose values end as if cut off, at 20, 100 HU"),
        (phase(0, lambda hu: (hu.clip(-160, 240) + 160) * 0.6375), "liver HU", "doubt", "around the lesion NC has"),
        (phase(2, lambda hu: hu + 1024), "liver HU", "doubt", "around the lesion PV has"),
        (swapped(2, 1, 0), "timing", "doubt", "brighter in NC than in PV in 2 patients"),
        (swapped(0, 2, 1), "timing", "doubt", "brighter in ART than in PV in 2 patients"),
    ],
)
def test_values_that_were_read_wrongly(clean, change, check, severity, says):
    found = others(changed(clean, (3, 20), change))
    assert check in found
    finding = next(finding for finding in found[check] if says in finding.what)
    assert (finding.severity, finding.patients) == (severity, (3, 20))
    assert set(clean.patient[list(finding.slices)]) == {3, 20}


def test_labels_and_sizes(clean):
    label = clean.label.copy()
    first = np.flatnonzero(clean.patient == 5)[0]
    label[first] = (label[first] + 1) % 4
    assert only(others(replace(clean, label=label)), "labels").patients == (5,)

    masks = np.array(clean.masks)
    masks[first, 2] = 0
    masks[first, 2, 0, :4] = 1
    finding = only(others(replace(clean, masks=masks)), "size")
    assert (finding.slices, "under 5 pixels" in finding.what) == ((first,), True)


def test_slices_are_counted_by_lesion(clean):
    """Of a patient with four slices: they are two small lesions, or one."""
    patients, n = np.unique(clean.patient, return_counts=True)
    large = patients[n >= 4][0]
    four, rest = clean.subset(np.flatnonzero(clean.patient == large)[:4]), clean.subset(clean.patient != large)
    lesions = LesionSet.concatenate([four, rest])
    small = {}
    for name, numbers in {"two": [1, 1, 2, 2], "one": [1, 1, 1, 1]}.items():
        (note,) = (
            f for f in audit(replace(lesions, lesion=np.array([*numbers, *(9 + rest.patient)]))) if f.check == "size"
        )
        small[name] = note
    assert set(small["two"].slices) - set(small["one"].slices) == {0, 1, 2, 3}
    counts = [
        int(re.match(r"(\d+) lesions? of \d+ patients? with under 3 slices", small[one].what)[1]) for one in small
    ]
    assert counts[0] == counts[1] + 2


def test_a_phase_that_is_missing_shows_no_small_lesion(clean):
    present = np.ones((len(clean), 3), bool)
    present[:20, 0] = False
    gone = ~present[..., None, None]
    hu, masks = np.where(gone, ABSENT, clean.hu), np.where(gone, np.uint8(0), clean.masks)
    lesions = replace(clean, hu=hu, masks=masks, present=present)
    assert not [finding for finding in audit(lesions) if "under 5 pixels" in finding.what]


def test_folds_that_bear_no_question(clean):
    fnh = clean.label == 1
    assert only(others(clean.subset(clean.group == 1)), "folds").what == "all patients are in one group"
    without = others(clean.subset(~(fnh & (clean.group == 2))))
    finding = only(without, "folds")
    assert (finding.severity, finding.what[:22]) == ("error", "FNH is in one group al")
    assert set(finding.patients) == set(clean.patient[fnh & (clean.group == 1)])
    alone = np.unique(clean.patient[fnh & (clean.group == 2)])[0]
    finding = only(others(clean.subset(~(fnh & (clean.group == 2)) | (clean.patient == alone))), "folds")
    assert (finding.severity, finding.patients) == ("doubt", (alone,))


def metadata_of(lesions: LesionSet, of_label: bool) -> pd.DataFrame:
    patients, first = np.unique(lesions.patient, return_index=True)
    rng = np.random.default_rng(1)
    told = lesions.label[first] if of_label else rng.integers(0, 4, len(patients))
    table = {"scanner": np.array(["A", "B", "C", "D"])[told], "age": rng.integers(30, 80, len(patients)).astype(float)}
    return pd.DataFrame(table, index=patients)


def test_a_scanner_that_tells_the_class(cohort):
    assert others(cohort, metadata_of(cohort, of_label=False)) == {}
    finding = only(others(cohort, metadata_of(cohort, of_label=True)), "shortcut")
    assert finding.severity == "doubt"
    assert "by column: scanner 100%" in finding.what
    assert "age" not in finding.what  # which tells nothing


def test_thickness_that_tells_the_class(clean):
    spacing = clean.spacing.copy()
    spacing[:, 0] = 1 + clean.label
    assert "by column: slice thickness 100%" in only(others(replace(clean, spacing=spacing)), "shortcut").what


def faulty() -> LesionSet:
    """A small set with faults of most kinds."""
    toy = make_toy()
    toy = changed(toy, (2, 9), phase(1, lambda hu: 0 * hu))
    toy = again(again(toy, 4, noisy, patient=30, group=5), 7)
    return replace(toy, spacing=np.column_stack([1 + toy.label, toy.spacing[:, 1:]]))


@given(seed=st.integers(0, 10**6))
@settings(max_examples=5)
def test_the_order_of_slices_and_the_numbers_of_patients_change_nothing(seed):
    rng, lesions = np.random.default_rng(seed), faulty()
    order, numbers = rng.permutation(len(lesions)), rng.permutation(1000)
    moved = lesions.subset(order)
    moved = replace(moved, patient=numbers[moved.patient])
    found = {(f.severity, f.check, f.what, frozenset(numbers[list(f.patients)])) for f in audit(lesions)}
    assert {kind for _, kind, *_ in found} >= {"copies", "phases", "shortcut", "folds", "size"}
    after = audit(moved)
    assert found == {(f.severity, f.check, f.what, frozenset(f.patients)) for f in after}
    slices = {(f.check, f.what, frozenset(f.slices)) for f in audit(lesions)}
    assert slices == {(f.check, f.what, frozenset(order[list(f.slices)].tolist())) for f in after}


def run(line: str) -> int:
    return cli.main(["audit", *line.split()])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_its_exit_status_and_a_page_without_a_name(here, clean, capsys):
    (here / "Meier_Anna").mkdir()
    named = replace(clean, source={"kind": "import", "who": "Meier"})
    named.save("Meier_Anna/clean.safetensors")
    table = metadata_of(clean, of_label=True).assign(name=[f"Meier {i}" for i in np.unique(clean.patient)])
    table.index.name = "patient"
    table.to_csv("Meier_Anna/about.csv", sep=";")
    again(named, 0, noisy, patient=900).save("Meier_Anna/doubt.safetensors")
    again(named, 0, patient=900).save("Meier_Anna/error.safetensors")
    for name, more, status in (
        ("clean", "", 0),
        ("doubt", "", 1),
        ("error", "--html Meier_Anna/a.html --json Meier_Anna/a.json", 2),
        ("clean", "--metadata Meier_Anna/about.csv --html Meier_Anna/b.html", 1),
    ):
        assert run(f"Meier_Anna/{name}.safetensors {more}") == status
        said = capsys.readouterr().out
        assert "Meier" not in said
        assert "not for diagnosis" in said
        assert ("error: copies: 2 patients" in said) == (status == 2)
    for page in (here / "Meier_Anna").glob("*.html"):
        text = re.sub(r"base64,[^\"]*", "", page.read_text())
        assert not re.search("Meier|Anna|/tmp|<script|http", text)
        assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
        assert "not for diagnosis" in text
    (first, *_) = found = json.loads((here / "Meier_Anna" / "a.json").read_text())
    assert (first["severity"], first["check"], first["patients"]) == ("error", "copies", [0, 900])
    assert (here / "Meier_Anna" / "a.html").read_text().count("<tr>") == 1 + len(found)


def test_the_page_fits_a_telephone(here, clean, page):
    again(changed(clean, (3, 20), swapped(2, 1, 0)), 0, patient=900).save("set.safetensors")
    assert run("set.safetensors --html a.html") == 2
    page.set_viewport_size({"width": 390, "height": 800})
    page.set_content((here / "a.html").read_text())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shown = page.evaluate("[...document.images].map(x => [x.naturalWidth, x.width, x.alt])")
    size = clean.size
    assert len(shown) > 5
    assert {width for width, _, _ in shown} == {3 * size}
    assert all(width > 150 and "patient" in alt for _, width, alt in shown)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("Meier,Anna\n0,F", "row 1: no header"),
        ("patient\n0", "row 1: no header"),
        ("", "not a table"),
        ("patient,sex\n0,F\n1,M,Meier", "not a table"),
        ("patient,sex\n\n0,F\nMeier,M", "row 4: its patient is no number"),
        ("patient,sex\n0,F\n77,M", "row 3: its patient is no number"),
        ("patient,sex\n0,F\n1,M\n0.0,M", "row 4: its patient is there already"),
    ],
)
def test_metadata_that_cannot_be_used_are_one_line_without_a_cell(table, says, here, toy):
    (here / "about.csv").write_text(table)
    with pytest.raises(InputError, match=f"^about.csv:? ?{says}") as raised:
        read_metadata("about.csv", toy)
    assert "Meier" not in str(raised.value)


def test_metadata_are_numbers_or_text_and_may_lack_patients(here, toy):
    (here / "about.csv").write_text("\ufeffage ; patient; sex;weight\n61;2.0; F;\n;3;M;\n", encoding="utf-8")
    table = read_metadata("about.csv", toy)
    assert (list(table.index), table["age"].dtype, list(table["sex"])) == ([2, 3], np.float64, ["F", "M"])
    (missing,) = (finding for finding in audit(toy, table) if finding.check == "metadata")
    assert (missing.severity, len(missing.patients)) == ("note", 18)


@pytest.mark.parametrize(
    "line", ["toy.safetensors --html toy.safetensors", "none.safetensors", "toy.safetensors --metadata no.csv"]
)
def test_what_cannot_be_used_is_one_line_and_changes_nothing(line, here, toy, capsys):
    toy.save("toy.safetensors")
    before = (here / "toy.safetensors").read_bytes()
    assert run(line) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert [path.read_bytes() for path in here.iterdir()] == [before]
