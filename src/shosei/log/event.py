"""The envelope that every event has. A field ending in ``_ns`` is nanoseconds of the monotonic clock.

Counters are raw and cumulative, never rates; sizes are bytes; ``None`` means "not known". A field may be added with
a default; a changed meaning takes a new schema version, and readers keep every old one.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from shosei.log.process import ProcessKey

SCHEMA_VERSION = 1

# What clocks and counters reach: 146 years of nanoseconds. The difference of two still fits into an array's 64 bits.
Int64 = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]


class Event(msgspec.Struct, tag_field="kind", kw_only=True, omit_defaults=True):
    """The envelope. The writer fills it; emitters set ``phase``, ``rank``, ``task`` or ``agent`` where they apply."""

    v: Int64 = 0
    run: str = ""
    attempt: Int64 = 0
    host: str = ""
    boot: str = ""  # boot id: monotonic times compare only within one
    pid: Int64 = 0
    start_ticks: Int64 = 0  # with pid, names a process for good: pids are reused
    seq: Int64 = -1
    rank: Int64 = 0
    phase: str = ""  # training | inference; "" belongs to no phase and feeds no cell
    mono_ns: Int64 = 0
    wall_ns: Int64 = 0  # Unix time; only to join hosts and to print dates
    span: str = ""  # of a gateway: the name that it gave a call, where the id of its answer is the upstream's
    parent_span: str = ""
    task: str = ""
    agent: str = ""

    @property
    def process(self) -> ProcessKey:
        """The process that wrote it."""
        return ProcessKey(self.host, self.boot, self.pid, self.start_ticks)
