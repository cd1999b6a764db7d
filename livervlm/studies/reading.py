"""What reading took for granted: the lines that an importer shows beside what it read."""

import logging
import os
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..base.errors import InputError

try:
    import pydicom
    import SimpleITK as sitk
    from pydicom.errors import BytesLengthException
except ImportError as error:
    raise InputError("reading studies needs SimpleITK and pydicom: pip install 'livervlm[studies]'") from error

# What parsing a damaged file raises, in pydicom and here.
DAMAGED = (
    *(EOFError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, NotImplementedError),
    *(zlib.error, struct.error, BytesLengthException),
)
LARGEST = 2**30  # bytes of one volume as stored: 512 x 512 x 2048 of 16 bits


@dataclass(frozen=True)
class Source:
    """What a scan's DICOM header and name say of it; "" where they do not.  For comparing, never for showing.

    words: SeriesDescription and ProtocolName.  contrast: whether a contrast agent is named.  name: of its file or
    folder.  pictures: SOPInstanceUIDs.  Of a mask, series and pictures are those on which it was drawn.
    """

    patient: str = ""
    study: str = ""
    frame_of_reference: str = ""
    series: str = ""
    acquisition: str = ""
    seconds: float | None = None  # since midnight, of its first slice
    date: str = ""
    words: str = ""
    contrast: bool | None = None
    name: str = ""
    pictures: frozenset[str] = frozenset()


@dataclass(eq=False)
class Reading:
    """The report of one reading.  Its lines hold no path and no text of a header that a person wrote.

    assumed: what the file leaves open and how it was taken.  left_out: what was there and is no part of it.
    doubts: what may make the content wrong; `import_studies` leaves out a row that has one.
    """

    assumed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    source: Source = Source()
    shown: bool = False  # doubts as Python warnings, where nobody asked for the report

    def assume(self, line: str) -> None:
        if line not in self.assumed:
            self.assumed.append(line)

    def leave_out(self, line: str) -> None:
        self.left_out.append(line)

    def doubt(self, line: str) -> None:
        self.doubts.append(line)
        if self.shown:
            warnings.warn(line, stacklevel=2)

    def add(self, other: "Reading", what: str) -> None:
        """Take over the lines of a part, each after `what` it is."""
        before = f"{what}: " if what else ""
        self.assumed += [before + line for line in other.assumed]
        self.left_out += [before + line for line in other.left_out]
        for line in other.doubts:
            self.doubt(before + line)

    def lines(self) -> list[str]:
        """All of it, as text."""
        parts = (("doubt", self.doubts), ("assumed", self.assumed), ("left out", self.left_out))
        return [f"{name}: {line}" for name, of in parts for line in of]


def told(reading: Reading | None) -> Reading:
    """The report that was asked for, else one that warns of its doubts."""
    return Reading(shown=True) if reading is None else reading


def check_bytes(voxels: int, each: float) -> None:
    """Refuse by the header, before anything is read, what no scan needs and no memory holds."""
    if not 0 <= voxels * each <= LARGEST:
        raise InputError(
            f"its header claims {voxels * each / 2**30:.1f} GiB, over the {LARGEST / 2**30:.0f} GiB of the "
            "largest volume; it is damaged, or crop it to the abdomen"
        )


@contextmanager
def one_line(path: str | Path) -> Iterator[None]:
    """Keep the libraries `quiet` and make errors a line that names `path`.

    What is raised within names no file: one in a folder may be called after the patient.  A library's error is not
    chained, as it may quote the header.
    """
    try:
        with quiet():
            yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except PermissionError:
        raise InputError(f"{path}: no permission to read it") from None
    except MemoryError:
        raise InputError(f"{path}: does not fit into memory; crop it to the abdomen") from None
    except (OSError, *DAMAGED):
        raise InputError(
            f"{path}: not readable: truncated, damaged, or no NIfTI or DICOM volume; copy or export it again"
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' warnings, which quote the header, off the terminal."""
    shown, log = sitk.ProcessObject.GetGlobalWarningDisplay(), logging.getLogger("pydicom")
    level, checks = log.level, pydicom.config.settings.reading_validation_mode
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    log.setLevel(logging.CRITICAL + 1)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pydicom")
            yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
        log.setLevel(level)
        pydicom.config.settings.reading_validation_mode = checks


@contextmanager
def silence() -> Iterator[None]:
    """What native code writes to standard error by itself goes nowhere: ITK's MetaImage names files there."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
