"""The same cells as ``truth.py`` has, read from a card's JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from scripted import script
from scripted.truth import Cells

Json = dict[str, Any]
Entry = tuple[
    str, tuple[str, ...], float
]  # a cell's name with places for agents, these as the card names them, a value
AGENT_COLUMNS = {
    "{} calls": "calls",
    "{} tokens in": "tokens in",
    "{} tokens out": "tokens out",
    "{} errors": "errors",
    "{} retries": "repeated after an error",
}
TOOL_COLUMNS = {"tools called": "calls", "tools raised": "result is an error", "tool success": "success"}
TRANSFERS, LOOPS = "transfers {} to {}", "loops {} and {}"
MOST_NAMES = 7
# Two clocks on a busy machine; calls that ended their task may stand outside of what success is a share of. The rest
# is exact.
TOLERANCES = {"share of path": 0.05, "seconds a task": 0.25, "tool success": 0.03}


def agrees(cell: str, right: float, ours: float | None) -> bool:
    tolerance = next((within for end, within in TOLERANCES.items() if cell.endswith(end)), 1e-9)
    return ours is not None and abs(right - ours) <= tolerance


def shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def guessed(card: Json, right: Cells) -> Cells:
    """The cells of a card that had to make names up: each name is the agent's whose cells are then right most often.

    One whose tools are not the same in every task has several names.
    """
    entries = [*entries_of(card)]
    names = sorted({name for cell, agents, _ in entries for name in agents})[:MOST_NAMES]
    ways = [
        summed(entries, dict(zip(names, agents, strict=True))) for agents in product(script.AGENTS, repeat=len(names))
    ]
    return max(ways, key=lambda found: sum(agrees(cell, value, found.get(cell)) for cell, value in right.items()))


def cells(card: Json) -> Cells:
    return summed(entries_of(card), {})


def summed(entries: Iterable[Entry], called: Mapping[str, str]) -> Cells:
    """Each cell's sum; ``called`` is what names on the card are to be read as."""
    found: Cells = {}
    for cell, names, value in entries:
        named = cell.format(*(called.get(name, name) for name in names))
        found[named] = found.get(named, 0) + value
    return found


def entries_of(card: Json) -> Iterator[Entry]:
    metrics = {metric["id"]: metric for metric in card["metrics"] if metric["phase"] == "inference"}
    tables = {table["key"]: rows(table) for metric in metrics.values() for table in metric["breakdown"]}
    yield from of_agents(tables.get("agents.agents", []))
    for row in tables.get("agents.time", []):
        yield "{} share of path", (row["agent"],), row["share of a task's time, on the critical path"]
    if tools := tables.get("agents.tool.tools"):
        yield from ((cell, (), tools[-1][column]) for cell, column in TOOL_COLUMNS.items())  # the sum of all
    yield from of_work(tables.get("agents.transfers", []), tables.get("agents.loops", []))
    solved, seconds = metrics["pass_at_1"], metrics["response_time"]["value"]
    if solved["value"] is not None:
        yield "tasks solved", (), round(solved["value"] * solved["n"])
    if seconds is not None:
        yield "seconds a task", (), seconds / 1e3


def rows(table: Json) -> list[Json]:
    """Each row by the names of its columns."""
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def of_agents(table: list[Json]) -> Iterator[Entry]:
    for row in table:
        yield "agents", (), 1
        yield from ((cell, (row["agent"],), row[column] or 0) for cell, column in AGENT_COLUMNS.items())


def of_work(transfers: list[Json], loops: list[Json]) -> Iterator[Entry]:
    """Every pair's transfers; of loops, the pairs that are not there have none."""
    for row in transfers:
        before = row["from / to"]
        for agent in row.keys() - {"from / to"}:
            yield TRANSFERS, (before, agent), row[agent]
            yield LOOPS, (before, agent), 0
    for row in loops:
        yield LOOPS, (row["agent"], row["to and back from"]), row["n"]
