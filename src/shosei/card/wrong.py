"""The wrong tasks of an agent system at a glance: what was asked, expected and answered, and who worked on it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from shosei.card.excerpt import one_line
from shosei.card.words import named
from shosei.log import Exec, Log, Request, Score, Workflow
from shosei.metrics.grading.answer import NONE
from shosei.metrics.grading.grade import Mark, answer_of_score, classes, mark, outcomes
from shosei.metrics.metric import Words, text
from shosei.metrics.observed.tasks import by_task, calls, names, submitted
from shosei.wire.suite import GRADERS

MOST = 20  # on the card, which must stay small enough to mail
LONGEST = 200  # characters of a question or an answer, half as many Chinese or Japanese ones
_MOST_STEPS = 12


class Step(msgspec.Struct, frozen=True):
    """Calls in a row of one agent."""

    agent: Words
    calls: int


class WrongTask(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of a task that was not solved. Long texts are cut; ``""`` where nothing is known or told."""

    task: str
    lang: str
    question: str
    expected: str
    answer: str
    reason: Words  # graded wrong, or how the task ended
    detail: Words = ""
    steps: list[Step] = []
    more_steps: int = 0

    @property
    def why(self) -> Sequence[Words]:
        """Why it was not solved."""
        return [self.reason, self.detail] if self.detail else [self.reason]

    @property
    def turns(self) -> Sequence[Words]:
        """Which agents worked on it, in turn; each with its calls in a row, where they are several."""
        turns = [
            text("wrong.in_a_row", agent=step.agent, calls=step.calls) if step.calls > 1 else step.agent
            for step in self.steps
        ]
        return [*turns, text("wrong.more_steps", count=self.more_steps)] if self.more_steps else turns


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """``count`` of ``of`` samples are wrong; ``rows`` are the first of them. ``ungraded``: no rule could grade them."""

    count: int
    of: int
    ungraded: int
    rows: list[WrongTask]
    answers: bool = True  # whether questions and answers are told

    @property
    def graded(self) -> int:
        """How many are known to be right or wrong."""
        return self.of - self.ungraded

    @property
    def more(self) -> int:
        """How many are not among the rows."""
        return self.count - len(self.rows)


def wrong(log: Log, most: int | None = MOST, *, answers: bool = True) -> Wrong | msgspec.UnsetType:
    """What an agent system got wrong, in the order of submission; nothing where nobody graded its tasks.

    ``answers``: also what was asked, expected and said.
    """
    graded = _graded(log)
    if not graded:
        return msgspec.UNSET
    failed = [(task, score, marked) for task, score, marked in graded if not marked.right]
    made = calls(log)[1]
    tasks, named_agents = by_task(made), names(made)
    several = len({task.suite for task, _, _ in graded}) > 1, any(task.sample for task, _, _ in graded)
    rows = [
        _row(_name(task, *several), task, score, marked, _steps(tasks.get(task.task, []), named_agents))
        for task, score, marked in failed[:most]
    ]
    told = rows if answers else [_silent(row) for row in rows]
    of = len(submitted(log))
    return Wrong(count=len(failed), of=of, ungraded=of - len(graded), rows=told, answers=answers)


def _graded(log: Log) -> list[tuple[Workflow, Score | None, Mark]]:
    """Each sample with its answer and mark; a task that failed is wrong, whoever could not grade its answer."""
    scores = {(score.suite, score.item, score.sample): score for score in log.of(Score) if score.task}
    executed, of_suite = outcomes(log.of(Exec)), classes(scores.values())
    found: list[tuple[Workflow, Score | None, Mark]] = []
    for task in sorted(submitted(log), key=lambda task: task.scheduled_ns):
        score = scores.get((task.suite, task.item, task.sample))
        if task.error:
            found.append((task, score, Mark(False, "", task.error)))
        elif score and score.grader in GRADERS:
            found.append((task, score, mark(score, executed, of_suite)))
    return [entry for entry in found if entry[2].right is not None]


def _name(task: Workflow, several_suites: bool, several_samples: bool) -> str:
    return f"{task.suite}/" * several_suites + task.item + f"#{task.sample}" * several_samples


def _row(name: str, task: Workflow, score: Score | None, marked: Mark, steps: list[Step]) -> WrongTask:
    reason, detail = _why(task, marked)
    return WrongTask(
        task=name,
        lang=score.lang if score else "",
        question=one_line(score.question, LONGEST) if score else "",
        expected=one_line(score.truth, LONGEST) if score else "",
        answer=one_line(answer_of_score(score).text, LONGEST) if score else "",
        reason=reason,
        detail=detail,
        steps=steps[:_MOST_STEPS],
        more_steps=len(steps[_MOST_STEPS:]),
    )


def _why(task: Workflow, marked: Mark) -> tuple[Words, Words]:
    """In a few words, and what is known besides."""
    if task.error == "budget":
        return text("agents.ended.budget"), named("agents", task.message)
    if task.error:
        return named("agents.ended", task.error.replace(" ", "_")), one_line(task.message, LONGEST)
    if marked.outcome == NONE:
        return text("wrong.graded"), text("wrong.nothing_read")
    outcome = marked.outcome.replace("wrong", "").replace(" ", "_")
    return text("wrong.graded"), outcome and named("accuracy", outcome)


def _steps(made: Sequence[Request], named_agents: dict[str, Words]) -> list[Step]:
    turns = itertools.groupby(made, lambda call: call.agent)
    return [Step(named_agents[agent], len(list(in_a_row))) for agent, in_a_row in turns]


def _silent(row: WrongTask) -> WrongTask:
    """Without anything that the task, the system or its model said."""
    detail = "" if isinstance(row.detail, str) else row.detail
    return msgspec.structs.replace(row, question="", expected="", answer="", detail=detail)
