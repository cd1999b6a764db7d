"""Whether the rows of a table are of the patients and lesions that they say: one scan as two, one lesion twice.

What is compared and kept between imports are salted hashes, from which no identifier can be told.
"""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..base.paths import cache_home, written_whole
from .reading import Reading, sitk
from .table import Fault, ListedLesion

SAME_PLACE = 0.5  # of all that two boxes hold, the share that both hold: from it on they are of one lesion
SALT = 32  # bytes
NOBODY = 3  # patients: an identifier that as many and more than half of all have names none of them


@dataclass(frozen=True)
class Identity:
    """Phase -> hashes of what a lesion's files say of themselves, "" where they do not.

    patient: of PatientID.  series: of SeriesInstanceUID.  picture: of the voxels.  box: of the lesion, (z0, z1, y0, y1,
    x0, x1) in voxels of the reference.
    """

    patient: dict[str, str]
    series: dict[str, str]
    picture: dict[str, str]
    box: Sequence[int] = ()


Compared = tuple[ListedLesion, Identity, list[str]]  # with the lesion's doubts


def cache_salt() -> bytes:
    """What hashes in this cache folder are salted with."""
    file = cache_home().absolute() / "studies" / "salt"
    if not file.is_file() or file.stat().st_size != SALT:  # with an empty one, hashes would be guessed
        with written_whole(file, mode=0o600) as new:
            new.write_bytes(secrets.token_bytes(SALT))
    return file.read_bytes()


def identity_of(images: Mapping[str, sitk.Image], readings: Mapping[str, Reading], salt: bytes) -> Identity:
    """Of a scan; images and readings by phase."""

    def hashed(content) -> str:
        return hashlib.blake2b(content, key=salt, digest_size=16).hexdigest() if len(content) else ""

    def told(name: str) -> dict[str, str]:
        texts = {phase: getattr(reading.source, name) for phase, reading in readings.items()}
        return {phase: hashed(text.encode("utf-8", "replace")) for phase, text in texts.items()}

    voxels = {phase: sitk.GetArrayFromImage(image) for phase, image in images.items()}
    return Identity(told("patient"), told("series"), {phase: hashed(hu) for phase, hu in voxels.items()})


def compare(lesions: Sequence[Compared], classes: Sequence[str], notes: list[str]) -> list[Fault]:
    """The lesions of a table against each other: the same voxels are a fault, all else is added to the doubts.

    notes: gets a line on identifiers that name nobody.
    """
    patients = {lesion.patient for lesion, *_ in lesions}
    owners = {name: _owners(lesions, name) for name in ("patient", "series", "picture")}
    for name, what in (("patient", "PatientID"), ("series", "SeriesInstanceUID")):
        many = [value for value, of in owners[name].items() if len(of) >= max(NOBODY, len(patients) // 2 + 1)]
        for value in many:
            notes.append(f"{len(owners[name].pop(value))} patients have one {what}: taken to name nobody")
    own: dict[int, dict[str, int]] = defaultdict(dict)  # patient -> hash -> row
    for value, of in owners["patient"].items():
        for patient, row in of.items():
            own[patient][value] = row
    faults = []
    for lesion, identity, doubts in lesions:
        if found := _of_another(lesion, identity.picture, owners["picture"]):
            message = "{} is the scan of row {}, voxel for voxel, which is another patient's".format(*found)
            faults.append(Fault(lesion.row, found[0], message))
        elif found := _of_another(lesion, identity.patient, owners["patient"]):
            told = "patient: {} has the PatientID of row {}, which is another patient's".format(*found)
            doubts.append(f"{told}: give both one patient, or each their own files")
        elif found := _of_another(lesion, identity.series, owners["series"]):
            told = "{}: by its header it is the series of row {}, which is another patient's".format(*found)
            doubts.append(f"{told}: give both one patient, or each their own files")
        mine = set(identity.patient.values())
        others = [row for value, row in own[lesion.patient].items() if value not in mine]
        if any(mine) and others:
            told = f"patient: its PatientID is not that of row {min(others)}, the same patient"
            doubts.append(f"{told}: give each person a patient of their own")
    _doubt_places(lesions, classes)
    return faults


def _owners(lesions: Sequence[Compared], name: str) -> dict[str, dict[int, int]]:
    """Hash -> patient -> the first row with it."""
    owners: dict[str, dict[int, int]] = defaultdict(dict)
    for lesion, identity, _ in lesions:
        for value in filter(None, getattr(identity, name).values()):
            owners[value].setdefault(lesion.patient, lesion.row)
    return owners


def _of_another(
    lesion: ListedLesion, mine: Mapping[str, str], owners: Mapping[str, Mapping[int, int]]
) -> tuple[str, int] | None:
    """The first phase that another patient has, too, and that patient's row."""
    for phase, value in mine.items():
        for patient, row in owners.get(value, {}).items():
            if patient != lesion.patient:
                return phase, row
    return None


def _doubt_places(lesions: Sequence[Compared], classes: Sequence[str]) -> None:
    """Lesions of several rows at one place of one scan."""
    scans = defaultdict(list)
    for one in lesions:
        scans[one[0].patient, one[1].picture[one[0].reference]].append(one)
    for (one, its, first), (two, other, second) in (pair for scan in scans.values() for pair in combinations(scan, 2)):
        if one.row == two.row or _common(its.box, other.box) < SAME_PLACE:
            continue
        for mine, theirs, doubts in ((one, two, first), (two, one, second)):
            if mine.label == theirs.label:
                doubts.append(f"the lesion of row {theirs.row} again, at the same place of the same scan: keep one row")
            else:
                named = f"label: {classes[mine.label]}, but {classes[theirs.label]} in row {theirs.row}"
                doubts.append(f"{named}, at the same place of the same scan: one lesion has one label")


def _common(one: Sequence[int], two: Sequence[int]) -> float:
    """Of all that two boxes hold, the share that both hold."""
    a, b = np.reshape(one, (3, 2)), np.reshape(two, (3, 2))
    both = (np.minimum(a[:, 1], b[:, 1]) - np.maximum(a[:, 0], b[:, 0])).clip(0).prod()
    return float(both / (np.diff(a).prod() + np.diff(b).prod() - both))
