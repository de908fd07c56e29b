"""Where answers come from: the upstream, or a recording of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from shosei.gateway.caller import Route
from shosei.gateway.client import Call, Client
from shosei.wire.connection import Reader


@dataclass(slots=True)
class Ask:
    """One request as it is sent on. Without an ``id`` it is no call to a model."""

    call: Call
    route: Route
    client: Client
    body: bytes
    id: str = ""
    task: str = ""
    agent: str = ""
    fields: dict[str, msgspec.Raw] = field(default_factory=dict)  # of the client's own body


class NotRecorded(Exception):
    """A recording has no answer to this request."""


class Source(Protocol):
    """Tells ``reader`` of the answer at the speed of the client; returns when its last byte came.

    Raises NotConnected, Broken, NotRecorded, or TimeoutError where nothing came for too long. Cancelled, it leaves no
    request behind.
    """

    async def answer(self, ask: Ask, reader: Reader) -> int: ...
    def close(self) -> None: ...
