"""Targets of a search, as a user writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w

from shosei.log import TuneTrialBegin
from shosei.tune.setting import Candidate
from shosei.tune.target import Kind, Target, read_target
from shosei.tune.trial import Stage


def target(folder: Path, kind: Kind, **tables: Any) -> Target:
    """The target of ``tables``, which lies in ``folder``."""
    file = folder / "target.toml"
    file.write_text(tomli_w.dumps(tables), encoding="utf-8")
    return read_target(str(file), kind)


def trial(
    folder: Path, candidate: Candidate, stage: Stage = "search", *, seed: int = 1, round: int = 0, rung: int = 0
) -> tuple[TuneTrialBegin, Path]:
    """What a subject is given to measure."""
    begin = TuneTrialBegin(
        number=1, candidate=candidate, stage=stage, round=round, rung=rung, seed=seed, folder=folder.name
    )
    return begin, folder
