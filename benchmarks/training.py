"""A training step against a bare hand-written loop, and against what the device's convolutions can do."""

import torch
from common import Figure, in_turn, seconds
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from livervlm.base.device import autocast_dtype, best_device
from livervlm.models.liver_vlm import LiverVLM
from livervlm.models.settings import Config
from livervlm.models.training import adam, classification, to_device, train_step

BATCH, CLASSES, PHASES = 32, ("CYST", "FNH", "HCC", "HEM"), ("NC", "ART", "PV")
SIZES, NETWORKS = (48, 64, 224), ("resnet18", "resnet10_narrow")
GOALS = {("resnet18", 64): ">= 60", ("resnet18", 224): ">= 75", ("resnet10_narrow", 224): ">= 75"}


def measure() -> list[Figure]:
    device, dtype = best_device(), autocast_dtype(best_device())
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    found, ceiling = [], _ceiling(device, dtype, wait)
    found.append(Figure("ceiling: convolution of 256 by 256 channels, forward and backward", ceiling / 1e9, "GFLOP/s"))
    for name in NETWORKS:
        for size in SIZES:
            torch.manual_seed(0)
            config = Config(CLASSES, PHASES, head="fc", encoder=name)
            ours, bare = (LiverVLM(config).to(device, memory_format=torch.channels_last).train() for _ in range(2))
            batch = to_device(torch.randn(BATCH, 3, size, size), torch.arange(BATCH) % 4, device)
            scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
            mine, theirs = adam(ours, 5e-4), torch.optim.Adam(bare.parameters(), lr=5e-4, fused=True)

            def package(model=ours, optimizer=mine, batch=batch, scaler=scaler):
                train_step(model, batch, classification, optimizer, scaler, dtype, None)
                wait()

            def forward(model, batch=batch):
                with torch.autocast(device.type, dtype, enabled=dtype is not None):
                    logits = model.head(model.encoder(batch["image"]).float(), None)
                return cross_entropy(logits, batch["label"])

            def by_hand(model=bare, optimizer=theirs):
                loss = forward(model)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                wait()

            repeats = 5 if size == 224 else 20
            step, hand = in_turn(package, by_hand, repeats=repeats)
            with FlopCounterMode(display=False) as counter:
                forward(bare).backward()
            share = 100 * counter.get_total_flops() / step / ceiling
            where = f"{name}, {size} px"
            found.append(Figure(f"step, {where}", 1e3 * step, "ms"))
            found.append(Figure(f"step, {where}", step / hand, "times", "a bare loop", "<= 1"))
            found.append(Figure(f"step, {where}", share, "%", "of the ceiling", GOALS.get((name, size), "")))
            found += _parts(where, bare, theirs, forward, wait, repeats)
    return found


def _parts(where, model, optimizer, forward, wait, repeats) -> list[Figure]:
    """The shares of forward, backward and optimiser in the bare loop, in percent of their sum."""
    spent = dict.fromkeys(("forward", "backward", "optimiser"), 0.0)
    for _ in range(repeats):
        kept = []
        spent["forward"] += seconds(lambda kept=kept: (kept.append(forward(model)), wait()))
        spent["backward"] += seconds(lambda kept=kept: (kept[0].backward(), wait()))
        spent["optimiser"] += seconds(lambda: (optimizer.step(), optimizer.zero_grad(set_to_none=True), wait()))
    return [Figure(f"{part}, {where}", 100 * s / sum(spent.values()), "%", "of the step") for part, s in spent.items()]


def _ceiling(device, dtype, wait) -> float:
    """FLOP a second of one large convolution, forward and backward, in the precision of training."""
    layer = nn.Conv2d(256, 256, 3, padding=1).to(device, memory_format=torch.channels_last)
    images = torch.randn(16, 256, 28, 28, device=device).contiguous(memory_format=torch.channels_last).requires_grad_()

    def both():
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            layer(images).float().mean().backward()
        wait()

    with FlopCounterMode(display=False) as counter:
        both()
    return counter.get_total_flops() / in_turn(both)[0]
