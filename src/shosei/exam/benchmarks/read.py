"""Which reader a file is for."""

from __future__ import annotations

import json
from pathlib import Path

from shosei.errors import InputError
from shosei.exam.benchmarks import humaneval, questions, squad
from shosei.exam.benchmarks.schema import Schema
from shosei.files import read_text
from shosei.wire.suite import Task, read_suite

_ENDINGS = (".jsonl", ".csv", ".tsv", ".json", ".jsonl.gz", ".csv.gz", ".tsv.gz", ".json.gz")


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
    match schema.form or _looks_like(file, schema):
        case "shosei":
            return read_suite(file)
        case "humaneval":
            return humaneval.read(file, suite, schema.columns, schema.lang)
        case "squad":
            return squad.read(file, suite, schema.lang)
        case _:
            return questions.read(file, suite, schema)


def _looks_like(file: Path, schema: Schema) -> str:
    name = file.name.removesuffix(".gz")
    if name.endswith((".csv", ".tsv")):
        return "table"
    keys, is_only_one = _first_object(read_text(file))
    if {"messages", "grader"} <= keys:
        return "shosei"
    if keys & {"test", "test_list"} and keys & {"prompt", "text"}:
        return "humaneval"
    if name.endswith(".json") and is_only_one and not keys & {*questions.HEADINGS, *schema.columns.values()}:
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
