"""A table of lesions: read whatever spreadsheet wrote it, refused with all its faults at once, never quoted."""

import csv
import re
from pathlib import Path

import pytest
from door_files import fails

from livervlm.studies.table import listed, read_table


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def cells(*rows: str, mark=",") -> Path:
    for name in ("a", "b", "c", "d", "e", "f", "m", "m2"):
        Path(name).touch()
    Path("t.csv").write_text("\n".join(row.replace("|", mark) for row in rows) + "\n")
    return Path("t.csv")


def table(*rows: str, mark=",", phases=None):
    return read_table(cells(*rows, mark=mark), ("CYST", "HCC"), phases)


HEAD = "patient|label|NC|ART|PV|DL|mask|mask_value|box|reference|group"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_table_as_spreadsheets_write_it(here, mark):
    read = table(
        "|patient|label|ART|PV|mask|mask_value|group|note||",
        '0|"p, 1"|HCC|a|b|m|2.0|1.0|"two\nlines, and ""quotes"""||',
        "",
        "1|p2|CYST|c|d|m2|1|2|||||||",
        "|||||||||",
        mark=mark,
    )
    assert [(one.row, one.patient, one.label, one.group) for one in read.lesions] == [(2, 1, 1, 1), (4, 2, 0, 2)]
    assert [one.mask_value for one in read.lesions] == [2, 1]
    assert read.phases == ("ART", "PV")
    assert read.notes == ["columns that are not used: 9"]
    semicolons = "patient;label;ART;PV;box;mask_threshold\np;HCC;a;b;1:2,3:4,5:6;0,5"
    Path("s.csv").write_text(semicolons)
    (one,) = read_table("s.csv", ("CYST", "HCC")).lesions
    assert (one.box, one.threshold) == ((1, 2, 3, 4, 5, 6), 0.5)


def test_a_column_that_is_nearly_one_of_ours_is_asked_about(here):
    read = table("patient|label|ART|PV|mask|mask_vlaue|Doe", "p|HCC|a|b|m|1|")
    assert read.notes == ["columns that are not used: 6 (is it mask_value?), 7"]


CONTRADICTIONS = {
    "row 3: NC is a scan of row 2, which is another patient's": ["p|HCC|a|b|c||m|1|||1", "q|HCC|a|d|e||m|1|||2"],
    "row 3: label CYST, but HCC in row 2, the same scan and place": ["p|HCC|a|b|c||m|1|||1", "p|CYST|a|b|c||m|1|||1"],
    "row 4: the lesion of row 2 again": ["p|HCC|a|b|c||m|1|||1", "p|HCC|a|b|c||m|2|||1", "p|HCC|a|b|c||./m|1|||1"],
    "row 3: the lesion of row 2 again": ["p|HCC|a|b|c||||1:2 3:4 5:6|PV|1"] * 2,
    "row 3: group 2, but 1 in row 2, same patient": ["p|HCC|a|b|c||m|1|||1", "p|HCC|d|e|f||m2|1|||2"],
    "row 3: group 2, but 1 in row 2": ["1|HCC|a|b|c||m|1|||1", "1.0|HCC|d|e|f||m2|1|||2"],
    "row 2: the box may lie on PV or on DL: say which": ["p|HCC|a|b|c|d|||1:2 3:4 5:6||1"],
    "row 2: reference: name the phase": ["p|HCC|a|b|c||||1:2 3:4 5:6|portal|1"],
    "row 2: give a mask or a box": ["p|HCC|a|b|c||m|1|1:2 3:4 5:6||1"],
}


@pytest.mark.parametrize("words", CONTRADICTIONS)
def test_rows_that_contradict_themselves_or_each_other(here, words):
    rows = [row.replace("1:2 3:4 5:6", '"1:2,3:4,5:6"') for row in CONTRADICTIONS[words]]
    fails(f"t.csv: {words}", table, HEAD, *rows)


def test_all_faults_of_a_table_are_told_at_once_and_no_cell_is_shown(here):
    """Where a comma is missing, every cell stands one column to the left."""
    shifted = ["anna|meier|a|b|c||meier|anna|anna|anna|anna"] * 40
    message = fails("t.csv: ", table, HEAD, "p|Hccey|a|b|c||m||||1", *shifted)
    for words in (
        "row 2: label is not in the classes CYST, HCC; is it HCC[?]; ",
        "rows 3-42: label is not in the classes CYST, HCC;",
        "rows 3-42: reference: name",
        "rows 3-42: group is not a whole number",
        "rows 3-42: box: write z0:z1",
    ):
        assert re.search(words, message), words
    assert not re.search("anna|meier|hccey", message, re.IGNORECASE)
    assert len(message) < 700


def test_a_row_without_a_phase_is_left_out_or_the_set_does_without_it(here):
    rows = ["p|HCC|a|b|c||m||||1", "q|HCC|d||e||m2||||2"]
    read = table(HEAD, *rows)
    assert read.phases == ("NC", "ART", "PV")  # DL has a column and no scan
    assert listed(read.left_out) == (
        "row 3: phase ART is missing, so the row is left out; it could be read with phases NC,PV"
    )
    assert read.left_out[0].column == "ART"
    read = table(HEAD, *rows, phases=("NC", "PV"))
    assert (read.phases, read.left_out) == (("NC", "PV"), [])
    fails("phase DL was asked for; the table has NC, ART, PV", table, HEAD, *rows, phases=("NC", "DL"))


def test_a_mask_where_pv_and_dl_are_is_doubtful_until_the_row_says_which(here):
    read = table(HEAD, "p|HCC|a|b|c|d|m||||1", "q|HCC|e|f|a1|b1|m2|||DL|1", "r|HCC|c1|d1|e1||m3||||1")
    assert [(fault.row, fault.column) for fault in read.doubts] == [(2, "reference")]
    assert read.doubts[0].message.startswith("reference: the mask may lie on PV or on DL, and DL is taken")


def test_a_cell_without_end_is_one_line(here):
    long = "x" * (csv.field_size_limit() + 1)
    fails("t.csv row 2: a cell of over 131,072 characters", table, HEAD, f"{long}|HCC")
    fails("label is not in the classes", table, HEAD, f"p|{'x' * 100_000}|a|b|c||m||||1")


def test_the_reference_is_the_one_said_else_the_last_with_a_mask_else_the_last(here):
    box = '"1:2,3:4,5:6"'
    rows = [
        f"p|HCC|a|b|c|d|||{box}|PV|1",
        "q|HCC|e|f|m||m2||||1",
        f"r|HCC|a1|b1|c1|||||{box}||1".replace("|||||", "||||"),
    ]
    assert [one.reference for one in table(HEAD, *rows).lesions] == ["PV", "PV", "PV"]
    own = table("patient|label|NC|ART|PV|mask_NC|mask_ART", "p|HCC|a|b|c|m|m2", "q|HCC|d|e|f|m|")
    assert [one.reference for one in own.lesions] == ["ART", "NC"]
