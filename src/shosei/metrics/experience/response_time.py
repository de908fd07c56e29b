"""Response time: how long a step, a user or whoever gives an agent system a task waits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from shosei.log import Columns, Log, ProcStart, RunBegin, Section, Step, Window, Workflow
from shosei.metrics import stats
from shosei.metrics.experience.critical_path import timing_tables
from shosei.metrics.experience.tool_time import tool_times
from shosei.metrics.metric import Curve, Figure, Key, Plot, Row, Table, Text, Words, text
from shosei.metrics.observed.requests import (
    Drill,
    Offered,
    by_time,
    first_answer_ms,
    first_token_ms,
    inter_token_ms,
    longest_gap_ms,
    offered_load,
    response_ms,
    steady_window,
    why_invalid,
)
from shosei.metrics.observed.series import RatioBatches, in_turn
from shosei.metrics.observed.steps import attempted, gaps
from shosei.metrics.observed.tasks import as_requests, by_task, calls, ended_badly, names, submitted, window_of
from shosei.metrics.observed.tool_calls import asked_tools
from shosei.metrics.value import Unmeasurable, Value
from shosei.quantity import NS_PER_MS, NS_PER_S

_PERCENTS = (50, 90, 95, 99)
_BINS = 40
_POINTS = 200


def response_time(log: Log) -> Value:
    """Mean ms from the scheduled send to the last byte, over successes scheduled in the steady window."""
    window = steady_window(log)
    vantage, load = offered_load(log)
    offered = Offered(window, Drill.of(log, window.boot), vantage, load)
    load = offered.scheduled
    good = load.at(~load.has("error") & load.has("done_ns"))
    if not len(good):
        raise Unmeasurable("not_measured", text("experience.no_success", count=len(load)))
    kinds = {name: Times.known(_by_time(good, times, window)) for name, times in _kinds(good).items()}
    response, failed = kinds["response"], len(load) - len(good)
    mean = response.mean()
    figures = _percentile_figures(response) | _stream_figures(kinds)
    rows = [times.row(text(f"experience.{name}")) for name, times in kinds.items() if times.clusters]
    notes: list[Key | Text] = [text("experience.seen_by", vantage=vantage), *_too_few(response.values)]
    if failed:
        share = f"{failed / len(load):.1%}"
        notes.append(text("experience.unbounded", failed=failed, count=len(load), share=share))
    if drilled := offered.drilled:
        notes.append(text("experience.faults_left_out", count=drilled))
    if not kinds["first_token"].clusters:
        notes.append("experience.not_streamed")
    return Value(
        value=stats.mean(response.values),
        n=len(good),
        clusters=len(response.clusters),
        ci=mean.ci or (None, None),
        unit_of_n="term.time_batches",
        ci_method="term.t_time_batches",
        invalid=why_invalid(window),
        detail=_detail(log),
        notes=notes,
        figures=figures,
        plots=_plots(kinds, _by_time(good, response_ms(good), window), window),
        breakdown=[_table("experience.latency", [*rows, _unbounded(response, failed)])],
    )


def _by_time(requests: Columns, times: np.ndarray, window: Window) -> list[np.ndarray]:
    return by_time(requests["scheduled_ns"], times, window.begin_ns, window.end_ns)


def _kinds(requests: Columns) -> dict[str, np.ndarray]:
    """The kinds of waiting, by name. Only streamed answers have a first token and gaps."""
    streamed = {
        "first_token": first_token_ms(requests),
        "first_answer": first_answer_ms(requests),
        "inter_token": inter_token_ms(requests),
        "longest_gap": longest_gap_ms(requests),
    }
    return {"response": response_ms(requests)} | {
        name: np.where(requests["stream"], times, np.nan) for name, times in streamed.items()
    }


def _stream_figures(kinds: dict[str, Times]) -> dict[str, Figure]:
    first, answer, between = kinds["first_token"], kinds["first_answer"], kinds["inter_token"]
    figures = {
        "ttft_mean": first.mean(),
        "ttft_p50": first.percentile(50),
        "ttft_p95": first.percentile(95),
        "inter_token_mean": between.mean(),
        "inter_token_p95": between.percentile(95),
    }
    if answer.clusters:
        figures |= {
            "ttfat_mean": answer.mean(),
            "ttfat_p50": answer.percentile(50),
            "ttfat_p95": answer.percentile(95),
        }
    return figures


def _detail(log: Log) -> Key:
    """A client that waits for an answer before it sends the next request measures service time only."""
    arrivals = [begin.arrival for begin in log.of(RunBegin) if begin.arrival]
    return "experience.service_time" if arrivals and arrivals[-1] == "closed" else "experience.mean_response"


def _plots(kinds: dict[str, Times], response: Sequence[np.ndarray], window: Window) -> list[Plot]:
    within = [(f"experience.{name}", kinds[name].values) for name in ("response", "first_token", "first_answer")]
    return [
        _histogram("experience.response_histogram", kinds["response"].values, "experience.requests"),
        _cumulative("experience.answered_within", within),
        _over_time("experience.response_over_time", response, (window.end_ns - window.begin_ns) / NS_PER_S),
    ]


def step_latency(log: Log) -> Value:
    """Mean time of an optimiser step in ms, and how long a run takes to its first step and first checkpoint.

    Ranks take a step side by side: the slowest one's time is its time, and one machine's clock is read. Where a trainer
    tells of several steps at once, their mean is known and their percentiles are not.
    """
    steps = attempted(log.of(Step))
    counts = [ranks[0].count for ranks in steps]
    slowest = [max(step.duration_ns for step in ranks) / NS_PER_MS for ranks in steps]
    batches = RatioBatches.of_equal_count(tops=slowest, bottoms=counts)
    value = math.fsum(slowest) / sum(counts)
    # Of single steps no time is known where not each was told of.
    times = Times([np.array(batch) for batch in in_turn(slowest)] if max(counts) == 1 else [])
    first = steps[0][0]
    sections = [section for section in log.of(Section) if section.boot == first.boot]
    begin = min(
        [start.mono_ns for start in log.of(ProcStart) if start.boot == first.boot]
        or [section.begin_ns for section in sections] + [first.ended_ns - first.duration_ns]
    )
    saved = [section.end_ns for section in sections if section.name == "checkpoint"]
    first_step = (first.ended_ns - begin) / NS_PER_S if first.count == 1 else None
    first_checkpoint = (min(saved) - begin) / NS_PER_S if saved else None
    figures = _percentile_figures(times) | {
        "first_step_s": Figure(first_step, "s", "lower", n=1),
        "first_checkpoint_s": Figure(first_checkpoint, "s", "lower", n=1),
    }
    return Value(
        value=value,
        n=len(steps),
        clusters=len(batches),
        ci=_not_negative(stats.ratio_interval(batches.tops, batches.bottoms)),
        unit_of_n="term.time_batches",
        ci_method="term.t_time_batches",
        detail="experience.mean_step",
        figures=figures,
        notes=_too_few(times.values) if times.clusters else [*gaps(counts), text("experience.single_steps_unknown")],
        breakdown=[
            _table("experience.step_latency", [times.row(text("term.step"), value)]),
            Table.of(
                "experience.start_up",
                ["experience.from_start_to", "term.seconds"],
                {"experience.first_step": [first_step], "experience.first_checkpoint": [first_checkpoint]},
            ),
        ],
        plots=[_histogram("experience.step_histogram", times.values, "experience.steps")] if times.clusters else [],
    )


def task_time(log: Log) -> Value:
    """Mean ms from a task's submission to its final answer, over the tasks that got one."""
    tasks = submitted(log)
    times = _times(tasks, tasks)
    if not times.clusters:
        raise Unmeasurable("not_measured", text("agents.no_success", tasks=len(tasks)))
    mean, failed = times.mean(), sum(bool(task.error) for task in tasks)
    model_calls = calls(log)[1]
    tried = by_task(model_calls)
    rows = [_times([task for task in tasks if task.system == name], tasks).row(name) for name in _systems(tasks)]
    return Value(
        value=stats.mean(times.values),
        n=len(times.values),
        clusters=len(times.clusters),
        ci=mean.ci or (None, None),
        unit_of_n="term.time_batches",
        ci_method="term.t_time_batches",
        detail="agents.mean_task",
        figures=_percentile_figures(times),
        notes=_notes(times, failed, len(tasks)),
        plots=_task_plots(times, tasks),
        breakdown=[
            _table("agents.tasks_by_system", [*rows, _unbounded(times, failed)]),
            *timing_tables(tasks, tried, names(model_calls)),
            *tool_times(asked_tools(tried, ended_badly(tasks))),
        ],
    )


def times_as_seen(tasks: Sequence[Workflow]) -> Table:
    """How long tasks took of which only the calls are known."""
    return _table("agents.tasks_by_system", [_times(tasks, tasks).row(text("agents.first_to_last"))])


def _systems(tasks: Sequence[Workflow]) -> list[str]:
    return sorted({task.system for task in tasks})


def _stretches(some: Sequence[Workflow], tasks: Sequence[Workflow]) -> list[np.ndarray]:
    """Milliseconds of those of ``some`` that were answered, by when they were submitted among all ``tasks``."""
    requests = as_requests(task for task in some if not task.error)
    return _by_time(requests, response_ms(requests), window_of([*tasks]))


def _times(some: Sequence[Workflow], tasks: Sequence[Workflow]) -> Times:
    return Times.known(_stretches(some, tasks))


def _notes(times: Times, failed: int, count: int) -> list[Text]:
    notes = _too_few(times.values)
    if failed:
        notes.append(text("agents.unbounded", failed=failed, count=count, share=f"{failed / count:.1%}"))
    return notes


def _task_plots(times: Times, tasks: Sequence[Workflow]) -> list[Plot]:
    window = window_of([*tasks])
    return [
        _histogram("agents.time_histogram", times.values, "agents.tasks"),
        _cumulative("experience.answered_within", [("agents.tasks", times.values)]),
        _over_time("agents.time_over_time", _stretches(tasks, tasks), (window.end_ns - window.begin_ns) / NS_PER_S),
    ]


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds, in clusters of neighbours in time that hold at least one value each."""

    clusters: Sequence[np.ndarray]

    @classmethod
    def known(cls, clusters: Iterable[np.ndarray]) -> Times:
        """Without the values that are not known (NaN), and without clusters that hold no others."""
        kept = [cluster[~np.isnan(cluster)] for cluster in clusters]
        return cls([cluster for cluster in kept if len(cluster)])

    @property
    def values(self) -> np.ndarray:
        """All of them, in order of time."""
        return np.concatenate([*self.clusters, np.empty(0)])

    def mean(self) -> Figure:
        """With its t interval over the clusters."""
        values = self.values
        tops, bottoms = [math.fsum(cluster) for cluster in self.clusters], [float(len(c)) for c in self.clusters]
        interval = _not_negative(stats.ratio_interval(tops, bottoms))
        return self._figure(stats.mean(values) if len(values) else None, interval)

    def percentile(self, percent: int) -> Figure:
        """None where there are too few values for it."""
        return self._figure(stats.percentile(self.values, percent), stats.percentile_interval(self.clusters, percent))

    def row(self, name: Words, mean: float | None = None) -> Row:
        """A line of ``table``; ``mean`` where it is known though single times are not."""
        values = self.values
        percentiles = [stats.percentile(values, percent) for percent in _PERCENTS]
        if len(values):
            mean = stats.mean(values)
        return [name, mean, *percentiles, _slowest(values), len(values)]

    def _figure(self, value: float | None, ci: stats.Interval) -> Figure:
        return Figure(value, "ms", "lower", ci, len(self.clusters))


def _not_negative(interval: stats.Interval) -> stats.Interval:
    """No time is negative, but a symmetric interval of few values may be."""
    low, high = interval
    return (None if low is None else max(0.0, low)), high


def _slowest(values: np.ndarray) -> float | None:
    return float(values.max()) if len(values) else None


def _table(title: Key, rows: list[Row]) -> Table:
    """Rows of ``Times.row``."""
    percents = [text("term.percentile", percent=percent) for percent in _PERCENTS]
    columns: list[Key | Text] = ["experience.milliseconds", "term.mean", *percents, "experience.slowest", "term.n"]
    return Table.of(title, columns, rows)


def _unbounded(times: Times, failed: int) -> Row:
    """A line of ``table`` with the failed: what never succeeds has waited for ever, and JSON has no infinity."""
    waits = np.append(times.values, np.full(failed, math.inf))
    found = [stats.percentile(waits, percent) for percent in _PERCENTS]
    finite = [None if wait is None or math.isinf(wait) else wait for wait in found]
    mean, slowest = (None, None) if failed else (stats.mean(times.values), _slowest(times.values))
    return [text("experience.failures_unbounded"), mean, *finite, slowest, len(waits)]


def _too_few(values: np.ndarray) -> list[Text]:
    """A note for each percentile that so few values do not support."""
    return [
        text("experience.percentile_needs", percent=percent, least=least, n=len(values))
        for percent, least in stats.PERCENTILE_MIN_N.items()
        if len(values) < least
    ]


def _histogram(title: Key, values: np.ndarray, counted: Key) -> Plot:
    """Counts in equal bins up to p99; the last one also holds the few that are slower, so that they cannot hide
    the shape of the rest."""
    ordered = np.sort(values)
    low, high = float(ordered[0]), float(ordered[math.ceil(0.99 * len(ordered)) - 1])
    width = (high - low) / _BINS or 1.0
    place = np.minimum(_BINS - 1, (ordered - low) / width).astype(np.int64)
    counts = np.bincount(place, minlength=_BINS).astype(float)
    x = [low + index * width for index in range(_BINS)]
    return Plot.of(title, "term.ms", counted, x, [Curve(text(counted), counts.tolist())], kind="bars")


def _cumulative(title: Key, kinds: Iterable[tuple[Key, np.ndarray]]) -> Plot:
    """Which share of each kind of time lies within so many ms."""
    ordered = [(name, np.sort(values)) for name, values in kinds if len(values)]
    merged = np.unique(np.concatenate([values for _, values in ordered]))
    step = math.ceil(len(merged) / _POINTS)
    x = merged[step - 1 :: step]
    curves = [
        Curve(text(name), (np.searchsorted(values, x, side="right") / len(values)).tolist()) for name, values in ordered
    ]
    return Plot.of(title, "term.ms", "term.share", x.tolist(), curves)


def _over_time(title: Key, stretches: Sequence[np.ndarray], seconds: float) -> Plot:
    """Median, p95 and slowest of each of equal stretches of ``seconds`` in all; a gap where too few values are."""
    curves = [Curve(f"p{percent}", [stats.percentile(values, percent) for values in stretches]) for percent in (50, 95)]
    curves.append(Curve(text("experience.slowest"), [_slowest(values) for values in stretches]))
    drawn = [curve for curve in curves if any(value is not None for value in curve.y)]
    x = [index * seconds / len(stretches) for index in range(len(stretches))]
    return Plot.of(title, "term.seconds", "term.ms", x, drawn)


def _percentile_figures(times: Times) -> dict[str, Figure]:
    """``p50`` to ``p99``, each refused where n is too small."""
    return {f"p{percent}": times.percentile(percent) for percent in _PERCENTS}
