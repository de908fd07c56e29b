"""Whether a server that is started again goes on in its attempt."""

from __future__ import annotations

from typing import Any

from shosei.log import Log, RunBegin
from shosei.log.identity import Identity, is_running

_MEASURING = ("load", "exam")
_SERVED_ALIKE = ("name", "slots")


def must_be_new(log: Log, config: dict[str, Any], hashes: dict[str, str]) -> bool:
    """Whether a server must not record into the attempt of ``log``.

    That is so where its last server still runs or had another model, name or number of slots, and where a load or an
    exam has measured it: the next one would begin an attempt, and find no server in it.
    """
    begins = log.of(RunBegin)
    before = [begin for begin in begins if begin.verb == "serve"]
    if not before:
        return False
    last = before[-1]
    return (
        any(begin.verb in _MEASURING for begin in begins)
        or last.hashes != hashes
        or any(last.config.get(key) != config[key] for key in _SERVED_ALIKE)
        or is_running(Identity(last.host, last.boot, last.pid, last.start_ticks))
    )
