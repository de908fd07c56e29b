"""What generating text costs: memory of the engine, and the time that reading the weights takes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shosei.errors import InputError
from shosei.quantity import shown_bytes
from shosei.spec.model import ModelSpec

_BF16, _FLOAT32 = 2, 4
# Tokens of prompts that one step of the engine may compute: bounds its memory and everybody's wait.
PREFILL_TOKENS = 512
# Tokens whose keys and values are given away, shared and taken back together (engine/cache.py).
BLOCK_TOKENS = 32
# Weights of one output that share a scale and an offset, when they have 4 bits each (model/int4.py).
INT4_GROUP = 32
# Share of the free memory that weights and cache may fill where slots could need more.
_FILLED = 0.9


class WeightFormat(StrEnum):
    """How an engine holds the weights: in the type that they are stored in, or every matrix in 8 or 4 bits a weight, or
    in 4 bits all but the head, which is in 8: it chooses the token, and bears rounding worst."""

    STORED = "stored"
    INT8 = "int8"
    INT4 = "int4"
    INT4_HEAD8 = "int4-head8"

    @property
    def layers(self) -> WeightFormat:
        """Of the layers' matrices: STORED, INT8 or INT4."""
        return WeightFormat.INT4 if self is WeightFormat.INT4_HEAD8 else self

    @property
    def head(self) -> WeightFormat:
        """Of the output matrix: STORED, INT8 or INT4."""
        return WeightFormat.INT8 if self is WeightFormat.INT4_HEAD8 else self


@dataclass(frozen=True, slots=True)
class GenerationMemory:
    """Bytes: weights and cache, in bfloat16 unless another type is stored, or the matrices in 8 or 4 bits; what a
    prefill holds while it passes through one layer; and, before there is a cache, the matrix that is there twice while
    it is packed or quantised."""

    weights: int
    cache: int
    prefill: int
    packing: int

    @property
    def peak(self) -> int:
        return self.weights + max(self.packing, self.cache + self.prefill)


def generation_memory(
    spec: ModelSpec,
    streams: int,
    context: int,
    weights: WeightFormat = WeightFormat.STORED,
    value_bytes: int = _BF16,
) -> GenerationMemory:
    """Memory of ``streams`` sequences of up to ``context`` tokens each; a stored value has ``value_bytes``.

    A tied table is there twice, to look tokens up in and packed for the head's product.
    """
    table = spec.vocab_size * spec.d_model
    tokens = min(streams * context, PREFILL_TOKENS)
    # The residual stream and its norm; both branches and the product; and what attention makes of a whole context.
    live = tokens * (2 * spec.d_model + 3 * spec.intermediate_size) + streams * spec.vocab_size
    live += 2 * tokens * spec.n_heads * context
    return GenerationMemory(
        weights=product_bytes(spec, weights, value_bytes) + value_bytes * (table + spec.norm_params),
        cache=streams * blocks_of(context) * block_bytes(spec, value_bytes),
        prefill=value_bytes * live,
        packing=value_bytes * max(2 * spec.d_model * spec.intermediate_size, 0 if spec.tied else table),
    )


def blocks_of(tokens: int) -> int:
    """Blocks of the cache that hold so many tokens of one sequence."""
    return -(-tokens // BLOCK_TOKENS)


def block_bytes(spec: ModelSpec, value_bytes: int = _BF16) -> int:
    """Bytes of one block of the cache."""
    return BLOCK_TOKENS * spec.kv_bytes_per_token(value_bytes)


def product_bytes(spec: ModelSpec, weights: WeightFormat, value_bytes: int = _BF16) -> int:
    """Bytes of all that is multiplied with: the layers' matrices, the head and the few biases, of ``value_bytes`` each.

    In 8 bits every output has a scale in float32 besides, in 4 bits every group a scale and an offset in bfloat16;
    matrices whose inputs are not a whole number of groups, and biases, stay in bfloat16.
    """
    if weights is WeightFormat.STORED:
        return value_bytes * spec.matmul_params
    attention = spec.n_heads * spec.head_dim
    of_heads = attention + 2 * spec.n_kv_heads * spec.head_dim
    # Inputs and outputs, all matrices of the same inputs and format together.
    matrices = [
        (spec.d_model, spec.n_layers * (of_heads + 2 * spec.intermediate_size), weights.layers),
        (attention, spec.n_layers * spec.d_model, weights.layers),
        (spec.intermediate_size, spec.n_layers * spec.d_model, weights.layers),
        (spec.d_model, spec.vocab_size, weights.head),
    ]
    biases = spec.matmul_params - sum(inputs * outputs for inputs, outputs, _ in matrices)
    return sum(_quantised_bytes(*matrix) for matrix in matrices) + _BF16 * biases


def _quantised_bytes(inputs: int, outputs: int, weights: WeightFormat) -> int:
    """Of a matrix in INT8 or INT4."""
    values = inputs * outputs
    if weights is WeightFormat.INT8:
        return values + _FLOAT32 * outputs
    return values // 2 + values // INT4_GROUP * 2 * _BF16 if fits_int4(inputs) else _BF16 * values


def fits_int4(inputs: int) -> bool:
    """Whether a matrix with so many inputs can have 4 bits a weight."""
    return inputs % INT4_GROUP == 0


def slot_context(spec: ModelSpec, context: int) -> int:
    """Tokens of a prompt with its answer: ``context``, or all that the model has if that is 0. Raises InputError."""
    if context > spec.context_length:
        raise InputError(
            f"--context {context}: {spec.name} has a context of {spec.context_length} tokens; give no more",
            param="context",
        )
    if context == 1:
        raise InputError("--context 1: a prompt and its answer take two tokens at least", param="context")
    return context or spec.context_length


def cache_blocks(
    spec: ModelSpec, slots: int, context: int, weights: WeightFormat, available: int, stored_bytes: int
) -> int:
    """Blocks of an engine's cache: as many as all slots could ever need, or else as ``available`` bytes hold beside the
    weights, some left free. A value of the model's files has ``stored_bytes``; beside quantised weights it is bfloat16.

    Raises InputError that says what to lower if not even one sequence of ``context`` tokens fits.
    """
    value_bytes = stored_bytes if weights is WeightFormat.STORED else _BF16
    most = generation_memory(spec, slots, context, weights, value_bytes)
    one = generation_memory(spec, 1, context, weights, value_bytes)
    if one.peak > available:
        raise InputError(_too_little(spec, context, weights, one, available), param="context")
    if most.peak <= available:
        return slots * blocks_of(context)
    left = int(available * _FILLED) - most.weights - most.prefill
    return max(blocks_of(context), left // block_bytes(spec, value_bytes))


def _too_little(spec: ModelSpec, context: int, weights: WeightFormat, needed: GenerationMemory, available: int) -> str:
    remedies = ["lower --context"] if needed.weights + needed.packing < available else []
    if weights is not WeightFormat.INT4:
        remedies.append("give --weights int4")
    return (
        f"{spec.name} needs {shown_bytes(needed.peak)} to answer: {shown_bytes(needed.weights)} for weights, "
        f"{shown_bytes(needed.cache)} for {context:,} tokens; {shown_bytes(available)} are free: "
        f"{' or '.join(remedies) or 'take a machine with more memory'}"
    )


def decode_seconds(
    spec: ModelSpec,
    context: int,
    bandwidth: float,
    streams: int = 1,
    weights: WeightFormat = WeightFormat.STORED,
    value_bytes: int = _BF16,
) -> float:
    """The least time of one token for each of ``streams``: every matrix and every stream's cache is read once.

    ``bandwidth`` in bytes/s (Pope et al. 2022, arXiv 2211.05102); a stored value, and one of the cache, has
    ``value_bytes``.
    """
    cache = streams * context * spec.kv_bytes_per_token(value_bytes)
    return (product_bytes(spec, weights, value_bytes) + cache) / bandwidth
