"""What a header of DICOM counts, numbers and measures, set against the positions of its slices."""

import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from door_files import fails, hounsfield, pydicom, series

from livervlm.studies.reading import Reading
from livervlm.studies.volumes import read_volume

HU = hounsfield()


def doubts(folder) -> list[str]:
    reading = Reading()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_volume(folder, reading=reading)), HU)
    return reading.doubts


@pytest.mark.parametrize(
    ("each", "said"),
    [
        (lambda i: {"ImagesInAcquisition": 40}, "its header counts more pictures than the 8 that are here"),
        (lambda i: {"AcquisitionNumber": 1 + i // 4, "AcquisitionTime": "100000", "ImagesInAcquisition": 4 + i // 4},
         "its header counts more pictures than the 8"),
        (lambda i: {"InstanceNumber": 1 + 2 * i}, "the numbers of its 8 slices leave some out"),
        (lambda i: {"InstanceNumber": 90 - 3 * i}, "the numbers of its 8 slices leave some out"),
        (lambda i: {"InstanceNumber": 1 + i + (i > 3)}, "the numbers of its 8 slices leave some out"),
        (lambda i: {"SliceThickness": 1.25}, "slices of 1.25 mm every 2.5 mm: was the series thinned"),
        (lambda i: {"GantryDetectorTilt": 12}, "tilted by 12.0 degrees as its header says, by 0.0 as its positions"),
        (lambda i: {"SliceLocation": 3 * i}, None),
        (lambda i: {"SliceLocation": (0, 2.5, 5, 10, 7.5, 12.5, 15, 17.5)[i]}, "in another order by SliceLocation"),
        (lambda i: {"SliceLocation": i + 1}, "by their positions, 1 mm by SliceLocation: does it count them"),
        (lambda i: {"SpacingBetweenSlices": 1.25, "ImageType": ["DERIVED", "SECONDARY"]},
         "2.5 mm apart by their positions, 1.25 mm by SpacingBetweenSlices: was it thinned"),
        (lambda i: {"SpacingBetweenSlices": 1}, "1 mm by SpacingBetweenSlices: was it thinned"),
        (lambda i: {"SliceLocation": 5 * i, "ImageType": ["DERIVED", "SECONDARY"]}, "5 mm by SliceLocation: was it"),
    ],
)  # fmt: skip
def test_a_header_that_knows_of_more_slices_is_doubted_or_refused(tmp_path, each, said):
    series(tmp_path, HU, each)
    if said is None:
        fails("2.5 mm apart by their positions, 3 mm by SliceLocation; .* one is wrong", read_volume, tmp_path)
    else:
        found = doubts(tmp_path)
        assert len(found) == 1
        assert said in found[0]


@pytest.mark.parametrize(
    ("each", "said"),
    [
        (lambda i: {"SliceLocation": 5 * i}, "2.5 mm apart by their positions, 5 mm by SliceLocation"),
        (lambda i: {"SliceLocation": 40 - 1.25 * i}, "2.5 mm apart by their positions, 1.25 mm by SliceLocation"),
        (lambda i: {"SliceLocation": 2.5 * (i + 3 * (i > 4))},
         "2.5 mm apart by their positions, 10 mm by SliceLocation between 5 and 6 of 8"),
        (lambda i: {"SpacingBetweenSlices": 1.25}, "2.5 mm apart by their positions, 1.25 mm by SpacingBetweenSlices"),
        (lambda i: {"SpacingBetweenSlices": -5}, "2.5 mm apart by their positions, 5 mm by SpacingBetweenSlices"),
        (lambda i: {"InstanceNumber": 1 + 2 * i, "SpacingBetweenSlices": 1.25}, "1.25 mm by SpacingBetweenSlices"),
    ],
)  # fmt: skip
def test_two_statements_of_distance_that_differ_refuse_with_both(tmp_path, each, said):
    series(tmp_path, HU, each)
    fails(said, read_volume, tmp_path)


@pytest.mark.parametrize(
    "each",
    [
        lambda i: {"InstanceNumber": 41 + i, "ImagesInAcquisition": 8},  # the second phase of a series
        lambda i: {"InstanceNumber": 8 - i},
        lambda i: {"InstanceNumber": 1},
        lambda i: {"InstanceNumber": (3, 1, 4, 15, 9, 2, 6, 5)[i]},  # of an anonymizer
        lambda i: {"ImagesInAcquisition": 4, "AcquisitionNumber": 1 + i // 4, "AcquisitionTime": "100000"},  # each
        lambda i: {"ImagesInAcquisition": 8, "AcquisitionNumber": 1 + i // 4, "AcquisitionTime": "100000"},  # of all
        lambda i: {"ImagesInAcquisition": 1},
        lambda i: {"SliceLocation": 700.4 - 2.5 * i},
        lambda i: {"SliceLocation": round(2.5 * i + 0.26)},
        lambda i: {"SliceLocation": (0, 0, 1, 2, 2, 3, 4, 4)[i], "z": 0.625 * i},
        lambda i: {"SliceLocation": 0},
        lambda i: {"SpacingBetweenSlices": 0},
        lambda i: {"SpacingBetweenSlices": -2.5},
        lambda i: {"SpacingBetweenSlices": 1.25, "SliceThickness": 1.25 + 0.05},  # a gap
        lambda i: {"SliceThickness": 5},
    ],
)
def test_what_scanners_write_of_slices_is_no_contradiction(tmp_path, each):
    series(tmp_path, HU, each)
    assert not doubts(tmp_path)


def test_volumes_of_one_series_share_its_numbers(tmp_path):
    """Phases whose pictures are numbered in turn: each alone leaves out the other's."""
    for n in range(2):
        series(tmp_path / "ct" / str(n), HU + n, lambda i, n=n: {"InstanceNumber": 1 + 2 * i + n}, AcquisitionNumber=n)
    reading = Reading()
    read_volume(tmp_path / "ct#1", reading=reading)
    assert not reading.doubts
    shutil.rmtree(tmp_path / "ct" / "1")
    read_volume(tmp_path / "ct", reading=reading)
    assert len(reading.doubts) == 1


def test_what_begins_above_one_and_gaps_between_slices_are_said(tmp_path):
    series(tmp_path, HU, lambda i: {"InstanceNumber": 5 + i, "SpacingBetweenSlices": 0.5, "SliceThickness": 2})
    reading = Reading()
    read_volume(tmp_path, reading=reading)
    assert reading.assumed == [
        "the numbers of its slices begin above 1: taken as all there are",
        "SpacingBetweenSlices is 0.5 mm: taken as the gap between slices of 2 mm",
        "slices of 2 mm every 2.5 mm: what lies between them is not pictured",
    ]


def test_the_distance_that_itk_writes_whatever_it_is_says_nothing(tmp_path):
    for file in series(tmp_path, HU, SpacingBetweenSlices=1):
        made = pydicom.dcmread(file)
        made.file_meta.ImplementationVersionName = "GDCM 3.0.24"
        made.save_as(file)
    assert not doubts(tmp_path)
