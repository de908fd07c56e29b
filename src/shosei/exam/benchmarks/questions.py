"""Tables of questions: with an answer, with choices, or with a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shosei.errors import InputError
from shosei.exam.benchmarks.choices import LETTERS, ChoiceEntry, Choices, choices_of, right_letters
from shosei.exam.benchmarks.columns import (
    ANSWER,
    HEADINGS,
    ID,
    QUESTION,
    passage_of,
    refuse_unused_choices,
    with_plain_question,
)
from shosei.exam.benchmarks.csv_table import table
from shosei.exam.benchmarks.entries import Entry, Schema, json_entries
from shosei.exam.benchmarks.graders import answer_text, choices_in, graders_of
from shosei.exam.benchmarks.instructions import ask, languages
from shosei.metrics.grading.numbers import true_number, truth_text
from shosei.wire.suite import Task

_MAX_TOKENS = {"number": 512, "choice": 32, "label": 32, "text": 64, "exact": 64, "judge": 512}


@dataclass(frozen=True)
class _Row:
    """An entry as it is understood. ``listed``: the question lists its choices itself."""

    entry: Entry
    references: Sequence[str]
    question: str
    passage: str
    lang: str
    grader: str
    choices: Sequence[str]
    listed: bool
    truth: str


def read(path: Path, suite: str, schema: Schema) -> list[Task]:
    """A question, perhaps a passage, perhaps choices (a list, columns, or within the question), an answer or a label.

    The grader, unless named: ``choice`` where there are choices, ``label`` where the answer's column is called so,
    and else that of each row: ``number`` where the answer is one, else ``text``. Raises InputError.
    """
    entries = entries_of(path, schema)
    if schema.grader in ("", "choice"):
        refuse_unused_choices(entries, schema.columns)
    rows = _rows(entries, schema)
    labels = tuple(sorted({row.truth for row in rows if row.grader == "label"}))
    spans = all(row.truth in row.passage for row in rows)
    clusters: dict[str, str] = {}
    return [_task(row, number, suite, labels, spans, clusters) for number, row in enumerate(rows, 1)]


def entries_of(path: Path, schema: Schema) -> list[Entry]:
    """The rows of a table in CSV, TSV or JSON. Raises InputError."""
    name = path.name.removesuffix(".gz")
    if name.endswith((".csv", ".tsv")):
        entries = table(path, "\t" if name.endswith(".tsv") else ",", schema.columns, sorted(HEADINGS))
    else:
        entries = json_entries(path, schema.columns)
    return [with_plain_question(entry) for entry in entries]


def _rows(entries: Sequence[Entry], schema: Schema) -> list[_Row]:
    divided = [_first_answer(entry) for entry in entries]
    entries = [entry for entry, _ in divided]
    graders = graders_of(entries, [bool(references) for _, references in divided], schema.grader)
    questions = [entry.text("question", QUESTION).strip() for entry in entries]
    langs = [schema.lang] * len(entries) if schema.lang else languages(questions)
    choices, listed = [Choices() for _ in entries], [False] * len(entries)
    if graders[0] == "choice":
        own = [choices_of(entry) for entry in entries]
        listed = [not each.values for each in own]
        choices = [each if each.values else choices_in(question) for each, question in zip(own, questions, strict=True)]
        rows = [ChoiceEntry(entry, _given(entry), of_row) for entry, of_row in zip(entries, choices, strict=True)]
        truths = right_letters(rows, schema.answer_is)
    else:
        truths = [_truth(*each, schema.labels) for each in zip(entries, graders, langs, strict=True)]
    return [
        _Row(entry, references, question, passage_of(entry), lang, grader, of_row.texts, is_listed, truth)
        for (entry, references), question, lang, grader, of_row, is_listed, truth in zip(
            divided, questions, langs, graders, choices, listed, truths, strict=True
        )
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


def _truth(entry: Entry, grader: str, lang: str, labels: Mapping[str, str]) -> str:
    answer = answer_text(entry)
    match grader:
        case "number":
            try:
                return truth_text(true_number(answer, lang == "ja"))
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


def _task(row: _Row, number: int, suite: str, labels: tuple[str, ...], spans: bool, clusters: dict[str, str]) -> Task:
    """``clusters`` has the first id of each passage: questions about the same text are not independent."""
    lines = [] if row.listed else [f"{letter}. {text}" for letter, text in zip(LETTERS, row.choices, strict=False)]
    text = "\n".join([row.question, *lines])
    entry, grader = row.entry, row.grader
    name = entry.get("id", ID)
    id = str(name if name is not None else number)
    if row.references and grader not in ("text", "exact", "judge"):
        count = 1 + len(row.references)
        raise InputError(f"{entry.where}: there are {count} answers, and the grader '{grader}' takes one")
    wanted = "span" if grader == "text" and spans else grader
    asked = ask(f"{row.passage}\n\n{text}" if row.passage else text, wanted, row.lang, labels)
    return Task(
        id=id,
        suite=suite,
        lang=row.lang,
        cluster=clusters.setdefault(row.passage, id) if row.passage else id,
        grader=grader,
        truth=row.truth,
        messages=[{"role": "user", "content": asked}],
        stem=row.question,
        references=list(row.references),
        max_tokens=_MAX_TOKENS[grader],
        solution=entry.text("answer", ANSWER) if grader == "number" else "",
        choices=list(row.choices),
    )
