"""The training loss: next-token cross-entropy on the answers, without ever holding the logits of a large vocabulary."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from shosei.data.dataset import NO_LOSS
from shosei.model.transformer import Transformer
from shosei.spec.training import LOGITS_IN_A_CHUNK

# Rows of a chunk: a multiple, since oneDNN compiles and keeps a kernel for each size that it meets.
ROWS_ROUNDED_TO = 64
_PART = 4096  # rows of the weight


def answer_loss(
    model: Transformer, ids: Tensor, targets: Tensor, dtype: torch.dtype, counted: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy in nats over the positions of ``targets`` (B, T) that are not ``NO_LOSS``.

    ``targets[b, t]`` is the token that follows ``ids[b, t]``. The head is applied at those positions and few others.
    Products are computed in ``dtype``, the loss in float32. ``counted`` as ``chunked_cross_entropy`` has it.
    """
    flat = targets.flatten()
    answered = (flat != NO_LOSS).nonzero().squeeze(1)
    # Filled up with positions that have no loss, so that the head's products come in few sizes.
    spare = (flat == NO_LOSS).nonzero().squeeze(1)[: -len(answered) % ROWS_ROUNDED_TO]
    chosen = torch.cat((answered, spare))
    # A cache would only keep the weights' copies longer: each is used once, and twice where blocks are recomputed.
    autocast = torch.autocast(ids.device.type, dtype, enabled=dtype != torch.float32, cache_enabled=False)
    with autocast:
        hidden = model(ids, kept=chosen)
    return chunked_cross_entropy(hidden, model.lm_head.weight, flat[chosen], dtype, counted)


def chunk_rows(vocab_size: int) -> int:
    """How many positions have their logits in memory at once."""
    return max(1, LOGITS_IN_A_CHUNK // vocab_size // ROWS_ROUNDED_TO) * ROWS_ROUNDED_TO


def chunked_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, dtype: torch.dtype, counted: Tensor | None = None
) -> Tensor:
    """Mean of ``cross_entropy(hidden @ weight.T, targets)`` in nats, over the targets that are not ``NO_LOSS``.

    ``hidden`` (N, d_model), ``weight`` (vocab_size, d_model), ``targets`` (N,). Products are computed in ``dtype``;
    the loss, and the sum of the weight's gradient over the chunks, in float32. ``counted`` is how many targets the
    mean is over, if these are only some of them: what the parts of a batch give then adds up to its mean.
    """
    counted = (targets != NO_LOSS).sum() if counted is None else counted
    loss: Tensor = _ChunkedCrossEntropy.apply(hidden, weight, targets, dtype, counted)  # type: ignore[no-untyped-call]
    return loss


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Computes the gradients with the loss, chunk by chunk, so that no logits wait for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, dtype: torch.dtype, counted: Tensor
    ) -> Tensor:
        rows = chunk_rows(len(weight))
        head = weight.to(dtype)
        hidden_gradient = torch.empty_like(hidden)
        weight_gradient = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        total = hidden.new_zeros((), dtype=torch.float32)
        for x, chosen, gradient in zip(
            torch.split(hidden, rows), torch.split(targets, rows), torch.split(hidden_gradient, rows), strict=True
        ):
            x = x.to(dtype)
            log_probabilities = F.linear(x, head).float().log_softmax(-1)
            total += F.nll_loss(log_probabilities, chosen, ignore_index=NO_LOSS, reduction="sum") / counted
            slope = log_probabilities.exp_()  # of the loss, by the logits: softmax less the target's one
            slope[torch.arange(len(chosen), device=chosen.device), chosen.clamp_min(0)] -= 1
            slope *= (chosen != NO_LOSS)[:, None] / counted
            slope = slope.to(dtype)
            del log_probabilities
            gradient.copy_(slope @ head)
            if weight_gradient is None:
                continue
            # By parts: adding bfloat16 to float32 makes a float32 copy of what is added.
            for part, columns in zip(
                torch.split(weight_gradient, _PART), torch.split(slope, _PART, dim=1), strict=True
            ):
                part += columns.T @ x
        ctx.gradients = hidden_gradient, weight_gradient
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        hidden_gradient, weight_gradient = ctx.gradients
        del ctx.gradients  # the parameter takes its gradient over as it is only if nobody else holds it
        if weight_gradient is not None:
            weight_gradient.mul_(outer[0])
        return hidden_gradient.mul_(outer[0]), weight_gradient, None, None, None
