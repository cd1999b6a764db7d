"""The selector: slices and sentences in one space, taught by pairs; any other pair of towers fits in its place."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from livervlm.base.errors import InputError
from livervlm.models.selector import best_slices, encode_slices, jiggled, slice_scores, train_selector
from livervlm.models.tiny_clip import TinyCLIP, tokenize
from livervlm.models.towers import LONGEST, WIDTH, PictureTowers, SliceTowers

PLACES = ("top", "bottom", "left", "right")


def marked(n: int, seed: int = 0) -> tuple[torch.Tensor, list[str]]:
    """Slices (n, 1, 32, 32) of noise with a bright half, and the sentence that names the half."""
    generator = torch.Generator().manual_seed(seed)
    images, texts = 0.2 * torch.rand(n, 1, 32, 32, generator=generator), []
    for i in range(n):
        place = PLACES[i % 4]
        half = {"top": (slice(0, 16), slice(None)), "bottom": (slice(16, 32), slice(None))}
        half |= {"left": (slice(None), slice(0, 16)), "right": (slice(None), slice(16, 32))}
        images[(i, slice(None), *half[place])] += 0.6
        texts.append(f"the bright half is at the {place}")
    return images, texts


@pytest.fixture(scope="module")
def taught():
    torch.manual_seed(0)
    model = SliceTowers(text_encoder="random")
    images, texts = marked(64)
    loss = train_selector(model, images, texts, epochs=15, progress=False)
    return model, loss


def test_unit_vectors_of_one_width(taught):
    model, _ = taught
    images, texts = marked(3)
    for found in (model.encode_images(images), model.encode_tokens(model.tokens(texts))):
        assert found.shape == (3, WIDTH)
        assert torch.allclose(found.norm(dim=1), torch.ones(3), atol=1e-5)
    assert 1 < model.logit_scale <= 100


def test_a_taught_selector_finds_slices_that_it_has_not_seen(taught):
    model, loss = taught
    images, texts = marked(40, seed=9)
    found = slice_scores(model, encode_slices(model, images), texts[:4])
    assert found.shape == (4, 40)
    for place, row in enumerate(found):
        assert set(best_slices(row, 8) % 4) == {place}
    assert loss[-1] < loss[0]


def test_pairs_with_one_sentence_are_no_wrong_answers_to_each_other():
    """With a single sentence there is nothing to tell apart, and the loss is 0."""
    torch.manual_seed(0)
    model = SliceTowers(text_encoder="random")
    images, _ = marked(8)
    loss = train_selector(model, images, ["one and the same"] * 8, epochs=1, progress=False)
    assert loss == pytest.approx([0.0], abs=1e-6)


def test_taught_on_permuted_pairs_it_does_not_find_them():
    torch.manual_seed(0)
    model = SliceTowers(text_encoder="random")
    images, texts = marked(64)
    shuffled = [texts[i] for i in np.random.default_rng(0).permutation(64)]
    train_selector(model, images, shuffled, epochs=15, progress=False)
    images, texts = marked(40, seed=9)
    best = slice_scores(model, encode_slices(model, images), texts[:4]).argmax(axis=1) % 4
    assert (best == np.arange(4)).sum() < 4


def test_scores_are_the_cosine_whatever_the_size_of_the_batch(taught, monkeypatch):
    model, _ = taught
    images, texts = marked(11, seed=3)
    whole = slice_scores(model, encode_slices(model, images), texts[:2])
    monkeypatch.setattr("livervlm.models.selector.BATCH", 4)
    assert np.allclose(slice_scores(model, encode_slices(model, images), texts[:2]), whole, atol=1e-5)
    with torch.inference_mode():
        text, seen = model.encode_tokens(model.tokens(texts[:2])), model.encode_images(images)
        by_hand = normalize(text, dim=1) @ normalize(seen, dim=1).T
    assert np.allclose(whole, by_hand.numpy(), atol=1e-5)


@pytest.mark.parametrize(("scores", "k", "wanted"), [([0.1, 0.9, 0.5], 2, [1, 2]), ([1, 1, 0], 5, [0, 1, 2])])
def test_the_best_slices_come_first(scores, k, wanted):
    assert best_slices(np.array(scores), k).tolist() == wanted


def test_a_jiggled_slice_keeps_its_sides_and_loses_a_square():
    images = -torch.ones(200, 1, 32, 32)
    images[:, :, 4:28, 2:14] = 1.0  # a bar on the left
    moved = jiggled(images, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    left, right = moved[..., :16].mean(dim=(1, 2, 3)), moved[..., 16:].mean(dim=(1, 2, 3))
    assert (left > right + 0.2).all()
    black = (jiggled(torch.ones(50, 1, 32, 32), torch.Generator().manual_seed(1)) == -1).sum(dim=(1, 2, 3))
    assert black.max() == 64  # 8 x 8, less where it reaches over the edge
    assert 16 <= black.min() < 64


# ---- towers made for coloured pictures


def test_the_toy_clip_sees_a_slice_in_grey():
    clip = TinyCLIP().eval()
    towers, (images, _) = PictureTowers(clip), marked(3)
    grey = ((images + 1) / 2).clamp(0, 1).repeat(1, 3, 1, 1)
    with torch.inference_mode():
        assert torch.allclose(towers.encode_images(images), clip.encode_images(grey))
        said = towers.encode_tokens(towers.tokens(["a red circle"]))
        assert torch.allclose(said, clip.encode_texts(["a red circle"]))


def test_new_words_leave_the_old_ones_as_they_were():
    clip = TinyCLIP(seed=3).eval()
    more = clip.with_words(["A cyst in the liver.", "a red liver"]).eval()
    assert more.words == (*clip.words, "cyst", "in", "the", "liver")
    with torch.inference_mode():
        assert torch.allclose(clip.encode_texts(["a red ring"]), more.encode_texts(["a red ring"]), atol=1e-6)
    assert tokenize(["a cyst"], more.words).tolist() != tokenize(["a liver"], more.words).tolist()
    assert clip.tokens(["a cyst"]).tolist() == clip.tokens(["a liver"]).tolist()  # both are unknown to it


def test_the_toy_clip_learns_what_slices_show():
    images, texts = marked(64)
    torch.manual_seed(0)
    towers = PictureTowers(TinyCLIP().with_words(texts))
    loss = train_selector(towers, images, texts, epochs=15, progress=False)
    assert loss[-1] < 0.7 * loss[0]
    assert towers.log_scale.grad is not None


# ---- kept, and read again


def test_saved_towers_answer_the_same(taught, tmp_path):
    model, _ = taught
    model.save_pretrained(tmp_path / "towers", {"commit": "abc"})
    again = SliceTowers.from_pretrained(tmp_path / "towers")
    images, texts = marked(5)
    assert np.allclose(*(slice_scores(one, encode_slices(one, images), texts[:2]) for one in (model, again)), atol=1e-6)
    (tmp_path / "towers" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"towers: model\.safetensors does not fit config\.json"):
        SliceTowers.from_pretrained(tmp_path / "towers")


# ---- what cannot be


@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (2, 8, 8), (4, 3, 8, 8)])
def test_slices_are_grey_pictures_and_one_at_least(shape):
    with pytest.raises(InputError, match=r"slices of shape .*: give one slice or more, \(S, 1, H, W\)"):
        encode_slices(SliceTowers(text_encoder="random"), torch.rand(*shape))


def test_sentences_are_neither_empty_nor_too_long(taught):
    model, _ = taught
    seen = encode_slices(model, marked(2)[0])
    with pytest.raises(InputError, match="sentence 2 is empty: write what is to be found"):
        slice_scores(model, seen, ["a cyst", " ."])
    with pytest.raises(InputError, match=f"sentence of {LONGEST + 1} words: give one finding"):
        slice_scores(model, seen, ["cyst " * (LONGEST + 1)])
    clip = PictureTowers(TinyCLIP())
    assert clip.tokens(["ring " * 21]).shape == (1, 23)
    with pytest.raises(InputError, match="sentence of 22 words: too long for these towers"):
        clip.tokens(["ring " * 22])


def test_pairs_need_one_of_each():
    with pytest.raises(InputError, match="2 slices and 1 sentences: give each pair one of each"):
        train_selector(SliceTowers(), torch.rand(2, 1, 8, 8), ["a cyst"], epochs=1)
