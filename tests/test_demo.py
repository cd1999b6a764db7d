"""`livervlm demo`: one patient through everything."""

import re

import numpy as np
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


def test_a_study_of_ones_own_needs_no_sentence(tmp_path, monkeypatch, capsys):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:64, :64]
    body = ((y - 32) / 25) ** 2 + ((x - 32) / 31) ** 2 <= 1
    image = sitk.GetImageFromArray(np.where(body, 60, -1000).astype(np.int16) + np.zeros((6, 1, 1), np.int16))
    image.SetSpacing((6.0, 6.0, 5.0))
    sitk.WriteImage(image, "pv.nii.gz")
    said = run(capsys, "pv.nii.gz", "--out", "mine.svg")
    assert "The report says" not in said
    assert "The truth" not in said
    assert "2. The detector found" in said
    assert (tmp_path / "mine.svg").exists()


def test_bad_input_is_one_line(smaller, capsys):
    for arguments, words in ((["--out", "demo.gif"], "a picture is written as .png"), (["nowhere"], "nowhere")):
        assert cli.main(["demo", *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert not list(smaller.iterdir())
