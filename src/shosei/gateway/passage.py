"""What is not measured: passed on as it is, both ways, and counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from shosei.gateway.call import Call
from shosei.gateway.hop import handed_on
from shosei.gateway.upstream import FAILURES, Source, failure_of
from shosei.log import Event, PassedOn
from shosei.wire.answer import Usage
from shosei.wire.connection import PAGE_BYTES, Headers
from shosei.wire.reply import UNREADABLE

_MOST_PATHS = 50  # that are counted each by itself
_OTHERS = "other paths"


class _Answer(msgspec.Struct, gc=False):
    usage: Any = None


_decode = msgspec.json.Decoder(_Answer).decode


class Passage:
    """A request whose answer is handed on while it comes. Only the tokens that it says are read, once it has ended."""

    def __init__(self, call: Call) -> None:
        self.ended = False
        self.status: int | None = None
        self._call, self._downstream = call, call.downstream
        self._kept: list[bytes] = []  # of an answer that may say what it cost
        self._room = 0  # for how much more of it

    async def run(self, source: Source) -> None:
        """Ask ``source``; what goes wrong is the client's answer, or the end of the connection."""
        try:
            await source.answer(self._call, self)
        except FAILURES as error:
            if self._downstream.begun:
                self._downstream.cut()
            else:
                failure = failure_of(error)
                self.status = failure.status
                self._downstream.refuse(failure.status, failure.message, code=failure.code)
        else:
            self._downstream.end()

    def begin(self, status: int, headers: Headers, _first_byte_ns: int) -> None:
        self.status = status
        named = dict(headers)
        is_json = named.get(b"content-type", b"").startswith(b"application/json")
        if self._call.method == "POST" and is_json and b"content-encoding" not in named:
            self._room = PAGE_BYTES
        self._downstream.begin(status, handed_on(headers))

    def feed(self, data: bytes, _now_ns: int) -> None:
        self._room -= len(data)
        if self._room >= 0:
            self._kept.append(data)
        else:
            self._kept = []
        self._downstream.piece(data)

    @property
    def tokens(self) -> int | None:
        """Of prompt and answer, as the answer counts them; None where it does not."""
        try:
            usage = Usage.of(_decode(b"".join(self._kept)).usage)
        except UNREADABLE:
            return None
        if usage.tokens_in is None:
            return usage.tokens_total
        return usage.tokens_in + (usage.tokens_out or 0)


class Passages:
    """Lets requests pass unmeasured, and tells the log of each by the first two parts of its path."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._places: set[str] = set()

    async def pass_on(self, call: Call, source: Source) -> None:
        """Let one request pass, and write its event whatever happens."""
        passage = Passage(call)
        try:
            await passage.run(source)
        finally:
            self._emit(
                PassedOn(
                    path=self._place(call.path),
                    status=passage.status,
                    tokens=passage.tokens,
                    phase="inference",
                    task=call.task,
                    agent=call.agent,
                )
            )

    def _place(self, path: str) -> str:
        place = "/".join(path.split("/")[:3])
        if len(self._places) >= _MOST_PATHS and place not in self._places:
            return _OTHERS
        self._places.add(place)
        return place
