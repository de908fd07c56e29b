"""Reading comprehension in SQuAD's JSON (Rajpurkar et al. 2016): paragraphs, questions, their answer spans.

Questions without an answer (SQuAD 2.0, Rajpurkar et al. 2018) have an empty truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shosei.errors import InputError
from shosei.exam.benchmarks.entries import parse_json
from shosei.exam.benchmarks.instructions import ask, language
from shosei.text_files import read_text
from shosei.wire.suite import Task

_MAX_TOKENS = 64


def read(path: Path, suite: str, lang: str) -> list[Task]:
    """One task a question. Its answers are the truth and the references; its paragraph is its cluster.

    Where a question of the file has no answer, all of them are asked with the leave to say so.
    """
    try:
        body = parse_json(read_text(path), f"{path}:1")
        lang = lang or language(part["context"] for entry in body["data"] for part in entry["paragraphs"])
        tasks = list(_tasks(path, body, suite, lang))
    except (KeyError, TypeError, AttributeError):
        raise InputError(
            f"{path}: neither rows of questions nor in SQuAD's form (data, paragraphs, context, qas, answers): "
            "make it a list of rows with question and answer"
        ) from None
    if not tasks:
        raise InputError(f"{path} holds no questions")
    return tasks


def _tasks(path: Path, body: dict[str, Any], suite: str, lang: str) -> Iterator[Task]:
    paragraphs = [
        (f"{article}.{number}", paragraph)
        for article, entry in enumerate(body["data"])
        for number, paragraph in enumerate(entry["paragraphs"])
    ]
    leave = any(asked.get("is_impossible") for _, paragraph in paragraphs for asked in paragraph["qas"])
    for cluster, paragraph in paragraphs:
        for asked in paragraph["qas"]:
            answers = _answers(path, asked)
            text = f"{paragraph['context']}\n\n{asked['question']}"
            yield Task(
                id=str(asked["id"]),
                suite=suite,
                lang=lang,
                cluster=cluster,
                grader="span",
                messages=[{"role": "user", "content": ask(text, "span or none" if leave else "span", lang)}],
                truth=answers[0],
                references=answers[1:],
                max_tokens=_MAX_TOKENS,
                stem=asked["question"],
            )


def _answers(path: Path, asked: dict[str, Any]) -> list[str]:
    """The different answers of a question; an empty one where it is marked as impossible."""
    if asked.get("is_impossible"):
        return [""]
    if not asked["answers"]:
        raise InputError(f"{path}: question {asked['id']} has no answer and is not marked 'is_impossible'")
    return list(dict.fromkeys(str(answer["text"]) for answer in asked["answers"]))
