"""The run folder of a trial: verbs that record into it, and what they measured."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from shosei.card.excerpt import one_line
from shosei.card.judge import Judgement, against_limits, figure_of
from shosei.compare.sides import Measured
from shosei.errors import EXIT_INPUT, InputError, nearest
from shosei.log import Run, read_log
from shosei.metrics.metric import Figure, Metric, Text, Words, text
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.stats import mean
from shosei.metrics.stats.observations import share
from shosei.profile.profile import Profile
from shosei.text_files import printable
from shosei.tune.setting import Candidate, default_of
from shosei.tune.target import Objective, Target
from shosei.tune.trial import TrialResult
from shosei.verbs import NotReady, VerbFailed, Verbs

_MISSPELT = 0.8  # so alike are names of which one is no other figure, but misspelt
_OUTPUT = "output.txt"  # in the folder: what its verbs print
_LONGEST = 200  # cells of the last line, for a page
# What stands in it beside: the command lines, and how a supervisor tells of what it ran.
_OF_OURS = re.compile(r"── |\$ shosei |\S+ ended with exit code -?\d+; its record: |\S+ is lost: ")


def verbs_in(folder: Path, target: Target, environment: Mapping[str, str] = MappingProxyType({})) -> Verbs:
    """Verbs of a trial, which print into its folder."""
    return Verbs(1, environment, folder / _OUTPUT, target.recordable_words)


def measured(
    folder: Path, candidate: Candidate, target: Target, profile: Profile | None, steps: Callable[[], object]
) -> TrialResult:
    """What ``steps`` come to, verbs that record into ``folder``.

    Raises InputError where they refuse the default as wrong input: then no other candidate does better.
    """
    begin = time.monotonic()
    try:
        steps()
    except VerbFailed as failure:
        reason = _why_failed(folder, failure, must_work=candidate == default_of(target.space))
        return TrialResult(None, reason=reason, seconds=time.monotonic() - begin)
    seconds = time.monotonic() - begin
    return replace(read_result(folder, target.objective, profile), seconds=seconds)


def _why_failed(folder: Path, failure: VerbFailed, *, must_work: bool) -> Text:
    """The last word of a verb of ours, or of what it ran."""
    if isinstance(failure, NotReady):
        return text("tune.why_not_ready", seconds=f"{failure.seconds:g}")
    verb = failure.command.split()[1]
    what = text("tune.why_server") if verb in ("serve", "supervise") else f"shosei {verb}"
    lines = (folder / _OUTPUT).read_text(errors="replace").splitlines()
    said = [printable(line) for line in lines if line.strip() and not _OF_OURS.match(line)]
    last = said[-1].removeprefix("shosei: ") if said else ""
    if must_work and last and failure.code == EXIT_INPUT:
        raise InputError(last)
    line = one_line(last, _LONGEST) or text("tune.why_silent")
    return text("tune.why_ended", what=what, code=failure.code, said=line)


def overrides(section: str, settings: Mapping[str, Any]) -> list[str]:
    """``settings`` as a verb's options."""
    each = (f"{section}.{name}={json.dumps(value, ensure_ascii=False)}" for name, value in settings.items())
    return [word for setting in each for word in ("--set", setting)]


def read_result(folder: Path, objective: Objective, profile: Profile | None) -> TrialResult:
    """What was measured in ``folder``.

    Raises InputError where the objective's figure is of another kind than the target has it, or has another name.
    """
    all_measured = Measured.of(read_log(Run(folder).log), profile.service_level if profile else ServiceLevel())
    metrics = {metric.id: metric for metric in all_measured.metrics.values() if metric.phase == objective.phase}
    figure, reason = _figure(metrics, objective.figure)
    if figure:
        objective.check(figure.unit, figure.direction)
    second = _figure(metrics, objective.second)[0] if objective.second else None
    return TrialResult(
        figure.value if figure else None,
        unit=figure.unit if figure else "",
        figures={objective.second: second.value} if second and second.value is not None else {},
        units=_units(all_measured, objective),
        limits=_limits(against_limits(list(all_measured.metrics.values()), profile)) if profile else {},
        reason=reason,
    )


def _figure(metrics: Mapping[str, Metric], name: str) -> tuple[Figure | None, Words]:
    """The figure METRIC or METRIC.FIGURE; why it was not measured, if it was not."""
    id, _, figure = name.partition(".")
    metric, found = metrics[id], None
    reason = metric.reason
    if metric.status in ("ok", "insufficient"):
        found = figure_of(metric, figure)
        if found is None:
            if get_close_matches(figure, metric.figures, n=1, cutoff=_MISSPELT):
                raise InputError(f"objective: {id} has no figure '{figure}'{nearest(figure, metric.figures)}")
            reason = text("profile.no_figure", figure=figure, known=sorted(metric.figures))
        elif found.value is not None:
            return found, ""
        else:
            reason = reason or text("profile.no_value", n=found.n)
    return found, text("tune.why_unmeasured", figure=name, reason=reason)


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
    """METRIC.FIGURE -> pass, missed or unknown."""
    return {
        f"{each.id}.{each.figure}".removesuffix("."): each.outcome if each.outcome in ("pass", "missed") else "unknown"
        for each in judgements
        if each.limit_min is not None or each.limit_max is not None
    }
