"""A server as what is tuned: any command that serves OpenAI's API, started for each trial and loaded by schedule."""

from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import Field

from shosei.config import Config, toml_value, validate
from shosei.errors import InputError
from shosei.exam import ExamConfig
from shosei.files import remove, write_atomic
from shosei.load.alternate import client_was_busy
from shosei.load.config import LoadConfig
from shosei.log import Run, TuneTrialBegin, read_log
from shosei.metrics.stats.difference import SHARE_MARGIN
from shosei.profile.profile import Profile
from shosei.tune.setting import Candidate, Space, default_of
from shosei.tune.target import Objective, Target
from shosei.tune.trial import Stage, TrialResult
from shosei.tune.trial_folder import measured, overrides, read_result, verbs_in
from shosei.verbs import is_ours

_AGAIN = 2  # times that a trial in which this machine was too busy is measured again
_PLACE = re.compile(r"\{([\w-]+)\}")
_OF_OURS = re.compile(r"serve\.(\w+)=(.*)", re.DOTALL)  # in a command of ours, behind --set
_ACCURACY, _GOODPUT = "pass_at_1", "inference_speed.goodput"


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
        """Raises InputError: wrong settings, a command or an objective that cannot work, no suite for an exam."""
        self._target, self._profile = target, profile
        self._settings = settings = validate(ServeSettings, target.settings, "serve")
        _check_measurable(target.objective, profile)
        _check_places(settings, target.space)
        self._load = (profile.load_settings() if profile else {}) | target.located(settings.load, "suite", "trace")
        validate(LoadConfig, self._load, "serve.load")
        self._answering = [name for name, setting in target.space.items() if setting.answers]
        self._exam = dict(settings.exam)
        own = Run(Path(settings.model)).suites if settings.model else None  # where the model is a run folder
        named = self._exam.pop("suite", [own] if own and own.is_dir() else [])
        self._suites = [
            target.folder.absolute() / str(path) for path in (named if isinstance(named, list) else [named])
        ]
        validate(ExamConfig, self._exam, "serve.exam")
        if missing := [suite for suite in self._suites if not suite.exists()]:
            raise InputError(f"serve.exam.suite: no file {missing[0]}")
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

    def measure(self, trial: TuneTrialBegin, folder: Path) -> TrialResult:
        """Serve, load, perhaps examine, stop. Raises InputError where the default is refused as wrong input."""
        result = measured(folder, trial.candidate, self._target, self._profile, lambda: self._take(trial, folder))
        kept = {} if result.value is None else self._answers_kept(trial.candidate, folder)
        return replace(result, limits={**result.limits, **kept})

    def usable(self, candidate: Candidate, folder: Path) -> list[str]:
        """``best.toml``, and a command line: of our server with that file, of another one filled in."""
        words, variables = self._filled(candidate, "8000")
        file, ours, others = folder / "best.toml", *_of_ours(words)
        if ours and is_ours(words) and "--config" not in words:
            said = _commented({"environment": variables}) if variables else ""
            write_atomic(file, said + tomli_w.dumps({"serve": ours}))
            words = [*others, "--config", str(file)]
        else:
            write_atomic(file, tomli_w.dumps({"environment": variables, "command": words, "settings": candidate}))
        return [" ".join([*(f"{name}={shlex.quote(value)}" for name, value in variables.items()), shlex.join(words)])]

    def _take(self, trial: TuneTrialBegin, folder: Path) -> None:
        """Measure once, or again where this machine was too busy."""
        for _ in range(1 + _AGAIN):
            remove(folder)
            folder.mkdir(parents=True)
            words, variables = self._filled(trial.candidate, port := str(_free_port()))
            verbs, url, run = (
                verbs_in(folder, self._target, variables),
                f"http://127.0.0.1:{port}",
                ("--run", str(folder)),
            )
            with verbs.serving_command(url, self._settings.ready_s, words, str(folder), "--max-restarts", "0"):
                load = overrides("load", self._load)
                verbs.run("load", "load", url, *run, *load, "--seed", str(trial.seed))
                if self._answering and self._key(trial.candidate) not in self._accuracy:
                    suites = [word for suite in self._suites for word in ("--suite", str(suite))]
                    verbs.run("exam", "exam", url, *run, *suites, *overrides("exam", self._exam))
            if not client_was_busy(read_log(Run(folder).log)):
                break

    def _filled(self, candidate: Candidate, port: str) -> tuple[list[str], dict[str, str]]:
        """The command and the environment variables with the candidate's values."""
        values = {"port": port, "model": self._settings.model, **{key: str(value) for key, value in candidate.items()}}
        words = [_fill(word, values) for word in self._settings.command]
        variables = {name: _fill(word, values) for name, word in self._settings.environment.items()}
        return [word for word in words if word], {name: value for name, value in variables.items() if value}

    def _answers_kept(self, candidate: Candidate, folder: Path) -> Mapping[str, str]:
        """Whether the answers are as good as the default's, by the profile's margin, on the same tasks.

        It stands in place of the profile's own limit: where the default misses that, no setting of a server mends it.
        """
        if not self._answering:
            return {}
        own, default = self._key(candidate), self._key(default_of(self._target.space))
        first = folder.parent / "001"  # of a search that goes on: the first trial was the default's
        for key, where in ((own, folder), (default, first)):
            if key not in self._accuracy and where.is_dir():
                accuracy = read_result(where, Objective(figure=_ACCURACY), None).value
                self._accuracy |= {} if accuracy is None else {key: accuracy}
        if own not in self._accuracy or default not in self._accuracy:
            return {}
        requirement = self._profile.inference.get(_ACCURACY) if self._profile else None
        margin = (requirement.margin if requirement else None) or SHARE_MARGIN
        return {_ACCURACY: "missed" if self._accuracy[own] < self._accuracy[default] - margin else "pass"}

    def _key(self, candidate: Candidate) -> tuple[Any, ...]:
        return tuple(candidate[name] for name in self._answering)


def _check_measurable(objective: Objective, profile: Profile | None) -> None:
    """Raise InputError where no trial of a server could measure what is asked."""
    if objective.phase == "training":
        raise InputError("objective.phase: a server trains nothing: leave it out")
    if profile and not (profile.inference or profile.service_level.is_set or profile.load_settings()):
        raise InputError(f"--profile {profile.name} says nothing of a server: it is of trainings alone")
    if objective.figure == _GOODPUT and not (profile and profile.service_level.is_set):
        raise InputError(
            f"{_GOODPUT} counts the answers that keep a profile's service level: name a profile that has one, such as "
            "--profile chatbot"
        )


def _check_places(settings: ServeSettings, space: Space) -> None:
    """Raise InputError for a place of the command that nothing fills, or fills twice, and for one that is missing."""
    of = {"command": settings.command, "environment": settings.environment.values()}
    places = {name: key for key, words in of.items() for word in words for name in _PLACE.findall(word)}
    if taken := sorted({"port", "model"} & space.keys()):
        raise InputError(f"space.{taken[0]}: {{{taken[0]}}} has a meaning of its own: name the setting otherwise")
    if "port" not in places:
        raise InputError("serve.command: write {port} where it says on which port the server listens")
    if "model" in places and not settings.model:
        raise InputError("serve.model is missing: name it with --set serve.model=PATH")
    if unknown := sorted(places.keys() - {"port", "model", *space}):
        name = unknown[0]
        raise InputError(f"serve.{places[name]}: nothing says what {{{name}}} is: name it in [space.{name}]")
    if unused := sorted(space.keys() - places.keys()):
        raise InputError(f"space.{unused[0]} changes nothing: write {{{unused[0]}}} into serve.command")


def _fill(word: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda match: values[match[1]], word)


def _of_ours(words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """What a command of ours sets of its section, as a table, and its other words."""
    at = {place: _OF_OURS.fullmatch(word) for place, word in enumerate(words) if words[place - 1] == "--set"}
    found = {place: match for place, match in at.items() if match}
    others = [word for place, word in enumerate(words) if not {place, place + 1} & found.keys()]
    return {match[1]: toml_value(match[2].strip()) for match in found.values()}, others


def _commented(tables: Mapping[str, Any]) -> str:
    """What no section of ours holds, for people who read the file."""
    return "".join(f"# {line}\n" for line in tomli_w.dumps(tables).splitlines())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
