"""An agent system as what is tuned: its settings, texts and numbers, raced on some tasks and confirmed on others."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import Field

from shosei.config import Config, validate
from shosei.errors import InputError
from shosei.exam.benchmarks import read_benchmarks
from shosei.files import write_atomic
from shosei.log import TuneTrialBegin
from shosei.metrics.stats import MIN_CLUSTERS
from shosei.profile.profile import Profile
from shosei.tune.setting import Candidate
from shosei.tune.target import Target
from shosei.tune.task_split import TaskSplit
from shosei.tune.trial import Stage, TrialResult
from shosei.tune.trial_folder import measured, overrides, verbs_in
from shosei.wire.suite import Task, write_suite

_OF_TASKS = "pass_at_1"  # tested by its tasks; any other figure by the rounds
_ROUNDS = 3  # fewer do not tell a spread


class AgentSettings(Config):
    """Table ``[agent]`` of a target."""

    system: str = Field(default="", description="A shipped system, or module:function.")
    command: list[str] = Field(default=[], description="A system that is a command, instead.")
    tasks: list[Path] = Field(min_length=1, description="Suites, benchmarks' files, or folders of them.")
    url: str = Field(description="The OpenAI-compatible server that it uses.")
    confirm: float = Field(default=0.5, gt=0, lt=1, description="Share of the tasks that only confirm.")
    rungs: int = Field(default=3, ge=1, description="Groups of the other tasks, which a challenger is given in turn.")
    rounds: int = Field(default=3, ge=1, description="Groups of the tasks that confirm.")
    ratings: list[Path] = Field(default=[], description="Runs with people's ratings, for a model that proposes texts.")
    settings: dict[str, Any] = Field(default={}, description="Settings of 'shosei agents run' in every trial.")


class AgentSubject:
    """Gives a system with a candidate's settings the tasks of a rung, or of a round of the confirmation."""

    repeats = False  # what the incumbent made of a group of tasks stands

    def __init__(self, target: Target, profile: Profile | None) -> None:
        """Split the tasks. Raises InputError: wrong settings, no such tasks or too few of them."""
        self._target, self._profile = target, profile
        self._settings = validate(AgentSettings, target.settings, "agent")
        if bool(self._settings.system) == bool(self._settings.command):
            raise InputError("agent: name either a system or a command")
        if odd := next((name for name in target.space if Path(name).name != name), None):
            raise InputError(f"space: '{odd}' cannot name a file, which each setting of a system is")
        self._tasks = [target.folder / path for path in self._settings.tasks]
        self.ratings = [target.folder / path for path in self._settings.ratings]
        self.rungs, self.most_rounds = self._settings.rungs, self._settings.rounds
        self.split = TaskSplit.of(
            read_benchmarks(*self._tasks), self._settings.confirm, self.rungs, self._settings.rounds
        )
        self.least_rounds = _least_rounds(self.split) if target.objective.figure == _OF_TASKS else _ROUNDS
        if self.least_rounds > self.most_rounds:
            raise InputError(
                f"agent.rounds: {target.objective.figure} is tested by rounds, of which it takes {_ROUNDS}"
            )

    def cost(self, stage: Stage, rung: int) -> float:
        """By the number of tasks."""
        rounds = self.split.confirm
        return 1.0 if stage == "confirm" else len(self.split.tune[rung]) * len(rounds) / sum(map(len, rounds))

    def measure(self, trial: TuneTrialBegin, folder: Path) -> TrialResult:
        """Give the system its tasks once. Raises InputError where the defaults are refused."""
        tasks = self.split.confirm[trial.round - 1] if trial.round else self.split.tune[trial.rung]
        return self.give(trial.candidate, tasks, folder, trial.seed)

    def give(self, candidate: Candidate, tasks: list[Task], folder: Path, seed: int) -> TrialResult:
        """Measure the system with a candidate's settings on ``tasks``. Raises InputError as ``measure`` does."""
        suite, settings = folder / "tasks.jsonl", folder / "settings"
        _write_settings(candidate, settings)
        write_suite(suite, tasks)
        own = overrides("agents", {**self._settings.settings, "settings": str(settings), "seed": seed})
        words = self._command_line(["--tasks", str(suite), "--run", str(folder), *own])
        return measured(
            folder, candidate, self._target, self._profile, lambda: verbs_in(folder, self._target).run("agents", *words)
        )

    def usable(self, candidate: Candidate, folder: Path) -> list[str]:
        """A folder of settings, ``best.toml``, which names it, and the command line of the system with it."""
        settings, file = folder / "settings", folder / "best.toml"
        _write_settings(candidate, settings)
        write_atomic(file, tomli_w.dumps({"agents": {**self._settings.settings, "settings": str(settings)}}))
        tasks = [word for path in self._tasks for word in ("--tasks", str(path))]
        return [shlex.join(["shosei", *self._command_line([*tasks, "--run", "runs/NAME", "--config", str(file)])])]

    def _command_line(self, options: list[str]) -> list[str]:
        """The verb with its system and its server; ``options`` are before what is the system's own."""
        system, command = self._settings.system, self._settings.command
        own = [system] if system else ["--", *command]
        return ["agents", "run", *options, "--base-url", self._settings.url, *own]


def _least_rounds(split: TaskSplit) -> int:
    """How many rounds have as many independent tasks as a test needs. Raises InputError where all have fewer."""
    tasks = [*itertools.accumulate(len({(task.suite, task.cluster) for task in group}) for group in split.confirm)]
    if tasks[-1] < MIN_CLUSTERS:
        raise InputError(
            f"of {tasks[-1]} independent tasks to confirm on no gain could be told from chance, which takes "
            f"{MIN_CLUSTERS}: name more tasks, or a larger agent.confirm"
        )
    return 1 + sum(count < MIN_CLUSTERS for count in tasks)


def _write_settings(candidate: Candidate, folder: Path) -> None:
    """A text file each, as ``wire.system`` has them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in candidate.items():
        write_atomic(folder / f"{name}.txt", str(value))
