"""What differs between two attempts besides what they measured: models, data, machine, load, what an exam asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from shosei.compare.sides import Key
from shosei.log import Log, ProcExit, RunBegin, Score
from shosei.metrics.cells import task_cells
from shosei.metrics.metric import METRIC_IDS, PHASES, Words, text
from shosei.metrics.observed.tasks import submitted
from shosei.metrics.service_level import ServiceLevel

_DECODING = ("temperature", "max_tokens", "samples")  # of an exam: what changes the answers of one model
_OF_TASKS: list[Key] = [(cell.id, cell.phase) for cell in task_cells(ServiceLevel())]
_AS_LONG = 1.2  # counts of what happened in times that differ more than this say nothing
_OWN = ("seed", "model", "suite")  # of a load: a turn's own seed; the model's name; a path, whose content is hashed


def differences(a: Log, b: Log) -> list[Words]:
    """One sentence a kind of condition that differs, with the names of what differs in it."""
    facts = [_facts(log) for log in (a, b)]
    found: list[Words] = []
    for kind in facts[0]:
        if names := _differing(facts[0][kind], facts[1][kind]):
            found.append(text("compare.differs", what=text(f"compare.of_{kind}"), names=names))
    if suites := _asked_differently(a, b):
        found.append(text("compare.differs", what=text("compare.of_identity"), names=suites))
    return found


def unlike(a: Log, b: Log) -> dict[Key, Words]:
    """Restarts in times of unequal length; accuracy of models that were also made to answer otherwise; tasks beside
    single requests.
    """
    found: dict[Key, Words] = {}
    for phase in PHASES:
        hours = [math.fsum(end.duration_ns for end in log.of(ProcExit, phase)) / 3.6e12 for log in (a, b)]
        if max(hours) > _AS_LONG * min(hours) > 0:
            found["restart_count", phase] = text("compare.other_length", a=hours[0], b=hours[1])
    if bool(submitted(a)) != bool(submitted(b)):
        found |= dict.fromkeys(_OF_TASKS, text("compare.tasks_and_requests"))
    return found | _otherwise_asked(a, b)


def _otherwise_asked(a: Log, b: Log) -> dict[Key, Words]:
    settings = [_config(log, "exam") for log in (a, b)]
    decoding = [{name: found[name] for name in _DECODING if name in found} for found in settings]
    names = _differing(*decoding)
    if not names or not _asked_differently(a, b):
        return {}
    return {(id, "inference"): text("compare.other_decoding", names=names) for id in METRIC_IDS["accuracy"]}


def _facts(log: Log) -> dict[str, dict[str, Any]]:
    load = _config(log, "load")  # the arrival process among it
    return {
        "model": _merged(log, "model"),
        "hashes": _merged(log, "hashes"),
        "hardware": _merged(log, "hardware"),
        "versions": _merged(log, "versions"),
        "load": {name: value for name, value in load.items() if name not in _OWN},
    }


def _merged(log: Log, field: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for begin in log.of(RunBegin):
        merged |= getattr(begin, field)
    return merged


def _config(log: Log, verb: str) -> dict[str, Any]:
    return next((dict(begin.config) for begin in reversed(log.of(RunBegin)) if begin.verb == verb), {})


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Names that both know and that differ: what only one of them recorded is not known to differ."""
    return sorted(name for name in a.keys() & b.keys() if a[name] != b[name])


def _asked_differently(a: Log, b: Log) -> list[str]:
    """Suites of both whose score identity differs: tasks, messages or decoding are not the same."""
    identities: list[dict[str, Any]] = []
    for log in (a, b):
        known: dict[str, Any] = {}
        for score in log.of(Score):
            if score.identity:
                known.setdefault(f"{score.suite} ({score.phase})", set()).add(score.identity)
        identities.append(known)
    return _differing(*identities)
