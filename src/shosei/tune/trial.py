"""What comes of measuring a candidate once; and who can measure one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from shosei.log import TuneTrialBegin
from shosei.metrics.metric import Words
from shosei.tune.setting import Candidate

Stage = Literal["search", "confirm"]


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What came of a trial, as ``TuneTrial`` tells it. ``value`` is None where there is none, for a ``reason``.

    ``figures``: others worth a look, by METRIC.FIGURE. ``units``: of tasks, what each independent one (a cluster) got
    on average, by a key that is the same for the same task; no two rungs share one.
    """

    value: float | None
    figures: dict[str, float] = field(default_factory=dict)
    units: dict[str, float] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)
    reason: Words = ""
    seconds: float = 0.0
    unit: str = ""


class Subject(Protocol):
    """What a search can tune: a server, a training, an agent system.

    ``rungs``: how many measurements a challenger of the search passes at most before it takes the incumbent's place, at
    least 1. ``repeats``: whether each rung is measured anew, of challenger and incumbent by turns, as times are; else
    what the incumbent got at a rung stays true, as of the same tasks or the same steps. ``least_rounds``: fewer rounds
    of the confirmation say nothing, and more than ``most_rounds`` nothing new.
    """

    rungs: int
    repeats: bool
    least_rounds: int
    most_rounds: int

    def cost(self, stage: Stage, rung: int) -> float:
        """What a trial takes beside one of the confirmation, which is 1."""
        ...

    def measure(self, trial: TuneTrialBegin, folder: Path) -> TrialResult:
        """Measure a candidate, whatever becomes of it: a crash is a result. Leaves nothing running.

        ``folder`` is the trial's, empty or absent. Raises InputError for what no other candidate would mend.
        """
        ...

    def usable(self, candidate: Candidate, folder: Path) -> list[str]:
        """Write ``candidate`` into ``folder`` in a form that can be used; return the command lines that use it."""
        ...
