"""Files as scanners, archives and anonymizers leave them, written with pydicom: another way than the package's own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="pydicom (the extra `studies`) is not installed")
pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402  after the skip
from pydicom.sequence import Sequence  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, generate_uid  # noqa: E402

from livervlm.base.errors import InputError  # noqa: E402

CT, ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"
SPACING = (2.5, 0.8, 0.7)  # mm along Z, Y, X
SHAPE = (8, 20, 24)


def hounsfield(shape=SHAPE) -> np.ndarray:
    """(Z, Y, X) int16 of air, tissue and a slope along every axis."""
    z, y, x = np.indices(shape)
    hu = 40 + 3 * z + 2 * y + x + np.random.default_rng(5).integers(-9, 9, shape)
    hu[:, :, :3] = -1000
    return hu.astype(np.int16)


def header(sop_class: str = CT, **tags) -> Dataset:
    """A CT picture of nobody, without pixels; a tag given as None is left out."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = sop_class, generate_uid()
    made.Modality, made.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.StudyInstanceUID = made.SeriesInstanceUID = made.FrameOfReferenceUID = "1.2.3"
    made.PatientID = made.PatientName = ""
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.RescaleSlope, made.RescaleIntercept = 1, -1024
    made.PixelRepresentation = 0
    edit(made, **tags)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.get("SOPClassUID", sop_class)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def edit(made: Dataset, **tags) -> None:
    for name, value in tags.items():
        if value is not None:
            setattr(made, name, value)
        elif name in made:
            delattr(made, name)


def with_pixels(made: Dataset, stored: np.ndarray) -> Dataset:
    """stored: (Y, X), or (frames, Y, X), of the type that the header says."""
    made.Rows, made.Columns = stored.shape[-2:]
    made.BitsAllocated = made.BitsStored = 8 * stored.dtype.itemsize
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(stored.dtype.kind == "i")
    made.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
    made["PixelData"].VR = "OW"
    return made


def write(made: Dataset, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(file, enforce_file_format=True)
    return file


def slice_file(file: Path, hu: np.ndarray, z: float, **tags) -> Path:
    """One slice, (Y, X) HU, stored unsigned with an intercept of -1024."""
    place = {"ImagePositionPatient": [-5.0, -7.0, z], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    place |= {"PixelSpacing": list(SPACING[1:]), "SliceThickness": SPACING[0]}
    return write(with_pixels(header(**place | tags), (hu + 1024).astype(np.uint16)), file)


def series(folder: Path, hu: np.ndarray, each: Callable[[int], dict] = lambda i: {}, **tags) -> list[Path]:
    """A series of (Z, Y, X) HU from the feet up; `each` gives tags of its own to slice i."""
    own = [{"SeriesInstanceUID": "1.2.3.4", "AcquisitionNumber": 1, **tags, **each(i)} for i in range(len(hu))]
    return [slice_file(folder / f"IM{i:04d}.dcm", one, **{"z": SPACING[0] * i, **own[i]}) for i, one in enumerate(hu)]


def multi_frame(file: Path, stored: np.ndarray, order, each: Callable[[int], dict] = lambda i: {}, **tags) -> Path:
    """Enhanced CT: frames of (Z, Y, X) stored values in any order, functional groups for each."""
    made = with_pixels(header(ENHANCED_CT, RescaleSlope=None, RescaleIntercept=None, **tags), stored[list(order)])
    made.NumberOfFrames = len(stored)
    shared = Dataset()
    shared.PixelMeasuresSequence = _item(PixelSpacing=list(SPACING[1:]), SliceThickness=SPACING[0])
    shared.PlaneOrientationSequence = _item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for i in order:
        own = {"position": SPACING[0] * i, "slope": 1, "intercept": -1024, "acquisition": 1, **each(i)}
        group = Dataset()
        group.PlanePositionSequence = _item(ImagePositionPatient=[-5.0, -7.0, own["position"]])
        group.PixelValueTransformationSequence = _item(
            RescaleSlope=own["slope"], RescaleIntercept=own["intercept"], RescaleType=own.get("unit")
        )
        group.FrameContentSequence = _item(
            FrameAcquisitionNumber=own["acquisition"], FrameAcquisitionDateTime=own.get("time")
        )
        group.CTReconstructionSequence = _item(ConvolutionKernel=own.get("kernel"))
        groups.append(group)
    made.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return write(made, file)


def _item(**tags) -> Sequence:
    made = Dataset()
    edit(made, **tags)
    return Sequence([made])


def fails(words: str, call, *args, **kwargs) -> str:
    """The call raises one line that says `words`."""
    with pytest.raises(InputError, match=words) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None  # the library's error may quote the header
    return str(caught.value)
