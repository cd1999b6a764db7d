"""Which weights are at hand, for `livervlm doctor`: caches and installed packages are looked at, no network is."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ..base.errors import InputError
from ..base.paths import data_file

IMAGENET = {  # torchvision's names of the pretrained weights of `encoders.ENCODERS`
    "resnet18": "ResNet18_Weights.IMAGENET1K_V1",
    "resnet50": "ResNet50_Weights.IMAGENET1K_V1",
    "convnext_tiny": "ConvNeXt_Tiny_Weights.IMAGENET1K_V1",
    "efficientnet_v2_s": "EfficientNet_V2_S_Weights.IMAGENET1K_V1",
    "video_swin_t": "Swin3D_T_Weights.KINETICS400_V1",
}


@contextmanager
def _offline() -> Iterator[None]:
    """The hub's client answers from its cache alone."""
    from unittest import mock

    from huggingface_hub import constants

    with mock.patch.object(constants, "HF_HUB_OFFLINE", True):
        yield


def text_encoder(name: str) -> tuple[str, str]:
    """What is there of a text encoder: the features that the book ships, and the encoder itself."""
    from ..models.text import TEXT_ENCODERS, find_weights, read_bank

    spec, bank = TEXT_ENCODERS[name], len(read_bank(data_file(f"text_bank_{name}.safetensors")))
    shipped = f"{bank} prompts shipped; the encoder for others" if bank else spec.repository
    try:
        with _offline():
            find_weights(spec)
    except InputError as error:
        if bank:
            return f"{shipped} is not at hand", str(error)
        raise
    return f"{shipped} is at hand", ""


def zero_shot_models() -> tuple[str, str]:
    """Which zero-shot models have all their files here."""
    from ..models.zero_shot import BASELINES

    with _offline():
        there = {name: _whole(name) for name in BASELINES}
    return _at_hand(there, "run once with a network: livervlm reproduce --set zero-shot")


def _whole(name: str) -> bool:
    from ..models.zero_shot import BASELINES, BERT, MEDCLIP_TEXT, MEDCLIP_VISION, find_medclip, find_snapshot

    spec = BASELINES[name]
    try:
        if name == "medclip":
            find_medclip(spec, None)
            find_snapshot(MEDCLIP_VISION, ("config.json",), None)
            find_snapshot(MEDCLIP_TEXT, BERT, None)
            return True
        path = find_snapshot(spec.repository, spec.files, None)
        if name == "biomedclip":
            text = json.loads((path / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]["text_cfg"]
            for key in ("hf_model_name", "hf_tokenizer_name"):
                find_snapshot(text[key], BERT, None)
    except InputError:
        return False
    return True


def imagenet_files() -> dict[str, Path]:
    """Where torch's hub keeps the pretrained weights of each image encoder, there or not."""
    import torch

    from ..base.compat import import_torchvision

    import_torchvision()
    from torchvision.models import get_weight

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return {name: folder / Path(get_weight(weights).url).name for name, weights in IMAGENET.items()}


def imagenet() -> tuple[str, str]:
    """Which image encoders have their pretrained weights here."""
    files = imagenet_files()
    folder = next(iter(files.values())).parent
    there = {name: file.is_file() for name, file in files.items()}
    return _at_hand(there, f"run once with a network, as by livervlm reproduce --set imagenet; they go to {folder}")


def explained() -> tuple[str, str]:
    """The network that the Grad-CAM chapter ships, read whole."""
    from ..models.liver_vlm import LiverVLM

    config = LiverVLM.from_pretrained(data_file("explained")).config
    return f"{config.encoder} shipped, {len(config.classes)} classes", ""


def _at_hand(there: dict[str, bool], remedy: str) -> tuple[str, str]:
    found, missing = ([name for name, here in there.items() if here is wanted] for wanted in (True, False))
    said = f"at hand: {', '.join(found) or 'none'}"
    return (f"{said}; not: {', '.join(missing)}", remedy) if missing else (said, "")


LOOKS: dict[str, Callable[[], tuple[str, str]]] = {
    "minilm": partial(text_encoder, "minilm"),
    "bert": partial(text_encoder, "bert"),
    "zero-shot": zero_shot_models,
    "ImageNet": imagenet,
    "Grad-CAM": explained,
}
