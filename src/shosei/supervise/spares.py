"""Spares: second starts of children, which have done all their imports and wait for the first to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from shosei.memory import available_memory
from shosei.supervise.process import Child, Process

SPARE_DELAY_S = 5.0  # after a start, whose own loading comes first
_LEAST_MEMORY_BYTES = 1 << 30  # available, for a spare to be started
_SHORT_OF_MEMORY_BYTES = 1 << 28  # a spare is given up below it


class Spares:
    """At most one spare for each child that asks for one, made by ``start``. None where memory is short."""

    def __init__(self, start: Callable[[Child], Process], delay_s: float) -> None:
        self._start, self._delay_s = start, delay_s
        self._waiting: dict[str, Process] = {}

    @property
    def waiting(self) -> Collection[Process]:
        return self._waiting.values()

    async def keep(self, child: Child) -> None:
        """Once the child has had time to load, start a spare for it, unless there is one."""
        if not child.spare:
            return
        await asyncio.sleep(self._delay_s)
        if child.name not in self._waiting and available_memory() >= _LEAST_MEMORY_BYTES:
            self._waiting[child.name] = self._start(child)

    def take(self, child: Child) -> Process | None:
        """The child's spare, which does the work from now on; None if there is none that lives."""
        process = self._waiting.pop(child.name, None)
        if process is None or process.begin():
            return process
        _end(process)
        return None

    def give_up(self, only_if_short: bool = False) -> None:
        """End all spares; with ``only_if_short`` only where others need their memory."""
        if self._waiting and not (only_if_short and available_memory() >= _SHORT_OF_MEMORY_BYTES):
            while self._waiting:
                _end(self._waiting.popitem()[1])


def _end(process: Process) -> None:
    process.reap()
    process.forget()
