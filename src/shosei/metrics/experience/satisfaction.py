"""Satisfaction: what people, and apart from them model judges, think of answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from shosei.log import Columns, Log, Rating, Request, Survey
from shosei.metrics import stats
from shosei.metrics.experience.csat import Surveys
from shosei.metrics.experience.doubts import doubts
from shosei.metrics.experience.population import Population, is_satisfied
from shosei.metrics.metric import Key, Phase, Row, Table, Text, text
from shosei.metrics.observed.requests import of_purpose, outermost
from shosei.metrics.stats.observations import Observation, Observations, share
from shosei.metrics.value import Unmeasurable, Value

_PERSON = "person"


def satisfaction(log: Log) -> Value:
    """Share of satisfied ratings by people. Model judges and surveys stand beside them and are never pooled with them;
    where people rated no answer, it is of their surveys."""
    people, judges = _populations(log)
    surveys = Surveys.of(log.of(Survey))
    if not (people.asked or judges.asked or surveys):
        raise Unmeasurable("not_measured", "experience.nobody_rated")
    value, ci = people.satisfied()
    tables = _tables(log, people, judges) + ([surveys.table()] if surveys else [])
    figures = {"csat": surveys.csat()} if surveys else {}
    if value is None and surveys:
        return surveys.value(tables, _removed(log))
    if value is None:
        reason = "experience.only_judges" if judges.given else "experience.nobody_answered"
        raise Unmeasurable("not_measured", reason, breakdown=tables, notes=_removed(log))
    return Value(
        value=value,
        observations=_observations(people),
        n=len(people.given),
        clusters=len(people.marks),
        unit_of_n="experience.raters",
        ci=ci,
        ci_method="experience.wilson_raters",
        detail="experience.share_satisfied",
        notes=_notes(log, people),
        figures={"mean_stars": people.mean_stars(), "response_rate": people.response_rate(), **figures},
        breakdown=tables,
    )


def is_of_ratings(log: Log, phase: Phase) -> bool:
    """Whether the value is of people's ratings of answers, and not of surveys."""
    return bool(_people(log.of(Rating, phase)).given)


def _observations(people: Population) -> Observations:
    """One a rating; those of one rater are not independent."""
    each = []
    for rating in people.given:
        key = f"{rating.rater} {rating.request} {rating.turn}"
        each.append(Observation(key, rating.rater, {"top": float(is_satisfied(rating)), "bottom": 1.0}))
    return Observations(each, share, paired=False)


def _populations(log: Log) -> tuple[Population, Population]:
    ratings = log.of(Rating)
    judges = [rating for rating in ratings if rating.rater_kind != _PERSON]
    return _people(ratings), Population.of(judges)


def _people(ratings: Sequence[Rating]) -> Population:
    return Population.of([rating for rating in ratings if rating.rater_kind == _PERSON])


def _notes(log: Log, people: Population) -> list[Key | Text]:
    notes: list[Key | Text] = [] if len(people.given) < len(people.asked) else ["experience.no_silence_recorded"]
    chats = bool(len(_chats(log)))
    ended_wall_ns = _rated_answers(log, people)
    if unknown := _of_unknown_answers(people, ended_wall_ns):
        notes.append(text("experience.unknown_answers", count=unknown, of=len(people.given)))
    return notes + _removed(log) + doubts(people, ended_wall_ns, chats)


def _removed(log: Log) -> list[Text]:
    """What to tell of texts that 'shosei ratings forget' took out of the log."""
    opinions: list[Rating | Survey] = [*log.of(Rating), *log.of(Survey)]
    times = [each.text_removed_wall_ns for each in opinions if each.text_removed_wall_ns]
    if not times:
        return []
    day = datetime.fromtimestamp(max(times) // 10**9, UTC).date().isoformat()
    return [text("experience.texts_removed", count=len(times), date=day)]


def _rated_answers(log: Log, people: Population) -> dict[str, int]:
    """The answers in the log that were rated, each with the Unix time of its end; the first, if several saw it."""
    rated = {rating.request for rating in people.given if rating.request}
    ended: dict[str, int] = {}
    for request in log.columns(Request) if rated else ():
        if request.id in rated:
            ended[request.id] = min(request.wall_ns, ended.get(request.id, request.wall_ns))
    return ended


def _of_unknown_answers(people: Population, known: Mapping[str, int]) -> int:
    """How many ratings name an answer that the log does not have."""
    return sum(bool(rating.request) and rating.request not in known for rating in people.given)


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
