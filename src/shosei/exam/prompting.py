"""How a task is put to a model: as a chat, or as a text to go on with; with worked examples before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shosei.errors import InputError
from shosei.exam.config import ExamConfig
from shosei.wire.suite import Task

_CUES = {"zh": "答案：", "ja": "答え：", "en": "Answer: "}
_TEXT_STOPS = ["\n\n"]
_CODE_STOPS = ["\nclass ", "\ndef ", "\nif __name__", "\nprint("]


def request(task: Task, config: ExamConfig) -> tuple[str, dict[str, Any]]:
    """Path and body of the request."""
    body: dict[str, Any] = {
        "model": config.model,
        "max_tokens": min(task.max_tokens, config.max_tokens),
        "temperature": config.temperature,
    }
    if config.prompting == "chat":
        return "/v1/chat/completions", {"messages": task.messages, **body}
    stop = _CODE_STOPS if task.grader == "python" else _TEXT_STOPS
    return "/v1/completions", {"prompt": _text(task), "stop": stop, **body}


def with_shots(tasks: Sequence[Task], examples: Sequence[Task], shots: int) -> list[Task]:
    """The tasks with the first ``shots`` examples that are not themselves before the question.

    Raises InputError: fewer examples than that.
    """
    if not shots:
        return list(tasks)
    found = []
    for task in tasks:
        chosen = [example for example in examples if example.asked != task.asked][:shots]
        if len(chosen) < shots:
            raise InputError(f"--shots {shots}: there are only {len(chosen)} examples; name a larger file, or fewer")
        said = [message for example in chosen for message in _worked(example)]
        # After what the system says, before what the user asks.
        at = next((place for place, message in enumerate(task.messages) if message["role"] != "system"), 0)
        found.append(msgspec.structs.replace(task, messages=[*task.messages[:at], *said, *task.messages[at:]]))
    return found


def _worked(example: Task) -> list[dict[str, str]]:
    answer = example.solution or example.truth
    return [{"role": "user", "content": example.asked}, {"role": "assistant", "content": answer}]


def _text(task: Task) -> str:
    """The messages as one text that ends where the answer begins. A program's begins by itself."""
    cue = "" if task.grader == "python" else _CUES.get(task.lang, _CUES["en"])
    parts = []
    for message in task.messages:
        match message["role"]:
            case "user":
                parts.append(f"{message['content']}\n{cue}")
            case "assistant":
                parts[-1:] = [f"{''.join(parts[-1:])}{message['content']}"]
            case _:
                parts.append(message["content"])
    if task.prompt:
        parts[-1:] = [task.prompt]
    return "\n\n".join(parts)
