"""Sleeping until a moment. An event loop's own timers know milliseconds only, and a request should not leave late."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from types import TracebackType

from shosei.quantity import NS_PER_S

_CLOCK_MONOTONIC, _TFD_NONBLOCK_CLOEXEC, _TFD_TIMER_ABSTIME = 1, 0o2004000, 1  # <sys/timerfd.h>, <time.h>


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Itimerspec(ctypes.Structure):
    _fields_ = [("interval", _Timespec), ("value", _Timespec)]


class Timer:
    """Wakes one task at moments of the monotonic clock: by a timerfd on Linux, elsewhere by the event loop."""

    def __enter__(self) -> Timer:
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = getattr(libc, "timerfd_settime", None)
        self._file = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK_CLOEXEC) if self._settime else -1
        if self._file >= 0:
            self._rung = asyncio.Event()
            asyncio.get_running_loop().add_reader(self._file, self._ring)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._file >= 0:
            asyncio.get_running_loop().remove_reader(self._file)
            os.close(self._file)

    async def sleep_until(self, due_ns: int) -> None:
        """Return at ``due_ns`` or, if that has passed, once other tasks had their turn."""
        if due_ns <= time.monotonic_ns():
            await asyncio.sleep(0)
        while (left_ns := due_ns - time.monotonic_ns()) > 0:
            if self._file < 0 or self._settime is None:
                await asyncio.sleep(left_ns / NS_PER_S)
                continue
            self._rung.clear()
            value = _Itimerspec(_Timespec(0, 0), _Timespec(due_ns // NS_PER_S, due_ns % NS_PER_S))
            self._settime(self._file, _TFD_TIMER_ABSTIME, ctypes.byref(value), None)
            await self._rung.wait()

    def _ring(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:  # set again since
            return
        self._rung.set()
