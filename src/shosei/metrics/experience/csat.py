"""Surveys: how satisfied people are on the whole (CSAT), and what they answer to the operator's questions.

CSAT is the share of 4 and 5 on a scale of 1 to 5. It is of a user and some answers, a rating is of one answer: the two
are never pooled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shosei.log import Survey
from shosei.metrics import stats
from shosei.metrics.metric import Figure, Row, Table, Text, Words, text
from shosei.metrics.stats.observations import Observation, Observations, share
from shosei.metrics.value import Value

_SATISFIED = 4  # stars and more
_Given = Sequence[tuple[str, int]]  # by whom, and how many stars


@dataclass(frozen=True, slots=True)
class Surveys:
    """Those that were filled in: of each rater and answer the last one."""

    filled: list[Survey]

    @classmethod
    def of(cls, surveys: Iterable[Survey]) -> Surveys:
        last = {(survey.rater, survey.request): survey for survey in sorted(surveys, key=lambda each: each.wall_ns)}
        return cls(list(last.values()))

    def __bool__(self) -> bool:
        return bool(self.filled)

    def csat(self) -> Figure:
        """With a Wilson interval over raters."""
        marks = _marks(self._on_the_whole)
        value = stats.mean([mark for rater in marks for mark in rater]) if marks else None
        return Figure(value, "", "higher", stats.wilson_clustered(marks), len(marks))

    def table(self) -> Table:
        """How satisfied people are, and their stars for each of the operator's questions."""
        rows: list[Row] = [_row(text("experience.on_the_whole"), self._on_the_whole)]
        questions = dict.fromkeys(question for survey in self.filled for question in survey.stars)
        for question in questions:
            stars = [(survey.rater, survey.stars[question]) for survey in self.filled if question in survey.stars]
            rows.append(_row(question, stars))
        columns = [
            "experience.question",
            "experience.answered",
            "experience.raters",
            "experience.csat",
            "term.low_95",
            "term.high_95",
            "experience.mean_stars",
        ]
        return Table.of("experience.surveys", columns, rows)

    def value(self, breakdown: list[Table], notes: list[Text]) -> Value:
        """Satisfaction where nobody rated a single answer, with what else there is to tell."""
        csat = self.csat()
        assert csat.value is not None, "there are surveys"
        each = [
            Observation(f"{survey.rater} {survey.request}", survey.rater, {"top": _mark(survey.csat), "bottom": 1.0})
            for survey in self.filled
        ]
        return Value(
            value=csat.value,
            observations=Observations(each, share, paired=False),
            n=len(self.filled),
            clusters=csat.n,
            unit_of_n="experience.raters",
            ci=csat.ci or (None, None),
            ci_method="experience.wilson_raters",
            detail="experience.csat",
            notes=["experience.only_surveys", *notes],
            figures={"csat": csat},
            breakdown=breakdown,
        )

    @property
    def _on_the_whole(self) -> _Given:
        return [(survey.rater, survey.csat) for survey in self.filled]


def _row(name: Words, given: _Given) -> Row:
    marks = _marks(given)
    share_satisfied = stats.mean([mark for rater in marks for mark in rater])
    stars = stats.mean([float(stars) for _, stars in given])
    return [name, len(given), len(marks), share_satisfied, *stats.wilson_clustered(marks), stars]


def _marks(given: _Given) -> list[list[float]]:
    """1 for a satisfied answer and 0 for another, by rater."""
    raters: dict[str, list[float]] = {}
    for rater, stars in given:
        raters.setdefault(rater, []).append(_mark(stars))
    return list(raters.values())


def _mark(stars: int) -> float:
    return float(stars >= _SATISFIED)
