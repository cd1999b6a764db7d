"""`livervlm demo`: one patient through everything."""

import re

import numpy as np
import pandas as pd
import pytest

from livervlm import cli
from livervlm.cli import demo

STEPS = r"1\. The report says: (.+)\n +Of (\d+) slices, slice (\d+) fits best\."


def run(capsys, *arguments) -> str:
    assert cli.main(["demo", *map(str, arguments)]) == 0
    return capsys.readouterr().out


@pytest.fixture
def smaller(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "PIXELS", 128)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_phantom_patient_goes_the_whole_way(smaller, capsys):
    said = run(capsys)
    sentence, slices, best = re.search(STEPS, said).groups()
    assert "lesion" in sentence
    assert 1 <= int(best) <= int(slices)
    assert "The truth of this phantom patient: HEM." in said
    assert "not for diagnosis" in said
    assert (smaller / "demo.png").read_bytes()[:4] == b"\x89PNG"
    if "found no lesion" not in said:
        for name in ("Liver-VLM", "LiLNet"):
            line = re.search(rf"{name} \(.*\): (.*)", said)[1]
            shares = [int(share) for share in re.findall(r"(\d+) %", line)]
            assert shares == sorted(shares, reverse=True)
            assert sum(shares) == pytest.approx(100, abs=3)


def test_another_sentence_leads_elsewhere(smaller, capsys):
    said = run(capsys, "--sentence", "The urinary bladder is unremarkable.")
    _, slices, best = re.search(STEPS, said).groups()
    assert int(best) < 0.25 * int(slices), "counted from the feet, far below the liver"


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A study of one's own in the working folder: `pv.nii.gz`, six slices of a body, and masks of that grid."""
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:64, :64]
    body = ((y - 32) / 25) ** 2 + ((x - 32) / 31) ** 2 <= 1
    pictures = {"pv": np.where(body, 60, -1000), "whole": body, "corner": (y < 4) & (x < 4)}
    for name, picture in pictures.items():
        image = sitk.GetImageFromArray(picture.astype(np.int16) + np.zeros((6, 1, 1), np.int16))
        image.SetSpacing((6.0, 6.0, 5.0))
        sitk.WriteImage(image, f"{name}.nii.gz")
    return tmp_path


def test_a_study_of_ones_own_needs_no_sentence(mine, capsys):
    said = run(capsys, "pv.nii.gz", "--out", "mine.svg")
    assert "The report says" not in said
    assert "The truth" not in said
    assert "2. The detector found" in said
    assert (mine / "mine.svg").exists()


def test_what_lies_outside_the_liver_is_left_out(mine, monkeypatch, capsys):
    boxes = pd.DataFrame({"slice": [2], "x0": [170.0], "y0": [170.0], "x1": [200.0], "y1": [200.0], "score": [0.9]})

    def found(detector, hu, pixel, liver):
        inside = np.nan if liver is None else float(liver[2, int(185 / pixel), int(185 / pixel)])
        return boxes.assign(patient=0, liver=inside)

    monkeypatch.setattr("livervlm.analyses.detection.cohorts.found_boxes", found)
    for liver, words in (((), "a lesion in slice 4, with"), (("--liver", "whole.nii.gz"), "a lesion in slice 4, with"),
                         (("--liver", "corner.nii.gz"), "found no lesion")):  # fmt: skip
        assert words in run(capsys, "pv.nii.gz", *liver)
    said = run(capsys, "pv.nii.gz", "--sentence", "A lesion in the liver.")
    best = int(re.search(STEPS, said)[3])
    assert ("It found none in slice" in said) == (best != 4)
    assert best == 4 or f"It found none in slice {best}." in said


@pytest.mark.parametrize("sentence", ["", " ."])
def test_an_empty_sentence_is_refused_and_not_passed_over(mine, capsys, sentence):
    assert cli.main(["demo", "pv.nii.gz", "--sentence", sentence]) == 2
    error = capsys.readouterr().err.splitlines()
    assert error[-1].endswith("sentence 1 is empty: write what is to be found")
    assert not (mine / "demo.png").exists()


def test_bad_input_is_one_line(smaller, capsys):
    wrong = (
        (["--out", "demo.gif"], "a picture is written as .png"),
        (["nowhere"], "nowhere"),
        (["--liver", "liver.nii.gz"], "liver.nii.gz: a mask of whose liver? Name the study, too"),
    )
    for arguments, words in wrong:
        assert cli.main(["demo", *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert not list(smaller.iterdir())
