"""The optimiser steps of a run that may have restarted: each step counts once, whoever had to do it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from shosei.log import Step


@dataclass(frozen=True, slots=True)
class WholeStep:
    """One optimiser step over all its ranks: they work side by side, so the slowest one's time is its time."""

    step: int
    duration_ns: int
    samples: int | None  # None where a rank does not know; the next two as well
    tokens: int | None
    flops: int | None


def kept(steps: Iterable[Step]) -> list[Step]:
    """Each rank's last run of each step: the earlier ones were lost with the process that did them."""
    return list({(step.rank, step.step): step for step in steps}.values())


def attempted(steps: Iterable[Step]) -> list[list[Step]]:
    """Every attempt at an optimiser step, as its ranks saw it: their k-th tries of one step belong together."""
    tries: Counter[tuple[int, int]] = Counter()
    attempts: dict[tuple[int, int], list[Step]] = {}
    for step in steps:
        attempts.setdefault((step.step, tries[step.rank, step.step]), []).append(step)
        tries[step.rank, step.step] += 1
    return list(attempts.values())


def whole_steps(steps: Iterable[Step]) -> list[WholeStep]:
    """The kept steps in order, their ranks put together."""
    ranks: dict[int, list[Step]] = {}
    for step in kept(steps):
        ranks.setdefault(step.step, []).append(step)
    return [_together(ranks[number]) for number in sorted(ranks)]


def _together(ranks: list[Step]) -> WholeStep:
    return WholeStep(
        step=ranks[0].step,
        duration_ns=max(step.duration_ns for step in ranks),
        samples=total(step.samples for step in ranks),
        tokens=total(step.tokens for step in ranks),
        flops=total(step.flops for step in ranks),
    )


def total(counts: Iterable[int | None]) -> int | None:
    """The sum, or None where any of them is not known."""
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)
