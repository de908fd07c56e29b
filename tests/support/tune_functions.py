"""A function as what is tuned, whose results a test sets, and a study of it without a disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shosei.log import Event, Log, TuneTrial, TuneTrialBegin, TuneVerdict
from shosei.tune.budget import Budget
from shosei.tune.record import Record
from shosei.tune.setting import Candidate, Setting, Space
from shosei.tune.study import Study
from shosei.tune.target import Objective, Target
from shosei.tune.trial import Stage, TrialResult

SPACE: Space = {
    "slots": Setting(type="int", low=1, high=64, log=True, default=8),
    "weights": Setting(type="choice", choices=["bf16", "int8", "int4"], default="bf16"),
}


def ended(value: float | None, **more: Any) -> TuneTrial:
    """A trial that ended so, whatever it was."""
    place: dict[str, Any] = {"number": 1, "candidate": {}, "stage": "search", "round": 0, "rung": 0, "seed": 1}
    return TuneTrial(**place, folder="trials/001", state="done", value=value, **({"seconds": 1.0} | more))


@dataclass
class Function:
    """``of`` a trial says what it measures: a result, or a value that took a second."""

    of: Callable[[TuneTrialBegin], TrialResult | float]
    rungs: int = 3
    repeats: bool = True
    least_rounds: int = 5
    most_rounds: int = 1000
    taken: list[TuneTrialBegin] = field(default_factory=list)

    def cost(self, stage: Stage, rung: int) -> float:
        return 1.0

    def measure(self, trial: TuneTrialBegin, folder: Path) -> TrialResult:
        self.taken.append(trial)
        result = self.of(trial)
        return result if isinstance(result, TrialResult) else TrialResult(result, seconds=1.0)

    def usable(self, candidate: Candidate, folder: Path) -> list[str]:
        return []


@dataclass
class Simulated:
    """A study of a function, with the log that it wrote."""

    function: Function
    budget: str = "60trials"
    seed: int = 1
    objective: Objective = field(default_factory=lambda: Objective(figure="inference_speed.goodput"))
    space: Space = field(default_factory=lambda: dict(SPACE))
    events: list[Event] = field(default_factory=list)

    def run(self, past: Log | None = None, earlier: Sequence[str] = ()) -> TuneVerdict:
        said = {"name": "simulated", "kind": "serve", "settings": {}, "folder": Path()}
        target = Target.model_validate({**said, "objective": self.objective, "space": self.space})
        record = Record(Path("/nowhere"), self.events.append, past)
        study = Study(target, self.function, record, Budget.parse(self.budget), self.seed)
        return study.run(earlier=[*map(Budget.parse, earlier)])

    @property
    def log(self) -> Log:
        kinds = (TuneTrialBegin, TuneTrial)
        return Log(1, {kind: [event for event in self.events if type(event) is kind] for kind in kinds})
