"""What every Python system here shares: how it is given tasks, what names its agents, the tool, the retries.

A system is a coroutine function of one ``Given``. It finds tasks on standard input, one JSON object a line, and prints
an answer to each. ``NAMING`` says how its agents name themselves: path | header | key | none.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

RETRIES = 3
FOUNDED = {"Kyoto": "794", "Nara": "710"}
RESPONSES = os.environ.get("API") == "responses"


@dataclass(frozen=True)
class Given:
    """A task as ``shosei agents run`` gives it."""

    id: str
    question: str
    model: str
    base_url: str

    @classmethod
    def read(cls, line: str) -> Given:
        """Of what there is, what these systems need."""
        known = json.loads(line)
        return cls(known["id"], known["question"], known["model"], known["base_url"])

    def client(self, agent: str) -> dict[str, Any]:
        """Arguments of ``openai.OpenAI`` for one agent."""
        naming = os.environ.get("NAMING", "path")
        url = f"{self.base_url.removesuffix('/v1')}/a/{agent}/v1" if naming == "path" else self.base_url
        key = f"agent:{agent}" if naming == "key" else "none"
        headers = {"x-agent": agent} if naming == "header" else {}
        return {"base_url": url, "api_key": key, "default_headers": headers, "max_retries": RETRIES}


def prompt(agent: str) -> str:
    """The system text, by which the model's script knows an agent."""
    return f"You are the {agent} of a small team. Do your part of the task and say what came out."


def lookup(city: str) -> str:
    """The year in which a city was founded.

    Args:
        city: its name
    """
    if city not in FOUNDED:
        raise ValueError(f"no such city: {city}")
    return FOUNDED[city]


def answer_all(system: Callable[[Given], Awaitable[str]]) -> None:
    asyncio.run(_answer(system))


async def _answer(system: Callable[[Given], Awaitable[str]]) -> None:
    for line in sys.stdin:
        if line.strip():
            print(await system(Given.read(line)), flush=True)
