"""Baselines read from small checkpoints of the published formats, against the libraries' own pipelines."""

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import huggingface_hub.errors
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate, normalize

from livervlm.base.compat import import_torchvision
from livervlm.base.errors import InputError
from livervlm.base.paths import cache_home
from livervlm.models import zero_shot
from livervlm.models.selector import encode_slices, slice_scores, train_selector
from livervlm.models.towers import PictureTowers
from livervlm.models.zero_shot import (
    BASELINES,
    MEDCLIP_TEXT,
    MEDCLIP_VISION,
    class_embeddings,
    load,
    probabilities,
    to_rgb,
)
from livervlm.scans.windowing import images

import_torchvision()
open_clip, transformers = pytest.importorskip("open_clip"), pytest.importorskip("transformers")

from small_baselines import (  # noqa: E402  after the skip
    ALL,
    BIOMEDBERT,
    BIOMEDCLIP,
    CLIP,
    CLIP_MEAN,
    CLIP_SD,
    MEDCLIP,
    MEDICAL,
    REPOSITORIES,
    SIMPLE,
    snapshot,
    write_biomedclip,
    write_clip,
    write_medclip,
)

any_baseline = pytest.mark.parametrize("name", BASELINES)


def classify(model, rgb, prompts):
    return probabilities(model, rgb, class_embeddings(model, prompts))


@pytest.fixture(scope="module")
def medclip_parts(tmp_path_factory):
    """All four baselines in the hub's cache and the package's; of MedCLIP also the parts."""
    write_clip()
    write_biomedclip()
    yield write_medclip(tmp_path_factory.mktemp("scratch"))
    for repository in REPOSITORIES:
        shutil.rmtree(snapshot(repository).parents[1])
    shutil.rmtree(cache_home() / "zero_shot")


@pytest.fixture(scope="module")
def models(medclip_parts):
    return {name: load(name) for name in BASELINES}


@pytest.fixture
def folder(medclip_parts, tmp_path):
    """A reader's folder of snapshots, to spoil."""
    for repository in REPOSITORIES:
        shutil.copytree(snapshot(repository), tmp_path / "hub" / repository)
    shutil.copy(medclip_parts[0], tmp_path / "hub" / MEDCLIP)
    return tmp_path / "hub"


def pictures(size: int) -> torch.Tensor:
    """Noise in tints of their own, at exactly 256 levels, so that PIL and a tensor hold the same; (3, 3, S, S)."""
    generator = torch.Generator().manual_seed(0)
    tint, noise = torch.rand(3, 3, 1, 1, generator=generator), torch.rand(3, 3, size, size, generator=generator)
    return (tint * noise * 255).round() / 255


def as_pil(rgb: torch.Tensor) -> list:
    return [Image.fromarray((p * 255).round().byte().permute(1, 2, 0).numpy()) for p in rgb]


def agree(ours: torch.Tensor, oracle: torch.Tensor, atol: float = 1e-5) -> bool:
    """Close, and not because every picture is scored alike."""
    return oracle.std(dim=0).max() > 0.01 and torch.allclose(ours, oracle, atol=atol)


def test_the_vocabulary_written_here_is_clips_own(models):
    ours, theirs = models["clip"].tokenize, open_clip.tokenizer.SimpleTokenizer()
    assert ours(["a photo of a cat"])["input_ids"].tolist() == [[49406, 320, 1125, 539, 320, 2368, 49407]]
    for text in [*ALL, "Hello, it's CT #12!", "lesion " * 100]:  # the last is cut at 77 tokens
        ids, padded = ours([text])["input_ids"][0], theirs([text])[0]
        assert ids.tolist() == padded[padded > 0].tolist()


@pytest.mark.parametrize("name", ["clip", "clip_b16", "pubmedclip"])
def test_clip_scores_as_the_pipeline_of_transformers(models, name):
    pipeline = transformers.pipeline("zero-shot-image-classification", BASELINES[name].repository, device="cpu")
    rgb = pictures(48)  # resized by the same kernel from the same 8 bits: only the order of sums differs
    names = ["Cyst", "Focal Nodular Hyperplasia", "Hepatocellular Carcinoma", "Hemangioma"]
    answers = pipeline(as_pil(rgb), candidate_labels=names, hypothesis_template="A CT scan of tumors {}.")
    oracle = torch.tensor([[{a["label"]: a["score"] for a in answer}[n] for n in names] for answer in answers])
    assert agree(classify(models[name], rgb, SIMPLE), oracle)


def test_clip_sees_what_openais_preprocessing_shows(models):
    """PIL and torchvision round differently, by one level of 256; another kernel, crop or mean is many levels off."""
    theirs = open_clip.image_transform(32, is_train=False, mean=CLIP_MEAN, std=CLIP_SD)
    wide = as_pil(interpolate(pictures(16), size=(60, 90), mode="bilinear"))
    ours = models["clip"].preprocess(wide)
    assert ours.shape == (3, 3, 32, 32)
    assert (ours - torch.stack([theirs(picture) for picture in wide])).abs().max() < 1.01 / 255 / min(CLIP_SD)


@pytest.fixture(scope="module")
def from_the_hub(medclip_parts):
    """BiomedCLIP as its card loads it: (network, preprocessing, tokenizer)."""
    network, preprocess = open_clip.create_model_from_pretrained(f"hf-hub:{BIOMEDCLIP}")
    return network.eval(), preprocess, open_clip.get_tokenizer(f"hf-hub:{BIOMEDCLIP}")


def test_biomedclip_scores_as_open_clip_does(models, from_the_hub):
    network, preprocess, tokenizer = from_the_hub
    rgb = pictures(40)
    with torch.no_grad():
        pixels = torch.stack([preprocess(picture) for picture in as_pil(rgb)])
        oracle = network.get_logits(pixels, tokenizer([prompt for (prompt,) in SIMPLE]))[0].softmax(dim=1)
    assert agree(classify(models["biomedclip"], rgb, SIMPLE), oracle)


def test_an_ensemble_of_features_is_open_clips_zero_shot_classifier(models, from_the_hub):
    network, _, tokenizer = from_the_hub
    templates = [lambda c, v=v: MEDICAL[c][v] for v in range(16)]
    oracle = open_clip.build_zero_shot_classifier(network, tokenizer, range(4), templates)  # (d, C)
    assert agree(class_embeddings(models["biomedclip"], MEDICAL), oracle.T)


def medclip_forward(parts, rgb, prompts):
    """The authors' preprocessing, forward pass and ensemble, in a few lines of their own: pixels, (B, C) logits."""
    _, vision, text, weights = parts
    grey = np.stack([np.asarray(picture.convert("L")) for picture in as_pil(rgb)]).astype(np.float32) / 255
    pixels = torch.tensor((grey - 0.5862785803043838) / 0.27950088968644304)[:, None].repeat(1, 3, 1, 1)
    image = vision(pixels).pooler_output @ weights["vision_model.projection_head.weight"].T
    image = image / image.norm(dim=1, keepdim=True)
    tokenizer, similar = transformers.BertTokenizer.from_pretrained(MEDCLIP_TEXT), []
    for variants in prompts:
        tokens = tokenizer(variants, truncation=True, max_length=77, padding=True, return_tensors="pt")
        states = text(tokens["input_ids"], tokens["attention_mask"], output_hidden_states=True)["hidden_states"]
        words = sum(states[layer].mean(dim=1) for layer in (1, 2, 3)) / 3  # of 3 layers, the third is the last
        embedded = words @ weights["text_model.projection_head.weight"].T
        embedded = embedded / embedded.norm(dim=1, keepdim=True)
        similar.append((weights["logit_scale"].clamp(0, 4.6052).exp() * image @ embedded.T).mean(dim=1))
    return pixels, torch.stack(similar, dim=1)


@pytest.mark.parametrize("prompts", [SIMPLE, MEDICAL], ids=["simple", "medical"])
def test_medclip_scores_as_its_authors_code(models, medclip_parts, prompts):
    rgb = pictures(32)  # of the network's size: no resizing, so nothing is rounded
    with torch.no_grad():
        pixels, logits = medclip_forward(medclip_parts, rgb, prompts)
    assert torch.allclose(models["medclip"].preprocess(as_pil(rgb)), pixels, atol=1e-5)
    assert agree(classify(models["medclip"], rgb, prompts), logits.softmax(dim=1), atol=1e-4)


@any_baseline
def test_only_with_medclip_a_text_depends_on_its_batch(models, name):
    short, long = SIMPLE[0][0], max(ALL, key=len)
    alone, beside = models[name].encode_texts([short])[0], models[name].encode_texts([short, long])[0]
    assert ((alone - beside).abs().max() > 1e-2) == (name == "medclip")


@any_baseline
def test_ensembles_average_what_their_prompts_say_in_any_order(models, name):
    model, rgb = models[name], pictures(32)
    image, texts = model.encode_images(rgb), [model.encode_texts(variants) for variants in MEDICAL]
    assert torch.allclose(image.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.equal(model.encode_images((rgb - 0.4 / 255).clamp(0)), image)  # rounded to the same 8 bits
    if name == "medclip":
        logits = [model.logit_scale * (image @ text.T).mean(dim=1) for text in texts]
    else:
        logits = [model.logit_scale * image @ normalize(text.sum(dim=0), dim=0) for text in texts]
    turned = [variants[::-1] for variants in MEDICAL]
    assert torch.allclose(classify(model, rgb, turned), torch.stack(logits, dim=1).softmax(dim=1), atol=1e-4)
    assert torch.allclose(class_embeddings(model, SIMPLE[:1]), model.encode_texts(SIMPLE[0]), atol=1e-6)  # of one


def test_inputs_follow_the_network_to_its_device(models):
    elsewhere = torch.nn.Linear(1, 1, device="meta")
    towers = dict(
        image_features=lambda pixels: pixels.flatten(1), text_features=lambda input_ids, **_: input_ids.float()
    )
    model = replace(models["clip"], network=elsewhere, **towers)
    assert model.encode_images(pictures(32)).device.type == "meta"
    assert model.encode_texts(["a", "b"]).device.type == "meta"


@any_baseline
def test_a_folder_of_snapshots_is_read_as_the_cache_is(models, name, folder):
    rgb = pictures(32)
    assert torch.equal(classify(load(name, folder), rgb, SIMPLE), classify(models[name], rgb, SIMPLE))


def test_what_is_downloaded_suffices_and_holds_no_bin_beside_safetensors(models, folder, tmp_path, monkeypatch):
    def download(repository, allow_patterns, local_files_only):
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not cached")
        (tmp_path / repository).mkdir(parents=True, exist_ok=True)
        for file in (folder / repository).iterdir():
            if file.name in allow_patterns:
                shutil.copy(file, tmp_path / repository)
        return str(tmp_path / repository)

    (folder / CLIP / "pytorch_model.bin").write_text("the same weights again")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    for name, model in models.items():
        assert torch.equal(load(name).encode_texts(SIMPLE[0]), model.encode_texts(SIMPLE[0]))
    assert not (tmp_path / CLIP / "pytorch_model.bin").exists()


def test_medclip_is_unpacked_from_its_authors_zip(medclip_parts, tmp_path, empty_cache, monkeypatch):
    with zipfile.ZipFile(tmp_path / "medclip.zip", "w") as archive:
        archive.write(medclip_parts[0], "pytorch_model.bin")
    monkeypatch.setattr(zero_shot, "MEDCLIP_ZIP", (tmp_path / "medclip.zip").as_uri())
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    first = load("medclip").encode_texts(SIMPLE[0])
    (tmp_path / "medclip.zip").unlink()
    assert torch.equal(load("medclip").encode_texts(SIMPLE[0]), first)  # now from the cache


@pytest.mark.usefixtures("empty_cache")
@any_baseline
def test_weights_that_cannot_be_had_are_an_error_that_says_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    (snapshot(BASELINES[name].repository) / "config.json").write_text("{}")  # part of a snapshot is none
    with pytest.raises(InputError, match="neither cached nor reachable: run once with a network") as caught:
        load(name)
    assert str(caught.value).startswith(BASELINES[name].repository)


LACKING = [("clip", CLIP, "preprocessor_config.json"), ("medclip", MEDCLIP, "pytorch_model.bin")]
LACKING += [("biomedclip", BIOMEDBERT, "vocab.txt"), ("medclip", MEDCLIP_VISION, "config.json")]


@pytest.mark.parametrize(("name", "repository", "file"), LACKING)
def test_a_snapshot_that_lacks_a_file_is_refused(name, repository, file, folder):
    (folder / repository / file).unlink()
    with pytest.raises(InputError, match=f"{repository}: no {file}"):
        load(name, folder)


def change(folder: Path, name: str, edit):
    """Edit the state dict of a baseline in place."""
    (path,) = (folder / BASELINES[name].repository).glob("*model.*[sn]")
    read, write = (load_file, save_file) if path.suffix == ".safetensors" else (torch.load, torch.save)
    weights = read(path)
    edit(weights)
    write(weights, path)


class Trap:
    """Pickled, it would write a file when it is read."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("name", ["pubmedclip", "biomedclip", "medclip"])
def test_a_checkpoint_that_would_run_code_is_refused(name, folder, tmp_path):
    change(folder, name, lambda weights: weights.update(trap=Trap(tmp_path / "sprung")))
    with pytest.raises(InputError, match=f"{BASELINES[name].repository}: its files cannot be read"):
        load(name, folder)
    assert not (tmp_path / "sprung").exists()


MISSING = [("clip", "visual_projection.weight"), ("biomedclip", "visual.head.proj.weight")]
MISSING += [("medclip", f"vision_model.{part}") for part in ("model.layernorm.bias", "projection_head.weight")]


@pytest.mark.parametrize(("name", "weight"), MISSING)
def test_weights_that_are_missing_are_not_made_up(name, weight, folder):
    change(folder, name, lambda weights: weights.pop(weight))
    with pytest.raises(InputError, match="cannot be read"):
        load(name, folder)


@pytest.mark.parametrize(("name", "repository"), [("biomedclip", BIOMEDBERT), ("medclip", MEDCLIP_TEXT)])
def test_a_vocabulary_that_is_not_the_networks_is_refused(name, repository, folder):
    with open(folder / repository / "vocab.txt", "a") as file:
        file.write("another\n")
    with pytest.raises(InputError, match=r"a vocabulary of \d+ tokens for a network of"):
        load(name, folder)


def test_unknown_models_and_pictures_not_in_0_to_1_are_refused(models):
    with pytest.raises(InputError, match="'gpt' is unknown: choose one of clip, clip_b16, pubmedclip, biomedclip"):
        load("gpt")
    for wrong in (pictures(8) * 2 - 1, pictures(8)[:, :1], pictures(8) + 1):
        with pytest.raises(InputError, match="`to_rgb` makes"):
            models["clip"].encode_images(wrong)


@pytest.mark.parametrize("rgb", ["stack", "PV"])
def test_a_set_is_classified_slice_by_slice(models, toy, rgb):
    model, some = models["pubmedclip"], np.array([39, 0, 33])
    prob = zero_shot.zero_shot_probabilities(toy, model, "simple", rgb, progress=False)  # 40 slices, two batches
    assert prob.dtype == np.float64
    assert prob.shape == (40, 4)
    assert np.allclose(prob[some], classify(model, to_rgb(images(toy, some), toy.phases, rgb), SIMPLE), atol=1e-5)


# ---- the same models as towers for key slices


@any_baseline
def test_a_published_model_reads_slices_and_sentences_and_learns_from_their_pairs(models, folder, name):
    """A step in which the slices find their sentences, as for the book's own towers; on a model of this test's own."""
    towers, grey = PictureTowers(load(name, folder)), 2 * pictures(32)[:, :1] - 1
    seen = encode_slices(towers, grey)
    assert torch.allclose(seen, models[name].encode_images(pictures(32)[:, :1].expand(-1, 3, -1, -1)), atol=1e-5)
    texts = [variants[0] for variants in MEDICAL[:3]]
    before = slice_scores(towers, seen, texts)
    with torch.inference_mode():
        assert np.allclose(before, models[name].encode_texts(texts) @ seen.T, atol=1e-5)
    assert np.abs(before).max() <= 1 + 1e-5
    losses = train_selector(towers, grey.repeat(4, 1, 1, 1), texts * 4, epochs=1, progress=False)
    assert np.isfinite(losses).all()
    changed = slice_scores(towers, encode_slices(towers, grey), texts)
    assert np.abs(changed - before).max() > 1e-4
