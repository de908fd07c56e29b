"""The same cells as ``truth.py`` has, read from a card's JSON."""

from __future__ import annotations

from typing import Any

import script
from truth import Cells

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


def cells(card: Json) -> Cells:
    inference = {metric["id"]: metric for metric in card["metrics"] if metric["phase"] == "inference"}
    tables = {table["key"]: rows(table) for metric in inference.values() for table in metric["breakdown"]}
    found = of_agents(tables.get("agents.agents", [])) | of_path(tables.get("agents.time", []))
    found |= of_tools(tables.get("agents.tool.tools", [])) | of_transfers(tables.get("agents.transfers"))
    found |= of_loops(tables.get("agents.loops", []))
    solved, response = inference["pass_at_1"], inference["response_time"]
    if solved["value"] is not None:
        found |= {"tasks solved": round(solved["value"] * solved["n"]), "seconds a task": response["value"] / 1e3}
    return found


def rows(table: Json) -> list[Json]:
    """Each row by the names of its columns."""
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def agent_of(name: str) -> str:
    """Whose name it is: its own, or one that was made of its prompt."""
    return next((agent for agent in script.AGENTS if agent in name), name)


def of_agents(table: list[Json]) -> Cells:
    return {f"{agent_of(row['agent'])} {name}": row[column] for row in table for name, column in AGENT_COLUMNS.items()}


def of_path(table: list[Json]) -> Cells:
    shares = {agent_of(row["agent"]): row["share of a task's time, on the critical path"] for row in table}
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
    """A pair that is not there has none, where there is a table."""
    if table is None:
        return {}
    return {
        f"transfers {agent_of(row['from / to'])} to {agent_of(to)}": count
        for row in table
        for to, count in row.items()
        if to != "from / to"
    }


def of_loops(table: list[Json]) -> Cells:
    none = {f"loops {a} and {b}": 0 for a in script.AGENTS for b in script.AGENTS if a != b}
    return none | {f"loops {agent_of(row['agent'])} and {agent_of(row['to and back from'])}": row["n"] for row in table}
