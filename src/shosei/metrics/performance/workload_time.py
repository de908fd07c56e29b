"""How long one pass over the frozen workload takes."""

from __future__ import annotations

from shosei.log import Log, Request
from shosei.metrics.bins import SECOND_NS
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.metric import Figure, Table
from shosei.metrics.text import text
from shosei.metrics.vantage import outermost


def workload_time(log: Log) -> Value:
    """Seconds of one pass over the frozen workload: the exam's requests, first sent to last answered."""
    vantage, requests = outermost(request for request in log.of(Request) if request.purpose == "exam")
    times = [(request.sent_ns, request.done_ns) for request in requests if request.sent_ns and request.done_ns]
    if not times:
        raise Unmeasurable("not_measured", text("performance.no_exam"))
    failed = sum(bool(request.error) for request in requests)
    seconds = (max(done for _, done in times) - min(sent for sent, _ in times)) / SECOND_NS
    if seconds <= 0:
        raise Unmeasurable("not_measured", text("performance.no_time"))
    columns = ["performance.requests", "term.seconds", "performance.requests_per_s", "term.vantage"]
    return Value(
        value=seconds, n=len(requests), clusters=1, unit_of_n=text("term.passes"), detail=text("performance.pass"),
        ci_method=text("performance.one_pass"),
        invalid=text("performance.pass_failed", failed=failed, requests=len(requests)) if failed else "",
        figures={"requests_per_s": Figure(len(times) / seconds, "requests/s", "higher", n=1)},
        breakdown=[Table(
            text("performance.pass_table"), [text(column) for column in columns],
            [[len(times), seconds, len(times) / seconds, vantage]],
        )],
    )  # fmt: skip
