"""Satisfaction on hand-written ratings, against scipy, numpy and figures worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy

from handwritten import S, at, log_of, metric, request, table
from shosei.card.words import translated
from shosei.log import Event, Rating, Survey
from shosei.metrics.stats import wilson, wilson_clustered


def rating(seconds: float, rater: str, value: int | None, **fields: Any) -> Event:
    defaults = {"rater_kind": "person", "scale": "stars", "request": f"r{seconds}", "phase": "inference"}
    return at(seconds, Rating(rater=rater, value=value, **defaults | fields))


def test_share_of_satisfied_ratings_clustered_by_rater() -> None:
    stars = {"a": [5, 5, 4, 1], "b": [2, 3], "c": [4], "d": [1, 1, 1, 5, 3]}
    events = [rating(10 * n + k, who, value) for n, who in enumerate(stars) for k, value in enumerate(stars[who])]
    events += [rating(90, "e", 1, scale="thumbs"), rating(91, "e", 0, scale="thumbs")]
    found = metric(log_of(*events), "satisfaction", "inference")
    assert (found.value, found.n, found.clusters) == (pytest.approx(6 / 14), 14, 5)
    marks = [[float(value >= 4) for value in values] for values in stars.values()] + [[1.0, 0.0]]
    assert found.ci == pytest.approx(wilson_clustered(marks))
    mean = found.figures["mean_stars"]
    assert mean.value == pytest.approx(np.mean([value for values in stars.values() for value in values]))
    assert mean.n == 4
    assert table(found, "Ratings given")["5 of 5 stars"] == [3, 0]
    assert table(found, "Ratings given")["thumb down"] == [1, 0]


def test_mean_stars_are_resampled_by_rater() -> None:
    """Raters who always give the same say less than as many ratings by people of their own."""
    random = np.random.default_rng(5)
    given = {f"r{n}": [int(random.integers(1, 6))] * int(random.integers(2, 5)) for n in range(40)}
    events = [rating(k + n / 100, who, value) for n, who in enumerate(given) for k, value in enumerate(given[who])]
    figure = metric(log_of(*events), "satisfaction", "inference").figures["mean_stars"]
    sums, counts = (np.array([f(values) for values in given.values()]) for f in (sum, len))
    drawn = random.integers(0, 40, (4000, 40))
    resampled = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    assert figure.ci == pytest.approx(np.percentile(resampled, [2.5, 97.5]), abs=0.1)
    values = [value for one in given.values() for value in one]
    assert figure.ci
    assert (figure.ci[1] or 0) - (figure.ci[0] or 0) > 1.4 * 2 * 1.96 * scipy.sem(values)


def test_an_interval_of_stars_stays_among_the_stars() -> None:
    events = [rating(n, f"r{n}", 5 if n else 1) for n in range(8)]
    low, high = metric(log_of(*events), "satisfaction", "inference").figures["mean_stars"].ci or (None, None)
    assert 1 <= (low or 0) <= 4.5 <= (high or 0) <= 5


def test_the_last_rating_of_an_answer_counts_and_silence_takes_nothing_back() -> None:
    day = 86_400 * S
    events = [
        rating(1, "a", 1, request="x"),
        rating(2, "a", 5, request="x"),  # changed
        rating(3, "a", None, request="x"),  # asked again
        rating(4, "a", 2, request="x", turn=1),  # another turn
        rating(5, "b", 5, request="y", rated_wall_ns=2 * day),
        rating(6, "b", 1, request="y", rated_wall_ns=day),
        rating(7, "c", None, request="z"),
    ]
    found = metric(log_of(*events), "satisfaction", "inference")
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)
    assert found.figures["response_rate"].value == 3 / 4


def test_a_rating_taken_back_counts_no_more_until_another_is_given() -> None:
    back: dict[str, Any] = {"scale": "", "withdrawn": True}
    events = [
        rating(1, "a", 1, request="x"),
        rating(2, "a", None, request="x", **back),
        rating(3, "b", 2, request="x"),
        rating(4, "b", None, request="x", **back),
        rating(5, "b", 5, request="x"),
        rating(6, "c", 4, request="x"),
        rating(7, "c", None, request="y", **back),  # of another answer
        rating(8, "d", None, request="x", **back),  # of nothing
    ]
    found = metric(log_of(*events), "satisfaction", "inference")
    assert (found.value, found.n, found.clusters) == (1.0, 2, 2)
    assert found.figures["response_rate"].value is None, "nobody was seen to stay silent"
    nothing = metric(log_of(*events[:2]), "satisfaction", "inference")
    assert (nothing.status, nothing.value) == ("not_measured", None)


def test_response_rate_shows_what_it_is_a_share_of() -> None:
    chats = [request(second, 50, purpose="chat", seen_by="server", id=f"c{second}") for second in range(20)]
    chats += [request(21, 50, purpose="chat", seen_by="server", id="failed", error="5xx")]
    events = [rating(30 + k, f"u{k}", value, request=f"c{k}") for k, value in enumerate([5, 4, None, None])]
    found = metric(log_of(*chats, *events), "satisfaction", "inference")
    rows = table(found, "Response rate of people")
    assert rows["ratings given, of ratings asked for"][:3] == [2, 4, 0.5]
    assert rows["chat answers rated, of chat answers served"][:3] == [2, 20, 0.1]
    assert rows["chat answers rated, of chat answers served"][3:] == pytest.approx(wilson(2, 20))
    always = metric(log_of(*events[:2]), "satisfaction", "inference")
    assert always.figures["response_rate"].value is None, "only answers leave a trace: 100 % would say nothing"
    assert any("answered / asked" in str(note) for note in always.notes)


def test_a_rating_of_nothing_served_is_no_response() -> None:
    chats = [request(second, 50, purpose="chat", seen_by="server", id=f"c{second}") for second in range(20)]
    events = [rating(30, "a", 5, request="c1"), rating(31, "b", 5, request="nope"), rating(32, "c", 1, request="")]
    found = metric(log_of(*chats, *events), "satisfaction", "inference")
    assert (found.n, found.value) == (3, pytest.approx(2 / 3)), "it may be of an answer before a restart"
    assert table(found, "Response rate of people")["chat answers rated, of chat answers served"][:3] == [1, 20, 0.05]
    assert any("1 of 3 ratings name an answer that is not in" in translated(note) for note in found.notes)
    imported = metric(log_of(*events), "satisfaction", "inference")
    assert any("2 of 3 ratings name an answer that is not in" in translated(note) for note in imported.notes), (
        "whoever served: what is named is in the log, or nobody can tell that it was ever given"
    )


def test_model_judges_stand_beside_people_and_never_for_them() -> None:
    judged = [rating(50 + k, "judge", 5, rater_kind="model") for k in range(10)]
    both = metric(log_of(rating(1, "a", 1), rating(2, "b", 5), *judged), "satisfaction", "inference")
    assert (both.value, both.n) == (0.5, 2)
    assert table(both, "People and model judges")["model judges"][:3] == [10, 1, 1.0]
    alone = metric(log_of(*judged), "satisfaction", "inference")
    assert (alone.status, alone.value) == ("not_measured", None)
    assert "only model judges" in str(alone.reason)
    assert table(alone, "People and model judges")["model judges"][:3] == [10, 1, 1.0]


def test_people_who_were_asked_and_said_nothing_are_no_zero() -> None:
    found = metric(log_of(rating(1, "a", None), rating(2, "b", None)), "satisfaction", "inference")
    assert (found.status, found.value) == ("not_measured", None)


def test_tags_by_how_often_they_were_given() -> None:
    events = [rating(1, "a", 5, tags=["快", "礼貌"]), rating(2, "b", 1, tags=["快", "快"]), rating(3, "c", 5)]
    found = metric(log_of(*events), "satisfaction", "inference")
    assert table(found, "Tags by people") == {"快": [2, 0.5], "礼貌": [1, 1.0]}


ratings = st.lists(
    st.tuples(st.sampled_from("abc"), st.none() | st.integers(1, 5), st.sampled_from("xyz"), st.booleans()),
    min_size=1,
    max_size=30,
)


@given(ratings)
def test_taking_the_same_ratings_twice_changes_nothing(given_ratings: list[tuple[str, int | None, str, bool]]) -> None:
    def events(begin: int) -> list[Event]:
        return [
            rating(begin + k, who, value, request=request, rater_kind="person" if person else "model")
            for k, (who, value, request, person) in enumerate(given_ratings)
        ]

    once = metric(log_of(*events(0)), "satisfaction", "inference")
    twice = metric(log_of(*events(0), *events(100)), "satisfaction", "inference")
    assert (twice.value, twice.n, twice.figures) == (once.value, once.n, once.figures)


def survey(seconds: float, rater: str, csat: int, **fields: Any) -> Event:
    defaults = {"request": f"r{seconds}", "phase": "inference"}
    return at(seconds, Survey(rater=rater, csat=csat, **defaults | fields))


def test_surveys_stand_beside_ratings_and_are_not_pooled_with_them() -> None:
    ratings = [rating(n, f"r{n}", 5) for n in range(6)]
    csat = {"a": [5, 4], "b": [2], "c": [3, 4], "d": [1]}
    surveys = [survey(20 + 5 * n + k, who, csat[who][k]) for n, who in enumerate(csat) for k in range(len(csat[who]))]
    surveys += [survey(60, "e", 1, request="x"), survey(61, "e", 4, request="x", stars={"useful": 5})]
    found = metric(log_of(*ratings, *surveys), "satisfaction", "inference")
    assert (found.value, found.n, found.clusters) == (1.0, 6, 6)
    figure = found.figures["csat"]
    assert (figure.value, figure.n) == (pytest.approx(4 / 7), 5), "of a rater and answer the last survey counts"
    assert figure.ci == pytest.approx(wilson_clustered([[1, 1], [0], [0, 1], [0], [1]]))
    rows = table(found, "Surveys")
    assert rows["on the whole"] == pytest.approx([7, 5, 4 / 7, *figure.ci, 23 / 7])
    assert rows["useful"][:3] == [1, 1, 1.0]
    assert "csat" not in metric(log_of(*ratings), "satisfaction", "inference").figures


def test_where_nobody_rated_an_answer_surveys_are_the_value_and_the_card_says_so() -> None:
    found = metric(log_of(*(survey(n, f"r{n}", 4 if n % 3 else 2) for n in range(30))), "satisfaction", "inference")
    assert (found.value, found.n, found.status) == (pytest.approx(20 / 30), 30, "ok")
    assert any("surveys (CSAT)" in translated(note) for note in found.notes)
