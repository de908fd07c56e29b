"""Requests that the engine dies of are kept from it: two deaths in a row, and a request is refused for a while."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

import msgspec

from shosei.engine.protocol import Submit
from shosei.wire.api_error import ApiError

QUARANTINED = "quarantined"
_QUARANTINE_S = 600.0
_SUSPECT_S = 600.0
_KEPT = 1024  # of each kind; the oldest are forgotten

_encode = msgspec.msgpack.Encoder().encode


def key_of(request: Submit) -> bytes:
    """What all requests have in common that ask the engine for the same: nothing of its words can be read in it."""
    return hashlib.sha256(_encode(msgspec.structs.replace(request, id=0))).digest()


class Quarantine:
    """Which requests may reach the engine.

    All that an engine was at when it died are suspects. The engine gets one suspect at a time, so that the next death
    tells who is guilty; whoever is answered is none any more.
    """

    def __init__(self) -> None:
        self._suspects: OrderedDict[bytes, float] = OrderedDict()  # until when, by the monotonic clock
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._one_suspect = asyncio.Lock()

    @asynccontextmanager
    async def admitted(self, key: bytes) -> AsyncGenerator[None, None]:
        """Wait until a request may go to the engine. Raises ApiError where it may not."""
        self._check(key)
        if not _holds(self._suspects, key):
            yield
            return
        async with self._one_suspect:
            self._check(key)  # one of the same words may have gone before
            yield

    def blame(self, keys: Iterable[bytes]) -> None:
        """The engine died at these requests."""
        for key in keys:
            if _holds(self._suspects, key):
                del self._suspects[key]
                _add(self._refused, key, _QUARANTINE_S)
            else:
                _add(self._suspects, key, _SUSPECT_S)

    def clear(self, key: bytes) -> None:
        """The engine has answered such a request, and lives."""
        self._suspects.pop(key, None)

    def _check(self, key: bytes) -> None:
        if _holds(self._refused, key):
            left_s = self._refused[key] - time.monotonic()
            raise ApiError(
                400,
                "The engine died twice while it answered this request, which is refused for another "
                f"{left_s / 60:.0f} min: change it, and tell who runs this server",
                code=QUARANTINED,
            )


def _holds(until: OrderedDict[bytes, float], key: bytes) -> bool:
    """Whether ``key`` is there and its time has not run out."""
    if key in until and until[key] <= time.monotonic():
        del until[key]
    return key in until


def _add(until: OrderedDict[bytes, float], key: bytes, seconds: float) -> None:
    until[key] = time.monotonic() + seconds
    if len(until) > _KEPT:
        until.popitem(last=False)
