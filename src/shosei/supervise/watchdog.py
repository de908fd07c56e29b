"""Writes down the heartbeats of a command, and ends it when they stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from shosei.log import Event, Heartbeat
from shosei.supervise.process import Process

_POLL_SECONDS = 0.25
_EMIT_SECONDS = 1.0

_log = logging.getLogger(__name__)


async def watch(process: Process, emit: Callable[[Event], None]) -> None:
    """Watch ``process`` until cancelled, or until it is ended as hung. The silence before the first beat counts too."""
    child, pulse, limit_s = process.child, process.pulse, process.child.heartbeat.timeout_s
    if pulse is None:
        return
    known = written = 0
    silent_s, written_s, now = 0.0, float("-inf"), time.monotonic()
    while limit_s is None or silent_s <= limit_s or process.told_to_stop:
        await asyncio.sleep(_POLL_SECONDS)
        before, now = now, time.monotonic()
        # While we were stopped ourselves, or starved of CPU, silence proves nothing.
        silent_s += min(now - before, 2 * _POLL_SECONDS)
        if (beats := pulse.beats()) > known:
            known, silent_s = beats, 0.0
        if known > written and now - written_s >= _EMIT_SECONDS:
            written, written_s = known, now
            emit(Heartbeat(child=child.name, count=known, phase=child.phase))
    _log.warning("%s has shown no progress for %g s; ending it", child.name, limit_s)
    process.hung = True
    process.kill()
