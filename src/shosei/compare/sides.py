"""The two sides of a comparison: a run each, or the turns of two targets in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from shosei.errors import InputError
from shosei.log import Log, RunBegin, RunEnd
from shosei.metrics.cells import cells_of
from shosei.metrics.metric import Metric, Phase
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.stats.observations import Observation, Observations

Key = tuple[str, Phase]
NamedAttempts = tuple[str, list[Log]]  # a name, and the attempts that measured it


@dataclass(frozen=True, slots=True)
class Measured:
    """What one attempt measured: its cells, and the observations of those that have any."""

    metrics: dict[Key, Metric]
    observations: dict[Key, Observations] = field(default_factory=dict)

    @classmethod
    def of(cls, log: Log, service_level: ServiceLevel) -> Measured:
        """Compute all cells of an attempt."""
        measured = {(cell.id, cell.phase): cell.measure(log) for cell in cells_of(log, service_level)}
        return cls(
            {key: metric for key, (metric, _) in measured.items()},
            {key: observations for key, (_, observations) in measured.items() if observations},
        )


@dataclass(frozen=True, slots=True)
class Side:
    """What is compared: a name, and what was measured. Several turns where the two sides were measured by turns."""

    name: str
    turns: Sequence[Measured]

    @classmethod
    def of(cls, attempts: NamedAttempts, service_level: ServiceLevel) -> Side:
        """Compute all cells of all attempts of a target."""
        name, logs = attempts
        return cls(name, [Measured.of(log, service_level) for log in logs])

    def observations(self, key: Key) -> Observations | None:
        """A cell's observations of all turns together: one a task where tasks match, else each turn's own."""
        of_turns = [turn.observations[key] for turn in self.turns if key in turn.observations]
        if not of_turns:
            return None
        if of_turns[0].paired:
            tasks: dict[str, list[Observation]] = {}
            for observation in (observation for of_turn in of_turns for observation in of_turn.each):
                tasks.setdefault(observation.key, []).append(observation)
            together = [_joined(samples) for samples in tasks.values()]
        else:
            together = [
                Observation(f"{turn} {observation.key}", f"{turn} {observation.cluster}", observation.adds)
                for turn, of_turn in enumerate(of_turns)
                for observation in of_turn.each
            ]
        return Observations(together, of_turns[0].statistic, of_turns[0].paired)


def pairs_of_turns(logs: Sequence[Log]) -> tuple[NamedAttempts, NamedAttempts]:
    """Name and attempts of each of two targets measured by turns, the k-th of one beside the k-th of the other.

    Turns 2k - 1 and 2k are a pair. A turn that was broken off does not count, nor does a pair with such a turn; of a
    turn that was taken again the last attempt counts. Raises InputError where ``logs`` are no such measurement.
    """
    begun: dict[int, str] = {}
    turns: dict[int, tuple[str, Log]] = {}
    for log in logs:
        for begin in log.of(RunBegin)[:1]:
            if begin.turn:
                begun[begin.turn] = begin.target
                if _ended_well(log, begin):
                    turns[begin.turn] = begin.target, log
    names = list(dict.fromkeys(target for _, target in sorted(begun.items())))
    if len(names) != 2:
        raise InputError(
            "one folder is compared only if 'shosei alternate' measured two targets in it; else name two: compare A B"
        )
    sides: dict[str, list[Log]] = {name: [] for name in names}
    for turn in range(1, max(begun) + 1, 2):
        pair = dict(turns[number] for number in (turn, turn + 1) if number in turns)
        if len(pair) == 2:
            for name, log in pair.items():
                sides[name].append(log)
    first, second = sides.items()
    if not first[1]:
        raise InputError("no pair of turns has ended well yet: let 'shosei alternate' go on with this folder")
    return first, second


def _joined(samples: Sequence[Observation]) -> Observation:
    """One task, asked in several turns."""
    adds: dict[str, float] = {}
    for sample in samples:
        for name, added in sample.adds.items():
            adds[name] = adds.get(name, 0.0) + added
    return Observation(samples[0].key, samples[0].cluster, adds)


def _ended_well(log: Log, begin: RunBegin) -> bool:
    return any(end.verb == begin.verb and end.exit_code == 0 for end in log.of(RunEnd))
