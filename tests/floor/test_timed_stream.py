"""Rates of streamed answers, from the times of their pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shosei.wire.timed_stream import TimedStream, decode_rate, prefill_rate


def steady(first: float, pieces: int, apart: float, **counts: int) -> TimedStream:
    return TimedStream(first - 1, times=[first + apart * place for place in range(pieces)], **counts)


def test_prefill_is_the_prompts_tokens_until_the_first_piece() -> None:
    assert prefill_rate(TimedStream(sent=10.0, tokens_in=512, times=[10.25, 99.0])) == 2048


@pytest.mark.parametrize("stream", [TimedStream(0.0, None, times=[1.0]), TimedStream(0.0, 512)])
def test_no_prefill_without_a_count_or_an_answer(stream: TimedStream) -> None:
    assert prefill_rate(stream) is None


@given(streams=st.integers(1, 40), pieces=st.integers(10, 80), apart=st.floats(1e-4, 1.0))
def test_streams_side_by_side_add_up(streams: int, pieces: int, apart: float) -> None:
    rate = decode_rate([steady(5.0, pieces, apart) for _ in range(streams)])
    assert rate == pytest.approx(streams / apart, rel=1e-6)


def test_what_streams_did_before_the_others_began_does_not_count() -> None:
    """The second one's prompt held the first one up for ten seconds."""
    held_up = TimedStream(0.0, times=[1.0, 2.0, *(12.0 + place for place in range(20))])
    assert decode_rate([held_up, steady(12.0, 20, 1.0)]) == pytest.approx(2.0)


def test_a_piece_may_be_several_tokens() -> None:
    assert decode_rate([steady(1.0, 10, 0.5, tokens_out=40)]) == pytest.approx(8.0)


@pytest.mark.parametrize(
    "streams",
    [
        [steady(1.0, 3, 1.0)],
        [steady(1.0, 20, 1.0), TimedStream(0.0)],
        [steady(1.0, 20, 1.0), steady(30.0, 20, 1.0)],  # one after the other
    ],
)
def test_no_rate_where_they_were_hardly_ever_decoded_together(streams: list[TimedStream]) -> None:
    assert decode_rate(streams) is None
