"""Steps and epochs of a trainer that has never heard of us, as its output tells of them."""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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


class _Printed(NamedTuple):
    """What one match says. None where the pattern has no such group, or it took no part."""

    step: int
    epoch: int | None
    samples: int | None
    tokens: int | None
    loss: float | None

    @classmethod
    def of(cls, match: re.Match[bytes]) -> _Printed:
        """Raises KeyError, ValueError or OverflowError where a group took what is not a number."""
        numbers = {name: _number(text) for name, text in match.groupdict().items() if text is not None}
        epoch, samples, tokens = (
            int(numbers[name]) if name in numbers else None for name in ("epoch", "samples", "tokens")
        )
        return cls(int(numbers["step"]), epoch, samples, tokens, numbers.get("loss"))

    @property
    def finite(self) -> bool:
        return self.loss is None or math.isfinite(self.loss)


class StepReader:
    """Makes events of the matches in one command's output, over all its starts.

    A match covers the steps since the match before it, as many as the number has risen by: a bar that is drawn ten
    times a second, or a log of every tenth step, tells of several at once. Samples and tokens are those of one step.
    Matches that come at once, as where a buffer is flushed every second, are one event: when each of their steps ended
    nobody knows. Other epochs and losses that are not finite have events of their own, and a share of the time.
    The first match of a start has none before it, nor has one whose number fell, since the trainer went back by itself:
    such a match only starts the clock. A number that is printed again at once, as by other ranks, is passed over.
    Epochs follow where the pattern has them: one is over when the next begins, and one that was not finished is told of
    where an earlier one shows how long it would have been.
    """

    def __init__(self, phase: str, emit: Callable[[Event], None]) -> None:
        self._phase, self._emit = phase, emit
        self._passes: dict[int, _Pass] = {}
        self._length = 0  # of the longest finished epoch
        self._warned = False
        self._forget()

    def begin(self) -> Callable[[Sequence[re.Match[bytes]]], None]:
        """Another start begins; return what takes its matches, those that come at once together and at once."""
        self._forget()
        return self._take

    def end(self) -> None:
        """The start is over: tell how far it came in its epoch."""
        if self._at_ns and self._length and self._epoch in self._passes:
            self._tell(self._epoch, self._length)
        self._forget()

    def _forget(self) -> None:
        self._step, self._epoch, self._at_ns, self._untimed = -1, -1, 0, 0

    def _take(self, matches: Sequence[re.Match[bytes]]) -> None:
        now_ns = time.monotonic_ns()
        for run in self._rising(matches):
            self._follow(run, now_ns)

    def _rising(self, matches: Sequence[re.Match[bytes]]) -> list[list[_Printed]]:
        """What the matches say, apart where a number falls."""
        runs: list[list[_Printed]] = []
        last = self._step, self._epoch
        for match in matches:
            printed = self._read(match)
            if printed is None or (printed.step, printed.epoch or 0) == last:
                continue
            if not runs or printed.step <= last[0]:
                runs.append([])
            runs[-1].append(printed)
            last = printed.step, printed.epoch or 0
        return runs

    def _read(self, match: re.Match[bytes]) -> _Printed | None:
        try:
            return _Printed.of(match)
        except (KeyError, ValueError, OverflowError):
            self._warn(f"--step-pattern took what is not a number: {match[0].decode(errors='replace')!r}")
            return None

    def _follow(self, run: Sequence[_Printed], now_ns: int) -> None:
        """Go on to steps that were all over by now; the clock starts where none was running."""
        is_timed = 0 <= self._step < run[0].step
        if not is_timed:
            if self._step >= 0:
                self._warn(
                    f"step {run[0].step} was printed after step {self._step}: the numbers are taken to count through "
                    "the run, so that it went back"
                )
            self._step, self._at_ns, self._untimed = run[0].step - 1, now_ns, 0
        begin_ns, before = self._at_ns, self._step
        for _, group in itertools.groupby(run, key=lambda printed: (printed.epoch, printed.finite)):
            told = list(group)
            last = told[-1].step
            end_ns = begin_ns + (now_ns - begin_ns) * (last - before) // (run[-1].step - before)
            if is_timed:
                self._emit(self._event(told, end_ns))
            if told[0].epoch is not None:
                self._pass(told[0].epoch, last, end_ns, is_timed)
            self._untimed = 0 if is_timed else last - before
            self._step, self._epoch, self._at_ns = last, told[0].epoch or 0, end_ns

    def _event(self, told: Sequence[_Printed], end_ns: int) -> Step:
        """Steps of one epoch that ended at ``end_ns``; what is printed of one stands for each that it tells of."""
        last = told[-1]
        counts = [after - before for before, after in itertools.pairwise([self._step, *(each.step for each in told)])]
        return Step(
            step=last.step,
            epoch=last.epoch or 0,
            samples=_sum([each.samples for each in told], counts),
            tokens=_sum([each.tokens for each in told], counts),
            duration_ns=end_ns - self._at_ns,
            end_ns=end_ns,
            data_wait_ns=None,
            loss=last.loss if last.finite else None,
            finite=last.finite,
            count=sum(counts),
            untimed=self._untimed,
            phase=self._phase,
        )

    def _pass(self, epoch: int, step: int, now_ns: int, is_timed: bool) -> None:
        """Note that ``step`` of ``epoch`` is over, and tell of the epoch before it, if that is over too."""
        before = self._passes.get(self._epoch) if self._at_ns else None
        follows = before is not None and epoch > self._epoch
        if before and follows:
            if before.whole:
                self._length = max(self._length, before.length)
            self._tell(self._epoch, before.length)
        # What a run that went back had seen of later epochs is lost with it.
        self._passes = {index: run for index, run in self._passes.items() if index <= epoch}
        first = self._step + 1
        begin_ns, untimed = (self._at_ns, 0) if is_timed else (now_ns, step - self._step)
        run = self._passes.setdefault(epoch, _Pass(begin_ns, first, step, untimed, follows or first <= 1))
        run.first, run.last = min(run.first, first), step

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


def _sum(values: Sequence[int | None], counts: Sequence[int]) -> int | None:
    """Each value so often as it counts; None where any is not known."""
    known = [value * count for value, count in zip(values, counts, strict=True) if value is not None]
    return sum(known) if len(known) == len(values) else None


def _number(text: bytes) -> float:
    return float(text.replace(b",", b""))
