"""``bench/soak.py``: what its accounts find in a log that is not what the clients saw, and what growth is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from documented import ROOT
from shosei.log import Rating, Request, RunBegin, RunEnd, Writer

sys.path.append(str(ROOT / "bench"))  # last: some of its scripts have the names of packages

from soak_clients import outcome_of
from soak_ledger import Account, Exchange, Ledger, Outage
from soak_server import Slope


def event(id: str, status: int | None = 200, error: str = "", kind: str = "whole") -> Request:
    return Request(
        id=id, purpose="chat", seen_by="server", scheduled_ns=1, done_ns=2, status=status, error=error, api_key=kind
    )


def answered(id: str, at_s: float = 10.0) -> Exchange:
    return Exchange("whole", at_s, at_s, at_s + 1, 200, "answered", id)


def refused(status: int, at_s: float = 10.0) -> Exchange:
    return Exchange("whole", at_s, 0.0, at_s + 1, status, "refused")


def cut(at_s: float = 10.0) -> Exchange:
    return Exchange("whole", at_s, 0.0, at_s + 1, None, "cut")


def account(tmp_path: Path, ledger: Ledger, *events: Request | Rating, dropped: int = 0) -> Account:
    writer = Writer(tmp_path / "log", "run", 1)
    for each in (RunBegin(verb="http", argv=[]), *events, RunEnd(verb="http", exit_code=0, dropped=dropped)):
        writer.emit(each)
    writer.close()
    return Account.of(ledger, tmp_path / "log")


def test_a_log_that_has_what_the_clients_saw_is_whole(tmp_path: Path) -> None:
    ledger = Ledger([answered("a"), refused(400), cut()], [("a", 4)])
    rating = Rating(rater="r", rater_kind="person", scale="stars", value=4, request="a", live=True)
    found = account(tmp_path, ledger, event("a"), event("b", 400, "4xx"), event("c", None, "lost"), rating)
    assert found.whole
    assert not found.lost_ratings


@pytest.mark.parametrize(
    ("exchanges", "events"),
    [
        ([answered("a")], []),
        ([refused(400)], []),
        ([refused(400)], [event("a", 429, "429")]),
        ([answered("a")], [event("a", 200, "5xx")]),
        ([answered("a")], [event("a", None, "lost")]),
        ([], [event("a")]),
        ([answered("a"), cut()], [event("a"), event("b", None, "lost"), event("c", None, "lost")]),
        ([answered("a")], [event("a"), event("b", kind="stream")]),
    ],
    ids=["no event", "no refusal", "another status", "another end", "lost", "nobody asked", "two of one", "other kind"],
)
def test_whatever_differs_is_found(tmp_path: Path, exchanges: list[Exchange], events: list[Request]) -> None:
    assert not account(tmp_path, Ledger(exchanges), *events).whole


def test_a_full_disk_excuses_as_many_as_the_server_dropped_and_only_then(tmp_path: Path) -> None:
    ledger = Ledger([answered("a"), refused(400)], full=[Outage("full disk", 9, 12)])
    assert account(tmp_path / "counted", ledger, dropped=2).whole
    assert not account(tmp_path / "fewer", ledger, dropped=1).whole
    later = Ledger([answered("a", at_s=20), refused(400)], full=ledger.full)
    assert not account(tmp_path / "later", later, dropped=2).whole


def test_a_rating_that_was_acknowledged_and_is_not_there_is_lost(tmp_path: Path) -> None:
    ledger = Ledger([answered("a")], [("a", 4)])
    assert account(tmp_path, ledger, event("a")).lost_ratings == [("a", 4)]


def test_only_a_kill_explains_an_answer_without_an_end() -> None:
    ledger = Ledger([cut(10), cut(30)], outages=[Outage("engine", 10.5, 12)])
    assert ledger.unexplained() == [ledger.exchanges[1]]


def test_who_asks_wrongly_is_refused_and_nobody_else() -> None:
    wrong = [
        Exchange("malformed", 1, 1, 2, 200, "answered"),
        Exchange("bomb", 1, 0, 2, 500, "refused"),
        refused(400),
        refused(503),
    ]
    right = [Exchange("malformed", 1, 0, 2, 400, "refused"), refused(429), answered("a")]
    assert Ledger(wrong + right).unexplained() == wrong


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"", "cut"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "answered"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", "cut"),
        (b"HTTP/1.1 429 Too Many\r\ncontent-length: 0\r\n\r\n", "refused"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\ndata: {}\n\ndata: [DONE]\n\n", "answered"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\ndata: {}\n\n", "cut"),
        (b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\ndata: {}\n\ndata: {"error": {}}\n\n', "error event"),
    ],
)
def test_how_an_answer_ended(answer: bytes, outcome: str) -> None:
    assert outcome_of(answer) == outcome


def test_a_leak_is_growth_and_noise_is_none() -> None:
    noise = [(float(second), 100_000_000 + (second * 7919) % 1_000_000) for second in range(600)]
    assert Slope.of(noise).surely_grown < 500_000
    leak = [(second, rss + int(20_000 * second)) for second, rss in noise]
    assert 11_000_000 < Slope.of(leak).surely_grown < 12_500_000
