"""How work goes from agent to agent: which call of a task each of its calls follows."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from shosei.log import Request
from shosei.metrics.metric import Row, Table, Words
from shosei.metrics.observed.tool_calls import AskedTool, asked_tools

_MOST_LOOPS = 10  # the commonest
Pair = tuple[str, str]


def predecessors(calls: Sequence[Request]) -> list[int | None]:
    """For each call of a task, in their order, the place of the one that it follows; None for one that begins.

    A call that carries the result of another agent's tool call follows that one: a handover. One that carries results
    of its own agent's calls follows them, or, where other agents began and ended in the meantime, the last call of
    these. All others begin something new: they follow the answer that asked for a tool and is still waiting for it (a
    tool call begins one agent at most), and else the call that ended last. Agents with calls at the same time work side
    by side: they follow each other only by a handover.
    """
    return list(_Chain(calls).links())


class _Chain:
    """The calls of one task, linked one after the other."""

    def __init__(self, calls: Sequence[Request]) -> None:
        self._calls = calls
        self._carried: dict[int, list[AskedTool]] = {}  # by the place of the call that carries their results
        self._asked: dict[int, list[AskedTool]] = {}  # by the place of the call that asked; only those with a result
        for tool in asked_tools({"": calls}):
            if tool.carried is not None:
                self._carried.setdefault(tool.carried, []).append(tool)
                self._asked.setdefault(tool.asked, []).append(tool)
        self._apart = _side_by_side(calls)
        ended = sorted(
            (max(end, call.scheduled_ns), place)
            for place, call in enumerate(calls)
            if (end := _end_ns(call)) is not None
        )
        self._ended: dict[str, list[tuple[int, int]]] = {}  # of each agent its calls' ends and places
        for end, place in ended:
            self._ended.setdefault(calls[place].agent, []).append((end, place))
        self._begun_ns: list[int] = []  # of each call, when its agent began what it is at
        self._waiting: list[AskedTool] = []  # tool calls whose result has not come, and that began no agent

    def links(self) -> Iterator[int | None]:
        for place, call in enumerate(self._calls):
            carried = self._carried.get(place, [])
            self._waiting = [tool for tool in self._waiting if tool.carried != place]
            own = [tool.asked for tool in carried if tool.agent == call.agent]
            handed = [tool.asked for tool in carried if tool.agent != call.agent]
            before = handed[-1] if handed else self._resumed(place, own[-1]) if own else self._new(place)
            continued = own[-1] if own else before
            goes_on = continued is not None and self._calls[continued].agent == call.agent
            self._begun_ns.append(self._begun_ns[continued] if goes_on and continued is not None else call.scheduled_ns)
            self._waiting += self._asked.get(place, [])
            yield before

    def _resumed(self, place: int, asked: int) -> int:
        """Of the calls that ended since ``asked``, the last of an agent that began since then; else ``asked``."""
        since = _end_ns(self._calls[asked]) or self._calls[asked].scheduled_ns
        agent = self._calls[place].agent
        within = [(end, last) for end, last in self._last(place) if self._begun_ns[last] >= since]
        return max([it for it in within if self._calls[it[1]].agent != agent], default=(0, asked))[1]

    def _new(self, place: int) -> int | None:
        call = self._calls[place]
        waiting = [
            (call.agent.lower() in tool.tool.lower(), tool.asked, number)  # a tool that bears the agent's name first
            for number, tool in enumerate(self._waiting)
            if self._can_begin(tool, call)
        ]
        if waiting:
            return self._waiting.pop(max(waiting)[-1]).asked
        return max(self._last(place), default=(0, None))[1]

    def _can_begin(self, tool: AskedTool, call: Request) -> bool:
        """Whether the tool's call may have begun the agent of this one, its own agent waiting all the while."""
        asked_ns = _end_ns(self._calls[tool.asked])
        is_other = tool.agent != call.agent and frozenset((tool.agent, call.agent)) not in self._apart
        return is_other and asked_ns is not None and asked_ns <= call.scheduled_ns

    def _last(self, place: int) -> list[tuple[int, int]]:
        """End and place of each agent's last call that ended before this one, of those not side by side with it."""
        call, found = self._calls[place], []
        for agent, ended in self._ended.items():
            count = bisect_left(ended, (call.scheduled_ns, place))  # one that took no time did not end before itself
            if count and frozenset((agent, call.agent)) not in self._apart:
                found.append(ended[count - 1])
        return found


def _end_ns(call: Request) -> int | None:
    """When its client could go on: at the last token, since many do not wait for a stream's end."""
    return call.last_token_ns if call.stream and call.last_token_ns is not None else call.done_ns


def _side_by_side(calls: Sequence[Request]) -> set[frozenset[str]]:
    """The pairs of agents of which each had a call under way at the same time as the other."""
    pairs: set[frozenset[str]] = set()
    under_way: list[tuple[int, str]] = []
    for call in calls:
        under_way = [(end, agent) for end, agent in under_way if end > call.scheduled_ns]
        pairs.update(frozenset((agent, call.agent)) for _, agent in under_way if agent != call.agent)
        if (end := _end_ns(call)) is not None:
            under_way.append((end, call.agent))
    return pairs


def transfers(tasks: Mapping[str, Sequence[Request]]) -> Counter[Pair]:
    """How often a call of one agent was followed, in the same task, by a call of another or again of its own."""
    return Counter(
        (calls[before].agent, call.agent)
        for calls in tasks.values()
        for call, before in zip(calls, predecessors(calls), strict=True)
        if before is not None
    )


def loops(tasks: Mapping[str, Sequence[Request]]) -> Counter[Pair]:
    """How often work came back: A's call, then those of one other agent B, then A's again."""
    return Counter(loop for calls in tasks.values() for loop in _loops(calls, predecessors(calls)))


def _loops(calls: Sequence[Request], links: Sequence[int | None]) -> Iterator[Pair]:
    for call, before in zip(calls, links, strict=True):
        if before is None or calls[before].agent == call.agent:
            continue
        other, place = calls[before].agent, links[before]
        while place is not None and calls[place].agent == other:
            place = links[place]
        if place is not None and calls[place].agent == call.agent:
            yield call.agent, other


def tables(tasks: Mapping[str, Sequence[Request]], named: Mapping[str, Words]) -> list[Table]:
    """Transfers as a matrix and the commonest loops, where there is more than one agent."""
    agents = sorted({call.agent for calls in tasks.values() for call in calls})
    if len(agents) < 2:
        return []
    counts, back = transfers(tasks), loops(tasks)
    matrix: list[Row] = [[named[a], *(counts[a, b] for b in agents)] for a in agents]
    tables = [Table.of("agents.transfers", ["agents.from_to"], matrix, [named[agent] for agent in agents])]
    if back:
        rows: list[Row] = [
            [named[a], named[b], count]
            for (a, b), count in sorted(back.items(), key=lambda it: (-it[1], it[0]))[:_MOST_LOOPS]
        ]
        columns = ["agents.agent", "agents.there_and_back", "term.n"]
        tables.append(Table.of("agents.loops", columns, rows))
    return tables
