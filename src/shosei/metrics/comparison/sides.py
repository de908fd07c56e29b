"""The two sides of a comparison: a run each, or the turns of two targets in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from shosei.errors import InputError
from shosei.log import Log, RunBegin, RunEnd
from shosei.metrics.compute import cells_of
from shosei.metrics.metric import Metric, Phase
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.units import Unit, Units

Key = tuple[str, Phase]
Target = tuple[str, list[Log]]  # a name, and the attempts that measured it


@dataclass(frozen=True, slots=True)
class Measured:
    """What one attempt measured: its cells, and the units of those that have any."""

    metrics: dict[Key, Metric]
    units: dict[Key, Units] = field(default_factory=dict)

    @classmethod
    def of(cls, log: Log, service_level: ServiceLevel) -> Measured:
        """Compute all cells of an attempt."""
        metrics, units = {}, {}
        for cell in cells_of(log, service_level):
            key = cell.id, cell.phase
            metrics[key] = cell.compute(log)
            if cell.units and metrics[key].value is not None:
                units[key] = cell.units(cell.view(log))
        return cls(metrics, units)


@dataclass(frozen=True, slots=True)
class Side:
    """What is compared: a name, and what was measured. Several turns where the two sides were measured by turns."""

    name: str
    turns: Sequence[Measured]

    @classmethod
    def of(cls, target: Target, service_level: ServiceLevel) -> Side:
        """Compute all cells of all attempts of a target."""
        name, logs = target
        return cls(name, [Measured.of(log, service_level) for log in logs])

    def units(self, key: Key) -> Units | None:
        """A cell's units of all turns together: one a task where tasks match, else each turn's own."""
        found = [turn.units[key] for turn in self.turns if key in turn.units]
        if not found:
            return None
        if found[0].paired:
            tasks: dict[str, list[Unit]] = {}
            for unit in (unit for of_turn in found for unit in of_turn.units):
                tasks.setdefault(unit.key, []).append(unit)
            together = [_joined(samples) for samples in tasks.values()]
        else:
            together = [
                Unit(f"{turn} {unit.key}", f"{turn} {unit.cluster}", unit.adds)
                for turn, of_turn in enumerate(found)
                for unit in of_turn.units
            ]
        return Units(together, found[0].statistic, found[0].paired)


def pairs_of_turns(logs: Sequence[Log]) -> tuple[Target, Target]:
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


def _joined(samples: Sequence[Unit]) -> Unit:
    """One task, asked in several turns."""
    adds: dict[str, float] = {}
    for sample in samples:
        for name, added in sample.adds.items():
            adds[name] = adds.get(name, 0.0) + added
    return Unit(samples[0].key, samples[0].cluster, adds)


def _ended_well(log: Log, begin: RunBegin) -> bool:
    return any(end.verb == begin.verb and end.exit_code == 0 for end in log.of(RunEnd))
