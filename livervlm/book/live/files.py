"""What the package ships of the live page, in `data/live`: read by Python, and wrapped for a page as one script.

A page from a file may not fetch.  It can add a script element, which is what `write_script` makes; or the same text
travels in an output of a notebook.
"""

import base64
import functools
import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from ...base.errors import InputError
from ...base.paths import data_file, folder_written_whole, written_whole
from ...models.text import RANDOM
from ...scans.lesions import LesionSet
from .network import in_bytes, out_of_bytes, sentences
from .patients import LivePatients

FILES = "model", "patients"


@dataclass(frozen=True, eq=False)
class Live:
    """networks: name -> what `network.folded` gives.  sentences: (template, order, class) -> row of its vectors."""

    networks: dict[str, dict[str, Tensor]]
    sentences: dict[tuple[str, int, str], int]
    patients: LivePatients


def write_live(folder: str | Path, networks: dict[str, dict[str, Tensor]], patients: LivePatients, card: dict) -> None:
    """Write the networks, the patients and, for people, a card that says where they come from."""
    arrays = {f"{name}/{key}": a for name, parts in networks.items() for key, a in in_bytes(parts).items()}
    known = [
        [template, order, kind, f"(random numbers for {variants[0]})" if template == RANDOM else variants[0]]
        for template, order, kind, variants in sentences()
    ]
    slices = patients.slices
    told = {"words": patients.words, "part": patients.part, "owner": patients.owner.tolist(), "source": slices.source}
    told |= {"label": slices.label.tolist(), "spacing": slices.spacing.tolist()}
    told |= {name: getattr(slices, name) for name in ("classes", "phases", "mask_names")}
    with folder_written_whole(folder) as new:
        about = {"networks": json.dumps(list(networks)), "sentences": json.dumps(known)}
        save_file(arrays, new / "model.safetensors", about)
        arrays = {"hu": slices.hu, "masks": slices.masks, "less": patients.less, "noise": patients.noise}
        save_file(arrays, new / "patients.safetensors", {name: json.dumps(value) for name, value in told.items()})
        (new / "config.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


@functools.cache
def read_live() -> Live:
    """Read what the package ships."""
    (arrays, about), (pictures, told) = (_read(_path(name)) for name in FILES)
    networks = {
        name: out_of_bytes({k.removeprefix(f"{name}/"): a for k, a in arrays.items() if k.startswith(f"{name}/")})
        for name in about["networks"]
    }
    n = len(told["label"])
    slices = LesionSet(
        pictures["hu"],
        label=told["label"],
        patient=np.arange(n),
        group=np.ones(n),
        spacing=told["spacing"],
        classes=told["classes"],
        phases=told["phases"],
        masks=pictures["masks"],
        mask_names=told["mask_names"],
        source=told["source"],
    )
    owner, less, noise = np.array(told["owner"]), pictures["less"], pictures["noise"]
    patients = LivePatients(slices, told["words"], owner, told["part"], less, noise)
    return Live(networks, {tuple(s[:3]): row for row, s in enumerate(about["sentences"])}, patients)


def packed_files() -> dict[str, str]:
    """The two files as a page takes them: gzip, then base64."""
    squeezed = {name: gzip.compress(_path(name).read_bytes(), mtime=0) for name in FILES}
    return {name: base64.b64encode(data).decode() for name, data in squeezed.items()}


def write_script(path: str | Path) -> None:
    """Write the script that hands these files to every live panel of a page that adds it."""
    with written_whole(path) as temporary:
        temporary.write_text(f"globalThis.livervlmLive = {json.dumps(packed_files())};\n", encoding="utf-8")


def _path(name: str) -> Path:
    return data_file(f"live/{name}.safetensors")


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    try:
        with safe_open(path, framework="np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, {name: json.loads(text) for name, text in file.metadata().items()}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a whole file of the live page; run python -m livervlm.book.live") from error
