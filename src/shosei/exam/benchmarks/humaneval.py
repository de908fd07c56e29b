"""Programming tasks in HumanEval's schema (Chen et al. 2021), and in MBPP's (Austin et al. 2021)."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from shosei.errors import InputError
from shosei.exam.benchmarks.entries import Entry, json_entries
from shosei.exam.benchmarks.instructions import ask, language
from shosei.wire.suite import Task

_MAX_TOKENS = 1024


def read(path: Path, suite: str, columns: Mapping[str, str], lang: str) -> list[Task]:
    """``task_id``, ``prompt``, ``entry_point``, ``canonical_solution``, ``test``; or ``text``, ``code``, ``test_list``.

    The tests run beside what the prompt has before the function: imports and helpers that they may call.
    """
    entries = json_entries(path, columns)
    lang = lang or language(entry.text("text", ("prompt",)) for entry in entries)
    return [_task(entry, suite, lang) for entry in entries]


def _task(entry: Entry, suite: str, lang: str) -> Task:
    tongue = str(entry.get("language") or "python").lower()
    if not tongue.startswith("py"):
        raise InputError(f"{entry.where}: the language is '{tongue}'; only Python programs can be run")
    return _mbpp(entry, suite, lang) if entry.get("test_list") else _humaneval(entry, suite, lang)


def _humaneval(entry: Entry, suite: str, lang: str) -> Task:
    prompt, entry_point, test = entry.text("prompt"), entry.text("entry_point"), entry.text("test")
    if not test.strip():
        raise InputError(f"{entry.where}: 'test' is empty, so that every program would pass")
    solution = entry.get("canonical_solution") or ""
    start = re.search(rf"^(?:async )?def +{re.escape(entry_point)}\b", prompt, re.MULTILINE)
    return Task(
        id=entry.text("task_id"),
        suite=suite,
        lang=lang,
        cluster=entry.text("task_id"),
        grader="python",
        messages=[{"role": "user", "content": ask(f"```python\n{prompt.strip()}\n```", "python", lang)}],
        truth=prompt + solution if solution else "",
        max_tokens=_MAX_TOKENS,
        entry_point=entry_point,
        setup=prompt[: start.start()] if start else "",
        test=test,
        prompt=prompt,
        solution=f"```python\n{(prompt + solution).strip()}\n```" if solution else "",
    )


def _mbpp(entry: Entry, suite: str, lang: str) -> Task:
    asserts, code = entry.get("test_list"), entry.get("code") or ""
    if not isinstance(asserts, list) or not all(isinstance(line, str) for line in asserts):
        raise InputError(f"{entry.where}: 'test_list' is not a list of asserts")
    asked = entry.text("text", ("prompt",))
    shown = "\n".join([asked, *asserts])
    return Task(
        id=entry.text("task_id"),
        suite=suite,
        lang=lang,
        cluster=entry.text("task_id"),
        grader="python",
        messages=[{"role": "user", "content": ask(shown, "python", lang)}],
        truth=code,
        max_tokens=_MAX_TOKENS,
        entry_point=entry.get("entry_point") or _tested(asserts, code, entry.where),
        setup=entry.get("test_setup_code") or "\n".join(entry.get("test_imports") or ()),
        test="\n".join(asserts),
        solution=f"```python\n{code.strip()}\n```" if code else "",
    )


def _tested(asserts: Sequence[str], code: str, where: str) -> str:
    """The function that the asserts call: of several, one that the solution defines."""
    defined = set(re.findall(r"^def +(\w+)", code, re.MULTILINE))
    try:
        nodes = [node for line in asserts for node in ast.walk(ast.parse(line))]
    except SyntaxError as error:
        raise InputError(f"{where}: 'test_list' is not Python: {error.msg}") from None
    called = [node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    for name in called:
        if name in defined or not defined:
            return name
    raise InputError(f"{where}: the asserts call no function that 'code' defines; name it with 'entry_point'")
