"""A recorded run of an agent system whose numbers follow by hand: 40 tasks, one a second, each of half a second.

A task is a call of ``router`` (100 ms), then ``sums`` (200 ms) and ``kana`` (300 ms) side by side. In every fifth task
the first call of ``sums`` fails after 50 ms and is repeated. Four tasks fail: three by their budget, one by raising.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import recorded
from recorded import HARDWARE, MS, S
from shosei.log import (
    Event,
    ProcExit,
    ProcStart,
    Request,
    Restart,
    RunBegin,
    RunEnd,
    Score,
    ToolCall,
    ToolResult,
    Window,
    Workflow,
)

TASKS = 40
SYSTEM = "router"
START = 50 * S
FAILED = {9: "budget", 19: "budget", 29: "budget", 39: "raised"}


def solved(index: int) -> bool:
    """30 of the 40."""
    return index not in FAILED and index % 6 != 5


def solved_by_single(index: int) -> bool:
    """15 of the 40: every third and the first, which the system solves too, and one that it does not."""
    return index in (5,) or (solved(index) and index % 3 == 0)


def task(index: int, **changes: Any) -> Workflow:
    """The task ``index``; ``changes`` to its fields."""
    begin, calls = START + index * S, 4 if index % 5 == 0 else 3
    error = FAILED.get(index, "")
    given: dict[str, Any] = {
        "task": f"t{index}#0",
        "system": SYSTEM,
        "suite": "mixed",
        "item": f"t{index}",
        "sample": 0,
        "cluster": f"operands-{index}",
        "scheduled_ns": begin,
        "begin_ns": begin + MS,
        "end_ns": begin + 500 * MS,
        "error": error,
        "message": "calls" if error == "budget" else error,
        "calls": calls,
        "tokens_in": 20 * calls,
        "tokens_out": 5 * calls,
        "phase": "inference",
        "mono_ns": begin + 500 * MS,
    }
    return Workflow(**given | changes)


def baseline(index: int) -> Workflow:
    """The same task, given to a single agent that makes two calls."""
    return task(
        index,
        system="single",
        baseline=True,
        error="",
        message="",
        calls=2,
        tokens_in=50,
        tokens_out=10,
        grader="exact",
        truth=str(index),
        answer=str(index) if solved_by_single(index) else "?",
    )


def score(index: int) -> Score:
    """The system's answer."""
    return Score(
        task=f"t{index}#0",
        suite="mixed",
        item=f"t{index}",
        cluster=f"operands-{index}",
        grader="exact",
        truth=str(index),
        answer=str(index) if solved(index) else "",
        error=FAILED.get(index, ""),
        phase="inference",
    )


def call(index: int, agent: str, begin_ms: int, took_ms: int, **changes: Any) -> Request:
    """A call for the task ``index``, ``begin_ms`` after its submission."""
    begin = START + index * S + begin_ms * MS
    given: dict[str, Any] = {
        "id": f"{index}-{agent}-{begin_ms}",
        "task": f"t{index}#0",
        "agent": agent,
        "purpose": "agents",
        "seen_by": "gateway",
        "attribution": "path",
        "scheduled_ns": begin,
        "sent_ns": begin,
        "done_ns": begin + took_ms * MS,
        "status": 200,
        "tokens_in": 20,
        "tokens_out": 5,
        "phase": "inference",
        "mono_ns": begin + took_ms * MS,
    }
    return Request(**given | changes)


def calls(index: int) -> list[Request]:
    """What the gateway saw of a task. Of each eight tool calls one is unknown, one wrong, one unanswered, one fails."""
    name = "abacus" if index % 8 == 0 else "calculator"
    wrong = {0: "unknown tool", 1: "invalid arguments"}.get(index % 8, "")
    asked = [ToolCall(f"tool-{index}", name, wrong)]
    told = [] if index % 8 == 2 else [ToolResult(f"tool-{index}", error=index % 8 in (0, 1, 3))]
    found = [call(index, "router", 10, 100, tool_calls=asked), call(index, "kana", 121, 300)]
    if index % 5:
        return [*found, call(index, "sums", 120, 200, tool_results=told)]
    failed = {"status": 500, "error": "5xx", "tokens_in": None, "tokens_out": None}
    return [*found, call(index, "sums", 120, 50, tool_results=told, **failed), call(index, "sums", 170, 150)]


def seen_by_server(seen: Request) -> Request:
    """The same call as the server saw it, which took less."""
    return Request(
        id=seen.id,
        purpose="agents",
        seen_by="server",
        scheduled_ns=seen.scheduled_ns + MS,
        sent_ns=seen.sent_ns,
        done_ns=(seen.done_ns or 0) - MS,
        status=seen.status,
        error=seen.error,
        tokens_in=20,
        tokens_out=5,
        phase="inference",
        mono_ns=seen.mono_ns,
    )


def events(*, with_baseline: bool = True) -> list[Event]:
    """The whole run; ``mono_ns`` is set where a metric reads it."""
    found: list[Event] = [
        RunBegin(verb="agents", argv=["shosei", "agents", "run", SYSTEM], hardware=HARDWARE, phase="inference"),
        Window(name="steady", begin_ns=START, end_ns=START + 39 * S + 500 * MS, phase="inference"),
    ]
    for number, (child, megabytes) in enumerate((("engine", 300), ("system", 100))):
        pid = 20 + number
        found += [ProcStart(child=child, child_pid=pid, argv=[child], start=1, phase="inference")]
        found += [Restart(child=child, phase="inference")]
        found += recorded.samples(child, "inference", seconds=40, megabytes=megabytes, start=START)
        found += [
            ProcExit(
                child=child,
                child_pid=pid,
                start=1,
                planned=True,
                cause="stopped",
                duration_ns=45 * S,
                phase="inference",
            )
        ]
    for index in range(TASKS):
        made = calls(index)
        found += [*made, *map(seen_by_server, made), task(index), score(index)]
        found += [baseline(index)] if with_baseline else []
    return [*found, RunEnd(verb="agents", exit_code=0)]


def write_run(folder: Path) -> Path:
    """Write the run into ``folder`` as one segment; return the folder."""
    return recorded.write_events(folder, events())
