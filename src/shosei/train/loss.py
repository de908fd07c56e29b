"""The training loss: next-token cross-entropy on the answers."""

from __future__ import annotations

import torch
from torch import Tensor

from shosei.data.dataset import NO_LOSS
from shosei.model import device
from shosei.model.transformer import Transformer
from shosei.train.cross_entropy import ROWS_ROUNDED_TO, chunked_cross_entropy

_BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16", "bf16")


def compute_dtype(name: str) -> torch.dtype:
    """The type that ``TrainConfig.dtype`` means on this machine. A processor that emulates bfloat16 is slower in it
    than in float32; an accelerator is taken to have it."""
    if name == "auto":
        able = torch.cpu.get_capabilities()
        has_it = device.choose().type != "cpu" or any(able.get(unit) for unit in _BFLOAT16_UNITS)
        name = "bfloat16" if has_it else "float32"
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def answer_loss(
    model: Transformer, ids: Tensor, targets: Tensor, dtype: torch.dtype, counted: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy in nats over the positions of ``targets`` (B, T) that are not ``NO_LOSS``.

    ``targets[b, t]`` is the token that follows ``ids[b, t]``. The head is applied at those positions and few others.
    Products are computed in ``dtype``, the loss in float32. ``counted`` as ``chunked_cross_entropy`` has it.
    """
    flat = targets.flatten()
    answered = (flat != NO_LOSS).nonzero().squeeze(1)
    # Filled up with positions that have no loss, so that the head's products come in few sizes: oneDNN compiles and
    # keeps a kernel for each size it meets.
    spare = (flat == NO_LOSS).nonzero().squeeze(1)[: -len(answered) % ROWS_ROUNDED_TO]
    chosen = torch.cat((answered, spare))
    # A cache would only keep the weights' copies longer: each is used once, and twice where blocks are recomputed.
    autocast = torch.autocast(ids.device.type, dtype, enabled=dtype != torch.float32, cache_enabled=False)
    with autocast:
        hidden = model(ids, kept=chosen)
    return chunked_cross_entropy(hidden, model.lm_head.weight, flat[chosen], dtype, counted)
