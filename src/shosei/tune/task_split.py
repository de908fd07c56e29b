"""Which tasks an agent system is tuned on, and which it is confirmed on: never the same."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from shosei.errors import InputError
from shosei.wire.suite import Task

_DIGITS = 13  # of a hash in hexadecimal: a float holds them


@dataclass(frozen=True, slots=True)
class TaskSplit:
    """Groups of tasks: one a rung of the search, and one a round of the confirmation."""

    tune: list[list[Task]]
    confirm: list[list[Task]]

    @classmethod
    def of(cls, tasks: Sequence[Task], share: float, rungs: int, rounds: int) -> TaskSplit:
        """Split by hash: about ``share`` of the tasks confirm.

        No seed decides, nor do the other tasks, so that one which somebody tuned on confirms nothing later. Tasks of a
        cluster stay together. Raises InputError where they are too few.
        """
        clusters: dict[float, list[Task]] = defaultdict(list)
        for task in tasks:
            clusters[_place(task)].append(task)
        ordered = [clusters[place] for place in sorted(clusters)]
        cut = sum(place < share for place in clusters)
        confirm, tune = ordered[:cut], ordered[cut:]
        if len(tune) < rungs or len(confirm) < rounds:
            raise InputError(
                f"{len(tune)} independent tasks to tune on and {len(confirm)} to confirm on are too few for {rungs} "
                f"rungs and {rounds} rounds: name more tasks"
            )
        return cls(_groups(tune, rungs), _groups(confirm, rounds))


def _groups(clusters: Sequence[list[Task]], count: int) -> list[list[Task]]:
    return [[task for cluster in clusters[start::count] for task in cluster] for start in range(count)]


def _place(task: Task) -> float:
    """Where a task's cluster lies between 0 and 1, the same everywhere and for ever."""
    digits = hashlib.sha256(f"{task.suite}\0{task.cluster}".encode()).hexdigest()[:_DIGITS]
    return int(digits, 16) / float(1 << 4 * _DIGITS)
