"""Records: what a run leaves behind, with everything that a number needs beside it, and a checksum."""

import hashlib
import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from .errors import InputError
from .lesions import LesionSet
from .paths import written_whole
from .training import autocast_dtype, best_device

SCHEMA = "livervlm.record/1"


def code_provenance(*packages: str) -> dict:
    """What any run has, also one that trains no model: schema, commit and versions."""
    return {"schema": SCHEMA, "commit": _commit(), "versions": {p: _version(p) for p in packages}}


def run_provenance() -> dict:
    """The same for a run that trains: the versions that matter to it, and the device."""
    device = best_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        **code_provenance("livervlm", "torch", "torchvision", "numpy", "scikit-learn", "transformers"),
        "device": {"type": device.type, "name": name, "autocast": str(autocast_dtype(device))},
    }


def data_provenance(lesions: LesionSet) -> dict:
    """Where a set comes from and which one it is."""
    return {"source": lesions.source, "fingerprint": lesions.fingerprint(), "cohort_key": lesions.cohort_key()}


def write_record(path: str | Path, record: dict) -> None:
    """Write a record as JSON with a checksum over its content, whole or not at all."""
    record = json.loads(json.dumps(record))  # what a reader will see: lists for tuples
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps({**record, "checksum": _checksum(record)}, indent=1) + "\n")


def read_record(path: str | Path) -> dict:
    """Read a record and check that it is whole and unchanged."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        whole = record.pop("checksum") == _checksum(record)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: not a record; delete it and run again") from error
    if not whole or record.get("schema") != SCHEMA:
        raise InputError(f"{path}: changed since it was written, or of another schema; delete it and run again")
    return record


def _checksum(record: dict) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The checkout's commit, marked where files differ from it; None outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
