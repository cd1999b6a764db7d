"""The loop: it learns, it resumes to the same weights, it refuses what does not fit, it never waits for a device."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from livervlm.base.device import autocast_dtype, best_device
from livervlm.base.errors import InputError
from livervlm.models import training
from livervlm.models.training import classification, fit, predict, to_device, train_step

CPU = torch.device("cpu")


def make_net(seed: int = 0) -> nn.Module:
    """Batch norm has running means and dropout draws at random: what a resume could lose."""
    torch.manual_seed(seed)
    parts = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*parts, nn.Dropout(0.2), nn.Linear(8, 2))


def make_data(n: int = 40):
    """Two classes by brightness."""
    label = torch.arange(n) % 2
    images = torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(0)) + label[:, None, None, None]
    return to_device(images, label, CPU)


def run(net=None, data=None, task=classification, **settings) -> tuple[nn.Module, list[float]]:
    net = net or make_net()
    settings = {"epochs": 4, "batch_size": 8, "lr": 1e-2, "progress": False} | settings
    return net, fit(net, data or make_data(), task, **settings)


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


class Killed(Exception):
    pass


def killer(steps: int):
    """A task that dies at that step."""
    done = 0

    def task(model, batch, generator):
        nonlocal done
        done += 1
        if done > steps:
            raise Killed
        return classification(model, batch, generator)

    return task


@pytest.fixture
def halfway(tmp_path, monkeypatch):
    """The checkpoint of a run of 4 epochs of 5 steps that died in its third."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1)
    with pytest.raises(Killed):
        run(task=killer(12), checkpoint=tmp_path / "check.pt")
    return tmp_path / "check.pt"


def test_loss_falls_and_answers_become_right():
    data = make_data()
    net, history = run(data=data, epochs=20)
    assert len(history) == 20
    assert history[-1] < 0.5 * history[0]
    assert (predict(net, data["image"]).argmax(1) == data["label"]).float().mean() > 0.9


def test_loss_is_the_mean_over_the_slices_learned_from():
    def task(model, batch, generator):
        return model[0].weight.sum() * 0 + 2.0

    assert run(task=task, data=make_data(17))[1] == pytest.approx([2.0] * 4)  # 17 = 8 + 8 + 1, and one is left out


@pytest.mark.parametrize("n", [1, 2, 7])
def test_fewer_slices_than_a_batch_are_one_batch(n):
    seen = []

    def task(model, batch, generator):
        seen.append(len(batch["label"]))
        return model[0].weight.sum()

    run(data=make_data(n), task=task, epochs=1)
    assert seen == [n]


def test_every_epoch_sees_every_slice_once_with_its_own_label_in_a_new_order():
    data = make_data(16)
    data["image"] = torch.arange(16.0)[:, None, None, None].expand(16, 3, 8, 8).contiguous()
    data["label"] = torch.arange(16)
    seen = []

    def task(model, batch, generator):
        assert torch.equal(batch["image"][:, 0, 0, 0].long(), batch["label"])
        seen.extend(batch["label"].tolist())
        return model[0].weight.sum()

    run(data=data, task=task, epochs=2)
    assert sorted(seen[:16]) == sorted(seen[16:]) == list(range(16))
    assert seen[:16] != seen[16:]


def test_a_resumed_run_ends_in_the_same_weights(halfway):
    whole, losses = run()
    torch.manual_seed(12345)  # another process has another state
    resumed, history = run(checkpoint=halfway)
    assert history == losses
    assert same(resumed, whole)


def test_a_resumed_run_repeats_no_epoch_that_was_done(halfway):
    steps = []

    def task(model, batch, generator):
        steps.append(1)
        return classification(model, batch, generator)

    run(task=task, checkpoint=halfway)
    assert len(steps) == 10
    _, history = run(task=task, checkpoint=halfway)
    assert (len(steps), len(history)) == (10, 4)  # now it is done


def test_a_task_that_draws_at_random_resumes_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1)

    def noisy(inner):
        def task(model, batch, generator):
            noise = torch.randn(batch["image"].shape, generator=generator)
            return inner(model, {**batch, "image": batch["image"] + noise}, generator)

        return task

    with pytest.raises(Killed):
        run(task=noisy(killer(7)), checkpoint=tmp_path / "check.pt")
    whole, _ = run(task=noisy(classification))
    resumed, _ = run(task=noisy(classification), checkpoint=tmp_path / "check.pt")
    assert same(resumed, whole)


def test_the_seed_decides():
    assert same(run(seed=1)[0], run(seed=1)[0])
    assert not same(run(seed=1)[0], run(seed=2)[0])


OTHERS = {
    "seed": {"seed": 5},
    "learning rate": {"lr": 1e-3},
    "batch size": {"batch_size": 4},
    "number of slices": {"data": make_data(38)},
    "slices": {"data": {**make_data(), "image": make_data()["image"].flip(0)}},
    "labels": {"data": {**make_data(), "label": 1 - make_data()["label"]}},
    "weights to begin with": {"net": make_net(1)},
    "network": {"net": nn.Sequential(nn.Flatten(), nn.Linear(192, 2))},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_checkpoint_of_another_run_is_refused(halfway, other):
    with pytest.raises(InputError, match=r"check\.pt: .*delete it to start again") as caught:
        run(**copy.deepcopy(other), checkpoint=halfway)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"text"])
def test_a_damaged_checkpoint_is_refused(halfway, damage):
    halfway.write_bytes(damage(halfway.read_bytes()))
    with pytest.raises(InputError, match="not a whole checkpoint; delete it to start again"):
        run(checkpoint=halfway)


def test_a_checkpoint_of_something_else_is_refused(halfway):
    torch.save({"weights": torch.zeros(3)}, halfway)
    with pytest.raises(InputError, match="not a whole checkpoint"):
        run(checkpoint=halfway)


def test_a_kill_while_a_checkpoint_is_written_keeps_the_one_before(halfway, monkeypatch):
    before = halfway.read_bytes()

    def fail(path, content):
        with open(path, "wb") as file:
            file.write(content[: len(content) // 2])
        raise Killed

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(Killed):
        run(checkpoint=halfway)
    assert halfway.read_bytes() == before
    assert [file.name for file in halfway.parent.iterdir()] == [halfway.name]


def test_a_step_never_waits_for_the_device(monkeypatch):
    """On meta, whatever would bring a value back to the CPU raises; so this shows that the check can fail."""
    net = make_net().to("meta")
    batch = {"image": torch.empty(4, 3, 8, 8, device="meta"), "label": torch.zeros(4, dtype=torch.long, device="meta")}
    optimizer, scaler = torch.optim.Adam(net.parameters()), torch.amp.GradScaler("cpu", enabled=False)
    loss = train_step(net, batch, classification, optimizer, scaler, None, None)
    assert loss.device.type == "meta"
    assert not loss.requires_grad

    def waiting(model, batch, generator):
        return classification(model, batch, generator) * batch["image"].sum().item()

    with pytest.raises((RuntimeError, NotImplementedError)):
        train_step(net, batch, waiting, optimizer, scaler, None, None)


def test_predictions_are_probabilities_and_do_not_depend_on_the_batch():
    data = make_data(23)
    net, _ = run(data=data, epochs=1)
    prob = predict(net, data["image"])
    assert prob.dtype == torch.float32
    assert prob.sum(1) == pytest.approx(torch.ones(23))
    assert torch.allclose(prob, predict(net, data["image"], batch_size=5), atol=1e-6)
    assert not net.training


def test_data_are_channels_last_on_the_device():
    data = make_data(4)
    assert data["image"].is_contiguous(memory_format=torch.channels_last)
    assert to_device(torch.empty(2, 3, 4, 4), torch.zeros(2), torch.device("meta"))["label"].device.type == "meta"


@pytest.mark.parametrize(("native", "wanted"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_gpu_computes_in_bfloat16_where_it_can_and_else_in_float16(monkeypatch, native, wanted):
    def supported(including_emulation=True):
        return native or including_emulation  # a T4 emulates bfloat16, slowly

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert autocast_dtype(torch.device("cuda")) == wanted


@pytest.mark.parametrize(("flags", "wanted"), [({"avx512_bf16": True}, torch.bfloat16), ({}, None)])
def test_a_cpu_computes_in_bfloat16_only_where_it_has_it(monkeypatch, flags, wanted):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags, raising=False)
    assert autocast_dtype(CPU) == wanted
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert autocast_dtype(CPU) is None
    assert autocast_dtype(torch.device("meta")) is None


def test_single_precision_can_be_asked_for_and_nothing_else(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    monkeypatch.setenv("LIVERVLM_PRECISION", "float32")
    assert autocast_dtype(CPU) is None
    monkeypatch.setenv("LIVERVLM_PRECISION", "float16")
    with pytest.raises(InputError, match="LIVERVLM_PRECISION=float16: give float32"):
        autocast_dtype(CPU)


@pytest.mark.parametrize("there", [True, False])
def test_cuda_is_used_where_there_is_one(monkeypatch, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert best_device() == torch.device("cuda" if there else "cpu")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, None])
def test_a_scaler_guards_float16_alone(monkeypatch, dtype):
    used = []
    real = torch.amp.GradScaler

    def spy(device, enabled):
        used.append(enabled)
        return real(device, enabled=enabled)

    monkeypatch.setattr(training, "autocast_dtype", lambda device: dtype)
    monkeypatch.setattr(torch.amp, "GradScaler", spy)
    _, history = run(epochs=6, lr=3e-2)
    assert used == [dtype == torch.float16]
    assert history[-1] < history[0]
