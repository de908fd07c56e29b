"""What a model needs on a device, and how long training and answering take there."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

from shosei.spec.device import Device
from shosei.spec.generation import WeightFormat, decode_seconds, generation_memory
from shosei.spec.model import ModelSpec
from shosei.spec.training import TrainingStep, train_flops, training_memory, update_flops

# Of a device's memory; the rest is for the runtime and for what the allocator cannot use.
USABLE = 0.9
# Of the peak: what well-kept trainers reach (Chowdhery et al. 2022, arXiv 2204.02311, table 3: 46 % for PaLM).
UTILIZATION = 0.4
# Tokens a parameter at which a training budget is best spent (Hoffmann et al. 2022, arXiv 2203.15556).
TOKENS_A_PARAMETER = 20

_LARGEST_BATCH = 1 << 40


@dataclass(frozen=True, slots=True)
class Answering:
    """Generating with weights of one type: peak memory, and the least time of a token."""

    weights: str
    bytes: int
    fits: bool
    decode_seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A step on each of ``step.ranks`` equal devices, and answers on one of them. Seconds are estimates at
    ``utilization`` of the peak. ``largest_batch`` 0: not even one row fits."""

    device: Device
    usable_bytes: int
    step: TrainingStep
    step_bytes: int
    training_fits: bool
    largest_batch: int
    utilization: float
    step_seconds: float
    epoch_seconds: float
    answering: list[Answering]


def compute_optimal_tokens(spec: ModelSpec) -> int:
    """Tokens to train on, of which none is seen twice."""
    return TOKENS_A_PARAMETER * spec.params


def plan(
    spec: ModelSpec, step: TrainingStep, device: Device, tokens: int, streams: int = 1, utilization: float = UTILIZATION
) -> Plan:
    """Training ``spec`` in epochs of ``tokens`` tokens, and answering ``streams`` full contexts at once."""
    usable = int(USABLE * device.memory)
    needed = training_memory(spec, step).peak
    speed = utilization * device.flops
    update = update_flops(spec) / step.ranks if step.optimizer == "muon" else 0.0
    step_seconds = (train_flops(spec, step) + update) / speed
    return Plan(
        device=device,
        usable_bytes=usable,
        step=step,
        step_bytes=needed,
        training_fits=needed <= usable,
        largest_batch=largest_batch(spec, step, usable),
        utilization=utilization,
        step_seconds=step_seconds,
        epoch_seconds=tokens / (step.tokens * step.ranks) * step_seconds,
        answering=[_answering(spec, device, usable, streams, weights) for weights in WeightFormat],
    )


def largest_batch(spec: ModelSpec, step: TrainingStep, memory: float) -> int:
    """The most rows a device can take in a step within ``memory`` bytes."""
    batches = range(1, _LARGEST_BATCH)
    return bisect_right(batches, memory, key=lambda batch: training_memory(spec, replace(step, batch=batch)).peak)


def _answering(spec: ModelSpec, device: Device, usable: int, streams: int, weights: WeightFormat) -> Answering:
    needed = generation_memory(spec, streams, spec.context_length, weights).peak
    seconds = decode_seconds(spec, spec.context_length, device.bandwidth, streams, weights)
    name = "bf16" if weights is WeightFormat.STORED else weights.value
    return Answering(name, needed, needed <= usable, seconds)
