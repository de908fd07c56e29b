"""Tables of questions: with an answer, with choices, or with a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shosei.errors import InputError
from shosei.exam.benchmarks.choices import LETTERS, ChoiceEntry, Choices, choices_of, right_letters
from shosei.exam.benchmarks.entries import Entry, Schema, json_entries, table
from shosei.exam.benchmarks.instructions import ask, language
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
    "問題",
    "質問",
    "问题",
    "题目",
    "題目",
)
LABEL = ("label", "intent", "category", "class", "sentiment", "ラベル", "分類", "标签", "分类", "類別")
ANSWER = (
    "answer",
    "Answer",
    "answerKey",
    "target",
    "output",
    "solution",
    "答え",
    "回答",
    "解答",
    "正解",
    "答案",
    *LABEL,
)
ID = ("id", "task_id", "qid", "q_id")
HEADINGS = {*QUESTION, *ANSWER}
_MAX_TOKENS = {"number": 512, "choice": 32, "label": 32, "text": 64, "exact": 64}


def read(path: Path, suite: str, schema: Schema) -> list[Task]:
    """A question, perhaps choices (a list, columns A B C …, or choice0 choice1 …), and an answer or a label.

    The grader, unless named: ``choice`` where there are choices, ``label`` where the answer's column is called so,
    ``number`` where every answer ends in one, else ``text``.
    """
    name = path.name.removesuffix(".gz")
    if name.endswith((".csv", ".tsv")):
        entries = table(path, "\t" if name.endswith(".tsv") else ",", schema.columns, sorted(HEADINGS))
    else:
        entries = json_entries(path, schema.columns)
    divided = [_first_answer(entry) for entry in entries]
    entries = [entry for entry, _ in divided]
    grader = schema.grader or _grader(entries)
    choices = [choices_of(entry) if grader == "choice" else Choices() for entry in entries]
    if grader == "choice":
        rows = [ChoiceEntry(entry, _given(entry), of_row) for entry, of_row in zip(entries, choices, strict=True)]
        truths = right_letters(rows, schema.answer_is)
    else:
        truths = [_truth(entry, grader, schema.labels) for entry in entries]
    lang = schema.lang or language(entry.text("question", QUESTION) for entry in entries)
    labels = tuple(sorted(set(truths))) if grader == "label" else ()
    return [
        _task(entry, number, truth, references, of_row.texts, suite, lang, grader, labels)
        for number, ((entry, references), truth, of_row) in enumerate(zip(divided, truths, choices, strict=True), 1)
    ]


def _first_answer(entry: Entry) -> tuple[Entry, list[str]]:
    """The entry with the first of its right answers, and the others. Raises InputError for what is not an answer."""
    answer = entry.get("answer", ANSWER)
    answers = answer if isinstance(answer, list) else [answer]
    if not answers or any(isinstance(each, list | dict) for each in answers):
        raise InputError(f"{entry.where}: the answer is neither a text nor a list of texts")
    if answer is answers[0]:
        return entry, []
    first, *others = answers
    column = next(name for name in ANSWER if entry.columns.get(name) is answer)
    return replace(entry, columns={**entry.columns, column: first}), [str(other).strip() for other in others]


def _grader(entries: Sequence[Entry]) -> str:
    if choices_of(entries[0]).values:
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
        case "label" if labels:
            if answer not in labels:
                raise InputError(f"{entry.where}: no --label names '{answer}'; {', '.join(labels)} are named")
            return labels[answer]
    if not answer:
        raise InputError(f"{entry.where}: the answer is empty")
    return answer


def _given(entry: Entry) -> Any:
    """The answer as the file has it. Raises InputError: there is none."""
    answer = entry.get("answer", ANSWER)
    if answer is None:
        entry.text("answer", ANSWER)
        raise InputError(f"{entry.where}: the answer is empty")
    return answer


def _task(
    entry: Entry,
    number: int,
    truth: str,
    references: Sequence[str],
    choices: Sequence[str],
    suite: str,
    lang: str,
    grader: str,
    labels: tuple[str, ...],
) -> Task:
    question = entry.text("question", QUESTION).strip()
    text = "\n".join([question, *(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))])
    name = entry.get("id", ID)
    if references and grader not in ("text", "exact"):
        raise InputError(f"{entry.where}: there are {1 + len(references)} answers, and the grader '{grader}' takes one")
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
        references=list(references),
        max_tokens=_MAX_TOKENS[grader],
        solution=given if grader == "number" else "",
        choices=list(choices),
    )
