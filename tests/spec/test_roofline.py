"""The bounds of answering, against figures that can be reckoned by hand."""

from __future__ import annotations

import pytest

from shosei.spec import ModelSpec
from shosei.spec.device import Device
from shosei.spec.generation import WeightFormat
from shosei.spec.roofline import decode_limit, prefill_limit

# One layer: 4 matrices of 64 x 64, 3 of 64 x 128, and a head of 1,000 x 64 = 104,960 weights.
SPEC = ModelSpec("hand", 1000, 64, 1, 128, 1, 1, 64, True, 1e4, 256)
MATRICES, HEAD = 4 * 64 * 64 + 3 * 64 * 128, 64_000
FAST = 1e30
_FORMATS = (WeightFormat.STORED, WeightFormat.INT4)


def device(flops: float, bandwidth: float) -> Device:
    return Device("by hand", 1, flops, bandwidth, "")


def test_one_stream_reads_every_weight_and_its_cache() -> None:
    read = 2 * (MATRICES + HEAD) + 100 * 2 * 2 * 64
    assert decode_limit(SPEC, device(FAST, 1e6), 1, 100) == pytest.approx(1e6 / read)


def test_weights_in_4_bits_are_read_faster() -> None:
    stored, quantised = (decode_limit(SPEC, device(FAST, 1e6), 1, 0, weights) for weights in _FORMATS)
    assert 2.5 < quantised / stored < 4  # of 16 bits a weight 4 are left, and what groups of them share


def test_many_streams_are_bound_by_products() -> None:
    flops = 2 * (MATRICES + HEAD) + 4 * 64 * 100
    assert decode_limit(SPEC, device(1e9, FAST), 32, 100) == pytest.approx(1e9 / flops)


def test_a_prompt_goes_once_through_the_head_and_the_last_network() -> None:
    network = 3 * 64 * 128
    flops = 100 * (2 * (MATRICES - network) + 4 * 64 * 50) + 2 * (network + HEAD)
    assert prefill_limit(SPEC, device(1e9, FAST), 100) == pytest.approx(100 * 1e9 / flops)


def test_a_short_prompt_is_bound_by_reading() -> None:
    assert prefill_limit(SPEC, device(FAST, 1e6), 1, WeightFormat.STORED) == pytest.approx(
        1e6 / (2 * (MATRICES + HEAD))
    )


def test_a_wider_type_takes_as_much_longer_to_read() -> None:
    two, four = (decode_limit(SPEC, device(FAST, 1e6), 8, 100, value_bytes=size) for size in (2, 4))
    assert two == pytest.approx(2 * four)
    two, four = (prefill_limit(SPEC, device(FAST, 1e6), 1, value_bytes=size) for size in (2, 4))
    assert two == pytest.approx(2 * four)
