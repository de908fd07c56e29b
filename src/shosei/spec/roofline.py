"""How fast a model can answer at best on a device that reads and multiplies at given rates (Williams et al. 2009)."""

from __future__ import annotations

from shosei.spec.device import Device
from shosei.spec.generation import WeightFormat, decode_seconds
from shosei.spec.model import ModelSpec

_BF16 = 2


def decode_limit(
    spec: ModelSpec,
    device: Device,
    streams: int,
    context: int,
    weights: WeightFormat = WeightFormat.STORED,
    value_bytes: int = _BF16,
) -> float:
    """Most tokens a second of ``streams`` with ``context`` tokens each: a step reads every matrix and cache once, and
    computes a row for each stream. A stored value, and one of the cache, has ``value_bytes``."""
    reading = decode_seconds(spec, context, device.bandwidth, streams, weights, value_bytes)
    computing = streams * spec.decode_flops_per_token(context) / device.flops
    return streams / max(reading, computing)


def prefill_limit(
    spec: ModelSpec,
    device: Device,
    tokens: int,
    weights: WeightFormat = WeightFormat.STORED,
    value_bytes: int = _BF16,
) -> float:
    """Most tokens a second of one prompt of so many ``tokens``, of which only the last needs the head, and the last
    layer's feed-forward network."""
    once = 2 * spec.vocab_size * spec.d_model + 6 * spec.d_model * spec.intermediate_size
    # Attention is causal: a token sees half of the prompt on average.
    flops = tokens * (spec.decode_flops_per_token(tokens // 2) - once) + once
    reading = decode_seconds(spec, 0, device.bandwidth, weights=weights, value_bytes=value_bytes)
    return tokens / max(reading, flops / device.flops)
