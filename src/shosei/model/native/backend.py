"""What computes a model: C for this processor, or torch, by a fixed table and never by a race of the two.

| device | processor | weights | widths and head size | computed by |
|---|---|---|---|---|
| CPU | AVX-512 with BF16 and VNNI | bfloat16, int8, int4 | multiples of 32 | C, AVX-512 |
| CPU | AVX2 and FMA | bfloat16, int8, int4 | multiples of 32 | C, AVX2 |
| any | any | any | any | torch |
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from shosei.model.native.compiler import Unavailable
from shosei.model.native.decoder import obstacle
from shosei.model.native.library import Library, library
from shosei.spec import ModelSpec
from shosei.spec.generation import WeightFormat, fits_int4


@dataclass(frozen=True, slots=True)
class Backend:
    """``library`` computes; None: torch does, and ``reason`` says why."""

    library: Library | None
    reason: str = ""


def backend_for(spec: ModelSpec, weights: WeightFormat, dtype: torch.dtype, device: torch.device) -> Backend:
    """For a model whose weights are held as ``weights``, the rest in ``dtype``. The first time on a machine this may
    compile the library, for some seconds."""
    if device.type != "cpu":
        return Backend(None, f"the C functions are for the CPU, not for {device.type}")
    if weights is WeightFormat.STORED and dtype != torch.bfloat16:
        return Backend(None, f"the weights are in {str(dtype).removeprefix('torch.')}, not in bfloat16")
    if reason := obstacle(spec):
        return Backend(None, reason)
    try:
        return Backend(library())
    except Unavailable as unavailable:
        return Backend(None, str(unavailable))


def explained(
    backend: Backend, spec: ModelSpec, weights: WeightFormat, stored: torch.dtype = torch.bfloat16
) -> list[tuple[str, str]]:
    """Each matrix of the model, with its outputs, its inputs and how it is held, and what computes its products.

    ``stored``: the type of the model's files.
    """
    of_heads = (spec.n_heads + 2 * spec.n_kv_heads) * spec.head_dim
    matrices = {
        "queries, keys, values": (of_heads, spec.d_model),
        "attention's output": (spec.d_model, spec.n_heads * spec.head_dim),
        "gate and up": (2 * spec.intermediate_size, spec.d_model),
        "down": (spec.d_model, spec.intermediate_size),
        "head": (spec.vocab_size, spec.d_model),
    }
    lines = []
    for name, (outputs, inputs) in matrices.items():
        held = _held(weights.head if name == "head" else weights.layers, inputs, stored)
        computed_by = f"torch: {backend.reason}" if backend.library is None else backend.library.name
        lines.append((f"{name}, {outputs:,} × {inputs:,}, {held}", computed_by))
    return lines


def _held(weights: WeightFormat, inputs: int, stored: torch.dtype) -> str:
    """The type of a matrix in memory; one whose inputs are no whole number of groups has no 4 bits."""
    if weights is WeightFormat.STORED:
        return str(stored).removeprefix("torch.")
    return "bfloat16" if weights is WeightFormat.INT4 and not fits_int4(inputs) else str(weights)
