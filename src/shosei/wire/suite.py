"""Task suites: how held-out tasks travel from whoever makes them to whoever asks them. One JSON object a line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from shosei.errors import InputError
from shosei.files import write_atomic

GRADERS = ("exact", "label", "python")


class Task(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One question with its truth.

    ``grader``: ``exact`` (the answer is the truth after normalisation), ``label`` (classification; the truth is a
    class), ``python`` (the answer holds a program that must define ``entry_point`` and pass ``tests``; the truth is
    a reference solution). ``tests`` are ``[arguments, expected]`` of plain literals.
    """

    id: str
    suite: str
    lang: str  # zh | ja
    cluster: str  # the unit of independence, usually the operand
    messages: list[dict[str, str]]  # role, content
    grader: str
    truth: str
    max_tokens: int = 64
    entry_point: str = ""
    tests: list[tuple[list[Any], Any]] = []


_decode = msgspec.json.Decoder(Task).decode


def write_suite(path: Path, tasks: Iterable[Task]) -> None:
    """Write tasks as JSON Lines, atomically."""
    write_atomic(path, b"".join(msgspec.json.encode(task) + b"\n" for task in tasks))


def read_suite(path: Path) -> list[Task]:
    """Read one suite file. Raises InputError that names the file, the line and what is wrong with it."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"cannot read suite {path}: {error.strerror}") from None
    tasks = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            task = _decode(line)
        except msgspec.DecodeError as error:
            raise InputError(f"{path}:{number}: not a task: {error}") from None
        if task.grader not in GRADERS:
            raise InputError(f"{path}:{number}: grader '{task.grader}' is not one of {', '.join(GRADERS)}")
        tasks.append(task)
    if not tasks:
        raise InputError(f"{path} holds no tasks")
    return tasks


def read_suites(path: Path) -> list[Task]:
    """Read one suite file, or every ``*.jsonl`` of a folder in name order."""
    if path.is_dir():
        files = sorted(path.glob("*.jsonl"))
        if not files:
            raise InputError(f"{path} holds no *.jsonl suites")
        return [task for file in files for task in read_suite(file)]
    return read_suite(path)
