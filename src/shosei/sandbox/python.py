"""Runs a program in a sandbox, for whoever may not import the exam: ``python -m shosei.sandbox.python < program``.

Prints what the program printed. Exit code 1, with one line on standard error, if it failed or there is no sandbox. The
strongest wall that starts is taken: attacking it first, as an exam does, takes seconds, and this is run for each call.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys

from shosei.config import validate
from shosei.sandbox.config import WALLS, SandboxConfig, available
from shosei.sandbox.inside.literals import encode
from shosei.sandbox.sandbox import End, Sandbox, SandboxError

_CHARACTERS = 10_000
_WALL_S = 30.0
_PROGRAM = f"""
import contextlib, io

def run(program):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "program", "exec"), {{"__name__": "__main__"}})
    return printed.getvalue()[:{_CHARACTERS}]
"""


class Failed(Exception):
    """The program did not come to its end, or could not be run; the message says why."""


async def run(program: str, config: SandboxConfig) -> str:
    """What ``program`` prints, its first 10,000 characters. Raises Failed."""
    reasons = []
    for wall in WALLS:
        reason = available(wall)
        if not reason:
            try:
                async with Sandbox(wall, config.cpu_s, config.memory_bytes) as sandbox:
                    return await _run(sandbox, program, config.wall_s)
            except SandboxError as error:
                reason = str(error)
        reasons.append(f"{wall}: {reason}")
    raise Failed(f"no sandbox ({'; '.join(reasons)})")


async def _run(sandbox: Sandbox, program: str, wall_s: float) -> str:
    here, there = socket.socketpair()
    with here, there:
        talk = await sandbox.start(there, {"role": "candidate", "entry_point": "run", "code": _PROGRAM})
        there.close()
        reader, writer = await asyncio.open_connection(sock=here, limit=_CHARACTERS * 16)
        try:
            async with asyncio.timeout(wall_s):
                await reader.readline()  # it is loaded
                writer.write(json.dumps(encode([[program], {}])).encode() + b"\n")
                reply = await reader.readline()
        except (TimeoutError, OSError):
            reply = b""
        finally:
            writer.close()
            talk.close()
            end = await sandbox.end()
    return _printed(reply, end)


def _printed(reply: bytes, end: End) -> str:
    if not reply:
        raise Failed("it used up its processor time" if end.cause == "cpu" else "it was ended before it was done")
    kind, *said = json.loads(reply)
    if kind != "value":
        raise Failed(": ".join(said))
    return str(said[0])


def main() -> int:
    """Standard input to standard output."""
    try:
        config = validate(SandboxConfig, {"wall_s": _WALL_S}, "exam")
        print(asyncio.run(run(sys.stdin.read(), config)), end="")
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
