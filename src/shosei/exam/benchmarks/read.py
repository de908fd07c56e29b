"""Which reader a file is for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from shosei.errors import InputError
from shosei.exam.benchmarks import humaneval, questions, squad
from shosei.exam.benchmarks.columns import HEADINGS, unused
from shosei.exam.benchmarks.entries import Schema
from shosei.files import sha256
from shosei.metrics.grading.numbers import true_number
from shosei.text_files import read_text
from shosei.wire.suite import Task, read_suite
from shosei.wrong_path import SUITE, SUITE_ENDINGS, wrong_path

_FOREIGN = (".xlsx", ".xls", ".ods", ".parquet", ".txt", ".docx", ".pdf", ".arrow")

_FREE_TEXT = ("text", "span")

AS_IT_LOOKS = Schema()


def benchmark_files(*paths: Path) -> list[Path]:
    """The files among ``paths`` and, in name order, the data files of the folders among them.

    Raises InputError for a folder that has none, and for a file that is named twice.
    """
    files = [file for path in paths for file in _files_of(path)]
    for file, count in Counter(file.resolve() for file in files).items():
        if count > 1:
            raise InputError(f"{file} is named {count} times: name it once")
    return files


def benchmark_hashes(*paths: Path) -> dict[str, str]:
    """SHA-256 of each file, by ``suite:NAME``. Raises InputError for two files of one name."""
    hashes: dict[str, str] = {}
    for file in benchmark_files(*paths):
        if hashes.setdefault(f"suite:{file.stem}", digest := sha256(file)) != digest:
            raise InputError(f"{file}: another file is called '{file.stem}' as well: give each suite a name of its own")
    return hashes


def _files_of(path: Path) -> list[Path]:
    if not path.exists() or (path.is_dir() and not SUITE.is_at(path)):
        raise wrong_path(path, SUITE)
    return sorted(file for file in path.iterdir() if file.name.endswith(SUITE_ENDINGS)) if path.is_dir() else [path]


def read_benchmarks(*paths: Path, schema: Schema = AS_IT_LOOKS) -> list[Task]:
    """The tasks of files and folders as if they were one. Raises InputError that names file and line."""
    seen: dict[tuple[str, str], Path] = {}
    tasks = []
    for file in benchmark_files(*paths):
        for task in read_benchmark(file, schema):
            if other := seen.get((task.suite, task.id)):
                where = f"{file}" if other == file else f"{other} and {file}"
                raise InputError(f"{where}: suite '{task.suite}' has two tasks with the id '{task.id}'")
            seen[task.suite, task.id] = file
            tasks.append(task)
    return tasks


def read_benchmark(file: Path, schema: Schema = AS_IT_LOOKS) -> list[Task]:
    """The tasks of one file. Raises InputError that names the file and the line."""
    tasks = _read(file, schema)
    return _graded_by(schema.f1, tasks, file) if schema.f1 else tasks


def _graded_by(rule: str, tasks: Sequence[Task], file: Path) -> list[Task]:
    """The tasks, those of free text by a benchmark's own rule. Raises InputError: there are none."""
    if not any(task.grader in _FREE_TEXT for task in tasks):
        raise InputError(f"{file}: --f1 {rule} grades free text, and no task of the file is one: leave --f1 out")
    return [replace(task, grader=rule) if task.grader in _FREE_TEXT else task for task in tasks]


def _read(file: Path, schema: Schema) -> list[Task]:
    if file.name.endswith(_FOREIGN):
        raise InputError(f"{file}: {file.suffix} is not read: save it as CSV in UTF-8, or as JSON Lines")
    suite = file.name.removesuffix(".gz").rpartition(".")[0] or file.name
    match schema.form or _looks_like(file, schema):
        case "shosei":
            return _with_readable_truths(file, read_suite(file))
        case "humaneval":
            return humaneval.read(file, suite, schema.columns, schema.lang)
        case "squad":
            return squad.read(file, suite, schema.lang)
        case _:
            return questions.read(file, suite, schema)


def unused_columns(file: Path, schema: Schema = AS_IT_LOOKS) -> list[str]:
    """The columns of a table that nothing is made of; none in another format. Raises as ``read_benchmark``."""
    if (schema.form or _looks_like(file, schema)) != "table":
        return []
    return unused(questions.entries_of(file, schema), schema.columns)


def _with_readable_truths(file: Path, tasks: list[Task]) -> list[Task]:
    for task in tasks:
        try:
            if task.grader == "number":
                true_number(task.truth, task.lang == "ja")
        except ValueError as error:
            raise InputError(f"{file}: the truth of task '{task.id}', {error}") from None
    return tasks


def _looks_like(file: Path, schema: Schema) -> str:
    name = file.name.removesuffix(".gz")
    if name.endswith((".csv", ".tsv")):
        return "table"
    text = read_text(file)
    if text.split() in (["[]"], ["[", "]"]):
        return "table"  # whose reader says that there are no rows
    keys, is_only_one = _first_object(text)
    if {"messages", "grader"} <= keys:
        return "shosei"
    if keys & {"test", "test_list"} and keys & {"prompt", "text"}:
        return "humaneval"
    if name.endswith(".json") and is_only_one and not keys & {*HEADINGS, *schema.columns.values()}:
        return "squad"
    return "table" if keys else "shosei"  # whose reader says what is wrong with the line


def _first_object(text: str) -> tuple[set[str], bool]:
    """The keys of a file's first object, be it the first of an array or of lines; whether the file is this object."""
    text = text.lstrip()
    try:
        first, end = json.JSONDecoder().raw_decode(text.removeprefix("[").lstrip())
    except (ValueError, RecursionError):
        return set(), True
    return set(first) if isinstance(first, dict) else set(), not text[end:].strip()
