"""Whether a server is called saturated, on simulated loads of which it is known whether anybody queued."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Any

import pytest

from handwritten import S, at, log_of, metric
from shosei.log import Log, Request, Window
from shosei.metrics.metric import Metric

RATE, SECONDS, WARM_UP = 20, 30, 5


def answered(number: int, due_s: float, took_s: float, **fields: Any) -> Request:
    due = round(due_s * S)
    request = Request(
        id=f"r{number}",
        purpose="load",
        seen_by="client",
        scheduled_ns=due,
        sent_ns=due,
        done_ns=due + round(took_s * S),
        phase="inference",
        **{"status": 200} | fields,
    )
    at(due_s + took_s, request)
    return request


def load(
    behave: Callable[[int, float], tuple[float, dict[str, Any]]], rate: float = RATE, warm_up: float = WARM_UP
) -> Log:
    """A constant rate from ``warm_up`` before the window on; ``behave`` says of number and moment how each ends."""
    count, begin = round(rate * (SECONDS + warm_up)), 100 - warm_up
    requests = []
    for number in range(count):
        took, fields = behave(number, begin + number / rate)
        requests.append(answered(number, begin + number / rate, took, **fields))
    return with_window(requests)


def with_window(requests: list[Request]) -> Log:
    window = Window(name="steady", begin_ns=100 * S, end_ns=(100 + SECONDS) * S, phase="inference", boot="boot")
    return log_of(at(100 + SECONDS, window), *requests)


def queue(places: int, service_s: float, longest: float = math.inf) -> Callable[[int, float], Any]:
    """First come, first served by ``places``; who would have to wait more than ``longest`` seconds is refused."""
    free = [0.0] * places

    def behave(number: int, due: float) -> tuple[float, dict[str, Any]]:
        begin = max(due, free[0])
        if begin - due > longest:
            return 0.01, {"status": 503, "error": "5xx"}
        heapq.heapreplace(free, begin + service_s)
        return begin + service_s - due, {}

    return behave


def saturated(log: Log) -> tuple[bool, Metric]:
    speed = metric(log, "inference_speed", "inference")
    return bool(speed.figures["saturated"].value), speed


def every_tenth(took_s: float, error: str, status: int | None) -> Callable[[int, float], Any]:
    """Ends every tenth request so, and the others well after 0.1 s."""
    return lambda number, _: (0.1, {}) if number % 10 else (took_s, {"error": error, "status": status})


@pytest.mark.parametrize(("error", "status"), [("5xx", 500), ("4xx", 400), ("empty", 200)])
def test_failing_every_tenth_at_once_is_no_saturation(error: str, status: int) -> None:
    log = load(every_tenth(0.002, error, status))
    is_saturated, speed = saturated(log)
    assert not is_saturated
    assert speed.figures["achieved_over_offered"].value == pytest.approx(0.9, abs=0.02)
    assert not any("saturated" in note for note in speed.notes)
    assert metric(log, "error_rate", "inference").value == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("behave", "sign"),
    [
        (queue(1, 1.2 / RATE), "grew through the window"),  # all are answered, later and later
        (queue(8, 8 * 1.2 / RATE), "were due in the window"),
        (queue(1, 1.2 / RATE, longest=0.5), "were turned away"),
        (every_tenth(0.01, "429", 429), "were turned away"),
        (every_tenth(60, "timeout", None), "not answered in time"),
    ],
    ids=["queue", "places", "503", "429", "timeout"],
)
def test_making_wait_or_turning_away_is(behave: Callable[[int, float], Any], sign: str) -> None:
    is_saturated, speed = saturated(load(behave))
    assert is_saturated
    assert any(sign in note for note in speed.notes)
    assert all(note.startswith("saturated") for note in speed.notes if sign in note)


@pytest.mark.parametrize("took_s", [0.1, 3.0, 10.0])
@pytest.mark.parametrize("warm_up", [0, 5])
def test_long_answers_are_no_queue_though_they_end_after_the_window(took_s: float, warm_up: float) -> None:
    """A third of those scheduled in the window end after it where nothing was in flight at its beginning."""
    is_saturated, speed = saturated(load(lambda *_: (took_s, {}), warm_up=warm_up))
    assert not is_saturated, speed.notes


def test_a_straggler_of_a_few_is_no_queue() -> None:
    assert not saturated(load(lambda number, _: (40.0 if number == 12 else 0.5, {}), rate=0.5))[0]


def test_a_closed_loop_never_is_however_slow_the_server() -> None:
    """Eight clients, each of whom waits for an answer before it asks again."""
    requests: list[Request] = []
    for client in range(8):
        moment = 95.0 + client * 0.1
        while moment < 130:
            requests.append(answered(len(requests), moment, 4.0))
            moment += 4.0
    assert not saturated(with_window(requests))[0]


def test_a_stall_that_is_made_up_for_is_no_sign() -> None:
    log = load(lambda _, due: (max(0.05, 112 - due) if due >= 110 and due < 112 else 0.05, {}))
    assert not saturated(log)[0]
