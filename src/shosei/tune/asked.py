"""What is asked of a search, said before its first trial: a search that goes on must have been asked the same."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from shosei.log import TuneBegin
from shosei.profile.profile import Profile
from shosei.tune.budget import Budget
from shosei.tune.setting import default_of
from shosei.tune.target import Objective, Target


def asked(target: Target, profile: Profile | None, budget: Budget, seed: int) -> TuneBegin:
    """All of it, as the log has it, with its hash."""
    objective, phase = target.objective, target.objective.phase
    limits = profile.requirements(phase) if profile else {}
    second = Objective(figure=objective.second or objective.figure, phase=phase)
    begin = TuneBegin(
        subject=target.kind,
        target=target.name,
        target_hash="",
        figure=objective.figure,
        of_phase=phase,
        direction=_direction(objective),
        relative=objective.is_relative,
        gain=objective.gain,
        budget=budget.said,
        seed=seed,
        default=default_of(target.space),
        space={name: setting.model_dump(mode="json") for name, setting in target.space.items()},
        profile=profile.name if profile else "",
        limits={
            name: {key: end for key in ("min", "max") if (end := getattr(limit, key)) is not None}
            for name, limit in limits.items()
            if limit.is_limited
        },
        second_figure=objective.second,
        second_direction=_direction(second) if objective.second else "",
        settings=target.settings,
    )
    load = profile.load_settings() if profile else {}
    said = msgspec.json.encode([begin, load], order="deterministic")
    shown = {name: _without_header(value) for name, value in target.settings.items()}
    return msgspec.structs.replace(begin, settings=shown, target_hash=hashlib.sha256(said).hexdigest())


def _without_header(value: Any) -> Any:
    """A table of settings without the header of requests, which may be a secret."""
    return {key: each for key, each in value.items() if key != "header"} if isinstance(value, dict) else value


def _direction(objective: Objective) -> str:
    return "higher" if objective.is_higher else "lower"
