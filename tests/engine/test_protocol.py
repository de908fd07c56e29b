"""Frames, cut anywhere, garbled or too large; and what the protocol may import."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shosei.engine.protocol import (
    MAX_FRAME_BYTES,
    Cancel,
    ClientMessage,
    FrameDecoder,
    Hello,
    PromptScores,
    ProtocolError,
    Submit,
    Token,
    TokenScore,
    frame,
    most_score_bytes,
)

ids = st.integers(min_value=0, max_value=2**63 - 1)
messages = st.one_of(
    st.builds(Cancel, id=ids),
    st.builds(
        Submit,
        id=ids,
        prompt=st.lists(st.integers(0, 200_000), max_size=50),
        max_tokens=st.integers(1, 1000),
        temperature=st.floats(0, 2),
        top_p=st.floats(0.1, 1),
        seed=st.none() | st.integers(-(2**63), 2**63 - 1),
        stop_ids=st.lists(st.integers(0, 200_000), max_size=4),
    ),
)


@settings(deadline=None)
@given(sent=st.lists(messages, max_size=8), data=st.data())
def test_frames_cut_anywhere_arrive_whole_and_in_order(sent: list[ClientMessage], data: st.DataObject) -> None:
    stream = b"".join(frame(message) for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    decoder = FrameDecoder[ClientMessage](ClientMessage)
    received = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += decoder.feed(stream[begin:end])
    assert received == sent


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_a_protocol_error_or_an_unfinished_frame(garbage: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert FrameDecoder[ClientMessage](ClientMessage).feed(garbage) == []


@pytest.mark.parametrize("alternatives", [0, 1, 20, 40_000])
def test_no_scores_take_more_than_is_reckoned_with(alternatives: int) -> None:
    largest = TokenScore(-0.1, [(2**31, -0.1)] * alternatives)
    assert len(frame(PromptScores(2**31, [largest] * 10))) <= 11 * most_score_bytes(alternatives)


def test_a_message_from_the_wrong_side_is_refused() -> None:
    with pytest.raises(ProtocolError, match="hello"):
        FrameDecoder[ClientMessage](ClientMessage).feed(frame(Hello("m", 1, 1, 1, 1)))


def test_a_frame_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(ProtocolError, match="larger"):
        FrameDecoder[Token](Token).feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))
    with pytest.raises(ProtocolError, match="larger"):
        frame(Submit(1, [100_000] * (MAX_FRAME_BYTES // 5 + 1), 1))


def test_the_http_front_can_do_without_torch() -> None:
    code = "import sys, shosei.engine.client, shosei.model.hf_config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
