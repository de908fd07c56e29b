"""The search's log, which is its only record: what is in it is not measured again; what is half in it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from shosei.card.words import translated
from shosei.errors import InputError
from shosei.files import remove
from shosei.log import Event, Log, TuneBegin, TuneTrial, TuneTrialBegin, TuneVerdict
from shosei.metrics.metric import Text
from shosei.tune.setting import Candidate
from shosei.tune.trial import Stage, Subject


class Record:
    """All trials so far. ``write`` puts an event on the disk, or raises; ``past``: the log of a search that stopped."""

    def __init__(self, folder: Path, write: Callable[[Event], None], past: Log | None = None) -> None:
        self.tried: list[TuneTrial] = []
        self._folder, self._write = folder, write
        self._ended = {trial.number: trial for trial in past.of(TuneTrial)} if past else {}
        self._begun = {trial.number: trial for trial in past.of(TuneTrialBegin)} if past else {}

    @property
    def logged(self) -> Candidate | None:
        """The candidate of the next trial, where the log has it already."""
        known = self._begun.get(len(self.tried) + 1)
        return known.candidate if known else None

    @property
    def is_searching(self) -> bool:
        """Whether the next trial is the search's, by the log."""
        known = self._begun.get(len(self.tried) + 1)
        return known is not None and known.stage == "search"

    def measure(
        self, subject: Subject, candidate: Candidate, stage: Stage, seed: int, *, round: int = 0, rung: int = 0
    ) -> TuneTrial:
        """Measure ``candidate``, or take what came of it from the log.

        Raises InputError where the log is of another search.
        """
        number = len(self.tried) + 1
        facts: dict[str, Any] = {"number": number, "candidate": candidate, "stage": stage, "round": round}
        facts |= {"rung": rung, "seed": seed, "folder": f"trials/{number:03}"}
        ended = self._ended.get(number)
        if ended is None:
            folder = self._folder / facts["folder"]
            remove(folder)
            self._write(begin := TuneTrialBegin(**facts))
            result = subject.measure(begin, folder)
            said: dict[str, Any] = {"reason": translated(result.reason)}
            if isinstance(result.reason, Text):
                said["why"] = msgspec.to_builtins(result.reason)
            state = "failed" if result.value is None else "done"
            ended = TuneTrial(**facts, state=state, **(asdict(result) | said))
            self._write(ended)
        elif any(getattr(ended, name) != fact for name, fact in facts.items()):
            raise InputError(f"{self._folder} holds another search, from trial {number} on: name a new --out")
        self.tried.append(ended)
        return ended


def verdict_in(log: Log) -> TuneVerdict | None:
    """What the search in ``log`` came to; None while it is open, as it is again under a larger budget."""
    verdicts, budgets = log.of(TuneVerdict), len(log.of(TuneBegin))
    return next((verdict for verdict in verdicts if verdict.budgets == budgets), None)
