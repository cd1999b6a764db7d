"""Zero-shot baselines: public vision-language models, read from their published files and not trained (Tables 3, 9).

They are also towers for key slices (`towers.PictureTowers`); that paper's CLIP is the one with patches of 16 pixels.
"""

import json
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize, pad

from ..base.compat import import_torchvision
from ..base.device import best_device
from ..base.errors import InputError
from ..base.paths import cache_home, written_whole
from ..base.progress import bar
from ..scans.lesions import LesionSet
from ..scans.windowing import images
from .prompts import prompts_by_order


@dataclass(frozen=True)
class Baseline:
    """A published checkpoint.  files: what its repository must hold, alternatives with "|", the preferred one first."""

    repository: str
    files: tuple[str, ...]


# What a snapshot of each format holds.
CLIP = ("config.json", "preprocessor_config.json", "vocab.json|tokenizer.json", "model.safetensors|pytorch_model.bin")
OPEN_CLIP = ("open_clip_config.json", "open_clip_pytorch_model.safetensors|open_clip_pytorch_model.bin")
BERT = ("config.json", "vocab.txt|tokenizer.json")
BASELINES = {
    "clip": Baseline("openai/clip-vit-base-patch32", CLIP),
    "clip_b16": Baseline("openai/clip-vit-base-patch16", CLIP),
    "pubmedclip": Baseline("flaviagiammarino/pubmed-clip-vit-base-patch32", CLIP),
    "biomedclip": Baseline("microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224", OPEN_CLIP),
    "medclip": Baseline("RyanWangZf/MedCLIP", ("pytorch_model.bin",)),  # the variant with a Swin-T
}
# MedCLIP's authors publish a zip; the shape of its towers and the vocabulary come from two other repositories.
MEDCLIP_ZIP = "https://storage.googleapis.com/pytrial/medclip-vit-pretrained.zip"
MEDCLIP_VISION, MEDCLIP_TEXT = "microsoft/swin-tiny-patch4-window7-224", "emilyalsentzer/Bio_ClinicalBERT"
MEDCLIP_MEAN, MEDCLIP_SD, MEDCLIP_TOKENS = 0.5862785803043838, 0.27950088968644304, 77
UNREACHABLE = "{} is neither cached nor reachable: run once with a network, or give the `folder` that holds it"


@dataclass(frozen=True, eq=False)
class ZeroShotModel:
    """Two frozen towers with one joint space, and the preprocessing that was published with them."""

    network: nn.Module
    preprocess: Callable[[list], Tensor]  # PIL pictures -> (B, 3, S, S)
    tokenize: Callable[[list[str]], dict[str, Tensor]]
    image_features: Callable[[Tensor], Tensor]  # (B, 3, S, S) -> (B, d)
    text_features: Callable[..., Tensor]  # tokens, (T, L) each -> (T, d)
    logit_scale: float
    ensemble: str  # how a class's prompts are averaged: "features" or "logits", see `class_embeddings`

    def encode_images(self, rgb: Tensor) -> Tensor:
        """Unit embeddings (B, d) of pictures (B, 3, H, W) in [0, 1], first rounded to the 8 bits of a picture file."""
        from torchvision.transforms.functional import to_pil_image

        if rgb.ndim != 4 or rgb.shape[1] != 3 or rgb.min() < 0 or rgb.max() > 1:
            given = f"{tuple(rgb.shape)}, {rgb.min():g} to {rgb.max():g}"
            raise InputError(f"pictures of shape and range {given}: `to_rgb` makes (B, 3, H, W) in 0 to 1")
        pictures = [to_pil_image(picture) for picture in (rgb * 255).round().byte().cpu()]
        device = next(self.network.parameters()).device
        return normalize(self.image_features(self.preprocess(pictures).to(device)), dim=1)

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Numbers of tokens and which of them count, (T, 2, L), padded to the longest."""
        given = self.tokenize(list(texts))
        return torch.stack([given["input_ids"], given["attention_mask"]], dim=1)

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Unit embeddings (T, d) of what `tokens` gives."""
        ids, mask = tokens.to(next(self.network.parameters()).device).unbind(dim=1)
        return normalize(self.text_features(input_ids=ids, attention_mask=mask), dim=1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings of some texts, (T, d), encoded as one batch: with MedCLIP the batch matters."""
        return self.encode_tokens(self.tokens(texts))


def load(name: str, folder: str | Path | None = None) -> ZeroShotModel:
    """A baseline on the best device, ready to classify.

    folder: where snapshots lie under their repositories' names, `folder/openai/clip-vit-base-patch32` and so on;
    without it they come from the cache, else from a download.  Raises `InputError` where files are missing, damaged
    or lack weights: nothing is put in their place.
    """
    if name not in BASELINES:
        raise InputError(f"zero-shot model {name!r} is unknown: choose one of {', '.join(BASELINES)}")
    spec, folder = BASELINES[name], Path(folder) if folder else None
    import_torchvision()  # before transformers and open_clip, which import it
    read = {"biomedclip": _read_open_clip, "medclip": _read_medclip}.get(name, _read_clip)
    try:
        model = read(spec, folder)
    except InputError:
        raise
    except ModuleNotFoundError as error:
        raise InputError(f"{name} needs {error.name}: pip install 'livervlm[zero-shot]'") from error
    except Exception as error:  # whatever a damaged file raises
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise InputError(f"{spec.repository}: its files cannot be read ({reason}); fetch them again") from error
    model.network.to(best_device()).eval()
    return model


@torch.inference_mode()
def class_embeddings(model: ZeroShotModel, prompts: Sequence[Sequence[str]]) -> Tensor:
    """One vector a class, (C, d): the mean of the unit embeddings of its prompts.

    An ensemble of "features" makes the mean unit again (Radford et al. 2021, section 3.1.4), so that it scores by
    cosine.  An ensemble of "logits" (MedCLIP) leaves it: the product with the mean is the mean of the products, and a
    class whose prompts disagree scores nearer to 0.
    """
    means = torch.stack([model.encode_texts(variants).mean(dim=0) for variants in prompts])  # (C, d)
    return normalize(means, dim=1) if model.ensemble == "features" else means


@torch.inference_mode()
def probabilities(model: ZeroShotModel, rgb: Tensor, classes: Tensor) -> Tensor:
    """Class probabilities (B, C) of pictures (B, 3, H, W) in [0, 1].  classes: (C, d), of `class_embeddings`."""
    return (model.logit_scale * model.encode_images(rgb) @ classes.T).softmax(dim=1).cpu()  # (B, C)


def zero_shot_probabilities(
    lesions: LesionSet, model: ZeroShotModel, template: str = "medical", rgb: str = "stack", *, progress: bool = True
) -> np.ndarray:
    """Class probabilities of every slice of a set, (N, C) float64.

    template: a name in `prompts.templates`.  rgb: how phases become a picture, as in `to_rgb`.
    """
    lesions.require_every_phase("a zero-shot model")
    classes = class_embeddings(model, prompts_by_order(template, lesions.classes, lesions.phases)[0])
    batches = bar(np.split(np.arange(len(lesions)), range(32, len(lesions), 32)), "zero-shot", progress)
    pictures = (to_rgb(images(lesions, index), lesions.phases, rgb) for index in batches)
    return torch.cat([probabilities(model, part, classes) for part in pictures]).double().numpy()


def to_rgb(windowed: Tensor, phases: Sequence[str], how: str) -> Tensor:
    """One picture (B, 3, H, W) in [0, 1] of the P phases of each image (B, P, H, W), windowed to [-1, 1].

    how: "stack" (three phases as red, green, blue), a phase's name (that phase in grey), "mean" (of the phases, in
    grey) or "montage" (the phases in grey tiles of one square, as these models crop a picture to a square).  The
    paper does not say what its baselines saw.
    """
    phases = list(phases)
    if windowed.ndim != 4 or windowed.shape[1] != len(phases):
        raise InputError(f"images of shape {tuple(windowed.shape)} do not have one channel for each of {phases}")
    grey = (windowed + 1) / 2
    if how == "stack" and len(phases) == 3:
        return grey
    if how in phases:
        grey = grey[:, [phases.index(how)]]
    elif how == "mean":
        grey = grey.mean(dim=1, keepdim=True)
    elif how == "montage":
        (b, p, h, w), side = grey.shape, int(np.ceil(len(phases) ** 0.5))
        tiles = pad(grey, (0, 0, 0, 0, 0, side**2 - p)).view(b, side, side, h, w)  # what is left over stays black
        grey = tiles.transpose(2, 3).reshape(b, 1, side * h, side * w)
    else:
        ways = ["stack"] * (len(phases) == 3) + ["mean", "montage", *phases]
        raise InputError(f"{len(phases)} phases make no picture by {how!r}: choose one of {', '.join(ways)}")
    return grey.expand(-1, 3, -1, -1)


def find_snapshot(repository: str, files: Sequence[str], folder: Path | None) -> Path:
    """The folder with a repository's files: under `folder`, else in the hub's cache, else downloaded into it."""
    from huggingface_hub import snapshot_download

    def lacks(path: Path) -> list[str]:
        return [name for name in files if not any((path / option).is_file() for option in name.split("|"))]

    if folder:
        if missing := lacks(folder / repository):
            raise InputError(f"{folder / repository}: no {', no '.join(missing)}; put the whole snapshot there")
        return folder / repository
    options = [option for name in files for option in name.split("|")]
    wanted = [*options, "merges.txt", "tokenizer_config.json", "special_tokens_map.json"]
    light = [name for name in wanted if not name.endswith(".bin")]  # a .bin only where there are no safetensors
    for patterns, cached in ((wanted, True), (light, False), (wanted, False)):
        try:
            path = Path(snapshot_download(repository, allow_patterns=patterns, local_files_only=cached))
        except (OSError, ValueError):  # not cached; or no network
            continue
        if not lacks(path):
            return path
    raise InputError(UNREACHABLE.format(repository))


def find_medclip(spec: Baseline, folder: Path | None) -> Path:
    """The file of MedCLIP's weights: under `folder`, else in the package's cache, else downloaded into it."""
    from huggingface_hub import is_offline_mode

    (name,) = spec.files
    home = folder or cache_home() / "zero_shot"
    path = home / spec.repository / name
    if not folder and not path.is_file():
        try:
            if is_offline_mode():
                raise ConnectionError
            with tempfile.TemporaryDirectory() as scratch, written_whole(path) as temporary:
                torch.hub.download_url_to_file(MEDCLIP_ZIP, f"{scratch}/medclip.zip")
                with zipfile.ZipFile(f"{scratch}/medclip.zip") as archive:
                    temporary.write_bytes(archive.read(name))
        except OSError as error:
            raise InputError(UNREACHABLE.format(spec.repository)) from error
    return find_snapshot(spec.repository, spec.files, home) / name


def _read_clip(spec: Baseline, folder: Path | None) -> ZeroShotModel:
    """A transformers CLIPModel."""
    from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

    path = find_snapshot(spec.repository, spec.files, folder)
    network, processor = _whole(CLIPModel, path), CLIPImageProcessor.from_pretrained(path)
    text = network.config.text_config
    return ZeroShotModel(
        network,
        preprocess=lambda pictures: processor(pictures, return_tensors="pt")["pixel_values"],
        tokenize=_tokenize(CLIPTokenizer.from_pretrained(path), text.max_position_embeddings, text.vocab_size),
        image_features=lambda pixels: network.visual_projection(network.vision_model(pixels).pooler_output),
        text_features=lambda **tokens: network.text_projection(network.text_model(**tokens).pooler_output),
        logit_scale=network.logit_scale.exp().item(),
        ensemble="features",
    )


def _read_open_clip(spec: Baseline, folder: Path | None) -> ZeroShotModel:
    """An open_clip model with a BERT, whose shape and vocabulary lie in a repository that the configuration names."""
    import open_clip
    from transformers import AutoTokenizer

    path = find_snapshot(spec.repository, spec.files, folder)
    text = json.loads((path / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]["text_cfg"]
    bert, words = (find_snapshot(text[key], BERT, folder) for key in ("hf_model_name", "hf_tokenizer_name"))
    network, preprocess = open_clip.create_model_from_pretrained(  # strict; reads a .bin with weights_only=True
        f"local-dir:{path}", text_cfg={**text, "hf_model_name": str(bert), "hf_model_pretrained": False}
    )
    return ZeroShotModel(
        network,
        preprocess=lambda pictures: torch.stack([preprocess(picture) for picture in pictures]),
        tokenize=_tokenize(AutoTokenizer.from_pretrained(words), text["context_length"], network.text.vocab_size),
        image_features=network.encode_image,
        text_features=lambda input_ids, **_: network.encode_text(input_ids),  # it masks the padding itself
        logit_scale=network.logit_scale.exp().item(),
        ensemble="features",
    )


class MedCLIP(nn.Module):
    """MedCLIP (Wang et al. 2022) as its authors' code runs it, on any device.

    A text is the mean of the hidden layers 1, 2 and last over all tokens, padding included: its embedding depends on
    the longest text of its batch.  The authors' classifier encodes the prompts of one class as one batch; so do we.
    """

    def __init__(self, vision: nn.Module, text: nn.Module, weights: dict[str, Tensor]):
        super().__init__()
        self.vision, self.text = vision, text
        self.image_projection = nn.Parameter(weights["vision_model.projection_head.weight"])  # (512, 768), no bias
        self.text_projection = nn.Parameter(weights["text_model.projection_head.weight"])

    def image_features(self, pixels: Tensor) -> Tensor:
        return linear(self.vision(pixels).pooler_output, self.image_projection)

    def text_features(self, **tokens: Tensor) -> Tensor:
        hidden = self.text(**tokens, output_hidden_states=True).hidden_states  # embedding and layers, (T, L, 768) each
        return linear(torch.stack([hidden[1], hidden[2], hidden[-1]]).mean(dim=(0, 2)), self.text_projection)


def _read_medclip(spec: Baseline, folder: Path | None) -> ZeroShotModel:
    """The authors' state dict.  Trained on grey radiographs: colours become luminance, as in the authors' processor.

    One difference: a picture smaller than 224 px is enlarged here; their processor sets it in a black frame.
    """
    from transformers import BertConfig, BertModel, BertTokenizer, CLIPImageProcessor, SwinConfig, SwinModel

    weights = torch.load(find_medclip(spec, folder), map_location="cpu", weights_only=True)
    swin, bert = find_snapshot(MEDCLIP_VISION, ("config.json",), folder), find_snapshot(MEDCLIP_TEXT, BERT, folder)

    def tower(kind, config, prefix: str) -> nn.Module:
        # Not load_state_dict: transformers has renamed layers since, and from_pretrained knows their old names.
        part = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        return _whole(kind, None, config=config, state_dict=part)

    vision = tower(SwinModel, SwinConfig.from_pretrained(swin), "vision_model.model.")
    text = tower(BertModel, BertConfig.from_pretrained(bert), "text_model.model.")
    network, size = MedCLIP(vision, text, weights), vision.config.image_size
    look = {"image_mean": [MEDCLIP_MEAN] * 3, "image_std": [MEDCLIP_SD] * 3}
    processor = CLIPImageProcessor(size={"shortest_edge": size}, crop_size=size, **look)  # bicubic
    return ZeroShotModel(
        network,
        preprocess=lambda pictures: processor([p.convert("L") for p in pictures], return_tensors="pt")["pixel_values"],
        tokenize=_tokenize(BertTokenizer.from_pretrained(bert), MEDCLIP_TOKENS, text.config.vocab_size),
        image_features=network.image_features,
        text_features=network.text_features,
        logit_scale=weights["logit_scale"].clamp(0, 4.6052).exp().item(),
        ensemble="logits",
    )


def _whole(kind, path: Path | None, **options) -> nn.Module:
    """A transformers model with every weight from the checkpoint; left alone, transformers makes missing ones up."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    network, report = kind.from_pretrained(path, output_loading_info=True, **options)
    if missing := sorted(report["missing_keys"]):
        raise ValueError(f"no weights for {missing[0]}, {len(missing)} missing")
    return network


def _tokenize(tokenizer, length: int, rows: int) -> Callable[[list[str]], dict[str, Tensor]]:
    if len(tokenizer) != rows:  # without these files transformers would make up a vocabulary
        raise ValueError(f"a vocabulary of {len(tokenizer)} tokens for a network of {rows}")
    return lambda texts: tokenizer(texts, padding=True, truncation=True, max_length=length, return_tensors="pt")
