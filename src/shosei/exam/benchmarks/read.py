"""Which reader a file is for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shosei.errors import InputError, nearest
from shosei.exam.benchmarks import humaneval, questions, squad
from shosei.exam.benchmarks.entries import read_text
from shosei.metrics.grading.numbers import true_number
from shosei.wire.suite import Task, read_suite

FORMATS = ("shosei", "humaneval", "table", "squad")
_ENDINGS = (".jsonl", ".csv", ".tsv", ".json", ".jsonl.gz", ".csv.gz", ".tsv.gz", ".json.gz")


@dataclass(frozen=True)
class Schema:
    """What a user says of a file. ``form`` is its format; empty: the one that it looks like.

    ``columns`` gives our names of fields the file's own; ``labels`` gives its labels names. Empty ``lang`` and
    ``grader`` follow from the tasks. Raises InputError for a format or a grader that there is not.
    """

    form: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    lang: str = ""
    grader: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.form and self.form not in FORMATS:
            options = ", ".join(FORMATS)
            raise InputError(f"unknown format '{self.form}'{nearest(self.form, FORMATS)}: choose one of {options}")
        if self.grader and self.grader not in questions.GRADERS:
            raise InputError(f"a table's grader is one of {', '.join(questions.GRADERS)}, not '{self.grader}'")


AS_IT_LOOKS = Schema()


def benchmark_files(path: Path) -> list[Path]:
    """``path`` itself, or the data files of a folder in name order. Raises InputError if it has none."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.name.endswith(_ENDINGS))
    if not files:
        raise InputError(f"{path} holds no {', '.join('*' + ending for ending in _ENDINGS[:4])} files")
    return files


def read_benchmarks(path: Path, schema: Schema = AS_IT_LOOKS) -> list[Task]:
    """The tasks of a file, or of a folder's files as if they were one. Raises InputError that names file and line."""
    tasks = [task for file in benchmark_files(path) for task in read_benchmark(file, schema)]
    seen: set[tuple[str, str]] = set()
    for task in tasks:
        if (task.suite, task.id) in seen:
            raise InputError(f"{path}: suite '{task.suite}' has two tasks with the id '{task.id}'")
        seen.add((task.suite, task.id))
    return tasks


def read_benchmark(file: Path, schema: Schema = AS_IT_LOOKS) -> list[Task]:
    """The tasks of one file. Raises InputError that names the file and the line."""
    suite = file.name.removesuffix(".gz").rpartition(".")[0] or file.name
    match schema.form or _looks_like(file):
        case "shosei":
            return _with_readable_truths(file, read_suite(file))
        case "humaneval":
            return humaneval.read(file, suite, schema.columns, schema.lang)
        case "squad":
            return squad.read(file, suite, schema.lang)
        case _:
            return questions.read(file, suite, schema.columns, schema.lang, schema.grader, schema.labels)


def _with_readable_truths(file: Path, tasks: list[Task]) -> list[Task]:
    for task in tasks:
        try:
            if task.grader == "number":
                true_number(task.truth, task.lang == "ja")
        except ValueError as error:
            raise InputError(f"{file}: the truth of task '{task.id}', {error}") from None
    return tasks


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
