"""How many requests a server answers a second, and whether that was all that was asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from shosei.log import Log, RunBegin
from shosei.metrics import stats
from shosei.metrics.bins import SECOND_NS, Bins
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.faults import Drill
from shosei.metrics.metric import Curve, Figure, Plot, Row, Table
from shosei.metrics.performance.in_flight import mean_in_flight
from shosei.metrics.performance.max_rate import max_rate
from shosei.metrics.performance.offered import Offered
from shosei.metrics.series import by_time, steady_window
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.text import Words, text
from shosei.metrics.vantage import offered_load


@dataclass(slots=True)
class _Beside:
    """What stands beside the rate."""

    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)
    notes: list[Words] = field(default_factory=list)


def request_rate(service_level: ServiceLevel) -> Callable[[Log], Value]:
    """Successful requests per second that finish in the steady window, goodput counted by ``service_level``."""

    def compute(log: Log) -> Value:
        window = steady_window(log)
        load = Offered(window, Drill.of(log, window.boot), *offered_load(log))
        if not load.scheduled:
            raise Unmeasurable("not_measured", text("performance.no_load"))
        if not load.good:
            raise Unmeasurable("not_measured", text("performance.no_success", requests=len(load.scheduled)))
        rate = load.rate([(request, 1) for request in load.good], "requests/s")
        arrival = next((begin.arrival for begin in log.of(RunBegin) if begin.arrival), text("term.not_recorded"))
        beside = _Beside([[text("term.vantage"), load.vantage], [text("performance.arrival"), arrival]])
        _add_saturation(beside, load)
        _add_tokens(beside, load)
        _add_goodput(beside, load, service_level)
        _add_max_rate(beside, log, service_level)
        if load.drill.seconds(window.begin_ns, window.end_ns):
            beside.notes.append(text("performance.faults_left_out"))
        return Value(
            value=len(load.good) / load.seconds, n=len(load.good), clusters=rate.n,
            unit_of_n=text("term.time_batches"), ci=rate.ci or (None, None), ci_method=text("term.t_time_batches"),
            detail=text("performance.requests_in_window"), invalid=load.window.invalid,
            figures=beside.figures, notes=beside.notes, plots=[_over_time(load)],
            breakdown=[Table(text("performance.load"), [text("term.quantity"), text("term.value")], beside.rows)],
        )  # fmt: skip

    return compute


def _add_saturation(beside: _Beside, load: Offered) -> None:
    """What was offered, how much of it was answered, and whether the client kept to its schedule."""
    achieved, offered = len(load.good) / load.seconds, len(load.scheduled) / load.seconds
    saturated = load.saturated
    points = [(request.scheduled_ns, request) for request in load.scheduled]
    holding = sum(map(bool, by_time(points, load.window.begin_ns, load.window.end_ns)))  # neighbours share a queue
    lag = [(request.sent_ns - request.scheduled_ns) / 1e6 for request in load.scheduled if request.sent_ns is not None]
    beside.rows += [
        [text("performance.offered"), offered],
        [text("performance.achieved_over_offered"), achieved / offered],
        [text("performance.send_lag"), stats.percentile(lag, 99)],
        [text("performance.steady_window"), load.seconds],
    ]
    beside.figures |= {
        "offered": Figure(offered, "requests/s", "higher", n=holding),
        "achieved_over_offered": Figure(achieved / offered, "", "higher", n=holding),
        "saturated": Figure(float(saturated), "0/1", "lower", n=1),
    }
    if saturated:
        beside.notes.append(text("performance.saturated", achieved=achieved, offered=offered))
    if load.grows:
        beside.notes.append(text("performance.queue_grows"))
    if len(lag) < (least := stats.PERCENTILE_MIN_N[99]):
        beside.notes.append(text("performance.lag_refused", least=least))


def _add_tokens(beside: _Beside, load: Offered) -> None:
    tokens = [(request, request.tokens_out) for request in load.good if request.tokens_out is not None]
    if len(tokens) < len(load.good):
        beside.rows.append([text("performance.output_tokens"), text("performance.no_usage")])
        return
    beside.figures["tokens_per_s"] = load.rate(tokens, "tokens/s")
    beside.rows.append([text("performance.output_tokens"), beside.figures["tokens_per_s"].value])


def _add_goodput(beside: _Beside, load: Offered, service_level: ServiceLevel) -> None:
    """The rate of requests that keep every limit, and their share of all that were scheduled in the window."""
    goodput = text("performance.goodput")
    if not service_level.is_set:
        beside.rows.append([goodput, text("performance.no_limits")])
        return
    if any(service_level.kept_by(request) is None for request in load.good):
        beside.rows.append([goodput, text("performance.limits_unknown")])
        return
    keeping = [(request, 1) for request in load.good if service_level.kept_by(request)]
    share = sum(not request.error and bool(service_level.kept_by(request)) for request in load.scheduled)
    beside.figures["goodput"] = load.rate(keeping, "requests/s")
    beside.rows.append([goodput, beside.figures["goodput"].value])
    beside.rows.append([text("performance.share_keeping"), share / len(load.scheduled)])


def _add_max_rate(beside: _Beside, log: Log, service_level: ServiceLevel) -> None:
    """What a search for the highest rate has found, if there was one."""
    found = max_rate(log, service_level)
    if found is None:
        return
    beside.figures["max_rate"] = found.figure
    beside.rows.append([text("performance.max_rate"), found.figure.value])
    if found.client_bound:
        beside.notes.append(text("performance.max_rate_client_bound"))


def _over_time(load: Offered) -> Plot:
    bins = Bins.for_plot(load.window.begin_ns, load.window.end_ns)
    finished = [0.0] * bins.count
    for request in load.good:
        finished[((request.done_ns or 0) - bins.begin_ns) // bins.width_ns] += SECOND_NS / bins.width_ns
    curves = [
        Curve(text("performance.finished_per_s"), [*finished]),
        Curve(text("performance.in_flight"), [*mean_in_flight(load.requests, bins)]),
    ]
    return Plot(text("performance.load_over_time"), text("term.seconds"), text("performance.requests"), bins.x, curves)
