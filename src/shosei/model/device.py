"""Which device this process computes on."""

from __future__ import annotations

import os

import psutil
import torch


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
