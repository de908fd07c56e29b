"""Agent systems that go wrong, each in its own way; the question says how."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time

from openai import AsyncOpenAI, PermissionDeniedError

from shosei.wire.system import Assignment


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
        case "prints floods":
            while True:
                print("多" * 1000)
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
        case "ends its host":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(1000)
        case "runs away":
            while True:
                await ask()
    return said


async def waits(task: Assignment, base_url: str) -> str:
    """Takes a while over every task but the first two."""
    said = await AsyncOpenAI(base_url=base_url, api_key="none").chat.completions.create(
        model=task.model, messages=[{"role": "user", "content": task.question}]
    )
    if int(task.id) > 1:
        await asyncio.sleep(float(os.environ.get("WAITS", "1000")))
    return said.choices[0].message.content or ""
