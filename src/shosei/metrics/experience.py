"""User experience: response time, satisfaction."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from shosei.log import Log, ProcStart, Rating, Request, RunBegin, Section, Step, Window
from shosei.metrics import stats
from shosei.metrics.cell import Cell, Unmeasurable, Value
from shosei.metrics.distribution import PERCENTS, Times, cumulative, histogram, intervals, over_time, table, too_few
from shosei.metrics.latency import first_token_ms, inter_token_ms, response_ms
from shosei.metrics.metric import Figure, Plot, Row, Table
from shosei.metrics.satisfaction import satisfaction, satisfaction_units
from shosei.metrics.series import by_time, in_turn, steady_window
from shosei.metrics.text import Text, text
from shosei.metrics.vantage import offered_load

_MS = 1e6


def step_latency(log: Log) -> Value:
    """Mean time of an optimiser step in ms, and how long a run takes to its first step and first checkpoint."""
    steps, sections = log.of(Step), log.of(Section)
    times = Times(in_turn([step.duration_ns / _MS for step in steps]))
    begin = min(
        [start.mono_ns for start in log.of(ProcStart)]
        or [section.begin_ns for section in sections] + [steps[0].mono_ns - steps[0].duration_ns]
    )
    saved = [section.end_ns for section in sections if section.name == "checkpoint"]
    first_step = (steps[0].mono_ns - begin) / 1e9
    first_checkpoint = (min(saved) - begin) / 1e9 if saved else None
    mean = times.mean()
    figures = _percentile_figures(times) | {
        "first_step_s": Figure(first_step, "s", "lower", n=1),
        "first_checkpoint_s": Figure(first_checkpoint, "s", "lower", n=1),
    }
    return Value(
        value=stats.mean(times.values), n=len(steps), clusters=len(times.clusters), ci=mean.ci or (None, None),
        unit_of_n=text("term.time_batches"), ci_method=text("term.t_time_batches"),
        detail=text("experience.mean_step"), figures=figures, notes=too_few(times.values),
        breakdown=[
            table(text("experience.step_latency"), [times.row(text("term.step"))]),
            intervals({f"p{percent}": figures[f"p{percent}"] for percent in PERCENTS}),
            Table(text("experience.start_up"), [text("experience.from_start_to"), text("term.seconds")], [
                [text("experience.first_step"), first_step],
                [text("experience.first_checkpoint"), first_checkpoint],
            ]),
        ],
        plots=[histogram(text("experience.step_histogram"), times.values, text("experience.steps"))],
    )  # fmt: skip


def response_time(log: Log) -> Value:
    """Mean ms from the scheduled send to the last byte, over successes scheduled in the steady window."""
    window = steady_window(log)
    vantage, load = offered_load(log)
    load = [request for request in load if window.begin_ns <= request.scheduled_ns < window.end_ns]
    good = [request for request in load if not request.error and request.done_ns]
    if not good:
        raise Unmeasurable("not_measured", text("experience.no_success", count=len(load)))
    stretches = by_time([(request.scheduled_ns, request) for request in good], window.begin_ns, window.end_ns)
    kinds = _kinds(stretches)
    response, failed = kinds["response"], len(load) - len(good)
    mean = response.mean()
    figures = _percentile_figures(response) | _stream_figures(kinds)
    rows = [times.row(text(f"experience.{name}")) for name, times in kinds.items() if times.clusters]
    notes = [text("experience.seen_by", vantage=vantage), *too_few(response.values)]
    if failed:
        share = f"{failed / len(load):.1%}"
        notes.append(text("experience.unbounded", failed=failed, count=len(load), share=share))
    if not kinds["first_token"].clusters:
        notes.append(text("experience.not_streamed"))
    return Value(
        value=stats.mean(response.values), n=len(good), clusters=len(response.clusters), ci=mean.ci or (None, None),
        unit_of_n=text("term.time_batches"), ci_method=text("term.t_time_batches"), invalid=window.invalid,
        detail=_detail(log), notes=notes, figures=figures, plots=_plots(kinds, stretches, window),
        breakdown=[table(text("experience.latency"), [*rows, _unbounded(response, failed)]), intervals(figures)],
    )  # fmt: skip


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


def _percentile_figures(times: Times) -> dict[str, Figure]:
    return {f"p{percent}": times.percentile(percent) for percent in PERCENTS}


def _stream_figures(kinds: dict[str, Times]) -> dict[str, Figure]:
    first, between = kinds["first_token"], kinds["inter_token"]
    return {
        "ttft_mean": first.mean(),
        "ttft_p50": first.percentile(50),
        "ttft_p95": first.percentile(95),
        "inter_token_mean": between.mean(),
        "inter_token_p95": between.percentile(95),
    }


def _unbounded(response: Times, failed: int) -> Row:
    """The percentiles of all requests: one that never succeeds has waited for ever, and JSON has no infinity."""
    waits = [*response.values, *[math.inf] * failed]
    found = [stats.percentile(waits, percent) for percent in PERCENTS]
    finite = [None if wait is None or math.isinf(wait) else wait for wait in found]
    mean, slowest = (None, None) if failed else (response.mean().value, max(response.values))
    return [text("experience.failures_unbounded"), mean, *finite, slowest, len(waits)]


def _detail(log: Log) -> Text:
    """A client that waits for an answer before it sends the next request measures service time only."""
    arrivals = [begin.arrival for begin in log.of(RunBegin) if begin.arrival]
    return text("experience.service_time" if arrivals and arrivals[-1] == "closed" else "experience.mean_response")


def _plots(kinds: dict[str, Times], stretches: Sequence[Sequence[Request]], window: Window) -> list[Plot]:
    response = [[response_ms(request) or 0.0 for request in stretch] for stretch in stretches]
    within = [(text(f"experience.{name}"), kinds[name].values) for name in ("response", "first_token")]
    return [
        histogram(text("experience.response_histogram"), kinds["response"].values, text("experience.requests")),
        cumulative(text("experience.answered_within"), within),
        over_time(text("experience.response_over_time"), response, (window.end_ns - window.begin_ns) / 1e9),
    ]


_TRAIN = "shosei train --run RUN"
_LOAD = "shosei load URL --run RUN"
_RATINGS = "shosei ratings FILE.csv --run RUN"
_UNRATED = text("experience.nobody_rated")

CELLS = [
    Cell("response_time", "training", "ms", "lower", (Step, Section), step_latency, (ProcStart,), _TRAIN),
    Cell("response_time", "inference", "ms", "lower", (Request, Window), response_time, (), _LOAD),
    Cell("satisfaction", "training", "", "higher", (Rating,), satisfaction, (Request,), absent=_UNRATED,
         units=satisfaction_units),
    Cell("satisfaction", "inference", "", "higher", (Rating,), satisfaction, (Request,), _RATINGS, _UNRATED,
         units=satisfaction_units),
]  # fmt: skip
