"""What is not measured: passed on as it is, both ways, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from shosei.gateway.call import Call
from shosei.gateway.hop import handed_on
from shosei.gateway.upstream import FAILURES, Source, failure_of
from shosei.log import Event, Note
from shosei.wire.connection import Headers

_MOST_PATHS = 50  # that are counted each by itself
_OTHERS = "other paths"


class Passage:
    """A request whose answer is handed on while it comes, and read by nobody."""

    def __init__(self, call: Call) -> None:
        self.ended = False
        self._call, self._downstream = call, call.downstream

    async def run(self, source: Source) -> None:
        """Ask ``source``; what goes wrong is the client's answer, or the end of the connection."""
        try:
            await source.answer(self._call, self)
        except FAILURES as error:
            if self._downstream.begun:
                self._downstream.cut()
            else:
                failure = failure_of(error)
                self._downstream.refuse(failure.status, failure.message, code=failure.code)
        else:
            self._downstream.end()

    def begin(self, status: int, headers: Headers, _first_byte_ns: int) -> None:
        self._downstream.begin(status, handed_on(headers))

    def feed(self, data: bytes, _now_ns: int) -> None:
        self._downstream.piece(data)


class Passages:
    """Counts what passed unmeasured by the first two parts of its path, and says so to the log."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._counts: Counter[str] = Counter()

    def count(self, call: Call) -> None:
        """Count one request. The first of its kind is said at once, in case that there is no end."""
        place = "/".join(call.path.split("/")[:3])
        if place not in self._counts and len(self._counts) >= _MOST_PATHS:
            place = _OTHERS
        self._counts[place] += 1
        if self._counts[place] == 1:
            self._emit(Note(level="info", text=f"requests to {place} are passed on unmeasured"))

    def say(self) -> None:
        """How many passed in all."""
        for place, count in sorted(self._counts.items()):
            passed = f"1 request to {place} was" if count == 1 else f"{count:,} requests to {place} were"
            self._emit(Note(level="info", text=f"{passed} passed on unmeasured"))
