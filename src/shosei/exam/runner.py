"""Runs a program and judges what it returned. The judge, and every expected result, live outside its process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from shosei.errors import InputError
from shosei.exam.config import ExamConfig
from shosei.wire.suite import Task

_CANDIDATE = Path(__file__).with_name("candidate.py")
_GRACE_S = 10.0  # for the guard to start, clean up and report
_REPORT_BYTES = 16 << 20


class Execution(msgspec.Struct, frozen=True):
    """``outcome`` as in the ``exec`` event; ``cpu_ns`` is None where no program ran."""

    outcome: str
    cpu_ns: int | None = None


class _Report(msgspec.Struct):
    """What ``candidate.py`` reports of a program."""

    reply: str | None
    stopped: str  # "" | wall | flood
    signal: int
    cpu_ns: int
    survivors: int


async def execute(code: str, task: Task, config: ExamConfig) -> Execution:
    """Run ``code`` on the arguments of the task's tests, in a process of its own, and compare the results here.

    Limits follow CPU time; the wall limit is generous, for programs that wait. Cancelling ends the program.
    """
    if not code:
        return Execution("no code")
    with tempfile.TemporaryDirectory(prefix="shosei-exam-", ignore_cleanup_errors=True) as folder:
        request = {
            "code": code,
            "entry_point": task.entry_point,
            "arguments": [arguments for arguments, _ in task.tests],
            "folder": folder,
            "cpu_s": config.cpu_s,
            "wall_s": config.wall_s,
            "memory_bytes": config.memory_bytes,
        }
        ready, report = await _guarded(json.dumps(request).encode(), config.wall_s + _GRACE_S)
    if not ready:
        return Execution("infra")
    try:
        decoded = msgspec.json.decode(report, type=_Report)
    except msgspec.DecodeError:
        return Execution("sandbox violation")  # the guard was well until the program started
    return Execution(_judge(decoded, task, config), decoded.cpu_ns)


async def prove(config: ExamConfig) -> None:
    """Run a program that is known to be right; raise InputError if it does not pass here."""
    task = Task(
        id="", suite="", lang="", cluster="", messages=[], grader="python", truth="", entry_point="f", tests=[([1], 1)]
    )
    execution = await execute("def f(x):\n    return x", task, config)
    if execution.outcome != "pass":
        raise InputError(
            f"sandbox '{config.sandbox}' does not work here (a right program ended as '{execution.outcome}'): "
            "use 'none', or raise exam.memory_bytes"
        )


def same(expected: Any, actual: Any) -> bool:
    """Whether two JSON values are the same in type and value: True is not 1, 1 is not 1.0, -0.0 is not 0.0, nan is nan.

    The representation of a float says exactly which it is.
    """
    if type(expected) is not type(actual):
        return False
    if isinstance(expected, list):
        return len(expected) == len(actual) and all(map(same, expected, actual))
    if isinstance(expected, dict):
        return expected.keys() == actual.keys() and all(same(expected[key], actual[key]) for key in expected)
    if isinstance(expected, float):
        return repr(expected) == repr(actual)
    return bool(expected == actual)


def _judge(report: _Report, task: Task, config: ExamConfig) -> str:
    if report.survivors:
        return "sandbox violation"
    if report.reply is None:
        return _unfinished(report, config)
    try:
        results = json.loads(report.reply)
        for (_, expected), (kind, value) in zip(task.tests, results, strict=False):
            if kind == "error":
                return "out of memory" if value == "MemoryError" else "exception"
            if kind != "value" or not same(expected, value):
                return "wrong"
    except (ValueError, TypeError, RecursionError):
        return "exception"  # not a reply that candidate.py would have written
    return "pass" if len(results) == len(task.tests) else "exception"


def _unfinished(report: _Report, config: ExamConfig) -> str:
    """Why a program ended, or was ended, before its reply was whole."""
    if report.signal == signal.SIGXCPU or report.cpu_ns >= config.cpu_s * 1_000_000_000:
        return "cpu timeout"
    if report.stopped == "wall":
        return "wall timeout"
    if report.signal == signal.SIGKILL and not report.stopped:
        return "out of memory"  # the kernel's killer: ours says why it stopped
    return "exception"


async def _guarded(request: bytes, timeout_s: float) -> tuple[bool, bytes]:
    """Whether the guard was ready to start the program, and its report: empty if it never came."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(_CANDIDATE), str(os.getpid()), env={}, start_new_session=True,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        limit=_REPORT_BYTES,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    ready = report = b""
    try:
        async with asyncio.timeout(timeout_s):
            process.stdin.write(request)
            process.stdin.close()
            ready = await process.stdout.readline()
            report = await process.stdout.readline()
            await process.wait()
    except (TimeoutError, ValueError, ConnectionError):
        report = b""  # late, too long, or gone
    finally:
        if process.returncode is None:
            await _end(process)
    return ready == b"ready\n", report


async def _end(process: asyncio.subprocess.Process) -> None:
    """Tell the guard to end, and with it the program and all it left behind. A stopped guard must wake up for that."""
    process.terminate()
    process.send_signal(signal.SIGCONT)
    try:
        async with asyncio.timeout(_GRACE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
