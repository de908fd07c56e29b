"""The network: what crosses it between nodes, and from clients to the server."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from shosei.log import Columns, Comm, Log, RunBegin, Sample
from shosei.log.events import LOOPBACK
from shosei.metrics import stats
from shosei.metrics.metric import Figure, Key, Row, Table, Text, text
from shosei.metrics.observed.plausible import plausible
from shosei.metrics.observed.requests import by_time, offered_load, outermost, steady_window, why_invalid
from shosei.metrics.observed.series import (
    Bins,
    Increments,
    RatioBatches,
    by_child,
    increments,
    joined,
    ran_here,
)
from shosei.metrics.value import Unmeasurable, Value
from shosei.quantity import NS_PER_S

GIGABIT = 1e9
_AGREEMENT = 0.2  # how far counters and collectives may differ


@dataclass(frozen=True, slots=True)
class _Node:
    """What one node's interfaces counted, received and sent, from their first reading to their last."""

    name: str
    host: str
    boot: str
    traffic: Increments

    @property
    def bytes(self) -> float:
        return math.fsum(self.traffic[2])

    @property
    def begin_ns(self) -> int:
        return int(self.traffic[0].min())

    @property
    def end_ns(self) -> int:
        return int(self.traffic[1].max())

    @property
    def gbps(self) -> float:
        """Mean over the time that was sampled."""
        return self.bytes * 8 / GIGABIT / ((self.end_ns - self.begin_ns) / NS_PER_S)

    @property
    def gbps_by_second(self) -> list[float]:
        """In each whole second."""
        return [total * 8 / GIGABIT for total in Bins.seconds(self.begin_ns, self.end_ns).totals(self.traffic)]


def between_nodes(log: Log) -> Value:
    """Gbps received and sent, mean over nodes and over the sampled time, by the interfaces' counters.

    One node has nothing between nodes, and loopback is never called network.
    """
    bus = bus_table(log)
    metered = _nodes(log)
    known = max(int(begin.hardware.get("nodes", 1)) for begin in log.of(RunBegin))
    if known == 1 and len({node.host for node in metered}) <= 1:
        raise Unmeasurable("na", "resources.one_node", breakdown=bus)
    if not metered:
        raise Unmeasurable("not_measured", text("resources.no_interfaces", nodes=known), breakdown=bus)
    seconds = [node.gbps_by_second for node in metered]
    # Nodes have clocks of their own: their n-th seconds are put together, and only their mean is one observation.
    means = [stats.mean(together) for together in zip(*seconds, strict=False)]
    batches = RatioBatches.of_equal_count(tops=means, bottoms=[1.0] * len(means))
    p95 = stats.percentile([second for node in seconds for second in node], 95)
    rows: list[Row] = [[node.name, node.bytes, node.gbps] for node in metered]
    return Value(
        value=stats.mean([node.gbps for node in metered]),
        n=sum(map(len, seconds)),
        clusters=len(batches),
        unit_of_n="term.time_batches",
        ci=stats.ratio_interval(batches.tops, batches.bottoms),
        ci_method="term.t_time_batches",
        detail="resources.a_node",
        notes=_doubts(log, metered, known),
        figures={"p95": Figure(p95, "Gbps", "higher", n=len(batches))},
        breakdown=[Table.of("resources.nodes", ["resources.node", "term.bytes", "term.gbps"], rows), *bus],
    )


def _nodes(log: Log) -> list[_Node]:
    """The nodes whose interfaces were read twice or more: each has a supervisor that reads them.

    Nodes that are emulated by network namespaces share a host's name, so the supervisor tells them apart.
    """
    meters: dict[tuple[str, int], list[Sample]] = {}
    for sample in log.of(Sample):
        if sample.scope == "nic" and sample.name != LOOPBACK:
            meters.setdefault((sample.host, sample.pid), []).append(sample)
    hosts = [host for host, _ in meters]
    nodes = []
    for (host, pid), samples in sorted(meters.items(), key=lambda item: item[0]):
        interfaces = by_child(samples, "nic").values()
        traffic = joined(
            increments(interface, counter=counter)
            for interface in interfaces
            for counter in ("received_bytes", "sent_bytes")
        )
        if len(traffic[0]):
            name = host if hosts.count(host) == 1 else f"{host} ({pid})"
            nodes.append(_Node(name, host, samples[0].boot, traffic))
    return nodes


def _doubts(log: Log, metered: list[_Node], known: int) -> list[Key | Text]:
    """What a reader of the figure must know of the nodes, and whether counters and collectives tell the same."""
    notes: list[Key | Text] = []
    if len(metered) > 1 and len({node.boot for node in metered}) == 1:
        notes.append(text("resources.emulated", hosts=len(metered)))
    if len(metered) < known:
        notes.append(text("resources.nodes_unread", read=len(metered), nodes=known))
    expected = math.fsum(bytes_through_node(log, node.host, node.begin_ns, node.end_ns) for node in metered)
    counted = math.fsum(node.bytes for node in metered)
    if expected and abs(expected - counted) > _AGREEMENT * counted:
        notes.append(text("resources.disagree", expected=expected, counted=counted))
    return notes


def client_to_server(log: Log) -> Value:
    """Gbps of request and answer bodies between clients and a server on another host, in the steady window."""
    _, requests = outermost(plausible(log))
    seen = requests.at(requests.where("seen_by", "client"))
    clients = {host: seen.at(seen.where("host", host)).texts("boot")[-1] for host in seen.texts("host")}
    servers = {begin.host: begin.boot for begin in ran_here(log, "inference")}
    bodies = [_bodies(requests)] if clients else []
    if not servers:
        raise Unmeasurable("not_measured", "resources.server_unknown", breakdown=bodies)
    if not clients:
        raise Unmeasurable("not_measured", "resources.clients_unknown")
    if clients.keys() <= servers.keys():
        raise Unmeasurable("na", "resources.one_machine", breakdown=bodies)
    window = steady_window(log)
    _, load = offered_load(log)
    done_ns = load["done_ns"]
    counted = load.at((window.begin_ns <= done_ns) & (done_ns < window.end_ns) & load.has("bytes_sent"))
    if not len(counted):
        raise Unmeasurable("not_measured", "performance.no_load", breakdown=bodies)
    seconds = (window.end_ns - window.begin_ns) / NS_PER_S
    sizes = (counted["bytes_sent"] + _bytes_received(counted)).astype(float)
    batches = [
        math.fsum(batch.tolist()) * 8 / GIGABIT
        for batch in by_time(counted["done_ns"], sizes, window.begin_ns, window.end_ns)
    ]
    emulated = set(clients.values()) <= set(servers.values())
    return Value(
        value=math.fsum(batches) / seconds,
        n=len(counted),
        clusters=sum(batch > 0 for batch in batches),
        unit_of_n="term.time_batches",
        ci=stats.ratio_interval(batches, [seconds / len(batches)] * len(batches)),
        ci_method="term.t_time_batches",
        detail="resources.bodies_in_window",
        invalid=why_invalid(window),
        notes=[text("resources.emulated", hosts=len({*clients, *servers}))] if emulated else [],
        breakdown=bodies,
    )


def _bytes_received(requests: Columns) -> np.ndarray:
    return np.where(requests.has("bytes_received"), requests["bytes_received"], 0)


def _bodies(requests: Columns) -> Table:
    counted = requests.at(requests.has("bytes_sent"))
    rows: dict[Key, Row] = {
        "resources.request_bodies": [int(counted["bytes_sent"].sum())],
        "resources.answer_bodies": [int(_bytes_received(counted).sum())],
    }
    return Table.of("resources.client_to_server", ["term.quantity", "term.bytes"], rows)


# Each rank's share of the payload that must cross its link (nccl-tests, "Performance reported by NCCL tests").
_PASSES = {"all_reduce": 2, "all_gather": 1, "reduce_scatter": 1}

Call = tuple[int, str, int]  # start of the training, operation, number


def bus_table(log: Log) -> list[Table]:
    """Bus bandwidth by operation: what crosses a rank's link, over the slowest rank's time for the same call.

    Calls that a rank did not report, because it died in them, are left out.
    """
    rows: list[Row] = []
    for op in _PASSES:
        calls = [ranks for (_, name, _), ranks in _calls(log).items() if name == op and len(ranks) == ranks[0].world]
        seconds = sum(max(comm.duration_ns for comm in ranks) for ranks in calls) / NS_PER_S
        if seconds:
            moved = sum(_on_the_link(ranks[0]) for ranks in calls)
            rows.append([op, len(calls), moved, seconds, moved * 8 / 1e9 / seconds])
    columns = [f"resources.{name}" for name in ("collective", "calls", "bus_bytes", "slowest_seconds")]
    return [Table.of("resources.bus_bandwidth", [*columns, "term.gbps"], rows)] if rows else []


def bytes_through_node(log: Log, host: str, begin_ns: int, end_ns: int) -> float:
    """Bytes received and sent that the collectives between nodes must have caused at ``host`` in a stretch of time.

    In a ring over all ranks, what crosses one rank's link enters each node once and leaves it once.
    """
    own = [
        next(comm for comm in ranks if comm.host == host)
        for ranks in _calls(log).values()
        if any(comm.host == host for comm in ranks)
    ]
    return 2 * sum(_on_the_link(c) for c in own if c.inter_node and begin_ns < c.mono_ns <= end_ns)


def _on_the_link(comm: Comm) -> float:
    return comm.bytes * _PASSES.get(comm.op, 0) * (comm.world - 1) / comm.world


def _calls(log: Log) -> dict[Call, list[Comm]]:
    """The ranks' reports of each call. A restart begins to count from 0: all ranks start together."""
    starts: dict[int, list[tuple[str, int, int]]] = {}
    calls: dict[Call, list[Comm]] = {}
    for comm in log.of(Comm):
        known = starts.setdefault(comm.rank, [])
        process = (comm.boot, comm.pid, comm.start_ticks)
        if process not in known:
            known.append(process)
        calls.setdefault((known.index(process), comm.op, comm.call), []).append(comm)
    return calls
