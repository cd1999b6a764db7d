"""The model against independent computations, on disk, and placed on an accelerator that is not there."""

import json
import math

import pytest
import torch
from conftest import CLASSES
from safetensors.torch import load_file, save_file
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import cosine_similarity, cross_entropy

from livervlm.base.compat import import_torchvision
from livervlm.base.errors import InputError
from livervlm.models import liver_vlm as model
from livervlm.models import saved, text
from livervlm.models.encoders import build_encoder
from livervlm.models.liver_vlm import CosineHead, LiverVLM
from livervlm.models.saved import read_card
from livervlm.models.settings import Config
from livervlm.models.training import classification, train_step

PHASES = ("NC", "ART", "PV", "DL")


def config(head="text", n_phases=3, **choices) -> Config:
    return Config(CLASSES, PHASES[:n_phases], head=head, **choices)


def bank(n_phases=3, dim=20) -> torch.Tensor:
    return torch.randn(math.factorial(n_phases), 4, dim, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def small(tiny_encoder):
    """A text model around a tiny encoder, not in training."""
    torch.manual_seed(0)
    return LiverVLM(config(), bank()).eval()


@pytest.mark.parametrize("n_phases", [2, 3, 4])
@pytest.mark.parametrize("head", ["text", "prototypes", "fc"])
def test_every_head_answers_for_any_number_of_phases(head, n_phases):
    net = LiverVLM(config(head, n_phases), bank(n_phases)).eval()
    images = torch.randn(2, n_phases, 32, 32)
    assert net.encoder.forward_features(images).shape == (2, 512, 1, 1)
    assert net(images).shape == (2, 4)
    order = torch.tensor([0, math.factorial(n_phases) - 1])
    assert net(images, order).shape == (2, 4)


def test_unknown_head_and_encoder_are_refused():
    with pytest.raises(InputError, match="head 'mlp' is unknown: choose text, prototypes or fc"):
        LiverVLM(config("mlp"))
    with pytest.raises(InputError, match="image encoder 'vgg' is unknown: choose one of resnet18"):
        LiverVLM(config("fc", encoder="vgg"))


def test_encoder_is_torchvisions_resnet18():
    import_torchvision()
    from torchvision.models import resnet18

    torch.manual_seed(0)
    oracle = resnet18().eval()
    ours = build_encoder("resnet18", 3).eval()
    ours.body.load_state_dict({n: v for n, v in oracle.state_dict().items() if not n.startswith("fc.")})
    oracle.fc = torch.nn.Identity()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(ours(images), oracle(images), atol=1e-5)
        assert torch.allclose(ours.forward_features(images).mean((2, 3)), ours(images))


def test_cosine_is_that_of_the_projected_image_and_the_projected_text_of_its_order():
    torch.manual_seed(0)
    head = CosineHead(8, config(joint_dim=16), bank())
    features, order = torch.randn(5, 8), torch.tensor([0, 5, 2, 2, 3])
    cosine = head.cosine(features, order)
    for b in range(5):
        for c in range(4):
            wanted = cosine_similarity(head.fc_i.weight @ features[b], head.fc_t.weight @ head.text[order[b], c], dim=0)
            assert cosine[b, c].item() == pytest.approx(wanted.item(), abs=1e-6)
    assert torch.allclose(head(features, order), cosine / 0.07, atol=1e-5)


def test_prototypes_know_no_order():
    torch.manual_seed(0)
    head = CosineHead(8, config("prototypes", joint_dim=16), None)
    features = torch.randn(6, 8)
    cosine = head.cosine(features, torch.arange(6))
    for c in range(4):
        assert torch.allclose(cosine[:, c], cosine_similarity(head.fc_i(features), head.prototypes[:, c]), atol=1e-6)


def test_scale_starts_at_clips_and_stays_at_most_a_hundred():
    head = CosineHead(8, config(), bank())
    assert head.logit_scale.item() == pytest.approx(1 / 0.07)
    assert "log_scale" in dict(head.named_parameters())
    head.log_scale.data.fill_(9.0)
    assert head.logit_scale == 100


def test_a_fixed_scale_is_fixed_and_one_is_the_raw_cosine():
    head = CosineHead(8, config(logit_scale=1.0), bank())
    features, order = torch.randn(3, 8), torch.zeros(3, dtype=torch.long)
    assert torch.equal(head(features, order), head.cosine(features, order))
    assert "log_scale" not in dict(head.named_parameters())


def descend(loss, parameters, steps=400) -> float:
    optimizer = torch.optim.Adam(parameters, lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    return loss().item()


def test_the_papers_raw_cosine_cannot_learn_below_its_floor():
    torch.manual_seed(0)
    head = CosineHead(8, config("prototypes", joint_dim=8, logit_scale=1.0), None)
    images, label, order = torch.nn.Parameter(torch.randn(4, 8)), torch.arange(4), torch.zeros(4, dtype=torch.long)
    floor = descend(lambda: cross_entropy(head(images, order), label), [images, *head.parameters()])
    assert floor == pytest.approx(0.583, abs=1e-3)
    assert head(images, order).softmax(1).diag().tolist() == pytest.approx([0.558] * 4, abs=2e-3)
    best = descend(lambda: cross_entropy(head(images[:1], order[:1]), label[:1]), [images, *head.parameters()])
    assert math.exp(-best) == pytest.approx(0.711, abs=1e-3)


def test_text_model_knows_the_order_only_through_its_row_of_the_bank(small):
    images = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        before = small(images, torch.full((3,), 4))
        assert not torch.allclose(before, small(images))
        small.head.text[[0, 4]] = small.head.text[[4, 0]]
        assert torch.equal(before, small(images))


def test_only_projections_scale_and_encoder_are_learned(small):
    learned = {name for name, _ in small.head.named_parameters()}
    assert learned == {"fc_i.weight", "fc_t.weight", "log_scale"}
    assert not small.head.text.requires_grad


def test_the_bank_of_the_configs_prompts_is_used_when_none_is_given():
    net = LiverVLM(config(template="simple"))
    assert torch.equal(net.head.text, text.text_bank("simple", CLASSES, PHASES[:3], "minilm"))


@pytest.mark.parametrize("head", ["text", "prototypes", "fc"])
@pytest.mark.usefixtures("tiny_encoder")
def test_a_saved_model_answers_the_same_and_needs_no_text_encoder(head, tmp_path, monkeypatch):
    net = LiverVLM(config(head, window=(-100.0, 300.0)), bank())
    net(torch.randn(4, 3, 16, 16))  # moves the running means
    net.save_pretrained(tmp_path / "model", {"seed": 3})
    monkeypatch.setattr(model, "text_bank", None)
    again = LiverVLM.from_pretrained(tmp_path / "model")
    images, order = torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 5, 3])
    assert not again.training
    assert again.config == net.config
    assert torch.equal(again(images, order), net.eval()(images, order))
    card = json.loads((tmp_path / "model" / "config.json").read_text())
    assert card["model"]["classes"] == list(CLASSES)
    assert card["model"]["window"] == [-100, 300]
    assert read_card(tmp_path / "model")["provenance"] == {"seed": 3}


@pytest.mark.usefixtures("tiny_encoder")
def test_a_model_in_half_precision_is_read_in_full(tmp_path):
    net = LiverVLM(config(), bank()).eval()
    images = torch.randn(4, 3, 16, 16)
    answers = net(images)
    net.half().save_pretrained(tmp_path / "model")
    again = LiverVLM.from_pretrained(tmp_path / "model")
    assert {value.dtype for value in again.state_dict().values()} == {torch.float32, torch.int64}
    assert torch.allclose(again(images), answers, atol=0.05)


def spoil_config(folder, change):
    card = json.loads((folder / "config.json").read_text())
    change(card)
    (folder / "config.json").write_text(json.dumps(card))


def spoil_weights(folder, change):
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors")


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


BROKEN = {
    "no config": lambda f: (f / "config.json").unlink(),
    "config is no JSON": lambda f: cut(f / "config.json", 30),
    "config without a model": lambda f: spoil_config(f, lambda card: card.pop("model")),
    "config with a field of a later version": lambda f: spoil_config(f, lambda c: c["model"].update(colour=1)),
    "config with a field less": lambda f: spoil_config(f, lambda card: card["model"].pop("classes")),
    "config whose model is a list": lambda f: spoil_config(f, lambda card: card.update(model=[1])),
    "config of another head": lambda f: spoil_config(f, lambda card: card["model"].update(head="fc")),
    "config of an unknown encoder": lambda f: spoil_config(f, lambda card: card["model"].update(encoder="vgg")),
    "no weights": lambda f: (f / "model.safetensors").unlink(),
    "weights cut off": lambda f: cut(f / "model.safetensors", 1000),
    "weights of fewer parts": lambda f: spoil_weights(f, lambda w: {"head.text": w["head.text"]}),
    "weights of more phases": lambda f: spoil_weights(
        f, lambda w: w | {"encoder.body.0.weight": torch.ones(8, 4, 3, 3)}
    ),
}


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN)
def test_a_broken_model_is_an_error_of_one_line_that_names_it(small, tmp_path, spoil):
    small.save_pretrained(tmp_path / "model")
    spoil(tmp_path / "model")
    with pytest.raises(InputError) as caught:
        LiverVLM.from_pretrained(tmp_path / "model")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "model") in str(caught.value) or "vgg" in str(caught.value)


def test_an_interrupted_save_keeps_the_old_model_and_leaves_nothing_else(small, tmp_path, monkeypatch):
    small.save_pretrained(tmp_path / "model")
    before = {file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()}

    def fail(weights, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(saved, "save_file", fail)
    for name in ("model", "new"):
        with pytest.raises(KeyboardInterrupt):
            small.save_pretrained(tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    assert {file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()} == before


def test_a_new_model_replaces_the_old_one_whole(small, tmp_path):
    small.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "stray").write_text("")
    small.save_pretrained(tmp_path / "model", {"seed": 7})
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]
    assert read_card(tmp_path / "model")["provenance"] == {"seed": 7}


def to_fake_cuda(net: LiverVLM) -> LiverVLM:
    """What `net.to("cuda")` would move, moved; on a build of torch without CUDA that call itself fails."""
    for module in net.modules():
        for name, value in module._parameters.items():
            if value is not None:  # a bias that a layer does without
                module._parameters[name] = torch.nn.Parameter(torch.empty(value.shape, device="cuda"), False)
        for name, value in module._buffers.items():
            module._buffers[name] = torch.empty(value.shape, dtype=value.dtype, device="cuda")
    return net


@pytest.mark.parametrize("head", ["text", "prototypes", "fc"])
def test_the_whole_forward_stays_on_cuda(head):
    import_torchvision()
    with FakeTensorMode():
        net = to_fake_cuda(LiverVLM(config(head), torch.empty(6, 4, 20)).eval())
        images = torch.empty(2, 3, 32, 32, device="cuda")
        out = net(images, torch.zeros(2, dtype=torch.long, device="cuda"))
        canonical = net(images)
    assert {out.device.type, canonical.device.type} == {"cuda"}
    assert (out.dtype, out.shape) == (torch.float32, (2, 4))


@pytest.mark.parametrize("head", ["text", "prototypes", "fc"])
def test_a_whole_training_step_stays_on_the_accelerator(head):
    with torch.device("meta"):
        net = LiverVLM(config(head), torch.empty(6, 4, 20))
        batch = {"image": torch.empty(4, 3, 32, 32), "label": torch.zeros(4, dtype=torch.long)}
    optimizer, scaler = torch.optim.Adam(net.parameters()), torch.amp.GradScaler("cpu", enabled=False)
    loss = train_step(net, batch, classification, optimizer, scaler, None, torch.Generator())
    assert (loss.device.type, loss.shape) == ("meta", ())
    assert all(p.grad is not None and p.grad.device.type == "meta" for p in net.parameters())


def test_a_tensor_left_on_the_cpu_would_be_found():
    with torch.device("meta"):
        net = LiverVLM(config(), torch.empty(6, 4, 20))
    net.head.text = torch.empty(6, 4, 20)
    with pytest.raises(RuntimeError, match="device"):
        net(torch.empty(2, 3, 32, 32, device="meta"))


@pytest.mark.parametrize(
    "change",
    [
        {"joint_dim": 2**40},  # would be built, and takes terabytes
        {"joint_dim": "x"},
        {"classes": ["CYST", 1, "HCC", "HEM"]},
        {"phases": ["NC", True, "PV"]},
        {"window": [-160, "high"]},
        {"window": [240, -160]},
        {"window": [-160, 10**400]},
        {"window": [float("nan"), 240]},
        {"encoder": "resnet19"},
        {"encoder": []},
        {"extra": 1},
    ],
)
def test_settings_that_do_not_fit_the_weights_are_one_line(tmp_path, change):
    config = Config(("CYST", "FNH", "HCC", "HEM"), ("NC", "ART", "PV"), head="prototypes", encoder="resnet10_narrow")
    LiverVLM(config).save_pretrained(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    card = json.loads(file.read_text())
    file.write_text(json.dumps({**card, "model": card["model"] | change}))
    with pytest.raises(InputError, match=r"model: model.safetensors does not fit config.json \(") as caught:
        LiverVLM.from_pretrained(tmp_path / "model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[]", '{"model": [], "provenance": {}}', '{"model": {}, "provenance": 1}']
)
def test_a_config_that_is_none_is_one_line(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match="not the config of a saved model"):
        LiverVLM.from_pretrained(tmp_path)
