"""The optimiser steps of a run that may have gone back: each step counts once, whoever had to do it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shosei.log import Step
from shosei.metrics.metric import Text, text


@dataclass(frozen=True, slots=True)
class WholeStep:
    """A step event over all its ranks: they work side by side, so the slowest one's time is its time."""

    step: int
    count: int  # of steps that it covers
    duration_ns: int
    samples: int | None  # None where a rank does not know; the next two as well
    tokens: int | None
    flops: int | None


def kept(steps: Sequence[Step]) -> list[Step]:
    """Those of the line that counts, in the order of ``steps``: a step that begins where the rank had been before, in
    another start of the process, takes back all that came after that place. So what is kept of a rank only rises."""
    lines: dict[int, list[Step]] = {}
    for step in steps:
        line = lines.setdefault(step.rank, [])
        while line and line[-1].step > step.step - step.count:
            line.pop()
        line.append(step)
    counting = {id(step) for line in lines.values() for step in line}
    return [step for step in steps if id(step) in counting]


def attempted(steps: Iterable[Step]) -> list[list[Step]]:
    """Every attempt at an optimiser step, as its ranks saw it: their k-th tries of one step belong together."""
    tries: Counter[tuple[int, int]] = Counter()
    attempts: dict[tuple[int, int], list[Step]] = {}
    for step in steps:
        attempts.setdefault((step.step, tries[step.rank, step.step]), []).append(step)
        tries[step.rank, step.step] += 1
    return list(attempts.values())


def whole_steps(steps: Sequence[Step]) -> list[WholeStep]:
    """The kept steps in order, their ranks put together."""
    ranks: dict[int, list[Step]] = {}
    for step in kept(steps):
        ranks.setdefault(step.step, []).append(step)
    return [_together(ranks[number]) for number in sorted(ranks)]


def _together(ranks: list[Step]) -> WholeStep:
    return WholeStep(
        step=ranks[0].step,
        count=ranks[0].count,
        duration_ns=max(step.duration_ns for step in ranks),
        samples=total(step.samples for step in ranks),
        tokens=total(step.tokens for step in ranks),
        flops=total(step.flops for step in ranks),
    )


def gaps(counts: Sequence[int]) -> list[Text]:
    """A note where some events cover several steps: then there are fewer intervals than steps."""
    if sum(counts) == len(counts):
        return []
    return [text("term.steps_not_told", intervals=len(counts), steps=sum(counts))]


def total(counts: Iterable[int | None]) -> int | None:
    """The sum, or None where any of them is not known."""
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)
