"""A grader: a task is solved if it left a file ``result.txt`` in its folder that holds the truth, whatever it answered.

It reads one JSON object from standard input. Exit code 0 says solved, 1 not solved, and any other that it cannot tell:
Python's own after an exception is 1, so that an exception must not be left to Python.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def solved(task: dict[str, Any]) -> bool:
    result = Path(task["folder"], "result.txt")
    return result.is_file() and result.read_text(encoding="utf-8").strip() == task["truth"]


def main() -> int:
    try:
        return 0 if solved(json.load(sys.stdin)) else 1
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
