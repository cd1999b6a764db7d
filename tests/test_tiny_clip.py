"""The tiny CLIP: its loss against transformers' own, its pictures against their captions, and that it learns."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from livervlm.models import tiny_clip as tc
from livervlm.models.tiny_clip import WORDS, TinyCLIP, caption, compositions, contrastive, draw, info_nce, tokenize
from livervlm.models.training import fit

SEEN, HELD_OUT = compositions()


@pytest.fixture(scope="module")
def model():
    return TinyCLIP().eval()


def sentences_of(which):
    return [caption(composition) for composition in which]


# -- The loss ------------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_transformers(model):
    images, tokens = draw(SEEN[:6]), tokenize(sentences_of(SEEN[:6]))
    with torch.no_grad():
        oracle = model.clip(input_ids=tokens, pixel_values=2 * images - 1, return_loss=True)
        image, text = model.encode_images(images), model.encode_tokens(tokens)
        batch = {"image": images, "tokens": tokens, "label": torch.arange(6)}
        assert contrastive(model, batch, None).item() == pytest.approx(oracle.loss.item(), abs=1e-5)
    assert torch.allclose(image, oracle.image_embeds, atol=1e-6)
    assert torch.allclose(text, oracle.text_embeds, atol=1e-6)
    assert info_nce(oracle.logits_per_image).item() == pytest.approx(oracle.loss.item(), abs=1e-6)


@given(st.integers(1, 40), st.floats(-50, 50))
def test_a_loss_of_equal_logits_is_the_logarithm_of_the_batch(n, level):
    assert info_nce(torch.full((n, n), level)).item() == pytest.approx(math.log(n), abs=1e-4)


def test_a_loss_by_hand_is_symmetric_and_no_more():
    logits = torch.log(torch.tensor([[2.0, 1.0], [3.0, 4.0]]))  # rows 2/3, 4/7; columns 2/5, 4/5
    by_hand = -(math.log(2 / 3) + math.log(4 / 7) + math.log(2 / 5) + math.log(4 / 5)) / 4
    assert info_nce(logits).item() == pytest.approx(by_hand, abs=1e-6)
    assert info_nce(logits.T).item() == pytest.approx(by_hand, abs=1e-6)


def test_a_repeated_caption_is_no_wrong_answer_when_it_is_known():
    label = torch.tensor([0, 0, 0, 1])
    same = label[:, None] == label
    perfect = torch.where(same, 100.0, -100.0)
    assert info_nce(perfect).item() == pytest.approx(3 / 4 * math.log(3), abs=1e-5)
    assert info_nce(perfect, same).item() == pytest.approx(0, abs=1e-6)
    assert info_nce(perfect, torch.eye(4, dtype=torch.bool)) == info_nce(perfect)


def test_the_task_leaves_repeated_compositions_out(model):
    which = [SEEN[0]] * 3
    batch = {"image": draw(which), "tokens": tokenize(sentences_of(which)), "label": torch.zeros(3, dtype=torch.long)}
    assert contrastive(model, batch, None).item() == pytest.approx(0, abs=1e-6)
    assert contrastive(model, batch | {"label": torch.arange(3)}, None).item() > 1


# -- The words -----------------------------------------------------------------------------------------------


def test_a_sentence_comes_back_from_its_tokens():
    sentence = caption(SEEN[7], tc.TEMPLATES[1])
    (row,) = tokenize([sentence])
    words = [WORDS[token] for token in row]
    assert words == ["<start>", *sentence.split(), "<end>"]
    assert len(set(WORDS)) == len(WORDS)


def test_every_unknown_word_is_the_same_word():
    one, other, known = tokenize(["a striped hemangioma", "A striped, CYST!", "a striped circle"])
    assert torch.equal(one, other)
    assert WORDS[one[3]] == "<unk>"
    assert WORDS[known[3]] == "circle"


def test_shorter_sentences_are_padded_and_longer_ones_cut_before_their_end(model):
    tokens = tokenize(["red", "a " * 60])
    assert tokens.shape == (2, tc.CONTEXT)
    assert [WORDS[token] for token in tokens[0, :4]] == ["<start>", "red", "<end>", "<pad>"]
    assert WORDS[tokens[1, -1]] == "<end>"
    with torch.no_grad():  # padding changes nothing
        alone, beside = model.encode_texts(["red"]), model.encode_tokens(tokens)
    assert torch.allclose(alone[0], beside[0], atol=1e-5)


@pytest.mark.parametrize("pair", [("a plain red ring", "a dotted red ring"), ("triangle red plain", "triangle red a")])
def test_a_sentence_is_read_from_its_first_word_to_its_last(model, pair):
    with torch.no_grad():
        one, other = model.encode_texts(pair)
    assert one @ other < 0.9999


# -- The pictures --------------------------------------------------------------------------------------------


def test_held_out_compositions_are_new_but_their_words_and_pairs_of_words_are_not():
    assert len(SEEN) == 96
    assert len(HELD_OUT) == 24
    assert len(set(SEEN) | set(HELD_OUT)) == len(tc.TEXTURES) * len(tc.COLOURS) * len(tc.SHAPES)
    for composition in HELD_OUT:
        for left_out in range(3):
            pair = composition[:left_out] + composition[left_out + 1 :]
            assert any(seen[:left_out] + seen[left_out + 1 :] == pair for seen in SEEN)
    assert not {WORDS.index("<unk>")} & set(tokenize(sentences_of(SEEN + HELD_OUT)).flatten().tolist())


def test_pictures_are_those_of_their_seed():
    assert torch.equal(draw(SEEN[:3], 5), draw(SEEN[:3], 5))
    assert not torch.allclose(draw(SEEN[:3], 5), draw(SEEN[:3], 6))
    pictures = draw(SEEN[:1] * 2)
    assert pictures.shape == (2, 3, tc.SIZE, tc.SIZE)
    assert pictures.dtype == torch.float32
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    assert not torch.allclose(pictures[0], pictures[1])


def ink(pictures):
    """Where a picture is coloured, (N, SIZE, SIZE): the background is grey."""
    return ((pictures.amax(1) - pictures.amin(1)) > 0.17).numpy()


@pytest.mark.parametrize("colour", tc.COLOURS)
def test_a_picture_has_the_colour_of_its_caption(colour):
    pictures = draw([("plain", colour, "square")] * 20)
    where = ink(pictures)
    mean = np.array([p.numpy()[:, w].mean(1) for p, w in zip(pictures, where, strict=True)])  # (20, 3)
    distance = np.linalg.norm(mean[:, None] - np.array(list(tc.COLOURS.values())), axis=2)
    assert (distance.argmin(1) == list(tc.COLOURS).index(colour)).all()


def test_a_picture_has_the_shape_of_its_caption():
    area = {s: ink(draw([("plain", "red", s)] * 40, seed=2)).mean((1, 2)) for s in tc.SHAPES}
    mean = {shape: values.mean() for shape, values in area.items()}
    radius = np.mean([0.55, 0.75]) / 2  # of the side; its square is larger by the spread of the draws
    spread = 1 + (0.2**2 / 12) / 0.65**2
    exact = {
        "circle": math.pi,
        "ring": math.pi * 0.75,
        "square": 1.7**2,
        "cross": 2 * 2 * 0.7 - 0.7**2,  # two bars, less their overlap
        "triangle": 1.75**2 / 2,
    }
    for shape, value in exact.items():
        assert mean[shape] == pytest.approx(value * radius**2 * spread, rel=0.12), shape


def test_a_texture_darkens_as_much_as_its_pattern_says():
    dark = {}
    for texture in tc.TEXTURES:
        pictures = draw([(texture, "yellow", "square")] * 40, seed=3)
        middle = pictures[:, 0, 12:20, 12:20]  # red of the ink: bright 0.9, dark 0.27
        dark[texture] = (middle < 0.55).float().mean().item()
    assert dark["plain"] < 0.01
    assert dark["striped"] == pytest.approx(0.5, abs=0.1)
    assert dark["checkered"] == pytest.approx(0.5, abs=0.1)
    assert 0.1 < dark["dotted"] < 0.4


def test_stripes_run_one_way_and_checks_run_both():
    def change(texture):
        middle = draw([(texture, "yellow", "square")] * 40, seed=4)[:, 0, 10:22, 10:22]
        return [middle.diff(dim=axis).abs().mean().item() for axis in (1, 2)]

    down, across = change("striped")
    assert across > 1.5 * down
    down, across = change("checkered")
    assert across == pytest.approx(down, rel=0.2)


# -- The model -----------------------------------------------------------------------------------------------


def test_other_sizes_are_resized_to_its_own(model):
    pictures = draw(SEEN[:4])
    large = torch.nn.functional.interpolate(pictures, 4 * tc.SIZE, mode="nearest")
    with torch.no_grad():
        small, again = model.encode_images(pictures), model.encode_images(large)
    assert small.shape == (4, 64)
    assert torch.allclose(small.norm(dim=1), torch.ones(4), atol=1e-5)
    assert ((small * again).sum(1) > 0.99).all()


def test_weights_are_those_of_the_seed():
    one, again, other = (TinyCLIP(seed).clip.visual_projection.weight for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_short_training_names_colours_of_new_pictures():
    few = [("plain", colour, "square") for colour in tc.COLOURS]
    which = few * 16
    data = {"image": draw(which), "tokens": tokenize(sentences_of(which)), "label": torch.arange(96) % 6}
    model = TinyCLIP()
    loss = fit(model, data, contrastive, epochs=12, batch_size=24, lr=2e-3, progress=False)
    assert loss[-1] < 0.6 * loss[0]
    with torch.no_grad():
        cosine = model.eval().encode_images(draw(few * 10, seed=9)) @ model.encode_texts(sentences_of(few)).T
    right = (cosine.argmax(1) == torch.arange(60) % 6).float().mean()
    assert right > 0.6  # chance is 1 in 6
