"""The tools of agent systems, as a client of the server sends them, and the instructions of the agents that use them.

What a model is trained on must be what it will be asked, to the character.
"""

from __future__ import annotations

from typing import Any

ROUTE = "选技能"
SOLVE = "用工具"


def _tool(name: str, **parameters: str) -> dict[str, Any]:
    schema = {
        "additionalProperties": False,
        "properties": {parameter: {"type": kind} for parameter, kind in parameters.items()},
        "required": list(parameters),
        "type": "object",
    }
    return {"type": "function", "function": {"name": name, "description": "", "parameters": schema}}


TOOLS: dict[str, dict[str, Any]] = {
    tool["function"]["name"]: tool
    for tool in (
        _tool("calculator", expression="string"),
        _tool("calendar", date="string", days="integer"),
        _tool("numerals", number="integer", language="string"),
    )
}
