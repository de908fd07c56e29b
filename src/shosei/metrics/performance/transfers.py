"""How work goes from agent to agent: who calls the model after whom in a task."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

from shosei.log import Request
from shosei.metrics.metric import Row, Table, Words

_MOST_LOOPS = 10  # the commonest


def transfers(tasks: Mapping[str, Sequence[Request]]) -> Counter[tuple[str, str]]:
    """How often a call of one agent was followed, in the same task, by a call of another or again of its own."""
    return Counter(pair for made in tasks.values() for pair in itertools.pairwise(call.agent for call in made))


def loops(tasks: Mapping[str, Sequence[Request]]) -> Counter[tuple[str, str]]:
    """How often work came back: A's calls, then those of one other agent B, then A's again."""
    found: Counter[tuple[str, str]] = Counter()
    for made in tasks.values():
        turns = [agent for agent, _ in itertools.groupby(call.agent for call in made)]
        found.update((a, b) for a, b, again in zip(turns, turns[1:], turns[2:], strict=False) if a == again)
    return found


def tables(tasks: Mapping[str, Sequence[Request]], named: Mapping[str, Words]) -> list[Table]:
    """Transfers as a matrix and the commonest loops, where there is more than one agent."""
    agents = sorted({call.agent for made in tasks.values() for call in made})
    if len(agents) < 2:
        return []
    counts, back = transfers(tasks), loops(tasks)
    matrix: list[Row] = [[named[a], *(counts[a, b] for b in agents)] for a in agents]
    found = [Table.of("agents.transfers", ["agents.from_to"], matrix, [named[agent] for agent in agents])]
    if back:
        rows: list[Row] = [
            [named[a], named[b], count]
            for (a, b), count in sorted(back.items(), key=lambda it: (-it[1], it[0]))[:_MOST_LOOPS]
        ]
        columns = ["agents.agent", "agents.there_and_back", "term.n"]
        found.append(Table.of("agents.loops", columns, rows))
    return found
