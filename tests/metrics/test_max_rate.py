"""The highest rate, from probes whose outcome is known."""

from __future__ import annotations

import pytest

from shosei.log import Log, Request, Window
from shosei.metrics.performance.max_rate import max_rate, probes
from shosei.metrics.service_level import ServiceLevel

SECOND = 1_000_000_000


def probe(
    number: int, rate: int, latency_ms: float, *, slow: int = 0, error: str = "", invalid: str = ""
) -> tuple[Window, list[Request]]:
    """One of ten seconds; every request takes ``latency_ms``, but ``slow`` of them ten times that or an error."""
    begin = number * 100 * SECOND
    window = Window(name="probe", begin_ns=begin, end_ns=begin + 10 * SECOND, rate=float(rate), invalid=invalid)
    requests = []
    for place in range(-rate, 10 * rate):  # a second of warm-up
        due = begin + place * SECOND // rate
        bad = 0 <= place < slow
        took_ms = latency_ms * 10 if bad else latency_ms
        requests.append(
            Request(
                id=f"{number}-{place}",
                purpose="probe",
                seen_by="client",
                scheduled_ns=due,
                sent_ns=due,
                stream=True,
                first_token_ns=due + int(took_ms * 1e6),
                done_ns=due + int(took_ms * 1e6),
                tokens_out=1,
                error=error if bad else "",
            )
        )
    return window, requests


def log_of(*found: tuple[Window, list[Request]]) -> Log:
    return Log(1, {Window: [w for w, _ in found], Request: [r for _, requests in found for r in requests]})


def test_the_highest_rate_kept_is_the_answer() -> None:
    log = log_of(probe(0, 10, 20), probe(1, 20, 20), probe(2, 40, 20, slow=21), probe(3, 28, 20, slow=14))
    limit = ServiceLevel(ttft_ms=100)
    assert [p.kept for p in probes(log, limit)] == [True, True, False, True]
    found = max_rate(log, limit)
    assert found is not None
    assert (found.figure.value, found.figure.n, found.client_bound) == (28, 280, False)
    lax = max_rate(log, ServiceLevel())
    assert lax is not None
    assert lax.figure.value == 40


@pytest.mark.parametrize("error", ["timeout", "5xx"])
def test_failures_are_not_kept_and_no_rate_above_a_missed_one_counts(error: str) -> None:
    log = log_of(probe(0, 10, 20), probe(1, 20, 20, slow=11, error=error), probe(2, 30, 20))
    found = max_rate(log, ServiceLevel())
    assert found is not None
    assert found.figure.value == 10


def test_a_server_that_falls_behind_misses_its_rate() -> None:
    window, requests = probe(0, 50, 20)
    for place, request in enumerate(requests):
        request.done_ns = request.scheduled_ns + place * SECOND // 100  # ever later
    assert [p.kept for p in probes(log_of((window, requests)), ServiceLevel())] == [False]


def test_a_client_at_its_limit_keeps_nothing_and_says_so() -> None:
    log = log_of(probe(0, 10, 20), probe(1, 20, 20, invalid="load client is client-bound"))
    found = max_rate(log, ServiceLevel())
    assert found is not None
    assert (found.figure.value, found.client_bound) == (10, True)
    nothing = max_rate(log_of(probe(0, 20, 20, slow=100, error="5xx")), ServiceLevel())
    assert nothing is not None
    assert nothing.figure.value is None
    assert max_rate(log_of(), ServiceLevel()) is None
