"""A scripted model behind OpenAI's API: what it says is a function of what it is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from served import Served
from shosei.agents.prompts import CHECK, PLAN, ROUTE, WRITE

Script = Callable[[dict[str, Any]], str | dict[str, Any]]  # body -> a text, or the call of a tool
_KINDS = {"route": ROUTE, "plan": PLAN, "check": CHECK, "write": WRITE}


class Model(Served):
    """A server in a thread; it keeps the bodies."""

    def __init__(self, script: Script) -> None:
        self.script, self.bodies = script, list[dict[str, Any]]()
        super().__init__()

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/chat/completions", self._chat)]

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        said = self.script(body)
        message: dict[str, Any] = {"role": "assistant", "content": said if isinstance(said, str) else None}
        if isinstance(said, dict):
            function = {"name": said["name"], "arguments": json.dumps(said["arguments"], ensure_ascii=False)}
            message["tool_calls"] = [{"id": f"call-{len(self.bodies)}", "type": "function", "function": function}]
        choice = {"index": 0, "message": message, "finish_reason": "stop" if isinstance(said, str) else "tool_calls"}
        usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
        answer = {"id": f"chat-{len(self.bodies)}", "object": "chat.completion", "created": 1, "model": "書生"}
        return web.json_response(answer | {"choices": [choice], "usage": usage})


def arithmetic(body: dict[str, Any]) -> str | dict[str, Any]:
    """A clever model: it routes, plans, checks, and multiplies with a calculator where it has one; else it errs."""
    last, asked = body["messages"][-1], str(body["messages"])
    product = re.findall(r"\d+\*\d+", asked)[0]
    right = str(eval(product))
    match next((kind for kind, words in _KINDS.items() if words["zh"] == body["messages"][0]["content"]), ""):
        case "route":
            return "zh-calculator"
        case "plan":
            return f"算{product}\n再算{product}"
        case "check":
            return "OK" if right in asked else "再算一次"
        case "write":
            return right if right in asked else "?"
    if last["role"] == "tool":
        return str(last["content"])
    if any(tool["function"]["name"] == "calculator" for tool in body.get("tools", [])):
        return {"name": "calculator", "arguments": {"expression": product}}
    return "大概是一千"
