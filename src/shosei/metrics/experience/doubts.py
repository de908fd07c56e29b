"""Doubts about ratings: those of one origin that decide too much, and those that nobody can have given in earnest.

Nothing is left out for a doubt: it is named, with what the others say, at the top of the card, and the reader decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from shosei.log import Rating
from shosei.metrics import stats
from shosei.metrics.experience.population import Population, is_satisfied, rated_ns
from shosei.metrics.metric import Text, text

_LEAST_RATINGS = 30  # below, the interval says how little is known
_LARGEST_PART = 0.2
_BURST_S, _BURST_RATERS = 10, 10
_SHOWN = 12  # characters of a hash or an id
_CLOCK_NS = 1_000_000_000  # an answer's end is written down a moment after its last byte

Key = Callable[[Rating], str]


@dataclass(frozen=True, slots=True)
class Group:
    """Ratings of one origin, and the key of the text that tells which."""

    key: str
    ratings: Sequence[Rating]
    values: Mapping[str, str | int] = field(default_factory=dict)


DOUBTS = ("early", "one_rater", "one_answer", "burst", "of_no_answer")  # keys of what is told


def doubts(people: Population, ended_wall_ns: Mapping[str, int], chats: bool) -> list[Text]:
    """What to tell of people's ratings. ``ended_wall_ns`` has the log's answers; ``chats``: there are any to rate.

    From 30 ratings on, a group is named where it holds more than 20 % of them, or moves the share of the satisfied by
    more than half of its interval's width.
    """
    given = people.given
    early = [rating for rating in given if _is_early(rating, ended_wall_ns)]
    named = [Group("early", early)] if early else []
    if len(given) >= _LEAST_RATINGS:
        share, (low, high) = people.satisfied()
        half = (high - low) / 2 if low is not None and high is not None else 1.0
        for groups in _kinds(given, ended_wall_ns, chats):
            weighty = [group for group in groups if _decides(group.ratings, given, share or 0.0, half)]
            named += sorted(weighty, key=lambda group: -len(group.ratings))[:1]
    return [_said(group, given) for group in named]


def _kinds(given: Sequence[Rating], ended_wall_ns: Mapping[str, int], chats: bool) -> list[list[Group]]:
    """Ratings by what they may share: a rater, an answer, a moment, that no answer stands behind them."""
    live = [rating for rating in given if rating.live]  # elsewhere, many may have been asked about one answer
    # A survey that names no answers is founded where there are no chats that it could have named.
    unfounded = [
        rating
        for rating in given
        if not rating.live and rating.request not in ended_wall_ns and (rating.request or chats)
    ]
    return [
        _groups("one_rater", given, lambda rating: rating.rater),
        _groups("one_answer", live, lambda rating: rating.request),
        _burst(given),
        [Group("of_no_answer", unfounded)] if unfounded else [],
    ]


def _groups(key: str, ratings: Sequence[Rating], origin: Key) -> list[Group]:
    found: dict[str, list[Rating]] = {}
    for rating in ratings:
        found.setdefault(origin(rating), []).append(rating)
    return [Group(key, of_one, {"name": name.rpartition("-")[2][:_SHOWN]}) for name, of_one in found.items()]


def _burst(given: Sequence[Rating]) -> list[Group]:
    """The 10 seconds with the most ratings, where they have ten raters: one person may click through a conversation."""
    timed = sorted((rating for rating in given if rating.live or rating.rated_wall_ns), key=rated_ns)
    if not timed:
        return []
    times = np.array([rated_ns(rating) for rating in timed])
    ends = np.searchsorted(times, times + _BURST_S * 10**9, side="right")
    begin = int(np.argmax(ends - np.arange(len(times))))
    densest = timed[begin : ends[begin]]
    raters = len({rating.rater for rating in densest})
    return [Group("burst", densest, {"seconds": _BURST_S, "raters": raters})] if raters >= _BURST_RATERS else []


def _is_early(rating: Rating, ended_wall_ns: Mapping[str, int]) -> bool:
    """Whether it was given before its answer had ended."""
    return rating.live and rating.wall_ns + _CLOCK_NS < ended_wall_ns.get(rating.request, 0)


def _decides(group: Sequence[Rating], given: Sequence[Rating], share: float, half: float) -> bool:
    if len(group) > _LARGEST_PART * len(given):
        return True
    satisfied = share * len(given) - sum(map(is_satisfied, group))
    return abs(satisfied / (len(given) - len(group)) - share) > half


def _said(group: Group, given: Sequence[Rating]) -> Text:
    members = set(map(id, group.ratings))
    rest = [float(is_satisfied(rating)) for rating in given if id(rating) not in members]
    others = text("experience.others", share=f"{stats.mean(rest):.1%}") if rest else text("experience.no_others")
    count, of = len(group.ratings), len(given)
    part = f"{count / of:.0%}"
    return text(f"experience.{group.key}", count=count, of=of, part=part, others=others, **group.values)
