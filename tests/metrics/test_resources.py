"""Memory, disk and network on logs whose numbers are worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from scipy import stats

from recorded import HARDWARE, MS, S, metric_of, rows
from shosei.log import Comm, Event, Request, RunBegin, Sample, Window

MB = 10**6
GIGABYTE = 10**9
TRAIN = RunBegin(verb="train", argv=["train"], hardware=HARDWARE, phase="training", host="a", boot="A")


def sample(at: float, scope: str = "tree", name: str = "train", host: str = "a", **fields: Any) -> Sample:
    boot = fields.pop("boot", host.upper())
    return Sample(scope=scope, name=name, host=host, boot=boot, mono_ns=round(at * S), phase="training", **fields)


def test_memory_is_the_peak_and_the_mean_over_time_of_all_trees() -> None:
    events: list[Event] = [TRAIN]
    for second, size in enumerate([100, 300, 200, 200]):
        events.append(sample(second, pss_bytes=size * MB, rss_bytes=(size + 50) * MB, peak_bytes=900 * MB))
    events += [sample(second, name="helper", pss_bytes=10 * MB, rss_bytes=20 * MB) for second in (1, 2)]
    metric = metric_of(events, "memory", "training")
    assert (metric.value, metric.detail) == (310 * MB, "peak PSS, sampled")
    figures = {name: figure.value for name, figure in metric.figures.items()}
    assert figures == {"mean": 205 * MB, "rss_peak": 370 * MB, "high_water": 900 * MB}
    curves = {curve.label: curve.y for curve in metric.plots[0].curves}
    assert curves == {
        "train": [100, 300, 200, 200],
        "helper": [None, 10, 10, None],
        "total": [100, 310, 210, 200],
    }


def test_memory_without_pss_is_rss_and_says_so() -> None:
    metric = metric_of([TRAIN, sample(0, rss_bytes=MB), sample(1, rss_bytes=2 * MB)], "memory", "training")
    assert (metric.value, metric.detail) == (2 * MB, "peak RSS, sampled")
    assert rows(metric, "memory")["peak PSS, sampled"] == [None]


@pytest.mark.parametrize(
    ("cgroup", "gauge", "expected", "method"),
    [
        (5, "pss_bytes", 5, "cgroup"),  # a peak between two readings of PSS
        (1, "pss_bytes", 2, "PSS"),  # pages that somebody else had read
        (1, "rss_bytes", 2, "RSS"),
    ],
)
def test_the_larger_of_the_cgroups_peak_and_what_was_mapped_counts(
    cgroup: int, gauge: str, expected: int, method: str
) -> None:
    events = [TRAIN, sample(0, **{gauge: MB}), sample(1, **{gauge: 2 * MB})]
    events += [sample(at, "cgroup", "run", peak_bytes=peak * MB) for at, peak in ((0, 1), (1, cgroup))]
    metric = metric_of(events, "memory", "training")
    assert (metric.value, metric.figures["mean"].value) == (expected * MB, 1.5 * MB)
    assert method in str(metric.detail)


def test_gpu_memory_stands_beside_the_processes() -> None:
    events = [TRAIN, sample(0, pss_bytes=MB)]
    events += [
        sample(at, "gpu", "0", used_bytes=used * MB, reserved_bytes=5 * MB) for at, used in ((0, 7), (1, 9), (2, 8))
    ]
    table = next(table for table in metric_of(events, "memory", "training").breakdown if table.title == "GPU memory")
    assert [row[2] for row in table.rows] == [9 * MB, 5 * MB, None]


def io(at: float, read: int, write: int, cancelled: int = 0, chars: int = 0, **fields: Any) -> Sample:
    return sample(
        at,
        read_bytes=read * MB,
        write_bytes=write * MB,
        cancelled_write_bytes=cancelled * MB,
        read_chars=chars * MB,
        write_chars=0,
        **fields,
    )


def test_disk_io_is_what_reached_storage_reads_and_writes_apart() -> None:
    events = [TRAIN, io(0, 0, 0), io(1.5, 30, 6), io(4, 30, 6, cancelled=2), io(10, 90, 12, cancelled=2, chars=500)]
    metric = metric_of(events, "disk_io", "training")
    assert metric.value == pytest.approx((90 + 12 - 2) / 10)
    assert metric.figures["read"].value == pytest.approx(9.0)
    assert metric.figures["write"].value == pytest.approx(1.0)
    assert rows(metric, "disk")["read through system calls"] == [500 * MB, 50.0]
    read, written = metric.plots[0].curves
    # 30 MB in the first 1.5 s, then none until the fourth second, then 10 MB a second.
    assert read.y == pytest.approx([20, 10, 0, 0, *[10] * 6])
    assert written.y == pytest.approx([4, 2 - 0.4, -0.8, -0.8, *[1] * 6])


def test_the_p95_of_disk_io_is_over_seconds_however_they_were_sampled() -> None:
    """99 s: 1 MB/s, but 50 MB/s in the last six. Samples fall between the seconds."""
    events, total = [TRAIN, io(0.0, 0, 0)], 0
    for half in range(1, 199):
        total += 25 if half > 186 else 0
        events.append(io(half / 2, total, half // 2))
    metric = metric_of(events, "disk_io", "training")
    assert metric.figures["p95"].value == pytest.approx(51.0)
    assert metric.clusters == 40


def test_machines_are_added_up_at_the_same_time_whatever_their_clocks_say() -> None:
    """Two supervisors with the same process id: a machine that booted long ago, and one that has just."""
    events: list[Event] = [TRAIN]
    for second in range(11):
        for host, booted in (("a", 0), ("b", 5000)):
            fields = {"pid": 7, "wall_ns": (10**9 + second) * S, "pss_bytes": (100 if second == 5 else 10) * MB}
            events.append(io(booted + second, second * 2, 0, host=host, **fields))
    disk, memory = (metric_of(events, id, "training") for id in ("disk_io", "memory"))
    assert disk.value == pytest.approx(4.0)
    assert memory.value == 200 * MB
    assert {curve.label for curve in memory.plots[0].curves} == {"train (a 7-0)", "train (b 7-0)", "total"}


def test_two_readings_of_one_moment_are_one() -> None:
    assert metric_of([TRAIN, io(0, 0, 0), io(1.5, 3, 0), io(1.5, 3, 0), io(3, 6, 0)], "disk_io", "training").value == 2


def test_a_warm_cache_is_told() -> None:
    metric = metric_of([TRAIN, io(0, 0, 0), io(4, 0, 0, chars=80)], "disk_io", "training")
    assert metric.value == 0
    assert "page cache" in str(metric.notes[0])


def test_a_counter_that_begins_anew_is_a_restart() -> None:
    metric = metric_of([TRAIN, io(0, 100, 0), io(1, 110, 0), io(2, 5, 0)], "disk_io", "training")
    assert metric.value == pytest.approx(7.5)


def nodes(gigabytes: int, *, boots: tuple[str, str] = ("A", "B"), seconds: int = 100) -> list[Event]:
    """Two nodes that each receive and send ``gigabytes`` a second by turns more and less, and much over loopback."""
    events: list[Event] = [TRAIN]
    for host, boot in zip("ab", boots, strict=True):
        start, total = (0, 0) if host == "a" else (5000, 77)
        for second in range(seconds + 1):
            counters = {"received_bytes": total * GIGABYTE, "sent_bytes": total * GIGABYTE}
            events.append(sample(start + second, "nic", "eth0", host, boot=boot, **counters))
            loop = {"received_bytes": second * 99 * GIGABYTE, "sent_bytes": second * 99 * GIGABYTE}
            events.append(sample(start + second, "nic", "lo", host, boot=boot, **loop))
            total += gigabytes + (1 if second % 4 < 2 else -1)
    return events


def calls(count: int, payload: int, op: str = "all_reduce", **fields: Any) -> list[Event]:
    """Two ranks on two nodes; rank 1 takes 200 ms for a call, rank 0 half of that."""
    return [
        Comm(
            op=op,
            bytes=payload,
            world=2,
            duration_ns=(rank + 1) * 100 * MS,
            call=call,
            inter_node=True,
            rank=rank,
            host="ab"[rank],
            boot="AB"[rank],
            pid=rank,
            mono_ns=rank * 5000 * S + (call + 1) * S // 2,
            phase="training",
            **fields,
        )
        for call in range(count)
        for rank in range(2)
    ]


def test_network_is_the_interfaces_traffic_a_node_without_loopback() -> None:
    metric = metric_of(nodes(2), "network", "training")
    assert metric.value == pytest.approx(2 * 2 * 8)  # received and sent, in bits
    assert metric.figures["p95"].value == pytest.approx(3 * 2 * 8)
    assert (metric.status, metric.clusters) == ("ok", 40)
    assert metric.ci
    assert float(metric.ci[0] or 0) < 32 < float(metric.ci[1] or 0)
    assert rows(metric, "nodes") == {"a": [400 * GIGABYTE, 32.0], "b": [400 * GIGABYTE, 32.0]}
    assert not metric.notes


@pytest.mark.parametrize(("op", "passes"), [("all_reduce", 2), ("all_gather", 1), ("reduce_scatter", 1)])
def test_bus_bandwidth_is_over_the_slowest_ranks_time(op: str, passes: int) -> None:
    metric = metric_of([*nodes(2), *calls(100, GIGABYTE, op)], "network", "training")
    table = rows(metric, "bus bandwidth of collectives")
    moved = 100 * GIGABYTE * passes / 2
    assert table == {op: [100, moved, pytest.approx(20.0), pytest.approx(moved * 8 / 1e9 / 20)]}


def test_counters_and_collectives_that_disagree_are_told() -> None:
    agreeing = metric_of([*nodes(2), *calls(200, GIGABYTE)], "network", "training")  # 2 x 200 GB of 400 GB a node
    assert not agreeing.notes
    less = metric_of([*nodes(2), *calls(150, GIGABYTE)], "network", "training")
    assert "within 20 %" in str(less.notes[0])


def test_a_call_that_a_rank_died_in_has_no_bandwidth_and_a_restart_counts_anew() -> None:
    torn = calls(3, GIGABYTE)[:-1]  # rank 1 did not come back from the third call
    again = list(calls(3, GIGABYTE))
    for comm in again:
        comm.pid, comm.mono_ns = comm.pid + 100, comm.mono_ns + 10 * S
    metric = metric_of([*nodes(2), *torn, *again], "network", "training")
    assert rows(metric, "bus bandwidth of collectives")["all_reduce"][0] == 5


def test_hosts_on_one_machine_are_called_emulated() -> None:
    metric = metric_of(nodes(2, boots=("A", "A")), "network", "training")
    assert metric.value is not None
    assert metric.notes == ["emulated: 2 hosts on one machine (same boot id)"]


def test_nodes_that_share_a_hosts_name_are_told_apart_by_their_meters() -> None:
    """Network namespaces on one machine: torchrun knows of two nodes, and each has a supervisor."""
    begin = RunBegin(verb="train", argv=[], hardware=HARDWARE | {"nodes": 2}, phase="training")
    events = nodes(2, boots=("A", "A"))
    for event in events:
        event.pid = 7 if event.host == "a" else 8
        event.host = "a"
    metric = metric_of([begin, *events], "network", "training")
    assert metric.value == pytest.approx(32)
    assert set(rows(metric, "nodes")) == {"a (7)", "a (8)"}
    assert metric.notes == ["emulated: 2 hosts on one machine (same boot id)"]
    two_supervisors_of_one_node = metric_of(events, "network", "training")
    assert two_supervisors_of_one_node.status == "na"


def test_one_node_has_no_network_however_busy_its_interface() -> None:
    alone = [event for event in nodes(2) if event.host == "a"]
    assert metric_of(alone, "network", "training").status == "na"


def test_nodes_that_nobody_metered_are_not_measured() -> None:
    begin = RunBegin(verb="train", argv=[], hardware=HARDWARE | {"nodes": 4}, phase="training")
    metric = metric_of([begin, *calls(10, GIGABYTE)], "network", "training")
    assert (metric.status, metric.value) == ("not_measured", None)
    assert rows(metric, "bus bandwidth of collectives")["all_reduce"][0] == 10
    partly = metric_of([begin, *nodes(2)], "network", "training")
    assert partly.notes == ["interface counters were sampled on 2 of 4 nodes"]


STEADY = Window(name="steady", begin_ns=0, end_ns=40 * S, phase="inference")


def asked(host: str, boot: str, seen_by: str = "client") -> list[Event]:
    """One request a second of 1 MB there and 3 or 5 MB back, over 40 s."""
    return [
        Request(
            id=str(n),
            purpose="load",
            seen_by=seen_by,
            scheduled_ns=n * S,
            sent_ns=n * S,
            done_ns=n * S + 10 * MS,
            bytes_sent=MB,
            bytes_received=(3 + n % 2 * 2) * MB,
            host=host,
            boot=boot,
            mono_ns=n * S,
            phase="inference",
        )
        for n in range(40)
    ]


def serve(host: str, boot: str) -> RunBegin:
    return RunBegin(verb="serve", argv=[], hardware=HARDWARE, phase="inference", host=host, boot=boot)


def test_client_and_server_on_two_machines_have_a_network() -> None:
    metric = metric_of([serve("s", "S"), STEADY, *asked("c", "C")], "network", "inference")
    assert metric.value == pytest.approx(5 * 8 / 1000)
    spread = stats.sem([4 * 8 / 1000, 6 * 8 / 1000] * 20)
    assert metric.ci == pytest.approx(stats.t.interval(0.95, 39, loc=0.04, scale=spread))
    assert (metric.n, metric.status, metric.notes) == (40, "ok", [])


def test_two_hosts_of_one_boot_are_emulated() -> None:
    metric = metric_of([serve("s", "X"), STEADY, *asked("c", "X")], "network", "inference")
    assert metric.notes == ["emulated: 2 hosts on one machine (same boot id)"]


def test_on_one_machine_nothing_crosses_a_network_and_the_bytes_stand_beside() -> None:
    metric = metric_of([serve("s", "S"), STEADY, *asked("s", "S")], "network", "inference")
    assert (metric.status, metric.value) == ("na", None)
    assert rows(metric, "client to server") == {"requests, bodies": [40 * MB], "answers, bodies": [160 * MB]}


def test_what_is_not_known_of_the_ends_is_said() -> None:
    load = RunBegin(verb="load", argv=[], phase="inference", host="c", boot="C")
    unknown_server = metric_of([load, STEADY, *asked("c", "C")], "network", "inference")
    assert (unknown_server.status, "the server" in str(unknown_server.reason)) == ("not_measured", True)
    unknown_clients = metric_of([serve("s", "S"), STEADY, *asked("s", "S", "server")], "network", "inference")
    assert (unknown_clients.status, "client" in str(unknown_clients.reason)) == ("not_measured", True)
