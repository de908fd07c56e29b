"""What crosses the network: between the nodes of a training, and between clients and a server."""

from __future__ import annotations

import math

from shosei.log import Log, Request, RunBegin, Sample
from shosei.metrics import stats
from shosei.metrics.bins import SECOND_NS, Bins
from shosei.metrics.bus_bandwidth import bus_table, bytes_through_node
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.metric import Figure, Row, Table
from shosei.metrics.series import Batches, by_time, increments, ran_here, steady_window
from shosei.metrics.text import Words, text
from shosei.metrics.vantage import offered_load, outermost

GIGABIT = 1e9
_AGREEMENT = 0.2  # how far counters and collectives may differ
_LOOPBACK = "lo"


def between_nodes(log: Log) -> Value:
    """Gbps received and sent, mean over nodes and over the sampled time, by the interfaces' counters.

    One node has nothing between nodes, and loopback is never called network.
    """
    bus = bus_table(log)
    meters = _interfaces(log)
    nodes = max([len(meters), *(int(begin.hardware.get("nodes", 1)) for begin in log.of(RunBegin))])
    if nodes == 1:
        raise Unmeasurable("na", text("resources.one_node"), breakdown=bus)
    traffic = {host: _traffic(interfaces) for host, interfaces in meters.items()}
    spans = {host: (min(s[0] for s in steps), max(s[1] for s in steps)) for host, steps in traffic.items() if steps}
    if not spans:
        raise Unmeasurable("not_measured", text("resources.no_interfaces", nodes=nodes), breakdown=bus)
    totals = {host: math.fsum(step[2] for step in traffic[host]) for host in spans}
    gbps = {host: totals[host] * 8 / GIGABIT / ((end - begin) / SECOND_NS) for host, (begin, end) in spans.items()}
    seconds = [
        [total * 8 / GIGABIT for total in Bins.seconds(*span).totals(traffic[host])] for host, span in spans.items()
    ]
    # Nodes have clocks of their own: their n-th seconds are put together, and only their mean is one observation.
    means = [stats.mean(together) for together in zip(*seconds, strict=False)]
    batches = Batches.of_equal_count([1.0] * len(means), means)
    p95 = stats.percentile([second for node in seconds for second in node], 95)
    rows: list[Row] = [[host, totals[host], rate] for host, rate in gbps.items()]
    notes: list[Words] = []
    boots = {samples[0].boot for interfaces in meters.values() for samples in interfaces}
    if len(spans) > 1 and len(boots) == 1:
        notes.append(text("resources.emulated", hosts=len(spans)))
    if len(spans) < nodes:
        notes.append(text("resources.nodes_unread", read=len(spans), nodes=nodes))
    expected = math.fsum(bytes_through_node(log, host, *span) for host, span in spans.items())
    counted = math.fsum(totals.values())
    if expected and abs(expected - counted) > _AGREEMENT * counted:
        notes.append(text("resources.disagree", expected=expected, counted=counted))
    return Value(
        value=stats.mean(list(gbps.values())), n=sum(map(len, seconds)), clusters=len(batches),
        unit_of_n=text("term.time_batches"), ci=stats.ratio_interval(batches.tops, batches.bottoms),
        ci_method=text("term.t_time_batches"), detail=text("resources.a_node"), notes=notes,
        figures={"p95": Figure(p95, "Gbps", "higher", n=len(batches))},
        breakdown=[Table(text("resources.nodes"), [text("resources.node"), text("term.bytes"), "Gbps"], rows), *bus],
    )  # fmt: skip


def _interfaces(log: Log) -> dict[str, list[list[Sample]]]:
    """The readings of each interface but loopback, by host. Whoever read them, they are one interface's counters."""
    hosts: dict[str, dict[str, list[Sample]]] = {}
    for sample in log.of(Sample):
        if sample.scope == "nic" and sample.name != _LOOPBACK:
            hosts.setdefault(sample.host, {}).setdefault(sample.name, []).append(sample)
    return {host: list(interfaces.values()) for host, interfaces in sorted(hosts.items())}


def _traffic(interfaces: list[list[Sample]]) -> list[tuple[int, int, float]]:
    return [
        step
        for readings in interfaces
        for counter in ("received_bytes", "sent_bytes")
        for step in increments(readings, counter)
    ]


def client_to_server(log: Log) -> Value:
    """Gbps of request and answer bodies between clients and a server on another host, in the steady window."""
    _, requests = outermost(log.of(Request))
    clients = {request.host: request.boot for request in requests if request.seen_by == "client"}
    servers = {begin.host: begin.boot for begin in ran_here(log, "inference")}
    bodies = [_bodies(requests)] if clients else []
    if not servers:
        raise Unmeasurable("not_measured", text("resources.server_unknown"), breakdown=bodies)
    if not clients:
        raise Unmeasurable("not_measured", text("resources.clients_unknown"))
    if clients.keys() <= servers.keys():
        raise Unmeasurable("na", text("resources.one_machine"), breakdown=bodies)
    window = steady_window(log)
    _, load = offered_load(log)
    points = [
        (request.done_ns, (request.bytes_sent or 0) + (request.bytes_received or 0.0))
        for request in load
        if request.done_ns and window.begin_ns <= request.done_ns < window.end_ns and request.bytes_sent is not None
    ]
    if not points:
        raise Unmeasurable("not_measured", text("performance.no_load"), breakdown=bodies)
    seconds = (window.end_ns - window.begin_ns) / SECOND_NS
    batches = [math.fsum(batch) * 8 / GIGABIT for batch in by_time(points, window.begin_ns, window.end_ns)]
    emulated = set(clients.values()) <= set(servers.values())
    return Value(
        value=math.fsum(batches) / seconds, n=len(points), clusters=sum(batch > 0 for batch in batches),
        unit_of_n=text("term.time_batches"), ci=stats.ratio_interval(batches, [seconds / len(batches)] * len(batches)),
        ci_method=text("term.t_time_batches"), detail=text("resources.bodies_in_window"), invalid=window.invalid,
        notes=[text("resources.emulated", hosts=len({*clients, *servers}))] if emulated else [], breakdown=bodies,
    )  # fmt: skip


def _bodies(requests: list[Request]) -> Table:
    known = [request for request in requests if request.bytes_sent is not None]
    rows: list[Row] = [
        [text("resources.request_bodies"), sum(request.bytes_sent or 0 for request in known)],
        [text("resources.answer_bodies"), sum(request.bytes_received or 0 for request in known)],
    ]
    return Table(text("resources.client_to_server"), [text("term.quantity"), text("term.bytes")], rows)
