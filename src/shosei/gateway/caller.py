"""Who calls, for which task of which run: from the path, a header, the body's metadata or the API key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from shosei.wire.connection import Headers

UNATTRIBUTED = "unattributed"
KEY_PREFIX = "agent:"  # of an API key that is a name, and no key

_PLACE = re.compile(rb"(?:/r/([^/]+))?(?:/t/([^/]+))?(?:/a/([^/]+))?(/v1/[^?]*|/health)(\?.*)?")


@dataclass(frozen=True, slots=True)
class Route:
    """What a request's target says: ``[/r/RUN][/t/TASK][/a/AGENT]/v1/…``, each name percent-encoded."""

    run: str
    task: str
    agent: str
    path: str  # from /v1 on
    query: str  # with its question mark

    @classmethod
    def of(cls, target: bytes) -> Route | None:
        """None where the target is no place of the gateway."""
        found = _PLACE.fullmatch(target)
        if not found:
            return None
        run, task, agent, path, query = found.groups(b"")
        return cls(_name(run), _name(task), _name(agent), path.decode("latin-1"), query.decode("latin-1"))


@dataclass(frozen=True, slots=True)
class Caller:
    """An agent and its task, and how the agent was known: path | header | metadata | key | unattributed."""

    agent: str
    task: str
    attribution: str

    @classmethod
    def of(cls, route: Route, headers: Headers, metadata: dict[str, object]) -> Caller:
        """Whatever names the agent first, in the order above; the task likewise."""
        named = dict(headers)
        key = bearer(named.get(b"authorization", b""))
        found = (
            ("path", route.agent),
            ("header", _name(named.get(b"x-agent", b""))),
            ("metadata", _text(metadata.get("agent"))),
            ("key", _name(key.removeprefix(KEY_PREFIX).encode("latin-1")) if key.startswith(KEY_PREFIX) else ""),
            (UNATTRIBUTED, UNATTRIBUTED),
        )
        attribution, agent = next((way, name) for way, name in found if name)
        task = route.task or _name(named.get(b"x-task", b"")) or _text(metadata.get("task"))
        return cls(agent, task, attribution)


def bearer(authorization: bytes) -> str:
    """The key in an ``Authorization`` header; empty if it holds none."""
    scheme, _, key = authorization.partition(b" ")
    return key.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""


def place(run: str = "", task: str = "", agent: str = "") -> str:
    """The path that names these, to stand before ``/v1``."""
    named = (("r", run), ("t", task), ("a", agent))
    return "".join(f"/{letter}/{quote(name, safe='')}" for letter, name in named if name)


def _name(raw: bytes) -> str:
    """A name out of a path or a header, percent-encoded or plain UTF-8."""
    return unquote_to_bytes(raw).decode("utf-8", "replace")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
