"""Damaged files of every format: read, or one line; nothing else, whatever bit is wrong."""

import shutil
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
import SimpleITK as sitk
from door_files import fails, hounsfield, multi_frame, pydicom, series
from test_door_masks import ONE, SHAPE, contours, segmentation
from test_door_nifti import nifti

from livervlm.base.errors import InputError
from livervlm.studies.frames import stored_values
from livervlm.studies.reading import Reading
from livervlm.studies.volumes import read_mask, read_volume

resource = pytest.importorskip("resource", reason="Windows does not tell a process its memory")
HU = hounsfield(SHAPE)
FORMATS = ("ct", "frames.dcm", "one.nii", "one.nii.gz", "two.nii", "ct.nrrd", "ct.mha", "seg.dcm", "rs.dcm")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    home = tmp_path_factory.mktemp("whole")
    series(home / "ct", HU)
    multi_frame(home / "frames.dcm", (HU + 1024).astype(np.uint16), range(len(HU)))
    nifti(home / "one.nii", HU)
    nifti(home / "one.nii.gz", HU)
    nifti(home / "two.nii", HU, version=2)
    for name in ("ct.nrrd", "ct.mha"):
        sitk.WriteImage(read_volume(home / "ct"), home / name)
    segmentation(home / "seg.dcm", [ONE])
    contours(home / "rs.dcm", [ONE])
    return home


def damaged(content: bytes, rng) -> bytes:
    """Cut off anywhere, or with some bytes changed, most of them in the header."""
    if rng.random() < 0.3:
        return content[: rng.integers(len(content))]
    changed = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        changed[rng.integers(min(len(changed), 1500) if rng.random() < 0.8 else len(changed))] = rng.integers(256)
    return bytes(changed)


@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_file_is_read_or_one_line(whole, tmp_path, form, capfd):
    rng = np.random.default_rng(sum(form.encode()))
    like = read_volume(whole / "ct")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(25):
        study = tmp_path / str(number) / form
        (shutil.copytree if (whole / form).is_dir() else shutil.copy)(whole / form, study.parent.mkdir() or study)
        file = sorted(study.iterdir())[rng.integers(len(HU))] if study.is_dir() else study
        file.write_bytes(damaged(file.read_bytes(), rng))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                if form in ("seg.dcm", "rs.dcm"):
                    read_mask(study, like, reading=Reading())
                else:
                    read_volume(study, reading=Reading())
            except InputError as error:
                message = str(error)
                if "\n" in message or not message.startswith(str(study)):
                    pytest.fail(message)
    assert capfd.readouterr() == ("", "")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 2**30


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("ct.mha", b"TransformMatrix = 1 0 0 0", b"TransformMatrix = 1 0 0 1e308"),  # never ended
        ("ct.mha", b"NDims = 3", b"NDims = -2147483648"),  # ended the process
        ("ct.nrrd", b"sizes: 32 30 12", b"sizes: 32 30 " + b"x" * 5000),  # the same
        ("ct.nrrd", b"space directions: (", b"space directions: (1e20"),
        ("ct.nrrd", b"space origin: (", b"space origin: (nan"),
    ],
)
def test_numbers_of_a_text_header_are_looked_at_first(whole, tmp_path, name, old, new):
    content = (whole / name).read_bytes()
    assert old in content
    (tmp_path / name).write_bytes(content.replace(old, new))
    fails("in its header is no number from .* it is damaged", read_volume, tmp_path / name)


def test_voxels_of_no_scanner(whole, tmp_path):
    image = sitk.ReadImage(whole / "ct.mha")
    for mm in (1e-4, 2e4):
        image.SetSpacing((0.7, mm, 2.5))
        sitk.WriteImage(image, tmp_path / "ct.mha")
        fails("mm; the header is damaged", read_volume, tmp_path / "ct.mha")


def test_a_length_that_a_header_claims_costs_no_memory(whole, tmp_path):
    """pydicom asks the file for as much as a damaged element says, and Python sets that much aside."""
    before, rows, rest = (whole / "seg.dcm").read_bytes().partition(b"\x28\0\x10\0US")
    claim = b"\x19\0\x10\x10OB\0\0" + (2**31 - 2).to_bytes(4, "little")
    (tmp_path / "seg.dcm").write_bytes(before + claim + rows + rest)
    like = read_volume(whole / "ct")
    tracemalloc.start()
    fails("not readable", read_mask, tmp_path / "seg.dcm", like)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**28


def test_fragments_of_compressed_pixels_end_with_the_file(whole, tmp_path, monkeypatch):
    """The decoder spent seconds and gigabytes on a length that no file has."""
    shutil.copytree(whole / "ct", tmp_path / "ct")
    for file in (tmp_path / "ct").iterdir():
        made = pydicom.dcmread(file)
        made.compress(pydicom.uid.RLELossless)
        made.save_as(file)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_volume(tmp_path / "ct")), HU)
    content = made.PixelData
    for damaged in (content[:12] + (2**31).to_bytes(4, "little") + content[16:], content[:8] + b"12345" + content[8:]):
        made.PixelData = damaged
        made["PixelData"].is_undefined_length = True
        made.save_as(file)
        fails("not readable", read_volume, tmp_path / "ct")
        monkeypatch.setattr(sitk, "ReadImage", lambda *_: pytest.fail("it was decoded"))
        with pytest.raises(EOFError):
            stored_values(file)
        monkeypatch.undo()
