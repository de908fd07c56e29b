"""Where a load is: an operational read-out for whoever waits. It never reaches the card."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

import msgspec
import numpy as np

from shosei.quantity import NS_PER_MS
from shosei.wire.reply import Reply

PERCENTILES = (50, 90, 99)


class TallyIncrement(msgspec.Struct):
    """What was added to a tally since the last time: how a worker process tells of its share."""

    sent: int = 0
    errors: dict[str, int] = {}
    latencies_ms: list[float] = []
    first_error: str = ""


@dataclass
class Tally:
    """Counts of the whole run, warm-up included."""

    scheduled: int = 0  # 0: a closed loop, in which nobody knows beforehand
    sent: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latencies_ms: array[float] = field(default_factory=lambda: array("d"))  # of answers, from the scheduled time
    first_error: str = ""  # in the server's words
    client: str = ""  # the verdict of the client's watch on itself, once there is one
    max_rate: float | None = None  # the highest that a search has found so far
    dropped: int = 0  # events that could not be written

    @property
    def answered(self) -> int:
        return len(self.latencies_ms)

    @property
    def failed(self) -> int:
        return self.errors.total()

    def add(self, reply: Reply) -> None:
        """Count a request in its final state."""
        if reply.error or reply.done_ns is None:
            self.errors[reply.error] += 1
            self.first_error = self.first_error or reply.message
        else:
            self.latencies_ms.append((reply.done_ns - reply.scheduled_ns) / NS_PER_MS)

    def take(self) -> TallyIncrement:
        """All counts so far, and start again."""
        taken = TallyIncrement(self.sent, dict(self.errors), self.latencies_ms.tolist(), self.first_error)
        self.sent, self.errors, self.latencies_ms, self.first_error = 0, Counter(), array("d"), ""
        return taken

    def merge(self, increment: TallyIncrement) -> None:
        """Add what another tally has counted."""
        self.sent += increment.sent
        self.errors.update(increment.errors)
        self.latencies_ms.extend(increment.latencies_ms)
        self.first_error = self.first_error or increment.first_error

    def percentiles_ms(self) -> dict[str, float]:
        """Latency percentiles of the answers so far; empty before the first."""
        if not self.latencies_ms:
            return {}
        values = np.percentile(self.latencies_ms, PERCENTILES)
        return {f"p{percent}": round(float(value), 1) for percent, value in zip(PERCENTILES, values, strict=True)}

    def line(self) -> str:
        """One line for a terminal."""
        waiting = self.sent - self.answered - self.failed
        latency = ", ".join(f"{name} {value:g} ms" for name, value in self.percentiles_ms().items())
        sent = f"{self.sent}/{self.scheduled}" if self.scheduled else f"{self.sent}"
        counts = f"{sent} sent, {self.answered} answered, {self.failed} failed, {waiting} waiting"
        return f"{counts}{'; ' if latency else ''}{latency}"
