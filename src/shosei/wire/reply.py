"""What became of one request, and the one reader of an OpenAI answer: load, exam, chat and gateway read with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from shosei.log.events import Request
from shosei.text_files import UNREADABLE as UNREADABLE  # for the readers of bodies beside this one
from shosei.wire import sse
from shosei.wire.answer import AnswerBody, LooseCall, LooseChoice, LooseMessage, Usage
from shosei.wire.connection import Headers
from shosei.wire.loose_json import LooseDecoder, NotAnObject
from shosei.wire.thoughts import TaggedThoughts, said_in, thought_of


@dataclass(slots=True)
class Reply:
    """What became of one request. Times are monotonic nanoseconds; None where the moment never came."""

    id: str
    scheduled_ns: int
    sent_ns: int | None = None
    first_byte_ns: int | None = None
    first_token_ns: int | None = None  # of thoughts, too
    first_answer_ns: int | None = None  # of the first token that is no thought
    last_token_ns: int | None = None
    done_ns: int | None = None
    longest_gap_ns: int | None = None
    status: int | None = None
    error: str = ""
    message: str = ""  # the server's own words, where it failed
    text: str = ""
    reasoning: str = ""  # of a model that thinks, where the server keeps it apart from the text
    finish_reason: str = ""
    retry_after_s: float | None = None  # when the server, which refused, wants to be asked again
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None  # of ``tokens_in``
    tokens_reasoning: int | None = None  # of ``tokens_out``
    thought_pieces: int = 0  # of a stream: those that had nothing but thoughts
    bytes_sent: int = 0  # of bodies, without headers
    bytes_received: int = 0
    stream: bool = False

    def event(self, purpose: str, **envelope: Any) -> Request:
        """The ``request`` event of this reply, as a client saw it."""
        return Request(
            id=self.id,
            purpose=purpose,
            seen_by="client",
            scheduled_ns=self.scheduled_ns,
            sent_ns=self.sent_ns,
            first_byte_ns=self.first_byte_ns,
            first_token_ns=self.first_token_ns,
            first_answer_ns=self.first_answer_ns,
            last_token_ns=self.last_token_ns,
            done_ns=self.done_ns,
            status=self.status,
            error=self.error,
            stream=self.stream,
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            tokens_cached=self.tokens_cached,
            tokens_reasoning=self.tokens_reasoning,
            thought_pieces=self.thought_pieces,
            bytes_sent=self.bytes_sent,
            bytes_received=self.bytes_received,
            first_try_error=self.error,
            longest_gap_ns=self.longest_gap_ns,
            **envelope,
        )


@dataclass(slots=True)
class AssembledCall:
    """A call of a tool, put together from its pieces; ``arguments`` is JSON, if the model was right."""

    id: str = ""
    name: str = ""
    arguments: str = ""


_WORDS = 500  # characters of a server's words
ANSWER_BYTES = 1 << 24  # more is not an answer of a model, but a body without end
_NOTHING = LooseMessage()
_decode = LooseDecoder(AnswerBody).decode
_EVENTS = b"text/event-stream"
_FIRST_OF_EVENTS = b"deir:\xef"  # data, event, id, retry, a comment, a byte order mark
_NONE, _THOUGHT, _ANSWER = range(3)  # which piece of an answer came
_NAMED = frozenset({sse.COMMENT, b"error"})  # what is not a chunk, by its name


class ReplyReader:
    """Fills a ``Reply`` from an answer's body as it comes. What cannot be read is the reply's error; nothing is raised.

    ``ended`` turns true where the rest of the body does not matter. Reasoning is not part of the text, but its pieces
    are tokens. ``relayed``: the answer is handed on to somebody else; of a stream only tool calls are kept.
    ``on_piece`` is given the time of each piece of a stream.
    """

    def __init__(
        self,
        reply: Reply,
        on_text: Callable[[str], None] | None = None,
        *,
        relayed: bool = False,
        on_piece: Callable[[int], None] | None = None,
    ) -> None:
        self.reply, self.ended = reply, False
        self.streams = False  # the answer comes as events; else as one JSON object
        self.complete = False  # a stream's last event came, or its end after a finish reason
        self.events = sse.Decoder()  # of a stream
        self.body = b""  # of an answer in one piece, once it has ended
        self.calls: dict[tuple[int, int], AssembledCall] = {}  # by choice and place
        self._on_text, self._relayed, self._on_piece = on_text, relayed, on_piece
        self._parts: list[bytes] = []  # of an answer in one piece
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._spoke = False  # there was a text, a tool call or a reason why the answer ends
        self._tags = TaggedThoughts()
        self._pieces = 0  # of a stream
        self._announced = self._looked = False

    def begin(self, status: int, headers: Headers, first_byte_ns: int) -> None:
        """The header came."""
        self.reply.status, self.reply.first_byte_ns = status, first_byte_ns
        if status >= 400:
            self.reply.retry_after_s = _seconds_of(dict(headers).get(b"retry-after"))
        kinds = [value for name, value in headers if name == b"content-type"]
        self._announced = any(kind.lower().startswith(_EVENTS) for kind in kinds)
        self.streams = (self.reply.stream or self._announced) and 200 <= status < 300
        self.reply.stream = self.reply.stream or self.streams

    def look(self, data: bytes) -> None:
        """The first of the body tells what it is, whatever was asked for: events, one JSON object, or neither."""
        begin = data.lstrip()
        if self._looked or not begin:
            return
        self._looked = True
        if self.streams:
            self.streams = not begin.startswith(b"{") and (self._announced or begin[:1] in _FIRST_OF_EVENTS)
        elif 200 <= (self.reply.status or 0) < 300 and begin[:5] == b"data:"[: len(begin)]:
            self.streams = self.reply.stream = True

    def feed(self, data: bytes, now_ns: int) -> None:
        """A part of the body came."""
        reply = self.reply
        self.look(data)
        reply.bytes_received += len(data)
        if reply.bytes_received > ANSWER_BYTES and not self._relayed:
            self.fail(f"it is longer than {ANSWER_BYTES >> 20} MiB")
            return
        if not self.streams:
            self._parts.append(data)
            return
        try:
            for event in self.events.feed(data):
                self.event(event, now_ns)
                if self.ended:
                    break
        except UNREADABLE as error:
            self.fail(str(error))

    def decode(self, data: bytes) -> AnswerBody:
        """An answer's JSON, or a chunk's. Raises one of UNREADABLE."""
        return _decode(data)

    def event(self, event: sse.ServerSent, now_ns: int) -> AnswerBody | None:
        """Note one event of a stream; what was read of it, or None if it is not a chunk. Raises one of UNREADABLE."""
        data, name = event
        if name in _NAMED:
            if name == b"error":
                error = msgspec.json.decode(data)
                self._fail_in(error.get("error", error) if isinstance(error, dict) else error)
            return None
        self.complete = self.complete or data.startswith(sse.DONE)
        if self.complete:
            return None
        try:
            chunk = self.decode(data)
        except NotAnObject:
            return None  # the client reads on behind it
        except UNREADABLE as error:
            raise msgspec.DecodeError(f"{error}: {_beginning(data)}") from None
        text, piece = self._note(chunk)
        if piece:
            self._note_time(piece, now_ns)
        if text and not self._relayed:
            self._texts.append(text)
            if self._on_text:
                self._on_text(text)
        return chunk

    def _note_time(self, piece: int, now_ns: int) -> None:
        reply = self.reply
        if reply.last_token_ns is None:
            reply.first_token_ns = now_ns
        else:
            reply.longest_gap_ns = max(reply.longest_gap_ns or 0, now_ns - reply.last_token_ns)
        reply.last_token_ns = now_ns
        if self._on_piece:
            self._on_piece(now_ns)
        if self._tags.retracts:
            self._tags.retracts, reply.first_answer_ns, reply.thought_pieces = False, None, self._pieces
        self._pieces += 1
        if piece == _THOUGHT:
            reply.thought_pieces += 1
        elif reply.first_answer_ns is None:
            reply.first_answer_ns = now_ns

    def finish(self) -> None:
        """The body is whole."""
        reply = self.reply
        if self.streams:
            reply.text = "".join(self._texts)
            # Some servers write no [DONE], or no blank line after it.
            done = any(data.startswith(sse.DONE) for data, _ in self.events.feed(b"\n\n"))
            self.complete = self.complete or done or bool(reply.finish_reason)
            if not self.complete:
                reply.error = reply.error or "cut stream"
        elif not reply.error:
            self.body = b"".join(self._parts)
            self._whole(reply.status or 0)
        reply.reasoning = "".join(self._thoughts)
        if not (reply.error or self._spoke):
            reply.error = "empty"

    def fail(self, reason: str) -> None:
        """The answer is not what the API says."""
        status = self.reply.status or 0
        self.reply.error = error_of(status) if status >= 300 else "malformed"
        self.reply.message = f"the answer is not in the API's form: {reason}"[:_WORDS]
        self.ended = True

    def _fail_in(self, error: Any) -> None:
        """The server says that it failed, in an answer that began well."""
        self.reply.error, self.reply.message, self.ended = "5xx", _words(error), True

    def _whole(self, status: int) -> None:
        if not 200 <= status < 300:
            self._refused(status)
            return
        try:
            self.reply.text, _ = self._note(self.decode(self.body))
        except UNREADABLE as error:
            self.fail(f"{error}: {_beginning(self.body)}")

    def _note(self, answer: AnswerBody) -> tuple[str, int]:
        """Take id, usage, calls and finish reason; return the text, and which piece of an answer there is."""
        reply = self.reply
        if answer.id and answer.id != reply.id:
            reply.id = str(answer.id)
        if answer.usage is not None:
            usage = Usage.of(answer.usage)
            reply.tokens_in, reply.tokens_out = usage.tokens_in, usage.tokens_out
            reply.tokens_cached, reply.tokens_reasoning = usage.tokens_cached, usage.tokens_reasoning
        text, piece = "", _NONE
        if answer.error:
            self._fail_in(answer.error)
            return text, piece
        for choice in answer.choices or ():
            words, thoughts, answers = self._read(choice)
            if answers:
                piece = _ANSWER
            elif thoughts or words:
                piece = piece or _THOUGHT
            if choice.index:  # one of several that were asked for: the first one is the answer
                continue
            text += words
            if thoughts and not self._relayed:
                self._thoughts.append(thoughts)
            if choice.finish_reason:
                reply.finish_reason, self._spoke = str(choice.finish_reason), True
        self._spoke = self._spoke or piece != _NONE
        return text, piece

    def _read(self, choice: LooseChoice) -> tuple[str, str, bool]:
        """A choice's text and thoughts, and whether it says anything else than thoughts; its calls are taken."""
        message = choice.delta or choice.message or _NOTHING
        content, thoughts = message.content or choice.text, thought_of(message.thoughts)
        if isinstance(content, list):
            content, thoughts = said_in(content), thoughts or said_in(content, thoughts=True)
        words = content if isinstance(content, str) else ""
        if message.tool_calls or message.function_call:
            self._add_calls(choice.index or 0, message.tool_calls or [LooseCall(function=message.function_call)])
        says = bool(message.tool_calls or message.function_call or message.refusal or (content and not words))
        if words:
            says = bool(choice.index) or self._tags.answers(words) or says
        return words, thoughts, says

    def _add_calls(self, choice: int, pieces: list[LooseCall]) -> None:
        for place, piece in enumerate(pieces):
            call = self.calls.setdefault((choice, place if piece.index is None else piece.index), AssembledCall())
            call.id = call.id or piece.id or ""
            if piece.function:
                call.name += piece.function.name or ""
                call.arguments += piece.function.arguments if isinstance(piece.function.arguments, str) else ""

    def _refused(self, status: int) -> None:
        reply = self.reply
        words, code = refusal(self.body)
        reply.error = error_of(status, code)
        if status < 400:
            words = f"the server answers with a redirect (status {status}): give the address it leads to"
        reply.message = f"the server refused the key (401): {words}" if status == 401 else words


def refusal(body: bytes) -> tuple[str, Any]:
    """The words of an error answer and its code; the body's beginning where it is not in the API's form."""
    try:
        answer = msgspec.json.decode(body.removeprefix(b"data:"))  # an event, from some, to who wanted a stream
        error = answer.get("error", answer.get("detail", answer.get("message")))  # OpenAI, FastAPI, others
        words, code = _words(error), error.get("code") if isinstance(error, dict) else None
    except (*UNREADABLE, AttributeError):
        words, code = "", None
    return words[:_WORDS] or _beginning(body), code


def _beginning(body: bytes) -> str:
    """The first words of what is not in the API's form, on one line."""
    return " ".join(body[: 4 * _WORDS].decode("utf-8", "replace").split())[:_WORDS]


def _seconds_of(value: bytes | None) -> float | None:
    """What a ``Retry-After`` header says: seconds, or a date. None for anything else."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value.decode("latin-1")).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def error_of(status: int, code: Any = None) -> str:
    """The ``request`` event's name of a refusal with this HTTP status and this code in its body."""
    if code == "context_length_exceeded":
        return "context limit"
    return "429" if status == 429 else "4xx" if status < 500 else "5xx"


def _words(error: Any) -> str:
    """The message of an error object, in whichever of the usual forms."""
    return str((error.get("message") if isinstance(error, dict) else error) or "")
