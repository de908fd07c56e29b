"""The answers behind the accuracy: what was asked, said, read of it and right, suite by suite, wrong ones first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from shosei.card.excerpt import one_line
from shosei.card.words import named
from shosei.log import Exec, Log, Score, Verdict, Workflow
from shosei.metrics.accuracy.classified import overlap_of
from shosei.metrics.grading.answer import NONE
from shosei.metrics.grading.grade import COMMAND, Mark, answer_of_score, classes, mark, outcomes
from shosei.metrics.metric import PHASES, Phase, Words, text
from shosei.metrics.observed.answers import answered, by_epoch
from shosei.metrics.observed.judges import AnswerKey, Judge, judges, key_of, labels
from shosei.metrics.observed.tasks import submitted
from shosei.metrics.value import Unmeasurable
from shosei.wire.suite import GRADERS

# ``failed``: the request of an exam came to no answer, and no score counts it. ``ungraded``: no rule can tell.
Standing = Literal["wrong", "failed", "ungraded", "right"]
STANDINGS: tuple[Standing, ...] = ("wrong", "failed", "ungraded", "right")  # in the order in which they are told
STANDING_MARKS: dict[Standing, str] = {"wrong": "✗", "failed": "!", "ungraded": "–", "right": "✓"}

T = TypeVar("T")
_LONGEST_NAME = 60
_DIGITS = re.compile("([0-9]{1,18})")  # a foreign name may have more than int() takes


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, whole. ``overlap`` is the F1 of free text, None for other answers."""

    item: str
    sample: int
    lang: str  # zh | ja | en, or empty: not known
    question: str
    answer: str  # without what was thought
    extracted: str  # what was graded of it, or the program that ran
    truths: list[str]
    standing: Standing
    reason: Words = ""  # what became of the request or the program, or why nothing was extracted
    overlap: float | None = None
    judged: list[Words] = []  # what judges and people say of it
    doubted: bool = False  # some of them say that it fails


class Columns(NamedTuple):
    """What the table of a suite has besides: the number of the sample where tasks were asked more than once, what was
    graded where that is ever something else than the answer, and the overlap of free text.
    """

    samples: bool
    extracted: bool
    overlap: bool


class SuiteAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """The answers to one suite in one phase, in the order of ``STANDINGS`` and then of their tasks."""

    name: str
    phase: Phase
    answers: list[Answer]

    def count(self, standing: Standing) -> int:
        """How many answers stand so."""
        return sum(answer.standing == standing for answer in self.answers)

    @property
    def told(self) -> list[Words]:
        """How many are wrong, of how many, and how many of them nobody could grade."""
        parts: list[Words] = [text("answers.wrong_of", count=self.count("wrong"), of=len(self.answers))]
        if failed := self.count("failed"):
            parts.append(text("answers.failed_count", count=failed))
        if ungraded := self.count("ungraded"):
            parts.append(text("answers.ungraded_count", count=ungraded))
        return parts

    @property
    def columns(self) -> Columns:
        """What else is told of each."""
        return Columns(
            samples=any(answer.sample for answer in self.answers),
            extracted=any(answer.extracted.strip() not in ("", answer.answer.strip()) for answer in self.answers),
            overlap=any(answer.overlap is not None for answer in self.answers),
        )


class Answers(msgspec.Struct, frozen=True):
    """All suites of an attempt. ``of_system``: an agent system gave the answers of the inference phase."""

    suites: list[SuiteAnswers]
    of_system: bool = False

    def in_turn(self) -> Iterator[tuple[int, Answer]]:
        """Each answer after the place of its suite: wrong ones of all suites first, the suites taking turns."""
        for standing in STANDINGS:
            yield from take_turns(
                [[answer for answer in suite.answers if answer.standing == standing] for suite in self.suites]
            )

    def first_wrong(self, most: int | None = None) -> list[tuple[SuiteAnswers, Answer]]:
        """The wrong answers, at most so many, from as many suites as can be."""
        wrong = [(place, answer) for place, answer in self.in_turn() if answer.standing == "wrong"]
        return [(self.suites[place], answer) for place, answer in sorted(wrong[:most], key=lambda each: each[0])]

    @property
    def wrong(self) -> Answers:
        """Those that are wrong."""
        suites = [
            msgspec.structs.replace(suite, answers=[each for each in suite.answers if each.standing == "wrong"])
            for suite in self.suites
        ]
        return Answers([suite for suite in suites if suite.answers], self.of_system)

    def count(self, standing: Standing) -> int:
        """How many answers of all suites stand so."""
        return sum(suite.count(standing) for suite in self.suites)

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(len(suite.answers) for suite in self.suites)


def answers(log: Log) -> Answers:
    """The answers of the exam or of an agent system's tasks, then those of the last checkpoint. A pure function."""
    suites = []
    for phase in reversed(PHASES):
        of_suite: dict[str, list[Answer]] = {}
        for score, answer in graded(log, phase):
            of_suite.setdefault(score.suite, []).append(answer)
        suites += [
            SuiteAnswers(name=name, phase=phase, answers=sorted(told, key=_order))
            for name, told in sorted(of_suite.items())
        ]
    return Answers(suites, bool(submitted(log)))


def graded(log: Log, phase: Phase) -> list[tuple[Score, Answer]]:
    """Each answer of a phase that pass@1 is computed from, and each request of an exam that failed, with its grade."""
    part = Log(log.attempt, {kind: log.part(kind, phase) for kind in (Score, Workflow, Exec, Verdict)})
    scores = _scores(part)
    executions = {(event.suite, event.item, event.sample): event for event in part.of(Exec)}
    executed, of_suite = outcomes(executions.values()), classes(scores)
    judging, people = judges(part, scores), labels(part, scores)
    of_system = bool(submitted(part))
    rows = []
    for score in sorted(scores, key=_place):
        marked = mark(score, executed, of_suite) if score.grader in GRADERS else Mark(None, "")
        row = _answer(score, marked, executions.get(key_of(score)), of_system)
        rows.append((score, _with_judgements(row, key_of(score), judging, people)))
    return rows


def take_turns(groups: Sequence[Sequence[T]]) -> Iterator[tuple[int, T]]:
    """The first of each group, then the second of each, each after its group's place."""
    for number in range(max(map(len, groups), default=0)):
        yield from ((place, group[number]) for place, group in enumerate(groups) if number < len(group))


def fitting(turns: Iterable[tuple[int, T]], groups: int, room: int, bytes_of: Callable[[int, T], int]) -> list[int]:
    """How many of each group fit into so many bytes, in turn; each takes ``bytes_of(its group's place, it)``."""
    counts = [0] * groups
    for place, each in turns:
        room -= bytes_of(place, each)
        if room < 0:
            break
        counts[place] += 1
    return counts


def _scores(part: Log) -> list[Score]:
    if not submitted(part):
        return next(reversed(by_epoch(part).values()), [])
    try:
        return answered(part)[0]
    except Unmeasurable:
        return []


def _place(score: Score) -> tuple[str, list[Any], AnswerKey]:
    """Suite by suite, and task 2 before task 11."""
    parts = _DIGITS.split(score.item)  # words and numbers by turns
    return score.suite, [int(part) if index % 2 else part for index, part in enumerate(parts)], key_of(score)


def _order(answer: Answer) -> tuple[int, bool]:
    """What judges let fail comes before the rest that no rule can grade."""
    return STANDINGS.index(answer.standing), not answer.doubted


def _answer(score: Score, marked: Mark, execution: Exec | None, of_system: bool) -> Answer:
    program = execution.program if execution and execution.oracle != COMMAND else ""
    said = answer_of_score(score).text
    has_overlap = score.grader in ("text", "span", "cmrc2018") and not score.error
    return Answer(
        item=score.item,
        sample=score.sample,
        lang=score.lang,
        question=score.question,
        answer=said,
        extracted=program or _chosen(marked.extracted, score),
        truths=list(dict.fromkeys([_chosen(score.truth, score), *score.references])),
        standing=_standing(marked, failed=bool(score.error) and not of_system),
        reason=_reason(marked),
        overlap=overlap_of(score).f1 if has_overlap else None,
    )


def _standing(marked: Mark, *, failed: bool) -> Standing:
    if failed:
        return "failed"
    if marked.right is None:
        return "ungraded"
    return "right" if marked.right else "wrong"


def _reason(marked: Mark) -> Words:
    """Why, where more is known than right or wrong."""
    if marked.outcome in ("", "pass", "wrong"):
        return ""
    if marked.outcome == NONE:
        return text("wrong.nothing_read")
    for section in ("accuracy", "agents.ended", "reliability.failed"):
        if not isinstance(words := named(section, marked.outcome.replace(" ", "_")), str):
            return words
    return one_line(marked.outcome, _LONGEST_NAME)


def _chosen(letter: str, score: Score) -> str:
    """The letter of a choice with the text that it stands for."""
    place = ord(letter) - ord("A") if score.grader == "choice" and len(letter) == 1 else -1
    return f"{letter}: {score.choices[place]}" if 0 <= place < len(score.choices) else letter


def _with_judgements(answer: Answer, key: AnswerKey, judging: Sequence[Judge], people: dict[AnswerKey, bool]) -> Answer:
    """The answer with what judges and people say of it, each by name; a judge without a verdict is not named."""
    verdicts = [(one_line(judge.verdict.judge, _LONGEST_NAME), judge.passes(key)) for judge in judging]
    said: list[tuple[Words, bool]] = [(name, passes) for name, passes in verdicts if passes is not None]
    if key in people:
        said.append((text("answers.people"), people[key]))
    if not said:
        return answer
    told: list[Words] = [
        text("answers.judged_pass", judge=name) if passes else text("answers.judged_fail", judge=name)
        for name, passes in said
    ]
    return msgspec.structs.replace(answer, judged=told, doubted=not all(passes for _, passes in said))
