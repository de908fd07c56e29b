"""What one optimiser step costs: memory on a device, and FLOPs.

The memory is that of the trainer as it is (``train/``), and so differs from what papers count: weights, gradients and
optimiser state are float32, bfloat16 is the type of the products alone (autocast), the residual stream is float32,
each product keeps a bfloat16 copy of its weight and of its input for the backward pass, and the head sees a chunk of
positions at a time. Ranks gather a block's matrices in that type and the tables in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shosei.spec.model import ModelSpec

Optimizer = Literal["muon", "adamw"]
Precision = Literal["bf16", "fp32"]

_FP32 = 4
# The trainer's loss holds so many logits at once (train/loss.py), each as a float32 and what becomes of it.
LOGITS_IN_A_CHUNK = 1 << 25
_BYTES_A_LOGIT = 8


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """What a device does in one optimiser step: ``batch`` rows of ``sequence`` tokens, with loss on each of them.

    ``ranks`` devices share weights, gradients and optimiser state (FSDP, Zhao et al. 2023, arXiv 2304.11277).
    """

    batch: int
    sequence: int
    optimizer: Optimizer = "muon"
    precision: Precision = "bf16"
    checkpointing: bool = False
    ranks: int = 1

    @property
    def tokens(self) -> int:
        """On one device."""
        return self.batch * self.sequence

    @property
    def value_bytes(self) -> int:
        """Of a value that goes into a product."""
        return 2 if self.precision == "bf16" else _FP32


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """Bytes on one device, and when they meet.

    ``copies`` are weights in the type of the products, or gathered from other ranks; ``loss`` is what the head adds to
    the forward pass's end, ``backward`` and ``update`` what passes while the first layer's gradients and the new
    weights are computed.
    """

    weights: int
    gradients: int
    optimizer: int
    copies: int
    activations: int
    loss: int
    backward: int
    update: int

    @property
    def moments(self) -> dict[str, int]:
        """Bytes in use at each moment that can be the peak: activations give way to gradients as a step goes on."""
        resident = self.weights + self.optimizer
        forward = resident + self.copies + self.activations
        return {
            "loss": forward + self.loss,
            "backward": forward + self.backward,
            "update": resident + self.gradients + self.update,
        }

    @property
    def peak(self) -> int:
        return max(self.moments.values())


def training_memory(spec: ModelSpec, step: TrainingStep) -> TrainingMemory:
    """Memory of a step in the course of training, optimiser state included."""
    table = spec.vocab_size * spec.d_model
    matrix = spec.d_model * spec.intermediate_size
    rows = min(step.tokens, LOGITS_IN_A_CHUNK // spec.vocab_size)
    head_copy = step.value_bytes * table if step.precision == "bf16" else 0
    hidden = step.value_bytes * step.tokens * spec.d_model
    stream_gradient = _FP32 * step.tokens * spec.d_model
    gated = 2 * step.value_bytes * step.tokens * spec.intermediate_size
    return TrainingMemory(
        weights=_FP32 * spec.params // step.ranks,
        gradients=_FP32 * spec.params // step.ranks,
        optimizer=optimizer_bytes(spec, step.optimizer) // step.ranks,
        copies=_copies(spec, step),
        activations=step.tokens * activation_bytes_per_token(spec, step),
        loss=head_copy + _FP32 * table + 2 * hidden + _BYTES_A_LOGIT * rows * spec.vocab_size,
        # The head's gradient is there; those of the gated product's factors and of a matrix are coming.
        backward=_FP32 * table + stream_gradient + gated + (_FP32 + step.value_bytes) * matrix,
        update=_update_bytes(spec, step, matrix, table),
    )


def optimizer_bytes(spec: ModelSpec, optimizer: Optimizer) -> int:
    """State, float32: AdamW keeps two moments (Loshchilov and Hutter 2019, arXiv 1711.05101), Muon a momentum of the
    layers' matrices (Liu et al. 2025, arXiv 2502.16982) and leaves the tables and norms to AdamW."""
    matrices = spec.layer_matrix_params if optimizer == "muon" else 0
    return _FP32 * matrices + 2 * _FP32 * (spec.params - matrices)


def activation_bytes_per_token(spec: ModelSpec, step: TrainingStep) -> int:
    """What the forward pass keeps of a token, over all layers; fused attention, which keeps no scores.

    After Korthikanti et al. 2022 (arXiv 2205.05198), with our architecture and types. A norm keeps its input, that
    input scaled and one float32; attention its rotated queries and keys, values, output and one float32 a head; the
    feed-forward network both branches, the activated gate and the product.
    """
    one_norm = 2 * _FP32 * spec.d_model + _FP32
    layer = (
        2 * one_norm
        + step.value_bytes * 2 * spec.d_model  # what q, k and v take, and what gate and up do
        + step.value_bytes * 2 * (spec.n_heads + spec.n_kv_heads) * spec.head_dim
        + _FP32 * spec.n_heads
        + step.value_bytes * 4 * spec.intermediate_size
    )
    ends = one_norm + 2 * 8  # the last norm, and two int64: the token's id and its place among those with loss
    if step.checkpointing:  # the input of each layer, and all of the one that is being computed again
        return spec.n_layers * _FP32 * spec.d_model + layer + ends
    return spec.n_layers * layer + ends


def train_flops(spec: ModelSpec, step: TrainingStep) -> int:
    """Forward and backward FLOPs of a step on one device; checkpointing adds a second forward pass, a third of that."""
    flops = step.tokens * spec.train_flops_per_token(step.sequence)
    return flops * 4 // 3 if step.checkpointing else flops


def update_flops(spec: ModelSpec) -> int:
    """What Muon's five Newton-Schulz iterations add to a step, whatever its size: for an m x n matrix with m <= n,
    5 (4 m² n + 2 m³) (K. Jordan 2024)."""
    return spec.n_layers * sum(5 * (4 * min(s) ** 2 * max(s) + 2 * min(s) ** 3) for s in _layer_matrices(spec))


def lora_params(spec: ModelSpec, rank: int) -> int:
    """What is trained of a model with adapters: ``rank`` rows of inputs and columns of outputs beside each matrix of
    its layers (Hu et al. 2021, arXiv 2106.09685)."""
    return spec.n_layers * rank * sum(map(sum, _layer_matrices(spec)))


def _layer_matrices(spec: ModelSpec) -> list[tuple[int, int]]:
    """Both sides of each matrix of one layer."""
    return [
        *[(spec.d_model, spec.n_heads * spec.head_dim)] * 2,
        *[(spec.d_model, spec.n_kv_heads * spec.head_dim)] * 2,
        *[(spec.d_model, spec.intermediate_size)] * 3,
    ]


def _copies(spec: ModelSpec, step: TrainingStep) -> int:
    """Bytes of weights beside the float32 ones: all layers' in bfloat16, or two gathered layers and the tables."""
    layer = spec.layer_matrix_params // spec.n_layers
    if step.ranks > 1:
        return step.value_bytes * 2 * layer + _FP32 * spec.embedding_params
    if step.precision == "fp32":
        return 0
    return step.value_bytes * (layer if step.checkpointing else spec.layer_matrix_params)


def _update_bytes(spec: ModelSpec, step: TrainingStep, matrix: int, table: int) -> int:
    """Muon makes a float32 update of a matrix and three in bfloat16. Before that, a tied table's two gradients meet."""
    meeting = _FP32 * table if spec.tied else 0
    return max(meeting, 10 * matrix if step.optimizer == "muon" else 0)
