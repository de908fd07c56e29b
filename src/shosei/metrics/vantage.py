"""From where requests were seen: one vantage is read, the outermost, for it holds what users waited for."""

from __future__ import annotations

from collections.abc import Iterable

from shosei.log import Log, Request
from shosei.metrics.text import Text, text

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
