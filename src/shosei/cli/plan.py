"""``shosei models`` and ``plan``: presets, what a model needs, how long it takes, or which one a budget allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shosei.cli.common import JsonOption, result
from shosei.errors import InputError, installing

if TYPE_CHECKING:
    from shosei.spec import AuditRow, ModelSpec
    from shosei.spec.device import Device

NEEDS_TORCH = f"measuring needs torch: {installing('build')}"


PresetArgument = Annotated[
    str | None,
    typer.Argument(metavar="PRESET", help="One of `shosei models`, or a shape's file, *.toml.", show_default=False),
]
LikeOption = Annotated[
    str | None, typer.Option(metavar="PRESET", help="Shape of the model to find: a name or a file.", show_default=False)
]
FreeOption = Annotated[
    str | None,
    typer.Option(
        help="What may change: width, depth, feed-forward or vocabulary (default: feed-forward).", show_default=False
    ),
]
ParamsOption = Annotated[str | None, typer.Option(help="Budget: parameters, such as 100e6.", show_default=False)]
MemoryOption = Annotated[str | None, typer.Option(help="Budget: memory of answering, such as 2GB.", show_default=False)]
LatencyOption = Annotated[
    float | None,
    typer.Option(
        "--latency-ms", min=1e-6, max=1e9, help="Budget: milliseconds that a token takes at least.", show_default=False
    ),
]
GpusOption = Annotated[str | None, typer.Option(help="Devices to plan for, such as 8xH100.", show_default=False)]
TokensOption = Annotated[
    str | None, typer.Option(help="Tokens of an epoch (default: 20 a parameter).", show_default=False)
]
BatchOption = Annotated[int, typer.Option(min=1, help="Rows a device takes in one step.")]
SequenceOption = Annotated[
    int | None, typer.Option(min=1, help="Tokens of a row (default: the model's context).", show_default=False)
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.toml", help="Write the shape there, for 'shosei train --preset FILE.toml'.", show_default=False
    ),
]
StreamsOption = Annotated[int, typer.Option(min=1, help="Full contexts that are answered at once.")]


def models(as_json: JsonOption = False) -> None:
    """List the presets, and compare the published shapes and parameter counts with the computed ones."""
    from shosei.spec import PRESETS, audit, audit_shapes

    presets = [
        asdict(spec) | {name: getattr(spec, name) for name in ("params", "embedding_params", "non_embedding_params")}
        for spec in PRESETS.values()
    ]
    lines = [
        f"{'preset':22}{'d_model':>8}{'layers':>7}{'feed-forward':>14}{'heads':>6}{'KV':>4}{'size':>5}{'rows':>9}"
        f"{'embedding':>15}{'non-embedding':>16}{'parameters':>16}"
    ]
    lines += [
        f"{spec.name:22}{spec.d_model:8,}{spec.n_layers:7}{spec.intermediate_size:14,}{spec.n_heads:6}"
        f"{spec.n_kv_heads:4}{spec.head_dim:5}{spec.vocab_size:9,}{spec.embedding_params:15,}"
        f"{spec.non_embedding_params:16,}{spec.params:16,}"
        for spec in PRESETS.values()
    ]
    shapes, counts = audit_shapes(), audit()
    lines += ["", *_compared("table 1, shapes", shapes), "", *_compared("table 2, counts", counts)]
    values = {"presets": presets, "shapes": _values(shapes), "audit": _values(counts)}
    result(values, lines, as_json=as_json)


def plan(
    preset: PresetArgument = None,
    gpus: GpusOption = None,
    tokens: TokensOption = None,
    batch: BatchOption = 8,
    sequence: SequenceOption = None,
    optimizer: Annotated[Literal["muon", "adamw"], typer.Option(help="muon leaves tables to AdamW.")] = "muon",
    precision: Annotated[Literal["bf16", "fp32"], typer.Option(help="Of products; weights are fp32.")] = "bf16",
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Keep no activations but layers' inputs (train.checkpointing).")
    ] = False,
    streams: StreamsOption = 1,
    like: LikeOption = None,
    free: FreeOption = None,
    params: ParamsOption = None,
    memory: MemoryOption = None,
    latency_ms: LatencyOption = None,
    out: OutOption = None,
    here: Annotated[bool, typer.Option("--here/--no-here", help="Measure this machine and plan for it too.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Plan a model: memory, time, token budget, largest batch. With --like and a budget, find the model first."""
    from shosei.cli.planned import on_device, on_paper
    from shosei.quantity import parse_count
    from shosei.spec.device import parse_devices
    from shosei.spec.generation import generation_memory
    from shosei.spec.plan import compute_optimal_tokens
    from shosei.spec.plan import plan as plan_on
    from shosei.spec.shape import write_shape
    from shosei.spec.training import TrainingStep, training_memory

    ranks, gpu = parse_devices(gpus) if gpus is not None else (1, None)
    machine = _this_machine() if here else None
    spec = _spec(preset, like, free, params, memory, latency_ms, streams, gpu or machine)
    if out:
        write_shape(spec, out)
    length = sequence or spec.context_length
    step = TrainingStep(batch, length, optimizer, precision, checkpointing, ranks)
    epoch = parse_count(tokens, "--tokens") if tokens is not None else compute_optimal_tokens(spec)
    training, answering = training_memory(spec, step), generation_memory(spec, streams, spec.context_length)
    devices = [(step, gpu)] if gpu else []
    if machine:
        devices.append((TrainingStep(batch, length, step.optimizer, step.precision, checkpointing), machine))
    plans = [plan_on(spec, taken, device, epoch, streams) for taken, device in devices]

    values = {
        "model": asdict(spec) | _counts(spec, length),
        "step": asdict(step),
        "training": asdict(training) | {"moments": training.moments, "peak": training.peak},
        "generation": asdict(answering) | {"streams": streams, "peak": answering.peak},
        "token_budget": compute_optimal_tokens(spec),
        "epoch_tokens": epoch,
        "plans": [asdict(one) for one in plans],
        "here": "measured" if machine else f"not measured: {NEEDS_TORCH if here else '--no-here'}",
    }
    lines = on_paper(spec, step, training, answering, streams)
    for one in plans:
        lines += ["", *on_device(one, epoch)]
    if here and not machine:
        lines += ["", f"this machine: not measured; {NEEDS_TORCH}"]
    result(values, lines, as_json=as_json)


def _spec(
    preset: str | None,
    like: str | None,
    free: str | None,
    params: str | None,
    memory: str | None,
    latency_ms: float | None,
    streams: int,
    device: Device | None,
) -> ModelSpec:
    """The preset that was named, or the model that the budget allows."""
    from shosei.quantity import parse_bytes, parse_count, shown_bytes, shown_seconds
    from shosei.spec import preset as find
    from shosei.spec.generation import decode_seconds, generation_memory
    from shosei.spec.solve import CostLimit, solve

    budgets = [budget for budget in (params, memory, latency_ms) if budget is not None]
    if preset and not (like or free or budgets):
        return find(preset)
    if preset or not like or len(budgets) != 1:
        raise InputError(
            "name a preset, such as 'shosei plan ja-small', or find a model: --like PRESET with one of --params, "
            "--memory and --latency-ms"
        )
    if params is not None:
        limit = parse_count(params, "--params")
        cost_limit = CostLimit(limit, lambda spec: spec.params, lambda value: f"{value:,.0f} parameters")
    elif memory is not None:
        limit = parse_bytes(memory, "--memory")
        cost_limit = CostLimit(
            limit, lambda spec: generation_memory(spec, streams, spec.context_length).peak, shown_bytes
        )
    elif latency_ms is not None and device is not None:
        bandwidth = device.bandwidth
        cost_limit = CostLimit(
            latency_ms / 1e3,
            lambda spec: decode_seconds(spec, spec.context_length, bandwidth, streams),
            shown_seconds,
        )
    else:
        raise InputError(f"--latency-ms needs a device: name one with --gpus, or measure this machine; {NEEDS_TORCH}")
    return solve(find(like), free or "feed-forward", cost_limit)


def _this_machine() -> Device | None:
    """Measured, if torch is installed."""
    try:
        from shosei.model.device import this_machine
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return None
    return this_machine()


def _counts(spec: ModelSpec, sequence: int) -> dict[str, Any]:
    return {
        "params": spec.params,
        "embedding_params": spec.embedding_params,
        "non_embedding_params": spec.non_embedding_params,
        "attention_params": spec.attention_params,
        "feed_forward_params": spec.feed_forward_params,
        "norm_params": spec.norm_params,
        "train_flops_per_token": spec.train_flops_per_token(sequence),
        "decode_flops_per_token": spec.decode_flops_per_token(spec.context_length),
        "kv_bytes_per_token": spec.kv_bytes_per_token(),
    }


def _compared(title: str, rows: Sequence[AuditRow]) -> list[str]:
    lines = [f"{title:32}{'published':>16}{'computed':>16}{'difference':>12}"]
    for row in rows:
        name = f"{row.model} {row.part}"
        lines.append(f"{name:32}{row.published:16,}{row.computed:16,}{row.difference:+12.2%}  {row.reason}")
    return lines


def _values(rows: Sequence[AuditRow]) -> list[dict[str, Any]]:
    return [asdict(row) | {"difference": row.difference} for row in rows]
