"""Volumes voxel by voxel against pydicom, which decodes and rescales by itself."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from door_files import SPACING, hounsfield, pydicom, series
from pydicom.pixels import apply_modality_lut
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from livervlm.studies.reading import Reading
from livervlm.studies.volumes import read_volume

REAL = Path(__file__).parents[2] / "shared" / "realdata"
JPEG_2000 = REAL / "totalsegmentator_example" / "example_ct_dicom"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real files of shared/realdata are not beside this checkout")
HU = hounsfield((6, 32, 40))


def by_pydicom(folder) -> tuple[np.ndarray, np.ndarray]:
    """(Z, Y, X) HU from the feet up, and the (3,) position of the lowest slice."""
    slices = [pydicom.dcmread(file) for file in folder.iterdir()]
    slices.sort(key=lambda made: made.ImagePositionPatient[2])
    hu = np.stack([apply_modality_lut(made.pixel_array, made) for made in slices])
    return hu.clip(-1024), np.array(slices[0].ImagePositionPatient, dtype=float)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless]
)
@pytest.mark.parametrize("kind", [np.int16, np.uint16])
@pytest.mark.parametrize("rescale", [(1, -1024), (0.5, -300.25)])
def test_transfer_syntaxes(tmp_path, syntax, kind, rescale):
    for file in series(tmp_path, HU, RescaleSlope=rescale[0], RescaleIntercept=rescale[1]):
        made = pydicom.dcmread(file)
        made.PixelRepresentation = int(kind is np.int16)
        if syntax == RLELossless:
            made.compress(syntax)
        made.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            made.PixelData = np.frombuffer(made.PixelData, kind).byteswap().tobytes()
            pydicom.dcmwrite(file, made, implicit_vr=False, little_endian=False, force_encoding=True)
        else:
            made.save_as(file, enforce_file_format=True)
    hu, position = by_pydicom(tmp_path)
    image = read_volume(tmp_path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), np.rint(hu))
    assert image.GetOrigin() == pytest.approx(position)
    assert image.GetSpacing() == pytest.approx(SPACING[::-1])


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("signed", [0, 1])
def test_bits_that_hold_a_value(tmp_path, bits, signed):
    rng = np.random.default_rng(bits)
    low = -(1 << bits - 1) if signed else 0
    stored = rng.integers(low, low + (1 << bits), HU.shape)
    for file, one in zip(series(tmp_path, HU, RescaleIntercept=0), stored, strict=True):
        made = pydicom.dcmread(file)
        made.PixelData = (one & ((1 << bits) - 1)).astype(np.uint16).tobytes()
        made.BitsStored, made.HighBit, made.PixelRepresentation = bits, bits - 1, signed
        made.save_as(file)
    read = sitk.GetArrayFromImage(read_volume(tmp_path, reading=Reading()))
    np.testing.assert_array_equal(read, stored.clip(-1024, 32767))


@real
def test_real_ct_of_three_vendors(tmp_path):
    from shutil import copy

    for number in ("01", "02", "03"):
        copy(REAL / "dcmqi_example" / f"{number}.dcm", tmp_path)
    hu, position = by_pydicom(tmp_path)
    image = read_volume(tmp_path)
    padding = -2000 - 1024
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), np.where(hu == padding, -1024, hu).clip(-1024))
    assert image.GetOrigin() == pytest.approx(position)
    one = read_volume(REAL / "highdicom" / "ct_image.dcm", least=1)
    made = pydicom.dcmread(REAL / "highdicom" / "ct_image.dcm")
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(one)[0], apply_modality_lut(made.pixel_array, made).clip(-1024)
    )


@real
def test_real_jpeg_2000_against_the_libraries_own_series_reader():
    """pydicom needs a plug-in for JPEG 2000; ITK reads this series right, as its slices have one type and rescale."""
    reference = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(JPEG_2000)))
    image = read_volume(JPEG_2000)
    expected = sitk.GetArrayFromImage(sitk.DICOMOrient(reference, "LPS")).clip(-1024, 32767)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), expected)
    assert image.GetOrigin() == pytest.approx(reference.GetOrigin())
    assert image.GetSpacing() == pytest.approx(reference.GetSpacing())
