"""What a run's metrics are worth to a profile: one judgement a requirement, and the exit code of them all."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from shosei.errors import EXIT_INCONCLUSIVE, EXIT_INVALID, EXIT_OK, EXIT_REGRESSION, InputError
from shosei.log import Log, RunBegin
from shosei.metrics.metric import Figure, Metric, Phase, Text, Words, text
from shosei.profile.profile import Profile, Requirement

Compliance = Literal["pass", "missed", "inconclusive", "insufficient", "invalid", "not_measured", "na"]

_UNDER_LOAD = ("inference_speed", "gpu_utilization", "error_rate", "response_time")  # of inference


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement of a profile against what the run shows. Limits and value are in ``unit``.

    ``figure`` is "" for the metric's own value. ``missed`` is proven: the whole 95 % interval breaks a limit.
    ``reason`` is empty only for a ``pass`` whose whole interval keeps the limits.
    """

    id: str
    phase: Phase
    figure: str = ""
    required: bool = True
    limit_min: float | None = None
    limit_max: float | None = None
    value: float | None = None
    unit: str = ""
    outcome: Compliance
    reason: Words = ""


def judge(metrics: list[Metric], profile: Profile, log: Log) -> list[Judgement]:
    """Every requirement of ``profile`` in the order of ``metrics``. A pure function.

    ``log`` tells under which load they were measured. What a load feeds is ``inconclusive`` under another load than the
    profile's. Raises InputError for a limit that a share cannot have.
    """
    other_load = under_other_load(profile, log)
    if not other_load:
        return against_limits(metrics, profile)
    by_load = {(metric.id, metric.phase) for metric in metrics if _is_under_load(metric)}
    return [
        msgspec.structs.replace(judgement, outcome="inconclusive", reason=other_load)
        if (judgement.id, judgement.phase) in by_load and judgement.outcome in ("pass", "missed")
        else judgement
        for judgement in against_limits(metrics, profile)
    ]


def against_limits(metrics: list[Metric], profile: Profile) -> list[Judgement]:
    """The same whatever load they were measured under."""
    judgements = []
    for metric in metrics:
        for key, requirement in profile.requirements(metric.phase).items():
            id, _, figure = key.partition(".")
            if id == metric.id:
                judgements.append(_judgement(metric, figure, requirement))
    return judgements


def exit_code_of_judgements(judgements: list[Judgement]) -> int:
    """3 if a limit is missed; else 5 if something required is invalid, 4 if it is not shown to be kept; else 0."""
    if any(judgement.outcome == "missed" for judgement in judgements):
        return EXIT_REGRESSION
    required = {judgement.outcome for judgement in judgements if judgement.required}
    if "invalid" in required:
        return EXIT_INVALID
    return EXIT_INCONCLUSIVE if required - {"pass"} else EXIT_OK


def _judgement(metric: Metric, figure: str, requirement: Requirement) -> Judgement:
    measured = figure_of(metric, figure)
    if not (figure or metric.unit):
        _check_share(metric.id, requirement)
    outcome, reason = _outcome(metric, figure, measured, requirement)
    return Judgement(
        id=metric.id,
        phase=metric.phase,
        figure=figure,
        required=requirement.required,
        limit_min=requirement.min,
        limit_max=requirement.max,
        value=measured.value if measured else None,
        unit=measured.unit if measured else "",
        outcome=outcome,
        reason=reason,
    )


def _check_share(id: str, requirement: Requirement) -> None:
    """A limit in percent would always be kept, or never."""
    for limit in (requirement.min, requirement.max):
        if limit is not None and not 0 <= limit <= 1:
            raise InputError(f"{id} is a share of 1: its limit {limit:g} must lie from 0 to 1, such as 0.95 for 95 %")


def figure_of(metric: Metric, figure: str) -> Figure | None:
    """The figure of that name; "" names the metric's own value. None where this run has no such figure."""
    if figure:
        return metric.figures.get(figure)
    return Figure(metric.value, metric.unit, metric.direction or "higher", metric.ci, metric.clusters)


def _outcome(
    metric: Metric, figure: str, measured: Figure | None, requirement: Requirement
) -> tuple[Compliance, Words]:
    if metric.status in ("na", "not_measured", "invalid"):
        return metric.status, metric.reason
    if measured is None:
        return "not_measured", text("profile.no_figure", figure=figure, known=sorted(metric.figures))
    if measured.n < requirement.min_n:
        return "insufficient", text("profile.too_few", n=measured.n, least=requirement.min_n)
    if measured.value is None:
        return "not_measured", text("profile.no_value", n=measured.n)
    return _within(measured.value, measured.ci or (None, None), requirement)


def _within(value: float, ci: tuple[float | None, float | None], requirement: Requirement) -> tuple[Compliance, Words]:
    low, high = ci
    reason: Words = ""
    if low is None and high is None:
        low = high = value
        reason = text("profile.no_interval") if requirement.is_limited else ""
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    least = -math.inf if requirement.min is None else requirement.min
    most = math.inf if requirement.max is None else requirement.max
    if least <= low and high <= most:
        return "pass", reason
    if high < least or low > most:
        return "missed", reason or text("profile.missed")
    return "inconclusive", text("profile.inconclusive")


def _is_under_load(metric: Metric) -> bool:
    return metric.phase == "inference" and metric.id in _UNDER_LOAD


def under_other_load(profile: Profile, log: Log) -> Text | None:
    """The first setting in which a load of this attempt differs from the profile's."""
    wanted = profile.load_settings()
    for begin in log.of(RunBegin):
        if begin.verb == "load":
            for setting, value in wanted.items():
                if (was := begin.config.get(setting)) != value:
                    return text("profile.other_load", how=_difference(setting, was, value))
    return None


def _difference(setting: str, was: object, wanted: object) -> Text:
    """In words, where the card has some for the setting; an earlier log may not have it at all."""
    if setting == "stream" and was is not None:
        return text("profile.load.not_streamed" if wanted else "profile.load.streamed")
    if setting not in ("arrival", "rate", "seconds") or was is None:
        return text("profile.load.setting", setting=setting, was=str(was), wanted=str(wanted))
    return text(f"profile.load.{setting}", was=_in_words(was), wanted=_in_words(wanted))


def _in_words(value: object) -> Words:
    return text(f"arrival.{value}") if isinstance(value, str) else f"{value:g}"
