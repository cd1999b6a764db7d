"""Records: what a run leaves behind, with everything that a number needs beside it, and a checksum.

A record is a JSON file.  Its arrays lie in a safetensors file beside it, whose SHA-256 stands in the record.
"""

import hashlib
import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from ..base.errors import InputError
from ..base.paths import written_whole
from ..scans.lesions import LesionSet

SCHEMA = "livervlm.record/2"
# Records of schema 1 have no arrays: the counts of a pool's patients are a digit each, in one string.
SCHEMAS = ("livervlm.record/1", SCHEMA)


def code_provenance(*packages: str) -> dict:
    """What any run has, also one that trains no model: schema, commit and versions."""
    return {"schema": SCHEMA, "commit": _commit(), "versions": {p: _version(p) for p in packages}}


def run_provenance() -> dict:
    """The same for a run that trains: the versions that matter to it, and the device."""
    import torch  # slow to import, and whoever reads records needs none of it

    from ..base.device import autocast_dtype, best_device

    device = best_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        **code_provenance("livervlm", "torch", "torchvision", "numpy", "scikit-learn", "transformers"),
        "device": {"type": device.type, "name": name, "autocast": str(autocast_dtype(device))},
    }


def data_provenance(lesions: LesionSet) -> dict:
    """Where a set comes from, which one it is, and what its classes and phases are."""
    about = {"source": lesions.source, "fingerprint": lesions.fingerprint(), "cohort_key": lesions.cohort_key()}
    return {**about, "classes": lesions.classes, "phases": lesions.phases}


def write_record(path: str | Path, record: dict) -> None:
    """Write a record, whole or not at all.  Arrays anywhere in it go into the file beside it.

    That file is written first: where the record is there, its arrays are.
    """
    path, arrays = Path(path), {}
    record = json.loads(json.dumps(_split(record, (), arrays)))  # what a reader will see: lists for tuples
    if arrays:
        with written_whole(path.with_suffix(".safetensors")) as temporary:
            save_file(arrays, temporary)
        record["arrays"] = _digest_of_file(path.with_suffix(".safetensors"))
    with written_whole(path) as temporary:
        text = json.dumps({**record, "checksum": _checksum(record)}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_record(path: str | Path) -> dict:
    """Read a record of any schema with its arrays, and check that it is whole and unchanged."""
    path = Path(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        whole = record.pop("checksum") == _checksum(record)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: not a record; delete it and run again") from error
    if not whole or record.get("schema") not in SCHEMAS:
        raise InputError(f"{path}: changed since it was written, or of another schema; delete it and run again")
    if "arrays" in record:
        _put_arrays_back(record, path.with_suffix(".safetensors"))
    if record["schema"] == SCHEMAS[0]:
        _read_digits(record)
    return record


def _split(part: Any, place: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:
    """`part` with the shape of each array in a nested dictionary instead of it; `arrays` takes them, by place."""
    if isinstance(part, dict):
        return {key: _split(value, (*place, str(key)), arrays) for key, value in part.items()}
    if isinstance(part, np.ndarray):
        arrays["/".join(place)] = np.ascontiguousarray(part)
        return f"{part.dtype} {list(part.shape)}"
    return part


def _put_arrays_back(record: dict, path: Path) -> None:
    if not path.is_file() or _digest_of_file(path) != record["arrays"]:
        raise InputError(f"{path}: the arrays of this record are missing or changed; delete the record and run again")
    for place, array in load_file(path).items():
        *parents, name = place.split("/")
        part = record
        for parent in parents:
            part = part[parent]
        part[name] = array


def _read_digits(record: dict) -> None:
    for test in record.get("tests", {}).values():
        digits = {name: test[name] for name in ("slices", "correct") if isinstance(test.get(name), str)}
        test.update({name: np.array([*text], dtype=np.uint8) for name, text in digits.items()})


def _digest_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _checksum(record: dict) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The checkout's commit, marked where files differ from it; None outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    told = {"capture_output": True, "text": True, "check": True}
    try:
        # An installed package may lie inside somebody's checkout, which does not track it.
        subprocess.run([*git, "ls-files", "--error-unmatch", Path(__file__).name], **told)
        describe = [*git, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        return subprocess.run(describe, **told).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
