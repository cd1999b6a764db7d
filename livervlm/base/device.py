"""Where to compute, and in which precision."""

import os

import torch

from .errors import InputError

PRECISION = "LIVERVLM_PRECISION"


def best_device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the device computes in it, float16 on older GPUs, None (float32) elsewhere.

    The variable `PRECISION` asks for float32 everywhere, so that what was begun in it elsewhere can go on.
    """
    if asked := os.environ.get(PRECISION):
        if asked != "float32":
            raise InputError(f"{PRECISION}={asked}: give float32, or leave it out")
        return None
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # older torch does not tell
    return torch.bfloat16 if device.type == "cpu" and capabilities.get("avx512_bf16", False) else None
