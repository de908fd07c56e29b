"""Crash rate, restarts and error rate on hand-written logs, against scipy and figures worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from scipy.stats import chi2

from handwritten import MS, S, at, end, log_of, metric, start, table
from shosei.card import build
from shosei.card.words import translated
from shosei.log import Event, Fault, Heartbeat, Log, Request, Restart, Sample, Step, Window
from shosei.log.events import ClientLimit
from shosei.metrics.cells import compute
from shosei.metrics.metric import Metric
from shosei.metrics.stats import wilson


def step(seconds: float, number: int, took_s: float = 1.0, **fields: Any) -> Event:
    made = Step(
        step=number,
        epoch=1,
        samples=8,
        tokens=100,
        duration_ns=round(took_s * S),
        data_wait_ns=0,
        phase="training",
        **{"loss": 1.0, "finite": True} | fields,
    )
    return at(seconds, made)


def request(seconds: float, took_ms: float = 20, **fields: Any) -> Event:
    scheduled = round(seconds * S)
    made = Request(
        scheduled_ns=scheduled,
        sent_ns=scheduled,
        done_ns=scheduled + round(took_ms * MS),
        phase="inference",
        **{"id": f"r{seconds}", "purpose": "load", "seen_by": "client", "status": 200} | fields,
    )
    return at(seconds + took_ms / 1e3, made)


@pytest.fixture
def crashed() -> Log:
    """Steps 1 to 5, killed at 6 s; again from step 4 at 8.5 s; out of memory at 13 s; up at 14 s but without a step."""
    return log_of(
        start(0, 1),
        *[step(number, number) for number in range(1, 6)],
        end(6, 1, ran_s=6, cause="signal"),
        start(7, 2),
        *[step(8.5 + number - 4, number, took_s=0.75) for number in range(4, 8)],
        end(13, 2, ran_s=6, cause="out of memory"),
        start(14, 3),
        end(3600, 3, ran_s=3586),
    )


def test_crashes_per_start_and_over_time(crashed: Log) -> None:
    found = metric(crashed, "crash_rate", "training")
    assert (found.value, found.n, found.status) == (pytest.approx(2 / 3), 3, "insufficient")
    assert found.ci == pytest.approx(wilson(2, 3))
    hours = (6 + 6 + 3586) / 3600
    per_1000h, mtbf = found.figures["per_1000h"], found.figures["mtbf_h"]
    exact = chi2.ppf(0.025, 4) / 2, chi2.ppf(0.975, 6) / 2
    assert per_1000h.value == pytest.approx(2000 / hours)
    assert per_1000h.ci == pytest.approx(tuple(1000 * bound / hours for bound in exact))
    assert mtbf.value == pytest.approx(hours / 2)
    assert mtbf.ci == pytest.approx((hours / exact[1], hours / exact[0]))


def test_causes_by_process(crashed: Log) -> None:
    found = metric(crashed, "crash_rate", "training")
    ends = next(t.rows for t in found.breakdown if t.title == "Ends")
    assert ends == [
        ["train", "out of memory", "none", 1],
        ["train", "signal", "none", 1],
        ["train", "stopped", "none", 1],
    ]


def test_repair_runs_from_the_failure_to_the_first_step_and_in_stages(crashed: Log) -> None:
    found = metric(crashed, "crash_rate", "training")
    assert (found.figures["mttr_s"].value, found.figures["mttr_s"].n) == (2.5, 1)
    each = next(t.rows for t in found.breakdown if t.title == "Each crash")
    assert [row[4:] for row in each] == [[1.0, 1.5, 2.5], [1.0, None, None]]
    assert any("1 crashes have no time to repair" in note for note in found.notes)


def test_lost_work_is_what_was_run_again(crashed: Log) -> None:
    found = metric(crashed, "crash_rate", "training")
    assert found.figures["lost_steps"].value == 2  # steps 4 and 5
    assert table(found, "Lost work")["run again after a restart"] == [2, 1.5]


def test_work_of_other_ranks_is_not_lost_work() -> None:
    steps = [step(number + rank / 10, number, rank=rank) for number in range(1, 4) for rank in (0, 1)]
    found = metric(log_of(start(0, 1), *steps, end(9, 1, ran_s=9)), "crash_rate", "training")
    assert found.figures["lost_steps"].value == 0


def test_without_a_crash_the_upper_bounds_stand() -> None:
    found = metric(log_of(start(0, 1), end(3600, 1, ran_s=3600)), "crash_rate", "training")
    assert found.value == 0
    assert found.ci == pytest.approx(wilson(0, 1))
    assert found.figures["per_1000h"].ci == pytest.approx((0, 1000 * chi2.ppf(0.975, 2) / 2))
    assert found.figures["mtbf_h"].value is None
    assert found.figures["mttr_s"].value is None


def test_a_server_is_repaired_by_the_first_request_that_succeeds() -> None:
    engine: dict[str, Any] = {"child": "engine", "phase": "inference"}
    found = metric(
        log_of(
            start(0, 1, **engine),
            request(4, seen_by="server"),
            end(5, 1, ran_s=5, cause="signal", **engine),
            request(5.1, error="5xx"),
            start(6, 2, **engine),
            request(6.5, took_ms=100, error="5xx"),
            request(7, took_ms=250, seen_by="server"),
            end(20, 2, ran_s=14, **engine),
        ),
        "crash_rate",
        "inference",
    )
    assert found.figures["mttr_s"].value == pytest.approx(2.25)
    assert "lost_steps" not in found.figures


def test_a_command_without_steps_is_repaired_by_its_own_heartbeat() -> None:
    beats = [
        at(second, Heartbeat(child="other" if second == 7 else "train", count=1, phase="training"))
        for second in (3, 7, 8.5, 9)
    ]
    found = metric(
        log_of(start(0, 1), end(5, 1, ran_s=5, cause="hang"), start(6, 2), *beats, end(20, 2, ran_s=14)),
        "crash_rate",
        "training",
    )
    assert found.figures["mttr_s"].value == pytest.approx(3.5)


def test_an_injected_crash_stands_apart_and_is_named() -> None:
    """A kill at 6 s that was over at once; the supervisor writes the end down a little later."""
    fault = at(6, Fault(name="kill train", begin_ns=6 * S, end_ns=6 * S, child="train", phase="training"))
    found = metric(
        log_of(
            start(0, 1),
            step(5, 1),
            fault,
            end(6.2, 1, ran_s=6, cause="signal"),
            start(7, 2),
            step(8, 2),
            end(20, 2, ran_s=13, cause="exception"),
            start(21, 3),
            step(23, 3),
            end(30, 3, ran_s=9),
        ),
        "crash_rate",
        "training",
    )
    assert found.value == pytest.approx(1 / 3)
    assert found.figures["mttr_s"].n == 2
    assert ["train", "signal", "kill train", 1] in next(t.rows for t in found.breakdown if t.title == "Ends")
    assert [note for note in found.notes if "kill train" in note]


def test_a_fault_of_another_process_or_another_time_excuses_nothing() -> None:
    faults: list[Event] = [
        at(5, Fault(name="kill", begin_ns=5 * S, end_ns=6 * S, child="engine", phase="training")),
        at(1, Fault(name="slow disk", begin_ns=1 * S, end_ns=2 * S, phase="training")),
        at(5, Fault(name="outage", begin_ns=5 * S, end_ns=7 * S, injected=False, phase="training")),
    ]
    found = metric(log_of(start(0, 1), *faults, end(6, 1, ran_s=6, cause="signal")), "crash_rate", "training")
    assert found.value == 1


def test_a_supervisor_that_was_killed_leaves_starts_and_ends_without_each_other() -> None:
    lonely = end(5, 1, ran_s=5, cause="signal")
    lonely.pid = 77
    found = metric(log_of(start(0, 1), lonely, start(6, 1, child="other")), "crash_rate", "training")
    assert (found.value, found.n) == (pytest.approx(1 / 3), 3)
    assert any("2 starts have no end" in note for note in found.notes)
    assert found.figures["mttr_s"].value is None


def test_restarts_are_the_last_state_of_each_counter() -> None:
    counters = [
        Restart(child="engine", phase="inference"),
        Restart(child="engine", failure=1, phase="inference"),
        Restart(child="engine", failure=2, watchdog=1, manual=3, phase="inference"),
        Restart(child="http", phase="inference"),
    ]
    found = metric(
        log_of(*[at(second, counter) for second, counter in enumerate(counters)]), "restart_count", "inference"
    )
    assert (found.value, found.n) == (3, 2 + 6)
    assert found.ci == pytest.approx((chi2.ppf(0.025, 6) / 2, chi2.ppf(0.975, 8) / 2))
    assert table(found, "Restarts") == {"engine": [2, 1, 0, 0, 3], "http": [0, 0, 0, 0, 0]}


def test_final_errors_by_type_and_purpose_beside_those_before_retries() -> None:
    events = [request(second / 10) for second in range(400)]
    events += [request(second + 0.01, error="timeout", first_try_error="timeout") for second in range(4)]
    events += [request(second + 0.02, first_try_error="5xx", tries=2) for second in range(6)]
    events += [request(second + 0.03, error="cancelled") for second in range(9)]
    events += [request(50 + second, purpose="exam", error="cut stream") for second in range(2)]
    events += [request(second + 0.04, purpose="probe", error="5xx") for second in range(5)]
    events += [request(second + 0.05, seen_by="server", error="5xx") for second in range(7)]
    found = metric(log_of(*events), "error_rate", "inference")
    assert (found.value, found.n) == (pytest.approx(6 / 412), 412)
    assert found.figures["before_retry"].value == pytest.approx(12 / 412)
    rows = next(t.rows for t in found.breakdown if t.title == "By type")
    assert rows == [
        ["exam", "cut stream", 2, 1.0],
        ["load", "none", 406, 406 / 410],
        ["load", "timeout", 4, 4 / 410],
    ]
    assert found.notes == [
        "requests as the client saw them",
        "left out: 9 requests that the measuring side itself cancelled, as when it is interrupted",
    ]


def test_a_client_that_leaves_is_neither_an_error_nor_a_success() -> None:
    served = [request(second / 10, purpose="chat", seen_by="server") for second in range(380)]
    failed = [request(second + 0.01, purpose="chat", seen_by="server", error="5xx") for second in range(20)]
    left = [request(second + 0.02, purpose="chat", seen_by="server", error="disconnect") for second in range(40)]
    found = metric(log_of(*served, *failed, *left), "error_rate", "inference")
    assert (found.value, found.n, found.figures["before_retry"].value) == (0.05, 400, 0.05)
    assert any("40 of 440 requests ended because their client left" in str(note) for note in found.notes)
    assert metric(log_of(*left), "error_rate", "inference").status == "not_measured"


@pytest.mark.parametrize("lacked", ["", "time"])
def test_what_a_busy_client_measured_is_no_error_rate(lacked: str) -> None:
    """A sixth of its requests timed out, and the number in flight grew: of the client, nobody knows of the server."""
    limit = ClientLimit("time", 812.0, 0.97) if lacked else None
    window = Window(name="steady", begin_ns=0, end_ns=40 * S, client=limit, phase="inference")
    load = [request(second / 10, error="timeout" if second % 6 == 0 else "") for second in range(400)]
    log = log_of(at(41, window), *load)
    found = metric(log, "error_rate", "inference")
    assert found.value == pytest.approx(67 / 400)
    assert found.status == ("invalid" if lacked else "ok")
    assert ("this machine was too busy to measure" in str(found.reason)) == bool(lacked)
    speed = metric(log, "inference_speed", "inference")
    assert any("saturated" in str(note) for note in speed.notes) == (not lacked)
    assert speed.figures["saturated"].value == (None if lacked else 1.0)
    calls = [request(n, purpose="agents", seen_by="gateway", agent="a", id=f"call{n}") for n in range(3)]
    beside = metric(log_of(at(41, window), *load, *calls), "error_rate", "inference")
    assert beside.status == ("invalid" if lacked else "ok"), "agents behind a gateway change nothing of it"
    exam = [request(second / 10, purpose="exam") for second in range(400)]
    assert metric(log_of(at(41, window), *exam), "error_rate", "inference").status == "ok"


IMPOSSIBLE = [
    {"done_ns": -5, "tokens_out": -9},
    {"tokens_out": -9},
    {"done_ns": 0},
    {"first_token_ns": 90 * S},
    {"scheduled_ns": 10**18, "sent_ns": 10**18, "done_ns": 10**18 + MS},
    {"done_ns": 10**18},
]


@pytest.mark.parametrize("changes", IMPOSSIBLE)
def test_a_request_that_cannot_have_been_counts_nowhere_and_is_warned_of(changes: dict[str, int]) -> None:
    window = Window(name="steady", begin_ns=0, end_ns=40 * S, phase="inference")
    sound = [at(41, window), *[request(second / 10) for second in range(400)]]
    broken = request(20.05, id="broken")
    for field, value in changes.items():
        setattr(broken, field, value)
    log = log_of(*sound, broken)
    for before, after in zip(compute(log_of(*sound)), compute(log), strict=True):
        assert (before.value, before.ci, before.n) == (after.value, after.ci, after.n)
    [warning] = build(log, compute(log)).warnings[:1]
    assert translated(warning).startswith("1 of 401 requests in the log have times or counts that cannot be")


def test_samples_a_life_apart_are_an_invalid_measurement_and_not_a_machine_without_memory() -> None:
    samples = [
        at(second, Sample(scope="tree", name="train", pss_bytes=1, rss_bytes=1, read_bytes=0, write_bytes=0))
        for second in (1, 2, 3, 10**9)
    ]
    for sample in samples:
        sample.phase = "training"
    for id in ("memory", "disk_io"):
        found = metric(log_of(*samples), id, "training")
        assert (found.status, found.value) == ("invalid", None)
        assert "11574 days apart" in str(found.reason).replace(",", "")


def failing(moments: Iterable[float], fails: Callable[[float], bool]) -> Metric:
    """The error rate of requests at those seconds."""
    events = [request(moment, error="5xx" if fails(moment) else "") for moment in moments]
    return metric(log_of(*events), "error_rate", "inference")


def upper(found: Metric) -> float:
    assert found.ci[1] is not None
    return found.ci[1]


def test_scattered_errors_have_nearly_the_plain_wilson_interval() -> None:
    """Forty requests, one in each time batch; and 1,200, ten a second, of which every fiftieth fails."""
    few = failing(range(40), lambda second: second in (3, 30))
    assert few.ci == pytest.approx(wilson(2, 40), abs=0.02)
    assert few.figures["before_retry"].ci == few.ci
    many = failing([tenth / 10 for tenth in range(1200)], lambda second: round(second * 10) % 50 == 7)
    assert many.ci == pytest.approx(wilson(24, 1200), abs=0.005)


def test_a_burst_says_less_than_as_many_scattered_errors() -> None:
    """Two minutes of ten requests a second: 24 fail, each alone, or in 2.4 s that are one event."""
    moments = [tenth / 10 for tenth in range(1200)]
    alone = failing(moments, lambda second: round(second * 10) % 50 == 7)
    together = failing(moments, lambda second: 60 <= second < 62.35)
    assert alone.value == together.value == 24 / 1200
    assert upper(together) > 4 * upper(alone)


def test_the_longer_nothing_fails_the_lower_the_error_rate_is_shown_to_be() -> None:
    """Eight requests a second: as many chances as seconds, of which in an hour some six make one."""
    bounds = {
        seconds: upper(failing([tick / 8 for tick in range(8 * seconds)], lambda _: False))
        for seconds in (30, 90, 600, 3600)
    }
    assert bounds[30] == pytest.approx(wilson(0, 40)[1])
    assert bounds[90] == pytest.approx(wilson(0, 89)[1], rel=0.02)
    assert bounds[600] < 0.02
    assert bounds[3600] < 0.007


def test_without_a_client_the_gateway_is_read() -> None:
    events = [request(second, seen_by="gateway", error="429" if second == 3 else "") for second in range(10)]
    events += [request(second, seen_by="server", purpose="chat") for second in range(10)]
    found = metric(log_of(*events), "error_rate", "inference")
    assert (found.value, found.n) == (0.1, 10)
    assert "requests as the gateway saw them" in found.notes


def test_errors_during_an_injected_fault_stand_apart_and_count() -> None:
    fault = at(10, Fault(name="stall", begin_ns=10 * S, end_ns=12 * S, phase="inference"))
    events = [request(second / 2, error="timeout" if 20 <= second < 23 else "") for second in range(80)]
    found = metric(log_of(fault, *events), "error_rate", "inference")
    assert found.value == 3 / 80
    assert table(found, "Error rates")["scheduled during an injected fault"][-2:] == [3, 4]


def test_only_cancelled_requests_are_no_error_rate() -> None:
    found = metric(log_of(request(1, error="cancelled")), "error_rate", "inference")
    assert (found.status, found.value) == ("not_measured", None)


def test_steps_that_did_not_count() -> None:
    events = [step(number, number) for number in range(1, 99)]
    events += [step(99, 99, finite=False, loss=None, skipped=True), step(100, 100, skipped=True)]
    found = metric(log_of(*events), "error_rate", "training")
    assert (found.value, found.n, found.status) == (0.02, 100, "ok")
    assert found.ci == pytest.approx(wilson(2, 100))


def test_a_step_of_several_ranks_is_one_step_and_wrong_if_it_is_so_on_any() -> None:
    events = [
        step(number + rank / 10, number, rank=rank, finite=(number, rank) != (7, 1))
        for number in range(1, 41)
        for rank in range(4)
    ]
    again = [step(50 + rank / 10, 7, rank=rank) for rank in range(4)]  # after a restart
    found = metric(log_of(*events, *again), "error_rate", "training")
    assert (found.value, found.n, found.clusters) == (pytest.approx(1 / 41), 41, 41)
