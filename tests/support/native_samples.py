"""Native libraries for each instruction set and compiler that is here, products through them, and paged caches."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from ctypes import byref
from dataclasses import dataclass

import torch
from torch import Tensor

from shosei.model.native import structs
from shosei.model.native.decoder import NativeModel
from shosei.model.native.instructions import INSTRUCTION_SETS, InstructionSet
from shosei.model.native.library import Library
from shosei.model.native.packed_matrix import Format, PackedMatrix
from shosei.spec import ModelSpec

HERE = [target for target in INSTRUCTION_SETS if target.is_here]
HAS_CC = shutil.which("cc") is not None
HAS_ZIG = importlib.util.find_spec("ziglang") is not None
HAS_COMPILER = HAS_CC or HAS_ZIG
BLOCK = 32


def name_of(target: InstructionSet) -> str:
    return target.name


def multiply(library: Library, weight: Tensor, packed: Format, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x`` (rows, inputs) times ``weight`` (outputs, inputs), by the C product alone."""
    matrix = PackedMatrix(library, len(weight), weight.shape[1], packed, bias is not None)
    matrix.fill(weight, slice(None))
    if bias is not None:
        matrix.fill_bias(bias, slice(None))
    x, out = x.contiguous(), torch.full((len(x), len(weight)), torch.nan)
    memory = torch.empty((len(x) + 4) * x.shape[1] * 2, dtype=torch.uint8)
    pool = structs.pool()
    library.functions.native_product(
        byref(matrix.struct()), byref(pool), len(x), x.data_ptr(), memory.data_ptr(), out.data_ptr()
    )
    return out


@dataclass
class PagedMemory:
    """Keys and values as the engine's cache has them: (layers, blocks, KV, 32, head_dim)."""

    k: Tensor
    v: Tensor

    @classmethod
    def of(cls, spec: ModelSpec, blocks: int, filled_with: float = 0.0) -> PagedMemory:
        shape = (spec.n_layers, spec.n_kv_heads, blocks, BLOCK, spec.head_dim)
        k, v = (torch.full(shape, filled_with, dtype=torch.bfloat16).transpose(1, 2) for _ in "kv")
        return cls(k, v)


@dataclass
class RaggedRows:
    """A batch as ``decoder.Batch`` has it."""

    tokens: Tensor
    positions: Tensor
    starts: Tensor
    tables: Tensor
    wanted: Tensor


@dataclass
class Part:
    """Some tokens of one sequence, which has ``blocks``."""

    tokens: Sequence[int]
    position: int
    blocks: Sequence[int]
    wanted: int | None = None  # of the last of them; None: all


def ragged(parts: Sequence[Part]) -> RaggedRows:
    starts, tokens, positions, wanted = [0], list[int](), list[int](), list[int]()
    most = max(len(part.blocks) for part in parts)
    for part in parts:
        tokens += part.tokens
        positions += range(part.position, part.position + len(part.tokens))
        starts.append(len(tokens))
        count = len(part.tokens) if part.wanted is None else part.wanted
        wanted += range(len(tokens) - count, len(tokens))
    tables = torch.tensor([[*part.blocks, *[0] * (most - len(part.blocks))] for part in parts], dtype=torch.int32)
    return RaggedRows(
        torch.tensor(tokens),
        torch.tensor(positions),
        torch.tensor(starts),
        tables,
        torch.tensor(wanted, dtype=torch.int64),
    )


def step(model: NativeModel, memory: PagedMemory, *parts: Part) -> Tensor:
    return model.logits(ragged(parts), memory)
