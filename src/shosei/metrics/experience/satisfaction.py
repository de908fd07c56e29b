"""Satisfaction: what people, and apart from them model judges, think of answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from shosei.log import Columns, Log, Rating, Request
from shosei.metrics import stats
from shosei.metrics.metric import Figure, Key, Row, Table, Text, text
from shosei.metrics.observed.requests import of_purpose, outermost
from shosei.metrics.stats.observations import Observation, Observations, share
from shosei.metrics.value import Unmeasurable, Value

T = TypeVar("T")

_PERSON = "person"


@dataclass(frozen=True, slots=True)
class Population:
    """Who rates alike: people, or model judges. ``asked`` are their last ratings, also those without an answer."""

    asked: list[Rating]

    @property
    def given(self) -> list[Rating]:
        """The ratings that were given."""
        return [rating for rating in self.asked if rating.value is not None]

    @property
    def marks(self) -> list[list[float]]:
        """1 for a satisfied rating and 0 for another, by rater."""
        return _by_rater((rating.rater, float(is_satisfied(rating))) for rating in self.given)

    @property
    def stars(self) -> list[list[int]]:
        """By rater, of those who gave stars."""
        return _by_rater((rating.rater, rating.value or 0) for rating in self.given if rating.scale == "stars")

    def satisfied(self) -> tuple[float | None, stats.Interval]:
        """Share of satisfied ratings, and its interval over raters."""
        marks = self.marks
        return (stats.mean([mark for rater in marks for mark in rater]) if marks else None), stats.wilson_clustered(
            marks
        )

    def mean_stars(self) -> Figure:
        """With a bootstrap over raters."""
        stars = self.stars
        sums, counts = (np.array([f(rater) for rater in stars], dtype=np.int64) for f in (sum, len))
        low, high = stats.cluster_bootstrap(len(stars), lambda drawn: (drawn @ sums) / (drawn @ counts))
        ci = None if low is None else max(1.0, low), None if high is None else min(5.0, high)
        return Figure(int(sums.sum()) / int(counts.sum()) if stars else None, "stars", "higher", ci, len(stars))

    def response_rate(self) -> Figure:
        """Ratings given, of those asked for; unknown where nobody was seen to stay silent."""
        if len(self.given) == len(self.asked):
            return Figure(None, "", "higher")
        clusters = _by_rater((rating.rater, float(rating.value is not None)) for rating in self.asked)
        rate = len(self.given) / len(self.asked)
        return Figure(rate, "", "higher", stats.wilson_clustered(clusters), len(clusters))


def is_satisfied(rating: Rating) -> bool:
    """4 or 5 stars, or a thumb up."""
    return (rating.value or 0) >= 4 if rating.scale == "stars" else rating.value == 1


def satisfaction(log: Log) -> Value:
    """Share of satisfied ratings by people. Model judges stand beside them and are never pooled with them."""
    people, judges = _populations(log)
    value, ci = people.satisfied()
    tables = _tables(log, people, judges)
    if value is None:
        reason = "experience.only_judges" if judges.given else "experience.nobody_answered"
        raise Unmeasurable("not_measured", reason, breakdown=tables)
    notes: list[Key | Text] = [] if len(people.given) < len(people.asked) else ["experience.no_silence_recorded"]
    if unknown := _of_unknown_answers(log, people):
        notes.append(text("experience.unknown_answers", count=unknown, of=len(people.given)))
    return Value(
        value=value,
        observations=_observations(people),
        n=len(people.given),
        clusters=len(people.marks),
        unit_of_n="experience.raters",
        ci=ci,
        ci_method="experience.wilson_raters",
        detail="experience.share_satisfied",
        notes=notes,
        figures={"mean_stars": people.mean_stars(), "response_rate": people.response_rate()},
        breakdown=tables,
    )


def _observations(people: Population) -> Observations:
    """One a rating; those of one rater are not independent."""
    each = []
    for rating in people.given:
        key = f"{rating.rater} {rating.request} {rating.turn}"
        each.append(Observation(key, rating.rater, {"top": float(is_satisfied(rating)), "bottom": 1.0}))
    return Observations(each, share, paired=False)


def _populations(log: Log) -> tuple[Population, Population]:
    ratings = log.of(Rating)
    people = [rating for rating in ratings if rating.rater_kind == _PERSON]
    judges = [rating for rating in ratings if rating.rater_kind != _PERSON]
    return Population(_last(people)), Population(_last(judges))


def _last(ratings: Sequence[Rating]) -> list[Rating]:
    """Each rater's last word on each turn of each answer; silence does not take back what was said."""
    last: dict[tuple[str, str, int], Rating] = {}
    for rating in sorted(ratings, key=lambda rating: rating.rated_wall_ns or rating.wall_ns):
        key = (rating.rater, rating.request, rating.turn)
        if rating.value is not None or key not in last:
            last[key] = rating
    return list(last.values())


def _by_rater(values: Iterable[tuple[str, T]]) -> list[list[T]]:
    raters: dict[str, list[T]] = {}
    for rater, value in values:
        raters.setdefault(rater, []).append(value)
    return list(raters.values())


def _tables(log: Log, people: Population, judges: Population) -> list[Table]:
    served = [request.id for request in _chats(log) if not request.error]
    return [
        Table.of(
            "experience.populations",
            [
                "experience.population",
                "experience.ratings",
                "experience.raters",
                "experience.share_satisfied",
                "term.low_95",
                "term.high_95",
                "experience.mean_stars",
                "term.low_95",
                "term.high_95",
            ],
            [_line("people", people), _line("judges", judges)],
        ),
        _distribution(people, judges),
        _responses(people, served),
        *_tags(people),
    ]


def _line(name: str, population: Population) -> Row:
    value, ci = population.satisfied()
    stars = population.mean_stars()
    return [
        text(f"experience.{name}"),
        len(population.given),
        len(population.marks),
        value,
        *ci,
        stars.value,
        *(stars.ci or (None, None)),
    ]


def _distribution(people: Population, judges: Population) -> Table:
    """How often each rating was given."""
    counts = [Counter((rating.scale, rating.value) for rating in some.given) for some in (people, judges)]
    kinds: list[tuple[Text, tuple[str, int]]] = [
        *((text("experience.stars", stars=stars), ("stars", stars)) for stars in (5, 4, 3, 2, 1)),
        (text("experience.thumbs_up"), ("thumbs", 1)),
        (text("experience.thumbs_down"), ("thumbs", 0)),
    ]
    rows: list[Row] = [[name, *(count[kind] for count in counts)] for name, kind in kinds]
    columns = ["experience.rating", "experience.people", "experience.judges"]
    return Table.of("experience.given", columns, rows)


def _responses(people: Population, served: Sequence[str]) -> Table:
    """People's ratings of those asked for, and rated chat answers of those served."""
    rate = people.response_rate()
    rows: list[Row] = [
        [
            text("experience.answered_of_asked"),
            len(people.given),
            len(people.asked),
            rate.value,
            *(rate.ci or (None, None)),
        ]
    ]
    if served:
        rated = {rating.request for rating in people.given}
        hits = sum(id in rated for id in served)
        rows.append(
            [
                text("experience.rated_of_served"),
                hits,
                len(served),
                hits / len(served),
                *stats.wilson(hits, len(served)),
            ]
        )
    columns = [
        "experience.response_rate",
        "experience.answered",
        "experience.out_of",
        "term.share",
        "term.low_95",
        "term.high_95",
    ]
    return Table.of("experience.responses", columns, rows)


def _of_unknown_answers(log: Log, people: Population) -> int:
    """How many ratings name an answer that the log does not have, where it has chats at all."""
    if not len(_chats(log)):
        return 0
    unknown = {rating.request for rating in people.given if rating.request}
    unknown -= {request.id for request in log.columns(Request) if request.id in unknown}
    return sum(rating.request in unknown for rating in people.given)


def _chats(log: Log) -> Columns:
    return outermost(of_purpose(log, "chat"))[1]


def _tags(people: Population) -> list[Table]:
    """What people said with tags, the most frequent first."""
    tagged: dict[str, list[float]] = {}
    for rating in people.given:
        for tag in dict.fromkeys(rating.tags):
            tagged.setdefault(tag, []).append(float(is_satisfied(rating)))
    if not tagged:
        return []
    rows: list[Row] = [
        [tag, len(marks), stats.mean(marks)]
        for tag, marks in sorted(tagged.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    columns = ["experience.tag", "experience.ratings", "experience.share_satisfied"]
    return [Table.of("experience.tags", columns, rows)]
