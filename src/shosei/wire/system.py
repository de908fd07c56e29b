"""What an agent system is: an async function of a task and a base URL that returns an answer.

``base_url`` ends in ``/v1`` and already names the run and the task, so any OpenAI client works with it as it is. An
agent names itself with the header ``x-agent``, or with ``/a/NAME`` before ``/v1``.

A system may also be a command, in any language: it finds one JSON object with the task's fields and ``base_url`` on
standard input, ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY`` (a placeholder) in the environment, and writes its answer to
the file that ``SHOSEI_ANSWER_FILE`` names, or else to standard output. What it prints beside its answer is a log.

Each task has an empty folder of its own, ``SHOSEI_TASK_DIR``, which a grader can look into.

What a system is told otherwise from run to run, such as a prompt, a tool's description or a number of rounds, are its
settings: a text file each, ``NAME.txt`` in the folder that ``SHOSEI_SETTINGS`` names. Where there is none, or the
variable is empty, the default of the system holds.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

ANSWER_VARIABLE = "SHOSEI_ANSWER_FILE"
FOLDER_VARIABLE = "SHOSEI_TASK_DIR"
SETTINGS_VARIABLE = "SHOSEI_SETTINGS"

Default = TypeVar("Default", str, int, float)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a system is given of a task.

    ``messages`` are its turns, each with ``role`` and ``content``; ``question`` is the text of all of them, for systems
    that know no turns. ``lang`` is zh, ja or en; ``model`` is the name that the endpoint knows the model by; ``folder``
    is the task's own.
    """

    id: str
    question: str
    lang: str
    model: str
    messages: list[dict[str, str]] = field(default_factory=list)
    folder: str = ""


SystemFunction = Callable[[Assignment, str], Awaitable[str]]


def setting(name: str, default: Default) -> Default:
    """The run's setting ``name``, of the type of ``default``, which holds where the run says nothing of it.

    Raises ValueError for a text that is no number where the default is one.
    """
    folder = os.environ.get(SETTINGS_VARIABLE)
    if not (folder and (file := Path(folder, f"{name}.txt")).is_file()):
        return default
    text = file.read_text(encoding="utf-8").removesuffix("\n")
    try:
        return type(default)(text)
    except ValueError:
        raise ValueError(f"the setting '{name}' is no {type(default).__name__}: {text[:40]!r}") from None
