"""Activation checkpointing: memory for the backward pass, paid for by a second forward pass."""

from __future__ import annotations

from functools import partial

from torch.utils.checkpoint import checkpoint

from shosei.model.transformer import Transformer


def recompute_blocks(model: Transformer) -> None:
    """Keep each block's input alone; what its backward pass needs beside that is computed again then.

    Chen et al. 2016, arXiv 1604.06174. Gradients stay the same, and so does the model where none are wanted.
    """
    for block in model.layers:
        # A partial, not a closure: a copy of the block then recomputes its own layers, not the original's. There is no
        # dropout, so no random state to preserve.
        block.forward = partial(checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False)
