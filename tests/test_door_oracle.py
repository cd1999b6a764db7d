"""Volumes voxel by voxel against pydicom, which decodes and rescales by itself, and against dcm2niix."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from door_files import SPACING, hounsfield, multi_frame, pydicom, series, with_pixels
from pydicom.pixels import apply_modality_lut
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless
from test_door_frames import tilted

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


# ---- dcm2niix


COS, SIN = np.cos(0.3), np.sin(0.3)
ORIENTATIONS = {
    "axial": ([1, 0, 0], [0, 1, 0]),
    "prone": ([-1, 0, 0], [0, -1, 0]),
    "feet first": ([-1, 0, 0], [0, 1, 0]),
    "coronal": ([1, 0, 0], [0, 0, -1]),
    "sagittal": ([0, 1, 0], [0, 0, -1]),
    "turned": ([COS, SIN, 0], [-SIN, COS, 0]),
    "oblique": ([1, 0, 0], [0, COS, SIN]),
}


def by_dcm2niix(folder: Path, out: Path) -> dict[str, sitk.Image]:
    """Its volumes, read by ITK and turned to LPS, by what it calls them."""
    dcm2niix = pytest.importorskip("dcm2niix", reason="dcm2niix is not installed")
    out.mkdir()
    dcm2niix.main(["-b", "n", "-z", "n", "-f", "ct", "-o", str(out), str(folder)], capture_output=True, check=True)
    return {file.stem: sitk.DICOMOrient(sitk.ReadImage(file), "LPS") for file in out.glob("*.nii")}


def same_as_dcm2niix(folder: Path, out: Path) -> None:
    (made,) = by_dcm2niix(folder, out).values()
    image = read_volume(folder, reading=Reading())
    expected = np.rint(sitk.GetArrayFromImage(made)).clip(-1024, 32767)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), expected)
    for told in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert getattr(image, told)() == pytest.approx(getattr(made, told)(), abs=1e-3)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("way", ORIENTATIONS)
def test_orientations_against_dcm2niix(tmp_path, way, backwards):
    right, down = np.array(ORIENTATIONS[way])
    step = SPACING[0] * np.cross(right, down) * (-1 if backwards else 1)
    axes = [float(f"{part:.8f}") for part in (*right, *down)]
    places = [[float(f"{mm:.6f}") for mm in (-5, -7, 3) + i * step] for i in range(len(HU))]
    series(tmp_path / "ct", HU, lambda i: {"ImageOrientationPatient": axes, "ImagePositionPatient": places[i]})
    same_as_dcm2niix(tmp_path / "ct", tmp_path / "out")


@pytest.mark.parametrize(
    "rescale",
    [
        lambda i: {"RescaleSlope": 0.5, "RescaleIntercept": -300.25},
        lambda i: {"RescaleSlope": 1 + i % 2, "RescaleIntercept": -1024 + 10 * i},  # of each slice
    ],
)
def test_rescaling_against_dcm2niix(tmp_path, rescale):
    series(tmp_path / "ct", HU, rescale)
    same_as_dcm2niix(tmp_path / "ct", tmp_path / "out")


@pytest.mark.parametrize("order", [range(6), range(5, -1, -1)])
def test_multi_frame_ct_against_dcm2niix(tmp_path, order):
    """In the orders in which it knows the distance of slices; one rescale for all, as it takes one."""
    multi_frame(tmp_path / "ct" / "one.dcm", (HU + 1024).astype(np.uint16), order)
    same_as_dcm2niix(tmp_path / "ct", tmp_path / "out")


@pytest.mark.parametrize(("degrees", "oblique"), [(15, True), (-15, False)])
def test_a_tilted_gantry_against_dcm2niix(tmp_path, degrees, oblique):
    """It shears by whole voxels onto the gantry's axes, of data that are signed; the ball is where ours has it."""
    tilted(tmp_path / "ct", degrees, oblique, 15.0)
    for file in (tmp_path / "ct").iterdir():
        made = pydicom.dcmread(file)
        made.RescaleIntercept = 0
        with_pixels(made, (made.pixel_array.astype(int) - 1024).astype(np.int16)).save_as(file)
    (upright,) = (made for name, made in by_dcm2niix(tmp_path / "ct", tmp_path / "out").items() if "Tilt" in name)
    found = []
    for image in (upright, read_volume(tmp_path / "ct", reading=Reading())):
        inside = np.argwhere(sitk.GetArrayFromImage(image) > 85)[:, ::-1]
        middle = image.TransformContinuousIndexToPhysicalPoint(inside.mean(0).tolist())
        found.append((middle, len(inside) * np.prod(image.GetSpacing())))
    assert found[1][0] == pytest.approx(found[0][0], abs=0.4)
    assert found[1][1] == pytest.approx(found[0][1], rel=0.02)


@real
@pytest.mark.parametrize("name", ["totalsegmentator_example/example_ct_dicom", "dcmqi_example"])
def test_real_ct_against_dcm2niix(tmp_path, name):
    (tmp_path / "ct").mkdir()
    for file in (REAL / name).glob("[s0]*.dcm"):
        (tmp_path / "ct" / file.name).symlink_to(file)
    same_as_dcm2niix(tmp_path / "ct", tmp_path / "out")
