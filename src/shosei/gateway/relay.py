"""One call to a model: its answer is handed on while it comes, under the gateway's id, and what passes is noted."""

from __future__ import annotations

import time

import msgspec

from shosei.gateway import tools
from shosei.gateway.call import Call
from shosei.gateway.downstream import JSON, MAX_BODY_BYTES
from shosei.gateway.upstream import NotRecorded, Source
from shosei.log import Request, ToolCall
from shosei.wire import sse
from shosei.wire.connection import Broken, Headers, NotConnected
from shosei.wire.reply import UNREADABLE, AnswerBody, Reply, ReplyReader

# Of the connection to the upstream, or of how its body was sent; the client has a connection and a body of its own.
_NOT_HANDED_ON = frozenset(
    {
        b"connection",
        b"content-length",
        b"date",
        b"keep-alive",
        b"proxy-connection",
        b"server",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

_RETRY_AFTER = [(b"retry-after", b"1")]  # seconds

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class Relay:
    """A call to a model: asks, hands the answer on while it comes, and knows in ``reply`` what became of it.

    A streamed answer passes event by event, and nothing of it is kept; a whole one is kept until it has ended, since
    its id stands at its beginning and its faults may stand at its end. ``cut``: break it off on purpose.
    """

    def __init__(self, call: Call, *, cut: bool) -> None:
        self.ended = False
        self.reply = Reply(call.id, call.received_ns, bytes_sent=len(call.body))
        self._call, self._downstream, self._cut = call, call.downstream, cut
        self._id = msgspec.Raw(_encode(call.id))
        self._reader = ReplyReader(self.reply, relayed=True)
        self._headers: Headers = []
        self._tool_calls: list[ToolCall] = []

    def event(self, purpose: str) -> Request:
        """The call's event, once it has its answer."""
        call = self._call
        event = self.reply.event(
            purpose,
            phase="inference",
            task=call.task,
            agent=call.agent,
            attribution=call.attribution,
            tool_calls=self._tool_calls,
            tool_results=tools.results(call.raw("messages")),
        )
        event.id, event.seen_by = call.id, "gateway"
        event.bytes_received = event.bytes_received or None  # the upstream may never have been asked
        return event

    async def run(self, source: Source) -> None:
        """Ask ``source``; what it does wrong is the client's answer, or the end of the connection."""
        reply = self.reply
        reply.sent_ns = time.monotonic_ns()
        try:
            reply.done_ns = await source.answer(self._call, self)
        except NotConnected as error:
            # What this machine has no connection for, the upstream has no part in.
            self._fail(502, str(error), "cancelled" if error.exhausted else "connect")
        except Broken as error:
            self._fail(502, f"the upstream's answer broke off: {error}", "cut stream" if reply.status else "connect")
        except TimeoutError:
            self._fail(504, "the upstream was silent for too long", "timeout")
        except NotRecorded as error:
            self.refuse(404, str(error), "not_recorded", error="4xx")
        else:
            self.finish()
            if not self._downstream.begun:
                self._fail(502, f"the upstream's {reply.message}", reply.error)

    def refuse(self, status: int, message: str, code: str, *, error: str) -> None:
        """The gateway's own answer; ``error`` as in the ``request`` event."""
        self.reply.status, self.reply.error = status, error
        self._downstream.refuse(status, message, code=code, headers=_RETRY_AFTER if status == 429 else [])

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
            self._downstream.begin(status, self._headers)

    def feed(self, data: bytes, now_ns: int) -> None:
        reply = self.reply
        if self.ended:
            reply.bytes_received += len(data)
        elif self._reader.streams:
            reply.bytes_received += len(data)
            self._stream(data, now_ns)
        else:
            self._reader.feed(data, now_ns)
            if reply.bytes_received > MAX_BODY_BYTES:
                self._misread(f"larger than {MAX_BODY_BYTES} bytes")

    def finish(self) -> None:
        """The upstream's answer has ended as HTTP says."""
        reply, reader = self.reply, self._reader
        reader.finish()
        if not reader.streams:
            self._whole()
        elif reader.complete:
            self._downstream.end()
        else:
            self._downstream.cut()
        if reader.calls:
            offered = tools.schemas(self._call.raw("tools"))
            self._tool_calls = [
                tools.checked(call.id, call.name, call.arguments, offered) for _, call in sorted(reader.calls.items())
            ]
            if not reply.error and any(call.error for call in self._tool_calls):
                reply.error = "invalid tool call"

    def _stream(self, data: bytes, now_ns: int) -> None:
        pieces = []
        try:
            for event in self._reader.events.feed(data):
                answer = self._reader.event(event, now_ns)
                if answer is None:
                    pieces.append(sse.encode(*event))
                elif (changed := self._changed(event[0], answer)) is not None:
                    pieces.append(sse.encode(changed))
                    if self._cut:
                        self.reply.error, self.ended = "cut stream", True
                        break
        except UNREADABLE as error:
            self._misread(str(error))
        if pieces:
            self._downstream.piece(b"".join(pieces))

    def _changed(self, chunk: bytes, answer: AnswerBody) -> bytes | None:
        """A chunk as the client is to see it; None if it is not."""
        fields = _decode(chunk)
        if not self._call.shows_usage:
            fields.pop("usage", None)
            if answer.usage is not None and not answer.choices:
                return None
        return _encode(fields | {"id": self._id})

    def _whole(self) -> None:
        reply, body = self.reply, self._reader.body
        status = reply.status or 0
        if self._reader.ended:  # too large, or no answer
            return
        if not 200 <= status < 300:
            self._downstream.whole(status, body, self._headers)
            return
        try:
            body = _encode(_decode(body) | {"id": self._id})
        except UNREADABLE as error:
            self._misread(str(error))
            return
        if self._cut:
            reply.error = "cut stream"
            self._downstream.begin(status, [*JSON, (b"content-length", b"%d" % len(body))])
            self._downstream.cut(body[: len(body) // 2])
        else:
            self._downstream.whole(status, body, self._headers)

    def _misread(self, reason: str) -> None:
        self._reader.fail(reason)
        self.ended = True

    def _fail(self, status: int, message: str, error: str) -> None:
        """Say what the upstream did, or end the connection where its answer has begun."""
        if self._downstream.begun:
            self.reply.error = error
            self._downstream.cut()
        else:
            self.refuse(status, message, f"upstream_{error.replace(' ', '_')}", error=error)
