"""Where a load is: an operational read-out for whoever waits. It never reaches the card."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from shosei.wire.client import Reply

PERCENTILES = (50, 90, 99)


@dataclass
class Tally:
    """Counts of the whole run, warm-up included."""

    scheduled: int = 0
    sent: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)  # of answers, from the scheduled time
    first_error: str = ""  # in the server's words
    client: str = ""  # the verdict of the client's watch on itself, once there is one

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
            self.latencies_ms.append((reply.done_ns - reply.scheduled_ns) / 1e6)

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
        counts = f"{self.sent}/{self.scheduled} sent, {self.answered} answered, {self.failed} failed, {waiting} waiting"
        return f"{counts}{'; ' if latency else ''}{latency}"
