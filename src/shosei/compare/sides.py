"""The two sides of a comparison: a run each, or the turns of two targets; what they measured, and what else differs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from shosei.errors import InputError
from shosei.log import Log, ProcExit, RunBegin, RunEnd, Score
from shosei.metrics.cells import cells_of, cost_cells, task_cells
from shosei.metrics.experience.satisfaction import is_of_ratings
from shosei.metrics.metric import CELL_KEYS, COST_KEYS, METRIC_IDS, PHASES, CellKey, Metric, Phase, Words, text
from shosei.metrics.observed.tasks import submitted
from shosei.metrics.prices import Prices
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.stats import Burstiness
from shosei.metrics.stats.observations import Observation, Observations
from shosei.progress import progress
from shosei.text_files import printable

NamedAttempts = tuple[str, list[Log]]  # what is compared, and the attempts that measured it

_DECODING = ("temperature", "max_tokens", "samples", "extra_body")  # of an exam: what changes the answers of one model
_OF_TASKS: list[CellKey] = [(cell.id, cell.phase) for cell in task_cells(ServiceLevel())]
_TEXT_RULES = {"text": "shosei", "span": "shosei", "cmrc2018": "cmrc2018"}  # by grader
_AS_LONG = 1.2  # counts of what happened in times that differ more than this say nothing
_LOAD_ITSELF = ("seed", "model", "suite")  # a turn's own seed; the model's name; a path, whose content is hashed


@dataclass(frozen=True, slots=True)
class Measured:
    """What one attempt measured: its cells, and the observations of those that have any."""

    metrics: dict[CellKey, Metric]
    observations: dict[CellKey, Observations] = field(default_factory=dict)

    @classmethod
    def of(cls, log: Log, service_level: ServiceLevel, prices: Prices | None = None) -> Measured:
        """Compute all cells of an attempt; with ``prices`` also what an agent system's tasks cost."""
        cells = [*cells_of(log, service_level), *(cost_cells(prices) if prices else ())]
        with progress("computing the metrics", len(cells), "cells") as work:
            measured = {(cell.id, cell.phase): cell.measure(log) for cell in work.over(cells)}
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
    def of(cls, attempts: NamedAttempts, service_level: ServiceLevel, prices: Prices | None = None) -> Side:
        """Compute all cells of all attempts."""
        name, logs = attempts
        return cls(printable(name), [Measured.of(log, service_level, prices) for log in logs])

    @property
    def keys(self) -> list[CellKey]:
        """The cells that every turn has: those of every card, and with prices those in money."""
        return [key for key in (*CELL_KEYS, *COST_KEYS) if all(key in turn.metrics for turn in self.turns)]

    def metrics(self, key: CellKey) -> list[Metric]:
        """A cell's metric in each turn."""
        return [turn.metrics[key] for turn in self.turns]

    def observations(self, key: CellKey) -> Observations | None:
        """A cell's observations of all turns together: one a task where tasks match, else each turn's own."""
        of_turns = [turn.observations[key] for turn in self.turns if key in turn.observations]
        if not of_turns:
            return None
        if of_turns[0].paired:
            samples = sorted((sample for turn in of_turns for sample in turn.each), key=lambda sample: sample.key)
            together = [_joined(list(task)) for _, task in groupby(samples, key=lambda sample: sample.key)]
        else:
            together = [
                Observation(f"{number} {sample.key}", f"{number} {sample.cluster}", sample.adds)
                for number, turn in enumerate(of_turns)
                for sample in turn.each
            ]
        bursts = [turn.bursts for turn in of_turns if turn.bursts]
        return Observations(
            together, of_turns[0].statistic, of_turns[0].paired, Burstiness.joined(bursts) if bursts else None
        )


def pairs_of_turns(logs: Iterable[Log]) -> tuple[NamedAttempts, NamedAttempts]:
    """Name and attempts of each of two targets measured by turns, the k-th of one beside the k-th of the other.

    Turns 2k - 1 and 2k are a pair. A turn that was broken off does not count, nor does a pair with such a turn; of a
    turn that was taken again the last attempt counts. Raises InputError where ``logs`` are not such a measurement.
    """
    begun: dict[int, str] = {}
    ended: dict[int, tuple[str, Log]] = {}
    for log in logs:
        for begin in log.of(RunBegin)[:1]:
            if begin.turn:
                begun[begin.turn] = begin.target
                if any(end.verb == begin.verb and end.exit_code == 0 for end in log.of(RunEnd)):
                    ended[begin.turn] = begin.target, log
    names = list(dict.fromkeys(target for _, target in sorted(begun.items())))
    if len(names) != 2:
        raise InputError(
            "one folder is compared only if 'shosei alternate' measured two targets in it; else name two: compare A B"
        )
    pairs = [
        dict(ended[number] for number in (turn, turn + 1) if number in ended) for turn in range(1, max(begun) + 1, 2)
    ]
    whole = [pair for pair in pairs if len(pair) == 2]
    if not whole:
        raise InputError("no pair of turns has ended well yet: let 'shosei alternate' go on with this folder")
    first, second = ((name, [pair[name] for pair in whole]) for name in names)
    return first, second


def differences(a: Log, b: Log) -> list[Words]:
    """One sentence a kind of condition that differs between two attempts, with the names of what differs in it."""
    facts = [_facts(log) for log in (a, b)]
    names = {kind: _differing(facts[0][kind], facts[1][kind]) for kind in facts[0]}
    return [
        text("compare.differs", what=text(f"compare.of_{kind}"), names=those) for kind, those in names.items() if those
    ]


def incomparable(a: Log, b: Log) -> dict[CellKey, Words]:
    """Cells whose two values mean different things, and why.

    Restarts in times of unequal length; ratings beside surveys; tasks beside single requests; accuracy of models that
    were also made to answer otherwise, or whose free text was graded by other rules.
    """
    reasons: dict[CellKey, Words] = {}
    for phase in PHASES:
        hours = [math.fsum(end.duration_ns for end in log.of(ProcExit, phase)) / 3.6e12 for log in (a, b)]
        if max(hours) > _AS_LONG * min(hours) > 0:
            reasons["restart_count", phase] = text("compare.other_length", a=hours[0], b=hours[1])
        if is_of_ratings(a, phase) != is_of_ratings(b, phase):
            reasons["satisfaction", phase] = text("compare.ratings_and_surveys")
    if bool(submitted(a)) != bool(submitted(b)):
        reasons |= dict.fromkeys(_OF_TASKS, text("compare.tasks_and_requests"))
    for phase in PHASES:
        rules = [_text_rules(log, phase) for log in (a, b)]
        if all(rules) and rules[0] != rules[1]:
            otherwise = text("compare.other_text_rule", a=" + ".join(rules[0]), b=" + ".join(rules[1]))
            reasons |= {(id, phase): otherwise for id in METRIC_IDS["accuracy"]}
    if (names := _differing(_config(a, "exam"), _config(b, "exam"), _DECODING)) and _differing(
        _identities(a), _identities(b)
    ):
        otherwise = text("compare.other_decoding", names=names)
        reasons |= {(id, "inference"): otherwise for id in METRIC_IDS["accuracy"]}
    return reasons


def _joined(samples: Sequence[Observation]) -> Observation:
    """One task, asked in several turns."""
    names = dict.fromkeys(name for sample in samples for name in sample.adds)
    adds = {name: math.fsum(sample.adds.get(name, 0.0) for sample in samples) for name in names}
    return Observation(samples[0].key, samples[0].cluster, adds)


def _facts(log: Log) -> dict[str, dict[str, Any]]:
    """What is known of each kind of condition."""
    load = _config(log, "load")  # the arrival process among it
    facts: dict[str, dict[str, Any]] = {
        kind: {name: value for begin in log.of(RunBegin) for name, value in getattr(begin, kind).items()}
        for kind in ("model", "hashes", "hardware", "versions")
    }
    facts["load"] = {name: value for name, value in load.items() if name not in _LOAD_ITSELF}
    exam = _config(log, "exam")
    facts["programs"] = {"exam.packages": exam.get("packages") or "none"} if exam else {}
    return facts | {"identity": _identities(log)}


def _config(log: Log, verb: str) -> dict[str, Any]:
    return next((dict(begin.config) for begin in reversed(log.of(RunBegin)) if begin.verb == verb), {})


def _identities(log: Log) -> dict[str, Any]:
    """The score identities of each suite: where they differ, tasks, messages or decoding are not the same."""
    identities = defaultdict(set)
    for score in log.of(Score):
        if score.identity:
            identities[f"{score.suite} ({score.phase})"].add(score.identity)
    return identities


def _text_rules(log: Log, phase: Phase) -> list[str]:
    """The rules by which free text was graded: a benchmark's by its name, our own as ``shosei``."""
    graders = {score.grader for score in log.of(Score, phase)}
    return sorted({_TEXT_RULES[grader] for grader in graders & _TEXT_RULES.keys()})


def _differing(a: Mapping[str, Any], b: Mapping[str, Any], among: Iterable[str] | None = None) -> list[str]:
    """Names that both have and that differ: what only one of them recorded is not known to differ."""
    common = a.keys() & b.keys()
    return sorted(name for name in (common if among is None else common.intersection(among)) if a[name] != b[name])
