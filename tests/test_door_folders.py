"""A folder of DICOM as life leaves it: what is one series, what is none of it, and what is missing."""

import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from door_files import SHAPE, SPACING, fails, header, hounsfield, pydicom, series, slice_file, with_pixels, write

from livervlm.studies.reading import Reading
from livervlm.studies.series import sort_folder
from livervlm.studies.volumes import read_volume

HU = hounsfield()


@pytest.fixture
def folder(tmp_path):
    series(tmp_path / "ct", HU)
    return tmp_path / "ct"


def content(path) -> np.ndarray:
    return sitk.GetArrayFromImage(read_volume(path))


def test_a_number_behind_a_folder_is_a_series_and_a_name_of_that_very_kind_a_folder(tmp_path):
    for n, time in enumerate(("101700", "101500", "101600")):
        series(tmp_path / "ct" / str(n), HU + 10 * n, SeriesInstanceUID=f"1.2.{n}", AcquisitionTime=time)
    read = [content(tmp_path / f"ct#{n}") for n in (1, 2, 3)]
    assert all(np.array_equal(one, HU + more) for one, more in zip(read, (10, 20, 0), strict=True))
    reading = Reading()
    read_volume(tmp_path / "ct#2", reading=reading)
    assert "series 2 of the 3 in its folder, in the order of time" in reading.assumed
    shutil.copytree(tmp_path / "ct", tmp_path / "ct#1")
    fails("3 DICOM series, of 8 and 8 and 8 slices", read_volume, tmp_path / "ct#1")
    one = next((tmp_path / "ct" / "0").iterdir())
    fails("only a folder has several", read_volume, f"{one}#1")


def rewrite(file, **tags) -> None:
    made = pydicom.dcmread(file)
    for name, value in tags.items():
        setattr(made, name, value) if value is not None else delattr(made, name)
    made.save_as(file)


# ---- what is no picture of the series


def test_what_is_no_slice_is_left_out_and_named_by_kind(folder):
    write(header("1.2.840.10008.5.1.4.1.1.88.33", Modality="SR"), folder / "report.dcm")
    picture = with_pixels(header("1.2.840.10008.5.1.4.1.1.7", Modality="OT"), np.zeros((9, 9), np.uint8))
    write(picture, folder / "deep" / "screen.dcm")
    slice_file(folder / "loc", HU[0], 3.0, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesInstanceUID="1.2.9")
    shutil.copy(folder / "IM0003.dcm", folder / "again.dcm")
    (folder / "Thumbs.db").write_bytes(b"junk")
    (folder / "gone").symlink_to(folder / "nowhere")
    (folder / "elsewhere").symlink_to(folder.parent)
    directory = header("1.2.840.10008.1.3.10")
    write(directory, folder / "dicomdir")
    reading = Reading()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_volume(folder, reading=reading)), HU)
    assert sorted(reading.left_out) == [
        "1 x Comprehensive SR",
        "1 x Secondary Capture Image",
        "1 x dangling link",
        "1 x identical copy",
        "1 x linked folder",
        "1 x localizer",
        "1 x other file",
    ]
    assert not reading.doubts


def test_a_localizer_is_known_by_its_looks(folder):
    across = {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "SeriesInstanceUID": "1.2.9"}
    slice_file(folder / "a.dcm", HU[0], 3.0, **across)
    slice_file(folder / "b.dcm", HU[0], 3.0, **across | {"ImagePositionPatient": [9.0, -7.0, 3.0]})
    reading = Reading()
    assert read_volume(folder, reading=reading).GetSize() == SHAPE[::-1]
    assert reading.left_out == ["2 x localizer"]


def test_slices_may_be_links_and_lie_in_folders(folder, tmp_path):
    for number, file in enumerate(sorted(folder.iterdir())):
        linked = tmp_path / "tree" / str(number % 3) / file.name
        linked.parent.mkdir(parents=True, exist_ok=True)
        linked.symlink_to(file)
    np.testing.assert_array_equal(content(tmp_path / "tree"), HU)


def test_a_copy_is_known_by_its_pixels_not_by_its_number(folder):
    """Anonymizers give all slices one UID; a copy that they saw twice has two."""
    for file in folder.iterdir():
        rewrite(file, SOPInstanceUID="1.2.3.9")
    shutil.copy(folder / "IM0003.dcm", folder / "again.dcm")
    rewrite(folder / "again.dcm", SOPInstanceUID="1.2.3.10")
    np.testing.assert_array_equal(content(folder), HU)
    slice_file(folder / "again.dcm", HU[3] + 1, 3 * SPACING[0], SeriesInstanceUID="1.2.3.4", AcquisitionNumber=1)
    fails("two slices at one position", read_volume, folder)


def test_a_slice_without_its_class_or_preamble_is_a_slice(folder):
    for file in folder.iterdir():
        rewrite(file, SOPClassUID="")
    bare = folder / "IM0002.dcm"
    bare.write_bytes(bare.read_bytes()[132:])
    np.testing.assert_array_equal(content(folder), HU)


# ---- what should be there and is not


@pytest.mark.parametrize("name", ["IM0000.dcm", "IM0007.dcm"])  # at an end no gap tells
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.write_bytes(b""), "1 files with the name of a slice .* empty or no DICOM"),
        (lambda file: file.write_text("<html>404</html>"), "1 files with the name of a slice"),
        (
            lambda file: file.write_text("version https://git-lfs.github.com/spec/v1"),
            "1 files with the name of a slice",
        ),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "1 DICOM files beside its 7 slices are no whole"),
        (lambda file: file.write_bytes(file.read_bytes()[:600]), "1 DICOM files beside its 7 slices are no whole"),
        (lambda file: file.write_bytes(file.read_bytes()[132:-9]), "1 DICOM files beside its 7 slices are no whole"),
        (lambda file: rewrite(file, ImagePositionPatient=None), "1 of its 8 slices tell no position"),
        (lambda file: rewrite(file, PixelSpacing=""), "differ in pixel spacing: (7 and 1|1 and 7) slices"),
    ],
)
def test_a_slice_that_is_not_whole_refuses(folder, name, damage, message):
    damage(folder / name)
    fails(message, read_volume, folder)


def test_slices_are_known_by_the_pattern_of_their_names(tmp_path):
    for file in series(tmp_path / "ct", HU):
        file.rename(file.with_suffix(""))
    (tmp_path / "ct" / "IM0007").write_text("no longer here")
    fails("1 files with the name of a slice beside its 7 slices", read_volume, tmp_path / "ct")


def test_a_folder_without_a_position_in_it_says_so(folder):
    for file in folder.iterdir():
        rewrite(file, ImagePositionPatient=None)
    fails("8 of its 8 slices tell no position", read_volume, folder)


# ---- two things taken for one


APART = {
    "frame of reference": lambda i: {"FrameOfReferenceUID": f"1.2.{i % 2}"},
    "orientation": lambda i: {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1] if i > 4 else [1, 0, 0, 0, 1, 0]},
    "pixel spacing": lambda i: {"PixelSpacing": [0.8, 0.7] if i > 4 else [0.9, 0.7]},
    "acquisition": lambda i: {"AcquisitionNumber": 1 + (i > 3), "AcquisitionTime": f"1000{20 * (i > 3):02d}"},
}


@pytest.mark.parametrize("what", APART)
def test_one_series_number_may_hold_several_volumes(tmp_path, what):
    """An even stack, which no gap betrays: only the header says that its halves do not belong together."""
    series(tmp_path, HU, APART[what])
    fails(f"its slices differ in {what}", read_volume, tmp_path)


@pytest.mark.parametrize(
    "tags",
    [
        {"AcquisitionNumber": 2},
        {"TemporalPositionIdentifier": 2},
        {"ConvolutionKernel": "Br59"},
        {"ImageType": ["DERIVED", "PRIMARY", "MIP"]},
        {"AcquisitionTime": "101500"},
    ],
)
def test_two_volumes_at_the_same_places_are_told_apart(folder, tags):
    for file, hu in zip(sorted(folder.iterdir()), HU + 30, strict=True):
        z = float(pydicom.dcmread(file).ImagePositionPatient[2])
        slice_file(folder / f"b{file.name}", hu, z, **{"SeriesInstanceUID": "1.2.3.4", "AcquisitionNumber": 1, **tags})
    fails("its slices differ in .*: 8 and 8 slices; name one, as FOLDER#1 for the first", read_volume, folder)
    read = [content(f"{folder}#{n}") for n in (1, 2)]
    assert sorted(float(one.mean()) for one in read) == pytest.approx([HU.mean(), HU.mean() + 30])
    fails("series 3 was asked for; the folder has 2", read_volume, f"{folder}#3")
    assert [len(one.frames) for one in sort_folder(folder).series] == [8, 8]


def test_steps_of_one_scan_stay_together(tmp_path):
    """Axial scanning: an acquisition for every two slices, a second apart."""
    series(tmp_path, HU, lambda i: {"AcquisitionNumber": 1 + i // 2, "AcquisitionTime": f"1000{i // 2:02d}"})
    reading = Reading()
    read_volume(tmp_path, reading=reading)
    assert "its slices are of several acquisitions that follow one another: taken as one scan" in reading.assumed


def test_acquisitions_without_times_are_not_joined(tmp_path):
    series(tmp_path, HU, lambda i: {"AcquisitionNumber": 1 + (i > 3)})
    fails("differ in acquisition: 4 and 4 slices", read_volume, tmp_path)
