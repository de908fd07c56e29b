"""Response time: how long a step, a user or whoever gives an agent system a task waits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from shosei.log import Log, ProcStart, Request, RunBegin, Section, Step, Window, Workflow
from shosei.metrics import stats
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.experience.distribution import (
    Times,
    cumulative,
    histogram,
    over_time,
    percentile_figures,
    table,
    too_few,
    unbounded,
)
from shosei.metrics.metric import Figure, Key, Plot, Row, Table, Text, Words, text
from shosei.metrics.observed.critical_path import CallTime, call_times, covered_ns, critical_path
from shosei.metrics.observed.faults import Drill
from shosei.metrics.observed.requests import first_token_ms, inter_token_ms, offered_load, response_ms
from shosei.metrics.observed.series import by_time, in_turn, steady_window
from shosei.metrics.observed.steps import attempted
from shosei.metrics.observed.tasks import by_task, calls, names, submitted, window_of

_MS = 1e6


def response_time(log: Log) -> Value:
    """Mean ms from the scheduled send to the last byte, over successes scheduled in the steady window."""
    window = steady_window(log)
    vantage, load = offered_load(log)
    load = [request for request in load if window.begin_ns <= request.scheduled_ns < window.end_ns]
    drill = Drill.of(log, window.boot)
    drilled = sum(drill.covers(request.scheduled_ns) for request in load)
    load = [request for request in load if not drill.covers(request.scheduled_ns)]
    good = [request for request in load if not request.error and request.done_ns]
    if not good:
        raise Unmeasurable("not_measured", text("experience.no_success", count=len(load)))
    stretches = by_time([(request.scheduled_ns, request) for request in good], window.begin_ns, window.end_ns)
    kinds = _kinds(stretches)
    response, failed = kinds["response"], len(load) - len(good)
    mean = response.mean()
    figures = percentile_figures(response) | _stream_figures(kinds)
    rows = [times.row(text(f"experience.{name}")) for name, times in kinds.items() if times.clusters]
    notes: list[Key | Text] = [text("experience.seen_by", vantage=vantage), *too_few(response.values)]
    if failed:
        share = f"{failed / len(load):.1%}"
        notes.append(text("experience.unbounded", failed=failed, count=len(load), share=share))
    if drilled:
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
        invalid=window.invalid,
        detail=_detail(log),
        notes=notes,
        figures=figures,
        plots=_plots(kinds, stretches, window),
        breakdown=[table("experience.latency", [*rows, unbounded(response, failed)])],
    )


def _kinds(stretches: Sequence[Sequence[Request]]) -> dict[str, Times]:
    """The kinds of waiting, by name. Only streamed answers have a first token and gaps."""

    def times(of: Callable[[Request], float | None]) -> Times:
        return Times.known([[of(request) for request in stretch] for stretch in stretches])

    def streamed(of: Callable[[Request], float | None]) -> Times:
        return times(lambda request: of(request) if request.stream else None)

    return {
        "response": times(response_ms),
        "first_token": streamed(first_token_ms),
        "inter_token": streamed(inter_token_ms),
        "longest_gap": streamed(lambda r: None if r.longest_gap_ns is None else r.longest_gap_ns / _MS),
    }


def _stream_figures(kinds: dict[str, Times]) -> dict[str, Figure]:
    first, between = kinds["first_token"], kinds["inter_token"]
    return {
        "ttft_mean": first.mean(),
        "ttft_p50": first.percentile(50),
        "ttft_p95": first.percentile(95),
        "inter_token_mean": between.mean(),
        "inter_token_p95": between.percentile(95),
    }


def _detail(log: Log) -> Key:
    """A client that waits for an answer before it sends the next request measures service time only."""
    arrivals = [begin.arrival for begin in log.of(RunBegin) if begin.arrival]
    return "experience.service_time" if arrivals and arrivals[-1] == "closed" else "experience.mean_response"


def _plots(kinds: dict[str, Times], stretches: Sequence[Sequence[Request]], window: Window) -> list[Plot]:
    response = [[response_ms(request) or 0.0 for request in stretch] for stretch in stretches]
    within = [(f"experience.{name}", kinds[name].values) for name in ("response", "first_token")]
    return [
        histogram("experience.response_histogram", kinds["response"].values, "experience.requests"),
        cumulative("experience.answered_within", within),
        over_time("experience.response_over_time", response, (window.end_ns - window.begin_ns) / 1e9),
    ]


def step_latency(log: Log) -> Value:
    """Mean time of an optimiser step in ms, and how long a run takes to its first step and first checkpoint.

    Ranks take a step side by side: the slowest one's time is its time, and one machine's clock is read.
    """
    steps = attempted(log.of(Step))
    times = Times(in_turn([max(step.duration_ns for step in ranks) / _MS for ranks in steps]))
    first = steps[0][0]
    sections = [section for section in log.of(Section) if section.boot == first.boot]
    begin = min(
        [start.mono_ns for start in log.of(ProcStart) if start.boot == first.boot]
        or [section.begin_ns for section in sections] + [first.mono_ns - first.duration_ns]
    )
    saved = [section.end_ns for section in sections if section.name == "checkpoint"]
    first_step = (first.mono_ns - begin) / 1e9
    first_checkpoint = (min(saved) - begin) / 1e9 if saved else None
    mean = times.mean()
    figures = percentile_figures(times) | {
        "first_step_s": Figure(first_step, "s", "lower", n=1),
        "first_checkpoint_s": Figure(first_checkpoint, "s", "lower", n=1),
    }
    return Value(
        value=stats.mean(times.values),
        n=len(steps),
        clusters=len(times.clusters),
        ci=mean.ci or (None, None),
        unit_of_n="term.time_batches",
        ci_method="term.t_time_batches",
        detail="experience.mean_step",
        figures=figures,
        notes=too_few(times.values),
        breakdown=[
            table("experience.step_latency", [times.row(text("term.step"))]),
            Table.of(
                "experience.start_up",
                ["experience.from_start_to", "term.seconds"],
                {"experience.first_step": [first_step], "experience.first_checkpoint": [first_checkpoint]},
            ),
        ],
        plots=[histogram("experience.step_histogram", times.values, "experience.steps")],
    )


def task_time(log: Log) -> Value:
    """Mean ms from a task's submission to its final answer, over the tasks that got one."""
    tasks = submitted(log)
    times = _times(tasks, tasks)
    if not times.clusters:
        raise Unmeasurable("not_measured", text("agents.no_success", tasks=len(tasks)))
    mean, failed = times.mean(), sum(bool(task.error) for task in tasks)
    made = calls(log)[1]
    rows = [_times([task for task in tasks if task.system == name], tasks).row(name) for name in _systems(tasks)]
    return Value(
        value=stats.mean(times.values),
        n=len(times.values),
        clusters=len(times.clusters),
        ci=mean.ci or (None, None),
        unit_of_n="term.time_batches",
        ci_method="term.t_time_batches",
        detail="agents.mean_task",
        figures=percentile_figures(times),
        notes=_notes(times, failed, len(tasks)),
        plots=_task_plots(times, tasks),
        breakdown=[
            table("agents.tasks_by_system", [*rows, unbounded(times, failed)]),
            *_timing_tables(tasks, by_task(made), names(made)),
        ],
    )


def _systems(tasks: Sequence[Workflow]) -> list[str]:
    return sorted({task.system for task in tasks})


def _stretches(some: Sequence[Workflow], tasks: Sequence[Workflow]) -> list[list[float]]:
    """Milliseconds of those of ``some`` that were answered, by when they were submitted among all ``tasks``."""
    window = window_of([*tasks])
    points = [(task.scheduled_ns, (task.end_ns - task.scheduled_ns) / 1e6) for task in some if not task.error]
    return by_time(points, window.begin_ns, window.end_ns)


def _times(some: Sequence[Workflow], tasks: Sequence[Workflow]) -> Times:
    return Times.known(_stretches(some, tasks))


def _notes(times: Times, failed: int, count: int) -> list[Text]:
    notes = too_few(times.values)
    if failed:
        notes.append(text("agents.unbounded", failed=failed, count=count, share=f"{failed / count:.1%}"))
    return notes


def _task_plots(times: Times, tasks: Sequence[Workflow]) -> list[Plot]:
    window = window_of([*tasks])
    return [
        histogram("agents.time_histogram", times.values, "agents.tasks"),
        cumulative("experience.answered_within", [("agents.tasks", times.values)]),
        over_time("agents.time_over_time", _stretches(tasks, tasks), (window.end_ns - window.begin_ns) / 1e9),
    ]


def _timing_tables(
    submitted: Sequence[Workflow], tasks: Mapping[str, Sequence[Request]], named: Mapping[str, Words]
) -> list[Table]:
    """The time of each agent's calls and its share of the critical path, and of what tasks' time is made."""
    timed = [
        (task, call_times(task, tasks.get(task.task, []))) for task in submitted if task.end_ns > task.scheduled_ns
    ]
    paths = [(task.end_ns - task.scheduled_ns, critical_path(found)) for task, found in timed]
    if not any(path for _, path in paths):
        return []
    return [_agents(tasks, named, paths), _whole([found for _, found in timed], paths)]


def _agents(
    tasks: Mapping[str, Sequence[Request]], named: Mapping[str, Words], paths: Sequence[tuple[int, list[CallTime]]]
) -> Table:
    waits: dict[str, list[float]] = {agent: [] for agent in named}
    for call in (call for made in tasks.values() for call in made):
        if (wait := response_ms(call)) is not None:
            waits[call.agent].append(wait)
    whole = math.fsum(wait for own in waits.values() for wait in own)
    rows: list[Row] = [
        [
            named[agent],
            len(waits[agent]),
            math.fsum(waits[agent]) / whole if whole else None,
            stats.percentile(waits[agent], 50),
            stats.percentile(waits[agent], 95),
            _mean_share(paths, agent),
        ]
        for agent in sorted(named)
    ]
    columns: list[Key | Text] = [
        "agents.agent",
        "agents.calls",
        "agents.share_of_time",
        text("term.percentile_ms", percent=50),
        text("term.percentile_ms", percent=95),
        "agents.share_of_path",
    ]
    return Table.of("agents.time", columns, rows)


def _whole(found: Sequence[Sequence[CallTime]], paths: Sequence[tuple[int, list[CallTime]]]) -> Table:
    inside = stats.mean([sum(call.length_ns for call in path) / lasted for lasted, path in paths])
    together = sum(call.length_ns for calls in found for call in calls)
    rows: dict[Key, Row] = {
        "agents.path_share": [inside],
        "agents.own_share": [1 - inside],
        "agents.path_calls": [stats.mean([float(len(path)) for _, path in paths])],
        "agents.parallelism": [together / sum(map(covered_ns, found))],
    }
    return Table.of("agents.critical_path", ["term.quantity", "term.value"], rows)


def _mean_share(paths: Sequence[tuple[int, list[CallTime]]], agent: str) -> float:
    """Of the tasks' time, the mean share that the critical path spends in calls of ``agent``."""
    return stats.mean([sum(call.length_ns for call in path if call.agent == agent) / lasted for lasted, path in paths])
