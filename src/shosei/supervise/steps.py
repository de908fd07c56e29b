"""Steps and epochs of a trainer that has never heard of us, as its output tells of them."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from shosei.errors import InputError
from shosei.log import Epoch, Event, Note, Step

_REQUIRED = "step"
_OPTIONAL = ("epoch", "loss", "tokens", "samples")


def check_groups(names: Collection[str]) -> None:
    """Raise InputError unless these are the named groups of a pattern that tells of steps."""
    unknown = sorted(set(names) - {_REQUIRED, *_OPTIONAL})
    if unknown or _REQUIRED not in names:
        wrong = f"no group is called {unknown[0]}" if unknown else f"it lacks (?P<{_REQUIRED}>...)"
        raise InputError(f"--step-pattern: {wrong}; name {_REQUIRED} and, where printed, {', '.join(_OPTIONAL)}")


@dataclass(slots=True)
class _Pass:
    """One epoch as far as it was seen, over all starts of the command."""

    begin_ns: int
    first: int  # its steps' numbers
    last: int
    untimed: int  # steps before ``begin_ns``: the first match only starts the clock
    whole: bool  # its beginning was seen

    @property
    def length(self) -> int:
        return self.last - self.first + 1


class StepReader:
    """Makes events of the matches in one command's output, over all its starts.

    A step lasts from the match before it to its own. The first match of a start has none before it, nor has one whose
    number fell, since the trainer went back by itself: such a match only starts the clock. A number that is printed
    again at once, as by other ranks, is passed over. Epochs follow where the pattern has them: one is over when the
    next begins, and one that was not finished is told of where an earlier one shows how long it would have been.
    """

    def __init__(self, phase: str, emit: Callable[[Event], None]) -> None:
        self._phase, self._emit = phase, emit
        self._passes: dict[int, _Pass] = {}
        self._length = 0  # of the longest finished epoch
        self._warned = False
        self._forget()

    def begin(self) -> Callable[[re.Match[bytes]], None]:
        """Another start begins; return what takes its matches, in the moments in which they are printed."""
        self._forget()
        return self._take

    def end(self) -> None:
        """The start is over: tell how far it came in its epoch."""
        if self._at_ns and self._length and self._epoch in self._passes:
            self._tell(self._epoch, self._length)
        self._forget()

    def _forget(self) -> None:
        self._step, self._epoch, self._at_ns = -1, 0, 0

    def _take(self, match: re.Match[bytes]) -> None:
        now_ns = time.monotonic_ns()
        try:
            numbers = {name: _number(text) for name, text in match.groupdict().items() if text is not None}
            step, epoch = int(numbers["step"]), int(numbers.get("epoch", 0))
            samples, tokens = (int(numbers[name]) if name in numbers else None for name in ("samples", "tokens"))
        except (KeyError, ValueError, OverflowError):
            self._warn(f"--step-pattern took what is not a number: {match[0].decode(errors='replace')!r}")
            return
        if step == self._step and epoch == self._epoch:
            return
        timed = 0 <= self._step < step
        if timed:
            loss = numbers.get("loss")
            finite = loss is None or math.isfinite(loss)
            self._emit(
                Step(
                    step=step,
                    epoch=epoch,
                    samples=samples,
                    tokens=tokens,
                    duration_ns=now_ns - self._at_ns,
                    data_wait_ns=None,
                    loss=loss if finite else None,
                    finite=finite,
                    phase=self._phase,
                )
            )
        if self._step >= 0 and step != self._step + 1:
            self._warn(
                f"step {step} was printed after step {self._step}: each match counts as one step, and the numbers are "
                "taken to count through the run"
            )
        if "epoch" in numbers:
            self._pass(epoch, step, now_ns, timed)
        self._step, self._epoch, self._at_ns = step, epoch, now_ns

    def _pass(self, epoch: int, step: int, now_ns: int, timed: bool) -> None:
        """Note that ``step`` of ``epoch`` is over, and tell of the epoch before it, if that is over too."""
        before = self._passes.get(self._epoch) if self._at_ns else None
        follows = before is not None and epoch > self._epoch
        if before and follows:
            if before.whole:
                self._length = max(self._length, before.length)
            self._tell(self._epoch, before.length)
        run = self._passes.setdefault(
            epoch, _Pass(self._at_ns if timed else now_ns, step, step, int(not timed), follows or step <= 1)
        )
        run.first, run.last = min(run.first, step), max(run.last, step)

    def _tell(self, epoch: int, length: int) -> None:
        run = self._passes[epoch]
        seen = run.length - run.untimed
        if run.whole and seen:
            self._emit(
                Epoch(
                    index=epoch,
                    begin_ns=run.begin_ns,
                    end_ns=self._at_ns,
                    steps=seen,
                    samples=None,
                    tokens=None,
                    fraction=min(1.0, seen / length),
                    phase=self._phase,
                )
            )

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            self._emit(Note(level="warning", text=text, phase=self._phase))


def _number(text: bytes) -> float:
    return float(text.replace(b",", b""))
