"""OpenAI's Responses API, read as a chat is: its events become the chunks of an answer, its response the whole of one.

Fields and meanings follow OpenAI's public API reference (Responses; Streaming events).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shosei.wire.answer import (
    AnswerBody,
    LooseCall,
    LooseChoice,
    LooseFunction,
    LooseMessage,
)
from shosei.wire.loose_json import LooseDecoder
from shosei.wire.reply import AssembledCall, ReplyReader

_LAST = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_CUT_SHORT = {"max_output_tokens": "length"}  # why a response is incomplete, as a chat has it


class _Item(msgspec.Struct, gc=False):
    """A part of a response's output: a message, a call of a function, thoughts, or something else."""

    type: str = ""
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    content: Any = None
    summary: Any = None


class _Response(msgspec.Struct, gc=False):
    id: Any = None
    status: str | None = None
    output: list[_Item] | None = None
    usage: Any = None
    error: Any = None
    incomplete_details: Any = None


class _Event(_Response, gc=False):
    """An event of a stream or, without a ``type``, a response in one piece."""

    type: str = ""
    delta: Any = None
    output_index: int | None = None
    item: _Item | None = None
    response: _Response | None = None
    message: Any = None


_decode = LooseDecoder(_Event).decode


class ResponsesReader(ReplyReader):
    """Fills a ``Reply`` from an answer of ``/v1/responses``. A call of a function is as its item has it in the end."""

    def decode(self, data: bytes) -> AnswerBody:
        event = _decode(data)
        kind = event.type
        if not kind:
            return _ended(event, event.output or ())
        if kind.endswith(".delta"):
            return AnswerBody(choices=[LooseChoice(delta=_piece(event))])
        if event.item and event.item.type == "function_call":
            if kind == "response.output_item.added":  # the model has settled on the function
                call = _call(event.item, event.output_index, arguments="")
                return AnswerBody(choices=[LooseChoice(delta=LooseMessage(tool_calls=[call]))])
            self._settle(event.item, event.output_index)
        if kind == "error":
            return AnswerBody(error=event.error or {"message": event.message})
        if event.response and kind in _LAST:
            self.complete = True
            for place, item in enumerate(event.response.output or ()):
                self._settle(item, place)
            return _ended(event.response)
        return AnswerBody(id=event.response.id if event.response else None)

    def _settle(self, item: _Item, place: int | None) -> None:
        """Take a call as it stands when it is whole, whatever its pieces were."""
        if item.type == "function_call":
            self.calls[(0, place or 0)] = AssembledCall(item.call_id or "", item.name or "", _text(item.arguments))


def _piece(event: _Event) -> LooseMessage:
    """What a delta adds. What is neither text nor thought nor of a function adds no text, as a refusal does not."""
    if event.type == "response.output_text.delta":
        return LooseMessage(content=event.delta)
    if "reasoning" in event.type:
        return LooseMessage(reasoning=event.delta)
    if event.type == "response.function_call_arguments.delta":
        function = LooseFunction(arguments=event.delta)
        return LooseMessage(tool_calls=[LooseCall(event.output_index, None, function)])
    return LooseMessage(refusal=event.delta)


def _ended(response: _Response, output: Sequence[_Item] = ()) -> AnswerBody:
    """A response that will not change any more, or that is made elsewhere; ``output`` where nothing was said of it."""
    error = response.error or (response.status == "failed" and "the response failed")
    choices = None
    if finish := _finish_reason(response):
        choices = [LooseChoice(message=_message(output), finish_reason=finish)]
    return AnswerBody(response.id, choices, response.usage, error or None)


def _finish_reason(response: _Response) -> str:
    """Why it ended, in a chat's words where there are some; else its status."""
    if response.status == "completed":
        calls = any(item.type == "function_call" for item in response.output or ())
        return "tool_calls" if calls else "stop"
    details = response.incomplete_details
    reason = _text(details.get("reason")) if isinstance(details, dict) else ""
    return _CUT_SHORT.get(reason, reason) or response.status or ""


def _message(output: Sequence[_Item]) -> LooseMessage:
    """The items of a response in one piece, as a chat's message."""
    parts = [part for item in output if item.type == "message" for part in _parts(item.content)]
    thoughts = [
        part for item in output if item.type == "reasoning" for part in _parts(item.summary) + _parts(item.content)
    ]
    calls = [_call(item, place, item.arguments) for place, item in enumerate(output) if item.type == "function_call"]
    return LooseMessage(
        content="".join(_text(part.get("text")) for part in parts),
        reasoning="".join(_text(part.get("text")) for part in thoughts),
        refusal="".join(_text(part.get("refusal")) for part in parts),
        tool_calls=calls or None,
    )


def _call(item: _Item, place: int | None, arguments: Any) -> LooseCall:
    return LooseCall(place, item.call_id, LooseFunction(item.name, arguments))


def _parts(content: Any) -> list[dict[str, Any]]:
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
