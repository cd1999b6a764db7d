"""Scans in and out: geometry, Hounsfield units, and errors in one line."""

import gzip
import importlib
import locale
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import livervlm
from livervlm.base.errors import InputError
from livervlm.scans.rois import extract_rois, mask_box

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")

from small_scans import PHASES, fails, image, liver_study  # noqa: E402  after the skip

from livervlm.studies.files import read_study, write_study  # noqa: E402  after the skip
from livervlm.studies.volumes import read_mask, read_volume  # noqa: E402  after the skip

REAL = Path(__file__).parents[2] / "shared" / "realdata" / "totalsegmentator_example"
LIVER = 5  # TotalSegmentator's label
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real CT of shared/realdata is not beside this checkout")


@pytest.fixture
def study():
    return liver_study()


@pytest.fixture
def dicom(tmp_path, study):
    """A folder with one DICOM series of 12 slices."""
    return write_study(study, tmp_path / "dicom", "dicom")["PV"]


def edit_slice(file: Path, **tags) -> None:
    """Rewrite one slice with other tags, given as _00100010="Name"."""
    picture = sitk.ReadImage(file)
    for tag, text in tags.items():
        picture.SetMetaData(f"{tag[1:5]}|{tag[5:]}", text)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(file)
    writer.Execute(picture)


# ---- there and back


@pytest.mark.parametrize("format", ["nifti", "dicom"])
@pytest.mark.parametrize("moves", [True, False])
def test_study_goes_out_and_comes_back(tmp_path, format, moves):
    study = liver_study(moves)
    files = write_study(study, tmp_path / "out", format)
    masks = {p: files[f"mask_{p}"] for p in PHASES} if moves else files["mask"]
    back = read_study({p: files[p] for p in reversed(PHASES)}, masks)

    assert tuple(back.volumes) == PHASES
    assert back.spacing == pytest.approx(study.spacing)
    assert back.box == study.box
    for phase in PHASES:
        assert np.abs(back.volumes[phase] - study.volumes[phase].clip(-1024)).max() <= 1
        if moves:
            np.testing.assert_array_equal(back.masks["lesion"][phase], study.masks["lesion"][phase])
            assert back.centres[phase] == pytest.approx(study.centres[phase], abs=0.5)
    assert bool(back.centres) == moves
    assert not list(tmp_path.glob(".*"))  # nothing temporary stays


def test_write_study_never_overwrites_and_leaves_nothing_half_done(tmp_path, study, monkeypatch):
    write_study(study, tmp_path / "out")
    fails("already there", write_study, study, tmp_path / "out")
    fails("'png'", write_study, study, tmp_path / "png", "png")

    def full(*args):
        raise OSError("disk full")

    monkeypatch.setattr("livervlm.studies.files.sitk.WriteImage", full)
    with pytest.raises(OSError, match="disk full"):
        write_study(study, tmp_path / "new")
    assert [f.name for f in tmp_path.iterdir()] == ["out"]


def test_written_dicom_is_ct_of_nobody(dicom):
    slice_ = sitk.ReadImage(dicom / "0003.dcm")
    tags = {key: slice_.GetMetaData(key).strip() for key in slice_.GetMetaDataKeys()}
    assert tags["0008|0060"] == "CT"
    assert tags["0008|0016"] == "1.2.840.10008.5.1.4.1.1.2"
    assert (tags["0028|1052"], tags["0028|1053"]) == ("-1024", "1")
    assert tags["0010|0010"] == tags["0010|0020"] == "phantom"
    uids = [sitk.ReadImage(file).GetMetaData("0008|0018") for file in dicom.iterdir()]
    assert len(set(uids)) == len(uids) == 12


def test_written_dicom_tells_one_distance_of_slices_even_after_a_file_was_read(dicom, tmp_path, study):
    """From then on ITK overwrites what a picture in 2D says of it."""
    sitk.ReadImage(dicom / "0003.dcm")
    written = write_study(study, tmp_path / "again", "dicom")["PV"]
    told = {sitk.ReadImage(file).GetMetaData("0018|0088").strip() for file in written.iterdir()}
    assert told == {f"{study.spacing[0]:g}"}


def test_writing_dicom_leaves_the_locale_as_it_was(tmp_path, study):
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    except locale.Error:
        pytest.skip("no locale C.UTF-8 here")
    write_study(study, tmp_path / "dicom", "dicom")
    assert locale.setlocale(locale.LC_CTYPE) == "C.UTF-8"


# ---- geometry


@pytest.mark.parametrize("code", ["LPS", "RAS", "LAI", "PIR", "SLP"])
def test_any_stored_orientation_gives_the_same_study(tmp_path, study, code):
    upright = write_study(study, tmp_path / "upright")
    turned = {column: tmp_path / f"{column}.nii.gz" for column in upright}
    for column, file in upright.items():
        sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(file), code), turned[column])
    expected, got = (
        read_study({p: f[p] for p in PHASES}, {p: f[f"mask_{p}"] for p in PHASES}) for f in (upright, turned)
    )
    assert got.box == expected.box
    rois = [extract_rois(s, 24, phases=PHASES) for s in (expected, got)]
    np.testing.assert_array_equal(rois[0].hu, rois[1].hu)
    np.testing.assert_array_equal(rois[0].masks["lesion"], rois[1].masks["lesion"])


def test_box_counts_voxels_of_the_upright_picture(tmp_path):
    hu = np.full((6, 10, 12), 80, np.int16)
    hu[4, 2:5, 7:9] = 200  # near the head, the front and the patient's left
    stored = tmp_path / "ras.nii.gz"
    sitk.WriteImage(sitk.DICOMOrient(image(hu), "RAI"), stored)
    study = read_study({"NC": stored, "PV": stored}, box=(4, 5, 2, 5, 7, 9))
    z0, z1, y0, y1, x0, x1 = study.box
    assert (study.volumes["PV"][z0:z1, y0:y1, x0:x1] == 200).all()
    assert (study.volumes["PV"] == 200).sum() == 6
    assert not study.centres
    assert not study.masks


def test_phases_on_other_grids_meet_on_the_reference(tmp_path):
    z, y, x = np.indices((10, 20, 30), dtype=np.float32)
    reference, other = image((40 + z + y + x).astype(np.int16)), image((40 + z + y + x).astype(np.float32))
    other.SetOrigin((1.4, 0.8, 2.5))  # 2 columns, 1 row, 1 slice on: its values are 4 lower at the same place
    sitk.WriteImage(reference, tmp_path / "pv.nii.gz")
    sitk.WriteImage(other[:, :, :5], tmp_path / "nc.nii.gz")
    study = read_study({"NC": tmp_path / "nc.nii.gz", "PV": tmp_path / "pv.nii.gz"}, box=(2, 5, 8, 12, 8, 12))
    difference = study.volumes["PV"] - study.volumes["NC"]
    assert (difference[1:6, 1:, 2:] == 4).all()
    assert (study.volumes["NC"][6:] == -1024).all()  # where it does not reach
    beyond = read_study({"NC": tmp_path / "nc.nii.gz", "PV": tmp_path / "pv.nii.gz"}, box=(6, 9, 8, 12, 8, 12))
    fails("implausible HU in phase NC", extract_rois, beyond, 8, phases=("NC", "PV"))


def test_reference_is_the_last_phase_with_a_mask(tmp_path, study):
    files = write_study(study, tmp_path / "out")
    phases = {p: files[p] for p in PHASES}
    one = read_study(phases, {"ART": files["mask_ART"]})
    assert one.box == mask_box(study.masks["lesion"]["ART"])
    assert not one.centres
    two = read_study(phases, {"NC": files["mask_NC"], "ART": files["mask_ART"]})
    assert two.box == one.box
    assert two.centres["PV"] == two.centres["ART"] != two.centres["NC"]


def test_mask_on_another_grid_and_label_values(tmp_path):
    like = image(np.zeros((6, 20, 20), np.int16))
    labels = np.zeros((6, 10, 10), np.uint8)
    labels[2:4, 3:6, 3:6], labels[2:4, 7:9, 7:9] = 1, 4
    coarse = image(labels, (0.35, 0.4, 0))
    coarse.SetSpacing((1.4, 1.6, 2.5))
    sitk.WriteImage(coarse, tmp_path / "mask.nii.gz")
    found = sitk.GetArrayFromImage(read_mask(tmp_path / "mask.nii.gz", like, 4))
    assert mask_box(found == 1) == (2, 4, 14, 18, 14, 18)
    every = sitk.GetArrayFromImage(read_mask(tmp_path / "mask.nii.gz", like))
    assert mask_box(every == 1) == (2, 4, 6, 18, 6, 18)
    fails("no voxel of value 7 .*holds 0, 1, 4", read_mask, tmp_path / "mask.nii.gz", like, 7)


# ---- values


def test_padding_is_clipped_and_rescaling_applied(tmp_path):
    hu = np.full((4, 6, 6), 55.4, np.float32)
    hu[0], hu[1] = -3024, -2000
    sitk.WriteImage(image(hu), tmp_path / "ct.nii.gz")
    read = read_volume(tmp_path / "ct.nii.gz")
    assert read.GetPixelID() == sitk.sitkInt16
    assert [int(v) for v in sitk.GetArrayFromImage(read)[:, 0, 0]] == [-1024, -1024, 55, 55]

    raw = bytearray(gzip.decompress((tmp_path / "ct.nii.gz").read_bytes()))
    raw[112:120] = np.array([2, -10], "<f4").tobytes()  # scl_slope, scl_inter
    (tmp_path / "scaled.nii").write_bytes(raw)
    scaled = sitk.GetArrayFromImage(read_volume(tmp_path / "scaled.nii"))
    assert [int(v) for v in scaled[:, 0, 0]] == [-1024, -1024, 101, 101]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd"])
def test_nan_is_named(tmp_path, suffix):
    hu = np.zeros((4, 6, 6), np.float32)
    hu[1, 2, 3] = np.nan
    sitk.WriteImage(image(hu), tmp_path / f"ct{suffix}")
    fails("1 voxels are NaN", read_volume, tmp_path / f"ct{suffix}")


# ---- what cannot be read


def test_absent_empty_and_foreign_files(tmp_path):
    fails("nowhere.nii.gz: no such file", read_volume, tmp_path / "nowhere.nii.gz")
    (tmp_path / "empty").mkdir()
    fails("empty: no DICOM image", read_volume, tmp_path / "empty")
    (tmp_path / "text.nii").write_text("not a picture")
    fails(r"text.nii: not readable", read_volume, tmp_path / "text.nii")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_truncated_file(tmp_path, suffix, study):
    whole, half = tmp_path / f"whole{suffix}", tmp_path / f"half{suffix}"
    sitk.WriteImage(image(study.volumes["PV"]), whole)
    read_volume(whole)
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    fails("not readable: truncated", read_volume, half)


def test_not_one_3d_volume(tmp_path, dicom):
    volume = image(np.zeros((4, 6, 6), np.int16))
    sitk.WriteImage(sitk.JoinSeries([volume, volume]), tmp_path / "4d.nii.gz")
    fails("6 x 6 x 4 x 2 .* not 3D", read_volume, tmp_path / "4d.nii.gz")
    sitk.WriteImage(sitk.Compose(volume, volume), tmp_path / "vector.nrrd")
    fails("2 values a voxel", read_volume, tmp_path / "vector.nrrd")
    fails("one slice only", read_volume, dicom / "0001.dcm")


def test_dicom_order_of_names_does_not_matter(dicom, study):
    for number, file in enumerate(sorted(dicom.iterdir())):
        file.rename(dicom / f"IM{number * 7 % 12}")
    hu = sitk.GetArrayFromImage(read_volume(dicom))
    assert np.abs(hu - study.volumes["PV"]).max() <= 1


def test_dicom_missing_slice(dicom, capfd):
    (dicom / "0005.dcm").unlink()
    message = fails("5 mm between slices 4 and 5 of 11, else 2.5 mm", read_volume, dicom)
    assert "copy the series again" in message
    assert capfd.readouterr() == ("", "")  # ITK's own warning stays off the terminal


@pytest.mark.parametrize("number", [1, 6, 12])
def test_dicom_truncated_slice(dicom, number):
    file = dicom / f"{number:04d}.dcm"
    file.write_bytes(file.read_bytes()[:-500])
    fails("1 DICOM files beside its 11 slices are no whole images", read_volume, dicom)


def test_dicom_two_series_in_a_folder(tmp_path, study):
    files = write_study(study, tmp_path / "out", "dicom")
    for file in sorted(files["ART"].iterdir())[:5]:
        shutil.copy(file, files["PV"] / f"art_{file.name}")
    message = fails("2 DICOM series, of (5 and 12|12 and 5) slices", read_volume, files["PV"])
    assert "2.25." not in message


def test_dicom_two_slices_at_one_position(dicom):
    shutil.copy(dicom / "0004.dcm", dicom / "again.dcm")
    read_volume(dicom)  # an identical copy is left out
    shutil.copy(dicom / "0005.dcm", dicom / "again.dcm")
    edit_slice(dicom / "again.dcm", _00200032="0\\0\\7.5")
    fails("two slices at one position", read_volume, dicom)


def test_dicom_localizer_and_gantry_tilt(tmp_path, study):
    files = write_study(study, tmp_path / "out", "dicom")
    edit_slice(files["NC"] / "0001.dcm", _00200037="0\\1\\0\\0\\0\\-1")
    fails("differ in orientation", read_volume, files["NC"])
    for z, file in enumerate(sorted(files["PV"].iterdir())):
        edit_slice(file, _00200032=f"0\\{z * 0.5}\\{z * 2.5}")
    fails("gantry tilted by 11.3 degrees", read_volume, files["PV"])


def test_other_modalities_are_refused(dicom):
    like = read_volume(dicom)
    for file in dicom.iterdir():
        edit_slice(file, _00080060="MR", _00080016="1.2.840.10008.5.1.4.1.1.4", _00281052="0")
    fails("modality MR is not CT", read_volume, dicom)
    for file in dicom.iterdir():
        edit_slice(file, _00080060="SEG")
    fails("convert it to a NIfTI mask", read_mask, dicom, like)


def test_masks_that_miss(tmp_path):
    like = image(np.zeros((6, 20, 20), np.int16))
    sitk.WriteImage(image(np.zeros((6, 20, 20), np.uint8)), tmp_path / "empty.nii.gz")
    fails("the mask is empty", read_mask, tmp_path / "empty.nii.gz", like)
    sitk.WriteImage(image(np.ones((6, 20, 20), np.uint8), (500, 0, 0)), tmp_path / "away.nii.gz")
    fails("only 0 of the mask's 3360 mm3", read_mask, tmp_path / "away.nii.gz", like)


def test_study_arguments(tmp_path, study):
    files = write_study(study, tmp_path / "out")
    phases = {p: files[p] for p in PHASES}
    fails("either a mask of the lesion or a box", read_study, phases)
    fails("either a mask", read_study, phases, files["mask_PV"], (0, 1, 0, 1, 0, 1))
    fails("phase VENOUS", read_study, {"VENOUS": files["PV"]}, files["mask_PV"])
    fails("phase DL: give a volume", read_study, phases, {"DL": files["mask_PV"]})
    fails(r"phase \(none\)", read_study, {}, files["mask_PV"])
    for box in [(4, 13, 0, 5, 0, 5), (4, 4, 0, 5, 0, 5), (-1, 4, 0, 5, 0, 5), (0, 1, 0, 1)]:
        fails("within z 0:12, y 0:40, x 0:44", read_study, phases, box=box)


def test_without_simpleitk_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(livervlm, "studies", livervlm.studies)  # which the import below replaces
    for name in [n for n in sys.modules if n.startswith("livervlm.studies")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(InputError, match=re.escape("pip install 'livervlm[studies]'")):
        importlib.import_module("livervlm.studies.files")


# ---- a real CT


@real
def test_real_dicom_has_a_liver_of_portal_venous_hu(capfd):
    ct = read_volume(REAL / "example_ct_dicom")
    assert ct.GetSize() == (512, 512, 20)
    assert ct.GetSpacing() == pytest.approx((0.9765625, 0.9765625, 2))
    liver = sitk.GetArrayFromImage(read_mask(REAL / "example_seg_dicom.nii.gz", ct, LIVER)) == 1
    hu = sitk.GetArrayFromImage(ct)[liver]
    assert np.median(hu) == pytest.approx(93, abs=15)
    assert capfd.readouterr() == ("", "")


@real
def test_real_nifti_is_turned_upright_and_clipped():
    ct = read_volume(REAL / "example_ct.nii.gz")
    hu = sitk.GetArrayFromImage(ct)
    assert hu.min() == -1024
    assert ct.GetDirection() == pytest.approx(np.eye(3).ravel())
    assert hu[:, :30].mean() != pytest.approx(hu[:, -30:].mean())
