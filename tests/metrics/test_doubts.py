"""What a card says of ratings that one origin decides, or that nobody can have given in earnest."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from handwritten import S, at, cell, log_of, metric
from shosei.card import Scorecard, build, html, markdown, terminal
from shosei.card.words import LANGUAGES, translated
from shosei.log import Event, Rating, Request
from shosei.metrics.cells import compute

HOUR = 3600.0


def rating(seconds: float, rater: str, value: int, **fields: Any) -> Event:
    defaults = {"rater_kind": "person", "scale": "thumbs", "request": f"c{seconds}", "live": True, "phase": "inference"}
    return at(seconds, Rating(rater=rater, value=value, **defaults | fields))


def answer(id: str, ended: float, purpose: str = "chat") -> Event:
    times = {"scheduled_ns": 0, "sent_ns": 0, "done_ns": round(ended * S)}
    return at(ended, Request(id=id, purpose=purpose, seen_by="server", phase="inference", **times))


def crowd(count: int, satisfied: float = 0.6, **fields: Any) -> list[Event]:
    """Raters of their own, one a minute, each of an answer of his own."""
    return [rating(60.0 * n, f"rater {n}", int(n % 10 < 10 * satisfied), **fields) for n in range(count)]


def doubts(*events: Event) -> list[str]:
    usual = ("people who were asked", "name an answer that is not")
    notes = metric(log_of(*events), "satisfaction", "inference").notes
    return [str(note) for note in notes if not any(words in str(note) for words in usual)]


@pytest.mark.parametrize("count", [1, 29, 30, 500])
def test_a_crowd_is_not_doubted(count: int) -> None:
    assert doubts(*crowd(count)) == []


def test_a_survey_from_a_file_is_not_doubted() -> None:
    """All of its ratings are written down at once, and it names no answers, or several people rate the same one."""
    survey = [rating(1 + n / 1e4, f"r{n}", n % 2, live=False, request="") for n in range(90)]
    assert doubts(*survey) == []
    of_answers = [rating(1 + n / 1e4, f"r{n}", n % 2, live=False, request=f"q{n % 3}") for n in range(90)]
    for purpose in ("chat", "load", "exam"):
        assert doubts(*of_answers, *[answer(f"q{n}", 0.5, purpose=purpose) for n in range(3)]) == []


@pytest.mark.parametrize("purpose", ["", "load"])
def test_ratings_of_answers_that_nobody_gave_are_named_whoever_served(purpose: str) -> None:
    """``shosei load`` against a foreign server, or no server at all in the log."""
    served = [answer(f"a{n}", 0.5, purpose=purpose) for n in range(40)] if purpose else []
    honest = [rating(1 + n, f"r{n}", 0, live=False, request=f"a{n}") for n in range(40)] if purpose else []
    made_up = [rating(100 + n, f"u{n}", 1, live=False, request=f"made up {n}") for n in range(60)]
    log = log_of(*served, *honest, *made_up)
    notes = metric(log, "satisfaction", "inference").notes
    of = len(honest) + 60
    assert any(str(note).startswith(f"60 of {of} ratings name an answer that is not") for note in notes)
    [said] = doubts(*served, *honest, *made_up)
    assert said.startswith(f"60 of {of} ratings ({60 / of:.0%}) are from files and of no answer")
    card = build(log, compute(log))
    assert said in map(translated, card.warnings)
    for view in (markdown(card), html(card), printed(card)):
        flat = " ".join(view.split()).replace("&#39;", "'")
        words = "are from files and of no answer in this attempt's log"
        assert words in flat
        assert flat.index(words) < flat.index("User satisfaction")


def printed(card: Scorecard) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(terminal(card))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_rater_of_a_fifth_is_named_with_what_the_others_say() -> None:
    busy = [rating(HOUR * 100 + 60 * n, "0123456789abcdef", 1) for n in range(26)]
    assert doubts(*crowd(100), *busy[:25]) == []
    [said] = doubts(*crowd(100), *busy)
    assert said == "one rater (0123456789ab…) gave 26 of 126 ratings (21%); of the others, 60.0% are satisfied"


def test_a_rater_who_moves_the_share_by_more_than_half_the_interval_is_named() -> None:
    """15 % of the ratings, by one who is never content among people who mostly are."""
    people = crowd(2000, satisfied=0.9)
    unhappy = [rating(HOUR * 1000 + 60 * n, "troll", 0) for n in range(350)]
    [said] = doubts(*people, *unhappy)
    assert said == "one rater (troll…) gave 350 of 2,350 ratings (15%); of the others, 90.0% are satisfied"
    alike = [rating(HOUR * 1000 + 60 * n, "busy", int(n % 10 < 9)) for n in range(350)]
    assert doubts(*people, *alike) == []


def test_one_rater_alone_has_no_others() -> None:
    [said] = doubts(*[rating(60.0 * n, "a", 1) for n in range(30)])
    assert said.endswith("gave 30 of 30 ratings (100%); there are no others")


def test_one_answer_rated_over_and_over_is_named() -> None:
    same = [rating(HOUR * 100 + 60 * n, f"fresh {n}", 1, request="chatcmpl-0123456789") for n in range(40)]
    [said] = doubts(*crowd(60), *same)
    assert said.startswith("40 of 100 ratings (40%) are of one answer (0123456789…)")


def test_a_burst_of_many_raters_is_named_and_one_persons_clicks_are_not() -> None:
    burst = [rating(HOUR * 100 + n / 10, f"fresh {n}", 1) for n in range(100)]
    [said] = doubts(*crowd(100), *burst)
    assert (
        said == "100 of 200 ratings (50%) came within 10 seconds, from 100 raters; of the others, 60.0% are satisfied"
    )
    [slower] = doubts(*crowd(100), *[rating(HOUR * 100 + n / 4, f"fresh {n}", 1) for n in range(100)])
    assert slower.startswith("41 of 200 ratings")
    assert doubts(*crowd(100), *[rating(HOUR * 100 + n / 3, f"fresh {n}", 1) for n in range(100)]) == []
    clicks = [rating(HOUR * 100 + n / 10, f"r{n % 9}", 1) for n in range(90)]
    assert not any("within" in said for said in doubts(*crowd(100), *clicks))


def test_times_of_a_file_tell_a_burst() -> None:
    begin = 1_790_000_000 * S
    at_once = [rating(9, f"r{n}", 1, live=False, request="", rated_wall_ns=begin + n * S // 100) for n in range(50)]
    [said] = doubts(*at_once)
    assert said == "50 of 50 ratings (100%) came within 10 seconds, from 50 raters; there are no others"


def test_a_rating_before_its_answer_ended_is_named() -> None:
    events = [
        answer("slow", 100),
        answer("quick", 40),
        rating(50, "a", 1, request="slow"),
        rating(51, "b", 1, request="quick"),
    ]
    assert doubts(*events) == [
        "1 of 2 ratings (50%) were given before their answer had ended; of the others, 100.0% are satisfied"
    ]
    assert doubts(answer("slow", 100), rating(99.5, "a", 1, request="slow")) == [], (
        "it may be written down a moment later"
    )
    assert doubts(answer("slow", 100), rating(50, "a", 1, request="slow", live=False)) == []


def test_2480_made_up_ratings_of_a_file_are_named() -> None:
    """15 people, and a file that made .994 of them."""
    people = [rating(HOUR + 60.0 * n, f"rater {n}", 0, request=f"c{n}") for n in range(15)]
    made_up = [rating(HOUR * 9, f"u{n}", 1, request=f"chatcmpl-{n}", live=False) for n in range(2480)]
    events = [*[answer(f"c{n}", HOUR) for n in range(15)], *people, *made_up]
    assert metric(log_of(*events), "satisfaction", "inference").value == pytest.approx(0.994, abs=1e-3)
    [said] = doubts(*events)
    assert said.startswith("2,480 of 2,495 ratings (99%) are from files and of no answer in this attempt's log")
    assert said.endswith("of the others, 0.0% are satisfied")


def test_answers_of_an_earlier_attempt_that_were_rated_live_are_not_from_files() -> None:
    assert doubts(answer("c", 1), *crowd(50)) == []


def test_doubts_are_told_in_every_language() -> None:
    burst = [rating(n / 10, f"fresh {n}", 1, request="same") for n in range(100)]
    notes = cell("satisfaction", "inference").measure(log_of(answer("same", HOUR), *burst))[0].notes
    for language in LANGUAGES:
        said = " ".join(translated(note, language) for note in notes)
        assert said.count("100%") >= 3
        assert "{" not in said


told = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1), st.integers(0, 40)), min_size=30, max_size=80)


@given(told)
def test_the_densest_ten_seconds_are_found_and_no_value_changes(told: list[tuple[int, int, int]]) -> None:
    events = [rating(float(when), f"r{who}", value, request=f"c{n}") for n, (who, value, when) in enumerate(told)]
    assert metric(log_of(*events), "satisfaction", "inference").value == pytest.approx(
        sum(value for _, value, _ in told) / len(told)
    )
    windows = [[who for who, _, when in told if begin <= when <= begin + 10] for begin in sorted({w for *_, w in told})]
    densest = max(windows, key=len)
    burst = [said for said in doubts(*events) if "came within" in said]
    if len(set(densest)) >= 10 and len(densest) > 0.2 * len(told):
        assert burst[0].startswith(f"{len(densest)} of {len(told)} ratings")
    elif len(set(densest)) < 10:
        assert burst == []
