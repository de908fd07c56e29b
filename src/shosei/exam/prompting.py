"""How a task is put to a model: as a chat, or as a text to go on with; with worked examples before it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec

from shosei.errors import InputError
from shosei.exam.benchmarks.choices import LETTERS
from shosei.exam.config import ExamConfig
from shosei.wire.suite import Task

_CUES = {"zh": "答案：", "ja": "答え：", "en": "Answer: "}
_TEXT_STOPS = ["\n\n"]
_CODE_STOPS = ["\nclass ", "\ndef ", "\nif __name__", "\nprint("]


def request(task: Task, config: ExamConfig) -> tuple[str, dict[str, Any]]:
    """Path and body of the request."""
    body: dict[str, Any] = {
        "model": config.model,
        "max_tokens": config.max_tokens or task.max_tokens,
        "temperature": config.temperature,
    }
    if config.prompting == "chat":
        return "/v1/chat/completions", config.extended({"messages": task.messages, **body})
    stop = _CODE_STOPS if task.grader == "python" else _TEXT_STOPS
    return "/v1/completions", config.extended({"prompt": _text(task), "stop": stop, **body})


def drawn(tasks: Sequence[Task], limit: int | None, seed: int) -> list[Task]:
    """``limit`` tasks of each suite, drawn at random, in their order; all of a suite that has no more."""
    if limit is None:
        return list(tasks)
    suites: dict[str, list[int]] = {}
    for place, task in enumerate(tasks):
        suites.setdefault(task.suite, []).append(place)
    places = [place for own in suites.values() for place in random.Random(seed).sample(own, min(limit, len(own)))]
    return [tasks[place] for place in sorted(places)]


def excerpt(task: Task) -> str:
    """Question, choices and truth of a task in one line, as they were understood."""
    choices = "".join(
        f" [{letter}. {shortened(text, 24)}]" for letter, text in zip(LETTERS, task.choices, strict=False)
    )
    right = task.choices[LETTERS.index(task.truth)] if task.choices else ""
    truth = f"a program that defines {task.entry_point}" if task.grader == "python" else shortened(task.truth, 60)
    return f"{task.id}: {shortened(task.question, 80)}{choices} => {truth}{right and f'. {shortened(right, 24)}'}"


def shortened(text: str, length: int) -> str:
    """One line of at most ``length`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


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
        shown = [message for example in chosen for message in _worked(example)]
        # After the system's message, before the user's.
        at = next((place for place, message in enumerate(task.messages) if message["role"] != "system"), 0)
        found.append(msgspec.structs.replace(task, messages=[*task.messages[:at], *shown, *task.messages[at:]]))
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
