"""Task suites: how held-out tasks travel from whoever makes them to whoever asks them. One JSON object a line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from shosei.errors import InputError
from shosei.files import write_atomic
from shosei.text_files import json_lines
from shosei.wire.message import Message, fault_of

GRADERS = ("exact", "label", "number", "choice", "python", "text", "span", "cmrc2018", "command", "judge")


class Task(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One question with its truth.

    ``grader``: ``exact`` (the answer is the truth after normalisation), ``label`` (classification; the truth is a
    class), ``number`` (the number that the answer gives has the truth's value), ``choice`` (the letter that the answer
    chooses is the truth), ``python`` (the answer holds a program that must define ``entry_point`` and pass the tests;
    the truth is a reference solution), ``text`` (free text, whose overlap with the truth counts), ``span`` (the
    same, of words of a given text, right only as SQuAD's script has it), ``cmrc2018`` (as the evaluation of CMRC 2018
    has it), ``command`` (a program that the user names looks at what an agent system did, and at the truth), ``judge``
    (no rule tells; a model may judge the answers afterwards). ``references`` are further right answers, of ``exact``,
    ``text``, ``span``, ``cmrc2018`` and ``judge``.

    Tests are ``tests``, of ``[arguments, expected]`` in plain literals, and ``test``, Python source that defines
    ``check(candidate)`` or calls ``entry_point`` in bare asserts; ``setup`` is source that runs before it. ``prompt``
    is how the program begins, where the answer may leave that out. ``solution`` is a worked answer, for a task that
    serves as an example. ``stem`` is the question alone, where the messages say more: what kind of answer is wanted.
    ``choices`` are the texts of a ``choice``, from A on.
    """

    id: str
    suite: str
    lang: str  # zh | ja | en
    cluster: str  # the unit of independence, usually the operand
    messages: list[dict[str, Any]]  # as ``wire.message`` has them; content is text
    grader: str
    truth: str
    max_tokens: int = 64
    entry_point: str = ""
    tests: list[tuple[list[Any], Any]] = []
    setup: str = ""
    test: str = ""
    prompt: str = ""
    solution: str = ""
    references: list[str] = []
    stem: str = ""
    choices: list[str] = []

    @property
    def question(self) -> str:
        """The question itself: the stem, or what the user said last; empty if nothing."""
        return self.stem or self.asked

    @property
    def asked(self) -> str:
        """What the user said last; empty if nothing."""
        return next((str(each["content"]) for each in reversed(self.messages) if each["role"] == "user"), "")


def identities(tasks: Iterable[Task], decoding: Mapping[str, object]) -> dict[str, str]:
    """SHA-256 of each suite's tasks, with the messages that are sent, and of the settings they are answered with.

    Scores of equal identity, graded by the same version, can be compared task by task.
    """
    suites: dict[str, list[Task]] = {}
    for task in tasks:
        suites.setdefault(task.suite, []).append(task)
    found = {}
    for suite, own in suites.items():
        asked = [sorted(own, key=lambda task: task.id), decoding]
        found[suite] = hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()
    return found


def write_suite(path: Path, tasks: Iterable[Task]) -> None:
    """Write tasks as JSON Lines, atomically."""
    write_atomic(path, b"".join(msgspec.json.encode(task) + b"\n" for task in tasks))


def suite_files(path: Path) -> list[Path]:
    """``path`` itself, or the ``*.jsonl`` files of a folder in name order. Raises InputError if it has none."""
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.jsonl"))
    if not files:
        raise InputError(f"{path} holds no *.jsonl files")
    return files


def read_suite(path: Path) -> list[Task]:
    """Read one suite file. Raises InputError that names the file, the line and what is wrong with it."""
    return _read(path, set())


def read_suites(path: Path) -> list[Task]:
    """Read one suite file, or every ``*.jsonl`` of a folder as if they were one."""
    seen: set[tuple[str, str]] = set()
    return [task for file in suite_files(path) for task in _read(file, seen)]


def _read(path: Path, seen: set[tuple[str, str]]) -> list[Task]:
    """The tasks of one file; ``seen`` holds suite and id of every task before them."""
    tasks = []
    for where, task in json_lines(path, Task, "a task"):
        task.messages = [_message(f"{where}: message {place}", each) for place, each in enumerate(task.messages, 1)]
        if fault := _fault(task, seen):
            raise InputError(f"{where}: {fault}")
        seen.add((task.suite, task.id))
        tasks.append(task)
    if not tasks:
        raise InputError(f"{path} holds no tasks")
    return tasks


def _message(where: str, message: dict[str, Any]) -> dict[str, Any]:
    """The message as it is, its content as one text. Raises InputError for one that no server can be sent."""
    try:
        text = Message.model_validate(message).text
    except ValidationError as error:
        raise InputError(f"{where}: {fault_of(error)}") from None
    if message.get("content") is None:
        raise InputError(f"{where} has no content; it has the keys {', '.join(message)}")
    return message | {"content": text}


_TAKE_REFERENCES = ("exact", "text", "span", "cmrc2018", "judge")


def _fault(task: Task, seen: set[tuple[str, str]]) -> str:
    """What keeps ``task`` from being asked and graded; empty if nothing does."""
    if task.grader not in GRADERS:
        return f"grader '{task.grader}' is not one of {', '.join(GRADERS)}"
    if task.grader == "python" and not (task.entry_point and (task.tests or task.test)):
        return "grader 'python' needs an 'entry_point' and at least one of 'tests', or a 'test'"
    if task.references and task.grader not in _TAKE_REFERENCES:
        return f"grader '{task.grader}' takes no 'references': only {', '.join(_TAKE_REFERENCES)} do"
    if (task.suite, task.id) in seen:
        return f"suite '{task.suite}' already has a task with the id '{task.id}'; give each task an id of its own"
    return ""
