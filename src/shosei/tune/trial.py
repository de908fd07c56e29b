"""A trial: one measurement of one candidate, in a run folder of its own; and who can make one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from shosei.tune.setting import Candidate, candidate_id

Stage = Literal["search", "confirm"]


@dataclass(frozen=True, slots=True)
class Trial:
    """What is to be measured.

    ``number`` counts all trials from 1. ``rung``: how far a challenger has come in its race, from 0; a subject may give
    the first rungs less: fewer steps, fewer tasks. ``round``: in the confirmation, from 1, one trial of the default and
    of each finalist; all of a round have the same ``seed``, and no other trial has it. ``folder`` is empty or absent.
    """

    number: int
    candidate: Candidate
    stage: Stage
    seed: int
    folder: Path
    round: int = 0
    rung: int = 0

    @property
    def id(self) -> str:
        """Its candidate's."""
        return candidate_id(self.candidate)


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What came of a trial. ``value`` is the objective's figure; None where there is none, for a ``reason``.

    ``figures``: others worth a look, by METRIC.FIGURE. ``units``: of tasks, what each independent one (a cluster) got
    on average, by a key that is the same for the same task; no two rungs share one. ``limits``: METRIC.FIGURE -> pass,
    missed or unknown.
    """

    value: float | None
    figures: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    unit: str = ""  # of the value

    @property
    def state(self) -> Literal["done", "failed"]:
        """Whether it measured the objective."""
        return "failed" if self.value is None else "done"

    @property
    def is_kept(self) -> bool:
        """Whether it measured the objective and missed no limit."""
        return self.value is not None and "missed" not in self.limits.values()


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

    def measure(self, trial: Trial) -> TrialResult:
        """Measure a candidate, whatever becomes of it: a crash is a result. Leaves nothing running.

        Raises InputError for what no other candidate would mend.
        """
        ...

    def usable(self, candidate: Candidate, folder: Path) -> list[str]:
        """Write ``candidate`` into ``folder`` in a form that can be used; return the command lines that use it."""
        ...
