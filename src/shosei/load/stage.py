"""A stretch of load on the monotonic clock."""

from __future__ import annotations

import time

import msgspec

from shosei.load.config import LoadConfig
from shosei.load.watch import ClientVerdict
from shosei.log import Window, Writer
from shosei.quantity import NS_PER_S

_LEAD_NS = 100_000_000  # between fixing the times and the first of them


class Stage(msgspec.Struct, frozen=True):
    """Warm-up from ``begin_ns``, the steady window from ``steady_ns`` to ``end_ns``, answers until ``limit_ns``.

    ``purpose`` is that of its requests: load, or probe of a search for the highest rate, at ``rate``.
    """

    purpose: str
    rate: float
    begin_ns: int
    steady_ns: int
    end_ns: int
    limit_ns: int

    @classmethod
    def soon(cls, config: LoadConfig, purpose: str) -> Stage:
        """A stage that begins in a tenth of a second."""
        begin_ns = time.monotonic_ns() + _LEAD_NS
        steady_ns = begin_ns + int(config.warmup_s * NS_PER_S)
        end_ns = steady_ns + int(config.seconds * NS_PER_S)
        return cls(purpose, config.rate, begin_ns, steady_ns, end_ns, end_ns + int(config.drain_s * NS_PER_S))

    def close_steady(self, writer: Writer, verdict: ClientVerdict) -> None:
        """Write the windows up to now, or to the steady one's end: warm-up and steady, or the probe."""
        if self.purpose == "probe":
            _close(writer, "probe", self.steady_ns, self.end_ns, verdict, self.rate)
        else:
            _close(writer, "warmup", self.begin_ns, self.steady_ns)
            _close(writer, "steady", self.steady_ns, self.end_ns, verdict)

    def close_drain(self, writer: Writer) -> None:
        """Write the window in which answers were waited for."""
        if self.purpose != "probe":
            _close(writer, "drain", self.end_ns, self.limit_ns)


def _close(
    writer: Writer,
    name: str,
    begin_ns: int,
    end_ns: int,
    verdict: ClientVerdict | None = None,
    rate: float | None = None,
) -> None:
    end_ns = min(end_ns, time.monotonic_ns())
    limit = verdict.limit if verdict else None
    invalid = verdict.line if verdict and limit else ""
    if end_ns > begin_ns:
        writer.emit(Window(name=name, begin_ns=begin_ns, end_ns=end_ns, invalid=invalid, client=limit, rate=rate))
