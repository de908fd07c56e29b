"""What the shipped router system says to a model: instructions, and tools as they arrive at the server.

A model must be trained on the very text that it will be asked with; a test compares it with a real client's requests.
"""

from __future__ import annotations

from typing import Any

ROUTE = {
    "zh": "选专家：zh或ja-calculator calendar days numerals units python chat",
    "ja": "専門家を選べ：zhかja-calculator calendar days numerals units python chat",
}
SOLVE = {"zh": "用工具，只答结果。", "ja": "道具を使い、結果だけ答えよ。"}


def _tool(name: str, description: str, **parameters: str) -> dict[str, Any]:
    schema = {
        "additionalProperties": False,
        "properties": {parameter: {"type": kind} for parameter, kind in parameters.items()},
        "required": list(parameters),
        "type": "object",
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


# skill -> its specialist's tools
SKILLS: dict[str, list[dict[str, Any]]] = {
    "calculator": [
        _tool("calculator", "Evaluates arithmetic.", expression="string"),
        _tool("numerals", "Writes a number in zh, ja or digits.", number="string", language="string"),
    ],
    "calendar": [_tool("calendar", "Adds days to a date.", date="string", days="integer")],
}
