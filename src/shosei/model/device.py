"""Which device this process computes on, with how much memory, and in which type."""

from __future__ import annotations

import os

import psutil
import torch

_BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16", "bf16")


def choose() -> torch.device:
    """The accelerator that torch sees, the one numbered ``LOCAL_RANK`` (torchrun's; 0 without it), else the CPU."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return torch.device("cpu")
    return torch.device(accelerator.type, int(os.environ.get("LOCAL_RANK", "0")))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on ``device``; on the CPU, what this process may take without swapping."""
    if device.type == "cpu":
        return int(psutil.virtual_memory().available)
    return int(torch.accelerator.get_memory_info(device)[0])


def compute_dtype(name: str) -> torch.dtype:
    """The type that bfloat16, float32 or auto means on this machine. A processor that emulates bfloat16 is slower in it
    than in float32; an accelerator is taken to have it."""
    if name == "auto":
        able = torch.cpu.get_capabilities()
        has_it = choose().type != "cpu" or any(able.get(unit) for unit in _BFLOAT16_UNITS)
        name = "bfloat16" if has_it else "float32"
    return torch.bfloat16 if name == "bfloat16" else torch.float32
