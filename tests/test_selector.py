"""The selector: slices and sentences in one space, taught by pairs; any other pair of towers fits in its place."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from livervlm.base.errors import InputError
from livervlm.models.selector import WIDTH, SliceTowers, best_slices, slice_scores, train_selector
from livervlm.models.tiny_clip import TinyCLIP

PLACES = ("top", "bottom", "left", "right")


def marked(n: int, seed: int = 0) -> tuple[torch.Tensor, list[str]]:
    """Slices (n, 2, 32, 32) of noise with a bright half, and the sentence that names the half."""
    generator = torch.Generator().manual_seed(seed)
    images, texts = 0.2 * torch.rand(n, 2, 32, 32, generator=generator), []
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
    model = SliceTowers(2, text_encoder="random")
    images, texts = marked(64)
    loss = train_selector(model, images, np.arange(64), texts, epochs=15, progress=False)
    return model, loss


def test_unit_vectors_of_one_width(taught):
    model, _ = taught
    images, texts = marked(3)
    for found in (model.encode_images(images), model.encode_texts(texts)):
        assert found.shape == (3, WIDTH)
        assert torch.allclose(found.norm(dim=1), torch.ones(3), atol=1e-5)
    assert 1 < model.logit_scale <= 100


def test_a_taught_selector_finds_slices_that_it_has_not_seen(taught):
    model, loss = taught
    images, texts = marked(40, seed=9)
    scores = slice_scores(model, images, texts[:4])
    assert scores.shape == (4, 40)
    for place, row in enumerate(scores):
        assert set(best_slices(row, 8) % 4) == {place}
    assert loss[-1] < loss[0]


def test_pairs_with_one_sentence_are_no_wrong_answers_to_each_other():
    """With a single sentence there is nothing to tell apart, and the loss is 0."""
    torch.manual_seed(0)
    model = SliceTowers(2, text_encoder="random")
    images, _ = marked(8)
    loss = train_selector(model, images, np.arange(8), ["one and the same"] * 8, epochs=1, progress=False)
    assert loss == pytest.approx([0.0], abs=1e-6)


def test_taught_on_permuted_pairs_it_does_not_find_them():
    torch.manual_seed(0)
    model = SliceTowers(2, text_encoder="random")
    images, texts = marked(64)
    shuffled = [texts[i] for i in np.random.default_rng(0).permutation(64)]
    train_selector(model, images, np.arange(64), shuffled, epochs=15, progress=False)
    images, texts = marked(40, seed=9)
    best = slice_scores(model, images, texts[:4]).argmax(axis=1) % 4
    assert (best == np.arange(4)).sum() < 4


def test_scores_are_the_cosine_whatever_the_size_of_the_batch(taught, monkeypatch):
    model, _ = taught
    images, texts = marked(11, seed=3)
    whole = slice_scores(model, images, texts[:2])
    monkeypatch.setattr("livervlm.models.selector.BATCH", 4)
    assert np.allclose(slice_scores(model, images, texts[:2]), whole, atol=1e-5)
    with torch.inference_mode():
        by_hand = normalize(model.encode_texts(texts[:2]), dim=1) @ normalize(model.encode_images(images), dim=1).T
    assert np.allclose(whole, by_hand.numpy(), atol=1e-5)


def test_other_towers_fit_in():
    scores = slice_scores(TinyCLIP(), torch.rand(5, 3, 40, 40), ["a red circle", "a blue ring"])
    assert scores.shape == (2, 5)
    assert np.abs(scores).max() <= 1 + 1e-5


@pytest.mark.parametrize(("scores", "k", "wanted"), [([0.1, 0.9, 0.5], 2, [1, 2]), ([1, 1, 0], 5, [0, 1, 2])])
def test_the_best_slices_come_first(scores, k, wanted):
    assert best_slices(np.array(scores), k).tolist() == wanted


@pytest.mark.parametrize(
    ("images", "texts", "said"),
    [
        (torch.rand(0, 2, 8, 8), ["a cyst"], "slices of shape (0, 2, 8, 8)"),
        (torch.rand(2, 8, 8), ["a cyst"], "slices of shape (2, 8, 8)"),
        (torch.rand(1, 2, 8, 8), ["a cyst", " ."], "sentence 2 is empty: write what is to be found"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(images, texts, said):
    with pytest.raises(InputError, match="^" + said.replace("(", r"\(").replace(")", r"\)")):
        slice_scores(SliceTowers(2, text_encoder="random"), images, texts)


def test_pairs_need_one_of_each():
    with pytest.raises(InputError, match="2 slices and 1 sentences: give each pair one of each"):
        train_selector(SliceTowers(2), torch.rand(2, 2, 8, 8), np.arange(2), ["a cyst"], epochs=1)
