"""How long one request took, in milliseconds, from when it should have been sent. None: the moment never came."""

from __future__ import annotations

from shosei.log import Request

_MS = 1e6


def response_ms(request: Request) -> float | None:
    """To the last byte."""
    return None if request.done_ns is None else (request.done_ns - request.scheduled_ns) / _MS


def first_token_ms(request: Request) -> float | None:
    """To the first token; only a streamed answer has one."""
    return None if request.first_token_ns is None else (request.first_token_ns - request.scheduled_ns) / _MS


def inter_token_ms(request: Request) -> float | None:
    """Mean time of a token after the first; also None where an answer has a single token."""
    if request.first_token_ns is None or request.done_ns is None or (request.tokens_out or 0) < 2:
        return None
    return (request.done_ns - request.first_token_ns) / _MS / ((request.tokens_out or 0) - 1)
