"""The run folder of a trial: verbs that record into it, and what they measured."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shosei.card.judge import Judgement, against_limits, figure_of
from shosei.card.words import translated
from shosei.compare.sides import Measured
from shosei.errors import EXIT_INPUT, InputError
from shosei.log import Run, read_log
from shosei.metrics.metric import Figure, Metric, text
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.stats import mean
from shosei.metrics.stats.observations import share
from shosei.profile.profile import Profile
from shosei.text_files import printable
from shosei.tune.target import Objective
from shosei.tune.trial import TrialResult
from shosei.verbs import VerbFailed, Verbs

OUTPUT = "output.txt"  # in the folder: what its verbs print
# What stands in it beside: the command lines, and how a supervisor tells of what it ran.
_OF_OURS = re.compile(r"── |\$ shosei |\S+ ended with exit code -?\d+; its record: |\S+ is lost: ")


def run_verb(folder: Path, *arguments: str, must_work: bool) -> str:
    """Run a verb to its end, which records into ``folder``; return why it failed, or nothing.

    Raises InputError if it was given wrong input and ``must_work``: then no other candidate does better.
    """
    try:
        Verbs(1, output=folder / OUTPUT).run(arguments[0], *arguments)
    except VerbFailed as failure:
        return why_failed(folder, f"shosei {arguments[0]}", failure, must_work=must_work)
    return ""


def why_failed(folder: Path, what: str, failure: VerbFailed, *, must_work: bool) -> str:
    """The last word of a verb of ours, or of what it ran. Raises InputError as ``run_verb`` does."""
    if failure.reason:
        return f"{what}: {failure.reason}"
    lines = (folder / OUTPUT).read_text(errors="replace").splitlines()
    said = [printable(line) for line in lines if line.strip() and not _OF_OURS.match(line)]
    last = said[-1].removeprefix("shosei: ") if said else "it said nothing"
    if must_work and failure.code == EXIT_INPUT:
        raise InputError(last)
    return f"{what} ended with exit code {failure.code}: {last}"


def overrides(section: str, settings: Mapping[str, Any]) -> list[str]:
    """``settings`` as a verb's options."""
    each = (f"{section}.{name}={json.dumps(value, ensure_ascii=False)}" for name, value in settings.items())
    return [word for setting in each for word in ("--set", setting)]


def read_result(folder: Path, objective: Objective, profile: Profile | None, seconds: float) -> TrialResult:
    """What was measured in ``folder`` by a trial that took ``seconds``.

    Raises InputError where a figure gets better in another direction than its metric and the target says neither.
    """
    measured = Measured.of(read_log(Run(folder).log), profile.service_level if profile else ServiceLevel())
    metrics = {metric.id: metric for metric in measured.metrics.values() if metric.phase == objective.phase}
    figure = _figure(metrics, objective.figure)
    if figure and not objective.direction and (figure.direction == "higher") != objective.is_higher:
        raise InputError(f"objective.direction: of {objective.figure}, {figure.direction} is better: say so")
    value = figure.value if figure else None
    second = _figure(metrics, objective.second) if objective.second else None
    judgements = against_limits(list(measured.metrics.values()), profile) if profile else []
    return TrialResult(
        value=value,
        unit=figure.unit if figure else "",
        figures={objective.second: second.value} if second and second.value is not None else {},
        units=_units(measured, objective),
        limits=_limits(judgements),
        reason="" if value is not None else _why_not(metrics, objective.figure),
        seconds=seconds,
    )


def _figure(metrics: Mapping[str, Metric], name: str) -> Figure | None:
    """The figure METRIC or METRIC.FIGURE, if it was measured."""
    id, _, figure = name.partition(".")
    metric = metrics[id]
    return figure_of(metric, figure) if metric.status in ("ok", "insufficient") else None


def _why_not(metrics: Mapping[str, Metric], name: str) -> str:
    id, _, figure = name.partition(".")
    metric = metrics[id]
    reason = metric.reason
    if metric.status in ("ok", "insufficient") and figure and figure not in metric.figures:
        reason = text("profile.no_figure", figure=figure, known=sorted(metric.figures))
    return f"{name} was not measured" + (f": {translated(reason)}" if reason else "")


def _units(measured: Measured, objective: Objective) -> dict[str, float]:
    """Of a mean over tasks, that of each independent unit of them; nothing of another figure."""
    observations = measured.observations.get((objective.figure, objective.phase))
    if not (observations and observations.paired and observations.statistic is share):
        return {}
    clusters = defaultdict(list)
    for each in observations.each:
        clusters[each.cluster].append(each.adds.get("top", 0.0) / each.adds["bottom"])
    return {cluster: mean(values) for cluster, values in clusters.items()}


def _limits(judgements: Iterable[Judgement]) -> dict[str, str]:
    limits: dict[str, str] = {}
    for each in judgements:
        if each.limit_min is not None or each.limit_max is not None:
            outcome = each.outcome if each.outcome in ("pass", "missed") else "unknown"
            limits[f"{each.id}.{each.figure}" if each.figure else each.id] = outcome
    return limits
