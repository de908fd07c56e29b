"""The answers that changed between two sides, of tasks that both were asked: lost ones first, then won ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from shosei.card.answers import Answer, graded, take_turns
from shosei.log import Log
from shosei.metrics.grading.answer import normalise
from shosei.metrics.metric import PHASES, Phase, Words, text
from shosei.metrics.observed.answers import task_key

# ``lost``: right less often than before. ``other``: as often right, not always, and the wrong answer is another one.
Change = Literal["lost", "won", "other"]
CHANGES: tuple[Change, ...] = ("lost", "won", "other")  # in the order in which they are told
CHANGE_MARKS: dict[Change, str] = {"lost": "▼", "won": "▲", "other": "≠"}

Samples = dict[str, list[Answer]]  # the graded answers of a side to each task, by its key


class SideAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One side's answers to a task: ``right`` of ``of`` samples, and the text of one that shows what has changed."""

    right: int
    of: int
    answer: str
    reason: Words = ""


class ChangedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A task that both sides were asked, and answered otherwise."""

    item: str
    lang: str
    question: str
    truths: list[str]
    change: Change
    a: SideAnswer
    b: SideAnswer


class SuiteChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What changed in one suite in one phase, in the order of ``CHANGES``; of so many ``paired`` tasks."""

    name: str
    phase: Phase
    paired: int
    lost: int
    won: int
    answers: list[ChangedAnswer]

    @property
    def several_samples(self) -> bool:
        """Whether a task was asked more than once."""
        return any(max(answer.a.of, answer.b.of) > 1 for answer in self.answers)


class ChangedAnswers(msgspec.Struct, frozen=True):
    """All suites that have tasks in common."""

    suites: list[SuiteChanges]

    @property
    def told(self) -> Words:
        """How many were lost and won, of how many."""
        lost, won, paired = (sum(getattr(suite, name) for suite in self.suites) for name in ("lost", "won", "paired"))
        return text("changed.of_all", lost=lost, won=won, paired=paired)

    def in_turn(self) -> Iterator[tuple[int, ChangedAnswer]]:
        """Each answer after the place of its suite: lost ones of all suites first, the suites taking turns."""
        for change in CHANGES:
            yield from take_turns(
                [[answer for answer in suite.answers if answer.change == change] for suite in self.suites]
            )

    def first(self, most: int) -> list[tuple[SuiteChanges, list[ChangedAnswer]]]:
        """The first lost and won ones by suite: at most so many, of which won ones have two fifths if there are any."""
        lost, won = ([each for each in self.in_turn() if each[1].change == change] for change in ("lost", "won"))
        lost = lost[: most - min(len(won), most * 2 // 5)]
        turns = [*lost, *won[: most - len(lost)]]
        by_suite = [[answer for place, answer in turns if place == number] for number in range(len(self.suites))]
        return [(suite, answers) for suite, answers in zip(self.suites, by_suite, strict=True) if answers]


def changed_answers(a: Sequence[Log], b: Sequence[Log]) -> ChangedAnswers | msgspec.UnsetType:
    """Compare the answers of two sides, each of one attempt or of several turns; nothing where no task is common."""
    suites = []
    for phase in reversed(PHASES):
        sides = [_by_suite(logs, phase) for logs in (a, b)]
        for name in sorted(sides[0].keys() & sides[1].keys()):
            suites += _changes(name, phase, sides[0][name], sides[1][name])
    return ChangedAnswers(suites) if suites else msgspec.UNSET


def _by_suite(logs: Sequence[Log], phase: Phase) -> dict[str, Samples]:
    """The answers that are right or wrong, of all turns together, by suite and task."""
    suites: dict[str, Samples] = {}
    for log in logs:
        for score, answer in graded(log, phase):
            if answer.standing in ("right", "wrong"):
                suites.setdefault(score.suite, {}).setdefault(task_key(score), []).append(answer)
    return suites


def _changes(name: str, phase: Phase, a: Samples, b: Samples) -> list[SuiteChanges]:
    common = [key for key in a if key in b]
    changed = [answer for key in common if (answer := _changed(a[key], b[key]))]
    counts = {change: sum(answer.change == change for answer in changed) for change in CHANGES}
    if not common:
        return []
    return [
        SuiteChanges(
            name=name,
            phase=phase,
            paired=len(common),
            lost=counts["lost"],
            won=counts["won"],
            answers=sorted(changed, key=lambda answer: CHANGES.index(answer.change)),
        )
    ]


def _changed(a: Sequence[Answer], b: Sequence[Answer]) -> ChangedAnswer | None:
    """What changed from ``a`` to ``b``, the samples of one task; None if nothing did."""
    before, after = _rights(a) * len(b), _rights(b) * len(a)
    change: Change = "lost" if after < before else "won" if after > before else "other"
    told_of_a, told_of_b = _one(a, right=change == "lost"), _one(b, right=change == "won")
    if change == "other" and _as_compared(told_of_a) == _as_compared(told_of_b):
        return None
    if change == "other" and told_of_a.standing == told_of_b.standing == "right":
        return None
    return ChangedAnswer(
        item=a[0].item,
        lang=a[0].lang,
        question=a[0].question,
        truths=a[0].truths,
        change=change,
        a=SideAnswer(right=_rights(a), of=len(a), answer=told_of_a.answer, reason=told_of_a.reason),
        b=SideAnswer(right=_rights(b), of=len(b), answer=told_of_b.answer, reason=told_of_b.reason),
    )


def _rights(samples: Sequence[Answer]) -> int:
    return sum(answer.standing == "right" for answer in samples)


def _one(samples: Sequence[Answer], *, right: bool) -> Answer:
    """The first sample that is right, or that is not; the first of all where there is none."""
    return next((answer for answer in samples if (answer.standing == "right") == right), samples[0])


def _as_compared(answer: Answer) -> str:
    return normalise(answer.answer)
