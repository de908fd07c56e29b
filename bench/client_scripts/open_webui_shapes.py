"""What Open WebUI sends, as its source has it: ``routers/openai.py`` and ``tasks.py``, ``utils/middleware.py``.

Its own fields (``params``, ``metadata``, ``files``, ids of chats) stay in its back end, which merges a user's settings
into the body and makes ``max_tokens`` of ``max_completion_tokens``. A connection without a key sends an empty one. A
"direct connection" asks from the browser, and so with a preflight.
"""

import json
import os
import urllib.request
from typing import Any

URL, MODEL = os.environ["BASE_URL"], os.environ["MODEL"]
PAGE = "http://localhost:8080"
ASK = {"role": "user", "content": "3 + 4 = ?"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
PARAMETERS = {"type": "object", "properties": {"zone": {"type": "string", "description": ""}}, "required": []}
TOOL = {
    "type": "function",
    "function": {"name": "get_time", "description": "The time.", "parameters": PARAMETERS},
}
SETTINGS = {"temperature": 0.7, "top_p": 0.9, "min_p": 0.05, "max_tokens": 20, "frequency_penalty": 0.1, "seed": 1}
SETTINGS |= {"presence_penalty": 0.1, "reasoning_effort": "low", "stop": ["###"], "logit_bias": {"5": -100}}


def result(*calls: dict[str, Any]) -> list[dict[str, Any]]:
    """A question, calls of a tool, and what the tool gave back."""
    answers = [{"role": "tool", "tool_call_id": call["id"], "content": "12:00"} for call in calls]
    return [ASK, {"role": "assistant", "content": "", "tool_calls": [*calls]}, *answers]


CHATS: dict[str, dict[str, Any]] = {
    "chat": {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 20, "messages": [ASK]},
    "settings": {"stream": True, **SETTINGS, "messages": [{"role": "system", "content": "Be brief."}, ASK]},
    "custom settings": {
        "stream": True,
        **SETTINGS,
        "top_k": 40,
        "chat_template_kwargs": {"enable_thinking": False},
        "response_format": {"type": "json_object"},
        "messages": [ASK],
    },
    "parts": {
        "stream": True,
        "max_tokens": 20,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "1 + 1"}]},
            {"role": "assistant", "content": "<think>One more.</think>\n2"},
            ASK,
        ],
    },
    "tools": {"stream": True, "max_tokens": 20, "tools": [TOOL], "messages": [ASK]},
    "results": {"stream": True, "max_tokens": 20, "tools": [TOOL], "messages": result(CALL)},
    "results of earlier versions": {
        "stream": True,
        "max_tokens": 20,
        "tools": [TOOL],
        "messages": result(CALL | {"index": 0}, CALL | {"index": 1, "id": "call_2"}),
    },
    "title": {"stream": False, "max_tokens": 50, "messages": [{"role": "user", "content": "### Task:\nA title"}]},
    "title of earlier versions": {"stream": False, "max_completion_tokens": 50, "messages": [ASK]},
    "emoji": {"stream": False, "max_tokens": 4, "messages": [ASK]},
}


def ask(path: str, method: str, body: Any = None, **headers: str) -> tuple[dict[str, str], str]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Authorization": "Bearer "} | headers
    with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers, method=method), timeout=60) as answer:
        return {name.lower(): value for name, value in answer.headers.items()}, answer.read().decode()


assert [model["id"] for model in json.loads(ask("/models", "GET")[1])["data"]] == [MODEL]
for name, chat in CHATS.items():
    _, text = ask("/chat/completions", "POST", chat | {"model": MODEL})
    if not chat["stream"]:
        assert json.loads(text)["choices"][0]["message"]["role"] == "assistant", name
        continue
    *chunks, done = [line.removeprefix("data: ") for line in text.split("\n") if line]
    assert done == "[DONE]", name
    last = json.loads(chunks[-1])
    assert last.get("usage") if "stream_options" in chat else last["choices"][0]["finish_reason"], name
preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
allowed, _ = ask("/chat/completions", "OPTIONS", Origin=PAGE, **preflight)
assert allowed["access-control-allow-origin"] == PAGE
