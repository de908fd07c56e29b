"""A whole model as the C functions take it: packed weights, and a step in one call."""

from __future__ import annotations

import ctypes
from ctypes import byref
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from shosei.model import folder
from shosei.model.frequencies import frequencies
from shosei.model.native import structs
from shosei.model.native.library import Library
from shosei.model.native.packed_matrix import UNIT, Format, PackedMatrix
from shosei.model.transformer import Transformer
from shosei.progress import progress
from shosei.spec import ModelSpec
from shosei.spec.generation import WeightFormat

_ALIGNMENT = 64
# Of a layer, by the names that its parts have in the C struct: the modules of the Transformer that each is made of.
_VECTORS = {
    "attention_norm": "input_layernorm",
    "feed_forward_norm": "post_attention_layernorm",
    "query_norm": "self_attn.q_norm",
    "key_norm": "self_attn.k_norm",
}


class Rows(Protocol):
    """``engine.batch.Batch``: N rows of S sequences, W of them wanted; all tensors on the CPU and contiguous."""

    @property
    def tokens(self) -> Tensor: ...  # (N,) int64
    @property
    def positions(self) -> Tensor: ...  # (N,) int64
    @property
    def starts(self) -> Tensor: ...  # (S + 1,) int64
    @property
    def tables(self) -> Tensor: ...  # (S, most blocks) int32
    @property
    def wanted(self) -> Tensor: ...  # (W,) int64, rising


class KeysAndValues(Protocol):
    """``engine.cache.PagedCache``: (layers, blocks, KV, 32, head_dim) each, in bfloat16; of a block and head, tokens
    and values lie together."""

    k: Tensor
    v: Tensor


def obstacle(spec: ModelSpec) -> str | None:
    """Why the C functions cannot compute a model of this shape, if so."""
    sizes = {"width": spec.d_model, "feed-forward width": spec.intermediate_size, "head size": spec.head_dim}
    odd = [f"its {name} of {size} is no multiple of {UNIT}" for name, size in sizes.items() if size % UNIT]
    return odd[0] if odd else None


class NativeModel:
    """A ``Transformer`` in bfloat16, or with its matrices in 8 or 4 bits, computed by C functions.

    One thread at a time may call ``logits``.
    """

    def __init__(self, spec: ModelSpec, library: Library, weights: WeightFormat) -> None:
        """Still without weights, which ``take`` brings."""
        assert obstacle(spec) is None
        self.spec, self.library = spec, library
        self._format, self._head_format = Format.of(weights.layers), Format.of(weights.head)
        self._matrices: dict[str, tuple[PackedMatrix, slice]] = {}  # by the module that fills a part of them
        self._vectors: dict[str, Tensor] = {}
        self._layers = (structs.Layer * spec.n_layers)()
        for number in range(spec.n_layers):
            self._prepare_layer(number)
        self._head = PackedMatrix(library, spec.vocab_size, spec.d_model, self._head_format)
        self._matrices["lm_head"] = self._head, slice(None)
        self._table = torch.empty(spec.vocab_size, spec.d_model, dtype=torch.bfloat16)
        self._vectors["norm"] = torch.empty(spec.d_model)
        rates, magnitude = frequencies(spec)
        self._rates = rates.float().contiguous()
        self._memory = torch.empty(0, dtype=torch.uint8)
        self._model = self._struct(magnitude)

    @property
    def nbytes(self) -> int:
        """Of all that a step reads, and of the input table."""
        matrices = {id(matrix): matrix.nbytes for matrix, _ in self._matrices.values()}
        return sum(matrices.values()) + self._table.nbytes + sum(vector.nbytes for vector in self._vectors.values())

    @property
    def kernels(self) -> dict[str, str]:
        """What computes the products, as the log and ``--explain`` have it."""
        formats = {"layers": self._format.name.lower(), "head": self._head_format.name.lower()}
        return {part: f"{self.library.name} {name}" for part, name in formats.items()}

    def take(self, name: str, tensor: Tensor) -> None:
        """Take a parameter of the Transformer, by its name there, in any order, as often as it changes."""
        module, _, kind = name.rpartition(".")
        if module == "embed_tokens":
            self._table.copy_(tensor)
            if self.spec.tied:
                self._head.fill(tensor, slice(None))
        elif module in self._vectors:
            self._vectors[module].copy_(tensor)
        elif not (module == "lm_head" and self.spec.tied):
            matrix, units = self._matrices[module]
            (matrix.fill if kind == "weight" else matrix.fill_bias)(tensor, units)

    @torch.inference_mode()
    def logits(self, batch: Rows, cache: KeysAndValues) -> Tensor:
        """Store the keys and values of all rows of ``batch`` in ``cache``, then let each attend to its sequence up to
        itself; the logits after the wanted rows, (W, V) in float32.

        A row's are the same bits whatever rows are computed beside it. Raises torch's error where memory is short.
        """
        rows, tables = len(batch.tokens), batch.tables
        tensors = (batch.tokens, batch.positions, batch.starts, batch.wanted, tables)
        pointers = (tensor.data_ptr() for tensor in tensors)
        of_batch = structs.Batch(rows, len(tables), len(batch.wanted), tables.shape[1], *pointers)
        of_cache = structs.Cache(cache.k.data_ptr(), cache.v.data_ptr(), *cache.k.stride()[:3])
        self._model.pool = structs.pool()
        functions = self.library.functions
        self._reserve(functions.native_memory(byref(self._model), byref(of_batch)))
        logits = torch.empty(len(batch.wanted), self.spec.vocab_size)
        memory = self._memory.data_ptr() + -self._memory.data_ptr() % _ALIGNMENT
        functions.native_step(byref(self._model), byref(of_batch), byref(of_cache), memory, logits.data_ptr())
        return logits

    def _reserve(self, size: int) -> None:
        if len(self._memory) < size + _ALIGNMENT:
            self._memory = torch.empty(0, dtype=torch.uint8)  # let go of it before there is more
            self._memory = torch.empty(size + _ALIGNMENT, dtype=torch.uint8)

    def _prepare_layer(self, number: int) -> None:
        spec, layer, prefix = self.spec, self._layers[number], f"layers.{number}."
        queries, keys = spec.n_heads * spec.head_dim // UNIT, spec.n_kv_heads * spec.head_dim // UNIT
        qkv = self._matrix((queries + 2 * keys) * UNIT, spec.d_model, spec.qkv_bias)
        output = self._matrix(spec.d_model, queries * UNIT, spec.bias)
        gate_up = self._matrix(2 * spec.intermediate_size, spec.d_model, spec.bias)
        down = self._matrix(spec.d_model, spec.intermediate_size, spec.bias)
        parts = {
            "self_attn.q_proj": (qkv, slice(0, queries)),
            "self_attn.k_proj": (qkv, slice(queries, queries + keys)),
            "self_attn.v_proj": (qkv, slice(queries + keys, None)),
            "self_attn.o_proj": (output, slice(None)),
            "mlp.gate_proj": (gate_up, slice(0, None, 2)),
            "mlp.up_proj": (gate_up, slice(1, None, 2)),
            "mlp.down_proj": (down, slice(None)),
        }
        self._matrices |= {prefix + module: part for module, part in parts.items()}
        layer.qkv, layer.output, layer.gate_up, layer.down = (each.struct() for each in (qkv, output, gate_up, down))
        for field, module in _VECTORS.items():
            of_heads = field in ("query_norm", "key_norm")
            if spec.qk_norm or not of_heads:
                vector = torch.empty(spec.head_dim if of_heads else spec.d_model)
                self._vectors[prefix + module] = vector
                setattr(layer, field, vector.data_ptr())

    def _matrix(self, outputs: int, inputs: int, bias: bool) -> PackedMatrix:
        return PackedMatrix(self.library, outputs, inputs, self._format, bias)

    def _struct(self, magnitude: float) -> structs.Model:
        spec = self.spec
        sizes = (spec.d_model, spec.n_layers, spec.intermediate_size, spec.n_heads, spec.n_kv_heads, spec.head_dim)
        pointers = (tensor.data_ptr() for tensor in (self._rates, self._table, self._vectors["norm"]))
        layers = ctypes.cast(self._layers, ctypes.POINTER(structs.Layer))
        numbers = (*sizes, spec.vocab_size, spec.norm_eps, magnitude)
        return structs.Model(*numbers, *pointers, layers, self._head.struct())


def of_transformer(model: Transformer, library: Library, weights: WeightFormat) -> NativeModel:
    """A copy of ``model``'s weights as they are now; it must not be packed."""
    native = NativeModel(model.spec, library, weights)
    for name, parameter in model.named_parameters():
        native.take(name, parameter)
    return native


def load(path: Path, library: Library, weights: WeightFormat) -> NativeModel:
    """The model folder ``path``, each matrix of which is packed as it comes. Raises InputError as ``folder.load``."""
    spec, stored = folder.open_model(path)
    native = NativeModel(spec, library, weights)
    with progress("loading and packing the weights", spec.params, "parameters") as work:
        for name, shape in folder.tensor_shapes(spec).items():
            tensor = stored.read(name, shape)
            native.take(name.removeprefix("model."), tensor)
            work.advance(tensor.numel())
    return native
