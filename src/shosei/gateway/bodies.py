"""The bodies of requests to a gateway, and the memory that they take together."""

from __future__ import annotations

from collections.abc import Callable

from shosei.gateway.spool import Spool
from shosei.wire.api_error import ApiError

MAX_BODY_BYTES = 64 << 20  # of one that is measured
BODY_MEMORY_BYTES = 512 << 20
FREE_BYTES = 1 << 18  # of each body that do not count, so that ordinary calls always have their place


class Bodies:
    """Counts what bodies hold of ``limit`` bytes.

    Where nothing is left, the one that has been coming for longest is given up: whoever sends slowly, or never ends,
    keeps nobody out for long.
    """

    def __init__(self, limit: int = BODY_MEMORY_BYTES) -> None:
        self.limit = limit
        self.held = 0
        self._coming: dict[Body, None] = {}  # those that hold anything, in the order in which they began to

    def take(self, body: Body, size: int) -> bool:
        """Let ``body`` hold ``size`` bytes more; where it must be given up itself, return False."""
        self._coming.setdefault(body)
        while self.held + size > self.limit and body in self._coming:
            next(iter(self._coming)).give_up()
        if body not in self._coming:
            return False
        self.held += size
        return True

    def whole(self, body: Body) -> None:
        self._coming.pop(body, None)


class Body:
    """A request's body, one of ``all_bodies``; ``on_given_up`` is told if its memory is needed for others.

    One that is ``measured`` may have 64 MiB; others, where they are larger, are kept in a temporary file. Of what is
    ``unwanted`` only the size is known.
    """

    def __init__(self, all_bodies: Bodies, on_given_up: Callable[[], None]) -> None:
        self._all, self._on_given_up = all_bodies, on_given_up
        self._parts: list[bytes] = []
        self._counted = 0
        self.measured, self.unwanted = True, False
        self.size = 0
        self.spool: Spool | None = None

    def add(self, data: bytes) -> None:
        """A further part of it. Raises ApiError: it is too large (413), or the disk is full (507)."""
        self.size += len(data)
        if self.size <= MAX_BODY_BYTES:
            self._keep(data)
        elif self.measured or self.unwanted:
            raise ApiError(413, f"The body is larger than {MAX_BODY_BYTES} bytes")
        else:
            self._write(data)

    def whole(self) -> bytes:
        """All of it has come; what a file has is not in the answer."""
        self._all.whole(self)
        return b"".join(self._parts)

    def give_up(self) -> None:
        self.release()
        self._on_given_up()

    def release(self) -> None:
        """Nobody needs it any more, nor what may still come of it; may be called again."""
        self.unwanted = True
        self._forget()
        if self.spool:
            self.spool.close()

    def _keep(self, data: bytes) -> None:
        more = max(0, self.size - FREE_BYTES) - self._counted
        if self.unwanted or (more and not self._all.take(self, more)):
            return
        self._counted += more
        self._parts.append(data)

    def _write(self, data: bytes) -> None:
        try:
            if self.spool is None:
                self.spool = Spool(self._parts)
                self._forget()
            self.spool.add(data)
        except OSError as error:
            kept = f"The body is larger than {MAX_BODY_BYTES} bytes and cannot be kept"
            raise ApiError(507, f"{kept}: {error.strerror}") from None

    def _forget(self) -> None:
        self._all.whole(self)
        self._all.held -= self._counted
        self._parts, self._counted = [], 0
