"""The same cells as ``truth.py`` has, read from a card's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any

from scripted import script
from scripted.truth import Cells

Json = dict[str, Any]
AGENT_COLUMNS = {
    "calls": "calls",
    "tokens in": "tokens in",
    "tokens out": "tokens out",
    "errors": "errors",
    "retries": "repeated after an error",
}
# Two clocks on a busy machine; calls that ended their task may stand outside of what success is a share of. The rest
# is exact.
TOLERANCES = {"share of path": 0.03, "seconds a task": 0.25, "tool success": 0.03}


def agrees(cell: str, right: float, ours: float | None) -> bool:
    tolerance = next((within for end, within in TOLERANCES.items() if cell.endswith(end)), 1e-9)
    return ours is not None and abs(right - ours) <= tolerance


def shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def guessed(card: Json, right: Cells) -> Cells:
    """The cells of a card that had to make names up: each name is the agent's whose cells it has best."""
    names = [row["agent"] for row in tables(card, {}).get("agents.agents", [])]
    ways = [cells(card, dict(zip(names, order, strict=False))) for order in permutations(script.AGENTS)]
    return max(ways, key=lambda found: sum(agrees(cell, value, found.get(cell)) for cell, value in right.items()))


def cells(card: Json, agents: Mapping[str, str]) -> Cells:
    """What the card says, of ``agents`` by the names that these have for those on the card."""
    table, inference = tables(card, agents), metrics(card)
    found = of_agents(table.get("agents.agents", [])) | of_path(table.get("agents.time", []))
    found |= of_tools(table.get("agents.tool.tools", [])) | of_transfers(table.get("agents.transfers"))
    if "agents.transfers" in table:
        found |= of_loops(table.get("agents.loops", []))
    solved, seconds = inference["pass_at_1"], inference["response_time"]["value"]
    if solved["value"] is not None:
        found["tasks solved"] = round(solved["value"] * solved["n"])
    return found if seconds is None else found | {"seconds a task": seconds / 1e3}


def metrics(card: Json) -> dict[str, Json]:
    return {metric["id"]: metric for metric in card["metrics"] if metric["phase"] == "inference"}


def tables(card: Json, agents: Mapping[str, str]) -> dict[str, list[Json]]:
    """By their keys, the rows of each table by the names of its columns."""
    found = {}
    for table in (each for metric in metrics(card).values() for each in metric["breakdown"]):
        columns, *lines = [
            [agents.get(word, word) if isinstance(word, str) else word for word in line]
            for line in (table["columns"], *table["rows"])
        ]
        found[table["key"]] = [dict(zip(columns, line, strict=True)) for line in lines]
    return found


def of_agents(table: list[Json]) -> Cells:
    return {f"{row['agent']} {name}": row[column] for row in table for name, column in AGENT_COLUMNS.items()}


def of_path(table: list[Json]) -> Cells:
    shares = {row["agent"]: row["share of a task's time, on the critical path"] for row in table}
    return {f"{agent} share of path": share for agent, share in shares.items()}


def of_tools(table: list[Json]) -> Cells:
    """The last row is the sum."""
    if not table:
        return {}
    total = table[-1]
    return {
        "tools called": total["calls"],
        "tools raised": total["result is an error"],
        "tool success": total["success"],
    }


def of_transfers(table: list[Json] | None) -> Cells:
    if table is None:
        return {}
    return {
        f"transfers {row['from / to']} to {to}": count
        for row in table
        for to, count in row.items()
        if to != "from / to"
    }


def of_loops(table: list[Json]) -> Cells:
    """A pair that is not there has none."""
    none = {f"loops {a} and {b}": 0 for a in script.AGENTS for b in script.AGENTS if a != b}
    return none | {f"loops {row['agent']} and {row['to and back from']}": row["n"] for row in table}
