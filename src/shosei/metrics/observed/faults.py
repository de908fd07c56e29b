"""Faults that were injected on purpose, and what falls into them: a drill says nothing of the usual speed."""

from __future__ import annotations

from dataclasses import dataclass

from shosei.log import Fault, Log


def injected(log: Log) -> list[Fault]:
    """The faults that were injected on purpose."""
    return [fault for fault in log.of(Fault) if fault.injected]


@dataclass(frozen=True, slots=True)
class Drill:
    """The injected faults of one boot's clock, as stretches ``(begin_ns, end_ns)`` that do not overlap."""

    stretches: list[tuple[int, float]]

    @classmethod
    def of(cls, log: Log, boot: str) -> Drill:
        """Faults that overlap become one; one that never ended has no end."""
        stretches: list[tuple[int, float]] = []
        faults = [fault for fault in injected(log) if fault.boot == boot]
        for fault in sorted(faults, key=lambda fault: fault.begin_ns):
            end = float("inf") if fault.end_ns is None else fault.end_ns
            if stretches and fault.begin_ns <= stretches[-1][1]:
                stretches[-1] = stretches[-1][0], max(end, stretches[-1][1])
            else:
                stretches.append((fault.begin_ns, end))
        return cls(stretches)

    def covers(self, when_ns: int) -> bool:
        """Whether a fault lasted at that moment."""
        return any(begin <= when_ns < end for begin, end in self.stretches)

    def seconds(self, begin_ns: float, end_ns: float) -> float:
        """How long faults lasted between the two."""
        lasted = [min(end, end_ns) - max(begin, begin_ns) for begin, end in self.stretches]
        return sum(part for part in lasted if part > 0) / 1e9
