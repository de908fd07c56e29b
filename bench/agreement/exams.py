"""An exam of scripted answers, as ``shosei exam`` asks and grades it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agreement.questions import Question
from agreement.runs import Card, served, shosei, write_lines


@contextmanager
def answering(asked: Sequence[Question], folder: Path) -> Iterator[str]:
    """The address of a server that gives each question its scripted answer."""
    path = folder / "answers.json"
    path.write_text(json.dumps([each.answer for each in asked]))
    with served(path) as url:
        yield url


def examined(url: str, suite: Path, *options: str) -> Card:
    """The card of an exam, in a run folder beside its suite."""
    run = suite.with_name("-".join(["run", *options]))
    shosei("exam", url, "--suite", str(suite), "--run", str(run), "--model", "mock", *options)
    return Card(run)


def suite_file(folder: Path, name: str, grader: str, asked: Iterable[Question]) -> Path:
    return write_lines(folder / "suite.jsonl", [_task(name, grader, each) for each in asked])


def _task(suite: str, grader: str, question: Question) -> dict[str, Any]:
    name = question.text.split()[0]
    messages = [{"role": "user", "content": question.text}]
    fields = {"id": name, "suite": suite, "lang": "en", "cluster": name, "grader": grader}
    return fields | {"messages": messages, "truth": question.truth}


def squad_files(folder: Path, asked: Iterable[Question]) -> tuple[Path, Path]:
    """The questions in SQuAD's form, and what was answered in the form that its script reads."""
    dataset, predictions = folder / "dataset.json", folder / "predictions.json"
    paragraphs = [_paragraph(place, each) for place, each in enumerate(asked)]
    dataset.write_text(json.dumps({"version": "1.1", "data": [{"title": "made up", "paragraphs": paragraphs}]}))
    predictions.write_text(json.dumps({str(place): each.answer for place, each in enumerate(asked)}))
    return dataset, predictions


def _paragraph(place: int, question: Question) -> dict[str, Any]:
    answers = [{"text": text, "answer_start": 0} for text in (question.truth, *question.references)]
    return {
        "context": question.context,
        "qas": [{"id": str(place), "question": question.text, "answers": answers}],
    }
