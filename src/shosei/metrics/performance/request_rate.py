"""How many requests a server answers a second, and whether that was all that was asked of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from shosei.log import Log, Request, RunBegin, Window
from shosei.metrics import stats
from shosei.metrics.bins import SECOND_NS, Bins
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.faults import Drill
from shosei.metrics.metric import Curve, Figure, Plot, Row, Table
from shosei.metrics.performance.in_flight import growing, mean_in_flight
from shosei.metrics.series import by_time, steady_window
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.text import Text, Words, text
from shosei.metrics.vantage import offered_load

_KEEPING_UP = 0.95  # of the offered rate; below it the server is saturated


@dataclass(frozen=True, slots=True)
class _Offered:
    """A load as one vantage saw it, and its steady window, from which injected faults are cut out."""

    window: Window
    drill: Drill
    vantage: Text
    requests: list[Request]

    @property
    def seconds(self) -> float:
        return math.fsum(self.stretches)

    @property
    def stretches(self) -> list[float]:
        """Seconds of each time batch, without faults."""
        begin, width = self.window.begin_ns, (self.window.end_ns - self.window.begin_ns) / stats.BATCHES
        edges = [begin + index * width for index in range(stats.BATCHES + 1)]
        return [(end - begin) / SECOND_NS - self.drill.seconds(begin, end) for begin, end in itertools.pairwise(edges)]

    @property
    def scheduled(self) -> list[Request]:
        """What should have been sent within the window."""
        return [request for request in self.requests if self._counts(request.scheduled_ns)]

    @property
    def good(self) -> list[Request]:
        """What succeeded and finished within the window."""
        return [request for request in self.requests if not request.error and self._counts(request.done_ns or 0)]

    def _counts(self, when_ns: int) -> bool:
        return self.window.begin_ns <= when_ns < self.window.end_ns and not self.drill.covers(when_ns)

    def rate(self, counted: Iterable[tuple[Request, int]], unit: str) -> Figure:
        """What finishes a second, with an interval from time batches; ``n`` is how many of them hold any."""
        points = [(request.done_ns or 0, count) for request, count in counted]
        batches = [float(sum(batch)) for batch in by_time(points, self.window.begin_ns, self.window.end_ns)]
        known = [(top, seconds) for top, seconds in zip(batches, self.stretches, strict=True) if seconds > 0]
        interval = stats.ratio_interval([top for top, _ in known], [seconds for _, seconds in known])
        return Figure(sum(batches) / self.seconds, unit, "higher", interval, sum(batch > 0 for batch in batches))


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
        load = _Offered(window, Drill.of(log, window.boot), *offered_load(log))
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


def _add_saturation(beside: _Beside, load: _Offered) -> None:
    """What was offered, how much of it was answered, and whether the client kept to its schedule."""
    achieved, offered = len(load.good) / load.seconds, len(load.scheduled) / load.seconds
    grows = not load.drill.stretches and growing(load.requests, load.window.begin_ns, load.window.end_ns)
    saturated = achieved < _KEEPING_UP * offered or grows
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
    if grows:
        beside.notes.append(text("performance.queue_grows"))
    if len(lag) < (least := stats.PERCENTILE_MIN_N[99]):
        beside.notes.append(text("performance.lag_refused", least=least))


def _add_tokens(beside: _Beside, load: _Offered) -> None:
    tokens = [(request, request.tokens_out) for request in load.good if request.tokens_out is not None]
    if len(tokens) < len(load.good):
        beside.rows.append([text("performance.output_tokens"), text("performance.no_usage")])
        return
    beside.figures["tokens_per_s"] = load.rate(tokens, "tokens/s")
    beside.rows.append([text("performance.output_tokens"), beside.figures["tokens_per_s"].value])


def _add_goodput(beside: _Beside, load: _Offered, service_level: ServiceLevel) -> None:
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


def _over_time(load: _Offered) -> Plot:
    bins = Bins.for_plot(load.window.begin_ns, load.window.end_ns)
    finished = [0.0] * bins.count
    for request in load.good:
        finished[((request.done_ns or 0) - bins.begin_ns) // bins.width_ns] += SECOND_NS / bins.width_ns
    curves = [
        Curve(text("performance.finished_per_s"), [*finished]),
        Curve(text("performance.in_flight"), [*mean_in_flight(load.requests, bins)]),
    ]
    return Plot(text("performance.load_over_time"), text("term.seconds"), text("performance.requests"), bins.x, curves)
