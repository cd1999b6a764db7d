"""Training by a recipe: where a model starts, what it sees, and what its pretext may see."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from livervlm.base.errors import InputError
from livervlm.base.profiles import PROFILES
from livervlm.models import trainer, training
from livervlm.models.liver_vlm import LiverVLM
from livervlm.models.pretext import border_level
from livervlm.models.settings import Config, Recipe
from livervlm.models.text import text_bank
from livervlm.models.trainer import config_for, train_model
from livervlm.scans.phases import shuffle
from livervlm.scans.windowing import images, window


def test_a_config_takes_the_data_and_the_profile_and_then_the_choices(toy, quick):
    made = config_for(toy, quick, head="prototypes", logit_scale=1.0)
    assert made == Config(toy.classes, toy.phases, head="prototypes", text_encoder="minilm", logit_scale=1.0)
    assert config_for(toy, PROFILES["paper"]).text_encoder == "bert"
    assert config_for(toy, PROFILES["smoke"]).encoder == "resnet18"  # `quick` stands in its place
    assert config_for(toy, replace(quick, encoder="resnet10_narrow")).encoder == "resnet10_narrow"
    assert config_for(toy, replace(quick, encoder="resnet10_narrow"), encoder="resnet50").encoder == "resnet50"


@pytest.fixture
def fits(monkeypatch):
    """What is trained: the kind of network, its weights before, and the settings."""
    seen, real = [], trainer.fit

    def spy(model, data, **settings):
        start = {name: value.clone() for name, value in model.state_dict().items()}
        seen.append((type(model).__name__, start, data, settings))
        return real(model, data, **settings)

    monkeypatch.setattr(trainer, "fit", spy)
    return seen


@pytest.fixture
def train(toy, quick, tiny_encoder, empty_cache):
    def run(recipe=None, lesions=toy, index=None, profile=quick, seed=0, **choices):
        index = np.arange(len(lesions)) if index is None else index
        config = config_for(lesions, profile, **{"text_encoder": "random", **choices})
        return train_model(lesions, index, config, profile, recipe, seed=seed, progress=False)

    return run


@pytest.mark.parametrize("field", ["init", "probe", "augmentation", "geometry"])
def test_an_unknown_recipe_is_refused_with_the_choices_before_anything_is_trained(train, fits, field):
    with pytest.raises(InputError, match=rf"recipe: {field} 'magic' is unknown: choose one of .+"):
        train(Recipe(**{"init": "phase_shuffle", field: "magic"}))
    assert not fits


@pytest.mark.parametrize("init", ["phase_shuffle", "simsiam"])
def test_training_starts_from_the_encoder_of_the_pretext_and_only_from_that(train, fits, init):
    train(Recipe(init=init))
    (kind, first, data, _), (_, start, _, _) = fits
    assert kind == {"phase_shuffle": "PhaseShuffle", "simsiam": "SimSiam"}[init]
    assert not data.get("label", torch.zeros(1)).any()  # the pretext is given no labels
    mine = {name: value for name, value in start.items() if name.startswith("encoder.")}
    assert any(not torch.equal(value, first[name]) for name, value in mine.items())  # it has learned something
    train(Recipe(init=init))
    assert [kind for kind, *_ in fits].count(kind) == (1 if kind != "LiverVLM" else 2)  # read from the cache
    again = fits[-1][1]
    assert all(torch.equal(value, again[name]) for name, value in mine.items())


def test_a_pretext_of_other_images_settings_or_seed_is_another(train, fits, toy, quick):
    train(Recipe("phase_shuffle"))
    train(Recipe("phase_shuffle"), index=np.flatnonzero(toy.group != 1))
    train(Recipe("phase_shuffle"), seed=1)
    train(Recipe("phase_shuffle"), profile=replace(quick, epochs=3))
    train(Recipe("phase_shuffle", probe="level removed"))
    train(Recipe("phase_shuffle", geometry="flips"))
    assert [kind for kind, *_ in fits].count("PhaseShuffle") == 6


def test_a_pretext_has_the_same_steps_with_and_without_unlabelled_patients(train, fits, toy, quick, monkeypatch):
    pool = torch.rand(60, 3, 16, 16)
    monkeypatch.setattr(trainer, "unlabelled_images", lambda pictures, patients, seed: pool)
    train(Recipe("phase_shuffle", unlabelled=9), profile=replace(quick, epochs=10))
    _, _, data, settings = fits[0]
    assert len(data["image"]) == 100
    assert torch.equal(data["image"][40:], pool)
    assert settings["epochs"] == 4  # 100 images four times, as 40 ten times


def test_a_probe_changes_what_the_pretext_sees_and_not_what_the_model_sees(train, fits, toy):
    train(Recipe("phase_shuffle", probe="level removed"))
    pictures = images(toy)
    assert torch.allclose(fits[0][2]["image"], pictures - border_level(pictures)[:, :, None, None])
    assert torch.equal(window(fits[1][2]["image"]), pictures)


def test_a_damaged_pretext_is_refused(train, empty_cache):
    train(Recipe("phase_shuffle"))
    (path,) = (empty_cache / "pretext").glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"pretext.*: not the weights of this pretext; delete it"):
        train(Recipe("phase_shuffle"))


def test_a_model_learns_from_hounsfield_units_what_it_would_from_windowed_pictures(train, toy, quick):
    bounds = (-100.0, 300.0)
    from_hu, _ = train(head="fc", window=bounds)
    torch.manual_seed(0)
    model = LiverVLM(config_for(toy, quick, head="fc", window=bounds))
    data = training.to_device(images(toy, bounds=bounds), torch.from_numpy(toy.label), torch.device("cpu"))
    training.fit(model, data, epochs=quick.epochs, progress=False)
    assert all(torch.equal(value, from_hu.state_dict()[name]) for name, value in model.state_dict().items())


def test_augmentation_and_epochs_reach_the_loop(train, fits):
    train(Recipe(augmentation="matched", epochs=3))
    assert fits[0][3]["task"].__name__ == "matched"
    assert fits[0][3]["epochs"] == 6


@pytest.mark.parametrize(
    ("mine", "profiles", "used"),
    [(None, "none", "none"), (None, "flips", "flips"), ("affine", "flips", "affine"), ("none", "flips", "none")],
)
def test_pretext_and_training_move_their_pictures_as_the_recipe_says_else_as_the_profile(
    train, fits, quick, monkeypatch, mine, profiles, used
):
    asked = []
    monkeypatch.setattr(trainer, "moved", lambda task, geometry: asked.append(geometry) or task)
    train(Recipe("phase_shuffle", geometry=mine), profile=replace(quick, geometry=profiles))
    assert asked == [used, used]


def test_the_mean_over_orders_does_not_know_the_order_it_is_given(train, toy):
    model, _ = train(head="fc")
    pictures = images(toy)
    turned = shuffle(pictures, torch.full((40,), 3))
    mean = training.predict(model, pictures, every_order=True)
    assert torch.allclose(mean, training.predict(model, turned, every_order=True), atol=1e-5)
    assert not torch.allclose(training.predict(model, pictures), training.predict(model, turned), atol=1e-3)
    single = torch.stack([training.predict(model, shuffle(pictures, torch.full((40,), o))) for o in range(6)])
    assert torch.allclose(mean, single.mean(0), atol=1e-5)


def test_permuted_class_names_give_each_class_the_prompt_of_another(toy, quick):
    plain, permuted = (
        text_bank("simple", names, toy.phases, "minilm") for names in (toy.classes, ("FNH", "HCC", "HEM", "CYST"))
    )
    model = LiverVLM(config_for(toy, quick, template="simple", class_names=("FNH", "HCC", "HEM", "CYST")))
    assert torch.equal(model.head.text, permuted)
    assert torch.equal(permuted[:, [3, 0, 1, 2]], plain)


def test_random_texts_are_unit_vectors_that_know_nothing_and_repeat():
    bank = text_bank("enriched", ("CYST", "FNH"), ("NC", "ART", "PV"), "random")
    assert bank.shape == (6, 2, 384)
    assert torch.allclose(bank.norm(dim=-1), torch.ones(6, 2), atol=1e-5)
    flat = bank.flatten(0, 1)
    assert (flat @ flat.T - torch.eye(12)).abs().max() < 0.3
    assert torch.equal(bank, text_bank("enriched", ("CYST", "FNH"), ("NC", "ART", "PV"), "random"))
