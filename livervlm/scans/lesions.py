"""`LesionSet`: multi-phase lesion ROIs by patient, in one safetensors file that is read lazily."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..base.errors import InputError
from ..base.paths import written_whole
from .conventions import CANONICAL, LIVER_VLM_CLASSES

FORMAT = "livervlm.LesionSet/1"


@dataclass(frozen=True, eq=False)
class LesionSet:
    """N lesion slices of some patients, each in P phases.

    Raises `InputError` where the parts do not fit: wrong shape, NaN, a label outside the classes, a patient
    with two groups, a lesion with two labels or of two patients.
    """

    hu: np.ndarray  # (N, P, H, W) int16, Hounsfield units
    label: np.ndarray  # (N,) int64, index into `classes`
    patient: np.ndarray  # (N,) int64, a number; never an identifier
    group: np.ndarray  # (N,) int64, the patient's cross-validation group
    spacing: np.ndarray  # (N, 3) float32, mm: between slices, rows, columns
    classes: tuple[str, ...] = LIVER_VLM_CLASSES
    phases: tuple[str, ...] = CANONICAL
    masks: np.ndarray | None = None  # (N, P, H, W) uint8, bit i set where `mask_names[i]` is
    mask_names: tuple[str, ...] = ()  # "lesion", then causal parts such as "rim" or "scar"
    source: dict[str, str] = field(default_factory=dict)  # where it comes from: kind, version, seed ...
    lesion: np.ndarray | None = None  # (N,) int64, which lesion a slice shows, where that is known
    present: np.ndarray | None = None  # (N, P) bool, False where a slice lacks the phase: its hu is ABSENT

    def __post_init__(self):
        set_ = object.__setattr__  # the class is frozen; only here are the parts brought to their types
        if self.hu.dtype != np.int16:
            set_(self, "hu", _to_int16(np.asarray(self.hu)))
        for name in ("label", "patient", "group", *(("lesion",) if self.lesion is not None else ())):
            set_(self, name, _to_int64(name, getattr(self, name)))
        set_(self, "spacing", np.asarray(self.spacing, dtype=np.float32))
        for name in ("classes", "phases", "mask_names"):
            set_(self, name, tuple(getattr(self, name)))
        _check(self)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def size(self) -> int:
        """Side of the square ROI in pixels."""
        return self.hu.shape[-1]

    def arrays(self) -> dict[str, np.ndarray]:
        """All that has an entry for each slice, by name."""
        names = ("hu", "label", "patient", "group", "spacing", "masks", "lesion", "present")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def mask(self, name: str) -> np.ndarray:
        """(N, P, H, W) bool: where the lesion, or one of its causal parts, is."""
        if self.masks is None or name not in self.mask_names:
            raise InputError(f"no mask {name!r} in this set: it has {', '.join(self.mask_names) or 'none'}")
        return (self.masks >> self.mask_names.index(name) & 1).astype(bool)

    def require_every_phase(self, what: str) -> None:
        """Raise `InputError` where a slice lacks a phase; `what`: what cannot do without."""
        if self.present is not None:
            lacking = int((~self.present).any(axis=1).sum())
            raise InputError(
                f"{what} needs every phase, and {lacking} of {len(self)} slices lack one: import the table without "
                "`--phases any`"
            )

    def subset(self, index: np.ndarray) -> "LesionSet":
        """The slices that `index` picks (a boolean mask or positions)."""
        return replace(self, **{name: array[index] for name, array in self.arrays().items()})

    @classmethod
    def concatenate(cls, parts: Sequence["LesionSet"]) -> "LesionSet":
        """The slices of some sets one after the other, without numbers of lesions; all else is as in the first.

        Raises `InputError` where classes, phases or mask names differ, or where a patient has two groups.
        """
        first = parts[0]
        for name in ("classes", "phases", "mask_names", "size"):
            told = {getattr(part, name) for part in parts}
            if len(told) > 1:
                raise InputError(f"sets with different {name} cannot be joined: {' and '.join(map(str, told))}")
        names = first.arrays().keys() - {"lesion"}
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return replace(first, **joined, lesion=None)

    def folds(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """For each group: (group, training positions, test positions).  No patient is in both."""
        groups = np.unique(self.group)
        if len(groups) < 2:
            raise InputError(f"cross-validation needs at least 2 patient groups; this set has {len(groups)}")
        for group in groups:
            test = self.group == group
            yield int(group), np.flatnonzero(~test), np.flatnonzero(test)

    def fingerprint(self) -> str:
        """SHA-256 over images and `cohort_key`: says whether two sets are the same data."""
        digest = hashlib.sha256(self.cohort_key().encode())
        digest.update(json.dumps([self.phases, self.hu.shape]).encode())
        digest.update(np.ascontiguousarray(self.hu))
        if self.present is not None:
            digest.update(np.ascontiguousarray(self.present))
        return digest.hexdigest()

    def cohort_key(self) -> str:
        """SHA-256 over classes, labels, patients and groups: the same for one cohort at any resolution or phases."""
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for array in (self.label, self.patient, self.group):
            digest.update(array)
        return digest.hexdigest()

    def slice_keys(self) -> np.ndarray:
        """(N,) texts, the first 12 digits of the SHA-256 of each slice's pictures: says which slices two sets share."""
        return np.array([hashlib.sha256(np.ascontiguousarray(pictures)).hexdigest()[:12] for pictures in self.hu])

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, whole or not at all."""
        texts = {n: json.dumps(getattr(self, n)) for n in ("classes", "phases", "mask_names", "source")}
        with written_whole(path) as temporary:
            arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays().items()}
            save_file(arrays, temporary, metadata={"format": FORMAT, **texts})

    @classmethod
    def load(cls, path: str | Path) -> "LesionSet":
        """Open a file written by `save`.  Images and masks stay on disk until they are used."""
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        try:
            with safe_open(path, framework="np") as file:  # checks the header and the file's length
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise InputError(f"{path}: not a LesionSet file ({FORMAT}); make one with `livervlm import`")
                parts = {name: file.get_tensor(name) for name in file.offset_keys() if name not in ("hu", "masks")}
        except SafetensorError as error:
            raise InputError(f"{path}: not a whole safetensors file ({error}); make or copy it again") from error
        try:
            texts = {name: json.loads(text) for name, text in metadata.items() if name != "format"}
        except (ValueError, RecursionError):
            raise InputError(f"{path}: its names and notes are no JSON; make or copy it again") from None
        unknown = {*parts, *texts} - {part.name for part in fields(cls)}
        if unknown:
            raise InputError(f"{path}: unknown parts {sorted(unknown)}; written by a newer livervlm? update it")
        try:
            return cls(**_mapped(path, ("hu", "masks")), **parts, **texts)
        except (InputError, TypeError) as error:
            raise InputError(f"{path}: {error}") from error


def pack_masks(masks: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Boolean masks of one shape as `LesionSet.masks` holds them, uint8: bit i set where the one called names[i] is."""
    return sum(mask.astype(np.uint8) << names.index(name) for name, mask in masks.items())


def assign_groups(label: np.ndarray, patient: np.ndarray, n_groups: int = 5, seed: int = 0) -> np.ndarray:
    """Split patients into groups 1..n with classes balanced, slices of one patient together.  (N,) int64."""
    from sklearn.model_selection import StratifiedGroupKFold  # slow to import, needed for new data only

    if n_groups < 2:
        raise InputError(f"{n_groups} patient groups: cross-validation needs at least 2")
    fewest = min(len(np.unique(patient[label == c])) for c in np.unique(label))
    if fewest < n_groups:
        remedy = f"ask for at most {fewest} groups" if fewest > 1 else "give it more patients, or leave it out"
        raise InputError(f"too few patients for {n_groups} groups: the rarest class has {fewest}; {remedy}")
    group = np.zeros(len(label), dtype=np.int64)
    splitter = StratifiedGroupKFold(n_groups, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(splitter.split(label, label, patient), start=1):
        group[test] = number
    return group


def displace(lesions: LesionSet, sd: float, seed: int = 0) -> LesionSet:
    """The same slices with every phase but the last moved in the plane, as if the liver had moved between scans.

    sd: mm, along rows and along columns; drawn once for each patient and phase, and moved by whole pixels.  Beyond the
    ROI its edge is repeated.  Breathing moves mostly from slice to slice, which ROIs that are cut can no longer show.
    """
    if not 0 <= sd < 100:
        raise InputError(f"displacement of {sd} mm: give an sd from 0 to 100 mm")
    rng = np.random.default_rng(seed)
    hu, masks = np.array(lesions.hu), None if lesions.masks is None else np.array(lesions.masks)
    for patient in np.unique(lesions.patient):
        mine = np.flatnonzero(lesions.patient == patient)
        pixels = np.rint(rng.normal(0, sd, (len(lesions.phases) - 1, 2)) / lesions.spacing[mine[0], 1:]).astype(int)
        for p, moved in enumerate(pixels):
            y, x = (np.clip(np.arange(lesions.size) - n, 0, lesions.size - 1) for n in moved)
            for array in (hu,) if masks is None else (hu, masks):
                array[mine, p] = array[mine, p][:, y][:, :, x]
    return replace(lesions, hu=hu, masks=masks, source={**lesions.source, "displaced": f"{sd} mm, seed {seed}"})


def _mapped(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Memory-map the named tensors of a safetensors file that `safe_open` has already accepted."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    types = {"I16": np.int16, "U8": np.uint8}
    mapped = {}
    for name in names:
        if name in header:
            entry = header[name]
            if entry["dtype"] not in types:
                raise InputError(f"{path}: {name} is stored as {entry['dtype']}; expected I16 for hu, U8 for masks")
            start = 8 + length + entry["data_offsets"][0]
            mapped[name] = np.memmap(path, types[entry["dtype"]], "r", start, tuple(entry["shape"]))
    return mapped


def _to_int16(hu: np.ndarray) -> np.ndarray:
    if not np.isfinite(hu).all():
        raise InputError(f"hu holds {int((~np.isfinite(hu)).sum())} NaN or infinite values; every voxel needs a HU")
    if hu.size and (hu.min() < -32768 or hu.max() > 32767):
        raise InputError(f"hu reaches from {hu.min():g} to {hu.max():g}, outside int16: these are not Hounsfield units")
    return np.rint(hu).astype(np.int16)


def _to_int64(name: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "iuf" or not np.array_equal(values, np.rint(values)):
        raise InputError(f"{name} must be one whole number per slice, got {values.dtype} of shape {values.shape}")
    return values.astype(np.int64)


def _check(s: LesionSet) -> None:
    if s.hu.ndim != 4 or s.hu.shape[2] != s.hu.shape[3]:
        raise InputError(f"hu has shape {s.hu.shape}; expected (slices, phases, size, size)")
    n, p = s.hu.shape[:2]
    if n == 0:
        raise InputError("the set has no slices")
    if p != len(s.phases) or len(set(s.phases)) != p:
        raise InputError(f"hu has {p} phases but they are named {', '.join(s.phases)}; name each phase once")
    for name, shape in (("label", (n,)), ("patient", (n,)), ("group", (n,)), ("spacing", (n, 3))):
        if getattr(s, name).shape != shape:
            raise InputError(f"{name} has shape {getattr(s, name).shape}; expected {shape}, one per slice")
    if not (np.isfinite(s.spacing) & (s.spacing > 0)).all():
        raise InputError("spacing must be above 0 mm in every slice: between slices, rows, columns")
    if s.masks is not None and (s.masks.shape != s.hu.shape or s.masks.dtype != np.uint8):
        raise InputError(f"masks are {s.masks.dtype} {s.masks.shape}; expected uint8 {s.hu.shape}, as hu")
    outside = s.label[(s.label < 0) | (s.label >= len(s.classes))]
    if len(outside):
        raise InputError(f"label {outside[0]} is not in the classes 0..{len(s.classes) - 1} ({', '.join(s.classes)})")
    if doubled := _doubled(s.patient, s.group):
        patient, groups = doubled
        raise InputError(f"patient {patient} is in groups {groups}; keep all slices of a patient in one group")
    if s.present is not None:
        if s.present.shape != (n, p) or s.present.dtype != bool:
            raise InputError(f"present is {s.present.dtype} {s.present.shape}; expected bool {(n, p)}")
        if few := int((s.present.sum(axis=1) < 2).sum()):
            raise InputError(f"{few} slices have fewer than two phases; leave them out")
    if s.lesion is not None:
        if s.lesion.shape != (n,):
            raise InputError(f"lesion has shape {s.lesion.shape}; expected {(n,)}, one per slice")
        for name in ("patient", "label"):
            if doubled := _doubled(s.lesion, getattr(s, name)):
                raise InputError(f"lesion {doubled[0]} has {name} {doubled[1]}; number each lesion once")


def _doubled(of: np.ndarray, values: np.ndarray) -> tuple[int, str] | None:
    """The first number of `of` that has several values, and which."""
    pairs = np.unique(np.stack([of, values]), axis=1)
    twice = pairs[0, 1:][pairs[0, 1:] == pairs[0, :-1]]
    return (int(twice[0]), ", ".join(map(str, pairs[1, pairs[0] == twice[0]]))) if len(twice) else None
