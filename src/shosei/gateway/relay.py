"""Hands an upstream's answer on to the client while it comes, under the gateway's id, and notes what passes."""

from __future__ import annotations

import msgspec

from shosei.gateway import tools
from shosei.gateway.client import JSON, MAX_BODY_BYTES, Client
from shosei.gateway.question import Question
from shosei.log import ToolCall
from shosei.wire import sse
from shosei.wire.connection import Headers
from shosei.wire.reply import UNREADABLE, Answer, Reply, ReplyReader

# Of the connection to the upstream, or of how its body was sent; the client has a connection and a body of its own.
_NOT_HANDED_ON = frozenset({
    b"connection", b"content-length", b"date", b"keep-alive", b"proxy-connection", b"server", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
})  # fmt: skip

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class Relay:
    """A reader of one answer, as ``wire.connection`` tells of it. What cannot be handed on is the reply's error.

    A streamed answer passes event by event, and nothing of it is kept; a whole one is kept until it has ended, since
    its id stands at its beginning and its faults may stand at its end.
    """

    def __init__(self, id: str, reply: Reply, question: Question, client: Client, *, cut: bool) -> None:
        self.ended = False
        self.tool_calls: list[ToolCall] = []
        self._reply, self._question, self._client, self._cut = reply, question, client, cut
        self._id = msgspec.Raw(_encode(id))
        self._reader = ReplyReader(reply, relayed=True)
        self._events = sse.Decoder()
        self._headers: Headers = []

    @property
    def complete(self) -> bool:
        """The last event of a stream came."""
        return self._reader.complete

    def begin(self, status: int, headers: Headers, first_byte_ns: int) -> None:
        self._reader.begin(status, headers, first_byte_ns)
        self._headers = [header for header in headers if header[0] not in _NOT_HANDED_ON]
        if any(name == b"content-type" and value.startswith(b"application/json") for name, value in headers):
            self._reader.streams = False  # whole, though a stream was asked for
        if self._reader.streams:
            self._client.begin(status, self._headers)

    def feed(self, data: bytes, now_ns: int) -> None:
        reply = self._reply
        if self.ended:
            reply.bytes_received += len(data)
        elif self._reader.streams:
            reply.bytes_received += len(data)
            self._stream(data, now_ns)
        else:
            self._reader.feed(data, now_ns)
            if reply.bytes_received > MAX_BODY_BYTES:
                self._fail(f"larger than {MAX_BODY_BYTES} bytes")

    def finish(self) -> None:
        """The upstream's answer has ended as HTTP says."""
        reply, reader, client = self._reply, self._reader, self._client
        reader.finish()
        if not reader.streams:
            self._whole()
        elif reader.complete:
            client.end()
        else:
            client.cut()
        if reader.calls:
            offered = tools.schemas(self._question.raw("tools"))
            self.tool_calls = [
                tools.checked(call.id, call.name, call.arguments, offered) for _, call in sorted(reader.calls.items())
            ]
            if not reply.error and any(call.error for call in self.tool_calls):
                reply.error = "invalid tool call"

    def _stream(self, data: bytes, now_ns: int) -> None:
        pieces = []
        try:
            for event in self._events.feed(data):
                answer = self._reader.event(event, now_ns)
                if answer is None:
                    pieces.append(sse.encode(event))
                elif (changed := self._changed(event, answer)) is not None:
                    pieces.append(sse.encode(changed))
                    if self._cut:
                        self._reply.error, self.ended = "cut stream", True
                        break
        except UNREADABLE as error:
            self._fail(str(error))
        if pieces:
            self._client.piece(b"".join(pieces))

    def _changed(self, chunk: bytes, answer: Answer) -> bytes | None:
        """A chunk as the client is to see it; None if it is not."""
        fields = _decode(chunk)
        if not self._question.shows_usage:
            fields.pop("usage", None)
            if answer.usage is not None and not answer.choices:
                return None
        return _encode(fields | {"id": self._id})

    def _whole(self) -> None:
        reply, body = self._reply, self._reader.body
        status = reply.status or 0
        if self._reader.ended:  # too large, or no answer
            return
        if not 200 <= status < 300:
            self._client.whole(status, body, self._headers)
            return
        try:
            body = _encode(_decode(body) | {"id": self._id})
        except UNREADABLE as error:
            self._fail(str(error))
            return
        if self._cut:
            reply.error = "cut stream"
            self._client.begin(status, [*JSON, (b"content-length", b"%d" % len(body))])
            self._client.cut(body[: len(body) // 2])
        else:
            self._client.whole(status, body, self._headers)

    def _fail(self, reason: str) -> None:
        self._reader.fail(reason)
        self.ended = True
