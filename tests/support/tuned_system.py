"""A system whose setting decides how many tasks it solves; which ones, is by hash."""

from __future__ import annotations

import hashlib
import json
import urllib.request

from shosei.wire.system import Assignment, setting

TRUTH = "42"


def system(task: Assignment, base_url: str) -> str:
    """Right on the share of tasks that the setting ``style`` begins with, once it has asked the model."""
    body = {"model": task.model, "messages": [{"role": "user", "content": task.question}]}
    sent = {"Content-Type": "application/json"}
    urllib.request.urlopen(
        urllib.request.Request(f"{base_url}/chat/completions", json.dumps(body).encode(), sent)
    ).read()
    share = float(setting("style", "0.4 of the tasks").split()[0])
    place = int(hashlib.sha256(task.id.encode()).hexdigest()[:8], 16) / 16**8
    return TRUTH if place < share else "?"
