"""Frames of DICOM: Hounsfield units slice by slice, multi-frame files, rounded positions, tilted gantries."""

import re

import numpy as np
import pytest
import SimpleITK as sitk
from door_files import SHAPE, SPACING, fails, hounsfield, multi_frame, pydicom, series, slice_file, with_pixels

from livervlm.studies.reading import Reading
from livervlm.studies.volumes import read_volume

HU = hounsfield()
ORDERS = {"as scanned": range(8), "head first": range(7, -1, -1), "any": (3, 0, 7, 1, 6, 2, 5, 4)}


def content(path, reading=None) -> np.ndarray:
    return sitk.GetArrayFromImage(read_volume(path, reading=reading))


def rewritten(file, stored: np.ndarray, **tags) -> None:
    """The same slice with other stored values and tags."""
    made = with_pixels(pydicom.dcmread(file), stored)
    for name, value in tags.items():
        setattr(made, name, value) if value is not None else delattr(made, name)
    made.save_as(file)


# ---- multi-frame


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("alone", [True, False])
def test_multi_frame_ct_in_any_order(tmp_path, order, alone):
    reading = Reading()
    file = multi_frame(tmp_path / "ct" / "one.dcm", (HU + 1024).astype(np.uint16), ORDERS[order])
    path = file if alone else file.parent
    np.testing.assert_array_equal(content(path, reading), HU)
    assert read_volume(path).GetSpacing() == pytest.approx(SPACING[::-1])
    assert reading.assumed == ["8 frames of a multi-frame file, sorted by position"]


def test_rescale_and_padding_are_each_frame_s_own(tmp_path):
    stored = np.stack([(one + 1024 - 10 * i).clip(0) // (1 + i % 2) for i, one in enumerate(HU)]).astype(np.uint16)
    stored[:, -1, -1] = 9999
    own = [{"slope": 1 + i % 2, "intercept": -1024 + 10 * i} for i in range(8)]
    file = multi_frame(tmp_path / "one.dcm", stored, range(8), own.__getitem__, PixelPaddingValue=9999)
    expected = np.stack([s.astype(int) * o["slope"] + o["intercept"] for s, o in zip(stored, own, strict=True)])
    expected[:, -1, -1] = -1024
    reading = Reading()
    np.testing.assert_array_equal(content(file, reading), expected.clip(-1024))
    assert "rescale differs between slices: each by its own" in reading.assumed


@pytest.mark.parametrize("alone", [True, False])
def test_phases_in_one_file_are_not_one_volume(tmp_path, alone):
    twice = np.concatenate([HU, HU + 40]) + 1024
    each = {i: {"position": SPACING[0] * (i % 8), "acquisition": 1 + i // 8} for i in range(16)}
    file = multi_frame(tmp_path / "ct" / "one.dcm", twice.astype(np.uint16), range(16), each.__getitem__)
    fails("differ in acquisition: 8 and 8 slices", read_volume, file if alone else file.parent)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    ("each", "what"),
    [
        (lambda i: {"acquisition": 1 + i % 2}, "acquisition"),
        (lambda i: {"acquisition": 1 + (i > 3)}, "acquisition"),
        (lambda i: {"kernel": ("Br38", "Br59")[i % 2]}, "reconstruction kernel"),
        (lambda i: {"time": f"2020010110{i % 2:02d}00"}, "acquisition time"),
        (lambda i: {"time": f"2020010110{i // 4:02d}00"}, "acquisition time"),
    ],
)
def test_an_even_stack_in_one_file_may_be_two(tmp_path, alone, each, what):
    file = multi_frame(tmp_path / "ct" / "one.dcm", (HU + 1024).astype(np.uint16), range(8), each)
    said = fails(f"its slices differ in {what}: 4 and 4 slices", read_volume, file if alone else file.parent)
    assert said.endswith("; give one phase a file") == alone
    assert read_volume(tmp_path / "ct#2").GetDepth() == 4


def test_one_frame_is_no_volume(tmp_path):
    fails("one slice only", read_volume, multi_frame(tmp_path / "one.dcm", (HU[:1] + 1024).astype(np.uint16), range(1)))


# ---- values


def test_every_slice_has_its_own_type_and_rescale(tmp_path):
    """ITK takes the type of a series from one slice, and HU below its range wrap."""
    kinds = [(np.uint8, 8, -1024), (np.int16, 1, 0), (np.uint16, 1, -1024), (np.int32, 0.5, 0)]
    for i, file in enumerate(series(tmp_path, HU)):
        kind, slope, intercept = kinds[i % 4]
        stored = np.rint((HU[i] - intercept) / slope).astype(kind)
        rewritten(file, stored, RescaleSlope=slope, RescaleIntercept=intercept)
    difference = np.abs(content(tmp_path).astype(int) - HU)
    assert difference[0::4].max() <= 4  # stored in steps of 8 HU
    assert max(difference[i::4].max() for i in (1, 2, 3)) == 0


def test_monochrome1_is_a_way_to_show_not_a_value(tmp_path):
    series(tmp_path, HU, PhotometricInterpretation="MONOCHROME1")
    reading = Reading()
    np.testing.assert_array_equal(content(tmp_path, reading), HU)
    assert any("MONOCHROME1" in line for line in reading.assumed)


@pytest.mark.parametrize(
    ("kind", "pad", "tag"),
    [
        (np.uint16, 63536, 63536),  # unsigned, and meant so
        (np.uint16, 63536, -2000),  # -2000 written beside unsigned data
        (np.int16, -2000, -2000),
        (np.uint16, 40000, 40000),
    ],
)
def test_padding_is_padding_whatever_its_sign(tmp_path, kind, pad, tag):
    intercept = -1024 if kind is np.uint16 else 0
    for i, file in enumerate(series(tmp_path, HU)):
        stored = (HU[i] - intercept).astype(kind)
        stored[0], stored[1, 5] = pad, 900 - intercept
        rewritten(file, stored, RescaleIntercept=intercept)
        made = pydicom.dcmread(file)
        made.add_new("PixelPaddingValue", "US" if tag > 0 else "SS", tag)
        made.save_as(file)
    read = content(tmp_path)
    assert (read[:, 0] == -1024).all()
    np.testing.assert_array_equal(read[:, 2:], HU[:, 2:])


def test_a_range_of_padding_values(tmp_path):
    for i, file in enumerate(series(tmp_path, HU, PixelPaddingValue=60000, PixelPaddingRangeLimit=61000)):
        stored = (HU[i] + 1024).astype(np.uint16)
        stored[0], stored[1] = 60500, 61001
        rewritten(file, stored)
    read = content(tmp_path)
    assert (read[:, 0] == -1024).all()
    assert (read[:, 1] == 32767).all()


def test_a_padding_value_that_tissue_has_is_tissue_and_said(tmp_path):
    for i, file in enumerate(series(tmp_path, HU, PixelPaddingValue=0)):
        rewritten(file, HU[i].astype(np.int16), RescaleIntercept=0)
    assert (HU == 0).sum() == 0
    hu = HU.copy()
    hu[:, 4, 4] = 0
    for i, file in enumerate(sorted(tmp_path.iterdir())):
        rewritten(file, hu[i].astype(np.int16))
    reading = Reading()
    np.testing.assert_array_equal(content(tmp_path, reading), hu)
    assert "the padding value is 0 HU, which tissue has, too: taken as tissue" in reading.assumed


def test_bits_of_old_overlays_are_no_values(tmp_path):
    for i, file in enumerate(series(tmp_path, HU)):
        stored = (HU[i] + 1024).astype(np.uint16)
        stored[3:6, 3:6] |= 0x8000
        rewritten(file, stored)
        made = pydicom.dcmread(file)
        made.BitsStored, made.HighBit = 12, 11
        made.save_as(file)
    np.testing.assert_array_equal(content(tmp_path), HU)


def test_rescale_that_says_nothing(tmp_path):
    files = series(tmp_path / "none", HU)
    for i, file in enumerate(files):
        rewritten(file, HU[i].astype(np.int16), RescaleSlope=None, RescaleIntercept=None)
    reading = Reading()
    np.testing.assert_array_equal(content(tmp_path / "none", reading), HU)
    assert any("no rescale in the header" in line for line in reading.assumed)
    series(tmp_path / "zero", HU, RescaleSlope=0)
    fails("rescale slope 0 with intercept -1024", read_volume, tmp_path / "zero")


@pytest.mark.parametrize("unit", ["MGML", "Z_EFF", "HU_MOD", "PCT", "Meier 1950"])
def test_values_in_another_unit_refuse(tmp_path, unit):
    series(tmp_path / "ct", HU, RescaleType=unit)
    shown = "another unit" if "Meier" in unit else unit
    said = fails(f"values in {shown} by its RescaleType, no Hounsfield units", read_volume, tmp_path / "ct")
    assert "Meier" not in said
    file = multi_frame(tmp_path / "one.dcm", (HU + 1024).astype(np.uint16), range(8), lambda i: {"unit": unit})
    fails(f"values in {shown} by its RescaleType", read_volume, file)


@pytest.mark.parametrize("unit", ["HU", "US", "hu ", "", None, "Hounsfield"])
def test_words_for_hounsfield_units(tmp_path, unit):
    series(tmp_path, HU, RescaleType=unit)
    reading = Reading()
    np.testing.assert_array_equal(content(tmp_path, reading), HU)
    assert not reading.doubts


@pytest.mark.parametrize("unit", [None, "US", "HU"])
@pytest.mark.parametrize("kind", [["DERIVED", "SECONDARY", "IODINE"], ["DERIVED", "PRIMARY", "VOLUME", "MAT_SPECIFIC"]])
def test_a_map_of_a_material_is_doubtful_whatever_unit_it_claims(tmp_path, unit, kind):
    series(tmp_path, (0.3 * HU).astype(int), ImageType=kind, RescaleType=unit)
    reading = Reading()
    read_volume(tmp_path, reading=reading)
    assert [line[:39] for line in reading.doubts] == ["a map of a material or of blood flow by"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda hu: -hu, "of it above 900 HU: inverted or shifted"),
        (lambda hu: 0.5 * hu - 512, "HU in the middle of all above -500 HU, where soft tissue should be"),
        (lambda hu: 2 * hu + 1024, "inverted or shifted|soft tissue should be"),
        (lambda hu: hu + 1024, "none below 0|inverted or shifted"),
    ],
)
def test_values_that_are_inverted_scaled_or_shifted_are_doubtful(tmp_path, change, said):
    hu = hounsfield((8, 40, 48)).astype(float)
    hu[:, :, :10] = -1000
    series(tmp_path, np.rint(change(hu)).astype(int), RescaleSlope=1)
    reading = Reading()
    read_volume(tmp_path, reading=reading)
    assert len(reading.doubts) == 1
    assert re.search(said, reading.doubts[0])


@pytest.mark.parametrize("what", ["window", "bits", "network", "offset"])
def test_pictures_without_hounsfield_units_are_doubtful(tmp_path, what):
    hu = hounsfield((8, 40, 48)).astype(float)
    hu[:, 20:] += 300 * np.random.default_rng(0).random((8, 20, 48))
    values = {
        "window": hu.clip(-160, 240),
        "bits": np.rint((hu.clip(-160, 240) + 160) * 255 / 400),
        "network": ((hu.clip(-160, 240) + 160) / 400).astype(np.float32),
        "offset": hu.clip(-1000) + 1024 + 400 * (hu > 300),
    }[what]
    image = sitk.GetImageFromArray(values.astype(np.float32 if what == "network" else np.int16))
    image.SetSpacing(SPACING[::-1])
    sitk.WriteImage(image, tmp_path / "ct.nrrd")
    reading = Reading()
    read_volume(tmp_path / "ct.nrrd", reading=reading)
    assert len(reading.doubts) == 1
    with pytest.warns(UserWarning, match="Hounsfield|window"):
        read_volume(tmp_path / "ct.nrrd")  # nobody asked for the report


# ---- places


@pytest.mark.parametrize(
    ("spacing", "place"),
    [
        (0.625, lambda z: round(z, 2)),
        (1.25, lambda z: round(z, 1)),
        (2.5, lambda z: z + 0.03 * (-1) ** round(z / 2.5)),
        (0.8, lambda z: round(z, 1) + 100),
    ],
)
def test_positions_are_rounded_in_the_header(tmp_path, spacing, place):
    hu = hounsfield((40, 8, 9))
    series(tmp_path, hu, lambda i: {"z": place(spacing * i)})
    image = read_volume(tmp_path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), hu)
    assert image.GetSpacing()[2] == pytest.approx(spacing, rel=0.003)


@pytest.mark.parametrize("gone", [1, 20, 38])
def test_rounding_does_not_hide_a_missing_slice(tmp_path, gone):
    files = series(tmp_path, hounsfield((40, 8, 9)), lambda i: {"z": round(0.625 * i, 2)})
    files[gone].unlink()
    fails("slices are missing or uneven", read_volume, tmp_path)


def tilted(folder, degrees: float, oblique: bool, told: float | None = None):
    """A ball in a scan whose gantry leans: slices that lean with it, or a sheared stack of axial ones."""
    lean = np.radians(degrees)
    down = np.array([0, np.cos(lean), -np.sin(lean)]) if oblique else np.array([0, 1.0, 0])
    step = np.array([0, 0, 2.5]) if oblique else np.array([0, 2.5 * np.tan(lean), 2.5])
    i, y, x = np.indices((30, 50, 50))
    points = np.multiply.outer(i, step) + np.multiply.outer(y * 0.8, down) + np.multiply.outer(x * 0.7, [1, 0, 0])
    ball = points.reshape(-1, 3).mean(axis=0)
    hu = np.where(np.linalg.norm(points - ball, axis=-1) < 12, 150, 20).astype(np.int16)
    tags = {"ImageOrientationPatient": [1, 0, 0, *down], "GantryDetectorTilt": told}
    series(folder, hu, lambda i: {"ImagePositionPatient": list(step * i)}, **tags)
    return ball


@pytest.mark.parametrize(("oblique", "told"), [(True, None), (True, 15.0), (False, 15.0), (False, -15.0)])
def test_a_tilted_gantry_is_resampled_upright(tmp_path, oblique, told):
    ball = tilted(tmp_path, 15, oblique, told)
    reading = Reading()
    image = read_volume(tmp_path, reading=reading)
    assert image.GetDirection() == pytest.approx(np.eye(3).ravel())
    assert "gantry tilted by 15.0 degrees: resampled upright, linear" in reading.assumed
    inside = np.argwhere(sitk.GetArrayFromImage(image) > 85)[:, ::-1]
    centre = inside.mean(0) * image.GetSpacing() + image.GetOrigin()
    assert centre == pytest.approx(ball, abs=0.2)
    half = np.ptp(inside * image.GetSpacing(), axis=0) / 2
    assert half == pytest.approx([12, 12, 12], abs=1.3)  # round again, to a voxel
    assert len(inside) * np.prod(image.GetSpacing()) == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.03)


def test_a_shear_that_the_header_does_not_explain_refuses(tmp_path):
    tilted(tmp_path / "a", 15, oblique=False)
    fails("tilted by 15.0 degrees as its positions say, by 0.0 as its header", read_volume, tmp_path / "a")
    tilted(tmp_path / "b", 15, oblique=False, told=8.0)
    fails("by 15.0 degrees as its positions say, by 8.0 as its header", read_volume, tmp_path / "b")


# ---- size


def test_size_is_bounded_by_the_header(tmp_path):
    files = series(tmp_path / "ct", HU)
    made = pydicom.dcmread(files[3])
    made.Rows = made.Columns = 65535
    made.save_as(files[3])
    fails("differ in matrix", read_volume, tmp_path / "ct")
    for file in files:
        made = pydicom.dcmread(file)
        made.Rows = made.Columns = 65535
        made.save_as(file)
    fails("header claims 64.0 GiB, over the 1 GiB", read_volume, tmp_path / "ct")
    many = pydicom.dcmread(multi_frame(tmp_path / "one.dcm", (HU + 1024).astype(np.uint16), range(8)))
    many.NumberOfFrames = 2_000_000_000
    many.save_as(tmp_path / "one.dcm")
    fails("2000000000 frames, and the header places 8", read_volume, tmp_path / "one.dcm")


def test_shapes_and_slices_of_one_pixel(tmp_path):
    slice_file(tmp_path / "ct" / "a.dcm", HU[0], 0.0)
    fails("one slice only", read_volume, tmp_path / "ct")
    assert read_volume(tmp_path / "ct", least=1).GetSize() == (*SHAPE[:0:-1], 1)
