"""Which device this process computes on."""

from __future__ import annotations

import os

import torch


def choose() -> torch.device:
    """The accelerator that torch sees, the one numbered ``LOCAL_RANK`` (torchrun's; 0 without it), else the CPU."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return torch.device("cpu")
    return torch.device(accelerator.type, int(os.environ.get("LOCAL_RANK", "0")))
