"""The rates of loads and GPU utilisation, on logs whose numbers are worked out by hand."""

from __future__ import annotations

import heapq
import random
from typing import Any

import pytest
from scipy import stats

from recorded import HARDWARE, MS, S, metric_of, rows
from shosei.log import Columns, Event, Fault, Request, RunBegin, Sample, Window
from shosei.metrics.observed.saturation import growing
from shosei.metrics.service_level import ServiceLevel
from trainings import BEGIN, step

SERVE = RunBegin(verb="serve", argv=["serve"], hardware=HARDWARE, phase="inference")

# A load of 40 s from 100 s on: one request every 100 ms, answered 50 ms later.
STEADY = Window(name="steady", begin_ns=100 * S, end_ns=140 * S, phase="inference")


def load_request(index: int, scheduled: int, took: int, **fields: Any) -> Request:
    given = {"purpose": "load", "seen_by": "client", "tokens_out": 5, "stream": True, "status": 200} | fields
    return Request(
        id=f"{given['seen_by']}-{index}",
        scheduled_ns=scheduled,
        sent_ns=scheduled + min(MS, took // 2),
        done_ns=scheduled + took,
        first_token_ns=scheduled + took // 2,
        mono_ns=scheduled + took,
        phase="inference",
        **given,
    )


def even_load(**fields: Any) -> list[Event]:
    return [load_request(index, 100 * S + index * 100 * MS, 50 * MS, **fields) for index in range(400)]


def test_the_request_rate_of_an_even_load() -> None:
    metric = metric_of([SERVE, STEADY, *even_load()], "inference_speed", "inference")
    assert (metric.value, metric.n, metric.clusters, metric.ci) == (10.0, 400, 40, (10.0, 10.0))
    figures = {name: figure.value for name, figure in metric.figures.items()}
    assert figures == {"offered": 10.0, "achieved_over_offered": 1.0, "saturated": 0.0, "tokens_per_s": 50.0}
    table = rows(metric, "load")
    assert table["seen by"] == ["client"]
    assert table["send lag p99 (ms)"] == [1.0]
    assert table["goodput (requests/s)"] == ["not measured: the profile sets no limits for one request"]
    finished, in_flight = metric.plots[0].curves
    assert finished.y == [10.0] * 40
    assert in_flight.y == pytest.approx([0.5] * 40)  # Little: 10 a second for 50 ms each


def test_the_request_rates_interval_is_students_over_batches_of_time() -> None:
    counts = [4, 6] * 20
    moments = [(100 + second) * S + n * 100 * MS for second, count in enumerate(counts) for n in range(count)]
    requests = [load_request(index, moment, 0) for index, moment in enumerate(moments)]
    metric = metric_of([SERVE, STEADY, *requests], "inference_speed", "inference")
    assert metric.ci == pytest.approx(stats.t.interval(0.95, 39, loc=5, scale=stats.sem(counts)))


def test_an_injected_fault_is_cut_out_of_the_window() -> None:
    load = even_load()
    for request in load[100:300]:  # a drill of 20 s in which nothing is answered
        request.error, request.done_ns = "5xx", None
    drill = Fault(name="stall", begin_ns=110 * S, end_ns=130 * S, boot=load[0].boot, phase="inference")
    metric = metric_of([SERVE, STEADY, drill, *load], "inference_speed", "inference")
    assert (metric.value, metric.n, metric.figures["achieved_over_offered"].value) == (10.0, 200, 1.0)
    assert metric.ci == pytest.approx((10.0, 10.0))
    assert "injected faults" in " ".join(map(str, metric.notes))
    outage = Fault(name="stall", begin_ns=110 * S, end_ns=130 * S, injected=False, phase="inference")
    assert metric_of([SERVE, STEADY, outage, *load], "inference_speed", "inference").value == 5.0


def test_vantages_are_never_added() -> None:
    seen = [*even_load(), *even_load(seen_by="gateway"), *even_load(seen_by="server")]
    metric = metric_of([SERVE, STEADY, *seen], "inference_speed", "inference")
    assert (metric.value, rows(metric, "load")["seen by"]) == (10.0, ["client"])
    metric = metric_of([SERVE, STEADY, *even_load(seen_by="server")], "inference_speed", "inference")
    assert (metric.value, rows(metric, "load")["seen by"]) == (10.0, ["server"])


def test_goodput_counts_the_requests_that_keep_every_limit() -> None:
    slow = [load_request(400 + index, 100 * S + index * 400 * MS, 90 * MS) for index in range(100)]
    failed = [load_request(500 + index, 100 * S + index * S, 10 * MS, error="5xx") for index in range(40)]
    limits = ServiceLevel(response_ms=60, ttft_ms=30, inter_token_ms=20)
    metric = metric_of([SERVE, STEADY, *even_load(), *slow, *failed], "inference_speed", "inference", limits)
    assert metric.value == 12.5
    assert metric.figures["goodput"].value == 10.0
    assert rows(metric, "load")["share of requests that keep all limits"] == [pytest.approx(400 / 540)]


def test_goodput_is_not_guessed_where_a_limits_time_is_not_known() -> None:
    metric = metric_of(
        [SERVE, STEADY, *even_load(tokens_out=None)], "inference_speed", "inference", ServiceLevel(inter_token_ms=20)
    )
    assert "goodput" not in metric.figures
    assert "tokens_per_s" not in metric.figures
    for name in ("goodput (requests/s)", "output tokens/s"):
        assert "not measured" in rows(metric, "load")[name][0]


def queue(seed: int, load: float, places: int, arrivals: int) -> list[Request]:
    """Poisson arrivals of 10 a second at a first-come-first-served server with exponential service, from time 0."""
    draw = random.Random(seed)
    free, now, requests = [0.0] * places, 0.0, []
    for index in range(arrivals):
        now += draw.expovariate(10)
        done = max(now, heapq.heappop(free)) + draw.expovariate(10 / load / places)
        heapq.heappush(free, done)
        requests.append(load_request(index, int(now * S), int((done - now) * S)))
    return requests


@pytest.mark.parametrize("places", [1, 8])
def test_a_queue_that_wanders_is_not_saturated_and_one_that_grows_is(places: int) -> None:
    def fired(load: float) -> int:
        found = 0
        for seed in range(60):
            requests = queue(seed, load, places, 1100)
            begin = requests[100].scheduled_ns
            found += growing(Columns.of(Request, requests), begin, requests[-1].scheduled_ns)
        return found

    assert fired(0.5) + fired(0.8) <= 2
    assert fired(1.15) >= 54


def test_a_slowly_growing_queue_is_called_saturated_though_almost_all_is_answered() -> None:
    """Each request takes a little longer than the one before: 10 are in flight at the start, then 50, or 143."""
    late = [load_request(n, 90 * S + n * 10 * MS, 100 * MS + max(0, n - 1000) * MS // 10) for n in range(5000)]
    metric = metric_of([SERVE, STEADY, *late], "inference_speed", "inference")
    assert metric.figures["achieved_over_offered"].value > 0.95
    assert metric.figures["saturated"].value == 0.0  # 40 more is within the noise of 4000 arrivals
    late = [load_request(n, 90 * S + n * 10 * MS, 100 * MS + max(0, n - 1000) * MS // 3) for n in range(5000)]
    metric = metric_of([SERVE, STEADY, *late], "inference_speed", "inference")
    assert metric.figures["achieved_over_offered"].value > 0.95
    assert metric.figures["saturated"].value == 1.0
    assert any("saturated" in str(note) for note in metric.notes)


def test_a_server_that_answers_too_little_is_saturated() -> None:
    answered = [request for index, request in enumerate(even_load()) if index % 10]
    dropped = [r for i, r in enumerate(even_load(error="429", status=429)) if i % 10 == 0]
    metric = metric_of([SERVE, STEADY, *answered, *dropped], "inference_speed", "inference")
    assert metric.figures["achieved_over_offered"].value == pytest.approx(0.9)
    assert metric.figures["saturated"].value == 1.0


def test_one_pass_over_the_workload_is_timed_by_the_outermost_vantage() -> None:
    exam = [load_request(n, n * S, 500 * MS, purpose="exam") for n in range(10)]
    inside = [load_request(n, n * S, 400 * MS, purpose="exam", seen_by="server") for n in range(10)]
    metric = metric_of([SERVE, *exam, *inside], "training_speed", "inference")
    assert (metric.n, metric.value) == (10, pytest.approx(9.499))


def gpu_sample(name: str, at: float, kernel: float, sm: float | None = None) -> Sample:
    return Sample(scope="gpu", name=name, kernel_percent=kernel, sm_percent=sm, mono_ns=round(at * S), phase="training")


def test_gpu_utilisation_is_weighted_by_time_over_the_gpus() -> None:
    samples = [gpu_sample("0", at, value, 10) for at, value in ((0, 99), (1, 80), (4, 20))]
    samples += [gpu_sample("1", at, value) for at, value in ((0, 99), (4, 60))]
    steps = [step(n, n, flops=3 * 10**9) for n in range(1, 5)]
    begin = RunBegin(verb="train", argv=[], hardware=HARDWARE, phase="training", gemm_flops=1e10)
    metric = metric_of([begin, *samples, *steps], "gpu_utilization", "training")
    assert metric.value == pytest.approx((80 * 1 + 20 * 3 + 60 * 4) / 800)
    assert rows(metric, "GPUs") == {"0": [35.0, 10.0], "1": [60.0, None]}
    assert metric.figures["mfu"].value == pytest.approx(0.3)


def test_without_a_gpu_the_processors_stand_beside_the_reason() -> None:
    tree = [
        Sample(scope="tree", name="train", cpu_ns=second * 1500 * MS, mono_ns=second * S, phase="training")
        for second in range(11)
    ]
    begin = RunBegin(verb="train", argv=[], hardware=HARDWARE, phase="training", gemm_flops=1e10)
    steps = [step(n, n, flops=2 * 10**9) for n in range(1, 5)]
    metric = metric_of([begin, *tree, *steps], "gpu_utilization", "training")
    assert (metric.status, metric.reason, metric.value) == ("na", "no GPU on this machine", None)
    assert rows(metric, "CPU") == {"train": [1.5, 0.75]}
    assert metric.plots[0].curves[0].y == [1.5] * 10
    assert rows(metric, "model FLOP/s")["share of the peak (MFU)"] == [pytest.approx(0.2)]


def test_an_unknown_peak_is_not_measured() -> None:
    metric = metric_of([BEGIN, step(1, 1)], "gpu_utilization", "training")
    table = rows(metric, "model FLOP/s")
    assert table["share of the peak (MFU)"] == [None]
    assert all("not measured" in str(row[0]) for name, row in table.items() if "FLOP/s" in name)
