"""Weights and optimiser state divided among the ranks (FSDP2; Zhao et al. 2023, arXiv 2304.11277), and whole again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.utils._pytree import tree_map_only

from shosei.model.linear import Linear
from shosei.model.transformer import Transformer
from shosei.train import ranks


def place(model: Transformer, device: torch.device, dtype: torch.dtype) -> None:
    """Put ``model`` on ``device``; of several ranks, each the part that it keeps. ``dtype`` is that of the products."""
    if ranks.count() > 1:
        _shard(model, device, dtype)
    else:
        model.to(device)


def _shard(model: Transformer, device: torch.device, dtype: torch.dtype) -> None:
    """Divide the rows of every weight among the ranks; rank 0 holds ``model``, the others have it on the meta device.

    A block's matrices are gathered in ``dtype``, in which its products take them anyway; norms, embedding and head in
    float32. Gradients are added up over the ranks in float32.
    """
    wholes = [parameter.detach() for parameter in model.parameters()]
    mesh = init_device_mesh(device.type, (ranks.count(),))
    # The type of a product's input is for autocast to say, as it is on one rank.
    products = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for block in model.layers:
        fully_shard([m for m in block.modules() if isinstance(m, Linear)], mesh=mesh, mp_policy=products)
        fully_shard(block, mesh=mesh)
    # What the forward pass gathers stays: the loss reads the head's weight after it.
    fully_shard(model, mesh=mesh, reshard_after_forward=False)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            # A sum, not a mean: each rank's loss is its share of the batch's. Gloo has the plain sum only.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    if ranks.rank():
        model.to_empty(device=device)
    with torch.no_grad():
        for whole, parameter in zip(wholes, model.parameters(), strict=True):
            source = torch.empty(whole.shape, device=device) if whole.is_meta else whole
            parameter.copy_(distribute_tensor(source, mesh, [Shard(0)], src_data_rank=0))


def part(whole: Tensor, like: Tensor) -> Tensor:
    """This rank's part of ``whole``, divided as ``like`` is; ``whole`` itself where that is not."""
    if not isinstance(like, DTensor) or whole.shape != like.shape:
        return whole
    rows = distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)
    return rows.clone()  # it may be a view, and would keep the whole


def full(tensor: Tensor) -> Tensor:
    """``tensor`` whole, on every rank."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gathered(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """``tensors``, which may be nested, detached, and every divided one whole in rank 0's main memory: None elsewhere.

    All ranks must ask, and each holds one whole tensor at a time.
    """

    def collect(tensor: Tensor) -> Tensor | None:
        if not isinstance(tensor, DTensor):
            return tensor.detach()
        value = full(tensor.detach())
        return None if ranks.rank() else value.cpu()

    return tree_map_only(Tensor, collect, dict(tensors))  # type: ignore[no-any-return]


def whole(model: Transformer, shapes: Callable[[], Transformer], device: torch.device) -> Transformer | None:
    """``model`` in one piece, on rank 0 and its ``device``; None on the other ranks. All ranks must ask.

    ``shapes`` makes the same model on the meta device.
    """
    if ranks.count() == 1:
        return model
    weights = gathered(dict(model.named_parameters()))
    if ranks.rank():
        return None
    single = shapes()
    single.load_state_dict(weights, strict=False, assign=True)
    single.tie()
    return single.to(device)
