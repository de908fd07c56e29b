"""One call to a model: its answer is handed on while it comes, and what passes is noted."""

from __future__ import annotations

import functools
import time

import msgspec

from shosei.gateway import tool_results, tools
from shosei.gateway.apis import Api
from shosei.gateway.blocks import Blocks, Renaming
from shosei.gateway.bodies import MAX_BODY_BYTES
from shosei.gateway.budget import BUDGET_CODE, Charge, words_over
from shosei.gateway.call import Call
from shosei.gateway.downstream import STOPPED
from shosei.gateway.estimate import Estimate, prompt_tokens
from shosei.gateway.hop import handed_on
from shosei.gateway.splice import edited, id_edits
from shosei.gateway.upstream import FAILURES, NotRecorded, Source, failure_of
from shosei.log import Request, ToolCall
from shosei.wire import sse
from shosei.wire.connection import Broken, Headers
from shosei.wire.openai import error_body
from shosei.wire.reply import UNREADABLE, Reply

_RETRY_AFTER = [(b"retry-after", b"1")]  # seconds
_USAGE_REFUSED = (400, 422)  # statuses of servers that do not know ``stream_options``, whatever their words
_encode = msgspec.json.Encoder().encode


class Relay:
    """A call to a model: asks, hands the answer on while it comes, and knows in ``reply`` what became of it.

    A streamed answer passes event by event, and nothing of it is kept but, where it ``keeps_text``, its ``pieces``; a
    whole one is kept until it has ended, since its length may change with its id. What cannot be read passes as it
    came. ``charge`` is told of the tokens that the call has cost until now, and a stream is broken off where those are
    too many. ``cut``: break it off on purpose.
    """

    def __init__(self, call: Call, api: Api, charge: Charge, *, cut: bool, keeps_text: bool = False) -> None:
        self.ended = False
        self.reply = Reply(call.id, call.received_ns, bytes_sent=len(call.body))
        self.not_recorded = False  # a recording was asked for an answer that it does not have
        self.pieces: list[str] = []  # of the answer's text, where they are kept
        self.usage_refused = False  # the upstream takes no ``stream_options``, but took the request without
        self._call, self._api, self._downstream, self._cut = call, api, call.downstream, cut
        self._keeps_text = keeps_text
        self._id = _encode(call.id)
        self._headers: Headers = []
        self._charge, self._estimate = charge, Estimate()
        self._tool_calls: list[ToolCall] = []
        self._await_answer()

    def event(self, purpose: str) -> Request:
        """The call's event, once it has its answer."""
        call = self._call
        event = self.reply.event(
            purpose,
            phase="inference",
            task=call.task,
            agent=call.agent,
            api_key=call.key.name if call.key else "",
            model=call.model,
            attribution=call.attribution,
            retry=call.retry,
            tool_calls=self._tool_calls,
            tool_results=tool_results.of_conversation(
                self._api.conversation, call.raw(self._api.conversation), tools_offered=bool(call.raw("tools"))
            ),
        )
        event.seen_by = "gateway"
        if self._api.renames:
            event.id = call.id
        elif event.id != call.id:  # what the client knows the answer by
            event.span = call.id
        event.bytes_received = event.bytes_received or None  # the upstream may never have been asked
        return event

    def spent(self) -> tuple[int, int]:
        """Tokens of prompt and answer for the task's budget: as the upstream counted them, or else estimated."""
        reply = self.reply
        asked = reply.sent_ns is not None and (reply.status is None or 200 <= reply.status < 300)
        tokens_in = self._prompt_tokens if asked and reply.tokens_in is None else reply.tokens_in
        return tokens_in or 0, self._estimate.tokens if reply.tokens_out is None else reply.tokens_out

    async def run(self, source: Source) -> None:
        """Ask ``source``; what it does wrong is the client's answer, or the end of the connection."""
        try:
            await self._ask(source)
            if self._refuses_usage():
                self._call.as_it_came()
                self._await_answer()
                await self._ask(source)
                self.usage_refused = 200 <= (self.reply.status or 0) < 300
        except FAILURES as error:
            self._fail(error)
        else:
            self.finish()

    def refuse(self, status: int, message: str, code: str, *, error: str) -> None:
        """The gateway's own answer; ``error`` as in the ``request`` event."""
        self.reply.status, self.reply.error = status, error
        self._downstream.refuse(status, message, code=code, headers=_RETRY_AFTER if status == 429 else [])

    def break_off(self) -> None:
        """The gateway is being stopped: end a stream with an error that says so."""
        if self._downstream.begun and self._reader.streams:
            self._say(503, STOPPED, "stopped")
            self._downstream.end()

    @functools.cached_property
    def _prompt_tokens(self) -> int:
        return prompt_tokens(self._call.body)

    @property
    def complete(self) -> bool:
        """The last event of a stream came."""
        return self._reader.complete

    def begin(self, status: int, headers: Headers, first_byte_ns: int) -> None:
        self._reader.begin(status, headers, first_byte_ns)
        self._headers = handed_on(headers)
        is_json = any(name == b"content-type" and value.startswith(b"application/json") for name, value in headers)
        if self._reader.streams and not is_json:  # else its first byte tells
            self._begin_pieces()

    def feed(self, data: bytes, now_ns: int) -> None:
        reply = self.reply
        self._reader.look(data)
        if self.ended or self._unread or self._reader.streams:
            reply.bytes_received += len(data)
            if self._unread:
                self._downstream.piece(data)
            elif not self.ended:
                self._stream(data, now_ns)
        else:
            self._held.append(data)
            self._reader.feed(data, now_ns)
            if reply.bytes_received > MAX_BODY_BYTES:
                self._let_go()

    def finish(self) -> None:
        """The upstream's answer has ended as HTTP says."""
        reader, rest = self._reader, self._blocks.rest
        if reader.streams and rest and not self.ended:
            self._downstream.piece(self._changed(rest, time.monotonic_ns()))
        reader.finish()
        if self.ended:
            self._downstream.cut()
        elif reader.streams or self._unread:
            self._begin_pieces()
            self._downstream.end()
        else:
            self._whole(reader.body)
        self._check_calls()

    def _await_answer(self) -> None:
        """Nothing has come yet."""
        reply = self.reply
        reply.status = reply.first_byte_ns = reply.retry_after_s = None
        reply.bytes_received = 0
        self._reader = self._api.reader(reply, relayed=True)
        self._blocks, self._renaming = Blocks(), Renaming(self._id)
        self._held: list[bytes] = []  # of an answer in one piece
        self._unread = False  # it is too large to be an answer, and passes as it comes

    async def _ask(self, source: Source) -> None:
        self._charge.settle(self._prompt_tokens, 0)  # so that calls beside this one count on what is left
        self.reply.sent_ns, self.reply.stream = time.monotonic_ns(), self._call.stream
        self.reply.done_ns = await source.answer(self._call, self)

    def _refuses_usage(self) -> bool:
        """Whether the upstream refuses the request for what the gateway has added to it."""
        status = self.reply.status or 0
        words = b"".join(self._held)
        named = b"stream_options" in words or b"include_usage" in words
        return not self._call.shows_usage and (status in _USAGE_REFUSED or (status >= 500 and named))

    def _begin_pieces(self) -> None:
        if not self._downstream.begun:
            headers = [header for header in self._headers if header[0] != b"content-length"]
            self._downstream.begin(self.reply.status or 0, headers)

    def _stream(self, data: bytes, now_ns: int) -> None:
        self._begin_pieces()
        pieces = []
        for block in self._blocks.feed(data):
            pieces.append(self._changed(block, now_ns))
            if self.ended:
                break
        self._downstream.piece(b"".join(pieces))
        ends = self.ended or self._reader.complete or self.reply.finish_reason
        if not self._charge.grow(*self.spent()) and not ends:
            self.reply.error, self.ended = "budget", True
            self._say(403, words_over(self._call.task), BUDGET_CODE)

    def _say(self, status: int, message: str, code: str) -> None:
        """An error within a stream."""
        self._downstream.piece(sse.encode(_encode(error_body(status, message, code=code))))

    def _changed(self, block: bytes, now_ns: int) -> bytes:
        """A part of a stream as the client is to see it: chunks under our id, without usage that only we want."""
        reader = self._reader
        for event in reader.events.feed(block):
            try:
                answer = reader.event(event, now_ns)
            except UNREADABLE as error:
                reader.fail(str(error))
                return block
            if answer is None:
                continue
            if answer.usage is not None and not answer.choices and not self._call.shows_usage:
                return b""
            self._estimate.note(answer)
            if self._keeps_text:
                self.pieces.append(answer.first_text)
            if self._api.renames:
                block = self._renaming.apply(block, event[0])
            if self._cut:
                self.reply.error, self.ended = "cut stream", True
        return block

    def _whole(self, body: bytes) -> None:
        reply = self.reply
        status = reply.status or 0
        answers = 200 <= status < 300 and not self._reader.ended  # else it is an error, or nothing that can be read
        if answers:
            if reply.tokens_out is None:
                self._estimate.note(self._reader.decode(body))
            if self._keeps_text:
                self.pieces.append(reply.text)
            if self._api.renames:
                body = edited(body, id_edits(body, self._id))
        self._headers = [header for header in self._headers if header[0] != b"content-length"]
        if answers and self._cut:
            reply.error = "cut stream"
            self._downstream.begin(status, [*self._headers, (b"content-length", b"%d" % len(body))])
            self._downstream.piece(body[: len(body) // 2])
            self._downstream.cut()
        elif self._downstream.begun:
            self._downstream.piece(body)
            self._downstream.end()
        else:
            self._downstream.whole(status, body, self._headers)

    def _let_go(self) -> None:
        """Pass on what was kept of an answer in one piece, and what follows of it."""
        self._reader.fail(f"larger than {MAX_BODY_BYTES} bytes")
        self._begin_pieces()
        self._downstream.piece(b"".join(self._held))
        self._held, self._unread = [], True

    def _check_calls(self) -> None:
        if calls := self._reader.calls:
            kept_upstream = self._api.conversation == "input" and self._call.raw("prompt")  # with tools of its own
            offered = None if kept_upstream else tools.schemas(self._call.raw("tools"))
            self._tool_calls = [
                tools.checked(call.id, call.name, call.arguments, offered) for _, call in sorted(calls.items())
            ]
            if not self.reply.error and any(call.error for call in self._tool_calls):
                self.reply.error = "invalid tool call"

    def _fail(self, error: Exception) -> None:
        """Break the answer off where the upstream did, or else say what it did."""
        failure = failure_of(error, begun=self.reply.status is not None)
        self.not_recorded = isinstance(error, NotRecorded)
        broke_off = isinstance(error, Broken) and self.reply.status is not None
        if not (self._downstream.begun or broke_off):
            self.refuse(failure.status, failure.message, failure.code, error=failure.error)
            return
        self.reply.error = failure.error
        if not self._downstream.begun:  # with the length that it was to have
            self._downstream.begin(self.reply.status or 0, self._headers)
        self._downstream.piece(b"".join(self._held) or self._blocks.rest)
        self._downstream.cut()
