"""NIfTI-1 and -2, NRRD, MHA: one geometry, or an error with both readings."""

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from door_files import SPACING, fails, hounsfield

from livervlm.studies.reading import LARGEST, Reading
from livervlm.studies.volumes import read_volume

HU = hounsfield()
KINDS = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768, "i8": 1024, "u8": 1280}
RAS = np.array([[-0.7, 0, 0, 11], [0, -0.8, 0, 22], [0, 0, 2.5, -33.0]])  # of an LPS array at (-11, -22, -33)


def nifti(file, values=HU, version=1, order="<", sform=RAS, qform=None, **own):
    """A NIfTI file as nifti1.h and nifti2.h lay it out; qform: (quaternion b, c, d), offsets."""
    wide = {1: "hhf", 2: "qid"}[version]  # of dim, of codes, of reals
    told = {"dim": (3, *values.shape[::-1], 1, 1, 1, 1), "pixdim": (1, 0.7, 0.8, 2.5, 0, 0, 0, 0), "units": 2}
    told |= {"slope": 1, "intercept": 0, "offset": {1: 352, 2: 544}[version]}
    told |= {"scode": int(sform is not None), "qcode": int(qform is not None)} | own
    head = bytearray(told["offset"])

    def put(at, form, *numbers):
        struct.pack_into(order + form, head, at, *numbers)

    kind = KINDS[values.dtype.str[1:]]
    at = {1: (40, 76, 108, 112, 116, 252, 254, 256, 268, 280), 2: (16, 104, 168, 176, 184, 344, 348, 352, 376, 400)}
    dim, pixdim, offset, slope, intercept, qcode, scode, quaternion, offsets, rows = at[version]
    put(0, "i", {1: 348, 2: 540}[version])
    put(dim, f"8{wide[0]}", *told["dim"])
    put({1: 70, 2: 12}[version], "h", kind)
    put({1: 72, 2: 14}[version], "h", 8 * values.dtype.itemsize)
    put(pixdim, f"8{wide[2]}", *told["pixdim"])
    put(offset, {1: "f", 2: "q"}[version], told["offset"])
    put(slope, wide[2], told["slope"])
    put(intercept, wide[2], told["intercept"])
    put({1: 123, 2: 500}[version], {1: "B", 2: "i"}[version], told["units"])
    put(qcode, wide[1], told["qcode"])
    put(scode, wide[1], told["scode"])
    if qform is not None:
        put(quaternion, f"3{wide[2]}", *qform[0])
        put(offsets, f"3{wide[2]}", *qform[1])
    if sform is not None:
        put(rows, f"12{wide[2]}", *np.ravel(sform))
    if version == 1:
        head[344:348] = b"n+1\0"
    else:
        head[4:12] = b"n+2\0\r\n\x1a\n"
    content = bytes(head) + values.astype(values.dtype.newbyteorder(order)).tobytes()
    file.write_bytes(gzip.compress(content, 1) if file.name.endswith(".gz") else content)
    return file


def same(path, hu=HU, reading=None) -> None:
    image = read_volume(path, reading=reading)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), hu)
    assert image.GetSpacing() == pytest.approx(SPACING[::-1])
    assert image.GetOrigin() == pytest.approx((-11, -22, -33))


@pytest.mark.parametrize("name", ["ct.nii", "ct.NII", "ct.nii.gz", "ct.Nii.GZ"])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_and_byte_orders(tmp_path, name, version, order):
    same(nifti(tmp_path / name, version=version, order=order))


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_of_real_voxel(tmp_path, kind):
    unsigned = kind.startswith("u")
    values = HU.clip(-100, 120).astype(int) + 100 * unsigned
    stored = nifti(tmp_path / "ct.nii", values.astype(kind), intercept=-100.0 * unsigned)
    same(stored, HU.clip(-100, 120), Reading())


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("code", ["LPS", "RAS", "PIR"])
def test_files_of_another_writer(tmp_path, suffix, code):
    image = sitk.GetImageFromArray(HU)
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin((-11, -22, -33))
    sitk.WriteImage(sitk.DICOMOrient(image, code), tmp_path / f"ct{suffix}")
    same(tmp_path / f"ct{suffix}")


def test_compression_is_known_by_content(tmp_path):
    """A file that was renamed, and one that was unpacked and kept its name."""
    nifti(tmp_path / "a.nii.gz").rename(tmp_path / "a.nii")
    nifti(tmp_path / "b.nii").rename(tmp_path / "b.nii.gz")
    same(tmp_path / "a.nii")
    same(tmp_path / "b.nii.gz")


def test_qform_alone_and_beside_an_equal_sform(tmp_path):
    about_z = ((0, 0, 1), (11, 22, -33))  # a half turn: x and y reversed
    same(nifti(tmp_path / "q.nii", sform=None, qform=about_z))
    same(nifti(tmp_path / "both.nii", qform=about_z))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"qform": ((0, 0, 1), (11, 22, -30.0))}, r"lie 3.0 mm apart .*22 x -30 mm and at 11 x 22 x -33 mm"),
        ({"qform": ((0, 0, 0), (11, 22, -33.0))}, "qform and sform lie .* mm apart"),
        ({"pixdim": (1, 1, 1, 1, 0, 0, 0, 0)}, "1 x 1 x 1 mm by its pixel sizes, of 0.7 x 0.8 x 2.5 mm by its sform"),
        ({"sform": np.zeros((3, 4))}, "its sform is no geometry"),
        ({"sform": RAS + 0.1 * np.eye(3, 4, 1) * [1, 1, 0, 0]}, "not at right angles"),
        ({"slope": 0, "intercept": -1024}, "slope 0 and intercept -1024: .* -1000 is -2024"),
        ({"dim": (4, 24, 20, 4, 2, 1, 1, 1)}, "24 x 20 x 4 x 2 with 1 values a voxel is not 3D"),
        ({"dim": (3, 24, 20, 32000, 1, 1, 1, 1)}, "not readable: truncated"),
        ({"dim": (3, 32000, 32000, 32000, 1, 1, 1, 1)}, "header claims 61035.2 GiB, over the 1 GiB"),
        ({"dim": (3, -24, 20, 8, 1, 1, 1, 1)}, "not readable"),
    ],
)
def test_headers_that_contradict_themselves_refuse(tmp_path, own, message):
    fails(message, read_volume, nifti(tmp_path / "ct.nii", **own))


def test_an_sform_that_is_rounded_is_good_enough(tmp_path):
    rounded = RAS + np.array([[0, 8e-4, 0, 0], [0, 0, 2e-3, 0], [0] * 4])
    reading = Reading()
    same(nifti(tmp_path / "ct.nii", sform=rounded), reading=reading)
    assert any("off right angles" in line for line in reading.assumed)


def test_a_header_that_tells_nothing_is_said(tmp_path):
    reading = Reading()
    read_volume(nifti(tmp_path / "ct.nii", sform=None, units=0), reading=reading)
    assert [line.split(":")[0] for line in reading.assumed] == [
        "the header names no unit of length",
        "the header tells no orientation (qform and sform 0)",
    ]


def test_units_of_length(tmp_path):
    metres = RAS / 1000
    same(nifti(tmp_path / "ct.nii", sform=metres, units=1, pixdim=(1, 7e-4, 8e-4, 2.5e-3, 0, 0, 0, 0)))


def test_a_lost_geometry_is_doubtful(tmp_path):
    """Identity in every file: voxels of 1 mm at the origin (in RAS as a script leaves it, in LPS as ITK does)."""
    plain = sitk.GetImageFromArray(HU)
    sitk.WriteImage(plain, tmp_path / "itk.nrrd")
    nifti(tmp_path / "script.nii", sform=np.eye(4)[:3], pixdim=(1, 1, 1, 1, 0, 0, 0, 0))
    for name in ("itk.nrrd", "script.nii"):
        reading = Reading()
        read_volume(tmp_path / name, reading=reading)
        assert ["lost its geometry" in line for line in reading.doubts] == [True]


# ---- formats that NIfTI's rules do not reach


NRRD = "NRRD0004\ntype: int16\ndimension: 3\nsizes: 24 20 8\nendian: little\nencoding: raw\n"
META = "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
SPACE = "space: left-posterior-superior\n"
AXES = "space directions: (0.7,0,0) (0,0.8,0) (0,0,2.5)\nspace origin: (-11,-22,-33)\n"
MATRIX = "TransformMatrix = 1 0 0 0 1 0 0 0 1\n"
OFFSET = "Offset = -11 -22 -33\n"


def plain(folder, told: str):
    """An NRRD or MetaImage file whose header says `told` of its geometry."""
    nrrd = "space" in told or "spacings" in told
    end = "\n" if nrrd else "DimSize = 24 20 8\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    file = folder / ("ct.nrrd" if nrrd else "ct.mha")
    file.write_bytes(((NRRD if nrrd else META) + told + end).encode() + HU.tobytes())
    return file


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (SPACE + AXES.replace("(0,0,2.5)", "(0.9,0,2.3)"), "its axes are not at right angles"),
        ("ElementSpacing = 0.7 0.8 2.5\nTransformMatrix = 1 0 0 0 1 0 0.34 0 0.94\n" + OFFSET, "not at right angles"),
        ("ElementSpacing = 0.7 0.8 2.5\nTransformMatrix = 2 0 0 0 2 0 0 0 2\n" + OFFSET,
         "voxels of 0.7 x 0.8 x 2.5 mm by its spacing, of 1.4 x 1.6 x 5 mm by its axes"),
        (MATRIX + OFFSET, "tells no size of a voxel"),
        ("space dimension: 3\nspace origin: (1,2,3)\n", "tells no size of a voxel"),
        (SPACE + 'space units: "cm" "cm" "cm"\n' + AXES, "in another unit than mm"),
        (MATRIX + OFFSET + "ElementSpacing = 0.7 0.8 2.5\nDistanceUnits = um\n", "in another unit than mm"),
    ],
)  # fmt: skip
def test_other_formats_keep_the_same_rules(tmp_path, told, message):
    fails(message, read_volume, plain(tmp_path, told))


@pytest.mark.parametrize(
    ("told", "assumed"),
    [
        (SPACE + 'space units: "mm" "mm" "mm"\n' + AXES, []),
        (MATRIX + OFFSET + "ElementSpacing = 0.7 0.8 2.5\n", []),
        ("space dimension: 3\n" + AXES, ["does not tie its axes"]),
        ("space: scanner-xyz\n" + AXES, ["does not tie its axes"]),
        (SPACE + AXES.splitlines()[0] + "\n", ["tells no place of the first voxel"]),
        ("spacings: 0.7 0.8 2.5\n", ["tells no orientation", "tells no place of the first voxel"]),
        ("ElementSpacing = 0.7 0.8 2.5\n" + OFFSET, ["tells no orientation"]),
    ],
)
def test_what_other_formats_leave_open_is_said(tmp_path, told, assumed):
    reading = Reading()
    image = read_volume(plain(tmp_path, told), reading=reading)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), HU)
    assert image.GetSpacing() == pytest.approx(SPACING[::-1])
    assert len(reading.assumed) == len(assumed)
    assert all(part in line for part, line in zip(assumed, reading.assumed, strict=True))
    assert not reading.doubts


@pytest.mark.parametrize("suffix", ["tif", "vtk", "gipl", "mrc"])
def test_formats_that_do_not_tell_how_voxels_lie_refuse(tmp_path, suffix):
    sitk.WriteImage(sitk.GetImageFromArray(HU), tmp_path / f"ct.{suffix}")
    fails("its format does not tell how voxels lie", read_volume, tmp_path / f"ct.{suffix}")


@pytest.mark.parametrize("end", ["hdr", "img"])
def test_a_nifti_of_two_files_keeps_the_rules_of_one(tmp_path, end):
    image = sitk.GetImageFromArray(HU)
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin((-11, -22, -33))
    sitk.WriteImage(image, tmp_path / "ct.img")
    same(tmp_path / f"ct.{end}")
    head = bytearray((tmp_path / "ct.hdr").read_bytes())
    at = {"qoffset": 268, "magic": 344}
    (tmp_path / "ct.hdr").write_bytes(head[: at["qoffset"]] + struct.pack("<3f", 11, 22, -30) + head[280:])
    fails("qform and sform lie 3.0 mm apart", read_volume, tmp_path / f"ct.{end}")
    (tmp_path / "ct.hdr").write_bytes(head[: at["magic"]] + bytes(4))
    fails("an Analyze file does not tell which side is left", read_volume, tmp_path / f"ct.{end}")
    (tmp_path / ("ct.hdr" if end == "img" else "ct.img")).unlink()
    fails("two files, .hdr and .img, of one name; one of them is missing", read_volume, tmp_path / f"ct.{end}")


def test_a_nifti_that_tells_no_size_of_a_voxel_refuses(tmp_path):
    empty = nifti(tmp_path / "ct.nii", sform=None, pixdim=(1, 0, 0, 0, 0, 0, 0, 0))
    fails("tells no size of a voxel", read_volume, empty)


def test_a_small_file_that_unpacks_to_much_is_read_no_further_than_its_header_says(tmp_path, monkeypatch):
    whole = gzip.decompress(nifti(tmp_path / "ct.nii.gz").read_bytes())
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(whole + bytes(2**26), 1))
    asked = []
    read = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, size=-1: asked.append(size) or read(self, size))
    same(tmp_path / "bomb.nii.gz")
    assert 0 <= min(asked) <= max(asked) <= HU.nbytes
    assert LARGEST == 2**30


def test_native_libraries_say_nothing(tmp_path, capfd):
    sitk.WriteImage(sitk.GetImageFromArray(HU), tmp_path / "ct.mha")
    whole = (tmp_path / "ct.mha").read_bytes()
    for end in (len(whole) // 2, 100, 3):
        (tmp_path / "ct.mha").write_bytes(whole[:end])
        fails("not readable: truncated", read_volume, tmp_path / "ct.mha")
    assert capfd.readouterr() == ("", "")
