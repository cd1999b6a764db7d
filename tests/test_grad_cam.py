"""Grad-CAM by the closed form, by hooks, and by two independent packages is the same map."""

import numpy as np
import pytest
import torch
from conftest import CLASSES
from torch import nn

from livervlm.base.compat import import_torchvision
from livervlm.base.errors import InputError
from livervlm.evaluation.grad_cam import class_score, grad_cam, grad_cam_at, on_pixels, phase_effect
from livervlm.models.encoders import ENCODERS, build_encoder
from livervlm.models.liver_vlm import LiverVLM
from livervlm.models.pretext import PhaseShuffle
from livervlm.models.settings import Config

import_torchvision()

PHASES = ("NC", "ART", "PV")


def model_with(head="text", **changes):
    torch.manual_seed(0)
    model = LiverVLM(Config(CLASSES, PHASES, head=head, **changes))
    for module in model.modules():  # as after training: batch norm with statistics of its own
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.eval()


@pytest.fixture
def pictures():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


# -- The same map, four ways ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["text", "prototypes", "fc"])
def test_the_closed_form_is_the_general_one(head, pictures):
    model = model_with(head)
    score = class_score(model)
    closed = grad_cam(model.encoder, score, pictures)
    assert closed.shape == (2, 4, 2, 2)
    assert torch.allclose(closed, grad_cam_at(model.encoder, score, pictures, model.encoder.body), atol=1e-6)


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "resnet18"])
def test_every_encoder_has_its_maps(name, pictures):
    torch.manual_seed(0)
    encoder = build_encoder(name, 3).eval()
    score = PhaseShuffle(encoder, 3).head
    closed = grad_cam(encoder, score, pictures)
    general = grad_cam_at(encoder, score, pictures, encoder.body)
    assert closed.shape[:2] == (2, 6)
    assert torch.allclose(closed, general, atol=1e-5 * general.abs().max().item())


@pytest.mark.parametrize("layer", [2, 4, 5, 6, 7])  # the stem's ReLU, works in place; the four stages
def test_captum_finds_the_same_maps_in_every_layer(layer, pictures):
    from captum.attr import LayerGradCam

    model = model_with()
    at = model.encoder.body[layer]
    maps = grad_cam_at(model.encoder, class_score(model), pictures, at)

    def cosines(x):
        return class_score(model)(model.encoder(x))

    for c in range(4):
        theirs = LayerGradCam(cosines, at).attribute(pictures.clone(), target=c, relu_attributions=False)
        assert torch.allclose(maps[:, c : c + 1], theirs, atol=1e-6 + 1e-5 * theirs.abs().max().item())


def test_the_package_grad_cam_shows_the_positive_part_rescaled(pictures):
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model = model_with("fc")
    maps = on_pixels(grad_cam(model.encoder, class_score(model), pictures), 64).numpy()
    with GradCAM(model, [model.encoder.body[-1]]) as package:
        for c in range(4):
            theirs = package(pictures, [ClassifierOutputTarget(c)] * 2)
            raw = grad_cam(model.encoder, class_score(model), pictures)[:, c].clamp(
                min=0
            )  # they cut before they spread
            ours = on_pixels(raw[:, None], 64)[:, 0].numpy()
            top = ours.max(axis=(1, 2), keepdims=True)
            assert theirs == pytest.approx(np.divide(ours, top, where=top > 0, out=np.zeros_like(ours)), abs=0.02)
    assert maps.min() < 0 < maps.max()


# -- What must hold of them -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["text", "prototypes"])
def test_a_cosine_has_maps_of_mean_zero_and_a_logit_has_not(head, pictures):
    """A cosine does not change with the length of the features, so along them its gradient is 0 (Euler)."""
    model, linear = model_with(head), model_with("fc")
    maps = grad_cam(model.encoder, class_score(model), pictures)
    assert maps.mean(dim=(2, 3)).abs().max() < 1e-4 * maps.abs().max()
    logits = grad_cam(linear.encoder, class_score(linear), pictures)
    with torch.no_grad():
        expected = (
            linear.head(linear.encoder(pictures), None) - linear.head.bias
        ) / 4  # the sum of a map is w . f / places
    assert torch.allclose(logits.mean(dim=(2, 3)), expected, atol=1e-6)


def test_a_score_of_one_feature_gives_that_feature_map(pictures):
    encoder = build_encoder("resnet18", 3).eval()
    with torch.no_grad():
        features = encoder.forward_features(pictures)
    maps = grad_cam(encoder, lambda f: f[:, [7, 9]], pictures)
    assert torch.allclose(maps, features[:, [7, 9]] / 4, atol=1e-7)


def test_a_phase_that_is_not_read_has_no_effect(pictures):
    encoder = build_encoder("resnet18", 3).eval()
    with torch.no_grad():
        encoder.body.conv1.weight[:, 1] = 0
    effect = phase_effect(encoder, lambda f: f[:, :2], pictures, pictures.flip(0))
    assert effect.shape == (2, 3, 2)
    assert effect[:, 1].abs().max() < 1e-6
    assert effect[:, [0, 2]].abs().min() > 1e-6
    assert phase_effect(encoder, lambda f: f[:, :2], pictures, pictures).abs().max() < 1e-6


# -- Nothing is left behind, and bad input is told --------------------------------------------------------------------


def hooks(encoder):
    return sum(len(module._forward_hooks) + len(module._backward_hooks) for module in encoder.modules())


def test_hooks_are_removed_whatever_happens(pictures):
    model = model_with()
    grad_cam_at(model.encoder, class_score(model), pictures, model.encoder.body[5])

    def fails(features):
        raise RuntimeError("no score")

    with pytest.raises(RuntimeError, match="no score"):
        grad_cam_at(model.encoder, fails, pictures, model.encoder.body[5])
    assert hooks(model.encoder) == 0
    assert all(w.grad is None for w in model.parameters())


def test_bad_layers_are_told(pictures):
    model, encoder = model_with(), build_encoder("video_swin_t", 3)
    with pytest.raises(InputError, match="layer Linear: not a part of this encoder"):
        grad_cam_at(model.encoder, class_score(model), pictures, nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"body\.features.*gives \(2, \d+, \d+, \d+, \d+\) and no map"):
        grad_cam_at(encoder, lambda f: f[:, :1], pictures, encoder.body.features)
    with pytest.raises(InputError, match=r"body\.layer4: gives \(2, 512, 1, 1\) and no map"):
        grad_cam_at(model.encoder, class_score(model), pictures[:, :, :32, :32], model.encoder.body.layer4)


def test_maps_do_not_ask_for_a_device(pictures):
    with torch.device("meta"):
        encoder = build_encoder("resnet18", 3)
        maps = grad_cam(encoder, lambda f: f[:, :3], torch.empty(2, 3, 64, 64))
    assert maps.device.type == "meta"
    assert maps.shape == (2, 3, 2, 2)
