"""Response time in inference: how long a user waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shosei.log import Log, Request, RunBegin, Window
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
from shosei.metrics.experience.latency import first_token_ms, inter_token_ms, response_ms
from shosei.metrics.faults import Drill
from shosei.metrics.metric import Figure, Plot
from shosei.metrics.series import by_time, steady_window
from shosei.metrics.text import Text, text
from shosei.metrics.vantage import offered_load

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
    notes = [text("experience.seen_by", vantage=vantage), *too_few(response.values)]
    if failed:
        share = f"{failed / len(load):.1%}"
        notes.append(text("experience.unbounded", failed=failed, count=len(load), share=share))
    if drilled:
        notes.append(text("experience.faults_left_out", count=drilled))
    if not kinds["first_token"].clusters:
        notes.append(text("experience.not_streamed"))
    return Value(
        value=stats.mean(response.values), n=len(good), clusters=len(response.clusters), ci=mean.ci or (None, None),
        unit_of_n=text("term.time_batches"), ci_method=text("term.t_time_batches"), invalid=window.invalid,
        detail=_detail(log), notes=notes, figures=figures, plots=_plots(kinds, stretches, window),
        breakdown=[table(text("experience.latency"), [*rows, unbounded(response, failed)])],
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


def _stream_figures(kinds: dict[str, Times]) -> dict[str, Figure]:
    first, between = kinds["first_token"], kinds["inter_token"]
    return {
        "ttft_mean": first.mean(),
        "ttft_p50": first.percentile(50),
        "ttft_p95": first.percentile(95),
        "inter_token_mean": between.mean(),
        "inter_token_p95": between.percentile(95),
    }


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
