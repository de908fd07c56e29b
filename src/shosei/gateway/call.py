"""One request, parsed once: its head, who calls for which task of which run, and what is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes

import msgspec

from shosei.gateway.apis import Api, api_of
from shosei.gateway.prompt import agent_of
from shosei.gateway.splice import edited, spans_of
from shosei.log.events import UNATTRIBUTED
from shosei.log.guessed_agent import GUESSED
from shosei.text_files import printable
from shosei.wire.api_keys import bearer
from shosei.wire.connection import Headers
from shosei.wire.reply import UNREADABLE

if TYPE_CHECKING:
    from shosei.gateway.bodies import Body
    from shosei.gateway.downstream import Downstream
    from shosei.gateway.spool import Spool
    from shosei.wire.api_error import ApiError
    from shosei.wire.api_keys import ApiKey

KEY_PREFIX = "agent:"  # of an API key that is a name, and no key

_RETRY_COUNT = b"x-stainless-retry-count"  # of OpenAI's own clients
_COUNT = re.compile(rb"\d{1,9}")
_TARGET = re.compile(rb"(?:/r/([^/?]+))?(?:/t/([^/?]+))?(?:/a/([^/?]+))?(/[^?]*)(\?.*)?")

_Fields = dict[str, msgspec.Raw]
_decode = msgspec.json.Decoder(_Fields).decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Call:
    """A whole HTTP request. ``read`` adds what its body says; what the gateway need not know stays as it came."""

    downstream: Downstream  # where the answer goes
    method: str
    target: bytes
    headers: Headers
    body: bytes
    received_ns: int
    keep_alive: bool
    chunked: bool  # the client can take an answer in chunks
    kept: Body  # what ``body`` was read from
    key: ApiKey | None = None  # that let it in; None where none was asked for
    refusal: ApiError | None = None  # why it was not let in; then there is no body

    # What the target says: ``[/r/RUN][/t/TASK][/a/AGENT]/…``, each name percent-encoded.
    run: str = ""
    task: str = ""
    agent: str = ""
    path: str = ""  # the upstream's, often from /v1 on; empty where the target is no path
    query: str = ""  # with its question mark

    # What is known of a call to a model.
    api: Api | None = None  # how it is measured; None where it is none, and passed on as it is
    id: str = ""  # the gateway's own
    attribution: str = ""  # how the agent was known: path | header | metadata | key | prompt | unattributed
    fields: _Fields = field(default_factory=dict)  # of the body
    body_upstream: bytes = b""  # what is sent on
    model: str = ""  # that is asked for
    stream: bool = False
    retry: int | None = None  # how often the client has sent this before, if it says so
    shows_usage: bool = True  # the client asked for it itself, or the answer is whole

    def __post_init__(self) -> None:
        self.body_upstream = self.body
        if parts := _TARGET.fullmatch(self.target):
            run, task, agent, path, query = parts.groups(b"")
            self.run, self.task, self.agent = _name(run), _name(task), _name(agent)
            self.path, self.query = path.decode("latin-1"), query.decode("latin-1")
            self.api = api_of(self.method, self.path)

    def read(self, *, ask_usage: bool = True) -> None:
        """Read the body, and with it who calls. With ``ask_usage``, a stream without usage is asked for it as well.

        What is no JSON object is sent on as it came; who calls is known even then, as far as the head says it.
        """
        try:
            fields = _decode(self.body)
        except UNREADABLE:
            fields = {}
        stream = _value(fields, "stream") is True
        metadata = _value(fields, "metadata")
        self.model = _text(_value(fields, "model"))
        options = _value(fields, "stream_options") if stream else None
        self._attribute(metadata if isinstance(metadata, dict) else {})
        self.fields, self.stream = fields, stream
        if self.attribution == UNATTRIBUTED and (guessed := agent_of(fields)):
            self.agent, self.attribution = guessed, GUESSED
        if stream and ask_usage and self.api and self.api.usage_on_request:
            self._ask_usage({} if options is None else options)

    def as_it_came(self) -> None:
        """Send on what the client sent, and nothing else."""
        self.body_upstream, self.shows_usage = self.body, True

    @property
    def spool(self) -> Spool | None:
        """Has the body, instead of ``body``, where it is large and not measured."""
        return self.kept.spool

    def raw(self, name: str) -> bytes:
        """The JSON of a field of the body; empty if it is absent."""
        return bytes(self.fields.get(name, b""))

    def _ask_usage(self, options: Any) -> None:
        """Put ``include_usage`` into the body's ``stream_options``; not where it is there, or where they are none."""
        if not isinstance(options, dict) or options.get("include_usage"):
            return
        asked = _encode(options | {"include_usage": True})
        if "stream_options" in self.fields:
            edits = [(begin, end, asked) for begin, end in spans_of("stream_options", self.body)]
        else:
            end = self.body.rindex(b"}")
            edits = [(end, end, b',"stream_options":' + asked)]
        self.body_upstream, self.shows_usage = edited(self.body, edits), False

    def _attribute(self, metadata: dict[str, Any]) -> None:
        """The agent is whatever names it first: path, header, metadata, key; the task likewise."""
        headers = dict(self.headers)
        count = headers.get(_RETRY_COUNT, b"")
        self.retry = int(count) if _COUNT.fullmatch(count) else None
        key = bearer(headers.get(b"authorization", b"").decode("latin-1"))
        named = (
            ("path", self.agent),
            ("header", _name(headers.get(b"x-agent", b""))),
            ("metadata", _text(metadata.get("agent"))),
            ("key", _name(key.removeprefix(KEY_PREFIX).encode("latin-1")) if key.startswith(KEY_PREFIX) else ""),
            (UNATTRIBUTED, UNATTRIBUTED),
        )
        self.attribution, self.agent = next((way, name) for way, name in named if name)
        self.task = self.task or _name(headers.get(b"x-task", b"")) or _text(metadata.get("task"))


def path_of(run: str = "", task: str = "", agent: str = "") -> str:
    """The path that names these, to stand before ``/v1``."""
    named = (("r", run), ("t", task), ("a", agent))
    return "".join(f"/{letter}/{quote(name, safe='')}" for letter, name in named if name)


def _name(raw: bytes) -> str:
    """A name out of a path or a header, percent-encoded or plain UTF-8."""
    return printable(unquote_to_bytes(raw).decode("utf-8", "replace"))


def _text(value: object) -> str:
    return printable(value) if isinstance(value, str) else ""


def _value(fields: _Fields, name: str) -> Any:
    """A field of the body; None where it is absent, or nothing that can be read."""
    try:
        return msgspec.json.decode(fields[name]) if name in fields else None
    except UNREADABLE:
        return None
