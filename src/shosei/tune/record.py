"""The search's log, which is its only record: what is in it is not measured again; what is half in it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from shosei.errors import InputError
from shosei.files import remove
from shosei.log import Event, Log, TuneTrial, TuneTrialBegin
from shosei.tune.setting import Candidate
from shosei.tune.trial import Stage, Subject, Trial, TrialResult


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial that ended, with what came of it."""

    trial: Trial
    result: TrialResult


class Record:
    """All trials so far. ``write`` puts an event on the disk, or raises; ``past``: the log of a search that stopped."""

    def __init__(self, folder: Path, write: Callable[[Event], None], past: Log | None = None) -> None:
        self.tried: list[Tried] = []
        self._folder, self._write = folder, write
        self._ended = {tried.trial.number: tried for tried in tried_of(past, folder)} if past else {}
        self._begun = {event.number: event for event in past.of(TuneTrialBegin)} if past else {}

    @property
    def logged(self) -> Candidate | None:
        """The candidate of the next trial, where the log has it already."""
        known = self._begun.get(len(self.tried) + 1)
        return known.candidate if known else None

    def measure(
        self,
        subject: Subject,
        candidate: Candidate,
        stage: Stage,
        seed: int,
        *,
        round: int = 0,
        rung: int = 0,
    ) -> TrialResult:
        """Measure ``candidate``, or take its result from the log.

        Raises InputError where the log is of another search.
        """
        number = len(self.tried) + 1
        trial = Trial(number, candidate, stage, seed, self._folder / _folder(number), round, rung)
        if known := self._ended.get(number):
            if known.trial != trial:
                raise InputError(f"{self._folder} holds another search, from trial {number} on: name a new --out")
            tried = known
        else:
            remove(trial.folder)
            self._write(TuneTrialBegin(**_facts(trial)))
            tried = Tried(trial, subject.measure(trial))
            self._write(_end(tried))
        self.tried.append(tried)
        return tried.result


def tried_of(log: Log, folder: Path = Path()) -> list[Tried]:
    """The trials that ended in a log, by number; one that was measured again counts once."""
    events = {event.number: event for event in log.of(TuneTrial)}
    return [_tried(event, folder) for _, event in sorted(events.items())]


def _tried(event: TuneTrial, folder: Path) -> Tried:
    trial = Trial(
        event.number,
        event.candidate,
        cast(Literal["search", "confirm"], event.stage),
        event.seed,
        folder / event.folder,
        event.round,
        event.rung,
    )
    result = TrialResult(event.value, event.figures, event.units, event.limits, event.reason, event.seconds, event.unit)
    return Tried(trial, result)


def _end(tried: Tried) -> TuneTrial:
    result = tried.result
    return TuneTrial(
        **_facts(tried.trial),
        state=result.state,
        seconds=result.seconds,
        value=result.value,
        unit=result.unit,
        figures=dict(result.figures),
        units=dict(result.units),
        limits=dict(result.limits),
        reason=result.reason,
    )


def _facts(trial: Trial) -> dict[str, Any]:
    facts: dict[str, Any] = {
        key: getattr(trial, key) for key in ("number", "candidate", "stage", "round", "rung", "seed")
    }
    return facts | {"folder": _folder(trial.number)}


def _folder(number: int) -> str:
    return f"trials/{number:03}"
