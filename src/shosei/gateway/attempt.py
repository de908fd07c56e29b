"""Before a gateway starts: whether it goes on in its attempt, as a service does that was killed or is rated."""

from __future__ import annotations

from typing import Any

from shosei.log import Log, Rating, RunBegin, RunEnd, Survey
from shosei.log.process import is_running

_MEASURING = ("load", "exam", "agents")


def must_be_new(log: Log, config: dict[str, Any]) -> bool:
    """Whether a gateway must not record into the attempt of ``log``, since one that ended well has measured there.

    It goes on after one that was killed, or whose answers people rated: a card is of one attempt, and their ratings
    belong together. Not so beside one that still runs, with another ``config``, and where something else has measured.
    """
    begins = log.of(RunBegin)
    before = [begin for begin in begins if begin.verb == "gateway"]
    if not before:
        return False
    last = before[-1]
    was_killed = last.process not in {end.process for end in log.of(RunEnd)}
    is_rated = bool(log.of(Rating) or log.of(Survey))
    return (
        not (was_killed or is_rated)
        or any(begin.verb in _MEASURING for begin in begins)
        or last.config != config
        or is_running(last.process)
    )
