"""How far long work is. A room says so here; who sees it is decided by whoever runs the room: nobody, by default."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")

BYTES = "B"  # the unit of work that is counted in bytes


@dataclass(slots=True)
class Progress:
    """Work that takes long: what it is, and how much of it is done.

    ``total`` and ``done`` are in ``unit``; a total of 0 is one that nobody knows. ``note``: what else a person wants to
    know, such as the loss. Any thread may change them.
    """

    what: str
    total: int = 0
    unit: str = ""
    done: int = 0
    note: str = ""

    def advance(self, by: int = 1) -> None:
        """Count more as done."""
        self.done += by

    def over(self, items: Iterable[T], size: Callable[[T], int] = lambda item: 1) -> Iterator[T]:
        """``items``, each of which is done by ``size`` once the next is asked for."""
        for item in items:
            yield item
            self.advance(size(item))


class Display(Protocol):
    """Whoever shows progress. Work may begin within other work: it is then what is done now."""

    def begin(self, work: Progress) -> None: ...

    def end(self, work: Progress, *, failed: bool) -> None: ...


_display: Display | None = None


@contextlib.contextmanager
def progress(what: str, total: int = 0, unit: str = "", done: int = 0) -> Iterator[Progress]:
    """Long work, from the beginning to the end of the block; ``done`` was so before."""
    work, display = Progress(what, total, unit, done), _display
    if display is None:
        yield work
        return
    display.begin(work)
    try:
        yield work
    except BaseException:
        display.end(work, failed=True)
        raise
    display.end(work, failed=False)


@contextlib.contextmanager
def shown_on(display: Display | None) -> Iterator[None]:
    """Show all work that begins within the block on ``display``; None: nowhere."""
    global _display
    before, _display = _display, display
    try:
        yield
    finally:
        _display = before
