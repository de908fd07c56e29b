"""Runs one candidate program in a process of its own, guarded by this one: ``python -I -S candidate.py PARENT_PID``.

In: one JSON object on standard input: ``code``, ``entry_point``, ``arguments`` (a list for each call), ``folder`` (to
work in; removed at the end), ``cpu_s``, ``wall_s``, ``memory_bytes``. Out: a line ``ready`` before the program starts,
then one JSON report: ``reply`` (the program's own words, or null), ``stopped``, ``signal``, ``cpu_ns``, ``survivors``.

The expected results never come here: what the program says is data, to be judged elsewhere. Standard library only, as
Shosei itself is not on this interpreter's path.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
from typing import Any

REPLY_BYTES = 1 << 20
FILE_BYTES = 1 << 20
OPEN_FILES = 32

# prctl(2)
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Guard: start the program, read its reply, end it and everything it left behind, report."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    _die_with(int(sys.argv[1]), signal.SIGTERM)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    request = json.load(sys.stdin)
    try:
        print("ready", flush=True)
        print(json.dumps(_watch(request)), flush=True)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _end_children()
        shutil.rmtree(request["folder"], ignore_errors=True)


def _watch(request: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + request["wall_s"]
    guard = os.getpid()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _confine(request, guard, writer)
            os.write(writer, _run(request))
        finally:
            os._exit(0)
    os.close(writer)
    reply, stopped = _read(reader, deadline)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    survivors = len(_children()) - 1
    os.killpg(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    return {
        "reply": reply.decode("utf-8", "replace") if reply.endswith(b"\n") else None,
        "stopped": stopped,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "cpu_ns": round((usage.ru_utime + usage.ru_stime) * 1e9),
        "survivors": survivors,
    }


def _read(reader: int, deadline: float) -> tuple[bytes, str]:
    """What the program wrote up to the end of a line, and why reading stopped early, if it did."""
    data = b""
    while not data.endswith(b"\n"):
        if not select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return data, "wall"
        if len(data) > REPLY_BYTES:
            return data, "flood"
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            break
        data += chunk
    return data, ""


def _confine(request: dict[str, Any], guard: int, writer: int) -> None:
    """In the program's process: own session, no inherited files, resource limits, death with the guard."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setsid()
    _die_with(guard, signal.SIGKILL)
    os.chdir(request["folder"])
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.closerange(3, writer)
    os.closerange(writer + 1, 256)
    for kind, limit in (
        (resource.RLIMIT_AS, request["memory_bytes"]),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),  # no fork and no thread; the kernel does not apply it to root
    ):
        resource.setrlimit(kind, (limit, limit))
    # The soft limit's SIGXCPU can be caught, the hard limit's SIGKILL cannot.
    resource.setrlimit(resource.RLIMIT_CPU, (request["cpu_s"], request["cpu_s"] + 1))


def _run(request: dict[str, Any]) -> bytes:
    """Load the program and make the calls: a JSON list of [kind, value], ended by the first that raises."""
    results: list[list[Any]] = []
    try:
        namespace: dict[str, Any] = {"__name__": "candidate"}
        exec(compile(request["code"], "candidate", "exec", dont_inherit=True), namespace)
        for arguments in request["arguments"]:
            value = namespace[request["entry_point"]](*arguments)
            results.append(["value", value] if _is_json(value) else ["other", type(value).__name__])
    except BaseException as error:
        results.append(["error", type(error).__name__])
    return json.dumps(results).encode() + b"\n"


def _is_json(value: Any) -> bool:
    """Whether ``value`` is built of JSON's own types; a subclass is not one of them."""
    if type(value) is list:
        return all(map(_is_json, value))
    if type(value) is dict:
        return all(type(key) is str for key in value) and all(map(_is_json, value.values()))
    return type(value) in (str, int, float, bool, type(None))


def _end_children() -> None:
    """Kill every process below this one: as their subreaper, it inherits those whose parents die."""
    while pids := _children():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


def _children() -> list[int]:
    me, found = os.getpid(), []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # The command name, in parentheses, may hold spaces: count the fields after it.
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue
        if parent == me:
            found.append(int(name))
    return found


def _die_with(parent: int, number: int) -> None:
    _prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    main()
