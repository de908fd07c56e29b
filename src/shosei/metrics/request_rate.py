"""How many requests a server answers a second, and whether that was all that was asked of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shosei.log import Log, Request, RunBegin, Window
from shosei.metrics import stats
from shosei.metrics.bins import SECOND_NS, Bins
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.in_flight import growing, mean_in_flight
from shosei.metrics.metric import Curve, Figure, Plot, Row, Table
from shosei.metrics.series import by_time, steady_window
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.text import Text, Words, text
from shosei.metrics.vantage import offered_load

_KEEPING_UP = 0.95  # of the offered rate; below it the server is saturated


def request_rate(service_level: ServiceLevel) -> Callable[[Log], Value]:
    """Successful requests per second that finish in the steady window, goodput counted by ``service_level``."""

    def compute(log: Log) -> Value:
        window = steady_window(log)
        vantage, load = offered_load(log)
        scheduled = [r for r in load if window.begin_ns <= r.scheduled_ns < window.end_ns]
        good = [r for r in load if not r.error and r.done_ns and window.begin_ns <= r.done_ns < window.end_ns]
        if not scheduled:
            raise Unmeasurable("not_measured", text("performance.no_load"))
        if not good:
            raise Unmeasurable("not_measured", text("performance.no_success", requests=len(scheduled)))
        arrivals = [begin.arrival for begin in log.of(RunBegin) if begin.arrival]
        return _value(window, vantage, load, scheduled, good, arrivals[0] if arrivals else "", service_level)

    return compute


def _value(
    window: Window, vantage: Text, load: list[Request], scheduled: list[Request], good: list[Request], arrival: str,
    service_level: ServiceLevel,
) -> Value:  # fmt: skip
    seconds = (window.end_ns - window.begin_ns) / SECOND_NS
    achieved, offered = len(good) / seconds, len(scheduled) / seconds
    grows = growing(load, window.begin_ns, window.end_ns)
    saturated = achieved < _KEEPING_UP * offered or grows
    notes: list[Words] = []
    if saturated:
        notes.append(text("performance.saturated", achieved=achieved, offered=offered))
    if grows:
        notes.append(text("performance.queue_grows"))
    lag = [(request.sent_ns - request.scheduled_ns) / 1e6 for request in scheduled if request.sent_ns is not None]
    figures = {
        "offered": Figure(offered, "requests/s", "higher", n=len(scheduled)),
        "achieved_over_offered": Figure(achieved / offered, "", "higher", n=len(scheduled)),
        "saturated": Figure(float(saturated), "", "lower", n=1),
    }
    rows: list[Row] = [
        [text("term.vantage"), vantage],
        [text("performance.arrival"), arrival or text("term.not_recorded")],
        [text("performance.offered"), offered],
        [text("performance.achieved_over_offered"), achieved / offered],
        [text("performance.send_lag"), stats.percentile(lag, 99)],
        [text("performance.steady_window"), seconds],
    ]
    tokens = [(request, request.tokens_out) for request in good if request.tokens_out is not None]
    if len(tokens) == len(good):
        figures["tokens_per_s"] = _rate(window, tokens, "tokens/s")
        rows.append([text("performance.output_tokens"), figures["tokens_per_s"].value])
    else:
        rows.append([text("performance.output_tokens"), None])
        notes.append(text("performance.no_usage"))
    if not service_level.is_set:
        rows.append([text("performance.goodput"), text("performance.no_limits")])
    elif any(service_level.kept_by(request) is None for request in good):
        rows.append([text("performance.goodput"), None])
        notes.append(text("performance.limits_unknown"))
    else:
        figures["goodput"] = _rate(window, [(r, 1) for r in good if service_level.kept_by(r)], "requests/s")
        keeping = sum(not request.error and bool(service_level.kept_by(request)) for request in scheduled)
        rows.append([text("performance.goodput"), figures["goodput"].value])
        rows.append([text("performance.share_keeping"), keeping / len(scheduled)])
    rate = _rate(window, [(request, 1) for request in good], "requests/s")
    return Value(
        value=achieved, n=len(good), clusters=rate.n, unit_of_n=text("term.time_batches"), ci=rate.ci or (None, None),
        ci_method=text("term.t_time_batches"), detail=text("performance.requests_in_window"), invalid=window.invalid,
        figures=figures, notes=notes, plots=[_over_time(window, load, good)],
        breakdown=[Table(text("performance.load"), [text("term.quantity"), text("term.value")], rows)],
    )  # fmt: skip


def _rate(window: Window, counted: Sequence[tuple[Request, int]], unit: str) -> Figure:
    """What finishes a second, with an interval from time batches; ``n`` is the number of batches that hold any."""
    seconds = (window.end_ns - window.begin_ns) / SECOND_NS
    points = [(request.done_ns or 0, float(count)) for request, count in counted]
    batches = [sum(batch) for batch in by_time(points, window.begin_ns, window.end_ns)]
    interval = stats.ratio_interval(batches, [seconds / len(batches)] * len(batches))
    return Figure(sum(batches) / seconds, unit, "higher", interval, sum(batch > 0 for batch in batches))


def _over_time(window: Window, load: list[Request], good: list[Request]) -> Plot:
    bins = Bins.for_plot(window.begin_ns, window.end_ns)
    finished = [0.0] * bins.count
    for request in good:
        finished[((request.done_ns or 0) - bins.begin_ns) // bins.width_ns] += SECOND_NS / bins.width_ns
    curves = [
        Curve(text("performance.finished_per_s"), [*finished]),
        Curve(text("performance.in_flight"), [*mean_in_flight(load, bins)]),
    ]
    return Plot(text("performance.load_over_time"), text("term.seconds"), text("performance.requests"), bins.x, curves)
