"""A model server that adds, as a command: ``python sums_server.py PORT WRONG``. WRONG: below it, it errs."""

from __future__ import annotations

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send(200 if self.path == "/v1/models" else 404, json.dumps({"data": [{"id": "sums"}]}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        first, second = map(int, re.findall(r"\d+", body["messages"][-1]["content"]))
        answer = str(first + second + (first < int(sys.argv[2])))
        if not body.get("stream"):
            message = {"role": "assistant", "content": answer}
            self.send(200, json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))
            return
        chunks: list[Any] = [{"index": 0, "delta": {"content": answer}}]
        chunks += [{"index": 0, "delta": {}, "finish_reason": "stop"}]
        events = [json.dumps({"choices": [chunk]}) for chunk in chunks]
        self.send(200, "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]), "text/event-stream")

    def send(self, status: int, text: str, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
