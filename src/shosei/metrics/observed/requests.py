"""The requests of a log, from where they were seen, and how long each took."""

from __future__ import annotations

from collections.abc import Iterable

from shosei.log import Log, Request
from shosei.metrics.metric import Text, text

VANTAGES = ("client", "gateway", "server")  # from the outside in


def outermost(requests: Iterable[Request]) -> tuple[Text, list[Request]]:
    """The requests as the outermost vantage saw them, and its name. Vantages are never added."""
    seen: dict[str, list[Request]] = {}
    for request in requests:
        seen.setdefault(request.seen_by, []).append(request)
    vantage = next((vantage for vantage in VANTAGES if vantage in seen), "client")
    return text(f"term.{vantage}"), seen.get(vantage, [])


def offered_load(log: Log) -> tuple[Text, list[Request]]:
    """The outermost vantage's requests of the load or, where there was none, of agents.

    What the harness cancelled is left out: it says nothing about the server.
    """
    requests = [request for request in log.of(Request) if request.error != "cancelled"]
    load = [request for request in requests if request.purpose == "load"]
    return outermost(load or [request for request in requests if request.purpose == "agents"])


_MS = 1e6


def response_ms(request: Request) -> float | None:
    """To the last byte."""
    return None if request.done_ns is None else (request.done_ns - request.scheduled_ns) / _MS


def first_token_ms(request: Request) -> float | None:
    """To the first token; only a streamed answer has one."""
    return None if request.first_token_ns is None else (request.first_token_ns - request.scheduled_ns) / _MS


def inter_token_ms(request: Request) -> float | None:
    """Mean time of a token after the first; also None where an answer has a single token."""
    last_ns = request.last_token_ns or request.done_ns  # a server, and an older log, know only when all was sent
    if request.first_token_ns is None or last_ns is None or (request.tokens_out or 0) < 2:
        return None
    return (last_ns - request.first_token_ns) / _MS / ((request.tokens_out or 0) - 1)
