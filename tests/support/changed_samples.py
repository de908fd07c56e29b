"""Two sides of an exam whose answers changed, and a comparison of nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from answer_samples import log_of, score
from shosei.compare import Decision, compare_logs
from shosei.compare.answers import changed_answers
from shosei.log import Score
from shosei.metrics.service_level import ServiceLevel

A = [score("lost", "7"), score("won", "8"), score("kept", "7"), score("other", "8"), score("same", "8")]
B = [score("lost", "9"), score("won", "7"), score("kept", "7."), score("other", "9"), score("same", "8")]


def decision(a: Sequence[Score], b: Sequence[Score], names: tuple[str, str] = ("before", "after")) -> Decision:
    """A comparison of two sides that have measured nothing, and were asked questions."""
    sides = [(name, [log_of()]) for name in names]
    comparison = compare_logs(*sides, ServiceLevel(), {}, by_turns=False)
    answers = changed_answers([log_of(*a)], [log_of(*b)])
    return Decision.of(msgspec.structs.replace(comparison, answers=answers))
