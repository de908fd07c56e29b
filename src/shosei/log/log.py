"""The log of one attempt: its events by kind, as objects or, where there may be millions, as columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from shosei.log.columns import Columns
from shosei.log.event import Event

E = TypeVar("E", bound=Event)


@dataclass(slots=True)
class Log:
    """One attempt's events, each kind in order of time: the monotonic clock, and boots by their first wall clock."""

    attempt: int
    events: dict[type[Event], list[Any] | Columns] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    digest: str = ""  # SHA-256 over the attempt's lines, in reading order

    def of(self, kind: type[E], phase: str = "") -> list[E]:
        """Events of one kind; with ``phase``, those of that phase only."""
        return list(self.part(kind, phase))

    def part(self, kind: type[Event], phase: str = "") -> list[Any] | Columns:
        """``of``, but as the log holds them."""
        events = self.events.get(kind, [])
        if not phase:
            return events
        if isinstance(events, Columns):
            return events.at(events.where("phase", phase))
        return [event for event in events if event.phase == phase]

    def columns(self, kind: type[Event]) -> Columns:
        """The events of a kind that has columns."""
        events = self.events.get(kind, [])
        return events if isinstance(events, Columns) else Columns.of(kind, events)

    def lines(self, kind: type[Event]) -> Iterator[bytes]:
        """The JSON of one kind's events, one after another without newlines."""
        events = self.events.get(kind, [])
        return events.lines() if isinstance(events, Columns) else map(msgspec.json.encode, events)

    def milestones(self) -> Iterator[Event]:
        """All events; but of those in columns only each process's first and last."""
        for events in self.events.values():
            yield from events.first_and_last() if isinstance(events, Columns) else events
