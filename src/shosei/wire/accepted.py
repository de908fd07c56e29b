"""The connections that an HTTP server of ours has accepted: how many there may be, and what each may take."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

PROBES = ("/livez", "/health", "/metrics", "/readyz")
_STOPPED = ("/readyz",)  # whoever asks for readiness is told while the server is being stopped
_OTHER_FILES = 128  # that a server has open beside its connections
_TICK_S = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What clients may take. ``header_s`` and ``idle_s`` are seconds for a header and between two requests; a body has
    ``body_s`` and a second more for each ``body_bytes_per_s``; a client that reads has to empty our buffer within
    ``unread_s``; of what follows a refusal so many bytes are ``discarded``, so that the client comes to read it. Beyond
    so many ``connections``, ``kept`` further ones may ask how the server is."""

    connections: int = 800  # fits the usual 1,024 open files
    kept: int = 16
    header_bytes: int = 64 << 10
    header_fields: int = 100
    header_s: float = 10.0
    body_s: float = 10.0
    body_bytes_per_s: int = 1024
    idle_s: float = 75.0  # longer than clients keep an idle connection, so that none is closed as they use it again
    unread_s: float = 30.0
    discarded: int = 4 << 20

    def within_open_files(self, files_each: int = 1) -> ConnectionLimits:
        """These limits, with no more connections than the files that this process may open; that is raised if it can
        be. ``files_each`` is how many files a connection takes."""
        import resource  # not everywhere where the floor runs

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = (self.connections + self.kept) * files_each + _OTHER_FILES
        if soft >= wanted or soft == resource.RLIM_INFINITY:
            return self
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if allowed > soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed >= wanted:
            return self
        connections = max(1, (allowed - _OTHER_FILES) // files_each - self.kept)
        _log.warning("at most %d connections: this process may open %d files (ulimit -n)", connections, allowed)
        return replace(self, connections=connections)


class HeaderTooLarge(Exception):
    """A header has more bytes or more fields than it may have."""


class AcceptedConnection:
    """One connection, which tells how far its requests have come, and is ended where it takes more than it may.

    ``refuse`` answers what is not a whole request, with a status and a message. It is to call ``linger``.
    """

    def __init__(
        self, others: AcceptedConnections, transport: asyncio.Transport, refuse: Callable[[int, str], None]
    ) -> None:
        self._others, self._limits = others, others.limits
        self._transport, self._refuse = transport, refuse
        self._reading = ""  # header | body
        self._unanswered = 0  # whole requests; -1 where the answer came before the end of the body
        self._unparsed = self._header_bytes = self._fields = self._body_bytes = 0
        self._since = time.monotonic()
        self._unread_since: float | None = None
        self._ending_since: float | None = None
        self.crowded = others.add(self)

    def takes(self, data: bytes) -> bool:
        """Whether ``data`` is to be read: not after a refusal."""
        self._unparsed += len(data)
        if self._ending_since is None:
            return True
        if self._unparsed > self._limits.discarded:
            self.abort()
        return False

    def parsed(self, error: Exception | None = None) -> None:
        """The parser has seen all that was taken, up to an ``error``: refuse what is no header, or no small one."""
        limits = self._limits
        if self._unparsed > limits.header_bytes or isinstance(error, HeaderTooLarge):
            size = f"{limits.header_bytes} bytes or {limits.header_fields} fields"
            self._refuse(431, f"The header is larger than {size}, the limit of this server")
        elif error:
            self._refuse(400, f"The request is not HTTP: {error}")

    def begun(self) -> None:
        """A request has begun."""
        self._reading, self._since = "header", time.monotonic()
        self._header_bytes = self._fields = self._body_bytes = 0

    def header(self, size: int, *, fields: int = 1) -> None:
        """So many bytes of the header. Raises HeaderTooLarge."""
        self._header_bytes += size
        self._fields += fields
        if self._header_bytes > self._limits.header_bytes or self._fields > self._limits.header_fields:
            raise HeaderTooLarge

    def header_ended(self) -> None:
        self._reading, self._since = "body", time.monotonic()

    def body(self, size: int) -> None:
        """So many bytes of the body."""
        self._body_bytes += size
        self._unparsed = 0

    def whole(self) -> None:
        """The request is there."""
        self._reading, self._since = "", time.monotonic()
        self._unparsed = 0
        self._unanswered += 1

    def answered(self) -> None:
        """An answer has ended."""
        self._since = time.monotonic()
        self._unanswered -= 1

    def paused(self, waits: bool) -> None:
        """The client reads more slowly than we write (True), or has caught up."""
        self._unread_since = time.monotonic() if waits else None

    def refusal(self, path: str) -> str:
        """Why a request for ``path`` cannot be answered now (503); empty: it can."""
        if self._others.draining and (path in _STOPPED or path not in PROBES):
            return "The server is being stopped"
        if self.crowded and path not in PROBES:
            return f"All {self._limits.connections} connections of this server are in use: try again later"
        return ""

    def linger(self) -> None:
        """Read nothing more; end once the client has read what was written and closes, or has had its time."""
        self._ending_since, self._unparsed = time.monotonic(), 0
        if not self._transport.is_closing():
            self._transport.write_eof()

    def abort(self) -> None:
        """End the connection, whatever the client has not read."""
        self._transport.abort()

    def lost(self) -> None:
        """The connection has ended."""
        self._others.remove(self)

    @property
    def rank(self) -> tuple[bool, float] | None:
        """The order in which connections make room for new ones, idle ones first; None: it waits for us."""
        if self._unanswered > 0 and self._ending_since is None:
            return None
        return bool(self._reading), self._since

    def check(self, now: float) -> None:
        """End the connection if it has taken longer than it may."""
        limits, waited = self._limits, now - self._since
        if self._transport.is_closing():
            self._ending_since = self._ending_since or now
        if now - (self._ending_since or self._unread_since or now) > limits.unread_s:
            self.abort()
        elif self._unanswered > 0 or self._ending_since:
            return
        elif self._reading == "header" and waited > limits.header_s:
            self._refuse(408, f"The header did not come within {limits.header_s:g} s")
        elif self._reading == "body" and waited > limits.body_s + self._body_bytes / limits.body_bytes_per_s:
            rate = f"{limits.body_s:g} s and a second for each {limits.body_bytes_per_s} bytes"
            self._refuse(408, f"The body came too slowly: it has {rate}")
        elif not self._reading and waited > limits.idle_s:
            self._transport.close()


class AcceptedConnections:
    """All connections of a server. Where it is ``draining``, no further requests are answered."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.draining = False
        self._open: set[AcceptedConnection] = set()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: AcceptedConnection) -> bool:
        """Count it in; return whether it has only a place that is kept for probes.

        Where all places are taken, the one that has waited longest for its client makes room.
        """
        if len(self._open) >= self.limits.connections:
            self._make_room()
        full = len(self._open) >= self.limits.connections
        self._open.add(connection)
        if len(self._open) > self.limits.connections + self.limits.kept:
            connection.abort()
        return full

    def remove(self, connection: AcceptedConnection) -> None:
        self._open.discard(connection)

    async def watch(self) -> None:
        """End the connections that take longer than they may, until this is cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            for connection in [*self._open]:
                connection.check(now)

    def abort(self) -> None:
        """End them all."""
        for connection in [*self._open]:
            connection.abort()

    def _make_room(self) -> None:
        ranked = [(rank, connection) for connection in self._open if (rank := connection.rank)]
        if ranked:
            _, connection = min(ranked, key=lambda pair: pair[0])
            self._open.discard(connection)
            connection.abort()
