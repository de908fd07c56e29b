"""What became of one request, and how it is read off an answer's bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from shosei.log.events import Request
from shosei.wire import sse
from shosei.wire.connection import Headers


@dataclass(slots=True)
class Reply:
    """What became of one request. Times are monotonic nanoseconds; None where the moment never came."""

    id: str
    scheduled_ns: int
    sent_ns: int | None = None
    first_byte_ns: int | None = None
    first_token_ns: int | None = None
    done_ns: int | None = None
    longest_gap_ns: int | None = None
    status: int | None = None
    error: str = ""
    message: str = ""  # the server's own words, where it failed
    text: str = ""
    finish_reason: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    bytes_sent: int = 0  # of bodies, without headers
    bytes_received: int = 0
    stream: bool = False

    def event(self, purpose: str, **envelope: Any) -> Request:
        """The ``request`` event of this reply, as a client saw it."""
        details = self.usage.get("prompt_tokens_details") or {}
        return Request(
            id=self.id, purpose=purpose, seen_by="client", scheduled_ns=self.scheduled_ns, sent_ns=self.sent_ns,
            first_byte_ns=self.first_byte_ns, first_token_ns=self.first_token_ns, done_ns=self.done_ns,
            status=self.status, error=self.error, stream=self.stream, tokens_in=self.usage.get("prompt_tokens"),
            tokens_out=self.usage.get("completion_tokens"), tokens_cached=details.get("cached_tokens"),
            bytes_sent=self.bytes_sent, bytes_received=self.bytes_received, first_try_error=self.error,
            longest_gap_ns=self.longest_gap_ns, **envelope,
        )  # fmt: skip


class _Piece(msgspec.Struct):
    content: str | None = None
    tool_calls: list[Any] | None = None


class _Choice(msgspec.Struct):
    message: _Piece | None = None
    delta: _Piece | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    """What is read of an answer, or of a chunk of one. The rest, which servers fill as they like, is skipped."""

    id: str | None = None
    choices: list[_Choice] = []
    usage: dict[str, Any] | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Answer).decode


class ReplyReader:
    """Fills a ``Reply`` from an answer's body as it comes; never raises, as what cannot be read is the reply's error.

    ``ended`` turns true where the rest of the body does not matter.
    """

    def __init__(self, reply: Reply, on_text: Callable[[str], None] | None = None) -> None:
        self.reply, self.ended = reply, False
        self._on_text = on_text
        self._events = sse.Decoder()
        self._parts: list[Any] = []  # bytes of a whole answer, texts of a streamed one
        self._streams = False
        self._last_piece_ns: int | None = None
        self._complete = self._calls = False

    def begin(self, status: int, _headers: Headers, first_byte_ns: int) -> None:
        """The header came."""
        self.reply.status, self.reply.first_byte_ns = status, first_byte_ns
        self._streams = self.reply.stream and 200 <= status < 300

    def feed(self, data: bytes, now_ns: int) -> None:
        """A part of the body came."""
        reply = self.reply
        reply.bytes_received += len(data)
        if not self._streams:
            self._parts.append(data)
            return
        try:
            for event in self._events.feed(data):
                if event == sse.DONE:
                    self._complete = True
                else:
                    self._chunk(_decode(event), now_ns)
        except msgspec.DecodeError as error:
            self._fail(error)

    def finish(self) -> None:
        """The body is whole."""
        reply = self.reply
        if self._streams:
            reply.text = "".join(self._parts)
            if reply.error:
                return
            if not self._complete:
                reply.error = "cut stream"
        else:
            self._whole(b"".join(self._parts))
        if not (reply.error or reply.text or self._calls or reply.finish_reason):
            reply.error = "empty"

    def _chunk(self, chunk: _Answer, now_ns: int) -> None:
        reply = self.reply
        if chunk.error is not None:
            reply.error, reply.message, self.ended = "5xx", _words(chunk.error), True
            return
        text, calls = self._absorb(chunk)
        if not (text or calls):
            return
        if self._last_piece_ns is None:
            reply.first_token_ns = now_ns
        else:
            reply.longest_gap_ns = max(reply.longest_gap_ns or 0, now_ns - self._last_piece_ns)
        self._last_piece_ns = now_ns
        if text:
            self._parts.append(text)
            if self._on_text:
                self._on_text(text)

    def _whole(self, data: bytes) -> None:
        status = self.reply.status or 0
        if not 200 <= status < 300:
            self._refused(status, data)
            return
        try:
            self.reply.text, _ = self._absorb(_decode(data))
        except msgspec.DecodeError as error:
            self._fail(error)

    def _absorb(self, answer: _Answer) -> tuple[str, bool]:
        """Take id, usage and finish reason; return the text, and whether there is anything of a tool call."""
        reply = self.reply
        if answer.id:
            reply.id = answer.id
        if answer.usage:
            reply.usage = answer.usage
        if not answer.choices:
            return "", False
        choice = answer.choices[0]
        if choice.finish_reason:
            reply.finish_reason = choice.finish_reason
        piece = choice.delta or choice.message or _Piece()
        self._calls = self._calls or bool(piece.tool_calls)
        return piece.content or choice.text or "", bool(piece.tool_calls)

    def _fail(self, error: msgspec.DecodeError) -> None:
        self.reply.error, self.reply.message = "5xx", f"answer is not in the API's form: {error}"
        self.ended = True

    def _refused(self, status: int, data: bytes) -> None:
        reply, code = self.reply, None
        try:
            error = msgspec.json.decode(data)["error"]
            reply.message, code = _words(error), error.get("code")
        except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
            reply.message = reply.message or data[:200].decode("utf-8", "replace")
        reply.error = error_of(status, code)
        if status < 400:
            reply.message = f"the server answers with a redirect (status {status}): give the address it leads to"


def error_of(status: int, code: Any = None) -> str:
    """The ``request`` event's name of a refusal with this HTTP status and this code in its body."""
    if code == "context_length_exceeded":
        return "context limit"
    return "429" if status == 429 else "4xx" if status < 500 else "5xx"


def _words(error: Any) -> str:
    """The message of an error object, in whichever of the usual forms."""
    return str(error.get("message", "")) if isinstance(error, dict) else str(error)
