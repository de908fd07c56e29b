"""A training as what is tuned: candidates on a proxy, finalists at full size.

The rungs are those of successive halving (Jamieson & Talwalkar 2016): each has ``reduction`` times the steps of the one
before, and full size comes after the last. A rung is a training of its own from its first step, since a schedule's end
depends on its length.
"""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import Field

from shosei.config import Config, validate
from shosei.errors import InputError
from shosei.files import write_atomic
from shosei.log import Run, TuneTrialBegin, open_run
from shosei.profile.profile import Profile
from shosei.spec import preset
from shosei.tune.setting import Candidate
from shosei.tune.target import Target
from shosei.tune.trial import Stage, TrialResult
from shosei.tune.trial_folder import measured, overrides, verbs_in

_READ = ("data", "tokenizer")  # of the run's folder: what a training needs
_MADE = ("checkpoints", "model")  # what is of no use once it is measured, and large
_OURS = ("max_steps", "seed")


class TrainSettings(Config):
    """Table ``[train]`` of a target."""

    run: Path = Field(description="Run folder with the data and the tokenizer.")
    steps: int = Field(ge=1, description="Optimiser steps at full size.")
    rungs: int = Field(default=2, ge=1, description="Proxies that a challenger passes, each of more steps.")
    reduction: int = Field(default=3, ge=2, description="How many times the steps of the rung before a rung has.")
    settings: dict[str, Any] = Field(default={}, description="Settings of 'shosei train' in every trial.")
    proxy: dict[str, Any] = Field(
        default={}, description="Settings that hold in the search instead, such as the preset of a narrower model."
    )


class TrainSubject:
    """Trains with a candidate's settings on the run's data.

    The objective is measured at the end, on text or questions that are held out of training and are in no test suite.
    """

    repeats = False  # another seed is another training: rungs are compared at the same one
    least_rounds, most_rounds = 3, 1000

    def __init__(self, target: Target, profile: Profile | None) -> None:
        """Raises InputError: wrong settings, or a run without data or tokenizer."""
        self._target, self._profile = target, profile
        self._settings = validate(TrainSettings, target.settings, "train")
        self._run = open_run(target.folder / self._settings.run).folder.absolute()
        self.rungs = self._settings.rungs
        if missing := [name for name in _READ if not (self._run / name).is_dir()]:
            raise InputError(f"{self._run} has no {missing[0]}: make it with 'shosei {missing[0]} --run {self._run}'")
        for name in _OURS:
            if name in {*target.space, *self._settings.settings, *self._settings.proxy}:
                raise InputError(f"'{name}' is no setting of a target: trials have their own; 'steps' is full size")

    def cost(self, stage: Stage, rung: int) -> float:
        """By the FLOPs of as many tokens a step: a proxy may be of a narrower model."""
        return self._flops(stage, rung) / self._flops("confirm", 0)

    def measure(self, trial: TuneTrialBegin, folder: Path) -> TrialResult:
        """Train once; the model is not kept. Raises InputError where the defaults are refused."""
        Run(folder).log.mkdir(parents=True)
        for name in _READ:
            (folder / name).symlink_to(self._run / name, target_is_directory=True)
        settings = {**self._fixed(trial.stage, trial.rung), **trial.candidate, "seed": trial.seed}
        words = ["train", "--run", str(folder), *overrides("train", settings)]
        try:
            result = measured(
                folder,
                trial.candidate,
                self._target,
                self._profile,
                lambda: verbs_in(folder, self._target).run("train", *words),
            )
        finally:
            for name in _MADE:
                shutil.rmtree(folder / name, ignore_errors=True)
        return replace(result, units={})  # a training's chance is in its seed, which all of its tasks share

    def usable(self, candidate: Candidate, folder: Path) -> list[str]:
        """``best.toml``, and the command that trains with it at full size."""
        file = folder / "best.toml"
        settings = {**self._fixed("confirm", 0), **candidate}
        write_atomic(file, tomli_w.dumps({"train": settings}))
        return [shlex.join(["shosei", "train", "--run", str(self._run), "--config", str(file)])]

    def _fixed(self, stage: str, rung: int) -> dict[str, Any]:
        """The settings of all candidates at a rung, or at full size."""
        table = self._settings
        settings, steps = table.settings, table.steps
        if stage == "search":
            settings, steps = settings | table.proxy, max(1, steps // table.reduction ** (table.rungs - rung))
        shape = str(settings.get("preset", ""))
        paths = [
            *(["preset"] if "/" in shape or shape.endswith(".toml") else []),
            *(["init"] if settings.get("init") else []),
        ]
        return {**self._target.located(settings, *paths), "max_steps": steps}

    def _flops(self, stage: str, rung: int) -> float:
        settings = self._fixed(stage, rung)
        shape = preset(settings.get("preset", "nano"))  # where a model goes on instead, the same in all
        tokens: int = settings.get("sequence", shape.context_length)
        return float(settings["max_steps"]) * shape.train_flops_per_token(tokens)
