"""What happens to files: bits flip, ends are missing, bytes come in between, fields hold what no writer meant."""

import csv
import gzip
import io
import json
import re
import struct
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pydicom
from pydicom.dataelem import DataElement

from livervlm.studies.nifti import FIELDS, LENGTHS

HEAD = 1500  # bytes, in which most of a header lies
NUMBERS = (
    0,
    1,
    -1,
    2,
    7,
    255,
    32767,
    65535,
    2**31 - 1,
    -(2**31),
    2**40,
    2**70,
    1e-30,
    1e30,
    1e308,
    float("nan"),
    float("inf"),
)
TEXTS = (
    "",
    " ",
    "x" * 5000,
    "0",
    "-1",
    "nan",
    "inf",
    "1e308",
    "99999999999999999999",
    "\\",
    "\0",
    "é☃",
    "../../..",
    "1\\2",
    "Meier Anna",
)
NESTED = "[" * 100_000


def bits(content: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, 9) if changed else 0):
        changed[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut(content: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    return content[: _place(content, rng)] if rng.random() < 0.8 else content[: -int(rng.integers(1, 9))]


def inserted(content: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    at = _place(content, rng)
    return content[:at] + rng.bytes(int(rng.integers(1, 65))) + content[at:]


def zeros(content: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    at, n = _place(content, rng), int(2 ** rng.integers(1, 12))
    return content[:at] + bytes(len(content[at : at + n])) + content[at + n :]


def swapped(content: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    """Another file altogether, or its second half."""
    return other if rng.random() < 0.6 else content[: len(content) // 2] + other[len(other) // 2 :]


def extreme(content: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    """A field of the header with a value that no writer meant, in a file that is otherwise whole."""
    if content[:2] == b"\x1f\x8b":
        return gzip.compress(extreme(gzip.decompress(content), rng, other), 1)
    if content[128:132] == b"DICM":
        return _dicom(content, rng)
    if struct.unpack("<i", content[:4])[0] in LENGTHS:
        return _nifti(content, rng)
    if content.startswith((b"NRRD", b"ObjectType")):
        return _lines(content, rng)
    if content[:1] == b"{":
        return _json(json.loads(content), rng).encode()
    if content[8:9] == b"{":
        length = int.from_bytes(content[:8], "little")
        return _safetensors(json.loads(content[8 : 8 + length]), content[8 + length :], rng)
    return _table(content, rng)


DAMAGES: dict[str, Callable] = {
    "bits flipped": bits,
    "cut short": cut,
    "bytes inserted": inserted,
    "zeroed": zeros,
    "swapped": swapped,
    "extreme field": extreme,
}


def _place(content: bytes, rng: np.random.Generator) -> int:
    """Mostly in the header."""
    return int(rng.integers(max(min(len(content), HEAD) if rng.random() < 0.7 else len(content), 1)))


def _one(values, rng: np.random.Generator):
    return values[int(rng.integers(len(values)))]


def _dicom(content: bytes, rng: np.random.Generator) -> bytes:
    """Another value, or none, of an element on which the picture hangs; names are left as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = pydicom.dcmread(io.BytesIO(content))
        held = [(made.file_meta, one) for one in made.file_meta] + [*_elements(made)]
        held = [(of, one) for of, one in held if one.tag.group in (2, 0x20, 0x28, 0x18, 0x3006, 0x5200, 0x62, 0x7FE0)
                or one.keyword in ("SOPClassUID", "Modality", "ImageType", "SpecificCharacterSet")]  # fmt: skip
        for _ in range(20):
            of, element = _one(held, rng)
            try:
                if rng.random() < 0.15:
                    del of[element.tag]
                else:
                    of[element.tag] = DataElement(element.tag, element.VR, _value(element, rng), validation_mode=0)
                written = io.BytesIO()
                made.save_as(written)
                return written.getvalue()
            except Exception:  # what the writer itself refuses
                made = pydicom.dcmread(io.BytesIO(content))
                held = [*_elements(made)]
    return content[: len(content) // 2]


def _value(element: DataElement, rng: np.random.Generator):
    if element.VR == "SQ":
        return [] if rng.random() < 0.5 else [*element.value] * int(rng.integers(2, 4))
    if element.VR in ("OW", "OB", "OB or OW"):
        return bytes(2 * int(rng.integers(0, 200)))
    values = NUMBERS if element.VR in ("US", "SS", "UL", "SL", "FL", "FD", "US or SS") else (*TEXTS, *map(str, NUMBERS))
    several = element.VM if element.VM > 1 and rng.random() < 0.7 else 1
    if several == 1:
        return _one(values, rng)
    changed = [*element.value]
    changed[int(rng.integers(several))] = _one(values, rng)
    return changed


def _elements(dataset: pydicom.Dataset) -> Iterator[tuple[pydicom.Dataset, DataElement]]:
    for element in dataset:
        yield dataset, element
        for item in element.value if element.VR == "SQ" else ():
            yield from _elements(item)


def _nifti(content: bytes, rng: np.random.Generator) -> bytes:
    changed, version = bytearray(content), LENGTHS[struct.unpack("<i", content[:4])[0]]
    at, form = FIELDS[version][_one([*FIELDS[version]], rng)]
    count, kind = int(form[:-1] or 1), form[-1]
    at += int(rng.integers(count)) * struct.calcsize(kind)
    for _ in range(50):
        try:
            struct.pack_into(f"<{kind}", changed, at, _one(NUMBERS, rng))
            break
        except (struct.error, OverflowError):  # a number that the field cannot hold
            continue
    return bytes(changed)


def _lines(content: bytes, rng: np.random.Generator) -> bytes:
    """A number in a header of text, or a whole line of it."""
    end = min(len(content), 600)
    head = content[:end].decode("latin-1")
    found = [*re.finditer(r"-?\d+(\.\d+)?(e-?\d+)?", head)] if rng.random() < 0.8 else [*re.finditer(r".+", head)]
    one = _one(found[: max(len(found) // 2, 1)], rng)
    value = _one((*TEXTS, *map(str, NUMBERS)), rng)
    return (head[: one.start()] + value + head[one.end() :]).encode("utf-8", "replace") + content[end:]


def _table(content: bytes, rng: np.random.Generator) -> bytes:
    rows = [*csv.reader(io.StringIO(content.decode("utf-8-sig")))]
    row, columns = _one(rows, rng), len(rows[0])
    values = (*TEXTS, *map(str, NUMBERS), "Meier^Anna_19500229", "0:1,0:1,0:1", "each", "2;3", '"', "x" * 200_000)
    row[int(rng.integers(columns))] = _one((*values, _one(row, rng)), rng)
    if rng.random() < 0.2:
        row.insert(int(rng.integers(columns)), "Meier, Anna")  # the rest stands a column further
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()


def _json(tree, rng: np.random.Generator) -> str:
    places = [*_places(tree)]
    of, key = _one(places, rng)
    values = (*NUMBERS, *TEXTS[:-1], None, True, [], {}, [1, 2, 3], ["x"] * 1000, NESTED)
    of[key] = _one(values, rng)
    return json.dumps(tree).replace(f'"{NESTED}"', NESTED)


def _places(tree) -> Iterator[tuple]:
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _safetensors(header: dict, rest: bytes, rng: np.random.Generator) -> bytes:
    told = header.get("__metadata__", {})
    texts = [name for name in told if name != "format"]
    if texts and rng.random() < 0.5:
        name = _one(texts, rng)
        tree = {name: json.loads(told[name])}
        told[name] = _json(tree, rng).partition(": ")[2][:-1]
        text = json.dumps(header)
    else:
        text = _json(header, rng)
    packed = text.encode()
    packed += b" " * (-len(packed) % 8)
    return len(packed).to_bytes(8, "little") + packed + rest
