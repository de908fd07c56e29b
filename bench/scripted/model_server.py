"""A model server that says what ``script.py`` has it say, in both of OpenAI's APIs, and notes every request."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from scripted import chat_wording, responses_wording, script

Json = dict[str, Any]
WORDINGS = {"/v1/chat/completions": chat_wording, "/v1/responses": responses_wording}
FINAL = ("final_answer", "final_result", "Answer")  # tools by which some frameworks want the last answer
RETRY_AFTER = {"retry-after-ms": "30"}


@dataclass(frozen=True)
class ToolCall:
    """A call that an answer makes."""

    id: str
    name: str
    arguments: str
    raises: bool = False
    agent: str = ""  # whom it calls


@dataclass
class Served:
    """One request and what it was answered. Times are seconds of the monotonic clock."""

    task: str
    agent: str
    prompt: str  # its system text and the names of its tools
    begin: float
    body: Json
    end: float = 0.0
    status: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    calls: list[ToolCall] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return self.status != 200


class Model:
    """Takes requests in any order and knows where in its script each agent of each task is."""

    def __init__(self) -> None:
        self.served: list[Served] = []
        self._lock = threading.Lock()
        self._stored: dict[str, str] = {}  # the task that a Responses answer was of

    def answer(self, path: str, body: Json) -> tuple[int, Json]:
        wording = WORDINGS[path]
        begin = time.monotonic()
        system, everything = wording.texts(body)
        task = script.task_of(everything) or self._stored.get(str(body.get("previous_response_id")), "")
        agent = script.agent_of(system) or script.agent_of(everything)
        if task not in script.TASKS or agent not in script.AGENTS:
            return 404, {"error": {"message": f"no script for agent '{agent}' in task '{task}'"}}
        tools = wording.tools(body)
        served = Served(task, agent, " ".join([system, *sorted(tools)]), begin, body)
        with self._lock:
            earlier = [each for each in self.served if (each.task, each.agent) == (task, agent)]
            self.served.append(served)
        status = self._status(served, earlier)
        if status != 200:
            served.status, served.end = status, time.monotonic()
            return status, {"error": {"message": f"scripted {status}", "type": "scripted"}}
        steps = script.TASKS[task].steps[agent]
        number = sum(not each.failed for each in earlier)
        step = steps[min(number, len(steps) - 1)]
        time.sleep(step.seconds)
        text, calls = spoken(step, tools, wording.wants_json(body), f"{task}-{agent}-{number}", task)
        served.calls = calls
        served.tokens_in = 100 * (number + 1) + 7 * script.AGENTS.index(agent)
        served.tokens_out = 10 + 20 * len(calls) + len(text)
        answer = wording.answer(body, text, calls, served.tokens_in, served.tokens_out)
        self._stored[answer["id"]] = task
        served.status, served.end = 200, time.monotonic()
        return 200, answer

    def _status(self, served: Served, earlier: list[Served]) -> int:
        fails = script.TASKS[served.task].fails.get(served.agent, ())
        return fails[len(earlier)] if len(earlier) < len(fails) else 200


def spoken(
    step: script.Step, tools: dict[str, Json], wants_json: Json | None, call_id: str, task: str
) -> tuple[str, list[ToolCall]]:
    """The step in the words of what was offered: its text may have to be a tool's arguments, or JSON."""
    if step.calls:
        return "", [called(wanted, tools, f"call_{call_id}-{place}", task) for place, wanted in enumerate(step.calls)]
    back = next((name for name in tools if name.startswith("transfer_to_manager")), None)  # a swarm's way home
    final = back or next((name for name in FINAL if name in tools), None)
    if final:
        said = f"{step.text} {script.question(task)}" if back else step.text
        return "", [
            ToolCall(f"call_{call_id}-end", final, filled(tools[final], {}, said), agent="manager" if back else "")
        ]
    return (filled(wants_json, {}, step.text) if wants_json else step.text), []


def called(wanted: script.Wanted, tools: dict[str, Json], id: str, task: str) -> ToolCall:
    name = next((name for word in wanted.words for name in tools if re.search(word, name)), wanted.words[0])
    arguments = filled(tools.get(name, {}), wanted.arguments, script.question(task))
    return ToolCall(id, name, arguments, wanted.raises, wanted.agent)


def filled(schema: Json, given: dict[str, str], text: str) -> str:
    """Arguments that a schema takes: what is given, and the text for every other string that it requires."""
    properties = schema.get("properties", {})
    plain = {"object": {}, "array": [], "integer": 1, "number": 1.0, "boolean": False}
    required = {name: plain.get(properties[name].get("type"), text) for name in schema.get("required", [])}
    return json.dumps(required | {name: value for name, value in given.items() if name in properties})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: Model
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.whole(200, {"object": "list", "data": [{"id": script.MODEL, "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status, answer = self.model.answer(self.path, body) if self.path in WORDINGS else (404, {})
        if status == 200 and body.get("stream"):
            self.streamed(WORDINGS[self.path].events(body, answer))
        else:
            self.whole(status, answer)

    def whole(self, status: int, answer: Json) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        headers = {"content-type": "application/json", "content-length": str(len(content))}
        for name, value in (headers | (RETRY_AFTER if status in (429, 500) else {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def streamed(self, events: Iterator[str]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event.encode()), event.encode()))
        self.wfile.write(b"0\r\n\r\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left is none."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(model: Model) -> Iterator[str]:
    """Where it listens, for the length of the block."""
    server = Server(("127.0.0.1", 0), type("Scripted", (Handler,), {"model": model}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
