"""`livervlm find`: the slices of a study as the selector was taught to see them, and the right ones printed."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from livervlm import cli
from livervlm.analyses.key_slices import windowed
from livervlm.models.selector import encode_slices, slice_scores
from livervlm.models.towers import LONGEST, SliceTowers
from livervlm.phantom.abdomen import abdomen_study, draw_abdomens
from livervlm.scans.study import Study

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")

from small_scans import image, oval  # noqa: E402  after the skip

from livervlm.studies.files import write_study  # noqa: E402  after the skip
from livervlm.studies.slices import read_slices  # noqa: E402  after the skip

SENTENCE = "A cyst in the right lobe."
REAL = Path(__file__).parents[2] / "shared" / "realdata" / "totalsegmentator_example"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real CT of shared/realdata is not beside this checkout")
HEADER = re.compile(r"slice +position, mm +cosine( +phase)?$")


@pytest.fixture(scope="module")
def phantom():
    """A whole abdomen in two phases, from the head down, 64 pixels."""
    return abdomen_study(draw_abdomens(seed=3, n=1)[0], ("NC", "PV"), size=64)


@pytest.fixture(scope="module", params=["dicom", "nifti"])
def study(request, phantom, tmp_path_factory):
    """A folder with the two phases, from the feet up, as files are."""
    folder = tmp_path_factory.mktemp("scans") / request.param
    upward = {phase: hu[::-1] for phase, hu in phantom.volumes.items()}
    write_study(Study(upward, phantom.spacing, "PV", (0, 1, 0, 1, 0, 1)), folder, request.param)
    return folder


@pytest.fixture(scope="module")
def selector(tmp_path_factory):
    """A selector that was taught nothing, and needs no text encoder."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("towers") / "selector"
    SliceTowers(text_encoder="random").save_pretrained(folder)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def find(study, selector, *more, sentence=SENTENCE) -> int:
    return cli.main(["find", str(study), sentence, "--selector", str(selector), *map(str, more)])


def hits(said: str) -> list[list[str]]:
    """The cells of the printed lines, the best slice first."""
    lines = said.splitlines()
    first = next(i for i, line in enumerate(lines) if HEADER.match(line))
    return [line.split() for line in lines[first + 1 : -3]]


@pytest.fixture
def block(here):
    """`block.nii.gz`: three slices of a body of 100 HU, 360 mm wide."""
    hu = np.where(oval((100, 100), (4, 4), (200, 200), (120, 180)), 100, -1000).astype(np.int16)
    sitk.WriteImage(image(np.stack([hu] * 3), spacing=(5.0, 4.0, 4.0)), "block.nii.gz")
    return here / "block.nii.gz"


# ---- slices as the selector reads them


def test_the_slices_of_a_phantom_come_back_as_they_were_made(study, phantom):
    slices = read_slices(study)
    assert slices.phases == ("NC", "PV")
    for p, phase in enumerate(slices.phases):
        assert np.abs(slices.hu[:, p] - phantom.volumes[phase]).max() <= 1
        assert np.array_equal(slices.full[phase], phantom.volumes[phase])
    n = len(phantom.volumes["NC"])
    assert slices.numbers.tolist() == list(range(n, 0, -1))
    assert np.diff(slices.positions) == pytest.approx(-5.0)
    liver = np.argwhere(phantom.organ("liver"))
    spleen = np.argwhere(phantom.organ("spleen"))
    assert liver[:, 2].mean() < 32 < spleen[:, 2].mean()  # what is seen on the left is the patient's right


def test_smaller_pixels_are_averaged(study, phantom):
    means = phantom.volumes["PV"].reshape(-1, 32, 2, 32, 2).mean(axis=(2, 4))
    assert np.abs(read_slices(study, size=32).hu[:, 1] - means).max() <= 1


def test_a_file_of_one_phase_has_no_phase_to_name(study, phantom):
    file = study / "PV" if (study / "PV").is_dir() else study / "PV.nii.gz"
    slices = read_slices(file)
    assert slices.phases == ("",)
    assert np.abs(slices.hu[:, 0] - phantom.volumes["PV"]).max() <= 1


@pytest.mark.parametrize("code", ["RAS", "LPI", "PIR"])
def test_however_it_is_stored_slices_are_upright_and_counted_from_the_feet(here, phantom, code):
    upward = image(phantom.volumes["PV"][::-1], spacing=phantom.spacing)
    sitk.WriteImage(sitk.DICOMOrient(upward, code), "turned.nii.gz")
    slices = read_slices("turned.nii.gz")
    assert np.abs(slices.hu[:, 0] - phantom.volumes["PV"]).max() <= 1
    assert slices.positions[slices.numbers == 1] == pytest.approx(0, abs=1e-4)


# ---- the command


def test_find_prints_the_five_best_and_draws_them(study, selector, phantom, here, capsys):
    assert find(study, selector) == 0
    said = capsys.readouterr().out
    towers = SliceTowers.from_pretrained(selector)
    every = np.stack(list(phantom.volumes.values()), axis=1)
    cosine = slice_scores(towers, encode_slices(towers, windowed(every)), [SENTENCE])[0].reshape(every.shape[:2])
    best = np.sort(cosine.max(axis=1))[::-1][:5]
    found = hits(said)
    assert [float(cells[2]) for cells in found] == pytest.approx(best, abs=2e-3)
    for number, position, value, phase in found:
        assert float(position) == 5 * (int(number) - 1)
        at = len(every) - int(number), ("NC", "PV").index(phase)
        assert float(value) == pytest.approx(cosine[at], abs=2e-3)
    assert "counted from the feet, from 1" in said
    assert "no probability" in said
    assert said.endswith("For teaching and research, not for diagnosis.\n")
    assert [path.name for path in here.iterdir()] == ["found.png"]


def scored(monkeypatch, peaks: dict[int, float]) -> None:
    """Give slices, counted from the head and phase after phase, the scores of `peaks`, and 0 to all others."""

    def scores(towers, slices, texts):
        made = np.zeros((1, len(slices)), np.float32)
        for place, value in peaks.items():
            made[0, place] = value
        return made

    monkeypatch.setattr("livervlm.models.selector.slice_scores", scores)


def test_the_printed_slice_is_that_of_the_file(study, selector, phantom, here, monkeypatch, capsys):
    liver = int(phantom.organ("liver").sum(axis=(1, 2)).argmax())
    scored(monkeypatch, {2 * liver + 1: 0.9, 0: 0.5})  # its PV, and the NC of the first slice from the head
    assert find(study, selector) == 0
    (number, position, value, phase), (top, _, _, other), *_ = hits(capsys.readouterr().out)
    assert (value, phase, other) == ("0.900", "PV", "NC")
    assert int(top) == len(phantom.organs)
    folder = study / phase
    if folder.is_dir():  # files are named by their place from the feet
        stored = sitk.ReadImage(folder / f"{int(number):04d}.dcm")
        assert stored.GetOrigin()[2] == pytest.approx(float(position))
        shown = sitk.GetArrayFromImage(stored)[0]
    else:
        shown = sitk.GetArrayFromImage(sitk.ReadImage(study / f"{phase}.nii.gz"))[int(number) - 1]
    assert np.array_equal(shown, phantom.volumes["PV"][liver])


def test_where_a_phase_was_not_scanned_nothing_is_found(selector, here, monkeypatch, capsys, block):
    (here / "both").mkdir()
    whole = sitk.ReadImage(block)
    sitk.WriteImage(whole, here / "both" / "PV.nii.gz")
    sitk.WriteImage(whole[:, :, :2], here / "both" / "ART.nii.gz")  # without the slice next to the head
    scored(monkeypatch, {0: 1.0, 1: 0.4, 2: 0.7, 5: 0.2})
    assert find(here / "both", selector) == 0
    found = [(cells[0], cells[2], cells[3]) for cells in hits(capsys.readouterr().out)]
    assert found == [("2", "0.700", "ART"), ("3", "0.400", "PV"), ("1", "0.200", "PV")]


def test_one_phase_is_not_named_and_one_slice_is_no_choice(block, selector, here, capsys):
    assert find(block, selector) == 0
    said = capsys.readouterr().out
    assert "phase" not in said
    assert len(hits(said)) == 3
    sitk.WriteImage(sitk.ReadImage(block)[:, :, 1:2], "one.nii.gz")
    assert find("one.nii.gz", selector) == 0
    said = capsys.readouterr().out
    assert "one slice only: there is only one to choose" in said
    assert [cells[0] for cells in hits(said)] == ["1"]


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("b.JPG", b"\xff\xd8"), ("c.pdf", b"%PDF"), ("new/d.svg", b"<?xml")]
)
def test_pictures_are_written_in_the_format_of_their_name(name, start, block, selector, here):
    assert find(block, selector, "--out", name, sentence="A cyst of $5 or $6_") == 0  # no formula
    assert (here / name).read_bytes().startswith(start)


def test_nobody_is_named(selector, phantom, here, capsys):
    volumes = {"PV": phantom.volumes["PV"][::-1][40:60]}
    folder = write_study(Study(volumes, phantom.spacing, "PV", (0, 1, 0, 1, 0, 1)), here / "Doe^Ann", "dicom")["PV"]
    for file in folder.iterdir():
        picture = sitk.ReadImage(file)
        picture.SetMetaData("0010|0010", "Doe^Ann")
        picture.SetMetaData("0010|0020", "471103")
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(file)
        writer.Execute(picture)
    assert find(folder, selector, "--out", "found.svg") == 0
    said = "".join(capsys.readouterr()) + (here / "found.svg").read_text()
    assert not re.search("Doe|Ann|471103", said)


def test_the_selector_tells_the_size_of_its_slices(block, here, monkeypatch):
    SliceTowers(text_encoder="random").save_pretrained("large", {"size": 96})
    seen = []

    def watched(towers, images):
        seen.append(tuple(images.shape))
        return encode_slices(towers, images)

    monkeypatch.setattr("livervlm.models.selector.encode_slices", watched)
    assert find(block, "large") == 0
    assert seen == [(3, 1, 96, 96)]


def test_the_selector_of_the_book_is_the_default(block, here, selector, monkeypatch, capsys):
    monkeypatch.setattr("livervlm.base.paths.data_file", lambda name: selector.parent / name)
    assert cli.main(["find", str(block), SENTENCE]) == 0
    assert len(hits(capsys.readouterr().out)) == 3


# ---- what cannot be


def bad(folder, capsys, message, *line) -> None:
    """The command fails with one line that says what is wrong, and writes nothing."""
    before = sorted(folder.rglob("*"))
    assert cli.main(["find", *map(str, line)]) == 2
    said = capsys.readouterr()
    (error,) = said.err.splitlines()
    assert re.search(message, error), error
    assert said.out == ""
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("sentence", "message"),
    [("", "sentence 1 is empty"), (" . ", "sentence 1 is empty"), ("cyst " * (LONGEST + 1), "sentence of 101 words")],
)
def test_sentences_that_say_nothing_or_too_much_are_one_line(sentence, message, block, selector, here, capsys):
    bad(here, capsys, message, block, sentence, "--selector", selector)


def test_files_that_are_no_ct_are_one_line(block, selector, phantom, here, capsys):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((20, 20), np.uint8)), "flat.png")
    (here / "text.nii").write_text("no picture")
    (here / "empty").mkdir()
    for name, message in {
        "nowhere": "nowhere: no such file or folder",
        "flat.png": r"flat\.png: 20 x 20 .* is not 3D",
        "text.nii": r"text\.nii: not readable",
        "empty": "empty: no DICOM image",
    }.items():
        bad(here, capsys, message, name, SENTENCE, "--selector", selector)


@pytest.mark.parametrize("name", ["found", "found.gif", "block.nii.gz"])
def test_other_formats_of_pictures_are_one_line(name, block, selector, here, capsys):
    bad(here, capsys, rf"{name}: a picture is written as \.png", block, SENTENCE, "--selector", selector, "--out", name)


def test_a_picture_that_cannot_be_drawn_leaves_nothing(block, selector, here, capsys, monkeypatch):
    def full(*args, **kwargs):
        Path(args[1]).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    bad(here, capsys, "disk full", block, SENTENCE, "--selector", selector)


def test_selectors_that_are_not_there_are_one_line(block, here, capsys, monkeypatch):
    bad(here, capsys, "none.config.json: not the config", block, SENTENCE, "--selector", "none")
    monkeypatch.setattr("livervlm.base.paths.data_file", lambda name: here / "data" / name)
    bad(here, capsys, "no selector is shipped with this version.*--selector", block, SENTENCE)


def test_without_the_extra_for_text_a_new_sentence_is_one_line(block, here, capsys, monkeypatch, empty_cache):
    SliceTowers().save_pretrained("towers")
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert find(block, "towers", sentence="A sentence that no bank holds.") == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert "needs transformers: pip install 'livervlm[text]'" in error
    assert not (here / "found.png").exists()


# ---- a real CT


@real
def test_a_real_ct_can_be_asked(here, selector, capsys):
    assert find(REAL / "example_ct_dicom", selector) == 0
    found = hits(capsys.readouterr().out)
    assert len(found) == 5
    assert all(-805 < float(position) < -766 for _, position, _ in found)
