"""The two forms of an answer, chat and plain text: whole, or chunk by chunk. Every method returns a JSON object."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Protocol

import msgspec

from shosei.text import CallPiece, Piece
from shosei.wire.openai import (
    AnswerCall,
    AnswerMessage,
    Arguments,
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatCompletion,
    Completion,
    Delta,
    FunctionCall,
    TextChoice,
    ToolCallDelta,
    Usage,
)

_encode = msgspec.json.Encoder().encode


class Shape(Protocol):
    """How one endpoint words an answer."""

    def whole(self, pieces: Sequence[Piece], finish_reason: str, usage: Usage) -> bytes: ...

    def opening(self) -> bytes | None:
        """The chunk before any piece, where the form has one."""

    def piece(self, piece: Piece) -> bytes: ...

    def closing(self, finish_reason: str) -> bytes: ...

    def usage(self, usage: Usage) -> bytes: ...


class ChatShape:
    """``chat.completion`` and ``chat.completion.chunk``."""

    def __init__(self, id: str, model: str) -> None:
        self._id, self._model, self._created = id, model, int(time.time())
        self._calls = 0  # that ``piece`` has begun

    def whole(self, pieces: Sequence[Piece], finish_reason: str, usage: Usage) -> bytes:
        words, calls = _words(pieces), _calls(pieces)
        message = AnswerMessage(words or None, tool_calls=calls) if calls else AnswerMessage(words)
        choices = [ChatChoice(message, finish_reason)]
        return _encode(
            ChatCompletion(id=self._id, created=self._created, model=self._model, choices=choices, usage=usage)
        )

    def opening(self) -> bytes:
        return self._chunk([ChatChunkChoice(Delta(role="assistant", content=""))])

    def piece(self, piece: Piece) -> bytes:
        delta = Delta(content=piece) if isinstance(piece, str) else Delta(tool_calls=[self._call_delta(piece)])
        return self._chunk([ChatChunkChoice(delta)])

    def _call_delta(self, piece: CallPiece) -> ToolCallDelta:
        if not piece.name:
            return ToolCallDelta(self._calls - 1, Arguments(piece.arguments))
        self._calls += 1
        return ToolCallDelta(self._calls - 1, FunctionCall(piece.name), _call_id(), "function")

    def closing(self, finish_reason: str) -> bytes:
        return self._chunk([ChatChunkChoice(Delta(), finish_reason)])

    def usage(self, usage: Usage) -> bytes:
        return self._chunk([], usage)

    def _chunk(self, choices: list[ChatChunkChoice], usage: Usage | None = None) -> bytes:
        return _encode(
            ChatChunk(
                id=self._id,
                created=self._created,
                model=self._model,
                choices=choices,
                object="chat.completion.chunk",
                usage=usage,
            )
        )


class TextShape:
    """``text_completion``, the same object whole and in chunks."""

    def __init__(self, id: str, model: str) -> None:
        self._id, self._model, self._created = id, model, int(time.time())

    def whole(self, pieces: Sequence[Piece], finish_reason: str, usage: Usage) -> bytes:
        return self._completion([TextChoice(_words(pieces), finish_reason)], usage)

    def opening(self) -> None:
        return None

    def piece(self, piece: Piece) -> bytes:
        return self._completion([TextChoice(_words([piece]))])

    def closing(self, finish_reason: str) -> bytes:
        return self._completion([TextChoice("", finish_reason)])

    def usage(self, usage: Usage) -> bytes:
        return self._completion([], usage)

    def _completion(self, choices: list[TextChoice], usage: Usage | None = None) -> bytes:
        return _encode(
            Completion(
                id=self._id,
                created=self._created,
                model=self._model,
                choices=choices,
                object="text_completion",
                usage=usage,
            )
        )


def _words(pieces: Sequence[Piece]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def _calls(pieces: Sequence[Piece]) -> list[AnswerCall]:
    calls: list[AnswerCall] = []
    for piece in pieces:
        if not isinstance(piece, CallPiece):
            continue
        if piece.name:
            calls.append(AnswerCall(_call_id(), FunctionCall(piece.name)))
        calls[-1].function.arguments += piece.arguments
    return calls


def _call_id() -> str:
    return f"call_{uuid.uuid4().hex}"
