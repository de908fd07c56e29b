"""What a card has to say, worked out from what the model server served and from why each call was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from scripted import script
from scripted.model_server import Served

Cells = dict[str, float]


def cells(served: Sequence[Served], lasted: Mapping[str, float], *, named: bool = True) -> Cells:
    """Every cell that has one right value, by its name in the table; none where nothing was served.

    ``lasted`` are the seconds that a task took. ``named``: agents say who they are; else they are told apart by their
    system text and tools.
    """
    if not served:
        return {}
    agents = {call.agent if named else call.prompt for call in served}
    tasks = {task: sorted(calls, key=lambda call: call.begin) for task, calls in by_task(served).items()}
    found = {"agents": len(agents)} | of_agents(served) | of_tools(served) | of_path(tasks, lasted)
    turns = [caused(calls) for calls in tasks.values()]
    moved = Counter((before, call.agent) for made in turns for call, before in made if before not in ("", call.agent))
    found |= {f"transfers {a} to {b}": moved[a, b] for a in script.AGENTS for b in script.AGENTS if a != b}
    back = Counter(loop for made in turns for loop in loops(made))
    return found | {f"loops {a} and {b}": back[a, b] for a in script.AGENTS for b in script.AGENTS if a != b}


def by_task(served: Sequence[Served]) -> dict[str, list[Served]]:
    ordered = sorted(served, key=lambda call: call.task)
    return {task: list(calls) for task, calls in groupby(ordered, lambda call: call.task)}


def of_agents(served: Sequence[Served]) -> Cells:
    found: Cells = {}
    for agent in script.AGENTS:
        calls = [call for call in served if call.agent == agent]
        found[f"{agent} calls"] = len(calls)
        found[f"{agent} tokens in"] = sum(call.tokens_in for call in calls)
        found[f"{agent} tokens out"] = sum(call.tokens_out for call in calls)
        found[f"{agent} errors"] = found[f"{agent} retries"] = sum(call.failed for call in calls)
    return found


def of_tools(served: Sequence[Served]) -> Cells:
    """Of all tool calls, those that raised; nothing else went wrong."""
    calls = [each for call in served for each in call.calls]
    raised = sum(call.raises for call in calls)
    return {"tools called": len(calls), "tools raised": raised, "tool success": 1 - raised / len(calls) if calls else 0}


def caused(calls: Sequence[Served]) -> list[tuple[Served, str]]:
    """Each call of a task with the agent whose call it follows on: its own retry or tool, its caller, whom it asked."""
    return [(call, cause(call, calls[:place])) for place, call in enumerate(calls)]


def cause(call: Served, earlier: Sequence[Served]) -> str:
    own = [each for each in earlier if each.agent == call.agent]
    if not own:
        return next((each.agent for each in earlier[::-1] if call.agent in called_by(each)), "")
    asked = [each for each in earlier if each.agent in called_by(own[-1]) and each.begin >= own[-1].end]
    return max(asked, key=lambda each: each.end).agent if asked else call.agent


def called_by(call: Served) -> list[str]:
    return [each.agent for each in call.calls if each.agent]


def loops(turns: Sequence[tuple[Served, str]]) -> list[tuple[str, str]]:
    """(A, B) wherever B's work, which A had caused, comes back to A."""
    began_by: dict[str, str] = {}
    found = []
    for call, before in turns:
        if before not in ("", call.agent):
            if began_by.get(before) == call.agent:
                found.append((call.agent, before))
            began_by[call.agent] = before
    return found


def of_path(tasks: Mapping[str, Sequence[Served]], lasted: Mapping[str, float]) -> Cells:
    """Of a task's time, the mean share that it waits for each agent's calls."""
    shares = Counter[str]()
    for task, calls in tasks.items():
        for call in longest(calls):
            shares[call.agent] += (call.end - call.begin) / lasted[task] / len(tasks)
    return {f"{agent} share of path": shares[agent] for agent in script.AGENTS}


def spans(served: Sequence[Served]) -> dict[str, float]:
    """From the first call of a task to its last one's end."""
    tasks = by_task(served)
    return {task: max(call.end for call in calls) - min(call.begin for call in calls) for task, calls in tasks.items()}


def longest(calls: Sequence[Served]) -> list[Served]:
    """The chain of calls, none beginning before the last has ended, that takes the most time; by trying every one."""
    chains: list[tuple[float, list[Served]]] = []
    for call in calls:
        before = [chain for chain in chains if chain[1][-1].end <= call.begin]
        seconds, chain = max(before, key=lambda chain: chain[0], default=(0.0, []))
        chains.append((seconds + call.end - call.begin, [*chain, call]))
    return max(chains, key=lambda chain: chain[0])[1]
