"""Displays and clocks with which tests see progress, however long the work takes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

from shosei.cli.display import ProgressDisplay
from shosei.progress import Progress


class Recorder:
    """Keeps what was shown to it."""

    def __init__(self) -> None:
        self.ended: list[Progress] = []

    def begin(self, work: Progress) -> None:
        pass

    def end(self, work: Progress, *, failed: bool) -> None:
        self.ended.append(work)

    @property
    def names(self) -> list[str]:
        return [work.what for work in self.ended]


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def leaping_clock() -> Callable[[], float]:
    """Each look at it is eleven seconds after the one before: all work takes long."""
    looks = itertools.count(1000.0, 11.0)
    return lambda: next(looks)


def slow_display() -> ProgressDisplay:
    """A verb's display, to which all work takes long."""
    return ProgressDisplay(clock=leaping_clock())


def but_progress(errors: str) -> list[str]:
    """The lines that say anything else than how far work is, which may take long on any machine."""
    told_of_time = re.compile(r"(^|: |, )\d+ (s|min \d\d s|h \d\d min)( to go)?$")
    return [line for line in errors.splitlines() if not told_of_time.search(line)]
