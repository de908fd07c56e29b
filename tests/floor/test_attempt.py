"""Whether a server or a gateway that starts goes on in its run's attempt."""

from __future__ import annotations

import msgspec

from shosei.log import Event, Log, Rating, RunBegin, RunEnd, Survey
from shosei.log.attempt import has_measured, must_be_new
from shosei.log.process import this_process

CONFIG, HASHES = {"name": "m", "slots": 16}, {"model.safetensors": "ab"}
SERVED = RunBegin(verb="serve", argv=[], config=CONFIG | {"url": "http://a"}, hashes=HASHES, host="elsewhere")
MEASURING = ("load", "exam")


def log_of(*events: Event) -> Log:
    return Log(1, {kind: [event for event in events if type(event) is kind] for kind in map(type, events)})


def test_a_server_that_is_started_again_goes_on() -> None:
    assert not must_be_new(log_of(), "serve", CONFIG, MEASURING, HASHES)
    assert not must_be_new(log_of(SERVED), "serve", CONFIG, MEASURING, HASHES)


def test_another_model_a_second_server_and_a_measured_one_are_not_mixed() -> None:
    log = log_of(SERVED)
    assert must_be_new(log, "serve", CONFIG, MEASURING, {"model.safetensors": "cd"})
    assert must_be_new(log, "serve", CONFIG | {"slots": 1}, MEASURING, HASHES)
    measured = log_of(SERVED, RunBegin(verb="exam", argv=[]))
    assert must_be_new(measured, "serve", CONFIG, MEASURING, HASHES), "the next exam begins one, and needs its server"
    assert not must_be_new(measured, "serve", CONFIG, ("load",), HASHES)
    me = this_process()
    running = msgspec.structs.replace(SERVED, host=me.host, boot=me.boot, pid=me.pid, start_ticks=me.start_ticks)
    assert must_be_new(log_of(running), "serve", CONFIG, MEASURING, HASHES)


def test_what_a_gateway_saw_is_a_measurement_if_it_ended_well_and_nobody_rated() -> None:
    begin = RunBegin(verb="gateway", argv=[], host="elsewhere", pid=7)
    end = RunEnd(verb="gateway", exit_code=0, host="elsewhere", pid=7)
    rating = Rating(rater="a", rater_kind="person", scale="stars", value=5, request="r")
    assert not has_measured(log_of(), "gateway")
    assert not has_measured(log_of(begin), "gateway"), "it was killed"
    assert has_measured(log_of(begin, end), "gateway")
    assert not has_measured(log_of(begin, end, rating), "gateway")
    assert not has_measured(log_of(begin, end, Survey(rater="a", request="r", csat=5)), "gateway")
