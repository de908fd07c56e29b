"""A server as what is tuned: any command that serves OpenAI's API, started for each trial and loaded by schedule."""

from __future__ import annotations

import re
import shlex
import socket
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import Field

from shosei.config import Config, validate
from shosei.errors import InputError
from shosei.exam import ExamConfig
from shosei.files import remove, write_atomic
from shosei.load.alternate import client_was_busy
from shosei.load.config import LoadConfig
from shosei.log import Run, read_log
from shosei.metrics.stats.difference import SHARE_MARGIN
from shosei.profile.profile import Profile
from shosei.tune.setting import Candidate, default_of
from shosei.tune.target import Objective, Target
from shosei.tune.trial import Stage, Trial, TrialResult
from shosei.tune.trial_folder import OUTPUT, overrides, read_result, why_failed
from shosei.verbs import VerbFailed, Verbs

_AGAIN = 2  # times that a trial in which this machine was too busy is measured again
_PLACE = re.compile(r"\{(\w+)\}")
_OF_OURS = re.compile(r"serve\.(\w+)=\{(\w+)\}")  # in a command of ours: which of its settings one of the space is
_ACCURACY = "pass_at_1"


class ServeSettings(Config):
    """Table ``[serve]`` of a target. In words, ``{NAME}`` stands for a setting, ``{port}`` and ``{model}``."""

    command: list[str] = Field(min_length=1, description="Serves the API; a word that comes out empty is left out.")
    environment: dict[str, str] = Field(default={}, description="Variables; one that comes out empty is not set.")
    model: str = Field(default="", description="What {model} is: a path, or a name.")
    ready_s: float = Field(default=180.0, gt=0, description="Limit of the wait until the server answers, in seconds.")
    load: dict[str, Any] = Field(default={}, description="Settings of 'shosei load', beside those of the profile.")
    exam: dict[str, Any] = Field(
        default={}, description="'suite', and settings of 'shosei exam', for settings that may change answers."
    )


class ServeSubject:
    """Starts a server with a candidate's settings, loads it, examines it where it may answer otherwise, stops it."""

    repeats = True
    rungs = 3
    least_rounds, most_rounds = 5, 1000

    def __init__(self, target: Target, profile: Profile | None) -> None:
        """Raises InputError: wrong settings, a place in the command that nothing fills, no suite for an exam."""
        self._target, self._profile = target, profile
        self._settings = settings = validate(ServeSettings, target.settings, "serve")
        words = [*settings.command, *settings.environment.values()]
        places = {name for word in words for name in _PLACE.findall(word)}
        if "model" in places and not settings.model:
            raise InputError("serve.model is missing: name it with --set serve.model=PATH")
        if unknown := sorted(places - {"port", "model", *target.space}):
            raise InputError(f"serve.command: nothing says what {{{unknown[0]}}} is: name it in [space.{unknown[0]}]")
        if unused := sorted(target.space.keys() - places):
            raise InputError(f"space.{unused[0]} changes nothing: write {{{unused[0]}}} into serve.command")
        self._load = (profile.load_settings() if profile else {}) | self._paths(settings.load, "suite", "trace")
        validate(LoadConfig, self._load, "serve.load")
        self._answering = [name for name, setting in target.space.items() if setting.answers]
        self._exam = dict(settings.exam)
        named = self._exam.pop("suite", self._own_suites())
        self._suites = [target.folder.absolute() / path for path in (named if isinstance(named, list) else [named])]
        validate(ExamConfig, self._exam, "serve.exam")
        if self._answering and not self._suites:
            name = self._answering[0]
            raise InputError(
                f"space.{name} may change what the model answers: name a suite that shows it with --set "
                f"serve.exam.suite=PATH, or say that it does not matter with --set space.{name}.answers=false"
            )
        self._accuracy: dict[tuple[Any, ...], float] = {}  # of the answering settings' values

    def cost(self, stage: Stage, rung: int) -> float:
        """All trials are alike."""
        return 1.0

    def measure(self, trial: Trial) -> TrialResult:
        """Serve, load, perhaps examine, stop. Raises InputError where the default is refused as wrong input."""
        begin = time.monotonic()
        for _ in range(1 + _AGAIN):
            remove(trial.folder)
            trial.folder.mkdir(parents=True)
            if failure := self._take(trial):
                return TrialResult(None, reason=failure, seconds=time.monotonic() - begin)
            if not client_was_busy(read_log(Run(trial.folder).log)):
                break
        result = read_result(trial.folder, self._target.objective, self._profile, time.monotonic() - begin)
        return replace(result, limits={**result.limits, **self._answers_kept(trial)})

    def usable(self, candidate: Candidate, folder: Path) -> list[str]:
        """``best.toml``, and a command line: of our server with that file, of another one filled in."""
        words, variables = self._filled(candidate, "8000")
        ours = {name: candidate[of] for word in self._settings.command for name, of in _OF_OURS.findall(word)}
        file = folder / "best.toml"
        if self._is_ours and ours:
            write_atomic(file, tomli_w.dumps({"serve": ours}))
            words = ["shosei", "serve", self._settings.model, "--config", str(file)]
        else:
            write_atomic(file, tomli_w.dumps({"environment": variables, "command": words, "settings": candidate}))
        return [" ".join([*(f"{name}={shlex.quote(value)}" for name, value in variables.items()), shlex.join(words)])]

    @property
    def _is_ours(self) -> bool:
        """Whether it supervises itself."""
        return self._settings.command[:2] == ["shosei", "serve"]

    def _take(self, trial: Trial) -> str:
        """Measure once; return why it failed, or nothing."""
        folder, at_work = trial.folder, "the server"
        words, variables = self._filled(trial.candidate, port := str(_free_port()))
        verbs, url = Verbs(1, variables, folder / OUTPUT), f"http://127.0.0.1:{port}"
        try:
            with self._serving(verbs, url, words, folder):
                at_work = "shosei load"
                seed = ("--seed", str(trial.seed))
                verbs.run("load", "load", url, "--run", str(folder), *overrides("load", self._load), *seed)
                if self._answering and self._key(trial.candidate) not in self._accuracy:
                    at_work = "shosei exam"
                    suites = [word for suite in self._suites for word in ("--suite", str(suite))]
                    verbs.run("exam", "exam", url, "--run", str(folder), *suites, *overrides("exam", self._exam))
        except VerbFailed as failure:
            must_work = trial.candidate == default_of(self._target.space)
            return why_failed(folder, at_work, failure, must_work=must_work)
        return ""

    def _serving(self, verbs: Verbs, url: str, words: list[str], folder: Path) -> AbstractContextManager[float]:
        """The server, under the meters, for the length of the block."""
        if self._is_ours:
            return verbs.serving(url, self._settings.ready_s, *words[1:], "--run", str(folder))
        supervise = ("supervise", "--run", str(folder), "--phase", "inference", "--name", "server")
        return verbs.serving(url, self._settings.ready_s, *supervise, "--max-restarts", "0", "--", *words)

    def _filled(self, candidate: Candidate, port: str) -> tuple[list[str], dict[str, str]]:
        """The command and the environment variables with the candidate's values."""
        values = {"port": port, "model": self._settings.model, **{key: str(value) for key, value in candidate.items()}}
        words = [_fill(word, values) for word in self._settings.command]
        variables = {name: _fill(word, values) for name, word in self._settings.environment.items()}
        return [word for word in words if word], {name: value for name, value in variables.items() if value}

    def _answers_kept(self, trial: Trial) -> Mapping[str, str]:
        """Whether the answers are as good as the default's, by the profile's margin, on the same tasks.

        It stands in place of the profile's own limit: where the default misses that, no setting of a server mends it.
        """
        if not self._answering:
            return {}
        default, key = default_of(self._target.space), self._key(trial.candidate)
        if key not in self._accuracy and (accuracy := _accuracy_in(trial.folder)) is not None:
            self._accuracy[key] = accuracy
        if self._key(default) not in self._accuracy:  # a search that goes on: the first trial was the default's
            first = _accuracy_in(trial.folder.parent / "001")
            if first is not None:
                self._accuracy[self._key(default)] = first
        requirement = self._profile.inference.get(_ACCURACY) if self._profile else None
        margin = (requirement.margin if requirement else None) or SHARE_MARGIN
        known = [self._accuracy.get(self._key(each)) for each in (default, trial.candidate)]
        if known[0] is None or known[1] is None:
            return {}
        return {_ACCURACY: "missed" if known[1] < known[0] - margin else "pass"}

    def _key(self, candidate: Candidate) -> tuple[Any, ...]:
        return tuple(candidate[name] for name in self._answering)

    def _own_suites(self) -> list[Path]:
        """Where the model is a run folder, its suites."""
        suites = Run(Path(self._settings.model)).suites
        return [suites] if self._settings.model and suites.is_dir() else []

    def _paths(self, settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
        """``settings`` with the paths among them from where the target's file lies."""
        folder = self._target.folder.absolute()
        return {name: str(folder / value) if name in names else value for name, value in settings.items()}


def _fill(word: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda match: values[match[1]], word)


def _accuracy_in(folder: Path) -> float | None:
    """What the exam in a trial's folder came to; None where none was taken."""
    if not folder.is_dir():
        return None
    return read_result(folder, Objective(figure=_ACCURACY), None, 0.0).value


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
