"""Tables of questions: with an answer, with choices, or with a label."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shosei.errors import InputError
from shosei.exam.benchmarks.entries import Entry, json_lines, table
from shosei.exam.benchmarks.wording import ask, language
from shosei.metrics.grading.numbers import true_number, truth_text
from shosei.wire.suite import Task

QUESTION = (
    "question",
    "Question",
    "text",
    "sentence",
    "sent",
    "review",
    "query",
    "utterance",
    "input",
    "problem",
    "content",
)
LABEL = ("label", "intent", "category", "class", "sentiment")
ANSWER = ("answer", "Answer", "target", "output", "solution", *LABEL)
ID = ("id", "task_id", "qid", "q_id")
HEADINGS = {*QUESTION, *ANSWER}
GRADERS = ("number", "choice", "label", "text", "exact")

_MAX_TOKENS = {"number": 512, "choice": 32, "label": 32, "text": 64, "exact": 64}
_LETTERS = string.ascii_uppercase


def read(
    path: Path, suite: str, columns: Mapping[str, str], lang: str, grader: str, labels: Mapping[str, str]
) -> list[Task]:
    """A question, perhaps choices (a list, columns A B C …, or choice0 choice1 …), and an answer or a label.

    ``grader``, unless named: ``choice`` where there are choices, ``label`` where the answer's column is called so,
    ``number`` where every answer ends in one, else ``text``. ``labels`` renames labels (1 -> 正面).
    """
    name = path.name.removesuffix(".gz")
    if name.endswith((".csv", ".tsv")):
        entries = table(path, "\t" if name.endswith(".tsv") else ",", columns, sorted(HEADINGS))
    else:
        entries = json_lines(path, columns)
    kind = grader or _grader(entries)
    truths = [_truth(entry, kind, labels) for entry in entries]
    lang = lang or language(entry.text("question", QUESTION) for entry in entries)
    known = tuple(sorted(set(truths))) if kind == "label" else ()
    return [
        _task(entry, number, truth, suite, lang, kind, known)
        for number, (entry, truth) in enumerate(zip(entries, truths, strict=True), 1)
    ]


def _grader(entries: Sequence[Entry]) -> str:
    if _choices(entries[0]):
        return "choice"
    if entries[0].get("answer", [name for name in ANSWER if name not in LABEL]) is None:
        return "label"
    answers = [entry.text("answer", ANSWER).strip() for entry in entries]
    if all((answer[-1:].isdigit() or "####" in answer) and _is_number(answer) for answer in answers):
        return "number"
    return "text"


def _is_number(answer: str) -> bool:
    try:
        true_number(answer)
    except ValueError:
        return False
    return True


def _truth(entry: Entry, grader: str, labels: Mapping[str, str]) -> str:
    answer = entry.text("answer", ANSWER).strip()
    match grader:
        case "number":
            try:
                return truth_text(true_number(answer))
            except ValueError as error:
                raise InputError(f"{entry.where}: the answer {error}: give the number alone, or after ####") from None
        case "choice":
            return _letter(answer, _choices(entry), entry.where)
        case "label" if labels:
            if answer not in labels:
                raise InputError(f"{entry.where}: no --label names '{answer}'; {', '.join(labels)} are named")
            return labels[answer]
    if not answer:
        raise InputError(f"{entry.where}: the answer is empty")
    return answer


def _letter(answer: str, choices: Sequence[str], where: str) -> str:
    """The letter of the right choice, which may be given as a letter, as a number from 0, or as its text."""
    if len(answer) == 1 and answer.upper() in _LETTERS[: len(choices)]:
        return answer.upper()
    if answer.isdecimal() and int(answer) < len(choices) and answer not in choices:
        return _LETTERS[int(answer)]
    if answer in choices:
        return _LETTERS[choices.index(answer)]
    raise InputError(f"{where}: '{answer}' is none of the {len(choices)} choices")


def _choices(entry: Entry) -> list[str]:
    listed: Any = entry.get("choices", ("options",))
    if isinstance(listed, dict):
        listed = listed.get("text") or list(listed.values())
    if isinstance(listed, list):
        return [str(each) for each in listed]
    for names in (_LETTERS[:10], [f"choice{number}" for number in range(10)]):
        if found := [str(entry.columns[name]) for name in names if entry.columns.get(name) not in (None, "")]:
            return found
    return []


def _task(entry: Entry, number: int, truth: str, suite: str, lang: str, grader: str, labels: tuple[str, ...]) -> Task:
    question = entry.text("question", QUESTION).strip()
    choices = _choices(entry) if grader == "choice" else []
    text = "\n".join([question, *(f"{letter}. {choice}" for letter, choice in zip(_LETTERS, choices, strict=False))])
    name = entry.get("id", ID)
    given = entry.text("answer", ANSWER)
    return Task(
        id=str(name if name is not None else number),
        suite=suite,
        lang=lang,
        cluster=str(name if name is not None else number),
        grader=grader,
        truth=truth,
        messages=[{"role": "user", "content": ask(text, grader, lang, labels)}],
        stem=question,
        max_tokens=_MAX_TOKENS[grader],
        solution=given if grader == "number" else "",
    )
