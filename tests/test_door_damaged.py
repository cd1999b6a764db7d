"""Damaged files of every format: read, or one line; nothing else, whatever bit is wrong."""

import shutil
import sys
import warnings

import numpy as np
import pytest
import SimpleITK as sitk
from door_files import hounsfield, multi_frame, series
from test_door_masks import ONE, SHAPE, contours, segmentation
from test_door_nifti import nifti

from livervlm.base.errors import InputError
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
