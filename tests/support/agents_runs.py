"""Measurements of agent systems, in this process, and what their logs say."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shosei.agents import location
from shosei.log import Log, Workflow, open_run, read_log
from shosei.systems.command_grader import command_grader, judged_by_command
from shosei.systems.config import AgentsConfig
from shosei.systems.harness import check, run_agents
from shosei.systems.system import System
from shosei.wire.suite import Task, write_suite

HERE = Path(__file__).parent


def tasks(questions: Iterable[str], truth: str = "42") -> list[Task]:
    return [
        Task(
            id=str(number),
            suite="tasks",
            lang="zh",
            cluster=str(number),
            grader="exact",
            truth=truth,
            messages=[{"role": "user", "content": question}],
        )
        for number, question in enumerate(questions)
    ]


def suite(folder: Path, questions: Iterable[str], truth: str = "42") -> Path:
    file = folder / "tasks.jsonl"
    write_suite(file, tasks(questions, truth))
    return file


def broken(name: str = "system") -> System:
    """One of ``agents_systems``."""
    return System("broken", (f"agents_systems:{name}",))


def shipped(name: str) -> System:
    return System(name, (location(name),))


def measure(folder: Path, system: System, url: str, given: list[Task], **settings: Any) -> Log:
    """Give ``system`` the tasks; return what was logged."""
    os.environ["PYTHONPATH"] = os.pathsep.join(
        dict.fromkeys([str(HERE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    )
    run = open_run(folder, must_exist=False)

    async def measured() -> None:
        asked = AgentsConfig(**settings)
        judged, grader = judged_by_command(given, asked), command_grader(asked)
        config = await check(asked, url, judged)
        output = folder / "agents.txt"
        await run_agents(config, system, url, judged, record.writer, output, grader=grader)

    with run.recording("agents", "inference") as record:
        asyncio.run(measured())
    return read_log(run.log)


def errors(log: Log) -> dict[str, str]:
    """The error of each task, by its item."""
    return {event.item: event.error for event in log.of(Workflow)}


def command(program: str) -> list[str]:
    """A command that runs a Python program."""
    return [sys.executable, "-c", program]


_ASK = """
import json, os, sys, urllib.request
task = json.load(sys.stdin)
body = json.dumps({"model": task["model"], "messages": task["messages"]}).encode()
place = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
request = urllib.request.Request(place, body, {"Content-Type": "application/json"})
said = json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"]
"""


def asking_command(program: str) -> list[str]:
    """A command that reads its ``task``, asks the model, and runs ``program`` with what it ``said``."""
    return command(_ASK + program)


def printed(out: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(out)
    return values
