"""Seconds per training step of every image encoder: `python benchmarks/training.py [pixels] [threads]`."""

import sys
import time

import torch

from livervlm.base.device import autocast_dtype, best_device
from livervlm.models.encoders import ENCODERS
from livervlm.models.liver_vlm import LiverVLM
from livervlm.models.settings import Config
from livervlm.models.training import adam, classification, to_device, train_step

BATCH, STEPS = 32, 5

if __name__ == "__main__":
    size, threads = [*map(int, sys.argv[1:]), *(64, 1)[len(sys.argv) - 1 :]]
    torch.set_num_threads(threads)
    device = best_device()
    dtype = autocast_dtype(device)
    print(f"{size} px, batch {BATCH}, {threads} threads, {device}, autocast {dtype}")
    for name in ENCODERS:
        config = Config(("CYST", "FNH", "HCC", "HEM"), ("NC", "ART", "PV"), head="fc", encoder=name)
        model = LiverVLM(config).to(device, memory_format=torch.channels_last)
        batch = to_device(torch.randn(BATCH, 3, size, size), torch.arange(BATCH) % 4, device)
        optimizer, scaler = adam(model, 5e-4), torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
        seconds = []
        for _ in range(STEPS):
            start = time.perf_counter()
            train_step(model, batch, classification, optimizer, scaler, dtype, None).item()
            seconds.append(time.perf_counter() - start)
        parameters = sum(p.numel() for p in model.parameters()) / 1e6
        print(f"{name:18} {parameters:6.2f} M parameters  {min(seconds):.3f} s a step, the best of {STEPS}")
