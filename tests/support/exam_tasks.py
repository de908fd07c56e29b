"""Tasks of an exam whose answers a server of known behaviour gives, and the command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from shosei.wire.suite import Task

SHOSEI = [sys.executable, "-c", "from shosei.cli.main import main; main()"]


def task(item: str, question: str, truth: str, grader: str = "exact", **fields: Any) -> Task:
    messages = [{"role": "user", "content": question}]
    return Task(
        id=item,
        suite=fields.pop("suite", "kana"),
        lang=fields.pop("lang", "ja"),
        cluster=f"c-{item}",
        messages=messages,
        grader=grader,
        truth=truth,
        **fields,
    )


def function(item: str, question: str) -> Task:
    tests: list[tuple[list[Any], Any]] = [([1], 3), ([-2], 0)]
    fields: dict[str, Any] = {"suite": "functions", "lang": "zh", "entry_point": "加二", "tests": tests}
    return task(item, question, "def 加二(x):\n    return x + 2", "python", **fields)


def shosei(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SHOSEI_")}
    return subprocess.run([*SHOSEI, *map(str, arguments)], capture_output=True, text=True, env=environment)
