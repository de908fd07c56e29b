"""Hands an upstream's answer on to the client while it comes, under the gateway's id, and notes what passes."""

from __future__ import annotations

import msgspec

from shosei.gateway.client import JSON, MAX_BODY_BYTES, Client
from shosei.gateway.question import Question
from shosei.gateway.reading import Reading
from shosei.log import Request
from shosei.wire import sse
from shosei.wire.connection import Headers
from shosei.wire.reply import error_of

# Of the connection to the upstream, or of how its body was sent; the client has a connection and a body of its own.
_NOT_HANDED_ON = frozenset({
    b"connection", b"content-length", b"date", b"keep-alive", b"proxy-connection", b"server", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
})  # fmt: skip

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class Relay:
    """A reader of one answer, as ``wire.connection`` tells of it. What cannot be handed on is the event's error.

    A streamed answer passes event by event, and nothing of it is kept; a whole one is kept until it has ended, since
    its id stands at its beginning and its faults may stand at its end.
    """

    def __init__(self, event: Request, question: Question, client: Client, *, cut: bool) -> None:
        self.ended = False
        self.complete = False  # the last event of a stream came
        self.message = ""  # what is wrong with the answer, where it never reached the client
        self._event, self._question, self._client, self._cut = event, question, client, cut
        self._id = msgspec.Raw(_encode(event.id))
        self._reading = Reading(event, question)
        self._events = sse.Decoder()
        self._streams = False
        self._headers: Headers = []
        self._parts: list[bytes] = []

    def begin(self, status: int, headers: Headers, first_byte_ns: int) -> None:
        event = self._event
        event.status, event.first_byte_ns = status, first_byte_ns
        self._headers = [header for header in headers if header[0] not in _NOT_HANDED_ON]
        whole = any(name == b"content-type" and value.startswith(b"application/json") for name, value in headers)
        self._streams = self._question.stream and 200 <= status < 300 and not whole
        if self._streams:
            self._client.begin(status, self._headers)

    def feed(self, data: bytes, now_ns: int) -> None:
        event = self._event
        event.bytes_received = (event.bytes_received or 0) + len(data)
        if self.ended:
            return
        if not self._streams:
            self._parts.append(data)
            if event.bytes_received > MAX_BODY_BYTES:
                self._fail(f"larger than {MAX_BODY_BYTES} bytes")
            return
        pieces = []
        try:
            for chunk in self._events.feed(data):
                if chunk == sse.DONE:
                    self.complete = True
                    pieces.append(sse.encode(chunk))
                elif (changed := self._chunk(chunk, now_ns)) is not None:
                    pieces.append(sse.encode(changed))
                    if self._cut:
                        event.error, self.ended = "cut stream", True
                        break
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._fail(str(error))
        if pieces:
            self._client.piece(b"".join(pieces))

    def finish(self) -> None:
        """The upstream's answer has ended as HTTP says."""
        event, client = self._event, self._client
        if not self._streams:
            self._whole(b"".join(self._parts))
        elif self.complete:
            client.end()
        else:
            event.error = event.error or "cut stream"
            client.cut()
        self._reading.finish()

    def _chunk(self, data: bytes, now_ns: int) -> bytes | None:
        """A chunk as the client is to see it; None if it is not."""
        fields = _decode(data)
        if bytes(fields.get("error", b"null")) != b"null":
            self._event.error = "5xx"
        any_choice = "choices" in fields and self._reading.choices(fields["choices"], now_ns)
        any_usage = "usage" in fields and self._reading.usage(fields["usage"])
        if not self._question.shows_usage:
            fields.pop("usage", None)
            if any_usage and not any_choice:
                return None
        return _encode(fields | {"id": self._id})

    def _whole(self, body: bytes) -> None:
        event, status = self._event, self._event.status or 0
        if self.ended:
            return
        if not 200 <= status < 300:
            event.error = error_of(status, _code(body))
            self._client.whole(status, body, self._headers)
            return
        try:
            fields = _decode(body)
            if "choices" in fields:
                self._reading.choices(fields["choices"])
            if "usage" in fields:
                self._reading.usage(fields["usage"])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._fail(str(error))
            return
        body = _encode(fields | {"id": self._id})
        if self._cut:
            event.error = "cut stream"
            self._client.begin(status, [*JSON, (b"content-length", b"%d" % len(body))])
            self._client.cut(body[: len(body) // 2])
        else:
            self._client.whole(status, body, self._headers)

    def _fail(self, reason: str) -> None:
        self._event.error, self.ended = "5xx", True
        self.message = f"the upstream's answer is not in the API's form: {reason}"


def _code(body: bytes) -> object:
    """The code of an error answer."""
    try:
        return msgspec.json.decode(body)["error"]["code"]
    except (msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError):
        return None
