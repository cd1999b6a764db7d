"""The field of view that a selector sees of a scan: around the trunk, averaged, padded with air."""

from pathlib import Path

import numpy as np
import pytest

from livervlm.base.errors import InputError

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")

from small_scans import image, oval  # noqa: E402  after the skip

from livervlm.studies.slices import area_means, body_box, field_of_view, read_slices  # noqa: E402  after the skip

REAL = Path(__file__).parents[2] / "shared" / "realdata" / "totalsegmentator_example"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real CT of shared/realdata is not beside this checkout")
WIDE = (5.0, 4.0, 4.0)  # mm along Z, Y, X


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_means_over_areas_by_hand():
    hu = np.array([[[0, 100, 200]]], np.int16)  # one row of three pixels of 2 mm
    means = area_means(hu, (1, 2, 2), (0, 1), 2, (1, 3))
    assert means[0, 0] == pytest.approx([50, 150, (200 - 1024) / 2])
    assert area_means(hu, (1, 2, 2), (-2, 0), 2, (2, 1))[0, :, 0] == pytest.approx([-1024, 0])


@pytest.mark.parametrize(("middle", "half"), [((230, 260), (110, 160)), ((270, 240), (130, 170))])
def test_the_field_is_around_the_trunk_and_not_around_table_or_arms(middle, half):
    spacing, shape = (5.0, 1.0, 1.0), (500, 500)
    hu = np.full(shape, -1000, np.int16)
    hu[middle[0] + half[0] + 4 :][:4] = 300  # the table, 4 mm thick, from side to side
    hu[oval(shape, (1, 1), middle, half)] = 40
    hu[oval(shape, (1, 1), (middle[0] + 30, middle[1] + half[1] + 30), (40, 40))] = 40  # an arm against it
    low, high = body_box(np.stack([hu] * 2), spacing)
    assert (low + high) / 2 == pytest.approx(middle, abs=15)
    assert (high - low)[0] == pytest.approx(2 * half[0], abs=10)
    corner, side = field_of_view(np.stack([hu] * 2), spacing)
    assert 420 <= side <= 2 * half[1] + 100
    assert (corner >= 0).all()
    assert (corner + side <= 500).all()


def test_a_narrow_picture_is_padded_with_air(here):
    sitk.WriteImage(image(np.full((2, 50, 70), 40, np.int16), spacing=WIDE), "narrow.nii.gz")  # 200 x 280 mm
    slices = read_slices("narrow.nii.gz", size=35)  # pixels of 10 mm
    inside = slices.hu[0, 0] == 40
    assert inside[8:27, 4:31].all()
    assert inside.sum() < 22 * 30
    assert (slices.hu[0, 0][[0, -1]] == -1024).all()


def test_what_is_no_body_is_named(here):
    sitk.WriteImage(image(np.full((3, 50, 50), -900, np.int16), spacing=WIDE), "air.nii.gz")
    with pytest.raises(InputError, match=r"air\.nii\.gz: no body in it, all is below -500 HU"):
        read_slices("air.nii.gz")


# ---- a real CT


@real
def test_a_real_ct_lies_in_the_middle_and_goes_from_head_to_feet():
    slices = read_slices(REAL / "example_ct.nii.gz")
    assert slices.hu.shape == (112, 1, 64, 64)
    assert np.diff(slices.positions) == pytest.approx(-3.0)
    body = slices.hu[:, 0] > -300
    y, x = (np.flatnonzero(body.any(axis=axes))[[0, -1]].mean() for axes in ((0, 2), (0, 1)))
    assert (y, x) == pytest.approx((31.5, 31.5), abs=3)
    # The labels are of the 30 slices next to the head, though their file has the origin of all slices: only there do
    # liver and lungs have the HU of liver and lungs.
    labels = sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(REAL / "example_seg.nii.gz"), "LPS"))[::-1]
    full = slices.full[""][: len(labels)]
    liver, spleen, kidney, lung = (np.isin(labels, of) for of in (5, 1, (2, 3), (10, 11, 14)))
    assert np.median(full[liver]) == pytest.approx(50, abs=15)
    assert np.median(full[lung]) < -600
    z, _, x = np.argwhere(liver).mean(0)
    assert np.argwhere(lung).mean(0)[0] < z < np.argwhere(kidney).mean(0)[0]  # from the head down
    assert x < np.argwhere(spleen).mean(0)[2]  # the liver on the left of the picture
    bones = (slices.hu[:, 0] > 200).sum(axis=(1, 2))
    assert bones[-20:].mean() > bones[20:40].mean()  # the hips are at the end


@real
def test_of_a_real_ct_with_arms_and_table_the_trunk_is_in_the_middle():
    slices = read_slices(REAL / "example_ct_dicom")
    labels = sitk.DICOMOrient(sitk.ReadImage(REAL / "example_seg_dicom.nii.gz"), "LPS")
    ribs = np.isin(sitk.GetArrayFromImage(labels), range(92, 116)).any(axis=0)  # TotalSegmentator's labels
    corner, side = field_of_view(slices.full[""], slices.spacing)
    ends = [slices.spacing[1] * np.flatnonzero(ribs.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    assert side == 420
    assert (np.mean(ends, axis=1) - corner) / side == pytest.approx([0.5, 0.5], abs=0.05)
