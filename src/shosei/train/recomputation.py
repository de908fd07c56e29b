"""Activation checkpointing: memory for the backward pass, paid for by a second forward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from shosei.model.transformer import Transformer
from shosei.train.loss import attention_kernels


def recompute_blocks(model: Transformer) -> None:
    """Keep each block's input alone; what its backward pass needs beside that is computed again then.

    Chen et al. 2016, arXiv 1604.06174. Gradients stay the same, and so does the model where none are wanted.
    """
    for block in model.layers:
        block.forward = _recomputed(block.forward)


def _recomputed(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def checkpointed(x: Tensor, *rest: object) -> Tensor:
        return checkpoint(  # type: ignore[no-any-return]
            forward, x, *rest, use_reentrant=False, preserve_rng_state=False,  # there is no dropout
            # The backward pass runs outside the choice of kernels that the loss made.
            context_fn=lambda: (contextlib.nullcontext(), attention_kernels(x.shape[1])),
        )  # fmt: skip

    return checkpointed
