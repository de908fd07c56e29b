"""How fast the collectives of a distributed training move data, whatever the number of ranks."""

from __future__ import annotations

from shosei.log import Comm, Log
from shosei.metrics.bins import SECOND_NS
from shosei.metrics.metric import Row, Table
from shosei.metrics.text import text

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
        seconds = sum(max(comm.duration_ns for comm in ranks) for ranks in calls) / SECOND_NS
        if seconds:
            moved = sum(_on_the_link(ranks[0]) for ranks in calls)
            rows.append([op, len(calls), moved, seconds, moved * 8 / 1e9 / seconds])
    columns = [text(f"resources.{name}") for name in ("collective", "calls", "bus_bytes", "slowest_seconds")]
    return [Table(text("resources.bus_bandwidth"), [*columns, "Gbps"], rows)] if rows else []


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
    """The ranks' reports of each call. A restart begins to count anew: all ranks start together."""
    starts: dict[int, list[tuple[str, int, int]]] = {}
    calls: dict[Call, list[Comm]] = {}
    for comm in log.of(Comm):
        known = starts.setdefault(comm.rank, [])
        process = (comm.boot, comm.pid, comm.start_ticks)
        if process not in known:
            known.append(process)
        calls.setdefault((known.index(process), comm.op, comm.call), []).append(comm)
    return calls
