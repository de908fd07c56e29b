"""Where a person sees how far long work is: one line that changes on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from shosei.progress import BYTES, Progress
from shosei.quantity import shown_bytes, shown_count

if TYPE_CHECKING:
    from rich.live import Live

AFTER_S = 3.0  # what ends sooner is not shown
BETWEEN_LINES_S = 10.0  # where there is no terminal, and before the first
_BETWEEN_LOOKS_S = 1.0
_AT_ONCE_S = 1.0  # work that follows so soon is waited for in one go with the one before
_BAR_WIDTH = 20
_MANY = 10_000_000  # of which nobody reads every digit


@dataclass(slots=True)
class _Shown:
    """Work with when it began, in seconds of the display's clock, and what of it was done by then."""

    work: Progress
    begin: float
    done_before: int


class ProgressDisplay:
    """Shows work that has taken 3 s on a terminal, 10 s elsewhere: on standard error, as the output is the result's."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._given, self._clock = stream, clock
        self._lock = threading.RLock()
        self._stack: list[_Shown] = []  # each within the one before
        self._since = self._until = -AFTER_S  # all that was waited for in one go
        self._line_at: float | None = None  # of the last line, where there is no terminal
        self._live: Live | None = None  # the line that changes
        self._ended = threading.Event()

    def begin(self, work: Progress) -> None:
        with self._lock:
            now = self._clock()
            self._stack.append(_Shown(work, now, work.done))
            if len(self._stack) == 1:
                if now - self._until > _AT_ONCE_S:
                    self._since, self._line_at = now, None
                self._ended = threading.Event()
                threading.Thread(target=self._watch, args=(self._ended,), name="progress", daemon=True).start()

    def end(self, work: Progress, *, failed: bool) -> None:
        with self._lock:
            shown = next(each for each in self._stack if each.work is work)
            self._stack.remove(shown)
            now = self._clock()
            if now - shown.begin >= self._soonest_s and not failed:
                self._print(amount_line(work, now - shown.begin))
                self._line_at = now
            if not self._stack:
                self._ended.set()
                self._until = now
                self._stop()

    def look(self) -> None:
        """Show what is done now, if it is time to."""
        with self._lock:
            now = self._clock()
            if not self._stack or now - self._since < self._soonest_s:
                return
            current = self._stack[-1]
            line = progress_line(current.work, now - current.begin, current.done_before)
            if self._is_terminal():
                self._redraw(current.work, line)
            elif self._line_at is None or now - self._line_at >= BETWEEN_LINES_S:
                self._print(line)
                self._line_at = now

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(_BETWEEN_LOOKS_S):
            self.look()

    @property
    def _stream(self) -> TextIO:
        return self._given or sys.stderr

    def _is_terminal(self) -> bool:
        return self._live is not None or (self._stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb"))

    @property
    def _soonest_s(self) -> float:
        return AFTER_S if self._is_terminal() else BETWEEN_LINES_S

    def _print(self, line: str) -> None:
        if self._live:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=self._stream, flush=True)

    def _redraw(self, work: Progress, line: str) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if self._live is None:
            # What others write to standard error meanwhile appears above the line; standard output is not ours.
            console = Console(file=self._stream, force_terminal=True)
            self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
            self._live.start()
        text = Text(line, no_wrap=True, overflow="ellipsis")
        row = Table.grid(padding=(0, 1))
        if work.total and text.cell_len + _BAR_WIDTH < self._live.console.width:
            row.add_row(text, ProgressBar(work.total, work.done, _BAR_WIDTH))
        else:
            row.add_row(text)
        self._live.update(row, refresh=True)

    def _stop(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None


def progress_line(work: Progress, seconds: float, done_before: int = 0) -> str:
    """How far ``work`` is ``seconds`` after it began, and how long the rest takes if it goes on as since then."""
    here = work.done - done_before
    left = [f"{_duration(seconds * (work.total - work.done) / here)} to go"] if work.total and here > 0 else []
    return _joined(work, _duration(seconds), *left)


def amount_line(work: Progress, seconds: float) -> str:
    """What was done, once it has ended."""
    return _joined(work, _duration(seconds))


def _joined(work: Progress, *times: str) -> str:
    return f"{work.what}: {', '.join(filter(None, [_amount(work), work.note, *times]))}"


def _amount(work: Progress) -> str:
    if not (work.total or work.done):
        return ""
    if work.unit == BYTES:
        return " of ".join(shown_bytes(number) for number in ([work.done, work.total] if work.total else [work.done]))
    done, total = (shown_count(number) if work.total >= _MANY else f"{number:,}" for number in (work.done, work.total))
    return f"{done} of {total} {work.unit}" if work.total else f"{done} {work.unit}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
