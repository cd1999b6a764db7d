"""DICOM images one frame at a time: where a frame lies, how it was made, and its Hounsfield units.

A slice of a series is a file with one frame; multi-frame CT keeps what differs between frames in functional groups
(DICOM PS3.3, C.7.6.16).  Headers are pydicom's; what is compressed is decoded by SimpleITK.
"""

import io
import os
import struct
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
)

from ..base.errors import InputError
from ..scans.study import PADDING
from .reading import DAMAGED, LARGEST, Reading, Source, check_bytes, silence, sitk

TISSUE = (-900.0, 3000.0)  # HU between which a padding value may be tissue
NO_AGENT = ("NO", "NONE", "WITHOUT", "UNENHANCED")
PIXELS = (0x7FE0, 0x0010)
UNDEFINED = 0xFFFFFFFF  # length of what is compressed


class _Content(io.BufferedReader):
    """A file of which no more is read than it holds: pydicom asks for as many bytes as a damaged header claims, and
    Python sets aside memory for all of them."""

    def __init__(self, file: Path | str, mode: str = "rb"):
        super().__init__(io.FileIO(str(file)))
        self.end = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size if size is None or size < 4096 else max(min(size, self.end - self.tell()), 0))


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a DICOM file."""

    file: Path
    index: int  # of the frame in its file
    shape: tuple[int, int]  # rows, columns
    position: np.ndarray | None  # (3,) mm, of the first pixel
    axes: np.ndarray | None  # (2, 3) unit vectors along a row and along a column
    spacing: np.ndarray | None  # (2,) mm between rows, between columns
    thickness: float | None  # mm between slices or of one, as the header says
    between: float | None  # mm between slices, as the header says; some write the gap from one to the next
    location: float | None  # mm along some axis, from somewhere
    number: int | None  # of the picture in its series, or of the frame in its stack
    counted: int | None  # pictures of its acquisition, as the header says
    rescale: tuple[float, float] | None  # slope, intercept
    unit: str  # of the rescaled values, by the header
    padding: tuple[int, int] | None  # stored values, ends included
    tilt: float  # degrees, of the gantry
    tags: dict[str, str]  # by which frames are sorted; never shown
    source: Source


def read_header(file: Path) -> Dataset:
    """The header; large values are left in the file, and a file that ends early raises `EOFError`."""
    deflated = _check_deflated(file)
    header = _dataset(file, None if deflated else 4096)
    if "Rows" in header:
        pixels = header.get_item(PIXELS) if PIXELS in header else None
        if pixels is None:
            raise EOFError
        if isinstance(pixels, RawDataElement) and pixels.length != UNDEFINED:
            there = file.stat().st_size - pixels.value_tell if pixels.value is None else len(pixels.value)
            if there < pixels.length:
                raise EOFError
    return header


def frames_of(file: Path, header: Dataset) -> list[Frame]:
    """The frames of one file, in its order."""
    n, placed = int(header.get("NumberOfFrames") or 1), len(header.get("PerFrameFunctionalGroupsSequence") or ())
    if n > 1 and n != placed:
        raise InputError(f"{n} frames, and the header places {placed}; export it as enhanced CT or slices")
    return [_frame(file, header, i) for i in range(n)]


def stored_values(file: Path) -> tuple[Dataset, np.ndarray]:
    """(frames, rows, columns) as stored, before any rescaling, of whatever type and compression.

    Bits that hold no pixel (old overlays) are cleared.  Raises `EOFError` where pixels are missing.
    """
    _check_deflated(file)
    header = _dataset(file)
    shape = (int(header.get("NumberOfFrames") or 1), int(header.Rows), int(header.Columns))
    bits, signed = int(header.BitsAllocated), bool(header.get("PixelRepresentation", 0))
    check_bytes(int(np.prod(shape, dtype=float)), bits / 8)
    if header.get("SamplesPerPixel", 1) != 1:
        raise InputError("a picture in colour, no Hounsfield units; leave it out")
    syntax = header.file_meta.get("TransferSyntaxUID") if "file_meta" in header.__dict__ else None
    if syntax is not None and syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
        return header, _decoded(header, shape)
    raw, voxels = header.PixelData, int(np.prod(shape))
    if len(raw) < voxels * bits // 8:
        raise EOFError
    if bits == 1:
        return header, np.unpackbits(np.frombuffer(raw, np.uint8), count=voxels, bitorder="little").reshape(shape)
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    values = np.frombuffer(raw, f"{order}u{bits // 8}", voxels).astype(f"u{bits // 8}").reshape(shape)
    used = int(header.get("BitsStored") or bits)
    values = values >> max(int(header.get("HighBit", used - 1)) + 1 - used, 0)
    if used < bits:
        values = values & values.dtype.type((1 << used) - 1)
    if signed:
        spare = values.dtype.type(bits - used)  # to the top and back again carries the sign
        values = (values << spare).view(f"i{bits // 8}") >> np.array(spare).astype(f"i{bits // 8}")
    return header, values


def hounsfield(frame: Frame, reading: Reading) -> np.ndarray:
    """(rows, columns) int16 HU: rescaled as this frame's header says, padding at -1024.

    MONOCHROME1 tells how to show a picture, not what its values are (DICOM PS3.3, C.7.6.3.1.2).
    """
    header, values = kept_values(frame.file)
    stored = values[frame.index]
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        reading.assume("MONOCHROME1, a picture to be shown inverted: its values are taken as they are stored")
    slope, intercept = frame.rescale or (1.0, 0.0)
    if frame.rescale is None:
        reading.assume("no rescale in the header: stored values are taken as Hounsfield units")
    if not slope or not np.isfinite([slope, intercept]).all():
        raise InputError(f"rescale slope {slope:g} with intercept {intercept:g}: no value can be read so")
    hu = stored * np.float32(slope) + np.float32(intercept)
    if frame.padding:
        modulus = 1 << int(header.BitsAllocated)
        first, last = (p % modulus for p in frame.padding)  # written signed beside unsigned data, or the reverse
        pad = (stored.astype(np.int64) % modulus >= first) & (stored.astype(np.int64) % modulus <= last)
        signed = bool(header.get("PixelRepresentation", 0))
        as_stored = np.array(frame.padding) if signed else np.array([first, last])
        low, high = slope * as_stored + intercept
        if max(low, TISSUE[0]) <= min(high, TISSUE[1]):
            if pad.any():
                reading.assume(f"the padding value is {low:g} HU, which tissue has, too: taken as tissue")
        else:
            hu[pad] = PADDING
    return np.rint(hu).clip(PADDING, np.iinfo(np.int16).max).astype(np.int16)


@lru_cache(maxsize=1)
def kept_values(file: Path) -> tuple[Dataset, np.ndarray]:
    """`stored_values` of the file that was read last: one of many frames is decoded once.  Call `forget` afterwards."""
    return stored_values(file)


def forget() -> None:
    """Give the last file's memory back."""
    kept_values.cache_clear()


def _dataset(file: Path, defer_size: int | None = None) -> Dataset:
    with _Content(file) as content:
        made = dcmread(content, defer_size=defer_size, force=True)
    made.fileobj_type = _Content  # for what is deferred
    return made


def _check_deflated(file: Path) -> bool:
    """Whether a file is deflated.  It grows up to 1032 times, and pydicom inflates all of it: too much is refused."""
    with _Content(file) as content:
        if content.read(132)[128:] != b"DICM":  # a bare data set has no such information
            return False
        try:
            information = read_dataset(content, False, True, stop_when=lambda tag, *_: tag.group != 2)
            deflated = information.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
        except DAMAGED:
            return False
    if deflated and file.stat().st_size * 1032 > LARGEST:
        raise InputError(f"a deflated DICOM file over {LARGEST // 1032} bytes; export it uncompressed")
    return deflated


def _decoded(header: Dataset, shape: tuple[int, int, int]) -> np.ndarray:
    """Compressed pixels through SimpleITK, which gets the picture alone: no name, no rescale, no other guess of its."""
    _check_fragments(header.PixelData)
    bare = Dataset()
    for name in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"):
        bare[name] = header[name]
    bare.SamplesPerPixel, bare.PhotometricInterpretation = 1, "MONOCHROME2"
    bare.SOPClassUID, bare.SOPInstanceUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage, "2.25.1"
    bare.NumberOfFrames, bare.Modality = shape[0], "OT"
    bare.file_meta = Dataset()
    bare.file_meta.TransferSyntaxUID = header.file_meta.TransferSyntaxUID
    bare.file_meta.MediaStorageSOPClassUID = bare.SOPClassUID
    bare.file_meta.MediaStorageSOPInstanceUID = bare.SOPInstanceUID
    with tempfile.TemporaryDirectory() as scratch, silence():
        bare.save_as(Path(scratch) / "frames.dcm", enforce_file_format=True)
        values = sitk.GetArrayFromImage(sitk.ReadImage(Path(scratch) / "frames.dcm"))
    if values.size != np.prod(shape):
        raise EOFError
    return values.reshape(shape)


def _check_fragments(encapsulated: bytes) -> None:
    """Compressed pixels are items of a tag and a length each (DICOM PS3.5, A.4); GDCM takes any length at its word."""
    at = 0
    while at < len(encapsulated):
        tag, length = struct.unpack_from("<4sI", encapsulated, at)
        at += 8 + length
        if tag[:2] != b"\xfe\xff" or at > len(encapsulated):
            raise EOFError


def _frame(file: Path, header: Dataset, index: int) -> Frame:
    groups = [header[name][i] for name, i in (("PerFrameFunctionalGroupsSequence", index),
              ("SharedFunctionalGroupsSequence", 0)) if name in header]  # fmt: skip

    def value(name: str):
        for group in groups:
            for item in group:
                if item.VR == "SQ" and item.value and (found := item.value[0].get(name)) not in (None, ""):
                    return found
        return header.get(name)

    def numbers(name: str, n: int) -> np.ndarray | None:
        found = value(name)
        given = np.array(found if n > 1 else [found], dtype=float) if found not in (None, "") else np.array([])
        return given if given.shape == (n,) and np.isfinite(given).all() else None

    def number(name: str) -> float | None:
        found = numbers(name, 1)
        return None if found is None else float(found[0])

    def whole(name: str) -> int | None:
        found = number(name)
        return int(found) if found is not None and found == int(found) else None

    axes, spacing = numbers("ImageOrientationPatient", 6), numbers("PixelSpacing", 2)
    if axes is not None and np.abs(axes.reshape(2, 3) @ axes.reshape(2, 3).T - np.eye(2)).max() > 0.01:
        axes = None  # zeros, or no right angle
    slope, intercept = number("RescaleSlope"), number("RescaleIntercept")
    padding = number("PixelPaddingValue")
    limit = number("PixelPaddingRangeLimit") if padding is not None else None
    kind = value("FrameType") or header.get("ImageType") or ""
    time = str(value("FrameAcquisitionDateTime") or value("AcquisitionDateTime") or "")[8:] or value("AcquisitionTime")
    tags = {
        "series": header.get("SeriesInstanceUID"),
        "frame of reference": value("FrameOfReferenceUID"),
        "acquisition": value("FrameAcquisitionNumber") or value("AcquisitionNumber"),
        "temporal position": value("TemporalPositionIndex") or value("TemporalPositionIdentifier"),
        "cardiac phase": value("NominalPercentageOfCardiacPhase"),
        "reconstruction kernel": value("ConvolutionKernel"),
        "image type": kind,
        "slice thickness": number("SliceThickness"),
        "tube voltage": number("KVP"),
        "contrast agent": header.get("ContrastBolusAgent"),
        "description": header.get("SeriesDescription"),
        "acquisition time": time,
        "acquisition date": header.get("AcquisitionDate"),
    }
    tags = {name: str(text if text is not None else "").strip() for name, text in tags.items()}
    agent = str(header.get("ContrastBolusAgent") or "").strip().upper()
    identity = [header.get(n) for n in ("PatientID", "StudyInstanceUID")]
    return Frame(
        file=file,
        index=index,
        shape=(int(header.Rows), int(header.Columns)),
        position=numbers("ImagePositionPatient", 3),
        axes=None if axes is None else axes.reshape(2, 3),
        spacing=spacing if spacing is not None and (spacing > 0).all() else None,
        thickness=number("SpacingBetweenSlices") or number("SliceThickness"),
        between=None if _is_of_itk(header) and number("SpacingBetweenSlices") == 1 else number("SpacingBetweenSlices"),
        location=number("SliceLocation"),
        number=whole("InStackPositionNumber" if groups else "InstanceNumber"),
        counted=whole("ImagesInAcquisition"),
        rescale=None if slope is None and intercept is None else (1.0 if slope is None else slope, intercept or 0.0),
        unit=str(value("RescaleType") or "").strip().upper(),
        padding=None if padding is None else tuple(sorted((int(padding), int(padding if limit is None else limit)))),
        tilt=number("GantryDetectorTilt") or 0.0,
        tags=tags,
        source=Source(
            *(str(text or "").strip() for text in identity),
            frame_of_reference=tags["frame of reference"],
            series=tags["series"],
            acquisition=tags["acquisition"],
            seconds=_seconds(tags["acquisition time"]),
            date=str(header.get("AcquisitionDate") or header.get("StudyDate") or ""),
            words=" ".join(str(header.get(name) or "") for name in ("SeriesDescription", "ProtocolName")).strip(),
            contrast=agent not in NO_AGENT if agent else None,
            pictures=frozenset(filter(None, [str(header.get("SOPInstanceUID") or "")])),
        ),
    )


def _is_of_itk(header: Dataset) -> bool:
    """Whether ITK wrote a file, through GDCM: of a picture that it holds in 2D it writes a distance of 1 mm."""
    information = header.file_meta if "file_meta" in header.__dict__ else {}
    return str(information.get("ImplementationVersionName") or "").startswith("GDCM")


def _seconds(time: str) -> float | None:
    """HHMMSS.FFFFFF as seconds since midnight."""
    digits = time.replace(":", "").split(".")[0]
    if len(digits) < 6 or not digits[:6].isdecimal():
        return None
    return int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:6])
