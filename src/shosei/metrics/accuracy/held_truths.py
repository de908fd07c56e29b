"""Wrong answers that hold their truth beside other words: a suite that has many wants another prompt or grader."""

from __future__ import annotations

from dataclasses import dataclass, field

from shosei.log import Log, Score
from shosei.metrics.grading.grade import answer_of_score, grade
from shosei.metrics.grading.short_answer import holds_reference
from shosei.metrics.observed.answers import by_epoch

_GRADERS = ("text", "span", "exact")  # whose answers are compared whole
_MANY = 0.1  # of the answers


@dataclass(slots=True)
class HeldTruths:
    """Of a suite's answers: how many there are, and how many are wrong; those of the wrong that hold their truth."""

    answers: int = 0
    wrong: int = 0
    holding: list[Score] = field(default_factory=list)

    @property
    def are_many(self) -> bool:
        """Whether a person should look at them before trusting the score."""
        return len(self.holding) > _MANY * self.answers


def held_truths(log: Log) -> dict[str, HeldTruths]:
    """Those of the last checkpoint, or of the exam, by suite; of the answers that are compared whole."""
    suites: dict[str, HeldTruths] = {}
    for scores in [*by_epoch(log).values()][-1:]:
        for score in scores:
            if score.grader in _GRADERS:
                _count(suites.setdefault(score.suite, HeldTruths()), score)
    return suites


def _count(suite: HeldTruths, score: Score) -> None:
    suite.answers += 1
    if grade(score, {}) is False:
        suite.wrong += 1
        if holds_reference(answer_of_score(score).text, [score.truth, *score.references], score.lang):
            suite.holding.append(score)
