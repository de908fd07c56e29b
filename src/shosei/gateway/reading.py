"""What is noted of an answer, streamed or whole, as it passes: tokens, the first token's time, tool calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from shosei.gateway import tools
from shosei.gateway.question import Question
from shosei.log import Request


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: Any = None  # text, or a list of parts
    reasoning_content: Any = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    message: _Message | None = None
    delta: _Message | None = None
    text: Any = None
    finish_reason: Any = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


@dataclass(slots=True)
class _ToolCall:
    id: str = ""
    name: str = ""
    arguments: str = ""


_choices = msgspec.json.Decoder(list[_Choice]).decode
_usage = msgspec.json.Decoder(_Usage | None).decode


class Reading:
    """Fills an event. Its methods raise msgspec.DecodeError for what is not in the API's form."""

    def __init__(self, event: Request, question: Question) -> None:
        self._event, self._question = event, question
        self._last_ns: int | None = None  # of the latest text
        self._spoke = False
        self._calls: dict[tuple[int, int], _ToolCall] = {}  # by choice and place

    def usage(self, raw: msgspec.Raw) -> bool:
        """Note the tokens, where there are any."""
        usage = _usage(raw)
        if usage is None:
            return False
        event, details = self._event, usage.prompt_tokens_details
        event.tokens_in, event.tokens_out = usage.prompt_tokens, usage.completion_tokens
        event.tokens_cached = details.cached_tokens if details else None
        return True

    def choices(self, raw: msgspec.Raw, now_ns: int | None = None) -> bool:
        """Note the choices of an answer, or of a chunk that came at ``now_ns``; return whether there are any."""
        found = _choices(raw)
        for choice in found:
            message = choice.delta or choice.message or _Message()
            self._spoke = self._spoke or bool(choice.finish_reason)
            for place, call in enumerate(message.tool_calls or ()):
                self._tool(choice.index, place if call.index is None else call.index, call)
            if choice.text or message.content or message.reasoning_content or message.tool_calls:
                self._spoke = True
                if now_ns is not None:
                    self._text(now_ns)
        return bool(found)

    def finish(self) -> None:
        """The answer is whole."""
        event = self._event
        if self._calls:
            offered = tools.schemas(self._question.raw("tools"))
            event.tool_calls = [
                tools.checked(call.id, call.name, call.arguments, offered) for _, call in sorted(self._calls.items())
            ]
        if event.error:
            return
        if not self._spoke:
            event.error = "empty"
        elif any(call.error for call in event.tool_calls):
            event.error = "invalid tool call"

    def _text(self, now_ns: int) -> None:
        event = self._event
        if self._last_ns is None:
            event.first_token_ns = now_ns
        else:
            event.longest_gap_ns = max(event.longest_gap_ns or 0, now_ns - self._last_ns)
        self._last_ns = now_ns

    def _tool(self, choice: int, place: int, piece: _Call) -> None:
        call = self._calls.setdefault((choice, place), _ToolCall())
        call.id = call.id or piece.id or ""
        if piece.function:
            call.name += piece.function.name or ""
            arguments = piece.function.arguments
            call.arguments += arguments if isinstance(arguments, str) else ""
