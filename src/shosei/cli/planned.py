"""A plan in words, line by line: what ``shosei plan`` prints."""

from __future__ import annotations

from shosei.quantity import shown_bytes, shown_count, shown_seconds
from shosei.spec import ModelSpec
from shosei.spec.generation import GenerationMemory
from shosei.spec.plan import TOKENS_A_PARAMETER, Answering, Plan, compute_optimal_tokens
from shosei.spec.training import TrainingMemory, TrainingStep

_MOMENTS = {
    "loss": "when the loss is computed",
    "backward": "when the backward pass begins",
    "update": "when the weights are updated",
}


def on_paper(
    spec: ModelSpec, step: TrainingStep, training: TrainingMemory, answering: GenerationMemory, streams: int
) -> list[str]:
    """The model, and what a step and an answer need anywhere."""
    context = spec.context_length
    recomputed = ", activations computed again" if step.checkpointing else ""
    shared = f", shared by {step.ranks} devices" if step.ranks > 1 else ""
    moment = max(training.moments, key=training.moments.__getitem__)
    return [
        f"{spec.name}: {spec.params:,} parameters",
        f"  embedding {spec.embedding_params:,} ({'one table' if spec.tied else 'input and output table'}), attention "
        f"{spec.attention_params:,}, feed-forward {spec.feed_forward_params:,}, norms {spec.norm_params:,}",
        f"  d_model {spec.d_model:,}, layers {spec.n_layers}, feed-forward {spec.intermediate_size:,}, heads "
        f"{spec.n_heads}, KV heads {spec.n_kv_heads}, head size {spec.head_dim}, vocabulary {spec.vocab_size:,} rows, "
        f"context {context:,} tokens",
        f"  {spec.train_flops_per_token(step.sequence) / 1e9:,.4g} GFLOP a token to train, in rows of "
        f"{step.sequence:,}; {spec.decode_flops_per_token(context) / 1e9:,.4g} GFLOP a token to answer, after "
        f"{context:,}, each of which is {spec.kv_bytes_per_token():,} bytes of cache",
        f"  trained best on {shown_count(compute_optimal_tokens(spec))} tokens: {TOKENS_A_PARAMETER} a parameter "
        "(Hoffmann et al. 2022, arXiv 2203.15556)",
        f"training, {step.batch:,} x {step.sequence:,} tokens a step and device, {step.optimizer}, {step.precision} "
        f"products{recomputed}{shared}:",
        f"  {shown_bytes(training.peak)} a device at its peak, {_MOMENTS[moment]}: {_parts(training, moment)}",
        f"answering, {streams:,} x {context:,} tokens, bf16 weights:",
        f"  {shown_bytes(answering.peak)}: weights {shown_bytes(answering.weights)}, "
        + (
            f"and while it is loaded {shown_bytes(answering.packing)}; later cache {shown_bytes(answering.cache)} and "
            f"prompts {shown_bytes(answering.prefill)}"
            if answering.packing > answering.cache + answering.prefill
            else f"cache {shown_bytes(answering.cache)}, prompts being read {shown_bytes(answering.prefill)}"
        ),
    ]


def on_device(plan: Plan, tokens: int) -> list[str]:
    """What of it fits one kind of device, and how long it takes there."""
    device, ranks = plan.device, plan.step.ranks
    several = ranks > 1
    name = f"{ranks:,} x {device.name}, each with" if several else f"{device.name}:"
    fits = "fits" if plan.training_fits else "does not fit"
    largest = f"largest batch {plan.largest_batch:,}" if plan.largest_batch else "not even one row does"
    return [
        f"{name} {shown_bytes(device.memory)}, {device.flops / 1e12:,.3g} TFLOP/s, {device.bandwidth / 1e9:,.0f} GB/s "
        f"({device.source})",
        f"  training {fits}: {shown_bytes(plan.step_bytes)} of {shown_bytes(plan.usable_bytes)} usable; {largest}"
        f"{' a device' if several and plan.largest_batch else ''}",
        f"  a step takes {shown_seconds(plan.step_seconds)} and {shown_count(tokens)} tokens "
        f"{shown_seconds(plan.epoch_seconds)}, at {plan.utilization:.0%} of the peak rate",
        *(_answers(answering, several) for answering in plan.answering),
    ]


def _parts(training: TrainingMemory, moment: str) -> str:
    """What is in memory at that moment; it adds up to the peak."""
    held = {"weights": training.weights, "optimiser state": training.optimizer}
    if moment == "update":
        held |= {"gradients": training.gradients, "the update": training.update}
    else:
        passing = {"loss": training.loss, "backward": training.backward}[moment]
        held |= {"weights for the products": training.copies, "activations": training.activations}
        held |= {"what is being computed": passing}
    return ", ".join(f"{name} {shown_bytes(size)}" for name, size in held.items() if size)


def _answers(answering: Answering, several: bool) -> str:
    fits = "fits" if answering.fits else "does not fit"
    one = " one of them" if several else ""
    return (
        f"  answering with {answering.weights} weights {fits}{one}: {shown_bytes(answering.bytes)}; a token takes at "
        f"least {shown_seconds(answering.decode_seconds)}"
    )
