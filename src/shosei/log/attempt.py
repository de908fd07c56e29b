"""Before a server or a gateway starts: whether it goes on in its run's attempt, as a service does that was killed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from shosei.log.answer_events import Rating, Survey
from shosei.log.events import RunBegin, RunEnd
from shosei.log.log import Log
from shosei.log.process import is_running


def must_be_new(
    log: Log,
    verb: str,
    config: Mapping[str, Any],
    measuring: Collection[str],
    hashes: Mapping[str, str] | None = None,
) -> bool:
    """Whether ``verb`` must not record into the attempt of ``log``. A card is of one attempt, and the ratings of a
    service belong together.

    It goes on where its last start had the same ``config``, of which other keys do not count, and ``hashes``. Not so
    where that still runs, or one of the ``measuring`` verbs has been there: the next one would begin an attempt, and
    find no server in it.
    """
    last = _last(log, verb)
    if not last:
        return False
    return (
        any(begin.verb in measuring for begin in log.of(RunBegin))
        or last.hashes != (hashes or {})
        or any(last.config.get(key) != value for key, value in config.items())
        or is_running(last.process)
    )


def has_measured(log: Log, verb: str) -> bool:
    """Whether the last start of ``verb`` ended well, and nobody rated its answers: what it saw was a measurement."""
    last = _last(log, verb)
    has_ended = last is not None and last.process in {end.process for end in log.of(RunEnd)}
    is_rated = bool(log.of(Rating)) or bool(log.of(Survey))
    return has_ended and not is_rated


def _last(log: Log, verb: str) -> RunBegin | None:
    return next((begin for begin in reversed(log.of(RunBegin)) if begin.verb == verb), None)
