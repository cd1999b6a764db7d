"""Small checkpoints of the published formats, in the hub's cache and the package's."""

import gzip
import json
import shutil
from pathlib import Path

import huggingface_hub.constants
import torch
from safetensors.torch import load_file

from livervlm.base.compat import import_torchvision
from livervlm.base.paths import cache_home
from livervlm.models.prompts import prompts_by_order
from livervlm.models.zero_shot import BASELINES, MEDCLIP_TEXT, MEDCLIP_VISION

import_torchvision()
import open_clip  # noqa: E402  once torchvision stands
import transformers  # noqa: E402

CLIP, CLIP_B16, PUBMEDCLIP, BIOMEDCLIP, MEDCLIP = (
    BASELINES[name].repository for name in ("clip", "clip_b16", "pubmedclip", "biomedclip", "medclip")
)
BIOMEDBERT = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
REPOSITORIES = (CLIP, CLIP_B16, PUBMEDCLIP, BIOMEDCLIP, MEDCLIP, BIOMEDBERT, MEDCLIP_TEXT, MEDCLIP_VISION)
CLASSES, PHASES = ("CYST", "FNH", "HCC", "HEM"), ("NC", "ART", "PV")
SIMPLE = prompts_by_order("simple", CLASSES, PHASES)[0]
MEDICAL = prompts_by_order("medical", CLASSES, PHASES)[0]
ALL = [prompt for variants in SIMPLE + MEDICAL for prompt in variants]
CLIP_MEAN, CLIP_SD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def snapshot(repository: str) -> Path:
    """Where the hub's cache keeps the files of a repository."""
    stored = Path(huggingface_hub.constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    (stored / "refs").mkdir(parents=True, exist_ok=True)
    (stored / "refs" / "main").write_text("a" * 40)
    folder = stored / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def make_lively(network):
    """Random weights large enough that pictures and texts matter to the scores."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, parameter[0].numel() ** -0.5)
    return network.eval()


def write_clip():
    """CLIPModels of toy size with CLIP's own vocabulary, laid out as on the hub in 2021; PubMedCLIP as a .bin.

    Of the two of OpenAI, one has patches of half the side, as published.
    """
    folder, other = snapshot(CLIP), snapshot(PUBMEDCLIP)
    packed = Path(open_clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
    merges = gzip.decompress(packed.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    letters = list(open_clip.tokenizer.bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]), encoding="utf-8")
    look = dict(size=32, crop_size=32, resample=3, image_mean=CLIP_MEAN, image_std=CLIP_SD)
    look |= dict.fromkeys(("do_resize", "do_center_crop", "do_normalize"), True)
    (folder / "preprocessor_config.json").write_text(json.dumps(look))
    shape = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    text = shape | dict(vocab_size=len(words), bos_token_id=0, eos_token_id=2, pad_token_id=1)  # as published
    config = dict(text_config=text, vision_config=shape | dict(image_size=32, patch_size=16), projection_dim=16)
    make_lively(transformers.CLIPModel(transformers.CLIPConfig(**config))).save_pretrained(folder)
    shutil.copytree(folder, snapshot(CLIP_B16), dirs_exist_ok=True)
    config["vision_config"]["patch_size"] = 8
    make_lively(transformers.CLIPModel(transformers.CLIPConfig(**config))).save_pretrained(snapshot(CLIP_B16))
    shutil.copytree(folder, other, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(load_file(folder / "model.safetensors"), other / "pytorch_model.bin")


def write_bert(repository: str):
    """Configuration and vocabulary alone: the weights are in the checkpoint of the pair."""
    words = sorted({word.strip(".,") for prompt in ALL for word in prompt.lower().split()})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", *words]
    (snapshot(repository) / "vocab.txt").write_text("\n".join(words) + "\n")
    shape = dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32)
    config = transformers.BertConfig(vocab_size=len(words), **shape)
    config.save_pretrained(snapshot(repository))
    return config


def write_biomedclip():
    """open_clip's format, with timm's smallest ViT; its tower of text is known by the name of a repository alone."""
    write_bert(BIOMEDBERT)
    text = dict(hf_model_name=BIOMEDBERT, hf_tokenizer_name=BIOMEDBERT, hf_proj_type="mlp", context_length=256)
    text |= dict(hf_pooler_type="cls_last_hidden_state_pooler")
    vision = dict(timm_model_name="test_vit", timm_pool="", timm_proj="linear", image_size=160)
    look = {"mean": CLIP_MEAN, "std": CLIP_SD}
    config = {"model_cfg": dict(embed_dim=24, vision_cfg=vision, text_cfg=text), "preprocess_cfg": look}
    (snapshot(BIOMEDCLIP) / "open_clip_config.json").write_text(json.dumps(config))
    network = make_lively(open_clip.create_model(f"hf-hub:{BIOMEDCLIP}", load_weights=False, pretrained_text=False))
    old = {"text.transformer.embeddings.position_ids": torch.arange(512)[None]}  # as in checkpoints of its time
    torch.save(network.state_dict() | old, snapshot(BIOMEDCLIP) / "open_clip_pytorch_model.bin")


def write_medclip(scratch: Path):
    """The authors' state dict under the names of the transformers of its time; what it was made of."""
    text = make_lively(transformers.BertModel(write_bert(MEDCLIP_TEXT)))
    shape = dict(image_size=32, embed_dim=8, depths=[2, 1], num_heads=[1, 2], window_size=4)
    vision = make_lively(transformers.SwinModel(transformers.SwinConfig(**shape)))
    vision.config.save_pretrained(snapshot(MEDCLIP_VISION))
    weights = {"logit_scale": torch.tensor(4.7)}  # above the authors' limit
    for prefix, tower in (("vision_model.", vision), ("text_model.", text)):
        tower.save_pretrained(scratch)  # under the old names
        weights |= {f"{prefix}model.{name}": value for name, value in load_file(scratch / "model.safetensors").items()}
        weights[f"{prefix}projection_head.weight"] = torch.randn(12, 16)
    weights["text_model.model.embeddings.position_ids"] = torch.arange(512)[None]
    block = "vision_model.model.encoder.layers.0.blocks.1."
    weights[block + "attention.self.relative_position_index"] = torch.zeros(16, 16, dtype=torch.int64)
    old = ("attention.self.query.weight", "attention.output.dense.bias", "attention.self.relative_position_bias_table")
    assert {block + name for name in (*old, "intermediate.dense.weight", "output.dense.weight")} <= set(weights)
    path = cache_home() / "zero_shot" / MEDCLIP / "pytorch_model.bin"
    path.parent.mkdir(parents=True)
    torch.save(weights, path)
    return path, vision, text, weights
