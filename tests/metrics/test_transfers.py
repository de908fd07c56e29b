"""Who hands work to whom, in systems whose truth is known because they are simulated here, at random speeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random

import msgspec
import pytest

from shosei.log import Request, ToolCall, ToolResult
from shosei.metrics.performance.transfers import loops, transfers

SEEDS = range(20)
MS = 1_000_000
NOTHING: Mapping[str, str] = {}


class Task:
    """The calls of one task; a moment is a number of milliseconds."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.calls: list[Request] = []
        self._tools = 0

    def ids(self, count: int) -> list[str]:
        self._tools += count
        return [f"tool-{self._tools - number}" for number in range(count)]

    def call(self, agent: str, begin: float, asks: Mapping[str, str] = NOTHING, told: Sequence[str] = ()) -> float:
        """A call of random length that asks for tools, by id, and was told results; the moment when it ends."""
        end = begin + self.random.uniform(20, 200)
        self.calls.append(
            Request(
                id=f"call-{len(self.calls)}",
                purpose="agents",
                seen_by="gateway",
                agent=agent,
                scheduled_ns=round(begin * MS),
                done_ns=round(end * MS),
                tool_calls=[ToolCall(id, name) for id, name in asks.items()],
                tool_results=[ToolResult(id) for id in told],
            )
        )
        return end

    def pause(self, longest: float = 5) -> float:
        return self.random.uniform(0.1, longest)

    def with_tools(self, agent: str, begin: float, rounds: int, tool_ms: float = 5) -> float:
        """An agent that asks for a tool in each of its answers but the last."""
        told: list[str] = []
        for number in range(rounds):
            ids = self.ids(1) if number < rounds - 1 else []
            end = self.call(agent, begin, dict.fromkeys(ids, "lookup"), told)
            begin = end + self.pause(tool_ms if ids else 5)
            told = ids
        return begin

    def counted(self) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
        """Transfers between different agents, and loops."""
        tasks = {"t": sorted(self.calls, key=lambda call: call.scheduled_ns)}
        return Counter({pair: n for pair, n in transfers(tasks).items() if pair[0] != pair[1]}), loops(tasks)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_manager_that_asks_one_specialist_after_the_other(seed: int) -> None:
    task = Task(seed)
    first, second = task.ids(1), task.ids(1)
    now = task.call("manager", 0, {first[0]: "ask_researcher"}) + task.pause()
    now = task.with_tools("researcher", now, 3, tool_ms=500)
    now = task.call("manager", now, {second[0]: "ask_writer"}, told=first) + task.pause()
    now = task.with_tools("writer", now, 1)
    task.call("manager", now, told=second)
    to = [("manager", "researcher"), ("researcher", "manager"), ("manager", "writer"), ("writer", "manager")]
    assert task.counted() == (Counter(to), Counter([("manager", "researcher"), ("manager", "writer")]))


@pytest.mark.parametrize("seed", SEEDS)
def test_two_specialists_at_once_are_both_begun_by_the_manager(seed: int) -> None:
    task = Task(seed)
    ids = task.ids(2)
    now = task.call("manager", 0, dict(zip(ids, ("researcher", "writer"), strict=True)))
    now = max(task.with_tools(name, now + task.pause(), 3, tool_ms=400) for name in ("researcher", "writer"))
    last = max(task.calls, key=lambda call: call.done_ns or 0).agent
    task.call("manager", now, told=ids)
    to, back = task.counted()
    assert to == Counter([("manager", "researcher"), ("manager", "writer"), (last, "manager")])
    assert back == Counter([("manager", last)])


@pytest.mark.parametrize("seed", SEEDS)
def test_two_specialists_asked_at_once_that_run_one_after_the_other(seed: int) -> None:
    task = Task(seed)
    ids = task.ids(2)
    now = task.call("manager", 0, dict(zip(ids, ("ask_researcher", "ask_writer"), strict=True))) + task.pause()
    now = task.with_tools("researcher", now, 3)
    now = task.with_tools("writer", now, 2)
    task.call("manager", now, told=ids)
    assert task.counted()[0] == Counter([("manager", "researcher"), ("manager", "writer"), ("writer", "manager")])


@pytest.mark.parametrize("tool_ms", [0, 5, 1000])
@pytest.mark.parametrize("seed", SEEDS)
def test_agents_side_by_side_hand_nothing_to_each_other(seed: int, tool_ms: float) -> None:
    task = Task(seed)
    for name in ("a", "b"):
        if tool_ms:
            task.with_tools(name, task.pause(), 5, tool_ms)
        else:  # every call a conversation of its own
            now = task.pause()
            for _ in range(5):
                now = task.call(name, now) + task.pause(1)
    assert task.counted() == (Counter(), Counter())


@pytest.mark.parametrize("seed", SEEDS)
def test_agents_that_take_turns_without_tools(seed: int) -> None:
    task, now = Task(seed), 0.0
    for _ in range(3):
        for name in ("writer", "critic"):
            now = task.call(name, now) + task.pause()
    assert task.counted() == (
        Counter({("writer", "critic"): 3, ("critic", "writer"): 2}),
        Counter({("writer", "critic"): 2, ("critic", "writer"): 2}),
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_handover_is_answered_in_the_next_agents_request(seed: int) -> None:
    """As in a swarm: all agents share one conversation. Somebody who never talks to them works beside them."""
    task, told, now = Task(seed), list[str](), 0.0
    names = ["triage", "refunds", "triage", "sales"]
    for name, to in zip(names, [*names[1:], ""], strict=True):
        ids = task.ids(1) if to else []
        now = task.call(name, now, dict.fromkeys(ids, f"transfer_to_{to}"), told) + task.pause()
        told = ids
    begin = 0.0
    while begin < now:
        begin = task.call("watcher", begin) + task.pause(1)
    to = [("triage", "refunds"), ("refunds", "triage"), ("triage", "sales")]
    assert task.counted() == (Counter(to), Counter([("triage", "refunds")]))


def test_a_stream_ends_for_its_client_at_the_last_token() -> None:
    """Many clients go on before the connection has ended."""
    task = Task(0)
    end = task.call("a", 0)
    task.call("b", end - 1)
    before = task.calls[0]
    before.stream, before.last_token_ns = True, round((end - 2) * MS)
    assert task.counted()[0] == Counter([("a", "b")])


def test_calls_that_took_no_time_follow_what_came_before() -> None:
    def call(agent: str, begin: int, **ends: int) -> Request:
        return Request(id=agent, purpose="agents", seen_by="gateway", agent=agent, scheduled_ns=begin, **ends)

    at_once = [call("a", 5, done_ns=5), call("b", 5, done_ns=5), call("a", 9, done_ns=9)]
    assert transfers({"t": at_once}) == {("a", "b"): 1, ("b", "a"): 1}
    assert loops({"t": at_once}) == {("a", "b"): 1}
    early = msgspec.structs.replace(call("a", 5, done_ns=9, last_token_ns=3), stream=True)
    assert not transfers({"t": [early]})


def test_an_agent_that_has_no_answer_yet_is_followed_by_nobody() -> None:
    task = Task(0)
    end = task.call("a", 0)
    task.calls[0].done_ns = None
    task.call("b", end + 1)
    assert task.counted()[0] == Counter()
