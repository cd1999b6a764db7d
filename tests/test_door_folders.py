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


def test_two_spirals_at_the_same_places_are_told_apart_by_the_times_of_their_slices(tmp_path):
    for n, start in enumerate((36000, 36009)):
        series(tmp_path / "ct" / str(n), HU + 30 * n, lambda i, start=start: clock(start + 0.7 * i))
    fails("differ in acquisition time: 8 and 8 slices", read_volume, tmp_path / "ct")
    np.testing.assert_array_equal(content(tmp_path / "ct#2"), HU + 30)


def test_steps_of_one_scan_stay_together(tmp_path):
    """Axial scanning: an acquisition for every two slices, a second apart."""
    series(tmp_path, HU, lambda i: {"AcquisitionNumber": 1 + i // 2, "AcquisitionTime": f"1000{i // 2:02d}"})
    reading = Reading()
    read_volume(tmp_path, reading=reading)
    assert "its slices are of several acquisitions that follow one another: taken as one scan" in reading.assumed


def test_acquisitions_without_times_are_not_joined(tmp_path):
    series(tmp_path, HU, lambda i: {"AcquisitionNumber": 1 + (i > 3)})
    fails("differ in acquisition: 4 and 4 slices", read_volume, tmp_path)


TELLS = {
    "acquisition": ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}),
    "acquisition time": ({"AcquisitionTime": "100000"}, {"AcquisitionTime": "100030"}),
    "reconstruction kernel": ({"ConvolutionKernel": "Br38"}, {"ConvolutionKernel": ["Br59", "3"]}),
    "description": ({"SeriesDescription": "arterial"}, {"SeriesDescription": "portal"}),
    "contrast agent": ({}, {"ContrastBolusAgent": "agent"}),
    "tube voltage": ({"KVP": 80}, {"KVP": 140}),
    "slice thickness": ({"SliceThickness": 2.5}, {"SliceThickness": 5}),
    "image type": ({}, {"ImageType": ["DERIVED", "PRIMARY", "AXIAL"]}),
    "cardiac phase": ({"NominalPercentageOfCardiacPhase": 40}, {"NominalPercentageOfCardiacPhase": 70}),
}


@pytest.mark.parametrize("what", TELLS)
def test_two_volumes_whose_slices_alternate_are_told_apart(tmp_path, what):
    """An even stack, of which every second slice is another volume's."""
    series(tmp_path / "ct", HU, lambda i: TELLS[what][i % 2])
    fails(f"its slices differ in {what}: 4 and 4 slices; name one", read_volume, tmp_path / "ct")
    read = sorted((content(tmp_path / f"ct#{n}") for n in (1, 2)), key=np.mean)
    assert all(np.array_equal(one, HU[start::2]) for start, one in enumerate(read))


@pytest.mark.parametrize("what", [what for what in TELLS if not what.startswith("acquisition")])
def test_a_setting_that_changes_once_is_a_doubt(tmp_path, what):
    series(tmp_path, HU, lambda i: TELLS[what][int(i > 2)])
    reading = Reading()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_volume(tmp_path, reading=reading)), HU)
    assert reading.doubts == [f"its slices differ in {what} (3 and 5 slices): are they of one volume?"]


def clock(seconds: float) -> dict[str, str]:
    hours, rest = divmod(round(seconds) % 86400, 3600)
    return {"AcquisitionTime": f"{hours:02d}{rest // 60:02d}{rest % 60:02d}.25"}


@pytest.mark.parametrize(
    ("times", "parts"),
    [
        ([0, 0, 0, 0, 100, 100, 100, 100], "4 and 4"),
        ([100, 100, 100, 0, 0, 0, 0, 0], "5 and 3"),
        ([0, 30, 2, 32, 4, 34, 6, 36], "4 and 4"),  # two sweeps, each with the time of every slice
        ([0, 9, 2, 11, 4, 13, 6, 15], "4 and 4"),
        ([0, 1, 2, 60, 4, 5, 6, 7], "7 and 1"),  # one slice was scanned again
        ([0, 0, 40, 40, 40, 90, 90, 90], "2 and 3 and 3"),
    ],
)
def test_a_pause_of_the_scanner_parts_what_has_one_number(tmp_path, times, parts):
    series(tmp_path, HU, lambda i: clock(36000 + times[i]))
    fails(f"differ in acquisition time: {parts} slices", read_volume, tmp_path)


@pytest.mark.parametrize(
    "times",
    [
        [0.7 * i for i in range(8)],  # spiral, the time of every slice
        [60 - 4 * i for i in range(8)],  # from the feet up
        [0, 0, 3, 3, 6, 6, 9, 9],  # in steps
        [0, 0, 1, 0, 1, 1, 2, 2],  # rounded
        [86394 + 2 * i - 36000 for i in range(8)],  # over midnight
        [0] * 8,
    ],
)
def test_time_that_runs_along_the_body_is_one_scan(tmp_path, times):
    series(tmp_path, HU, lambda i: clock(36000 + times[i]) | {"InstanceNumber": 48 - i})
    reading = Reading()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_volume(tmp_path, reading=reading)), HU)
    assert not reading.doubts


@pytest.mark.parametrize(
    ("what", "one", "other"),
    [("patient", {"PatientID": "Meier1"}, {"PatientID": "Huber2"}),
     ("examination", {"StudyInstanceUID": "1.2.7"}, {"StudyInstanceUID": "1.2.8"})],
)  # fmt: skip
def test_two_persons_are_no_volume_whatever_the_series_is_called(tmp_path, what, one, other):
    for uid in (None, "1.2.3.4"):
        series(tmp_path / f"ct{uid}", HU, lambda i: one if i < 5 else other, SeriesInstanceUID=uid)
        said = fails(f"its slices differ in {what}: 5 and 3 slices", read_volume, tmp_path / f"ct{uid}")
        assert not {"Meier1", "Huber2", "1.2.7", "1.2.8"} & set(said.replace(str(tmp_path), "").split())


def test_slices_of_which_some_have_no_time_are_doubtful(tmp_path):
    series(tmp_path, HU, lambda i: clock(36000) if i > 1 else {})
    reading = Reading()
    read_volume(tmp_path, reading=reading)
    assert reading.doubts == ["2 of its 8 slices tell no time: are they of one volume?"]
