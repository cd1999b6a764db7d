"""Which voxels are the lesion: labels, pieces, soft maps, DICOM-SEG, RTSTRUCT, and where they lie."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from door_files import SPACING, edit, fails, header, hounsfield, pydicom, series, with_pixels, write

from livervlm.scans.rois import mask_box
from livervlm.studies.reading import Reading
from livervlm.studies.segmentations import RTSTRUCT, SEGMENTATIONS
from livervlm.studies.volumes import read_mask, read_volume

SHAPE = (12, 30, 32)
REAL = Path(__file__).parents[2] / "shared" / "realdata"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real files of shared/realdata are not beside this checkout")


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ct")
    series(folder, hounsfield(SHAPE))
    return read_volume(folder)


def ball(centre, radius=7.0) -> np.ndarray:
    """(Z, Y, X) bool, radius in mm."""
    points = np.stack(np.indices(SHAPE), axis=-1) * SPACING
    return np.linalg.norm(points - np.multiply(centre, SPACING), axis=-1) < radius


ONE, TWO = ball((4, 10, 9)), ball((8, 21, 22), 5.0)


def stored(file, values, like, origin=None) -> Path:
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(like)
    if origin is not None:
        image.SetOrigin(origin)
    sitk.WriteImage(image, file)
    return file


def read(path, like, **choice) -> tuple[np.ndarray, Reading]:
    reading = Reading()
    return sitk.GetArrayFromImage(read_mask(path, like, reading=reading, **choice)).astype(bool), reading


def doubt(path, like, words, **choice) -> np.ndarray:
    mask, reading = read(path, like, **choice)
    assert len(reading.doubts) == 1, reading.doubts
    assert words in reading.doubts[0]
    return mask


def sure(path, like, expected, **choice) -> Reading:
    mask, reading = read(path, like, **choice)
    assert not reading.doubts
    np.testing.assert_array_equal(mask, expected)
    return reading


# ---- volumes


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_several_labels_ask_which(tmp_path, ct, kind):
    liver = ball((6, 15, 15), 11)
    file = stored(tmp_path / "m.nii.gz", (liver.astype(int) + (liver & ONE)).astype(kind), ct)
    doubt(file, ct, "labels 1, 2 in one mask, all taken as the lesion: name one with mask_value")
    sure(file, ct, liver & ONE, value=2)
    fails(r"no voxel of value 3 \(it holds 0, 1, 2\)", read_mask, file, ct, 3)


@pytest.mark.parametrize("values", [(1e-6, 1.0), (0, 2.0000002), (0, 1.0004)])
def test_labels_that_are_nearly_whole_are_rounded(tmp_path, ct, values):
    file = stored(tmp_path / "m.nii.gz", np.where(ONE, values[1], values[0]).astype(np.float64), ct)
    assert "rounded" in sure(file, ct, ONE).assumed[0]


def test_minus_one_is_a_label_nobody_named(tmp_path, ct):
    file = stored(tmp_path / "m.nii.gz", np.where(ONE, 1, -1).astype(np.int16), ct)
    doubt(file, ct, "labels -1, 1 in one mask")
    sure(file, ct, ONE, value=1)


def test_a_soft_map_needs_a_threshold(tmp_path, ct):
    soft = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(ONE.astype(np.float32)), 0.8))
    file = stored(tmp_path / "m.nii.gz", soft.astype(np.float32), ct)
    doubt(file, ct, "a soft map from")
    for threshold in (0.3, 0.7):
        sure(file, ct, soft >= threshold, threshold=threshold)
    fails("no voxel from 2 up", read_mask, file, ct, threshold=2.0)


def test_the_background_is_no_lesion(tmp_path, ct):
    """Nor is a label where a map is cut, or a cut where a label is picked."""
    file = stored(tmp_path / "m.nii.gz", ONE.astype(np.uint8) * 2, ct)
    for value in (0, -1):
        fails(f"mask_value {value} is the background", read_mask, file, ct, value=value)
    for threshold in (0, -3.0):
        fails(f"mask_threshold {threshold:g}: the background is lesion, too", read_mask, file, ct, threshold=threshold)
    fails("give the one that this mask is", read_mask, file, ct, value=2, threshold=0.5)
    fractional = segmentation(tmp_path / "s.dcm", [ONE * 255], "FRACTIONAL")
    fails("mask_threshold 0: the background is lesion, too", read_mask, fractional, ct, threshold=0)


def test_pieces_are_one_lesion_each(tmp_path, ct):
    file = stored(tmp_path / "m.nii.gz", (ONE | TWO).astype(np.uint8), ct)
    both = doubt(file, ct, f"2 pieces that do not touch, of {ONE.sum() * 1.4:.0f}, {TWO.sum() * 1.4:.0f} mm3")
    np.testing.assert_array_equal(both, ONE | TWO)
    sure(file, ct, ONE, piece=1)
    sure(file, ct, TWO, piece=2)
    sure(file, ct, ONE | TWO, piece=0)
    fails("no piece 3: the mask has 2", read_mask, file, ct, piece=3)


def test_stray_voxels_are_left_out_and_clicks_are_doubtful(tmp_path, ct):
    stray = ONE.copy()
    stray[11, 28, 3:6] = True
    reading = sure(stored(tmp_path / "m.nii.gz", stray.astype(np.uint8), ct), ct, ONE)
    assert reading.left_out == ["3 stray voxels beside the lesion"]
    click = np.zeros(SHAPE, np.uint8)
    click[5, 5, 5] = 1
    doubt(stored(tmp_path / "c.nii.gz", click, ct), ct, "a mask of 1 voxels: a click, no lesion")


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_a_part_outside_is_doubtful_and_the_most_of_it_an_error(tmp_path, ct, slices):
    file = stored(tmp_path / "m.nii.gz", ONE.astype(np.uint8), ct)
    z0 = mask_box(ONE)[0]
    upper = ct[:, :, z0 + slices :]
    share = ONE[z0 + slices :].sum() / ONE.sum()
    if share > 0.5:
        doubt(file, upper, f"{1 - share:.0%} of the mask lies outside the volume")
    else:
        fails("of the mask's .* mm3 lie in the volume", read_mask, file, upper)


def test_a_mask_with_the_volume_s_shape_and_another_header(tmp_path, ct):
    moved = tuple(np.add(ct.GetOrigin(), (3, 0, 0)))
    doubt(
        stored(tmp_path / "m.nii.gz", ONE.astype(np.uint8), ct, moved), ct, "by its header lies up to 3.0 mm elsewhere"
    )
    rounded = tuple(np.add(ct.GetOrigin(), (0.005, 0, 0)))
    sure(stored(tmp_path / "r.nii.gz", ONE.astype(np.uint8), ct, rounded), ct, ONE)
    turned = sitk.DICOMOrient(sitk.ReadImage(stored(tmp_path / "t.nii.gz", ONE.astype(np.uint8), ct)), "RAS")
    sitk.WriteImage(turned, tmp_path / "t.nii.gz")
    sure(tmp_path / "t.nii.gz", ct, ONE)  # the same places in another order


# ---- DICOM segmentations


def segmentation(file, parts, kind="BINARY", names=("Liver", "Tumour"), **tags) -> Path:
    """parts: (Z, Y, X) for each segment, bool, or 0 to 255 where fractional; empty frames are left out."""
    frames = [(n, z, part[z]) for n, part in enumerate(parts, start=1) for z in range(len(part)) if part[z].any()]
    pixels = np.stack([frame for *_, frame in frames])
    made = with_pixels(header(SEGMENTATIONS[0], Modality="SEG", RescaleSlope=None, RescaleIntercept=None, **tags),
                       pixels.astype(np.uint8))  # fmt: skip
    made.NumberOfFrames, made.SegmentationType, made.MaximumFractionalValue = len(frames), kind, 255
    if kind == "BINARY":
        made.BitsAllocated = made.BitsStored = 1
        made.HighBit = 0
        bits = np.packbits(pixels.astype(bool).ravel(), bitorder="little").tobytes()
        made.PixelData = bits + b"\0" * (len(bits) % 2)
    made.SegmentSequence = [item(SegmentNumber=n, SegmentLabel=names[n - 1]) for n in
                            range(1, len(parts) + 1)]  # fmt: skip
    measures = item(PixelSpacing=list(SPACING[1:]), SliceThickness=SPACING[0])
    orientation = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared = item(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[orientation])
    made.SharedFunctionalGroupsSequence = [shared]
    made.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[-5.0, -7.0, SPACING[0] * z])],
            SegmentIdentificationSequence=[item(ReferencedSegmentNumber=n)],
        )
        for n, z, _ in frames
    ]
    return write(made, file)


def item(**tags) -> pydicom.Dataset:
    made = pydicom.Dataset()
    edit(made, **tags)
    return made


@pytest.mark.parametrize("alone", [True, False])
def test_a_binary_segmentation(tmp_path, ct, alone):
    file = segmentation(tmp_path / "seg" / "s.dcm", [ONE])
    sure(file if alone else file.parent, ct, ONE)


def test_a_segment_is_named_by_number_or_name_and_overlaps_others(tmp_path, ct):
    liver = ball((6, 15, 15), 11)
    file = segmentation(tmp_path / "s.dcm", [liver, ONE | (TWO & liver)])
    doubt(file, ct, "2 segments in one mask", piece=0)
    sure(file, ct, liver, value=1)
    sure(file, ct, liver, value="liver ")
    sure(file, ct, ONE | (TWO & liver), value="Tumour", piece=0)
    fails("no segment 3; it has segments 1, 2", read_mask, file, ct, 3)
    assert "Meier" not in fails("0 segments have the name", read_mask, file, ct, "Meier")


def test_a_fractional_segmentation_needs_a_threshold(tmp_path, ct):
    soft = 255 * ball((4, 10, 9), 4) + 100 * (ONE & ~ball((4, 10, 9), 4))
    file = segmentation(tmp_path / "s.dcm", [soft], "FRACTIONAL")
    np.testing.assert_array_equal(doubt(file, ct, "a fractional segmentation, half and more"), soft == 255)
    sure(file, ct, ONE, threshold=0.3)
    whole = segmentation(tmp_path / "w.dcm", [255 * ONE], "FRACTIONAL")
    sure(whole, ct, ONE)


def test_a_segmentation_of_one_frame_and_one_with_empty_frames_between(tmp_path, ct):
    one = ONE & (np.arange(SHAPE[0]) == 4)[:, None, None]
    sure(segmentation(tmp_path / "one.dcm", [one]), ct, one)
    gap = ONE | TWO
    gap[mask_box(ONE)[1] - 1 : mask_box(TWO)[0] + 1] = False
    reading = sure(segmentation(tmp_path / "gap.dcm", [gap]), ct, gap, piece=0)
    assert any("slices between the frames" in line for line in reading.assumed)


@real
def test_real_segmentations_of_other_writers():
    liver = sitk.ReadImage(REAL / "dcmqi_example" / "liver_seg.nrrd")
    mask, reading = read(REAL / "dcmqi_example" / "liver.dcm", sitk.DICOMOrient(liver, "LPS"), piece=0)
    np.testing.assert_array_equal(mask, sitk.GetArrayFromImage(liver) != 0)
    assert not reading.doubts
    for name, n in (("ct_binary", 1), ("ct_binary_overlap", 2), ("ct_binary_fractional", 1)):
        file = REAL / "highdicom" / f"seg_image_{name}.dcm"
        made = pydicom.dcmread(file)
        frames = made.pixel_array.reshape(-1, made.Rows, made.Columns)
        for number in range(1, n + 1):
            of = [
                int(g.SegmentIdentificationSequence[0].ReferencedSegmentNumber) == number
                for g in made.PerFrameFunctionalGroupsSequence
            ]
            where = sitk.Image(made.Columns, made.Rows, 400, sitk.sitkUInt8)
            first = made.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient
            where.SetSpacing((0.488281, 0.488281, 1.25))
            where.SetOrigin((first[0], first[1], first[2] - 250))
            mask, _ = read(file, where, value=number, piece=0)
            assert mask.sum() == (frames[of] != 0).sum()


# ---- contours


def contours(file, masks, names=("GTV", "Liver"), every=1, **tags) -> Path:
    """RTSTRUCT with the outline of each (Z, Y, X) mask in every slice, through the middles of its outermost voxels."""
    from skimage.measure import find_contours

    made = header(RTSTRUCT, Modality="RTSTRUCT", ImageType=None, **tags)
    made.StructureSetROISequence = [
        item(ROINumber=n, ROIName=names[n - 1], ReferencedFrameOfReferenceUID=str(made.FrameOfReferenceUID))
        for n in range(1, len(masks) + 1)
    ]
    made.ROIContourSequence = []
    for n, mask in enumerate(masks, start=1):
        outlines = []
        for z in range(0, len(mask), every):
            for points in find_contours(np.pad(mask[z], 1).astype(float), 0.5):
                y, x = (points - 1).T
                data = np.column_stack([-5 + x * SPACING[2], -7 + y * SPACING[1], np.full(len(x), z * SPACING[0])])
                outlines.append(
                    item(ContourGeometricType="CLOSED_PLANAR", ContourData=data.ravel().round(3).tolist(),
                         NumberOfContourPoints=len(x))
                )  # fmt: skip
        made.ROIContourSequence.append(item(ReferencedROINumber=n, ContourSequence=outlines))
    return write(made, file)


def test_contours_are_filled_with_their_holes(tmp_path, ct):
    hollow = ball((5, 15, 15), 9) & ~ball((5, 15, 15), 4)
    file = contours(tmp_path / "rs.dcm", [hollow, TWO])
    doubt(file, ct, "2 contours in one mask", piece=0)
    sure(file, ct, hollow, value="gtv")
    sure(file, ct, TWO, value=2)
    sure(contours(tmp_path / "rs" / "one.dcm", [ONE]).parent, ct, ONE)


def test_contours_on_every_second_slice_stand_for_those_between(tmp_path, ct):
    tube = np.zeros(SHAPE, bool)
    tube[2:9, 8:16, 10:20] = True
    mask, reading = read(contours(tmp_path / "rs.dcm", [tube], every=2), ct)
    assert mask_box(mask) == pytest.approx(mask_box(tube), abs=1)
    assert mask[2:9].all(axis=0).sum() == tube[2].sum()
    assert any("contours every 2 slices" in line for line in reading.assumed)


def test_contours_elsewhere(tmp_path, ct):
    file = contours(tmp_path / "rs.dcm", [ONE])
    fails("only 0 of the contours|lie in the volume", read_mask, file, sitk.Image(ct[:, :, mask_box(ONE)[1] + 1 :]))
    doubt(file, ct[:, :, mask_box(ONE)[0] + 1 :], "of the contours lie outside the volume")
