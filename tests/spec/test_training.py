"""The closed forms of training against the real model, its optimisers and what autograd keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from shosei.model import lora
from shosei.model.transformer import Transformer
from shosei.spec import PRESETS, ModelSpec, preset
from shosei.spec.training import (
    TrainingStep,
    lora_params,
    optimizer_bytes,
    training_memory,
)
from shosei.train.loss import answer_loss
from shosei.train.optim import Optimizers, split_parameters
from train_samples import FAST

SPECS = st.builds(
    lambda d, layers, width, kv, group, head, rows, tied: replace(
        preset("nano"),
        d_model=8 * d,
        n_layers=layers,
        intermediate_size=16 * width,
        n_kv_heads=kv,
        n_heads=kv * group,
        head_dim=8 * head,
        vocab_size=rows,
        tied=tied,
    ),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(1, 8),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(5, 400),
    st.booleans(),
)


def on_paper_and_in_torch(spec: ModelSpec) -> tuple[dict[str, int], dict[str, int]]:
    with torch.device("meta"):
        model = Transformer(spec)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    matrices, tables = split_parameters(model)

    def total(part: str) -> int:
        return sum(size for name, size in sizes.items() if part in name)

    paper = {
        "embed_tokens|lm_head": spec.embedding_params,
        "self_attn": spec.attention_params,
        "mlp": spec.feed_forward_params,
        "norm": spec.norm_params,
        "all": spec.params,
        "muon": spec.layer_matrix_params,
        "adamw": spec.params - spec.layer_matrix_params,
    }
    return paper, {
        "embed_tokens|lm_head": total("embed_tokens") + total("lm_head"),
        "self_attn": total("self_attn"),
        "mlp": total("mlp"),
        "norm": total("norm"),
        "all": sum(sizes.values()),
        "muon": sum(matrix.numel() for matrix in matrices),
        "adamw": sum(table.numel() for table in tables),
    }


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_counts_what_its_module_holds(name: str) -> None:
    paper, module = on_paper_and_in_torch(preset(name))
    assert paper == module


@given(SPECS)
@settings(max_examples=40, deadline=None)
def test_any_shape_counts_what_its_module_holds(spec: ModelSpec) -> None:
    paper, module = on_paper_and_in_torch(spec)
    assert paper == module


@given(SPECS, st.integers(1, 9))
@settings(max_examples=20, deadline=None)
def test_adapters_count_what_has_gradients(spec: ModelSpec, rank: int) -> None:
    with torch.device("meta"):
        model = Transformer(spec)
    lora.adapt(model, rank, 1.0)
    assert sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) == lora_params(
        spec, rank
    )
    lora.merge(model)
    assert sum(parameter.numel() for parameter in model.parameters()) == spec.params


def kept(spec: ModelSpec, step: TrainingStep) -> tuple[int, int, int]:
    """Bytes that the real forward pass keeps for the backward one: that grow with the batch, of the head's gradients,
    and of copies of weights. Each memory counts once, parameters never."""
    model = Transformer(spec)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    shapes = {tuple(p.shape[::-1]) for p in model.parameters() if p.ndim == 2}
    found: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage().data_ptr()
        if storage not in weights and tensor.numel() > 1:
            found.setdefault(storage, tensor)
        return tensor

    ids = torch.randint(0, spec.vocab_size, (step.batch, step.sequence))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = answer_loss(model, ids, ids, torch.bfloat16 if step.precision == "bf16" else torch.float32)
    copies = sum(t.untyped_storage().nbytes() for t in found.values() if tuple(t.shape) in shapes)
    rest = sum(t.untyped_storage().nbytes() for t in found.values() if tuple(t.shape) not in shapes)
    gradients: tuple[Tensor, ...] = loss.grad_fn.gradients  # type: ignore[union-attr]
    return rest, sum(gradient.nbytes for gradient in gradients), copies


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@given(spec=SPECS, batch=st.integers(2, 3))
@settings(max_examples=12, deadline=None)
def test_activations_are_what_autograd_keeps(precision: Any, spec: ModelSpec, batch: int) -> None:
    step = TrainingStep(batch, 257, precision=precision)  # from 257 on attention is fused
    rest, gradients, copies = kept(spec, step)
    memory = training_memory(spec, step)
    rotation = (
        2 * step.value_bytes * step.sequence * spec.head_dim
    )  # one for all layers and rows, and far too small to plan with
    spare = 8 * (-step.tokens % 64)  # places without loss that fill the head's input up
    assert memory.activations <= rest - rotation <= memory.activations + spare
    assert gradients == (step.value_bytes * step.tokens + 4 * spec.vocab_size) * spec.d_model
    assert copies == memory.copies


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@given(spec=SPECS)
@settings(max_examples=5, deadline=None)
def test_optimizer_state_is_what_the_optimizers_hold(optimizer: Any, spec: ModelSpec) -> None:
    model = Transformer(spec)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizers = Optimizers(model, FAST.model_copy(update={"optimizer": optimizer}))
    optimizers.step(1.0)
    states = [*optimizers.matrices.state.values(), *optimizers.tables.state.values()]
    held = sum(value.nbytes for state in states for value in state.values() if value.ndim)
    assert held == optimizer_bytes(spec, optimizer)
