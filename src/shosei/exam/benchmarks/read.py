"""Which reader a file is for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from shosei.errors import InputError, nearest
from shosei.exam.benchmarks import humaneval, questions, squad
from shosei.exam.benchmarks.records import read_text
from shosei.wire.suite import Task, read_suite

FORMATS = ("shosei", "humaneval", "table", "squad")
_ENDINGS = (".jsonl", ".csv", ".tsv", ".json", ".jsonl.gz", ".csv.gz", ".tsv.gz", ".json.gz")


def benchmark_files(path: Path) -> list[Path]:
    """``path`` itself, or the data files of a folder in name order. Raises InputError if it has none."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.name.endswith(_ENDINGS))
    if not files:
        raise InputError(f"{path} holds no {', '.join('*' + ending for ending in _ENDINGS[:4])} files")
    return files


def read_benchmarks(
    path: Path,
    form: str = "",
    columns: Mapping[str, str] | None = None,
    *,
    lang: str = "",
    grader: str = "",
    labels: Mapping[str, str] | None = None,
) -> list[Task]:
    """The tasks of a file, or of a folder's files as if they were one. Raises InputError that names file and line."""
    tasks = [
        task
        for file in benchmark_files(path)
        for task in read_benchmark(file, form, columns, lang=lang, grader=grader, labels=labels)
    ]
    seen: set[tuple[str, str]] = set()
    for task in tasks:
        if (task.suite, task.id) in seen:
            raise InputError(f"{path}: suite '{task.suite}' has two tasks with the id '{task.id}'")
        seen.add((task.suite, task.id))
    return tasks


def read_benchmark(
    file: Path,
    form: str = "",
    columns: Mapping[str, str] | None = None,
    *,
    lang: str = "",
    grader: str = "",
    labels: Mapping[str, str] | None = None,
) -> list[Task]:
    """The tasks of one file, of the format ``form``, or of the one that it looks like."""
    if form and form not in FORMATS:
        raise InputError(f"unknown format '{form}'{nearest(form, FORMATS)}: choose one of {', '.join(FORMATS)}")
    if grader and grader not in questions.GRADERS:
        raise InputError(f"a table's grader is one of {', '.join(questions.GRADERS)}, not '{grader}'")
    suite = file.name.removesuffix(".gz").rpartition(".")[0] or file.name
    match form or _looks_like(file):
        case "shosei":
            return read_suite(file)
        case "humaneval":
            return humaneval.read(file, suite, columns or {}, lang)
        case "squad":
            return squad.read(file, suite, lang)
        case _:
            return questions.read(file, suite, columns or {}, lang, grader, labels or {})


def _looks_like(file: Path) -> str:
    name = file.name.removesuffix(".gz")
    if name.endswith((".csv", ".tsv")):
        return "table"
    if name.endswith(".json"):
        return "squad"
    line = next((line for line in read_text(file).split("\n") if line.strip()), "")
    try:
        first = json.loads(line)
    except ValueError:
        return "shosei"  # whose reader says what is wrong with the line
    keys = set(first) if isinstance(first, dict) else set()
    if {"messages", "grader"} <= keys or not keys:
        return "shosei"
    return "humaneval" if keys & {"test", "test_list"} and keys & {"prompt", "text"} else "table"
