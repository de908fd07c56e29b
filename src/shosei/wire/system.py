"""What an agent system is: an async function of a task and a base URL that returns an answer.

``base_url`` ends in ``/v1`` and already names the run and the task, so any OpenAI client works with it as it is. An
agent names itself with the header ``x-agent``, or with ``/a/NAME`` before ``/v1``.

A system may also be a command, in any language: it finds one JSON object with the task's fields and ``base_url`` on
standard input, ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY`` (a placeholder) in the environment, and writes its answer to
standard output.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a system is given of a task.

    ``lang`` is zh, ja or en; ``model`` is the name that the endpoint knows the model by.
    """

    id: str
    question: str
    lang: str
    model: str


SystemFunction = Callable[[Assignment, str], Awaitable[str]]
