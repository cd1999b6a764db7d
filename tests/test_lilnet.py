"""LiLNet: every term against a plain reference, what it reads of a map, what is left without parts, what it learns."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from conftest import make_toy
from torch.nn.functional import cross_entropy

from livervlm.base.errors import InputError
from livervlm.base.profiles import Profile
from livervlm.models.lilnet import LiLNet, aggregate, joint_labels, masked_means, whole_loss
from livervlm.models.lilnet_published import load_published
from livervlm.models.lilnet_training import (
    NOISES,
    balanced,
    noisy,
    slice_probabilities,
    thirds,
    train_lilnet,
)
from livervlm.models.settings import LiLNetSettings
from livervlm.models.training import predict
from livervlm.runs.methods import TrainedLiLNet

CLASSES = ("HCC", "ICC", "FNH")
PLAIN = {"masks": False, "joint": False, "depths": "deep", "teacher": "none"}
VARIANTS = {
    "paper": {},
    "code": {"teacher": "aggregate", "answer": "aggregate"},
    "masks without labels": {"joint": False},
    "labels without masks": {"masks": False},
    "no distillation": {"teacher": "none"},
    "one depth": {"depths": "deep"},
    "shallow alone": {"masks": False, "joint": False, "beta": 0.5},
    "plain": PLAIN,
}


def net(seed: int = 0, **choices) -> LiLNet:
    torch.manual_seed(seed)
    return LiLNet(LiLNetSettings(CLASSES, "resnet10_narrow", **choices))


def batch(n: int = 6, size: int = 40, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"image": torch.randn(n, 1, size, size, generator=generator), "label": torch.arange(n) % len(CLASSES)}


@pytest.mark.parametrize(("h", "w"), [(4, 4), (7, 7), (3, 2), (2, 5), (1, 1)])
def test_masked_means_are_means_of_masked_maps(h, w):
    maps = torch.randn(2, 6, h, w)
    masks = torch.ones(5, h, w)
    masks[1, : h // 2, : w // 2] = masks[2, : h // 2, w // 2 :] = 0
    masks[3, h // 2 :, : w // 2] = masks[4, h // 2 :, w // 2 :] = 0
    wanted = (maps[:, None] * masks[None, :, None]).mean(dim=(3, 4))
    assert torch.allclose(masked_means(maps), wanted, atol=1e-6)


def test_a_joint_label_is_read_off_the_diagonal():
    logits = torch.randn(4, 5, 15)
    wanted = torch.diagonal(logits.unflatten(2, (3, 5)), dim1=1, dim2=3).mean(dim=2)  # (B, c, i)
    assert torch.allclose(aggregate(logits, 3), wanted, atol=1e-6)
    assert torch.allclose(aggregate(logits[:, :, :3], 3), logits[:, :, :3].mean(dim=1))
    assert joint_labels(torch.tensor([0, 2])).tolist() == [[0, 1, 2, 3, 4], [10, 11, 12, 13, 14]]


def log_share(logits: list[float], wanted: int) -> float:
    return logits[wanted] - math.log(sum(math.exp(x) for x in logits))


@pytest.mark.parametrize("teacher", ["deep", "aggregate"])
@pytest.mark.parametrize("joint", [True, False])
def test_every_term_of_the_loss_is_what_it_says(teacher, joint):
    model, data, temperature = net(teacher=teacher, joint=joint, beta=0.7, temperature=2.0), batch(), 2.0
    logits = model.logits(data["image"])
    found = {name: term.item() for name, term in model.losses(logits, data["label"]).items()}
    deep, shallow, plain = (one.tolist() for one in logits)
    slices = list(enumerate(data["label"].tolist()))
    target = [[5 * y + i if joint else y for i in range(5)] for _, y in slices]

    def mean_loss(said):
        return -sum(log_share(said[b][i], target[b][i]) for b, _ in slices for i in range(5)) / (5 * len(slices))

    wanted = {"deep": mean_loss(deep), "shallow": 0.7 * mean_loss(shallow)}
    wanted["plain"] = -sum(log_share(plain[b], y) for b, y in slices) / len(slices)
    kl = 0.0
    for b, _ in slices:
        said = [[one[b][i][5 * c + i if joint else c] for one in (deep, shallow) for i in range(5)] for c in range(3)]
        pair = [[x / temperature for x in plain[b]], [sum(ten) / 10 / temperature for ten in said]]
        p, q = ([log_share(one, c) for c in range(3)] for one in (pair if teacher == "deep" else pair[::-1]))
        kl += sum(math.exp(a) * (a - z) for a, z in zip(p, q, strict=True)) / len(slices)
    wanted["distillation"] = temperature**2 * kl
    assert found == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert whole_loss(model, data, None).item() == pytest.approx(sum(wanted.values()), rel=1e-4)


@pytest.mark.parametrize(("teacher", "taught"), [("deep", {"heads"}), ("aggregate", {"plain"})])
def test_no_gradient_reaches_the_teacher(teacher, taught):
    model, data = net(teacher=teacher), batch()
    model.losses(model.logits(data["image"]), data["label"])["distillation"].backward()
    moved = {name.split(".")[0] for name, weight in model.named_parameters() if weight.grad is not None}
    assert moved == {"encoder", *taught}


def test_with_every_part_taken_away_a_plain_network_is_left():
    model, data = net(**PLAIN), batch()
    loss = cross_entropy(model.plain(model.encoder(data["image"])), data["label"])
    assert list(model.losses(model.logits(data["image"]), data["label"])) == ["plain"]
    assert torch.equal(whole_loss(model, data, None), loss)
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"encoder", "plain"}


@pytest.mark.parametrize("choices", VARIANTS.values(), ids=VARIANTS)
def test_every_variant_uses_all_its_weights_and_answers(choices):
    model, data = net(**choices), batch()
    whole_loss(model, data, None).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())
    model.eval()
    logits = model.logits(data["image"])
    for name in ("deep", "shallow"):
        said = getattr(logits, name)
        assert (said is not None) == (name in model.settings.heads)
        assert said is None or said.shape == (6, 5, 15 if model.settings.joint else 3)
    answer = logits.plain if model.settings.answer == "plain" else model.aggregate(logits)
    assert torch.allclose(model(data["image"]), answer, atol=1e-6)
    assert predict(model, data["image"]).sum(dim=1).tolist() == pytest.approx([1.0] * 6, abs=1e-5)


def test_without_masks_all_readings_are_of_the_whole():
    model, masked = net(masks=False).eval(), net().eval()
    whole, cut = model.logits(batch()["image"]), masked.logits(batch()["image"])
    assert torch.equal(whole.deep[:, 1:], whole.deep[:, :1].expand(-1, 4, -1))
    assert torch.allclose(whole.deep[:, 0], cut.deep[:, 0], atol=1e-5)  # the same weights
    assert (cut.deep[:, 1:] - cut.deep[:, :1]).abs().amax(dim=(0, 2)).min() > 1e-3


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"depths": "shallow"}, "LiLNet: depths 'shallow' is unknown: choose one of both, deep"),
        ({"teacher": "plain"}, "LiLNet: teacher 'plain' is unknown"),
        ({"answer": "mean"}, "LiLNet: answer 'mean' is unknown"),
        ({"masks": "yes"}, "LiLNet: masks 'yes' is unknown"),
        ({"temperature": 0}, "LiLNet: temperature 0"),
        ({"beta": -1}, "LiLNet: temperature 3.0, beta -1"),
        ({**PLAIN, "teacher": "deep"}, "LiLNet: no joint head is left"),
        ({**PLAIN, "answer": "aggregate"}, "LiLNet: no joint head is left"),
        ({"encoder": "convnext_tiny"}, "LiLNet: encoder convnext_tiny has no layer3 and layer4; choose a ResNet"),
        ({"encoder": "vgg"}, "image encoder 'vgg' is unknown"),
    ],
)
def test_bad_settings_are_refused(choices, message):
    with pytest.raises(InputError, match=message):
        LiLNet(LiLNetSettings(CLASSES, **{"encoder": "resnet10_narrow", **choices}))


def test_a_saved_model_answers_the_same(tmp_path):
    model = net(teacher="none", answer="aggregate")
    model.logits(batch()["image"])  # moves the running means
    model.save_pretrained(tmp_path / "model", {"seed": 3})
    again = LiLNet.from_pretrained(tmp_path / "model")
    assert again.settings == model.settings
    assert torch.equal(again(batch()["image"]), model.eval()(batch()["image"]))


def published(path, model: LiLNet) -> None:
    """Its weights in the layout of the authors' code: names of the DataParallel, a stem for three equal channels."""
    names = {"encoder.body.": "", "plain.": "fc_SD.", "heads.deep.0.": "fc_ens.", "heads.deep.1.": "fc."}
    names["heads.shallow."] = "fc3."
    state = {}
    for name, weight in model.state_dict().items():
        start = next(start for start in names if name.startswith(start))
        state["module." + names[start] + name.removeprefix(start)] = weight
    state["module.conv1.weight"] = state["module.conv1.weight"] * torch.tensor([0.5, 0.2, 0.3])[:, None, None]
    torch.save({"epoch": 7, "state_dict": state, "acc": np.float64(0.9), "optimizer": {"state": {}}}, path)


def test_published_weights_answer_through_one_channel(tmp_path):
    model = net(teacher="aggregate", answer="aggregate").eval()
    published(tmp_path / "Time_M.pth.tar", model)
    found = load_published(tmp_path / "Time_M.pth.tar", CLASSES, "resnet10_narrow")
    assert found.settings == model.settings
    assert torch.allclose(found(batch()["image"]), model(batch()["image"]), atol=1e-5)


def test_published_weights_out_of_reach_or_of_something_else_are_said_so(tmp_path):
    with pytest.raises(InputError, match=r"Time_BM.*Zenodo record 12646854 \(academic use\)"):
        load_published(tmp_path / "Time_BM.pth.tar", CLASSES)
    path = tmp_path / "other.pth.tar"
    published(path, net())
    for classes in (CLASSES[:2], CLASSES):  # too few classes, and a ResNet50
        with pytest.raises(InputError, match=f"{path}: not a published LiLNet") as caught:
            load_published(path, classes)
        assert "\n" not in str(caught.value)
    for spoiled in ({"state_dict": 3}, {"epoch": 1}, {"state_dict": {"x": torch.nn.Linear(1, 1)}}):
        torch.save(spoiled, path)
        with pytest.raises(InputError, match="not a published LiLNet"):
            load_published(path, CLASSES)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a published LiLNet"):
        load_published(path, CLASSES)


def test_rarer_classes_are_repeated_until_all_are_as_large():
    label = np.array([2, 0, 0, 2, 0, 0, 0, 1])
    order = balanced(label)
    assert order[:8].tolist() == list(range(8))
    assert np.bincount(label[order]).tolist() == [5, 5, 5]
    assert np.bincount(order)[[0, 3]].tolist() == [3, 2]  # in turn
    assert balanced(np.array([0, 2])).tolist() == [0, 1]  # a class that is not there is not made up


def test_noise_is_added_to_repetitions_alone():
    data = batch(400, 8) | {"repeated": torch.arange(400) >= 200}
    data["image"] = data["image"].clamp(-1, 1) * 0.5

    def seen(name):
        return noisy(lambda model, batch, generator: batch["image"], name)(None, data, torch.Generator().manual_seed(0))

    assert noisy(whole_loss, "none") is whole_loss
    for name in NOISES.keys() - {"none"}:
        assert torch.equal(seen(name)[:200], data["image"][:200])
        assert seen(name).abs().max() <= 1
    change = (seen("gaussian") - data["image"])[200:].flatten(1)
    assert 0.4 < (change.abs().sum(dim=1) > 0).float().mean() < 0.6
    assert change[change.abs().sum(dim=1) > 0].std() == pytest.approx(20 / 255, rel=0.05)
    extreme = (seen("gaussian, salt and pepper")[200:].abs() == 1).flatten(1).float().mean(dim=1)
    assert 0.4 < (extreme > 0).float().mean() < 0.6
    assert extreme[extreme > 0].mean() == pytest.approx(0.2, abs=0.02)
    with pytest.raises(InputError, match="LiLNet: noise 'snow' is unknown"):
        noisy(whole_loss, "snow")


def test_the_learning_rate_falls_by_a_tenth_after_each_third():
    assert [thirds(epoch / 30) for epoch in (0, 9, 10, 19, 20, 29)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def learned(lesions) -> float:
    """Share of right answers for patients that were not trained on."""
    train, test = (np.flatnonzero(where) for where in (lesions.group > 2, lesions.group <= 2))
    settings = LiLNetSettings(lesions.classes, "resnet10_narrow")
    model, loss = train_lilnet(lesions, train, settings, 60, progress=False)
    assert loss[-1] < loss[0]
    return float((slice_probabilities(model, lesions, test).argmax(axis=1) == lesions.label[test]).mean())


def test_it_learns_true_labels_and_from_permuted_ones_nothing():
    toy = make_toy(32, phases=("ART", "PV"), groups=6)
    assert learned(toy) > 0.9
    assert learned(replace(toy, label=np.random.default_rng(1).permutation(toy.label))) < 0.6


def test_phases_of_a_slice_are_averaged(toy):
    model = net().eval()
    at = np.array([3, 0])
    found = slice_probabilities(model, toy, at)
    alone = [
        replace(toy, hu=toy.hu[:, [p]], masks=None, mask_names=(), phases=(name,)) for p, name in enumerate(toy.phases)
    ]
    each = np.stack([slice_probabilities(model, one, at) for one in alone])
    assert found == pytest.approx(each.mean(axis=0), abs=1e-6)
    by_logits = np.exp(np.log(each).mean(axis=0))
    wanted = by_logits / by_logits.sum(axis=1, keepdims=True)
    assert slice_probabilities(model, toy, at, "logits") == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("cascade", [False, True])
def test_as_a_method(cascade):
    toy = make_toy(32, phases=("ART", "PV"), groups=2)
    profile = Profile("smoke", 32, 1, "minilm", encoder="resnet10_narrow")
    method = TrainedLiLNet({"masks": False}, cascade)
    train, test = np.flatnonzero(toy.group == 1), np.flatnonzero(toy.group == 2)
    seen = []
    fitted = method.fit(toy, train, profile, 0, lambda answer, epoch: seen.append(answer(toy, test).shape))
    assert fitted.answer(toy, test).sum(axis=1) == pytest.approx(np.ones(len(test)))
    assert np.array_equal(fitted.answer(toy, test), method.fit(toy, train, profile, 0).answer(toy, test))
    assert seen == ([] if cascade else [(8, 4)])
    assert len(fitted.found["train_loss_by_stage" if cascade else "train_loss"]) == (3 if cascade else 1)
    assert method.about(toy, profile)["model"] == asdict(LiLNetSettings(toy.classes, "resnet10_narrow", masks=False))
    assert method.settings == {"lilnet": {"masks": False}} | ({"cascade": True} if cascade else {})


def test_a_row_that_needs_imagenet_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(
        "torch.hub.download_url_to_file", lambda *args, **kw: (_ for _ in ()).throw(OSError("no network"))
    )
    profile = Profile("smoke", 32, 1, "minilm")
    assert "pretrained weights of resnet18" in TrainedLiLNet(pretrained=True).why_not(profile)
    assert TrainedLiLNet().why_not(profile) is None
