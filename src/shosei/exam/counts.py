"""How far an exam is, suite by suite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from shosei.wire.suite import Task


class SuiteCount(msgspec.Struct):
    """How far one suite is. ``total`` is tasks × samples; ``errors`` counts what kept some of the ``done`` unanswered.

    ``kept`` of the ``done`` had ended before an interruption. ``programs`` of the answers are to be executed, once all
    suites' answers are there.
    """

    total: int = 0
    done: int = 0
    kept: int = 0
    programs: int = 0
    executed: int = 0
    cut: int = 0  # at the limit of tokens
    errors: Counter[str] = msgspec.field(default_factory=Counter)
    first_error: str = ""

    @property
    def failed(self) -> int:
        return self.errors.total()

    @property
    def answered(self) -> int:
        return self.done - self.failed

    def end(self, error: str, message: str = "") -> None:
        """One more is done; it failed if there is an ``error``."""
        self.done += 1
        if error:
            self.errors[error] += 1
            self.first_error = self.first_error or f"{error}: {message}".rstrip(": ")


Counts = dict[str, SuiteCount]  # by suite


def counts_of(tasks: Iterable[Task], samples: int) -> Counts:
    """Nothing is done yet."""
    return {suite: SuiteCount(number * samples) for suite, number in Counter(task.suite for task in tasks).items()}


def summed(counts: Counts) -> SuiteCount:
    """All suites as one; its first error is that of the first suite that has any."""
    suites = counts.values()
    return SuiteCount(
        total=sum(count.total for count in suites),
        done=sum(count.done for count in suites),
        kept=sum(count.kept for count in suites),
        programs=sum(count.programs for count in suites),
        executed=sum(count.executed for count in suites),
        cut=sum(count.cut for count in suites),
        errors=sum((count.errors for count in suites), Counter()),
        first_error=next((count.first_error for count in suites if count.first_error), ""),
    )
