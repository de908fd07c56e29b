"""Grading: raw answers beside their truths become right or wrong, the same way for training and for inference.

Pure functions. Any change of what they return takes a new ``GRADING_VERSION``, because it makes scores incomparable.
The rules stand in docs/grading.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from shosei.log.answer_events import Exec, Score
from shosei.metrics.grading import cmrc2018
from shosei.metrics.grading.answer import CUT_IN_THOUGHT, SplitAnswer, normalise, split_thought
from shosei.metrics.grading.choices import choice
from shosei.metrics.grading.free_text import exact_match
from shosei.metrics.grading.labels import label
from shosei.metrics.grading.numbers import equals_truth, final_number, written
from shosei.metrics.grading.programs import extract_code
from shosei.metrics.grading.short_answer import gives_reference

GRADING_VERSION = 2
COMMAND = "command"  # the grader whose verdict is the exit code of a program of the user's
JUDGE = "judge"  # the grader of tasks that no rule can grade; what a judge says of them is kept apart

Outcomes = Mapping[tuple[str, str, int], str]
Classes = Mapping[str, Collection[str]]


class Mark(NamedTuple):
    """What an answer got. ``right`` is None where no rule can tell: a program was not run, a command said nothing, or
    the task is for a judge.

    ``extracted`` is what was graded of the answer. ``outcome``: of a program or command; or the request's error; or why
    nothing was extracted: ``none``, ``ambiguous``, ``cut in thought``; else empty.
    """

    right: bool | None
    extracted: str
    outcome: str = ""


def outcomes(executions: Iterable[Exec]) -> dict[tuple[str, str, int], str]:
    """What became of each executed program, or what a command said of an answer, by (suite, item, sample).

    It is the second argument of ``grade``.
    """
    return {(event.suite, event.item, event.sample): event.outcome for event in executions}


def classes(scores: Iterable[Score]) -> dict[str, set[str]]:
    """The classes of each suite of labels, which are the truths asked for: the third argument of ``grade``."""
    of_suite: dict[str, set[str]] = {}
    for score in scores:
        if score.grader == "label":
            of_suite.setdefault(score.suite, set()).add(score.truth)
    return of_suite


def grade(score: Score, outcomes: Outcomes, classes: Classes | None = None) -> bool | None:
    """Whether the answer is right; a failed request is a wrong answer. Raises ValueError as ``mark`` does."""
    return mark(score, outcomes, classes).right


def mark(score: Score, outcomes: Outcomes, classes: Classes | None = None) -> Mark:
    """Grade an answer. Of a thought nothing is graded; an answer that was cut off in one is wrong.

    Raises ValueError for a grader this version does not know.
    """
    if score.grader == JUDGE:
        return Mark(None, "", score.error)
    if score.error:
        return Mark(False, "", score.error)
    key = score.suite, score.item, score.sample
    if score.grader == COMMAND:
        return _of_command(outcomes.get(key, "infra"))
    text, _, cut = answer_of_score(score)
    if score.grader == "python":
        return _of_program(text, cut, outcomes.get(key, "infra"))
    if cut:
        return Mark(False, "", CUT_IN_THOUGHT)
    rights = [score.truth, *score.references]
    match score.grader:
        case "exact":
            return Mark(normalise(text) in map(normalise, rights), normalise(text))
        case "text":
            return Mark(gives_reference(text, rights, score.lang, score.question), normalise(text))
        case "span":
            return Mark(exact_match(text, rights, score.lang), normalise(text))
        case "cmrc2018":
            return Mark(cmrc2018.exact_match(text, rights), normalise(text))
        case "number":
            final = final_number(text, score.lang == "ja")
            if final.number is None or final.value is None:
                return Mark(False, "", final.outcome)
            return Mark(equals_truth(final.number, score.truth, score.lang == "ja"), written(final.value))
        case "choice":
            letter, why = choice(text, score.truth, score.choices, score.question)
            return Mark(letter == score.truth, letter, why)
        case "label":
            name, why = label(text, {score.truth, *(classes or {}).get(score.suite, ())})
            return Mark(name == score.truth, name, why)
    raise ValueError(f"no grader '{score.grader}'")


def answer_of_score(score: Score) -> SplitAnswer:
    """What an answer says and thinks. A server may keep thoughts apart: one that says nothing was cut at the limit."""
    text, thought, cut = split_thought(score.answer)
    silent = score.reasoning and score.finish_reason == "length" and not text.strip()
    return SplitAnswer(text, score.reasoning + thought, cut or bool(silent))


def _of_program(text: str, cut: bool, outcome: str) -> Mark:
    if cut and outcome == "no code":
        return Mark(False, "", CUT_IN_THOUGHT)
    return Mark(None if outcome == "infra" else outcome == "pass", extract_code(text), outcome)


def _of_command(outcome: str) -> Mark:
    return Mark({"pass": True, "wrong": False}.get(outcome), "", outcome)
