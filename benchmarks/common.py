"""What the benchmarks share: a figure, timing, and the environment that the figures belong to."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from livervlm.base.device import autocast_dtype, best_device

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Figure:
    """One measured figure.  against: what it is a ratio to, measured in the same run.  goal: such as ">= 8"."""

    what: str
    value: float
    unit: str
    against: str = ""
    goal: str = ""

    @property
    def met(self) -> bool | None:
        if not self.goal:
            return None
        sign, wanted = self.goal.split()
        return self.value >= float(wanted) if sign == ">=" else self.value <= float(wanted)


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def in_turn(*runs: Callable[[], object], repeats: int = 5) -> list[float]:
    """The median seconds of each of some calls, made in turn, so that a machine whose speed drifts is fair to all."""
    for run in runs:
        run()  # what is slow the first time is not counted
    return [median(times) for times in zip(*([seconds(run) for run in runs] for _ in range(repeats)), strict=True)]


def environment() -> dict[str, str]:
    device = best_device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else _processor()
    return {
        "device": name,
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "precision": str(autocast_dtype(device) or torch.float32).removeprefix("torch."),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
