"""docs/models.md on paper: every line of its first table is what the closed forms say today."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from shosei.quantity import shown_bytes, shown_count
from shosei.spec import ModelSpec, preset
from shosei.spec.generation import generation_memory
from shosei.spec.plan import compute_optimal_tokens
from shosei.spec.published import PUBLISHED, SHAPES
from shosei.spec.training import TrainingStep, training_memory

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"


def difference(computed: int, published: int, digits: int) -> str:
    relative = f"{100 * (computed / published - 1):+.{digits}f}".replace("-", "−")
    return f"{computed:,}" if computed == published else f"{computed:,} ({relative} %)"


def step_peak(spec: ModelSpec, ranks: int) -> str:
    return shown_bytes(training_memory(spec, TrainingStep(1, spec.context_length, ranks=ranks)).peak)


LINES: dict[str, Callable[[ModelSpec], str]] = {
    "": lambda spec: spec.name,
    "d_model, layers": lambda spec: f"{spec.d_model:,}, {spec.n_layers}",
    "feed-forward: published (gate and up fused), `intermediate_size`": lambda spec: (
        f"{SHAPES[spec.name][2]:,}, {spec.intermediate_size:,}"
    ),
    "heads, KV heads, head size": lambda spec: f"{spec.n_heads}, {spec.n_kv_heads}, {spec.head_dim}",
    "vocabulary: published, rows": lambda spec: f"{SHAPES[spec.name][-1]:,}, {spec.vocab_size:,}",
    "embedding: published": lambda spec: f"{PUBLISHED[spec.name][0]:,}",
    "embedding: computed": lambda spec: difference(spec.embedding_params, PUBLISHED[spec.name][0], 2),
    "non-embedding: published": lambda spec: f"{PUBLISHED[spec.name][1]:,}",
    "non-embedding: computed": lambda spec: difference(spec.non_embedding_params, PUBLISHED[spec.name][1], 1),
    "parameters": lambda spec: f"{spec.params:,}",
    "GFLOP a token, training at full context": lambda spec: (
        f"{spec.train_flops_per_token(spec.context_length) / 1e9:#.4g}"
    ),
    "GFLOP a token, decoding at full context": lambda spec: (
        f"{spec.decode_flops_per_token(spec.context_length) / 1e9:#.4g}"
    ),
    "KV cache a token, bf16": lambda spec: f"{spec.kv_bytes_per_token():,} B",
    "token budget, 20 a parameter": lambda spec: shown_count(compute_optimal_tokens(spec)),
    "one row of full context, one device: peak of a training step": lambda spec: step_peak(spec, 1),
    "the same on 8 ranks (FSDP), a device": lambda spec: step_peak(spec, 8),
    "answering one full context, bf16": lambda spec: shown_bytes(generation_memory(spec, 1, spec.context_length).peak),
}


def test_the_table_on_paper_is_what_is_computed() -> None:
    specs = [preset(name) for name in SHAPES]
    expected = [f"| {' | '.join([name, *map(line, specs)])} |".replace("|  |", "| |") for name, line in LINES.items()]
    expected.insert(1, "|---" * 5 + "|")
    written = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert written[: len(expected)] == expected
