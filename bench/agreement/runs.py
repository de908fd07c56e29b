"""Shosei's verbs as a user runs them, and what their card says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SHOSEI = [sys.executable, "-m", "shosei"]


class Card:
    """``card.json`` of a run, by the inference cell."""

    def __init__(self, run: Path) -> None:
        shosei("card", str(run))
        body = json.loads((run / "card.json").read_text())
        self._metrics = {metric["id"]: metric for metric in body["metrics"] if metric["phase"] == "inference"}

    def value(self, metric: str) -> float | None:
        value: float | None = self._metrics[metric]["value"]
        return value

    def figure(self, metric: str, name: str) -> float | None:
        value: float | None = self._metrics[metric]["figures"][name]["value"]
        return value

    def table(self, metric: str, key: str) -> list[dict[str, Any]]:
        """The rows of a table by its columns. None of them where the card has no such table."""
        tables = [table for table in self._metrics[metric]["breakdown"] if table["key"] == key]
        return [dict(zip(table["columns"], row, strict=True)) for table in tables for row in table["rows"]]

    def cell(self, metric: str, key: str, row: str, column: str) -> float | None:
        """Of a table, by the words in its first column; None where it has no such row."""
        rows = self.table(metric, key)
        return next((each[column] for each in rows if next(iter(each.values())) == row), None)


def shosei(*arguments: str, codes: Sequence[int] = (0,)) -> str:
    """What the verb prints. Ends the program where its exit code is not one of ``codes``."""
    return output([*SHOSEI, *arguments], codes=codes)


def output(command: Sequence[str], codes: Sequence[int] = (0,), **options: Any) -> str:
    """A command's standard output. Ends the program where its exit code is not one of ``codes``."""
    done: subprocess.CompletedProcess[str] = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode not in codes:
        words = (done.stderr or done.stdout)[-2000:]
        raise SystemExit(f"{' '.join(command[:3])} ended with exit code {done.returncode}: {words}")
    return done.stdout


def peer_environment(**variables: str) -> dict[str, str]:
    """This process's without our sources, which a peer must not import, and with ``variables``."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables


@contextmanager
def served(answers: Path | None = None) -> Iterator[str]:
    """The address of ``agreement/server.py``."""
    command = [sys.executable, str(Path(__file__).with_name("server.py")), *([str(answers)] if answers else [])]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.wait()


def truth_of(url: str) -> list[dict[str, Any]]:
    """What the server says of its chats."""
    with urllib.request.urlopen(f"{url}/truth") as answer:
        return list(json.load(answer))


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
