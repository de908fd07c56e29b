"""Agent systems that go wrong, each in its own way; the question says how."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from openai import AsyncOpenAI, PermissionDeniedError

from shosei.wire.system import Assignment
from supervised import eventually, lives


async def system(task: Assignment, base_url: str) -> str:
    client = AsyncOpenAI(base_url=base_url, api_key="agent:solo", max_retries=0)

    async def ask() -> str:
        messages = [{"role": "user", "content": task.question}]
        answer = await client.chat.completions.create(model=task.model, messages=messages)  # type: ignore[arg-type]
        return answer.choices[0].message.content or ""

    if task.question != "ignores":
        said = await ask()
    match task.question:
        case "raises":
            raise LookupError("nothing to be found\nreally")
        case "hangs":
            time.sleep(1000)
        case "dies":
            os._exit(3)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "prints garbage":
            sys.stdout.buffer.write(b"\xff\xfe\x00" * 1000)
            sys.stdout.buffer.flush()
        case "returns garbage":
            return 5  # type: ignore[return-value]
        case "floods":
            return "多" * (1 << 20)
        case "raises a group":
            async with asyncio.TaskGroup() as group:
                group.create_task(_fails())
        case "prints without end":
            while True:
                print("多" * 1000)
        case "prints 3 MB":
            print("first words", "多" * (1 << 20), "last words", sep="\n", flush=True)
        case "says nothing":
            return " "
        case "ignores":
            return "42"
        case "strays":
            root, _, place = base_url.partition("/r/")
            for stray in (f"{root}/v1", f"{root}/t/another/v1", f"{root}/r/{place}".replace("%23", "")):
                client = AsyncOpenAI(base_url=stray, api_key="agent:solo", max_retries=0)
                with contextlib.suppress(PermissionDeniedError):
                    await ask()
        case "leaves a child":
            await asyncio.create_subprocess_exec("sleep", "1000")
        case "leaves a session":
            left = await asyncio.create_subprocess_exec("sleep", "1000", start_new_session=True)
            Path(task.folder, "left").write_text(str(left.pid))
        case "leaves a daemon":
            _daemonise(Path(task.folder, "left"))
        case "waits for the one before":
            await _see(Path(task.folder.replace("1#0", "0#0"), "left"), Path(task.folder, "seen"))
        case "ends its host":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(1000)
        case "runs away":
            while True:
                await ask()
    return said


def _daemonise(file: Path) -> None:
    """Leave a process in a session of its own, of no parent and without a program of its own."""
    if os.fork():
        while not file.exists():
            time.sleep(0.01)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    spare = file.with_name("spare")
    spare.write_text(str(os.getpid()))
    spare.rename(file)
    time.sleep(1000)


async def _see(left: Path, seen: Path) -> None:
    """Write down whether the process that another task left is gone within ten seconds, while this task goes on."""
    while not left.exists():
        await asyncio.sleep(0.01)
    pid = int(left.read_text())
    gone = await asyncio.to_thread(eventually, lambda: not lives(pid), 10)
    seen.write_text("gone" if gone else "there")


async def _fails() -> None:
    raise LookupError("nothing to be found")


async def waits(task: Assignment, base_url: str) -> str:
    """Takes a while over every task but the first two."""
    said = await AsyncOpenAI(base_url=base_url, api_key="none").chat.completions.create(
        model=task.model, messages=[{"role": "user", "content": task.question}]
    )
    if int(task.id) > 1:
        await asyncio.sleep(float(os.environ.get("WAITS", "1000")))
    return said.choices[0].message.content or ""
