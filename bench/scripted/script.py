"""What the scripted model says: a manager, a researcher and a writer, nine tasks, one trouble a task.

Nothing here knows a framework. A step names whom or what it calls by a word; the server calls the offered tool whose
name has that word, so ``ask_researcher``, ``researcher`` and ``transfer_to_researcher`` are all the researcher.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

AGENTS = ("manager", "researcher", "writer")
MISSING = "Atlantis"  # the tool ``lookup`` knows Kyoto and Nara, and raises for any other city
MODEL = "scripted"


@dataclass(frozen=True)
class Wanted:
    """A call to the first offered tool whose name has one of the words, tried in order."""

    words: tuple[str, ...]
    arguments: dict[str, str] = field(default_factory=dict)

    @property
    def raises(self) -> bool:
        return self.arguments.get("city") == MISSING

    @property
    def agent(self) -> str:
        """The agent that is called; empty where it is a tool."""
        return self.words[-1] if self.words[-1] in AGENTS else ""


@dataclass(frozen=True)
class Step:
    """One answer: tools that are called, or a text."""

    calls: tuple[Wanted, ...] = ()
    text: str = ""
    seconds: float = 0.04


@dataclass(frozen=True)
class Task:
    steps: dict[str, tuple[Step, ...]]
    fails: dict[str, tuple[int, ...]] = field(default_factory=dict)  # statuses that an agent's first tries get
    solved: bool = True


def look_up(*cities: str) -> Step:
    return Step(calls=tuple(Wanted(("lookup",), {"city": city}) for city in cities))


def ask(*agents: str) -> Step:
    return Step(calls=tuple(Wanted((f"ask_{agent}", agent)) for agent in agents))


def task(
    *manager: Step,
    cities: tuple[str, ...] = ("Kyoto", "Nara"),
    writes: str = "a draft",
    writing_s: float = 0.2,
    fails: dict[str, tuple[int, ...]] | None = None,
    solved: bool = True,
) -> Task:
    """One in which the researcher looks cities up, and the writer answers at once."""
    researcher = (look_up(*cities), Step(text="facts"))
    steps = {"manager": manager, "researcher": researcher, "writer": (Step(text=writes, seconds=writing_s),)}
    return Task(steps, fails or {}, solved)


IN_TURN = (ask("researcher"), ask("writer"))

TASKS = {
    "plain": task(*IN_TURN, Step(text="answer-plain")),
    "throttled": task(*IN_TURN, Step(text="answer-throttled"), fails={"writer": (429,)}),
    "wrong": task(*IN_TURN, Step(text="something else"), solved=False),
    "broken": task(*IN_TURN, Step(text="answer-broken"), fails={"researcher": (500, 500)}),
    "raising": task(*IN_TURN, Step(text="answer-raising"), cities=(MISSING, "Nara")),
    "both": task(*IN_TURN, Step(text="answer-both"), fails={"manager": (429, 500)}),
    "fanout": task(ask("researcher", "writer"), Step(text="answer-fanout"), writing_s=0.8),
    "handoff": task(
        ask("researcher"),
        Step(calls=(Wanted(("transfer_to_writer", "hand_off_to_writer", "writer")),)),
        Step(text="answer-handoff"),  # of frameworks that have no handoffs: the writer comes back to the manager
        writes="answer-handoff",
    ),
    "structured": task(*IN_TURN, Step(text="answer-structured")),
}


def question(task: str) -> str:
    return f"Which city is older, Kyoto or Nara? This is task {task}."


def agent_of(text: str) -> str:
    """The last agent that a text introduces, as every system's prompts do; empty if it introduces none."""
    return next(iter(re.findall(r"You are the (\w+) of a small team", text)[::-1]), "")


def task_of(text: str) -> str:
    return next(iter(re.findall(r"This is task (\w+)", text)), "")
